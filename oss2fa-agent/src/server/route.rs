//! One URL: its client, whether it is known to be away, and how a question is put to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::HeaderValue;
use rustls::ClientConfig;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::Answer;
use super::back::Back;
use super::fault::Fault;
use super::question::Question;
use super::reach::{Away, Contact, contact};
use super::send::{Broken, client, send};
use crate::config::ServerUrl;

/// How long an answer may take before a second, fresh connection looks whether anybody is there.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// The part of the time that is left for that look, at the least.
const LOOK_SHARE: u32 = 3;

/// Pause before a request whose connection was cut is sent again; doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Longest pause between two of those.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait where the same question is still being answered.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// How long a question waits for the first one to make the connection.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two looks at a server that is away; doubles.
const FIRST_WATCH: Duration = Duration::from_secs(1);

/// The longest pause between two such looks.
const LONGEST_WATCH: Duration = Duration::from_secs(15);

/// How long such a look may take.
const WATCH_PATIENCE: Duration = Duration::from_secs(2);

/// A URL, and what is known of the server there.
pub(super) struct Route {
    pub(super) url: ServerUrl,
    tls: ClientConfig,
    client: Mutex<Client>,
    away: watch::Sender<Option<Away>>,
    nudge: Notify,
    // Of many questions at once the first one makes the connection, and the others share it.
    first: tokio::sync::Mutex<()>,
    connected: AtomicBool,
    // Held by the one task that looks for it.
    watching: Arc<tokio::sync::Mutex<()>>,
}

/// What came of putting a question to one server.
pub(super) enum Tried {
    /// It answered.
    Answer(Answer),
    /// It is away.
    Away,
    /// It was reached, or its absence is not proved.
    Fault(Fault),
}

impl Route {
    pub(super) fn new(url: ServerUrl, tls: ClientConfig) -> Result<Self, String> {
        Ok(Self {
            url,
            client: Mutex::new(client(&tls)?),
            tls,
            away: watch::Sender::new(None),
            nudge: Notify::new(),
            first: tokio::sync::Mutex::new(()),
            connected: AtomicBool::new(false),
            watching: Arc::default(),
        })
    }

    /// Why it is known to be away, where it is.
    pub(super) fn away(&self) -> Option<Away> {
        self.away.borrow().clone()
    }

    /// Looks again at once, and returns when it is back or `until` has come.
    pub(super) async fn come_back(&self, until: Instant) {
        self.nudge.notify_one();
        let mut changes = self.away.subscribe();
        tokio::select! {
            _ = changes.wait_for(Option::is_none) => {}
            () = sleep_until(until) => {}
        }
    }

