//! A YubiKey in a pocket: its passwords are made by `ykgenerate` of Debian's libyubikey-dev.

use std::process::Command;

/// A key with what was written into it, and its counters.
#[derive(Debug, Clone)]
pub struct Yubikey {
    /// Its public id, in modhex.
    pub public_id: String,
    /// Its private id, in hexadecimal.
    pub private_id: String,
    /// Its AES key, in hexadecimal.
    pub key: String,
    /// How often it was plugged in.
    pub session: u16,
    /// How many passwords it has typed since.
    pub used: u8,
}

impl Yubikey {
    /// One that was just made for the first time.
    #[must_use]
    pub fn new(public_id: &str, private_id: &str, key: &str) -> Self {
        let text = |text: &str| text.to_owned();
        Self { public_id: text(public_id), private_id: text(private_id), key: text(key), session: 1, used: 0 }
    }

    /// Plugged in once more.
    pub fn plug_in(&mut self) {
        self.session += 1;
        self.used = 0;
    }

    /// What it types at a touch.
    ///
    /// # Panics
    /// Without ykgenerate.
    pub fn touch(&mut self) -> String {
        let otp = self.at(self.session, self.used);
        self.used += 1;
        otp
    }

    /// What it types with these counters.
    ///
    /// # Panics
    /// Without ykgenerate.
    #[must_use]
    pub fn at(&self, session: u16, used: u8) -> String {
        let (session, used) = (format!("{session:04x}"), format!("{used:02x}"));
        let output = Command::new("/usr/bin/ykgenerate")
            .args([&self.key, &self.private_id, &session, "c9a8", "00", &used])
            .output()
            .expect("ykgenerate of Debian's libyubikey-dev");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let block = String::from_utf8(output.stdout).unwrap();
        format!("{}{}", self.public_id, block.trim())
    }
}
