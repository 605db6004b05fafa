//! Audit events to the system log: one datagram to /dev/log, which the journal and syslogd both read.

use std::os::unix::net::UnixDatagram;

use crate::config::SystemLog;
use crate::store::AuditEntry;
use crate::store::writer::EventSink;

const SOCKET: &str = "/dev/log";

/// Facility `authpriv` (10), severity `info` (6), as RFC 3164 packs them.
const PRIORITY: u8 = 10 * 8 + 6;

pub(super) struct Syslog {
    wanted: SystemLog,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    pub(super) fn new(wanted: SystemLog) -> Self {
        Self { wanted, socket: None }
    }

    // The log may be restarted under us, or not be there yet: connected when there is something to say.
    fn send(&mut self, line: &str) -> bool {
        if self.socket.is_none() {
            self.socket = UnixDatagram::unbound()
                .ok()
                .filter(|socket| socket.set_nonblocking(true).is_ok() && socket.connect(SOCKET).is_ok());
        }
        let sent = self.socket.as_ref().is_some_and(|socket| socket.send(line.as_bytes()).is_ok());
        if !sent {
            self.socket = None;
        }
        sent
    }
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
        // Once more over a new connection; the event itself is in the store in any case.
        if !self.send(&line) && !self.send(&line) {
            tracing::debug!(seq, "no system log takes the audit event");
        }
    }
}
