//! Provisioning URIs (`otpauth://`), as authenticator applications read them from a QR code.
//!
//! The format is that of the "Key URI Format" page of google-authenticator. Reading is strict: what
//! could mean two things is refused, and no error repeats a part of the URI.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::base32;
use crate::factor::otp::{Algorithm, BadParameter, Digits, MAX_POSITION, OtpParameters, Period};
use crate::secret::{SecretBytes, SecretText};
use crate::verdict::FactorKind;

/// Longest URI that is read, in bytes.
pub const MAX_URI: usize = 4096;

const SCHEME: &str = "otpauth://";
// RFC 3986 section 2.3, and the sign that account names like "ferris@example.org" have.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// All that an authenticator application needs to know about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioning {
    /// [`FactorKind::Totp`] or [`FactorKind::Hotp`].
    pub kind: FactorKind,
    /// Who asks for the codes; may be empty. The format has no place for a colon in it.
    pub issuer: String,
    /// Whose codes these are.
    pub account: String,
    /// The shared secret.
    pub secret: SecretBytes,
    /// How the codes are made.
    pub parameters: OtpParameters,
    /// The next counter (HOTP); 0 for TOTP.
    pub counter: u64,
}

/// Why a text is not a provisioning URI that can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtpauthError {
    /// Longer than [`MAX_URI`].
    TooLong,
    /// Not of the form `otpauth://TYPE/LABEL?PARAMETERS`.
    Malformed,
    /// Neither `totp` nor `hotp`.
    UnknownType,
    /// The label has no account name, or one with control characters, or one that begins with a colon
    /// and so could be read as two names.
    Account,
    /// The label names one issuer and the parameter another.
    IssuersDiffer,
    /// A parameter without which there is no device.
    Missing(&'static str),
    /// A parameter that stands there twice.
    Duplicate(&'static str),
    /// A parameter that is not known, and that may change how codes are made.
    UnknownParameter,
    /// The secret is not base32 of 1 to 128 bytes.
    Secret,
    /// The counter is not a number that fits.
    Counter,
    /// Algorithm, digits or period.
    Parameter(BadParameter),
}

impl fmt::Display for OtpauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the URI is longer than {MAX_URI} bytes"),
            Self::Malformed => f.write_str("this is not a URI of the form otpauth://TYPE/LABEL?secret=..."),
            Self::UnknownType => f.write_str("the type of the URI is neither totp nor hotp"),
            Self::Account => f.write_str("the label of the URI does not name an account"),
            Self::IssuersDiffer => f.write_str("the URI names two different issuers"),
            Self::Missing(name) => write!(f, "the URI has no parameter {name}"),
            Self::Duplicate(name) => write!(f, "the URI has the parameter {name} twice"),
            Self::UnknownParameter => f.write_str(
                "the URI has a parameter that is not known \
                 (known are secret, issuer, algorithm, digits, period, counter)",
            ),
            Self::Secret => f.write_str("the secret of the URI is not base32 of 1 to 128 bytes"),
            Self::Counter => f.write_str("the counter of the URI is not a number that can be used"),
            Self::Parameter(bad) => bad.fmt(f),
        }
    }
}

impl std::error::Error for OtpauthError {}

impl From<BadParameter> for OtpauthError {
    fn from(bad: BadParameter) -> Self {
        Self::Parameter(bad)
    }
}

impl Provisioning {
    /// The URI, with every parameter. It holds the secret: it is for the owner's eyes, once.
    #[must_use]
    pub fn to_uri(&self) -> SecretText {
        self.written(Spelling::Full)
    }

    /// The URI without what an application takes for granted: `algorithm=SHA1`, `digits=6`, `period=30`.
    /// A smaller picture for the same device.
    #[must_use]
    pub fn to_short_uri(&self) -> SecretText {
        self.written(Spelling::Short)
    }

    fn written(&self, spelling: Spelling) -> SecretText {
        let issuer = utf8_percent_encode(&self.issuer, KEPT).to_string();
        let account = utf8_percent_encode(&self.account, KEPT).to_string();
        let secret = Zeroizing::new(BASE32_NOPAD.encode(self.secret.expose()));
        // Reserved whole, so that no copy of the secret stays behind in a buffer that was grown out of.
        let mut uri = String::with_capacity(128 + 2 * issuer.len() + account.len() + secret.len());
        let hotp = self.kind == FactorKind::Hotp;
        uri.extend([SCHEME, if hotp { "hotp/" } else { "totp/" }]);
        if !issuer.is_empty() {
            uri.extend([&issuer, ":"]);
        }
        uri.extend([&account, "?secret=", &secret]);
        if !issuer.is_empty() {
            uri.extend(["&issuer=", &issuer]);
        }
        let OtpParameters { algorithm, digits, period } = self.parameters;
        let usual = OtpParameters::default();
        if spelling == Spelling::Full || algorithm != usual.algorithm {
            uri.extend(["&algorithm=", &algorithm.as_str().to_ascii_uppercase()]);
        }
        if spelling == Spelling::Full || digits != usual.digits {
            uri.extend(["&digits=", &digits.to_string()]);
        }
        // A counter has no default: the format asks for it.
        if hotp {
            uri.extend(["&counter=", &self.counter.to_string()]);
        } else if spelling == Spelling::Full || period != usual.period {
            uri.extend(["&period=", &period.to_string()]);
        }
        SecretText::new(uri)
    }
}

