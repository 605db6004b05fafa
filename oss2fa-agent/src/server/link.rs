//! What a login's thread holds of the server's thread: put a question, wait for the answer.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_core::random::Random;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::back::Back;
use super::exchange::Exchange;
use super::fault::Fault;
use super::question::Question;
use super::reach::Unreachable;
use super::route::Route;
use super::send::header_of;
use super::{tls, token};
use crate::config::ServerConfig;

/// The stack of the server's thread: a handshake wants the most.
const STACK: usize = 1024 * 1024;

/// Threads that look up names, and how long one waits for the next name.
const RESOLVERS: usize = 4;

/// How long questions that nobody waits for may take once the daemon lets go of this server.
const LAST: Duration = Duration::from_secs(5);

/// More than the runtime's own time: the one who waits must not be the first to give up.
const SLACK: Duration = Duration::from_millis(200);

/// Why this host cannot ask its server.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ServerError(pub(crate) String);

/// The server, for whoever asks it. Dropped, its thread ends.
pub struct Server {
    config: ServerConfig,
    random: Arc<dyn Random>,
    exchange: Arc<Exchange>,
    questions: mpsc::UnboundedSender<Job>,
    back: Arc<Back>,
}

/// How one server does, as far as this host knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Its address.
    pub url: String,
    /// Why it is known to be away, where it is.
    pub away: Option<String>,
}

struct Job {
    question: Question,
    deadline: Instant,
    reply: Option<SyncSender<Result<Answer, Fault>>>,
}

impl Server {
    /// Reads token and authorities, and starts the thread. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ServerError`]: a file that cannot be used, or no thread to be had.
    pub fn start(config: ServerConfig, random: Arc<dyn Random>) -> Result<Self, ServerError> {
        let token = header_of(&token::read(&config.token_file).map_err(ServerError)?).map_err(ServerError)?;
        let tls = tls::settings(&config.trust).map_err(ServerError)?;
        let routes: Result<_, _> =
            config.urls.iter().map(|url| Route::new(url.clone(), tls.clone()).map(Arc::new)).collect();
        let back = Arc::new(Back::default());
        let exchange =
            Arc::new(Exchange::new(routes.map_err(ServerError)?, token, config.timeout, Arc::clone(&back)));
        let (questions, jobs) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(RESOLVERS)
            .thread_stack_size(STACK / 4)
            .build()
            .map_err(|error| ServerError(format!("the server's thread cannot be set up: {error}")))?;
        let asked = Arc::clone(&exchange);
        thread::Builder::new()
            .name("server".to_owned())
            .stack_size(STACK)
            .spawn(move || runtime.block_on(serve(&asked, jobs)))
            .map_err(|error| ServerError(format!("the server's thread cannot be started: {error}")))?;
        Ok(Self { config, random, exchange, questions, back })
    }

    /// What it was started with.
    #[must_use]
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Makes the keys of questions.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    /// Puts a question and waits for its answer: at most the server's time-out, and never beyond `deadline`.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn ask(&self, question: Question, deadline: Instant) -> Result<Answer, Fault> {
        let (reply, answer) = sync_channel(1);
        let until = deadline.min(Instant::now() + self.config.timeout);
        let ended =
            || Fault::new("server_client", "the thread that asks the server has ended: restart the agent");
        self.questions.send(Job { question, deadline: until, reply: Some(reply) }).map_err(|_| ended())?;
        let patience = until.saturating_duration_since(Instant::now()) + SLACK;
        answer.recv_timeout(patience).unwrap_or_else(|_| {
            Err(Fault::new("server_slow", "the thread that asks the server did not answer in time"))
        })
    }

    /// Puts a question whose answer nobody waits for.
    pub fn tell(&self, question: Question) {
        let until = Instant::now() + self.config.timeout;
        if self.questions.send(Job { question, deadline: until, reply: None }).is_err() {
            tracing::warn!(code = "server_client", "the thread that asks the server has ended");
        }
    }

    /// Waits until a server that was away is back, or until [`Server::wake`], at most for `patience`. `seen` is
    /// what the wait before gave, so that nothing is missed between two.
    pub fn wait_until_back(&self, seen: u64, patience: Duration) -> u64 {
        self.back.wait(seen, patience)
    }

    /// Ends such a wait at once.
    pub fn wake(&self) {
        self.back.again();
    }

    /// The proof that no server can be reached, where that is known.
    #[must_use]
    pub fn known_away(&self) -> Option<Unreachable> {
        self.exchange.all_away()
    }

    /// How each server does.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        let health = |route: &Arc<Route>| Health {
            url: route.url.as_str().to_owned(),
            away: route.away().map(|away| away.why().to_owned()),
        };
        self.exchange.routes.iter().map(health).collect()
    }
}

async fn serve(exchange: &Arc<Exchange>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut under_way = JoinSet::new();
    loop {
        let job = tokio::select! {
            job = jobs.recv() => job,
            Some(_) = under_way.join_next() => continue,
        };
        match job {
            Some(Job { question, deadline, reply }) => {
                let exchange = Arc::clone(exchange);
                under_way.spawn(async move {
                    let answer = exchange.ask(&question, deadline.into()).await;
                    match reply {
                        Some(reply) => drop(reply.try_send(answer)),
                        None => forgotten(answer),
                    }
                });
            }
            None => break,
        }
    }
    let _late = tokio::time::timeout(LAST, async { while under_way.join_next().await.is_some() {} }).await;
}

fn forgotten(answer: Result<Answer, Fault>) {
    match answer {
        Ok(answer) if answer.status() < 400 => {}
        Ok(answer) => {
            tracing::debug!(status = answer.status(), "the server did not do what nobody waits for")
        }
        Err(fault) => tracing::debug!(code = fault.code(), %fault, "the server was not told"),
    }
}
