//! For how long, and whether still, whoever waits wants the answer of a key.

use std::time::Instant;

use oss2fa_ctap::transport::{Go, Meanwhile, Patience};

/// What a key is given to answer in; a single request may have less of it.
pub struct Wanted<'a> {
    deadline: Instant,
    watch: &'a mut dyn FnMut(Meanwhile) -> Go,
}

impl<'a> Wanted<'a> {
    /// Until `deadline`, as long as `watch` wants it.
    pub fn until(deadline: Instant, watch: &'a mut dyn FnMut(Meanwhile) -> Go) -> Self {
        Self { deadline, watch }
    }

    /// For requests that may take all the time that there is.
    pub fn patience(&mut self) -> Patience<'_> {
        Patience::until(self.deadline, self.watch)
    }

    /// For requests whose answer is worth nothing after `sooner`. The key is told to stop then: one that is only left alone
    /// goes on blinking, and answers nobody else meanwhile.
    pub fn before<R>(&mut self, sooner: Instant, ask: impl FnOnce(&mut Patience<'_>) -> R) -> R {
        let mut watch = |meanwhile| match Instant::now() < sooner {
            true => (self.watch)(meanwhile),
            false => Go::Cancel,
        };
        ask(&mut Patience::until(self.deadline, &mut watch))
    }
}
