//! The finger: present while a file is there.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use trussed::platform::UserInterface;
use trussed::types::ui::Status;
use trussed_core::types::consent::Level;

/// How often the firmware looks for the finger, so that it does not spin.
const LOOK: Duration = Duration::from_millis(10);

/// The button and the lamp of the board.
pub struct Touch {
    /// The file.
    pub file: PathBuf,
    /// What the lamp says.
    pub presence: Presence,
}

/// Whether the firmware waits for a touch: the lamp.
#[derive(Debug, Clone, Default)]
pub struct Presence(Arc<AtomicBool>);

impl Presence {
    /// Whether it blinks.
    pub fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Turns it off.
    pub fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl UserInterface for Touch {
    fn check_user_presence(&mut self) -> Level {
        match self.file.exists() {
            true => Level::Normal,
            false => Level::None,
        }
    }

    fn set_status(&mut self, status: Status) {
        self.presence.0.store(matches!(status, Status::WaitingForUserPresence), Ordering::Relaxed);
    }

    fn refresh(&mut self) {
        if self.presence.is_awaited() && !self.file.exists() {
            thread::sleep(LOOK);
        }
    }
}
