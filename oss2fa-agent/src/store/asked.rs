//! Who asks the server which keys a user has, and in which order its answers are taken.
//!
//! An answer takes its time, and others may be taken meanwhile. What the server has removed must not come back by an answer that
//! may be older than the one that told of it: by each answer keys go, and they come by one alone since whose question no
//! other was taken. Nothing of it has to be durable: a question does not outlive the daemon.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oss2fa_core::ids::UserName;

/// The questions that are open.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<HashMap<String, OfUser>>);

#[derive(Debug, Default)]
struct OfUser {
    open: usize,
    by_proof: usize,
    taken: u64,
}

/// Why the server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// To hear what has gone or changed.
    ToHear,
    /// Its user has proved here and now to be who they are: new keys come, too.
    ByProof,
}

/// A question about the keys of a user, before it is put until what came of it is durable.
#[derive(Debug)]
pub struct Question {
    asked: Arc<Asked>,
    user: UserName,
    why: Why,
    since: u64,
}

/// Whether an answer is the first since its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is.
    First,
    /// Another was taken meanwhile, or is about to be, and either may be the older one.
    Overtaken,
}

/// What a question is about, and since when; it does not keep it open.
#[derive(Debug, Clone)]
pub(super) struct Place {
    asked: Arc<Asked>,
    pub(super) user: UserName,
    why: Why,
    since: u64,
}

impl Asked {
    pub(super) fn ask(self: &Arc<Self>, user: &UserName, why: Why) -> Question {
        let mut all = self.lock();
        let of_user = all.entry(user.as_str().to_owned()).or_default();
        of_user.open += 1;
        of_user.by_proof += usize::from(why == Why::ByProof);
        Question { asked: Arc::clone(self), user: user.clone(), why, since: of_user.taken }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfUser>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    pub(super) fn place(&self) -> Place {
        Place { asked: Arc::clone(&self.asked), user: self.user.clone(), why: self.why, since: self.since }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut all = self.asked.lock();
        if let Some(of_user) = all.get_mut(self.user.as_str()) {
            of_user.open -= 1;
            if self.why == Why::ByProof {
                of_user.by_proof -= 1;
                // What it has added is there only now.
                of_user.taken += 1;
            }
            if of_user.open == 0 {
                all.remove(self.user.as_str());
            }
        }
    }
}

impl Place {
    /// Takes the answer. Whoever would add something by theirs finds out from now on that it was overtaken.
    pub(super) fn take(&self) -> Turn {
        let mut all = self.asked.lock();
        let Some(of_user) = all.get_mut(self.user.as_str()) else { return Turn::Overtaken };
        let is_first = of_user.taken == self.since
            && match self.why {
                Why::ByProof => true,
                // What is being added may be committed after whoever hears has looked.
                Why::ToHear => of_user.by_proof == 0,
            };
        of_user.taken += 1;
        if is_first { Turn::First } else { Turn::Overtaken }
    }
}
