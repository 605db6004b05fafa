//! What the command line and the daemon say to each other.
//!
//! The same socket and the same frames as a login; the first frame's message decides which it is.
//! Who may ask for what is decided by the daemon, from the uid that the kernel gives for the peer.

mod yubikey;

use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::ids::{DeviceId, DeviceName};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire::DisplayText;
use serde::{Deserialize, Serialize};

pub use self::yubikey::{TypistEnrollment, TypistSecrets, YubikeyEnrollment, YubikeySlot};

/// A request of the command line; one a connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make a device with a fresh secret; it waits for `Confirm`.
    Enroll {
        /// As typed; the daemon makes it canonical.
        user: String,
        /// TOTP or HOTP.
        kind: OtpKind,
        /// What the owner calls it; by default the kind's name.
        name: Option<DeviceName>,
        /// Algorithm, digits, period.
        parameters: OtpParameters,
        /// A fresh code of one of the user's devices, where one is needed.
        proof: Option<SecretText>,
        /// Where it counts: where the user's logins are decided, or on this host in any case (root).
        #[serde(default, skip_serializing_if = "Place::is_usual")]
        place: Place,
    },
    /// Have the server send codes to an address; it waits for `Confirm`.
    EnrollAddress {
        /// As typed; the daemon makes it canonical.
        user: String,
        /// How they are sent.
        kind: SentKind,
        /// To where.
        address: String,
        /// A fresh code of one of the user's devices, where one is needed.
        proof: Option<SecretText>,
    },
    /// Make a device that counts on this host while no server can be reached; it waits for `Confirm`.
    EnrollOffline {
        /// As typed; the daemon makes it canonical.
        user: String,
        /// What the owner calls it.
        name: Option<DeviceName>,
        /// A fresh code of one of the user's devices, where one is needed.
        proof: Option<SecretText>,
    },
    /// Know a key of OpenSSH that lives on a security key, by its public part; it counts at once.
    EnrollSshKey {
        /// As typed; the daemon makes it canonical.
        user: String,
        /// Its type and its base64, as in the file of ssh-keygen.
        key: String,
        /// What the owner calls it; by default the kind's name.
        name: Option<DeviceName>,
        /// A fresh code of one of the user's devices, where one is needed.
        proof: Option<SecretText>,
    },
    /// Make a credential on a security key that is plugged into this host. Answered by any number of
    /// [`Response::Step`] and [`Response::PinWanted`] before the device that was made.
    EnrollKey(KeyEnrollment),
    /// Have a YubiKey that is plugged into this host answer its first challenges; a conversation as the one before.
    EnrollYubikey(YubikeyEnrollment),
    /// Take a YubiKey that types passwords, by one that it has typed.
    EnrollTypist(TypistEnrollment),
    /// A change of one's own devices, proven by the touch of a security key that is enrolled already: any number of
    /// [`Response::Step`] and [`Response::PinWanted`], and then what the change itself is answered by.
    ByTouch {
        /// The change, without a code.
        change: Box<Request>,
    },
    /// The answer to [`Response::PinWanted`], on the same connection.
    Pin {
        /// As typed.
        pin: SecretText,
    },
    /// Activate a device by its first code.
    Confirm {
        /// Whose.
        user: String,
        /// Which; where a server has it, the number of its enrolment.
        device: DeviceId,
        /// The first code.
        code: SecretText,
        /// What the owner calls it, for a server that was not told before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<DeviceName>,
    },
    /// The devices of a user, or of everybody (root), in pages.
    List {
        /// Whose; everybody's where absent.
        user: Option<String>,
        /// Devices after this one.
        after: Option<DeviceId>,
    },
    /// Remove a device.
    Remove {
        /// Whose.
        user: String,
        /// Which.
        device: DeviceId,
        /// A fresh code, where one is needed.
        proof: Option<SecretText>,
    },
    /// Remove all of a user, also that the user was ever enrolled (root).
    Forget {
        /// Who.
        user: String,
    },
    /// Give a device another name.
    Rename {
        /// Whose.
        user: String,
        /// Which.
        device: DeviceId,
        /// The new name.
        name: DeviceName,
    },
    /// Replace the recovery codes by ten new ones.
    RecoveryCodes {
        /// Whose.
        user: String,
        /// A fresh code, where one is needed.
        proof: Option<SecretText>,
    },
    /// Find a device again whose clock or counter has run away.
    Resync {
        /// Whose.
        user: String,
        /// Which.
        device: DeviceId,
        /// A code.
        first: SecretText,
        /// The very next one.
        second: SecretText,
    },
    /// Release the locks of a user (root).
    Unlock {
        /// Who.
        user: String,
    },
    /// Check a code, and spend it.
    Verify {
        /// Whose.
        user: String,
        /// The code.
        code: SecretText,
    },
    /// Take over devices from another system (root).
    Import {
        /// At most [`IMPORT_BATCH`] at a time.
        entries: Vec<ImportEntry>,
    },
    /// The provisioning URI of a device (root).
    Export {
        /// Whose.
        user: String,
        /// Which.
        device: DeviceId,
    },
    /// How the daemon is doing.
    Status {},
}

