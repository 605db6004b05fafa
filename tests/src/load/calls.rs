//! Calls of nameko's RPC over AMQP 0-9-1, as its clients make them: each is persistent, mandatory and confirmed, and
//! its caller waits for the answer before it calls again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lapin::message::DeliveryResult;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A service that is silent for so long is not slow any more.
const SILENCE: Duration = Duration::from_secs(30);

const EXCHANGE: &str = "nameko-rpc";
const REPLY_TO: &str = "oss2fa-load";

/// What to do.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The broker: `amqp://USER:PASSWORD@HOST:PORT/VHOST`.
    pub broker: String,
    /// Routing key of the calls: `SERVICE.METHOD`.
    pub method: String,
    /// Callers at once.
    pub callers: usize,
    /// At first, without counting.
    pub warm_up: Duration,
    /// Then counting.
    pub measured: Duration,
    /// What an answer that counts contains.
    pub contains: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Answered {
    /// Seconds that were counted; fewer than planned where the bodies ran out.
    pub seconds: f64,
    /// Answers as expected in those seconds.
    pub accepted: u64,
    /// The same for one second.
    pub per_second: f64,
    /// Answers that were not as expected, with those of the warm-up.
    pub refused: u64,
    /// The first of them.
    pub first_refusal: Option<String>,
}

impl Answered {
    /// The outcome, if every call got the expected answer.
    ///
    /// # Errors
    /// With the first answer that was another.
    pub fn flawless(self) -> io::Result<Self> {
        if self.refused == 0 && self.accepted > 0 {
            return Ok(self);
        }
        let first = self.first_refusal.as_deref().unwrap_or("none");
        Err(io::Error::other(format!(
            "{} answers as expected, {} others; the first other: {first}",
            self.accepted, self.refused
        )))
    }
}

/// Calls with each of these bodies once, until the time is over or there are none left.
///
/// # Errors
/// Where the broker cannot be reached or does not take a call, or where the service is silent for 30 seconds.
pub fn call(calls: &Calls, bodies: Vec<String>) -> io::Result<Answered> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(all(calls, Arc::new(bodies)))
}

async fn all(calls: &Calls, bodies: Arc<Vec<String>>) -> io::Result<Answered> {
    let connection = Connection::connect(&calls.broker, ConnectionProperties::default()).await;
    let connection = connection.map_err(io::Error::other)?;
    let channel = connection.create_channel().await.map_err(io::Error::other)?;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..calls.callers).map(|_| unbounded_channel()).unzip();
    listen(&channel, senders).await.map_err(io::Error::other)?;
    let next = Arc::new(AtomicUsize::new(0));
    let counted_from = Instant::now() + calls.warm_up;
    let end = counted_from + calls.measured;
    let mut callers = JoinSet::new();
    for (number, answers) in receivers.into_iter().enumerate() {
        let caller = Caller {
            channel: channel.clone(),
            method: calls.method.clone(),
            contains: calls.contains.clone(),
            number,
            answers,
            counted_from,
            end,
        };
        callers.spawn(caller.calls(Arc::clone(&bodies), Arc::clone(&next)));
    }
    let mut sum = Answered::default();
    let mut last = counted_from;
    while let Some(done) = callers.join_next().await {
        let (answered, ended) = done.map_err(io::Error::other)??;
        sum.accepted += answered.accepted;
        sum.refused += answered.refused;
        sum.first_refusal = sum.first_refusal.or(answered.first_refusal);
        last = last.max(ended);
    }
    // Where the bodies ran out, the last answer was the end.
    sum.seconds = last.min(end).saturating_duration_since(counted_from).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "fewer calls than 2^52")]
    let accepted = sum.accepted as f64;
    sum.per_second = if sum.seconds > 0.0 { accepted / sum.seconds } else { 0.0 };
    connection.close(200, "done".into()).await.map_err(io::Error::other)?;
    Ok(sum)
}

/// Gives each caller the answers that are for it: its number is the correlation id.
async fn listen(channel: &Channel, callers: Vec<UnboundedSender<Vec<u8>>>) -> lapin::Result<()> {
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), own, FieldTable::default()).await?;
    let bind = QueueBindOptions::default();
    channel
        .queue_bind(queue.name().clone(), EXCHANGE.into(), REPLY_TO.into(), bind, FieldTable::default())
        .await?;
    let consume = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let name = queue.name().clone();
    let consumer = channel.basic_consume(name, "".into(), consume, FieldTable::default()).await?;
    consumer.set_delegate(move |delivery: DeliveryResult| {
        if let Ok(Some(delivery)) = delivery {
            let number =
                delivery.properties.correlation_id().as_ref().and_then(|id| id.as_str().parse().ok());
            if let Some(caller) = number.and_then(|number: usize| callers.get(number)) {
                // Fails where that caller is done.
                let _sent = caller.send(delivery.data);
            }
        }
        std::future::ready(())
    });
    channel.confirm_select(ConfirmSelectOptions::default()).await
}

struct Caller {
    channel: Channel,
    method: String,
    contains: Vec<u8>,
    number: usize,
    answers: UnboundedReceiver<Vec<u8>>,
    counted_from: Instant,
    end: Instant,
}

impl Caller {
    /// One call after another; when it had its last answer.
    async fn calls(
        mut self,
        bodies: Arc<Vec<String>>,
        next: Arc<AtomicUsize>,
    ) -> io::Result<(Answered, Instant)> {
        let mut answered = Answered::default();
        loop {
            let now = Instant::now();
            let body = bodies.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| now < self.end);
            let Some(body) = body else { return Ok((answered, now)) };
            self.publish(body).await?;
            let answer = timeout(SILENCE, self.answers.recv()).await;
            let answer = answer.map_err(|_| io::Error::other("the service does not answer any more"))?;
            let answer = answer.ok_or_else(|| io::Error::other("the connection has ended"))?;
            let now = Instant::now();
            if answer.windows(self.contains.len().max(1)).any(|part| part == self.contains) {
                answered.accepted += u64::from(now >= self.counted_from && now < self.end);
            } else {
                answered.refused += 1;
                answered.first_refusal.get_or_insert_with(|| String::from_utf8_lossy(&answer).into_owned());
            }
        }
    }

    async fn publish(&self, body: &str) -> io::Result<()> {
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(2)
            .with_reply_to(REPLY_TO.into())
            .with_correlation_id(self.number.to_string().into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let key = self.method.as_str().into();
        let sent =
            self.channel.basic_publish(EXCHANGE.into(), key, options, body.as_bytes(), properties).await;
        match sent.map_err(io::Error::other)?.await.map_err(io::Error::other)? {
            Confirmation::Ack(None) => Ok(()),
            _ => Err(io::Error::other("the broker did not take a call, or no service has a queue for it")),
        }
    }
}
