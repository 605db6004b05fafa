//! A question over all URLs, under one deadline.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::back::Back;
use super::fault::Fault;
use super::question::Question;
use super::reach::Unreachable;
use super::route::{Route, Tried};

/// Questions that are on their way at the same time.
const MOST_AT_ONCE: usize = 200;

/// How long a login waits, while all servers are known to be away, for one of them to be back just now.
const GRACE: Duration = Duration::from_millis(20);

/// All URLs.
pub(super) struct Exchange {
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) token: HeaderValue,
    pub(super) timeout: Duration,
    pub(super) back: Arc<Back>,
    pub(super) places: Semaphore,
}

impl Exchange {
    pub(super) fn new(
        routes: Vec<Arc<Route>>,
        token: HeaderValue,
        timeout: Duration,
        back: Arc<Back>,
    ) -> Self {
        Self { routes, token, timeout, back, places: Semaphore::new(MOST_AT_ONCE) }
    }

    /// The first answer of a server that is well.
    pub(super) async fn ask(&self, question: &Question, deadline: Instant) -> Result<Answer, Fault> {
        let until = deadline.min(Instant::now() + self.timeout);
        let Ok(Ok(_place)) = timeout_at(until, self.places.acquire()).await else {
            return Err(Fault::new("server_busy", "too many questions to the server are under way"));
        };
        if self.all_away().is_some() {
            let soon = until.min(Instant::now() + GRACE);
            let looks = self.routes.iter().map(|route| route.come_back(soon));
            first_of(looks).await;
            if let Some(proof) = self.all_away() {
                return Err(Fault::Unreachable(proof));
            }
        }
        let here: Vec<_> = self.routes.iter().filter(|route| route.away().is_none()).collect();
        let mut fault = None;
        for (number, route) in here.iter().enumerate() {
            let left = u32::try_from(here.len() - number).unwrap_or(u32::MAX);
            let now = Instant::now();
            let share = now + until.saturating_duration_since(now) / left;
            match route.ask(&self.token, question, share, &self.back).await {
                // Another node may be well.
                Tried::Answer(answer) if answer.status() >= 500 => fault = Some(Fault::of(&answer)),
                Tried::Answer(answer) => return Ok(answer),
                Tried::Away => {}
                Tried::Fault(found) => fault = Some(found),
            }
        }
        // Whoever was reached, and be it by somebody who only pretends to be the server, is not away.
        if let Some(fault) = fault {
            return Err(fault);
        }
        match self.all_away() {
            Some(proof) => Err(Fault::Unreachable(proof)),
            None => {
                Err(Fault::new("server_back", "a server came back while the others were tried: try again"))
            }
        }
    }

    /// The proof that all of them are away, where they are.
    pub(super) fn all_away(&self) -> Option<Unreachable> {
        let each: Option<Vec<_>> = self.routes.iter().map(|route| route.away()).collect();
        Unreachable::of(self.routes.iter().map(|route| &route.url), each?)
    }
}

// Until the first is back, or all have looked.
async fn first_of(looks: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut looks: Vec<_> = looks.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        let done = looks.iter_mut().any(|look| look.as_mut().poll(context).is_ready());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