/// Most entries in one `Import`: with the longest names and secrets they fit into one frame.
pub const IMPORT_BATCH: usize = 40;

/// Most devices in one page of `List`.
/// With the longest names they fit into one frame.
pub const LIST_PAGE: usize = 64;

/// A security key to be enrolled.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEnrollment {
    /// As typed; the daemon makes it canonical.
    pub user: String,
    /// Which protocol it speaks.
    pub kind: KeyKind,
    /// What the owner calls it; by default the kind's name.
    pub name: Option<DeviceName>,
    /// Whether it is to be kept in the key.
    pub resident: bool,
    /// Whether each login with it asks for the PIN, or what the key has in place of one.
    pub pin: bool,
    /// A fresh code of one of the user's devices, where one is needed.
    pub proof: Option<SecretText>,
}

/// Kinds of security keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// By CTAP2.
    Fido2,
    /// By U2F.
    U2f,
}

/// How a security key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: both coordinates.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl From<KeyKind> for FactorKind {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Fido2 => Self::Fido2,
            KeyKind::U2f => Self::U2f,
        }
    }
}

/// Where a device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On this host.
    Host,
    /// At the server.
    Server,
    /// Where the user's logins are decided.
    #[default]
    Usual,
}

impl Place {
    fn is_host(&self) -> bool {
        *self == Self::Host
    }

    fn is_usual(&self) -> bool {
        *self == Self::Usual
    }

    fn host() -> Self {
        Self::Host
    }
}

/// How a server sends codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentKind {
    /// By e-mail.
    Email,
    /// By SMS.
    Sms,
}

/// Kinds that `enroll` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtpKind {
    /// RFC 6238.
    Totp,
    /// RFC 4226.
    Hotp,
}

impl From<OtpKind> for FactorKind {
    fn from(kind: OtpKind) -> Self {
        match kind {
            OtpKind::Totp => Self::Totp,
            OtpKind::Hotp => Self::Hotp,
        }
    }
}

/// A device that another system held, or its scratch codes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportEntry {
    /// As the other system spells it.
    pub user: String,
    /// What the owner will see.
    pub name: DeviceName,
    /// What it is.
    pub what: Imported,
}

/// What an entry brings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Imported {
    /// A one-time-password device.
    Otp {
        /// TOTP or HOTP.
        kind: OtpKind,
        /// Base32.
        secret: SecretText,
        /// Algorithm, digits, period.
        parameters: OtpParameters,
        /// The lowest step or counter that may still be accepted.
        next_position: u64,
        /// How far the device's clock is ahead, in steps.
        drift: i64,
    },
    /// A security key.
    SecurityKey {
        /// Which protocol has made its credential.
        kind: KeyKind,
        /// The credential's id, in hexadecimal; empty where it stays on the key, and is found there by its public key.
        id: String,
        /// Its public key, in hexadecimal.
        public_key: String,
        /// How it signs.
        algorithm: KeyAlgorithm,
        /// For whom it was made.
        rp_id: String,
        /// Whether each login asks the key to verify its user.
        pin: bool,
    },
    /// A YubiKey whose passwords validation servers judge.
    YubicoOtp {
        /// Its public id, in modhex.
        public_id: String,
    },
    /// Scratch codes, single use.
    ScratchCodes {
        /// As the other system wrote them.
        codes: Vec<SecretText>,
    },
}

/// The daemon's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Response {
    /// A device was made and waits for its first code.
    Enrolled(Enrolled),
    /// A code is on its way to the address that is being enrolled.
    CodeSent(CodeSent),
    /// What its owner has to do with the security key now; more follows.
    Step {
        /// A sentence.
        text: DisplayText,
    },
    /// The security key wants its PIN: [`Request::Pin`].
    PinWanted {
        /// What to ask.
        question: DisplayText,
    },
    /// A device, as it is now.
    Device(DeviceView),
    /// One page of devices.
    Devices {
        /// In order of their numbers.
        devices: Vec<DeviceView>,
        /// There is at least one more.
        more: More,
    },
    /// New recovery codes; they are not shown again.
    RecoveryCodes {
        /// Canonical, with dashes.
        codes: Vec<SecretText>,
    },
    /// A line for each entry of an import, in order.
    Imported {
        /// What became of it.
        report: Vec<ImportLine>,
    },
    /// A provisioning URI.
    Exported {
        /// Holds the secret.
        provisioning_uri: SecretText,
    },
    /// Done; nothing to tell.
    Done {},
    /// How the daemon is doing.
    Status(Status),
    /// Not done.
    Refused(Refused),
}

