//! A store in a folder of its own, with a clock that stands still and events that are kept.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use nix::unistd::{getegid, geteuid};
use oss2fa_agent::admin::{ImportResult, Imported, OtpKind};
use oss2fa_agent::config::{LockLimits, MasterKeySource, StoreConfig};
use oss2fa_agent::outside::{Clock, NoRandomness, Random};
use oss2fa_agent::source::Source;
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::writer::EventSink;
use oss2fa_agent::store::{
    AccountId, Attempt, AuditEntry, Context, Device, Owner, Purpose, Report, Store, StoreError, Verdict,
    master_key,
};
use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::factor::recovery_code;
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::{FactorKind, Verified};
use oss2fa_core::wire::Login;
use rusqlite::Connection;
use tempfile::TempDir;

/// When each world begins: the middle of a step of 30 seconds.
pub(crate) const BEGIN: u64 = 1_795_378_335;

/// A secret that other systems know, too: that of RFC 4226, appendix D.
pub(crate) const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// What counter-based devices have: a secret is of one kind for good.
pub(crate) const HOTP_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

pub(crate) const LIMITS: LockLimits = LockLimits {
    free_attempts: 5,
    free_attempts_per_source: 50,
    free_attempts_per_user: 200,
    first_pause: 30,
    longest_pause: 3600,
};

/// A clock that is set by hand.
pub(crate) struct Stopped(AtomicU64);

impl Clock for Stopped {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Bytes that are alike in each run and differ at each call; from a chosen call on there are none.
pub(crate) struct Rehearsed {
    calls: AtomicU64,
    dry_at: AtomicU64,
}

impl Rehearsed {
    /// How often it was asked.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Gives no bytes at that call, counted from 0.
    pub(crate) fn fail_at(&self, call: u64) {
        self.dry_at.store(call, Ordering::SeqCst);
    }
}

impl Random for Rehearsed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call == self.dry_at.load(Ordering::SeqCst) {
            return Err(NoRandomness);
        }
        for (position, byte) in bytes.iter_mut().enumerate() {
            let mut hasher = DefaultHasher::new();
            (call, position).hash(&mut hasher);
            *byte = hasher.finish().to_le_bytes()[0];
        }
        Ok(())
    }
}

/// Keeps what goes to the system log.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<AuditEntry>>>);

impl EventSink for Kept {
    fn event(&mut self, entry: &AuditEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

/// What the store said to a try, without the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Admitted(DeviceId),
    Refused,
    Locked,
}

impl From<Verdict> for Said {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Admitted(admitted) => Self::Admitted(admitted.device()),
            Verdict::Refused => Self::Refused,
            Verdict::Locked => Self::Locked,
        }
    }
}

