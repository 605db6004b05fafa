//! YubiKeys: one touch types a password (Yubico OTP), which the key's own secrets judge, or validation servers.

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use oss2fa_core::factor::yubico_otp::{self, KEY, Opened, PRIVATE_ID, PublicId, TypedOtp};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::{
    Answered, Description, Enrolled, Kind, KindError, NewDevice, Spend, Step, StoredDevice, Surroundings,
    Token,
};
use crate::store::error::StoreError;

/// The name of the kind, by which the validation protocol finds its locks and whether policy allows it.
pub const NAME: &str = "YUBIKEY";

/// What public ids begin with that were given out by nobody in particular.
const OWN_PREFIX: u8 = 0xff;

/// Bytes of a public id that is made here.
const NEW_PUBLIC_ID: usize = 6;

/// The kind.
pub struct Yubikey;

/// The secrets of a key.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Its public id.
    pub public_id: PublicId,
    /// Its private id.
    pub private_id: SecretBytes,
    /// Its AES key.
    pub key: SecretBytes,
}

/// Who judges the passwords of a key.
enum Judge {
    /// Its secrets.
    Secrets(Secrets),
    /// The validation servers. A key that is being enrolled tells its public id by its first password.
    Servers(Option<PublicId>),
}

/// [`Judge`] as it is kept, sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    public_id: Option<String>,
    secrets: Option<KeptSecrets>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptSecrets {
    private_id: String,
    key: String,
}

impl Drop for KeptSecrets {
    fn drop(&mut self) {
        self.private_id.zeroize();
        self.key.zeroize();
    }
}

const UNREADABLE: StoreError = StoreError::Corrupt("a security key that makes no sense");

impl Judge {
    fn keep(&self) -> Result<SecretBytes, StoreError> {
        let kept = match self {
            Self::Secrets(Secrets { public_id, private_id, key }) => Kept {
                public_id: Some(public_id.to_string()),
                secrets: Some(KeptSecrets {
                    private_id: HEX.encode(private_id.expose()),
                    key: HEX.encode(key.expose()),
                }),
            },
            Self::Servers(public_id) => {
                Kept { public_id: public_id.as_ref().map(PublicId::to_string), secrets: None }
            }
        };
        // Reserved whole, so that no half of a secret stays in a buffer that was grown out of.
        let mut written = Vec::with_capacity(256);
        serde_json::to_writer(&mut written, &kept).map_err(|_| UNREADABLE)?;
        Ok(SecretBytes::new(written))
    }

    fn read(kept: &SecretBytes) -> Result<Self, StoreError> {
        let Kept { public_id, secrets } = serde_json::from_slice(kept.expose()).map_err(|_| UNREADABLE)?;
        let public_id = public_id.map(|id| PublicId::parse(&id)).transpose().map_err(|_| UNREADABLE)?;
        let Some(secrets) = secrets else { return Ok(Self::Servers(public_id)) };
        let bytes = |hex: &str| HEX.decode(hex.as_bytes()).map(SecretBytes::new).map_err(|_| UNREADABLE);
        Ok(Self::Secrets(Secrets {
            public_id: public_id.ok_or(UNREADABLE)?,
            private_id: bytes(&secrets.private_id)?,
            key: bytes(&secrets.key)?,
        }))
    }
}

impl Secrets {
    fn open(&self, device: DeviceId, next_position: u64, typed: &TypedOtp) -> Opened {
        let Self { public_id, private_id, key } = self;
        yubico_otp::Yubikey { device, public_id, private_id, key, next_position }.open(typed)
    }

    /// The device of it.
    ///
    /// # Errors
    /// Never with what is read or made; [`StoreError::Corrupt`] otherwise.
    pub fn device(&self, next_position: u64) -> Result<NewDevice, StoreError> {
        let material = Judge::Secrets(self.clone()).keep()?;
        Ok(new_device(&self.public_id, material, Some(self.key.clone()), next_position))
    }
}

fn new_device(
    public_id: &PublicId,
    material: SecretBytes,
    code_secret: Option<SecretBytes>,
    next_position: u64,
) -> NewDevice {
    NewDevice {
        name: "YubiKey".to_owned(),
        shown: Some(public_id.masked()),
        material,
        code_secret,
        next_position,
        codes: Vec::new(),
        public_id: Some(public_id.clone()),
    }
}

/// Opens a password by the secrets of a stored key; one that validation servers judge is foreign here.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn open(device: &StoredDevice, typed: &TypedOtp) -> Result<Opened, StoreError> {
    match Judge::read(&device.material)? {
        Judge::Secrets(secrets) => Ok(secrets.open(device.pk, device.next_position, typed)),
        Judge::Servers(_) => Ok(Opened::Foreign),
    }
}

/// The options of `prepare-device`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    judged_by: JudgedBy,
    /// In modhex.
    public_id: Option<String>,
    /// In hexadecimal.
    private_id: Option<String>,
    /// In hexadecimal.
    key: Option<String>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum JudgedBy {
    /// Its secrets, which are given or made here.
    #[default]
    Secrets,
    /// The validation servers of the configuration.
    Servers,
}

impl Drop for Options {
    fn drop(&mut self) {
        self.private_id.zeroize();
        self.key.zeroize();
    }
}

