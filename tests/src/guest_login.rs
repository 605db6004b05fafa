//! Logins by the real sudo in a guest, as the terminal of whoever logged in has shown them.

use crate::guest::GuestRan;

/// What somebody is asked who has keys alone.
pub const ENTER: &str = "press Enter: ";

/// And who has codes as well.
pub const CODE: &str = "Verification code: ";

/// The end of a login that let somebody in.
pub const IN: [&str; 2] = ["\nroot\n", "status 0\n"];
/// And of one that did not.
pub const NOT_IN: [&str; 2] = ["sudo: ", "status 1\n"];

impl GuestRan {
    /// Holds what a step has shown against parts that must appear in this order.
    ///
    /// # Panics
    /// Where one is missing.
    pub fn showed(&self, step: &str, parts: &[&str]) {
        let ended = self.of(step);
        let mut rest = ended.stdout.as_str();
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| panic!("{step}: no {part:?} here in {ended}"));
            rest = &rest[at + part.len()..];
        }
    }

    /// Each of these steps is a login that let somebody in, who was asked once.
    ///
    /// # Panics
    /// Where one is not.
    pub fn let_in(&self, steps: &[&str]) {
        for step in steps {
            self.showed(step, &IN);
            let asked = self.of(step).stdout.matches("press Enter").count();
            assert_eq!(asked, 1, "{step}: asked once: {}", self.of(step));
        }
    }

    /// This step is a login that let nobody in, after it had shown those parts.
    ///
    /// # Panics
    /// Where it is not.
    pub fn refused(&self, step: &str, before: &[&str]) {
        self.showed(step, &[before, &NOT_IN].concat());
        assert!(!self.of(step).stdout.contains("root"), "{step}: {}", self.of(step));
    }
}
