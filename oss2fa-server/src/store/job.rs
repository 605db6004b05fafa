//! A verb on its way through a writer: run, perhaps again, then answered.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::error::StoreError;
use super::sql::Sql;
use super::verb::{Access, Tx, Verb};

/// Most jobs in one transaction.
pub(super) const GROUP: usize = 256;

type Running<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// A job for a database of one kind.
pub(super) trait Job<S: Sql>: Send {
    /// Runs the verb and keeps what it answers.
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_, S>) -> Running<'a>;

    /// The same on a database that never waits, without an allocation.
    fn run_now(&mut self, tx: &mut Tx<'_, S>) -> Result<(), StoreError>;

    /// In which state of the store it may run.
    fn access(&self) -> Access;

    /// Tells whoever waits, after the commit or instead of it.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// The verb goes back with its answer: whoever made it frees it, unless they have gone away. Memory that another thread
/// frees takes the allocator's locks.
struct Waiting<V: Verb> {
    verb: V,
    output: Option<V::Output>,
    answer: Option<oneshot::Sender<Finished<V>>>,
}

/// A job that was run, and what came of the commit.
struct Finished<V: Verb> {
    job: Box<Waiting<V>>,
    committed: Result<(), StoreError>,
}

/// Where a verb's answer comes.
pub(super) struct Answer<V: Verb>(oneshot::Receiver<Finished<V>>);

/// A job, and where its answer comes.
pub(super) fn queue_up<S: Sql, V: Verb>(verb: V) -> (Box<dyn Job<S>>, Answer<V>) {
    let (answer, answered) = oneshot::channel();
    (Box::new(Waiting { verb, output: None, answer: Some(answer) }), Answer(answered))
}

impl<V: Verb> Answer<V> {
    /// Waits for it.
    ///
    /// # Errors
    /// The verb's own, or the commit's; [`StoreError::Closed`] where nobody runs it any more.
    pub(super) async fn wait(self) -> Result<V::Output, StoreError> {
        let Finished { job, committed } = self.0.await.map_err(|_| StoreError::Closed)?;
        committed.and_then(|()| job.output.ok_or(StoreError::Closed))
    }
}

impl<S: Sql, V: Verb> Job<S> for Waiting<V> {
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_, S>) -> Running<'a> {
        Box::pin(async move {
            self.output = Some(self.verb.run(tx).await?);
            Ok(())
        })
    }

    fn run_now(&mut self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        self.output = Some(now(self.verb.run(tx))?);
        Ok(())
    }

    fn access(&self) -> Access {
        V::ACCESS
    }

    fn finish(mut self: Box<Self>, committed: Result<(), StoreError>) {
        let Some(answer) = self.answer.take() else { return };
        // Who has gone away meanwhile needs no answer; what was committed stays.
        let _ = answer.send(Finished { job: self, committed });
    }
}

/// Runs what never waits: all that a verb awaits on SQLite is a call into it.
pub(super) fn now<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => Err(StoreError::Corrupt("a verb that waits for something else than the database")),
    }
}

/// What a group needs: one verb that must be alone is never in a group with others.
pub(super) fn access_of<S: Sql>(group: &[Box<dyn Job<S>>]) -> Access {
    match group {
        [only] => only.access(),
        _ => Access::Shared,
    }
}

/// Whether all of a group may run in one transaction.
pub(super) fn may_share<S: Sql>(group: &[Box<dyn Job<S>>]) -> Result<(), StoreError> {
    if group.len() > 1 && group.iter().any(|job| job.access() == Access::Alone) {
        return Err(StoreError::Conflict("a change that must be alone".to_owned()));
    }
    Ok(())
}
