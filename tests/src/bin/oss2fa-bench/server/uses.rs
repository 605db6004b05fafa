//! The codes of a store's devices, each device in its turn, made beforehand by Python's standard library.

use std::process::Command;

use oss2fa_tests::workspace;

/// From which device to the next one. No common divisor with any number of devices here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Neighbours in time are far apart in the store; the tenth after a device is near it again.
    Far = 700_001,
    /// As far apart as can be, for as long as can be: of 1,000,000 devices each use meets pages of its own.
    Farthest = 618_033,
}

/// Which codes were used up.
#[derive(Debug)]
pub(crate) struct Uses {
    devices: u64,
    step: Step,
    next: u64,
}

impl Uses {
    pub(crate) fn of(devices: u64) -> Self {
        Self { devices, step: Step::Far, next: 0 }
    }

    /// The same codes in another order, before any was used.
    pub(crate) fn by(self, step: Step) -> Self {
        Self { step, ..self }
    }

    /// Bodies with the next codes, made of a device and its code.
    pub(crate) fn bodies(&self, count: u64, body: impl Fn(u64, &str) -> String) -> Vec<String> {
        let made = Command::new("/usr/bin/python3")
            .arg(workspace().join("tests/src/bin/oss2fa-bench/server/codes.py"))
            .args([self.devices, self.step as u64, self.next, count].map(|number| number.to_string()))
            .output()
            .expect("python3");
        assert!(made.status.success(), "codes.py: {}", String::from_utf8_lossy(&made.stderr));
        let text = String::from_utf8(made.stdout).unwrap();
        let line = |line: &str| {
            let (device, code) = line.split_once(' ').unwrap();
            body(device.parse().unwrap(), code)
        };
        text.lines().map(line).collect()
    }

    /// So many of them were sent: the next ones are of the counters behind.
    pub(crate) fn spend(&mut self, sent: u64) {
        self.next += sent;
    }
}
