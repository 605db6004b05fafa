//! The user's device: codes from `oathtool` or from Python's `pyotp`.

use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which independent program makes the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// Debian's oathtool.
    Oathtool,
    /// Python's pyotp.
    PyOtp,
}

/// What an authenticator app would hold after scanning the QR code.
#[derive(Debug, Clone)]
pub struct Token {
    /// Number of the device at the agent, where it is known.
    pub device: i64,
    /// Base32.
    pub secret: String,
    /// `totp` or `hotp`.
    pub kind: String,
    /// Length of a code.
    pub digits: u32,
    /// `sha1`, `sha256` or `sha512`.
    pub algorithm: String,
    /// Seconds (TOTP).
    pub period: u64,
    /// The step or counter of the next code.
    pub position: u64,
    generator: Generator,
    skew: u64,
}

/// How far ahead of the clock a TOTP code may be taken: the harness runs agents with this skew, so
/// that a test has several codes at once and need not wait for the next period.
pub(crate) const SKEW: u64 = 3;

/// For how many seconds a code may be on its way to whoever judges it.
const ON_ITS_WAY: u64 = 10;

/// Waits, where a step of 30 seconds is nearly over, for the next one: codes that are made now are judged in the same step.
pub fn early_in_a_step() {
    while 30 - unix_time() % 30 < ON_ITS_WAY {
        thread::sleep(Duration::from_millis(200));
    }
}

/// Seconds since 1970.
#[must_use]
pub fn unix_time() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the tests are at the edge: here the time comes in")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Token {
    /// Reads a provisioning URI with pyotp, as an application that was written without us would.
    ///
    /// # Panics
    /// Where pyotp refuses it.
    #[must_use]
    pub fn scan(uri: &str) -> Self {
        let script = "import pyotp, sys\n\
            o = pyotp.parse_uri(sys.argv[1])\n\
            print(o.secret, type(o).__name__.lower(), o.digits, o.digest().name, getattr(o, 'interval', 0),\
             getattr(o, 'initial_count', 0))";
        let line = python(&[script, uri]);
        let words: Vec<&str> = line.split_whitespace().collect();
        let (period, counter): (u64, u64) = (words[4].parse().unwrap(), words[5].parse().unwrap());
        let mut token = Self {
            device: 0,
            secret: words[0].to_owned(),
            kind: words[1].to_owned(),
            digits: words[2].parse().unwrap(),
            algorithm: words[3].to_owned(),
            period,
            position: counter,
            generator: Generator::Oathtool,
            skew: SKEW,
        };
        if token.kind == "totp" {
            token.position = token.earliest();
        }
        token
    }

    /// The same device at an agent with another `totp_skew`, of at least 1.
    #[must_use]
    pub fn at_skew(mut self, skew: u64) -> Self {
        self.skew = skew;
        if self.kind == "totp" {
            self.position = self.earliest();
        }
        self
    }

    // The earliest step that an agent still takes, also if the period ends on the way to it: on a machine that does much
    // else, some seconds go by between the making of a code and its judgement.
    fn earliest(&self) -> u64 {
        let now = unix_time();
        let late = u64::from(self.period - now % self.period < ON_ITS_WAY);
        now / self.period + late - self.skew
    }

    /// The same device, its codes made by the other program.
    #[must_use]
    pub fn with(mut self, generator: Generator) -> Self {
        self.generator = generator;
        self
    }

    /// The time step of this moment (TOTP).
    #[must_use]
    pub fn step_now(&self) -> u64 {
        unix_time() / self.period
    }

    /// The code of a step or counter.
    #[must_use]
    pub fn code_at(&self, position: u64) -> String {
        match self.generator {
            Generator::Oathtool => self.by_oathtool(position, 1),
            Generator::PyOtp => self.by_pyotp(position),
        }
    }

    /// A code that was never given out before; of a TOTP device it may be a step or two early,
    /// and only when those are used up the clock is waited for.
    pub fn next_code(&mut self) -> String {
        if self.kind == "totp" {
            self.position = self.position.max(self.earliest());
            while self.position > self.step_now() + self.skew {
                thread::sleep(Duration::from_millis(200));
            }
        }
        let code = self.code_at(self.position);
        self.position += 1;
        code
    }

    /// The next code that is good for one period at least, however long it takes until it is judged.
    pub fn lasting_code(&mut self) -> String {
        if self.kind == "totp" {
            self.position = self.position.max(self.step_now());
        }
        self.next_code()
    }

    /// A well-formed code that the device will not show in these hours.
    #[must_use]
    pub fn wrong_code(&self) -> String {
        let here = if self.kind == "totp" { self.step_now() } else { self.position };
        let near = self.codes(here.saturating_sub(15), 40);
        // Digits that stand in no log by accident, as six zeros would.
        let ends = 10_u64.pow(self.digits);
        let width = self.digits as usize;
        let candidates = (0..100).map(|n| format!("{:0width$}", (27_182_818 + n * 104_729) % ends));
        candidates.into_iter().find(|code| !near.contains(code)).unwrap()
    }

    /// The codes of so many steps or counters in a row (oathtool).
    #[must_use]
    pub fn codes(&self, from: u64, count: u64) -> Vec<String> {
        self.by_oathtool(from, count).lines().map(str::to_owned).collect()
    }

    fn by_oathtool(&self, position: u64, count: u64) -> String {
        let mut command = Command::new("/usr/bin/oathtool");
        command.args(["--base32", &format!("--digits={}", self.digits)]);
        if self.kind == "totp" {
            command
                .arg(format!("--totp={}", self.algorithm))
                .arg(format!("--time-step-size={}s", self.period));
            command.arg(format!("--now=@{}", position * self.period));
        } else {
            command.args(["--hotp", &format!("--counter={position}")]);
        }
        command.arg(format!("--window={}", count - 1));
        let output = command.arg(&self.secret).output().expect("Debian's oathtool");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn by_pyotp(&self, position: u64) -> String {
        let script = "import pyotp, hashlib, sys\n\
            secret, kind, digits, digest, position = sys.argv[1:6]\n\
            make = pyotp.TOTP if kind == 'totp' else pyotp.HOTP\n\
            otp = make(secret, digits=int(digits), digest=getattr(hashlib, digest))\n\
            print(otp.generate_otp(int(position)))";
        let digits = self.digits.to_string();
        python(&[script, &self.secret, &self.kind, &digits, &self.algorithm, &position.to_string()])
    }
}

fn python(arguments: &[&str]) -> String {
    let output = Command::new("/usr/bin/python3").arg("-c").args(arguments).output().unwrap();
    assert!(output.status.success(), "Debian's python3-pyotp: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