/// The folder of a store, and what the store takes as parameters.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<Stopped>,
    pub(crate) random: Arc<Rehearsed>,
    pub(crate) events: Kept,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            clock: Arc::new(Stopped(AtomicU64::new(BEGIN))),
            random: Arc::new(Rehearsed { calls: AtomicU64::new(0), dry_at: AtomicU64::new(u64::MAX) }),
            events: Kept::default(),
        }
    }

    pub(crate) fn at(&self, now: u64) {
        self.clock.0.store(now, Ordering::SeqCst);
    }

    pub(crate) fn later(&self, seconds: u64) {
        self.at(self.clock.now() + seconds);
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("agent.db")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    /// As the daemon opens it.
    pub(crate) fn try_open(&self) -> Result<Store, StoreError> {
        self.try_open_with(Box::new(self.events.clone()))
    }

    pub(crate) fn try_open_with(&self, sink: Box<dyn EventSink>) -> Result<Store, StoreError> {
        let config = StoreConfig { path: self.path(), master_key: MasterKeySource::File(self.key()) };
        let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
        let master = master_key::find(&config.master_key, owner, None)?;
        Store::open(&config, master, owner, self.clock.clone(), self.random.clone(), sink)
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Why it does not open; the folder is called FOLDER.
    pub(crate) fn refusal(&self) -> String {
        match self.try_open() {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string().replace(&self.folder.path().display().to_string(), "FOLDER"),
        }
    }

    /// The events that went to the system log, once all that are in the store have gone there: that
    /// happens just after the answer.
    pub(crate) fn logged(&self) -> Vec<AuditEntry> {
        let began = Instant::now();
        loop {
            let kept = self.events.0.lock().unwrap().clone();
            if kept.len() as i64 >= self.number("SELECT count(*) FROM audit") {
                return kept;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "an event did not get to the system log");
            std::thread::yield_now();
        }
    }

    /// The words of the events so far.
    pub(crate) fn words(&self) -> Vec<String> {
        self.logged().into_iter().map(|entry| entry.event).collect()
    }

    /// The newest event.
    pub(crate) fn newest(&self) -> AuditEntry {
        self.logged().pop().unwrap()
    }

    /// A change behind the store's back, as somebody with the file in hand can make.
    pub(crate) fn tamper(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    /// One number out of the database.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        Connection::open(self.path()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// The code that a device with [`SECRET`] shows at `now`.
pub(crate) fn totp(now: u64) -> SecretText {
    totp_of(SECRET, now)
}

/// The code that a device with this secret, in base32, shows at `now`.
pub(crate) fn totp_of(secret: &str, now: u64) -> SecretText {
    oathtool(&["--totp", "--now", &format!("@{now}"), "--base32", secret])
}

/// The code that a device with [`HOTP_SECRET`] shows for a counter.
pub(crate) fn hotp(counter: u64) -> SecretText {
    oathtool(&["--hotp", "--counter", &counter.to_string(), "--base32", HOTP_SECRET])
}

pub(crate) fn oathtool(arguments: &[&str]) -> SecretText {
    let output = Command::new("oathtool").args(arguments).output().unwrap();
    assert!(output.status.success(), "oathtool: {}", String::from_utf8_lossy(&output.stderr));
    SecretText::new(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::from_directory(name).unwrap()
}

pub(crate) fn name(name: &str) -> DeviceName {
    DeviceName::new(name).unwrap()
}

/// The source of a login from this remote host.
pub(crate) fn from(rhost: &str) -> Source {
    Source::of_login(&Login {
        user: String::new(),
        service: String::new(),
        tty: None,
        rhost: Some(rhost.to_owned()),
        ruser: None,
    })
}

pub(crate) fn context(store: &Store, who: &str) -> Context {
    Context::new(store.now(), &user(who), "cli", &Source::of_uid(0))
}

pub(crate) fn account(store: &Store, who: &str) -> AccountId {
    store.account_view(&user(who)).unwrap().account.unwrap()
}

pub(crate) fn device(store: &Store, who: &str, id: DeviceId) -> Device {
    let devices = store.account_view(&user(who)).unwrap().devices;
    devices.into_iter().find(|device| device.id == id).unwrap()
}

pub(crate) fn otp(kind: OtpKind, next_position: u64) -> Imported {
    let secret = match kind {
        OtpKind::Totp => SECRET,
        OtpKind::Hotp => HOTP_SECRET,
    };
    let secret = SecretText::new(secret.to_owned());
    Imported::Otp { kind, secret, parameters: OtpParameters::default(), next_position, drift: 0 }
}

pub(crate) fn import(store: &Store, who: &str, what: Imported) -> ImportResult {
    store.import(context(store, who), user(who), name("phone"), what).unwrap()
}

/// An active device with the secret of its kind.
pub(crate) fn owner(store: &Store, who: &str, kind: OtpKind) -> DeviceId {
    match import(store, who, otp(kind, 0)) {
        ImportResult::Imported(device) => device,
        other => panic!("{other:?}"),
    }
}

/// A device that waits for its first code, and its secret in base32.
pub(crate) fn pending(store: &Store, who: &str, vouched: Vouched) -> (DeviceId, String) {
    let parameters = OtpParameters::default();
    let made = store
        .enroll(context(store, who), user(who), OtpKind::Totp, name("phone"), parameters, vouched)
        .unwrap()
        .unwrap();
    (made.device, BASE32_NOPAD.encode(made.secret.expose()))
}

/// Evidence that the code is right, found in what the store knows at this moment.
pub(crate) fn evidence(store: &Store, who: &str, code: &SecretText, purpose: Purpose) -> Option<Verified> {
    let devices = store.account_view(&user(who)).unwrap().devices;
    let code = code.expose();
    devices
        .iter()
        .filter(|device| {
            matches!(purpose, Purpose::Confirm(id) if id == device.id)
                || !matches!(purpose, Purpose::Confirm(_))
        })
        .find_map(|device| match device.kind {
            FactorKind::RecoveryCode => {
                let code = recovery_code::canonical(code)?;
                let presented = store.keys().recovery_digest(device.account.0, code.expose_canonical());
                recovery_code::check(device.id, &presented, &store.unused_codes(device.id).unwrap())
            }
            FactorKind::SentCode
            | FactorKind::Fido2
            | FactorKind::U2f
            | FactorKind::SshSk
            | FactorKind::YubikeyHmac => None,
            FactorKind::YubicoOtp => {
                let typed = TypedOtp::read(code)?;
                let typist = device.typist(store.keys()).unwrap()?;
                typist.check(device.id, device.next_position(), &typed)
            }
            FactorKind::Totp | FactorKind::Hotp => {
                device.check(store.keys(), code, 1, store.now()).unwrap_or(None)
            }
        })
}

pub(crate) fn attempt(
    store: &Store,
    who: &str,
    source: &Source,
    kinds: &[FactorKind],
    verified: Option<Verified>,
    purpose: Purpose,
) -> Attempt {
    Attempt {
        account: account(store, who),
        user: user(who),
        service: "sshd".to_owned(),
        source: source.clone(),
        kinds: kinds.to_vec(),
        verified,
        purpose,
        report: Report::Nobody,
    }
}

/// A try with a code for a purpose, as the daemon makes it.
pub(crate) fn present(
    store: &Store,
    who: &str,
    source: &Source,
    code: &SecretText,
    purpose: Purpose,
) -> Said {
    let devices = store.account_view(&user(who)).unwrap().devices;
    let mut kinds: Vec<_> =
        devices.iter().filter(|device| device.fits(code.expose())).map(|device| device.kind).collect();
    kinds.dedup();
    let verified = evidence(store, who, code, purpose);
    store.judge(attempt(store, who, source, &kinds, verified, purpose), LIMITS).unwrap().into()
}

/// A login from a place of the owner's.
pub(crate) fn login(store: &Store, who: &str, code: &SecretText) -> Said {
    present(store, who, &from("192.0.2.1"), code, Purpose::Login)
}