/// How much of a device a URI spells out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Full,
    Short,
}

/// Reads a URI.
///
/// # Errors
/// An [`OtpauthError`], which never repeats a part of the URI.
pub fn parse(uri: &str) -> Result<Provisioning, OtpauthError> {
    if uri.len() > MAX_URI {
        return Err(OtpauthError::TooLong);
    }
    let (scheme, rest) = uri.trim().split_at_checked(SCHEME.len()).ok_or(OtpauthError::Malformed)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) || rest.contains('#') {
        return Err(OtpauthError::Malformed);
    }
    let (path, query) = rest.split_once('?').ok_or(OtpauthError::Malformed)?;
    let (kind, label) = path.split_once('/').ok_or(OtpauthError::Malformed)?;
    let kind = [FactorKind::Totp, FactorKind::Hotp]
        .into_iter()
        .find(|known| kind.eq_ignore_ascii_case(known.as_str()))
        .ok_or(OtpauthError::UnknownType)?;
    let query = Query::read(query)?;
    let (issuer, account) = names(&decoded(label)?, query.issuer.as_ref())?;
    let defaults = OtpParameters::default();
    let parameters = OtpParameters {
        algorithm: query.algorithm.map_or(Ok(defaults.algorithm), |text| text.parse::<Algorithm>())?,
        digits: query.digits.map_or(Ok(defaults.digits), |text| text.parse::<Digits>())?,
        period: query.period.map_or(Ok(defaults.period), |text| text.parse::<Period>())?,
    };
    let secret = query.secret.ok_or(OtpauthError::Missing("secret"))?;
    let secret = base32::decode(&secret).ok_or(OtpauthError::Secret)?;
    let counter = match (kind, query.counter) {
        (FactorKind::Hotp, Some(text)) => counter(&text).ok_or(OtpauthError::Counter)?,
        (FactorKind::Hotp, None) => return Err(OtpauthError::Missing("counter")),
        // A time-based device that counts is a contradiction.
        (_, Some(_)) => return Err(OtpauthError::UnknownParameter),
        (_, None) => 0,
    };
    Ok(Provisioning { kind, issuer, account, secret, parameters, counter })
}

fn counter(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|counter| plain && *counter <= MAX_POSITION)
}

type Text = Zeroizing<String>;

#[derive(Default)]
struct Query {
    secret: Option<Text>,
    issuer: Option<Text>,
    algorithm: Option<Text>,
    digits: Option<Text>,
    period: Option<Text>,
    counter: Option<Text>,
}

impl Query {
    fn read(query: &str) -> Result<Self, OtpauthError> {
        let mut read = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(OtpauthError::Malformed)?;
            let (name, place) = match name {
                "secret" => ("secret", &mut read.secret),
                "issuer" => ("issuer", &mut read.issuer),
                "algorithm" => ("algorithm", &mut read.algorithm),
                "digits" => ("digits", &mut read.digits),
                "period" => ("period", &mut read.period),
                "counter" => ("counter", &mut read.counter),
                // What the entry looks like in the application's list.
                "image" | "icon" | "color" => continue,
                _ => return Err(OtpauthError::UnknownParameter),
            };
            if place.replace(decoded(value)?).is_some() {
                return Err(OtpauthError::Duplicate(name));
            }
        }
        Ok(read)
    }
}

/// Issuer and account, from the label and the parameter.
fn names(label: &str, parameter: Option<&Text>) -> Result<(String, String), OtpauthError> {
    let (issuer, account) = match parameter.map(|text| text.as_str()).filter(|text| !text.is_empty()) {
        // Form encoders write a blank as a plus.
        Some(issuer) => [issuer.to_owned(), issuer.replace('+', " ")]
            .into_iter()
            .find_map(|issuer| {
                let account = label.strip_prefix(issuer.as_str())?.strip_prefix(':')?.to_owned();
                Some((issuer, account))
            })
            .or_else(|| (!label.contains(':')).then(|| (issuer.to_owned(), label.to_owned())))
            .ok_or(OtpauthError::IssuersDiffer)?,
        None => {
            let (issuer, account) = label.split_once(':').unwrap_or(("", label));
            (issuer.to_owned(), account.to_owned())
        }
    };
    let account = account.trim().to_owned();
    // Without an issuer before it, what stands before a colon would be read as one.
    let two_names = issuer.is_empty() && account.contains(':');
    if account.is_empty() || two_names || account.chars().chain(issuer.chars()).any(char::is_control) {
        return Err(OtpauthError::Account);
    }
    Ok((issuer, account))
}

/// Undoes percent-encoding (RFC 3986 section 2.1); half an escape, or bytes that are not UTF-8, are refused.
fn decoded(text: &str) -> Result<Text, OtpauthError> {
    // Reserved whole: this may be the secret.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut hex = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (hex(), hex()) else { return Err(OtpauthError::Malformed) };
        bytes.push((high * 16 + low) as u8);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(OtpauthError::Malformed),
    }
}
