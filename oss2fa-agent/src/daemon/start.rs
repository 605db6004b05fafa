//! From the command line to a running daemon, and to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use oss2fa_core::wire::{AgentMessage, ModuleMessage, Outcome};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Broken, Connection, Opening};
use super::live::Live;
use super::peer::{Caller, Connections};
use super::syslog::Syslog;
use super::{admin, login, socket};
use crate::config::{Config, ConfigError};
use crate::directory::Nss;
use crate::outside::System;
use crate::privileges::{PrivilegeError, drop_to, owner_when_serving};
use crate::store::open::prepare_folder;
use crate::store::{Context, Event, Store, StoreError, master_key};

/// What `serve` needs from outside.
#[derive(Debug)]
pub struct ServeOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// Systemd's folder of credentials, where it passed one.
    pub credentials: Option<PathBuf>,
}

/// Why the daemon does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon cannot become its user.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The socket cannot be used.
    #[error("the socket {path}: {what}")]
    Socket {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another agent answers there.
    #[error("another agent is running and answers on {0}. Stop it first: systemctl stop oss2fa-agent")]
    AlreadyRunning(PathBuf),
    /// The system refused something else.
    #[error("the agent cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Threads for what blocks: the user directory and reads of the store.
const MOST_BLOCKING_THREADS: usize = 32;

/// How long a peer may take to say what it wants.
const FIRST_FRAME: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A [`ServeError`] that says what is wrong and what to do.
pub fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    let config = Config::load(&options.config)?;
    tracing_subscriber::fmt()
        .with_max_level(config.agent.log_level)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init()
        .unwrap_or_default();
    let owner = owner_when_serving(&config.agent.user)?;
    let mut passed = ListenFd::from_env();
    let listener = socket::listen(&config.agent.socket, &mut passed)?;
    prepare_folder(&config.store.path, owner)?;
    if let crate::config::MasterKeySource::File(key) = &config.store.master_key {
        prepare_folder(key, owner)?;
    }
    let master = master_key::find(&config.store.master_key, owner, options.credentials.as_deref())?;
    drop_to(owner, &config.agent.user)?;
    let sink = Box::new(Syslog::new(config.audit.syslog));
    let system = Arc::new(System);
    let store = Store::open(&config.store, master, owner, system.clone(), system, sink)?;
    let live = Arc::new(Live::new(config, store, Box::new(Nss)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(MOST_BLOCKING_THREADS)
        .thread_stack_size(256 * 1024)
        .build()?;
    runtime.block_on(run(live, listener))
}

async fn run(live: Arc<Live>, listener: std::os::unix::net::UnixListener) -> Result<(), ServeError> {
    let listener = UnixListener::from_std(listener)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    note(&live, Event::Started, format!("version {}", env!("CARGO_PKG_VERSION"))).await?;
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    tracing::info!(
        socket = %live.config().agent.socket.display(),
        store = %live.config().store.path.display(),
        "the agent is ready"
    );
    let connections = Connections::default();
    let (stopping, stop) = watch::channel(());
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (live, connections, stop) = (Arc::clone(&live), connections.clone(), stop.clone());
                    open.spawn(converse(live, connections, stream, stop));
                }
                Err(error) => {
                    // Out of descriptors, most likely: some are given back soon.
                    tracing::error!(code = "accept", %error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = open.join_next() => {}
            _ = hangup.recv() => reload(&live).await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    drop(listener);
    tracing::info!(logins = open.len(), "the agent stops when the logins under way are done");
    // Whoever has not said anything yet is not under way.
    drop(stopping);
    while open.join_next().await.is_some() {}
    note(&live, Event::Stopped, String::new()).await?;
    Ok(())
}

async fn note(live: &Live, event: Event, detail: String) -> Result<(), StoreError> {
    live.store.note(Context::of_agent(live.store.now()), event, detail).await
}

async fn reload(live: &Arc<Live>) {
    match live.reload() {
        Ok(needs_restart) => {
            tracing::info!("the configuration was read again and is in force");
            for part in needs_restart {
                tracing::warn!(part, "a change of this part needs a restart: systemctl restart oss2fa-agent");
            }
            if let Err(error) = note(live, Event::Reloaded, String::new()).await {
                tracing::error!(code = "audit", %error, "an event could not be written to the audit");
            }
        }
        Err(error) => {
            tracing::error!(code = "config", %error, "the old configuration stays in force");
        }
    }
}

async fn converse(
    live: Arc<Live>,
    connections: Connections,
    stream: UnixStream,
    mut stop: watch::Receiver<()>,
) {
    let Ok(caller) = Caller::of(&stream) else { return };
    let Some(_place) = connections.enter(caller) else {
        tracing::warn!(uid = caller.uid(), "too many connections of one user: one more is closed");
        return;
    };
    let mut connection = Connection::new(stream);
    let opening = tokio::select! {
        opening = timeout(FIRST_FRAME, connection.receive::<Opening>()) => opening,
        _ = stop.changed() => return,
    };
    let result = match opening {
        Err(_) => return,
        Ok(Err(error)) => Err(error),
        Ok(Ok(Opening::Module(ModuleMessage::Start(start)))) => {
            login::authenticate(&live, &mut connection, caller, start).await
        }
        Ok(Ok(Opening::Module(ModuleMessage::Account(login)))) => {
            login::account(&live, &mut connection, caller, login).await
        }
        Ok(Ok(Opening::Module(ModuleMessage::Answer { .. } | ModuleMessage::Cancel))) => {
            connection.send(&AgentMessage::Done { outcome: Outcome::Unavailable }).await
        }
        Ok(Ok(Opening::Admin(request))) => {
            let response = admin::answer(&live, caller, *request).await;
            connection.send(&response).await
        }
    };
    match result {
        Ok(()) | Err(Broken::Gone) => {}
        Err(error) => tracing::warn!(uid = caller.uid(), %error, "a connection was given up"),
    }
}

fn tell_systemd(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
