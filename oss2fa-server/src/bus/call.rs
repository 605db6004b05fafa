//! One message, from its delivery to its acknowledgement.

use std::sync::Arc;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;
use zeroize::Zeroize;

use super::lost::Lost;
use super::nameko::{self, CONTENT_ENCODING, CONTENT_TYPE, Envelope, Read, Reply, Return, Rules, Verify};
use crate::outside::Clock;
use crate::service::apps::{Apps, Door, Verdict};

/// How long the broker takes at most to take an answer.
const CONFIRM: Duration = Duration::from_secs(20);

/// Delivery mode of a message that outlives a restart of the broker (AMQP 0-9-1 section 4.10).
const PERSISTENT: u8 = 2;

/// What all calls have in common.
pub(super) struct Calls {
    pub(super) apps: Apps,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) service: String,
    pub(super) exchange: ShortString,
    /// Age in seconds from which on the tokens in a message are over.
    pub(super) oldest: u32,
}

impl Calls {
    /// Answers one message. It is acknowledged when the broker has the answer, so that none is lost; but one
    /// that came already is acknowledged first: whatever it does to this server, it does that twice at most.
    pub(super) async fn answer(&self, channel: &Channel, mut delivery: Delivery) -> Result<(), Lost> {
        if delivery.redelivered {
            delivery.ack(BasicAckOptions::default()).await?;
        }
        let read = self.read(&delivery);
        delivery.data.zeroize();
        let outcome = match read {
            Read::Drop => "dropped",
            Read::Answer(reply, back) => self.reply(channel, &reply, back).await?,
            Read::Call(verify, back) => {
                let reply = self.verify(*verify).await;
                self.reply(channel, &reply, back).await?
            }
        };
        if !delivery.redelivered {
            delivery.ack(BasicAckOptions::default()).await?;
        }
        metrics::counter!("oss2fa_bus_calls_total", "outcome" => outcome).increment(1);
        tracing::debug!(code = "bus_call", outcome, "a message of the bus was dealt with");
        Ok(())
    }

    fn read(&self, delivery: &Delivery) -> Read {
        let properties = &delivery.properties;
        let text = |value: &'_ Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
        let (content_type, content_encoding) =
            (text(properties.content_type()), text(properties.content_encoding()));
        let (correlation_id, reply_to) = (text(properties.correlation_id()), text(properties.reply_to()));
        let envelope = Envelope {
            routing_key: delivery.routing_key.as_str(),
            content_type: content_type.as_deref(),
            content_encoding: content_encoding.as_deref(),
            correlation_id: correlation_id.as_deref(),
            reply_to: reply_to.as_deref(),
            timestamp: *properties.timestamp(),
        };
        let rules = Rules { service: &self.service, oldest: self.clock.now().before(self.oldest) };
        nameko::read(&rules, &envelope, &delivery.data)
    }

    async fn verify(&self, verify: Verify) -> Reply {
        match self.apps.verify(Door::Bus, &verify.requester, &verify.about, self.clock.now()).await {
            Ok(Verdict::Ok) => Reply::Ok,
            Ok(Verdict::Fail(_)) => Reply::Fail,
            Err(error) => {
                tracing::warn!(code = "bus_call", %error, "a call of the bus could not be decided");
                Reply::Unavailable
            }
        }
    }

    async fn reply(&self, channel: &Channel, reply: &Reply, back: Return) -> Result<&'static str, Lost> {
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_content_encoding(CONTENT_ENCODING.into())
            .with_delivery_mode(PERSISTENT);
        let properties = match back.correlation_id.and_then(|id| ShortString::try_new(id).ok()) {
            Some(id) => properties.with_correlation_id(id),
            None => properties,
        };
        // It came as one of these.
        let Ok(key) = ShortString::try_new(back.reply_to) else { return Ok("dropped") };
        let body = reply.body();
        let sent = async {
            let options = BasicPublishOptions::default();
            channel.basic_publish(self.exchange.clone(), key, options, &body, properties).await?.await
        };
        match timeout(CONFIRM, sent).await {
            // An answer that nobody waits for any more is no fault.
            Ok(Ok(Confirmation::Ack(_))) => Ok(reply.outcome()),
            Ok(Ok(_)) => Err(Lost::NotTaken),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Lost::Slow { step: "handing an answer to the broker", limit: CONFIRM }),
        }
    }
}
