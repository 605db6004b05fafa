//! For the tests of the daemon: what goes to the system log.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::store::AuditEntry;
use crate::store::writer::EventSink;

/// How long an event may take from the store to the system log, on a machine that does much else, too.
const SOON: Duration = Duration::from_secs(60);

/// All that went there.
#[derive(Clone, Default)]
pub(super) struct Heard(pub(super) Arc<Mutex<Vec<AuditEntry>>>);

impl EventSink for Heard {
    fn event(&mut self, entry: &AuditEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

impl Heard {
    /// All, once whatever the store in this folder has is there: that happens just after the answer.
    pub(super) fn all_of(&self, folder: &Path) -> Vec<AuditEntry> {
        let store = rusqlite::Connection::open(folder.join("agent.db")).unwrap();
        let begun = Instant::now();
        loop {
            let events = self.0.lock().unwrap().clone();
            let written: i64 = store.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
            if events.len() as i64 >= written {
                return events;
            }
            assert!(begun.elapsed() < SOON, "an event did not get to the system log");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
