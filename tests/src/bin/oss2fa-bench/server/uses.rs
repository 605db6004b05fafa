//! The codes of a store's devices, each device in its turn, made beforehand by Python's standard library.

use std::process::Command;

use oss2fa_tests::workspace;

/// Neighbours in time are far apart in the store; no common divisor with any number of devices here.
const STEP: u64 = 700_001;

/// Which codes were used up.
#[derive(Debug)]
pub(crate) struct Uses {
    devices: u64,
    next: u64,
}

impl Uses {
    pub(crate) fn of(devices: u64) -> Self {
        Self { devices, next: 0 }
    }

    /// Bodies with the next codes, made of a device and its code.
    pub(crate) fn bodies(&self, count: u64, body: impl Fn(u64, &str) -> String) -> Vec<String> {
        let made = Command::new("/usr/bin/python3")
            .arg(workspace().join("tests/src/bin/oss2fa-bench/server/codes.py"))
            .args([self.devices, STEP, self.next, count].map(|number| number.to_string()))
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
