//! From the command line to a running daemon, and to its end.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{Shutdown, shutdown};
use thiserror::Error;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::live::Live;
use super::socket::{self, Made};
use super::syslog::Syslog;
use super::workers::Workers;
use crate::config::{Config, ConfigError};
use crate::directory::Nss;
use crate::outside::System;
use crate::privileges::{PrivilegeError, drop_to, owner_when_serving};
use crate::server::ServerError;
use crate::store::open::prepare_folder;
use crate::store::{Context, Event, Store, StoreError, master_key};
use crate::token::ports::{Ports, Usb};

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
    /// The server cannot be asked.
    #[error(transparent)]
    Server(#[from] ServerError),
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

/// How long a stop waits for the logins under way: for somebody who is typing, not for somebody who left.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A [`ServeError`] that says what is wrong and what to do.
pub fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    serve_with(options, Arc::new(Usb))
}

/// The same with security keys of the caller's.
///
/// # Errors
/// As [`serve`].
pub fn serve_with(options: &ServeOptions, ports: Arc<dyn Ports>) -> Result<(), ServeError> {
    let config = Config::load(&options.config)?;
    begin_log(config.agent.log_level);
    let owner = owner_when_serving(&config.agent.user)?;
    let mut passed = ListenFd::from_env();
    let (listener, made) = socket::listen(&config.agent.socket, &mut passed)?;
    prepare_folder(&config.store.path, owner)?;
    if let crate::config::MasterKeySource::File(key) = &config.store.master_key {
        prepare_folder(key, owner)?;
    }
    let master = master_key::find(&config.store.master_key, owner, options.credentials.as_deref())?;
    drop_to(owner, &config.agent.user)?;
    // As the user that will read them when a key is enrolled.
    let _readable = config.keys.attestation.demand()?;
    let _alone = alone(&config.store.path)?;
    let sink = Box::new(Syslog::new(config.audit.syslog));
    let system = Arc::new(System);
    let store = Store::open(&config.store, master, owner, system.clone(), system, sink)?;
    let signals = block_signals()?;
    let live = Arc::new(Live::new(config, store, Box::new(Nss), ports)?);
    run(&live, &signals, listener, made)
}

// Libraries say no more than warnings, whatever the level: what they tell of their work can be what the server
// said, or what it was told.
fn begin_log(level: tracing::Level) {
    let targets = Targets::new().with_default(level.min(tracing::Level::WARN)).with_target("oss2fa", level);
    let lines = fmt::layer().with_ansi(false).with_writer(std::io::stderr).with_filter(targets);
    let _there_already = tracing_subscriber::registry().with(lines).try_init();
}

// Two agents on one store would both be right about every code, and wrong about who is locked out.
fn alone(store: &Path) -> Result<Flock<File>, ServeError> {
    let mut path = store.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |what: String| StoreError::File { path: path.clone(), what };
    let file = File::options().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|error| failed(format!("the store's lock cannot be made: {error}")))?;
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    Ok(locked.map_err(|_| {
        failed("another agent uses this store. Stop it first, or name another store".to_owned())
    })?)
}

// Before the first thread starts, so that every thread has it so and they wait for the main one.
fn block_signals() -> Result<SigSet, ServeError> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().map_err(std::io::Error::from)?;
    Ok(signals)
}

fn run(live: &Arc<Live>, signals: &SigSet, listener: UnixListener, made: Made) -> Result<(), ServeError> {
    note(live, Event::Started, format!("version {}", env!("CARGO_PKG_VERSION")))?;
    let listening = listener.try_clone()?;
    let workers = Workers::start(Arc::clone(live), listener)?;
    live.keep_courier()?;
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    tracing::info!(
        socket = %live.config().agent.socket.display(),
        store = %live.config().store.path.display(),
        "the agent is ready"
    );
    while signals.wait().map_err(std::io::Error::from)? == Signal::SIGHUP {
        reload(live);
    }
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    tracing::info!(connections = workers.busy(), "the agent stops when the logins under way are done");
    workers.close();
    if made == Made::ByUs {
        // Who comes now hears at once that nobody is there, and need not wait for the next agent.
        let _ = shutdown(listening.as_raw_fd(), Shutdown::Both);
    }
    workers.finish(STOP_GRACE);
    note(live, Event::Stopped, String::new())?;
    Ok(())
}

fn note(live: &Live, event: Event, detail: String) -> Result<(), StoreError> {
    live.store.note(Context::of_agent(live.store.now()), event, detail)
}

fn reload(live: &Arc<Live>) {
    match live.reload() {
        Ok(needs_restart) => {
            if let Err(error) = live.keep_courier() {
                tracing::error!(code = "thread", %error, "the server is not told what happens while it is away");
            }
            tracing::info!("the configuration was read again and is in force");
            for part in needs_restart {
                tracing::warn!(part, "a change of this part needs a restart: systemctl restart oss2fa-agent");
            }
            if let Err(error) = note(live, Event::Reloaded, String::new()) {
                tracing::error!(code = "audit", %error, "an event could not be written to the audit");
            }
        }
        Err(error) => {
            tracing::error!(code = "config", %error, "the old configuration stays in force");
        }
    }
}

fn tell_systemd(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
