//! What is done with the server when nobody logs in: it hears what happened while it was away, and says which
//! offline codes it has revoked and which security keys it has still.

use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use oss2fa_core::ids::{DeviceName, UserName};

use super::live::Live;
use crate::server::events::{HostEvent, MOST_EVENTS};
use crate::server::offline::CredentialStatus;
use crate::server::security_keys::ServerKey;
use crate::server::{Fault, Server};
use crate::store::asked::Why;
use crate::store::outbox::Waiting;
use crate::store::server_keys::{Kept, ListedKey};
use crate::store::without_server::Removed;
use crate::store::{Context, StoreError};

/// How often the server is asked what it has revoked.
const EVERY: Duration = Duration::from_secs(180);

/// How long to wait where that failed.
const AGAIN: Duration = Duration::from_secs(20);

/// How often it is asked which keys a user has, where others ask at the same time.
const QUESTIONS: usize = 3;

const STACK: usize = 512 * 1024;

/// Starts the thread. It ends with the server: where there is none any more, or the daemon has ended.
pub(super) fn start(live: &Arc<Live>) -> std::io::Result<JoinHandle<()>> {
    let live = Arc::downgrade(live);
    thread::Builder::new().name("courier".to_owned()).stack_size(STACK).spawn(move || go(&live))
}

fn go(live: &Weak<Live>) {
    let mut seen = 0;
    loop {
        let Some(server) = live.upgrade().and_then(|live| live.in_force().server) else { return };
        let done = live.upgrade().map_or(Ok(()), |live| round(&live, &server));
        let pause = match done {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(code = "courier", %error, "the server was not told what happened while it was away");
                AGAIN
            }
        };
        seen = server.wait_until_back(seen, pause);
    }
}

/// One round.
pub(super) fn round(live: &Live, server: &Server) -> Result<(), Undone> {
    let told = deliver(live, server);
    if let Err(Undone::Server(Fault::Unreachable(_))) = told {
        return told;
    }
    // What the server does not take must not keep what it has revoked.
    let dropped = drop_revoked(live, server);
    let looked = look_at_keys(live, server);
    told.and(dropped).and(looked)
}

// A key that was removed at the server, or whose owner was, counts no longer.
fn look_at_keys(live: &Live, server: &Server) -> Result<(), Undone> {
    for user in live.store.users_with_server_keys()? {
        let Ok(name) = UserName::from_directory(&user) else { continue };
        let question = live.store.ask_for_keys(&name, Why::ToHear);
        let known = live.store.account_view(&name)?.devices;
        let listed = server.security_keys(&user, soon(server)).map_err(Undone::Server)?;
        let context = Context { user, ..Context::of_agent(live.store.now()) };
        let listed = listed.into_iter().filter_map(kept).collect();
        // New ones come with a proof.
        live.store.hear_of_server_keys(context, &question, &known, listed)?;
    }
    Ok(())
}

/// Keeps the keys of a user who has just proved here to be who they are: those that the server lists after that.
pub(super) fn keep_keys(
    live: &Live,
    server: &Server,
    context: &Context,
    user: &UserName,
    deadline: Instant,
) -> Result<(), Undone> {
    for _ in 0..QUESTIONS {
        let question = live.store.ask_for_keys(user, Why::ByProof);
        let listed = server.security_keys(user.as_str(), deadline).map_err(Undone::Server)?;
        let listed = listed.into_iter().filter_map(kept).collect();
        if live.store.keep_server_keys(context.clone(), question, listed)? == Kept::All {
            return Ok(());
        }
    }
    let user = user.as_str();
    tracing::info!(
        user,
        "the security keys of a user are not kept yet: others asked for them at the same time"
    );
    Ok(())
}

/// A key of the server, as the store keeps it.
pub(super) fn kept(key: ServerKey) -> Option<ListedKey> {
    let ServerKey { device, kind, name, credential, sign_count } = key;
    let name = DeviceName::from_store(&name).ok()?;
    Some(ListedKey { number: device, kind, name, credential, sign_count })
}

/// Why a round was not finished. Everything is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undone {
    #[error("{0}")]
    Server(Fault),
    #[error(transparent)]
    Store(#[from] StoreError),
}

// At least once each; the ids make it once.
fn deliver(live: &Live, server: &Server) -> Result<(), Undone> {
    loop {
        let waiting = live.store.waiting_events(MOST_EVENTS)?;
        let Some(last) = waiting.last().map(|event| event.number) else { return Ok(()) };
        let events: Vec<_> = waiting.into_iter().map(event).collect();
        server.tell_events(&events, soon(server)).map_err(Undone::Server)?;
        live.store.told_events(last)?;
    }
}

fn event(waiting: Waiting) -> HostEvent {
    let Waiting { id, at, event, user, service, detail, assertion, .. } = waiting;
    let assertion = assertion.and_then(|assertion| serde_json::from_str(&assertion).ok());
    let at = i64::try_from(at).ok().and_then(|at| time::OffsetDateTime::from_unix_timestamp(at).ok());
    let at = at.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok());
    HostEvent { id, at: at.unwrap_or_default(), event, username: user, service, detail, assertion }
}

// Whatever the server does not list as active is gone: what cannot be revoked there must not count here.
fn drop_revoked(live: &Live, server: &Server) -> Result<(), Undone> {
    // Taken before the server is asked: what is enrolled meanwhile is in neither list.
    let ours = live.store.offline_devices()?;
    if ours.is_empty() {
        return Ok(());
    }
    let listed = server.offline_credentials(server.config().timeout).map_err(Undone::Server)?;
    for device in ours {
        let active = listed.get(&device.credential) == Some(&CredentialStatus::Active);
        if device.removed == Removed::Yes && active {
            server.revoke_offline(device.credential, soon(server)).map_err(Undone::Server)?;
        } else if device.removed == Removed::No && !active {
            tracing::info!(device = %device.id, user = device.user, "an offline device was revoked at the server");
            live.store.drop_revoked(device)?;
        }
    }
    Ok(())
}

fn soon(server: &Server) -> Instant {
    Instant::now() + server.config().timeout
}