fn options(given: &Value) -> Result<Options, KindError> {
    match given {
        Value::Null => Ok(Options::default()),
        // The text of the error could repeat a secret.
        given => Options::deserialize(given).map_err(|_| {
            KindError::Options(
                "the options of this kind are judged_by (\"secrets\" or \"servers\"), public_id (modhex), \
                 private_id (12 hexadecimal digits) and key (32 hexadecimal digits)"
                    .to_owned(),
            )
        }),
    }
}

/// Bytes that were given, or new ones.
fn bytes(
    around: &Surroundings<'_>,
    given: Option<&str>,
    length: usize,
    what: &str,
) -> Result<SecretBytes, KindError> {
    if let Some(hex) = given {
        let read = HEX.decode(hex.as_bytes()).ok().map(SecretBytes::new);
        return read
            .filter(|bytes| bytes.expose().len() == length)
            .ok_or_else(|| KindError::Options(format!("{what} must be {} hexadecimal digits", 2 * length)));
    }
    let mut made = vec![0; length];
    around.random.fill(&mut made).map_err(StoreError::from)?;
    Ok(SecretBytes::new(made))
}

fn public_id(around: &Surroundings<'_>, given: Option<&str>) -> Result<PublicId, KindError> {
    if let Some(text) = given {
        return PublicId::parse(text).map_err(|error| KindError::Options(error.to_string()));
    }
    let mut made = [0; NEW_PUBLIC_ID];
    around.random.fill(&mut made).map_err(StoreError::from)?;
    let [first, ..] = &mut made;
    *first = OWN_PREFIX;
    Ok(PublicId::of_bytes(&made).ok_or(UNREADABLE)?)
}

impl Kind for Yubikey {
    fn description(&self) -> Description {
        Description { pk: 8, name: NAME, description: "A YubiKey that types a password when it is touched" }
    }

    fn prepare(&self, around: &Surroundings<'_>, _: i64, given: &Value) -> Result<Step, KindError> {
        let options = options(given)?;
        if options.judged_by == JudgedBy::Servers {
            if options.public_id.is_some() || options.private_id.is_some() || options.key.is_some() {
                return Err(KindError::Options(
                    "a key that validation servers judge tells its public id by one touch: give no secrets"
                        .to_owned(),
                ));
            }
            return Ok(Step { state: Judge::Servers(None).keep()?, shown: None, send: None });
        }
        let secrets = Secrets {
            public_id: public_id(around, options.public_id.as_deref())?,
            private_id: bytes(around, options.private_id.as_deref(), PRIVATE_ID, "private_id")?,
            key: bytes(around, options.key.as_deref(), KEY, "key")?,
        };
        // What was brought along is known where it came from.
        let mut shown = json!({ "public_id": secrets.public_id.as_str() });
        for (name, given, made) in
            [("private_id", &options.private_id, &secrets.private_id), ("key", &options.key, &secrets.key)]
        {
            if let (None, Some(fields)) = (given, shown.as_object_mut()) {
                fields.insert(name.to_owned(), Value::String(HEX.encode(made.expose())));
            }
        }
        Ok(Step { state: Judge::Secrets(secrets).keep()?, shown: Some(shown), send: None })
    }

    fn enroll(
        &self,
        _: &Surroundings<'_>,
        _: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError> {
        let Some(typed) = typed(token) else { return Ok(Enrolled::Refused) };
        match Judge::read(state)? {
            Judge::Servers(_) => {
                let material = Judge::Servers(Some(typed.public_id().clone())).keep()?;
                let device = new_device(typed.public_id(), material, None, 0);
                Ok(Enrolled::Ask(typed, device))
            }
            Judge::Secrets(secrets) => match secrets.open(DeviceId(0), 0, &typed) {
                Opened::Fresh(verified, _) => {
                    Ok(Enrolled::Device(secrets.device(verified.position().saturating_add(1))?))
                }
                Opened::Passed(_) | Opened::Foreign => Ok(Enrolled::Refused),
            },
        }
    }

    fn challenge(&self, _: &Surroundings<'_>, _: &StoredDevice, _: i64) -> Result<Option<Step>, KindError> {
        Ok(None)
    }

    fn answer(
        &self,
        _: &Surroundings<'_>,
        device: &StoredDevice,
        _: Option<(i64, &SecretBytes)>,
        token: &Token,
    ) -> Result<Answered, KindError> {
        let Some(typed) = typed(token) else { return Ok(Answered::Refused) };
        match Judge::read(&device.material)? {
            Judge::Servers(known) if known.as_ref() == Some(typed.public_id()) => Ok(Answered::Ask(typed)),
            Judge::Servers(_) => Ok(Answered::Refused),
            Judge::Secrets(secrets) => match secrets.open(device.pk, device.next_position, &typed) {
                Opened::Fresh(verified, _) => Ok(Answered::Verified(verified, Spend::Position)),
                Opened::Passed(_) | Opened::Foreign => Ok(Answered::Refused),
            },
        }
    }

    fn tried(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        token: &Token,
    ) -> Option<Result<Answered, KindError>> {
        let typed = typed(token)?;
        let is_its_own = match Judge::read(&device.material).ok()? {
            Judge::Secrets(secrets) => secrets.public_id == *typed.public_id(),
            Judge::Servers(known) => known.as_ref() == Some(typed.public_id()),
        };
        is_its_own.then(|| self.answer(around, device, None, token))
    }
}

fn typed(token: &Token) -> Option<TypedOtp> {
    token.text().and_then(TypedOtp::read)
}