    /// Puts the question until `until`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        token: &HeaderValue,
        question: &Question,
        until: Instant,
        back: &Arc<Back>,
    ) -> Tried {
        let tried = if self.connected.load(Ordering::Relaxed) {
            self.ask_now(token, question, until).await
        } else {
            let patience = until.min(Instant::now() + FIRST_PATIENCE);
            match tokio::time::timeout_at(patience, self.first.lock()).await {
                // Whoever waited here while the one before found nobody need not find that out again.
                Ok(_) if self.away().is_some() => Tried::Away,
                Ok(turn) if !self.connected.load(Ordering::Relaxed) => {
                    let tried = self.ask_now(token, question, until).await;
                    drop(turn);
                    tried
                }
                Ok(_) | Err(_) => self.ask_now(token, question, until).await,
            }
        };
        if matches!(tried, Tried::Answer(_)) {
            self.connected.store(true, Ordering::Relaxed);
        }
        if matches!(tried, Tried::Away) {
            self.watch(back);
        }
        tried
    }

    async fn ask_now(&self, token: &HeaderValue, question: &Question, until: Instant) -> Tried {
        let begun = Instant::now();
        let look_from = (begun + LOOK_AFTER).min(until - until.saturating_duration_since(begun) / LOOK_SHARE);
        let again_from = begun + until.saturating_duration_since(begun) / 2;
        // Ends before `until`, so that it is known by then.
        let mut look = Box::pin(async {
            sleep_until(look_from).await;
            contact(&self.url, until).await
        });
        let (mut somebody, mut fresh) = (false, false);
        let mut asking = Box::pin(self.insist(token, question));
        loop {
            tokio::select! {
                biased;
                asked = &mut asking => match asked {
                    Ok(answer) => return Tried::Answer(answer),
                    Err(Refused::NotConnected(what)) => {
                        self.connected.store(false, Ordering::Relaxed);
                        return self.look_why(&what, until).await;
                    }
                    Err(Refused::Strange(what)) => return Tried::Fault(Fault::strange(&what)),
                },
                found = &mut look, if !somebody => match found {
                    Contact::Made => somebody = true,
                    Contact::None(away) => return self.gone(away),
                    Contact::Untried(why) => return Tried::Fault(unproved(&why)),
                },
                // Somebody is there, and the connection that was kept is silent: it may be dead.
                () = sleep_until(again_from), if somebody && !fresh => {
                    fresh = true;
                    self.renew();
                    asking = Box::pin(self.insist(token, question));
                }
                () = sleep_until(until), if somebody => return Tried::Fault(slow()),
            }
        }
    }

    /// Sends it again as long as its connection is cut: it has a key, and is done once.
    async fn insist(&self, token: &HeaderValue, question: &Question) -> Result<Answer, Refused> {
        let mut pause = FIRST_PAUSE;
        loop {
            let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match send(&client, self.url.at(&question.path), token, question).await {
                Ok(answer) if answer.status() == 409 && answer.error_code() == "idempotency_in_progress" => {
                    sleep(UNDER_WAY).await;
                }
                Ok(answer) => return Ok(answer),
                Err(Broken::Cut(what)) => {
                    tracing::debug!(url = self.url.as_str(), what, "a connection to the server was cut");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(Broken::Connecting(what)) => return Err(Refused::NotConnected(what)),
                Err(Broken::Strange(what)) => return Err(Refused::Strange(what)),
            }
        }
    }

    /// No connection was made: because nobody is there, or because whoever is there is not the server?
    async fn look_why(&self, what: &str, until: Instant) -> Tried {
        match contact(&self.url, until).await {
            Contact::Made => Tried::Fault(Fault::new(
                "server_tls",
                format!(
                    "somebody answers at {}, and it is not shown to be the server: {what}. Compare its certificate \
                     with ca_file or pinned_certificate",
                    self.url.as_str()
                ),
            )),
            Contact::None(away) => self.gone(away),
            Contact::Untried(why) => Tried::Fault(unproved(&why)),
        }
    }

    fn gone(&self, away: Away) -> Tried {
        self.connected.store(false, Ordering::Relaxed);
        let before = self.away.send_replace(Some(away));
        if before.is_none() {
            let why = self.away().map(|away| away.why().to_owned()).unwrap_or_default();
            tracing::warn!(code = "server_away", url = self.url.as_str(), why, "a server cannot be reached");
            self.renew();
        }
        Tried::Away
    }

    /// A client without connections takes the place of the one that has them.
    fn renew(&self) {
        match client(&self.tls) {
            Ok(fresh) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = fresh,
            Err(error) => tracing::error!(code = "server_client", error, "no new connections to the server"),
        }
    }

    /// Looks for it until it is back.
    fn watch(self: &Arc<Self>, back: &Arc<Back>) {
        let Ok(alone) = Arc::clone(&self.watching).try_lock_owned() else { return };
        let (route, back) = (Arc::clone(self), Arc::clone(back));
        tokio::spawn(async move {
            let _alone = alone;
            let mut pause = FIRST_WATCH;
            while route.away().is_some() {
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LONGEST_WATCH),
                    () = route.nudge.notified() => {}
                }
                match contact(&route.url, Instant::now() + WATCH_PATIENCE).await {
                    Contact::Made => {
                        route.away.send_replace(None);
                        tracing::info!(url = route.url.as_str(), "the server can be reached again");
                        back.again();
                    }
                    Contact::None(away) => {
                        route.away.send_replace(Some(away));
                    }
                    // Nothing is proved any more.
                    Contact::Untried(_) => {
                        route.away.send_replace(None);
                    }
                }
            }
        });
    }
}

enum Refused {
    NotConnected(String),
    Strange(String),
}

fn slow() -> Fault {
    Fault::new("server_slow", "the server was reached, and did not answer in time")
}

fn unproved(why: &str) -> Fault {
    Fault::new(
        "server_untried",
        format!("no connection to the server could be tried, for a reason of this host's own: {why}"),
    )
}
