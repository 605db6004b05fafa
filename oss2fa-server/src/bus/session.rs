//! Taking calls from the broker, as long as one connection lasts.

use std::sync::Arc;
use std::time::Duration;

use lapin::message::DeliveryResult;
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer, ExchangeKind};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, timeout};

use super::call::Calls;
use super::link::Link;
use super::lost::Lost;

/// How long the broker takes at most for all that is asked of it before the first call.
const BEGIN: Duration = Duration::from_secs(15);

/// How long it takes at most to give no more calls.
const CANCEL: Duration = Duration::from_secs(3);

/// How often exchange, queue and binding are declared again: the broker tells nobody when one was removed.
const MEND_EVERY: Duration = Duration::from_secs(15);

/// What is done with messages that wait in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// They are answered.
    Answer,
    /// They are thrown away: nobody can read one of them, and it would end this connection, too.
    Discard,
}

/// What there is on a connection while calls are taken from it.
pub(super) struct Session {
    link: Link,
    channel: Channel,
    consumer: Consumer,
    calls: Arc<Calls>,
    deliveries: mpsc::UnboundedReceiver<DeliveryResult>,
    running: JoinSet<Result<(), Lost>>,
}

impl Session {
    /// Declares what nameko's services declare, and begins to take calls.
    pub(super) async fn begin(
        link: Link,
        calls: Arc<Calls>,
        prefetch: u16,
        waiting: Waiting,
    ) -> Result<Self, Lost> {
        let set_up = timeout(BEGIN, set_up(&link, &calls, prefetch, waiting)).await;
        let (channel, consumer) =
            set_up.map_err(|_| Lost::Slow { step: "declaring the queue", limit: BEGIN })??;
        // The broker gives no more than `prefetch` at once: this grows no further.
        let (sender, deliveries) = mpsc::unbounded_channel();
        consumer.set_delegate(move |delivery: DeliveryResult| {
            // Fails where nobody takes calls any more: the broker keeps this one.
            let _taken = sender.send(delivery);
            std::future::ready(())
        });
        Ok(Self { link, channel, consumer, calls, deliveries, running: JoinSet::new() })
    }

    /// Takes calls until it is told to stop, which is when the other end of `stop` is dropped.
    pub(super) async fn take(&mut self, stop: &mut watch::Receiver<()>) -> Result<(), Lost> {
        let mut every = tokio::time::interval(MEND_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _told = stop.changed() => return Ok(()),
                _ = every.tick() => {
                    let (calls, channel) = (Arc::clone(&self.calls), self.channel.clone());
                    self.running.spawn(async move { bind(&channel, &calls).await.map(|_| ()) });
                }
                Some(done) = self.running.join_next() => ended(done)?,
                delivery = self.deliveries.recv() => match delivery {
                    Some(Ok(Some(delivery))) => {
                        let (calls, channel) = (Arc::clone(&self.calls), self.channel.clone());
                        self.running.spawn(async move { calls.answer(&channel, delivery).await });
                    }
                    Some(Ok(None)) | None => return Err(Lost::Cancelled),
                    Some(Err(error)) => return Err(error.into()),
                },
            }
        }
    }

    /// Takes no more calls, finishes those under way within `grace`, and closes the connection. The broker
    /// keeps what was not finished.
    pub(super) async fn finish(mut self, grace: Duration) {
        let cancel = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        let _cancelled = timeout(CANCEL, cancel).await;
        let rest = async {
            while let Some(done) = self.running.join_next().await {
                if let Err(why) = ended(done) {
                    return tracing::warn!(code = "bus_lost", %why, "calls under way were not finished");
                }
            }
        };
        if timeout(grace, rest).await.is_err() {
            tracing::warn!(code = "bus_lost", "calls under way took too long and were not finished");
        }
        self.close().await;
    }

    /// Gives up what is under way, and closes the connection.
    pub(super) async fn close(mut self) {
        self.running.shutdown().await;
        self.link.close().await;
    }
}

fn ended(done: Result<Result<(), Lost>, JoinError>) -> Result<(), Lost> {
    done.unwrap_or(Err(Lost::Fault))
}

async fn set_up(
    link: &Link,
    calls: &Calls,
    prefetch: u16,
    waiting: Waiting,
) -> Result<(Channel, Consumer), Lost> {
    let channel = link.connection.create_channel().await?;
    let queue = bind(&channel, calls).await?;
    if waiting == Waiting::Discard {
        let messages = channel.queue_purge(queue.clone(), QueuePurgeOptions::default()).await?;
        tracing::warn!(
            code = "bus_discarded",
            messages,
            "a message that nobody can read ended the connection; all that waited in the queue was thrown away"
        );
    }
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let consume = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue, "".into(), consume, FieldTable::default()).await?;
    Ok((channel, consumer))
}

/// Declares exchange and queue and binds them; changes nothing where they are there already.
async fn bind(channel: &Channel, calls: &Calls) -> Result<ShortString, Lost> {
    let none = FieldTable::default;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(calls.exchange.clone(), ExchangeKind::Topic, durable, none()).await?;
    let name =
        |text: String| ShortString::try_new(text).map_err(|error| Lost::Unreachable(error.to_string()));
    let queue = name(format!("rpc-{}", calls.service))?;
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.clone(), durable, none()).await?;
    let key = name(format!("{}.*", calls.service))?;
    channel
        .queue_bind(queue.clone(), calls.exchange.clone(), key, QueueBindOptions::default(), none())
        .await?;
    Ok(queue)
}
