//! Audit events to the system log: one datagram to /dev/log, which the journal and syslogd both read.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::config::SystemLog;
use crate::store::AuditEntry;
use crate::store::writer::EventSink;

const SOCKET: &str = "/dev/log";

/// Facility `authpriv` (10), severity `info` (6), as RFC 3164 packs them.
const PRIORITY: u8 = 10 * 8 + 6;

/// How long a log that is busy may hold up the next commit.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long to leave a system log alone that did not take anything.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Syslog {
    wanted: SystemLog,
    socket: Option<UnixDatagram>,
    away_since: Option<Instant>,
}

impl Syslog {
    pub(super) fn new(wanted: SystemLog) -> Self {
        Self { wanted, socket: None, away_since: None }
    }

    fn send(&mut self, line: &str) -> bool {
        if self.away_since.is_some_and(|since| since.elapsed() < PAUSE) {
            return false;
        }
        // A socket from before the log was restarted fails: once more over a new one.
        let sent = self
            .socket
            .take()
            .filter(|socket| socket.send(line.as_bytes()).is_ok())
            .or_else(|| connect().filter(|socket| socket.send(line.as_bytes()).is_ok()));
        self.away_since = if sent.is_some() { None } else { Some(Instant::now()) };
        self.socket = sent;
        self.socket.is_some()
    }
}

fn connect() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    socket.connect(SOCKET).ok()?;
    Some(socket)
}

impl EventSink for Syslog {
    fn event(&mut self, entry: &AuditEntry) {
        if self.wanted == SystemLog::Off {
            return;
        }
        let AuditEntry { seq, at, event, user, service, source, detail, chain } = entry;
        let line = format!(
            "<{PRIORITY}>oss2fa-agent[{}]: audit seq={seq} at={at} event={event} user=\"{user}\" \
             service=\"{service}\" source=\"{source}\" detail=\"{detail}\" chain={chain}",
            std::process::id()
        );
        // The event itself is in the store in any case.
        if !self.send(&line) {
            tracing::debug!(seq, "no system log takes the audit event");
        }
    }
}
