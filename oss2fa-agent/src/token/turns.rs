//! One user of a key at a time, in the order in which they came.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oss2fa_ctap::transport::Go;

/// How often somebody who stands in line is asked whether they still want to.
const LOOK: Duration = Duration::from_millis(100);

/// The lines before all keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Lines>);

#[derive(Debug, Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    lines: HashMap<PathBuf, VecDeque<u64>>,
}

/// A place in line; whoever is first may use the key, and leaves it by dropping this.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    path: PathBuf,
    number: u64,
}

impl Turns {
    /// Waits until it is this one's turn at `path`; `None` where the deadline passes before, or nobody wants it.
    pub(super) fn wait(&self, path: &Path, deadline: Instant, wanted: &dyn Fn() -> Go) -> Option<Turn> {
        let turn = self.stand(path);
        let mut waiting = self.lock();
        loop {
            // Asked first: whoever comes late must not make a key blink that nobody waits for.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || wanted() == Go::Cancel {
                drop(waiting);
                return None;
            }
            if waiting.lines.get(path).and_then(VecDeque::front) == Some(&turn.number) {
                break;
            }
            let look = self.0.moved.wait_timeout(waiting, left.min(LOOK));
            waiting = look.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(waiting);
        Some(turn)
    }

    fn stand(&self, path: &Path) -> Turn {
        let mut waiting = self.lock();
        waiting.next += 1;
        let number = waiting.next;
        waiting.lines.entry(path.to_owned()).or_default().push_back(number);
        Turn { turns: self.clone(), path: path.to_owned(), number }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.turns.lock();
        if let Some(line) = waiting.lines.get_mut(&self.path) {
            line.retain(|number| *number != self.number);
            if line.is_empty() {
                waiting.lines.remove(&self.path);
            }
        }
        drop(waiting);
        self.turns.0.moved.notify_all();
    }
}
