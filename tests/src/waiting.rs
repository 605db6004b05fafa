//! What the daemon has of a processor while a login waits for a security key, in the guest: for the tests and `make bench`.

use crate::guest::{Guest, GuestRan};

/// In per cent of one core.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// While a key blinks for its touch.
    pub for_touch: f64,
    /// While none is plugged in.
    pub for_key: f64,
}

const STEP: &str = "the processor, while a touch is awaited and while a key is";

/// The promise, in per cent of one core.
pub const PROMISED: f64 = 0.5;

/// ferris, who has a key alone, which is plugged in, logs in; the measurement begins once the login is quiet. The kernel
/// counts in hundredths of a second: those of a test tell a quarter of a per cent apart, those of the bench a twentieth.
fn script(seconds: u32, times: u32) -> String {
    format!(
        "begin log_in ferris 'press Enter: ' ''; wait_until test -e $awaited; sleep 1; measure_processor {seconds} {times}
         pull_out first; sleep 1; measure_processor {seconds} {times}
         plug_in first; touch_when_awaited first; finish"
    )
}

/// A key of ferris, who is installed together with the agent.
const ENROLLED: &str = r#"
    install_agent ferris; start_agent; make_key first; plug_in first
    touch_key first; "$agent" enroll fido2 --user ferris; let_go first
"#;

impl Waiting {
    /// One more step: the measurement.
    #[must_use]
    pub fn measured(guest: Guest) -> Guest {
        guest.step(STEP, &script(4, 3))
    }

    /// A guest that does nothing else.
    #[must_use]
    pub fn alone() -> Guest {
        Guest::new().step("an agent, and a key that is enrolled", ENROLLED).step(STEP, &script(20, 1))
    }

    /// What was measured.
    ///
    /// # Panics
    /// Where nothing was, and where the login did not come to a good end.
    #[must_use]
    pub fn of(ran: &GuestRan) -> Self {
        let ended = ran.of(STEP);
        assert!(ended.stdout.contains("root") && ended.stdout.ends_with("status 0\n"), "{ended}");
        let shares = ended.stdout.lines().filter_map(|line| line.strip_suffix(" %"));
        let shares: Vec<f64> = shares.map(|share| share.parse().expect("per cent")).collect();
        let [for_touch, for_key] = shares[..] else { panic!("{ended}") };
        Self { for_touch, for_key }
    }
}
