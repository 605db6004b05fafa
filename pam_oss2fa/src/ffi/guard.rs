//! No panic leaves the module, and none is printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// The code inside panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

thread_local! {
    // Without a destructor, so that nothing is left to run when a thread of the host ends.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs a body that may panic.
pub(crate) fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, Panicked> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _inside = Inside::enter();
        hide_panics();
        body()
    }));
    result.map_err(|payload| {
        // Its destructor may panic in turn, out here where nothing would catch it.
        std::mem::forget(payload);
        Panicked
    })
}

// The default hook writes to the terminal of whoever logs in. Panics of the host, where it is a
// Rust program that shares our standard library, keep the hook they had.
fn hide_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                previous(panic);
            }
        }));
    });
}

struct Inside {
    before: bool,
}

impl Inside {
    fn enter() -> Self {
        Self { before: INSIDE.replace(true) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    #[test]
    fn a_value_comes_through() {
        assert_eq!(guarded(|| 7).unwrap(), 7);
    }

    #[test]
    fn a_panic_is_an_error_and_so_is_one_whose_payload_panics() {
        assert!(guarded(|| panic!("caught")).is_err());
        assert!(guarded(|| std::panic::panic_any(Bomb)).is_err());
        // The guard works again afterwards, and one guard inside another stays silent.
        assert!(guarded(|| guarded(|| panic!("inner")).is_err()).unwrap());
        assert!(!INSIDE.get());
    }

    #[test]
    #[ignore = "what a_caught_panic_prints_nothing runs as a process of its own"]
    fn child_that_panics_inside_and_outside() {
        assert!(guarded(|| panic!("canary inside")).is_err());
        assert!(guarded(|| std::panic::panic_any(Bomb)).is_err());
        assert!(catch_unwind(|| panic!("canary outside")).is_err());
    }

    #[test]
    fn a_caught_panic_prints_nothing() {
        let this = std::env::current_exe().unwrap();
        let name = "ffi::guard::tests::child_that_panics_inside_and_outside";
        let child = Command::new(this).args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap();
        assert!(child.status.success());
        let stdout = String::from_utf8(child.stdout).unwrap();
        let stderr = String::from_utf8(child.stderr).unwrap();
        assert!(stdout.contains("1 passed"), "{stdout}");
        assert!(!stdout.contains("canary inside") && !stderr.contains("canary inside"), "{stderr}");
        // The hook that was there before still speaks for everybody else.
        assert_eq!(stderr.matches("panicked at").count(), 1, "{stderr}");
        assert!(stderr.contains("canary outside"), "{stderr}");
    }
}
