//! Validation servers: who is asked whether a password of a YubiKey is right, where its secrets are not on this host.
//!
//! One thread with a runtime of its own, started where `[yubico]` names a client. All servers are asked at once, under
//! one deadline; which of their answers decides is `oss2fa_core::factor::yubico_servers`'s to say, and what is no
//! answer lets nobody in.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::factor::yubico_servers::{Decided, Hearing};
use oss2fa_core::factor::yubico_validation::{ApiKey, LONGEST_ANSWER, Question};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::Random;
use oss2fa_core::verdict::Verified;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use zeroize::Zeroizing;

use crate::config::YubicoConfig;
use crate::server::send::innermost;
use crate::server::{tls, token};

/// The stack of the thread: a handshake wants the most.
const STACK: usize = 1024 * 1024;

/// Threads that look up names.
const RESOLVERS: usize = 4;

/// Passwords that are judged at the same time; whoever comes then is told to try again.
const MOST_AT_ONCE: usize = 100;

/// More than the thread's own time: the one who waits must not be the first to give up.
const SLACK: Duration = Duration::from_millis(200);

/// Nobody could say whether a password is right. Safe to show: no password and no key is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// `[yubico]` names no client.
    #[error(
        "no validation servers are configured: set client_id and secret_file in [yubico], or enrol the key with its \
         own secrets"
    )]
    NotConfigured,
    /// None of them gave an answer that can be used.
    #[error("no validation server could judge the password ({0}): touch the key again")]
    Failed(String),
}

/// The validation servers of the configuration. Dropped, their thread ends.
pub struct ValidationServers {
    questions: mpsc::UnboundedSender<Job>,
    timeout: Duration,
}

struct Job {
    device: DeviceId,
    otp: TypedOtp,
    deadline: Instant,
    reply: SyncSender<Result<Option<Verified>, NoAnswer>>,
}

/// How they are asked.
struct Asking {
    client: Client,
    urls: Vec<Url>,
    id: String,
    key: ApiKey,
    random: Arc<dyn Random>,
}

impl ValidationServers {
    /// Reads key and authorities, and starts the thread. Nothing is asked yet.
    ///
    /// # Errors
    /// What is wrong with a file, or that there is no thread to be had.
    pub fn start(config: &YubicoConfig, random: Arc<dyn Random>) -> Result<Self, String> {
        let asking = Arc::new(Asking::configured(config, random)?);
        let (questions, jobs) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(RESOLVERS)
            .thread_stack_size(STACK / 4)
            .build()
            .map_err(|error| format!("the thread for validation servers cannot be set up: {error}"))?;
        thread::Builder::new()
            .name("yubico".to_owned())
            .stack_size(STACK)
            .spawn(move || runtime.block_on(serve(&asking, jobs)))
            .map_err(|error| format!("the thread for validation servers cannot be started: {error}"))?;
        Ok(Self { questions, timeout: config.timeout })
    }

    /// Whether the files that the section names can be used.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(config: &YubicoConfig) -> Result<(), String> {
        Asking::configured(config, Arc::new(crate::outside::System)).map(drop)
    }

    /// Has a password judged: within the time-out, and never beyond `deadline`. `None` where it is wrong or was used.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn judge(
        &self,
        device: DeviceId,
        otp: TypedOtp,
        deadline: Instant,
    ) -> Result<Option<Verified>, NoAnswer> {
        let (reply, answer) = sync_channel(1);
        let deadline = deadline.min(Instant::now() + self.timeout);
        let ended = |_| NoAnswer::Failed("the thread that asks them has ended: restart the agent".to_owned());
        self.questions.send(Job { device, otp, deadline, reply }).map_err(ended)?;
        let patience = deadline.saturating_duration_since(Instant::now()) + SLACK;
        let late = |_| NoAnswer::Failed("the thread that asks them did not answer in time".to_owned());
        answer.recv_timeout(patience).map_err(late)?
    }
}

async fn serve(asking: &Arc<Asking>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut under_way = JoinSet::new();
    loop {
        let job = tokio::select! {
            job = jobs.recv() => job,
            Some(_) = under_way.join_next() => continue,
        };
        let Some(Job { device, otp, deadline, reply }) = job else { return };
        if under_way.len() >= MOST_AT_ONCE {
            let _nobody_waits = reply.try_send(Err(NoAnswer::Failed("too many are asked about".to_owned())));
            continue;
        }
        let asking = Arc::clone(asking);
        under_way.spawn(async move {
            let judged = asking.judge(device, otp, deadline).await;
            let _nobody_waits = reply.try_send(judged);
        });
    }
}