/// Whether another page follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum More {
    /// This was the last.
    No,
    /// Ask again, after the last device of this page.
    Yes,
}

/// What `enroll --json` prints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Number of the device.
    pub device: DeviceId,
    /// Its kind.
    pub kind: FactorKind,
    /// Always `pending`.
    pub status: DeviceStatus,
    /// For the authenticator app; holds the secret.
    pub provisioning_uri: SecretText,
    /// Where it counts; `device` is the number of the enrolment where that is the server.
    #[serde(default = "Place::host", skip_serializing_if = "Place::is_host")]
    pub place: Place,
}

/// What `enroll email --json` prints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSent {
    /// Number of the enrolment.
    pub device: DeviceId,
    /// To where; masked.
    pub to: String,
}

/// Whether a device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// Made, not proven.
    Pending,
    /// Proven.
    Active,
}

impl DeviceStatus {
    /// The word for it in the store and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
        }
    }
}

/// What may be shown of a device. Times are seconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceView {
    /// Number of the device.
    pub device: DeviceId,
    /// Whose it is.
    pub user: String,
    /// What the owner calls it.
    pub name: DeviceName,
    /// Its kind.
    pub kind: FactorKind,
    /// Whether it counts.
    pub status: DeviceStatus,
    /// Absent for recovery codes.
    pub parameters: Option<OtpParameters>,
    /// Recovery codes that are left; absent for other kinds.
    pub codes_left: Option<u64>,
    /// When it was made.
    pub created_at: u64,
    /// When it was last used.
    pub last_used_at: Option<u64>,
    /// What stands in place of the kind, where that says too little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_as: Option<String>,
}

/// What became of one entry of an import.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportLine {
    /// As in the entry.
    pub user: String,
    /// What happened.
    pub result: ImportResult,
}

/// Outcome of one entry.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportResult {
    /// Taken over, and active.
    Imported(DeviceId),
    /// This secret is there already; nothing was changed.
    AlreadyThere(DeviceId),
    /// The host knows no such user.
    UnknownUser,
    /// Not taken over.
    Refused(String),
}

/// How the daemon is doing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Release.
    pub version: String,
    /// Seconds since the start.
    pub uptime: u64,
    /// The configuration in force.
    pub config: String,
    /// The store in use.
    pub store: String,
    /// Users that have, or ever had, a device.
    pub users: u64,
    /// Active devices.
    pub devices: u64,
    /// Sources and users that are locked at the moment.
    pub locks: u64,
    /// Number of the newest audit event.
    pub audit_events: u64,
    /// What happens to users without a device: `deny` or `skip`.
    pub unenrolled: String,
    /// Why the newest reload was refused, where it was.
    pub reload_error: Option<String>,
    /// `local`, `remote` or `remote-then-local`.
    #[serde(default = "local")]
    pub mode: String,
    /// The servers that this host asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerStatus>,
    /// What the servers have not heard yet.
    #[serde(default)]
    pub waiting_events: u64,
    /// Whether the touch of a key of OpenSSH counts, for each service where policy wants it to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_touch: Vec<SshTouchStatus>,
}

fn local() -> String {
    "local".to_owned()
}

/// A server, as far as this host knows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerStatus {
    /// Its address.
    pub url: String,
    /// Why it is known to be away, where it is.
    pub away: Option<String>,
}

/// A service in which policy wants the touch of a key of OpenSSH to count.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshTouchStatus {
    /// Its name.
    pub service: String,
    /// Why it does not count for everybody, where it does not.
    pub not_counted: Option<String>,
}

/// Why a request was not done: a stable code, and a sentence that says what to do.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// For scripts and searches.
    pub code: RefusalCode,
    /// For people.
    pub message: String,
}

/// Stable codes of refusals; the exit status of the command line follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// This uid may not do that.
    NotAllowed,
    /// A fresh code of one of the user's devices must come along.
    ProofNeeded,
    /// A security key of the user's must be touched: [`Request::ByTouch`].
    TouchNeeded,
    /// One of both.
    CodeOrTouchNeeded,
    /// A code was wrong, used before, or of no device.
    CodeRefused,
    /// Too many tries.
    Locked,
    /// The host knows no such user.
    UnknownUser,
    /// The user has no such device.
    UnknownDevice,
    /// The last factor of a user who must have one.
    LastFactor,
    /// A value cannot be taken.
    BadRequest,
    /// Done at the server, not from this host.
    AtServer,
    /// Store or user directory failed.
    Unavailable,
}
