//! The `/dev/log` of a world: what its programs send is kept for the test.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::world::World;

/// Lines that were sent to the system log.
#[derive(Debug, Clone)]
pub struct Syslog {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Syslog {
    pub(crate) fn listen(world: &World) -> Self {
        let path = world.path("/run/systemd/journal/dev-log");
        let socket = UnixDatagram::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        // Ends with the test's process.
        thread::spawn(move || {
            let mut datagram = vec![0; 65_536];
            while let Ok(length) = socket.recv(&mut datagram) {
                kept.lock().unwrap().push(String::from_utf8_lossy(&datagram[..length]).into_owned());
            }
        });
        Self { lines }
    }

    /// All lines so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits until a line holds this.
    ///
    /// # Panics
    /// Where none does within a minute.
    pub fn wait_for(&self, what: &str) {
        let begun = Instant::now();
        while !self.text().contains(what) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no {what:?} in the system log:\n{}",
                self.text()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}