/// What is asked of all of them.
struct Asked {
    device: DeviceId,
    otp: TypedOtp,
    nonce: String,
}

impl Asking {
    fn configured(config: &YubicoConfig, random: Arc<dyn Random>) -> Result<Self, String> {
        let secret = token::read_as(&config.secret_file, "file", "the client's key")
            .map_err(|what| format!("[yubico] secret_file: {what}"))?;
        let key = ApiKey::parse(secret.expose()).ok_or_else(|| {
            format!(
                "[yubico] secret_file: {} must hold the client's key as it was handed out: 16 to 64 bytes in base64",
                config.secret_file.display()
            )
        })?;
        let urls = config.urls.clone();
        Ok(Self { client: client(config)?, urls, id: config.client_id.to_string(), key, random })
    }

    async fn judge(
        self: &Arc<Self>,
        device: DeviceId,
        otp: TypedOtp,
        deadline: Instant,
    ) -> Result<Option<Verified>, NoAnswer> {
        // All get the same nonce: servers that tell each other must know that it is one question.
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce).map_err(|error| NoAnswer::Failed(error.to_string()))?;
        let asked = Arc::new(Asked { device, otp, nonce: HEXLOWER.encode(&nonce) });
        // Whoever has not answered when this is dropped is not waited for.
        let mut all = JoinSet::new();
        for url in self.urls.clone() {
            let (asking, asked) = (Arc::clone(self), Arc::clone(&asked));
            all.spawn(async move { (url.origin().ascii_serialization(), asking.body(url, &asked).await) });
        }
        let (mut hearing, begun) = (Hearing::default(), Instant::now());
        let question = asked.question(&self.key);
        let first = async {
            while let Some(heard) = all.join_next().await {
                let Ok((from, body)) = heard else { continue };
                let body = body.as_ref().map(|body| body.as_str()).map_err(Clone::clone);
                if let Some(decided) = hearing.hear(&from, &question, body) {
                    return Some(decided);
                }
            }
            None
        };
        let decided = match timeout_at(deadline.into(), first).await {
            Ok(Some(decided)) => decided,
            Ok(None) => hearing.all_heard(),
            Err(_) => hearing.time_up(begun.elapsed().as_secs_f32()),
        };
        match decided {
            Decided::Right(verified) => Ok(Some(verified)),
            Decided::Wrong => Ok(None),
            Decided::NoAnswer(why) => Err(NoAnswer::Failed(why.join("; "))),
        }
    }

    async fn body(&self, mut url: Url, asked: &Asked) -> Result<Zeroizing<String>, String> {
        let otp = asked.otp.expose();
        let question = asked.question(&self.key);
        let fields = question.fields(&self.id, &otp);
        url.query_pairs_mut().extend_pairs(fields).append_pair("h", &self.key.sign(fields));
        // The URL holds the password.
        let broken = |error: reqwest::Error| innermost(&error.without_url());
        let mut response = self.client.get(url).send().await.map_err(broken)?;
        if !response.status().is_success() {
            return Err(format!("it answered {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err("its answer is too long".to_owned());
            }
        }
        String::from_utf8(body).map(Zeroizing::new).map_err(|_| "its answer is no text".to_owned())
    }
}

impl Asked {
    fn question<'a>(&'a self, key: &'a ApiKey) -> Question<'a> {
        Question { device: self.device, otp: &self.otp, nonce: &self.nonce, key }
    }
}

fn client(config: &YubicoConfig) -> Result<Client, String> {
    let encrypted = config.urls.iter().any(|url| url.scheme() == "https");
    // Where nothing will ask for a certificate, a host without a list of authorities can do this, too.
    let tls = if encrypted { tls::settings_of(&config.trust, "[yubico]")? } else { tls::trusting_nobody()? };
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .tls_backend_preconfigured(tls)
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(4)
        .user_agent(concat!("oss2fa-agent/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("[yubico]: TLS cannot be set up: {}", innermost(&error)))
}
