//! What TOTP and HOTP have in common: a secret, made here or brought along, and a URI for an app.

use std::io::Cursor;

use data_encoding::{BASE32_NOPAD, BASE64};
use oss2fa_core::factor::otp::{Digits, OtpParameters};
use oss2fa_core::otpauth::Provisioning;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::{FactorKind, Verified};
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Answered, KindError, Spend, Step, StoredDevice, Surroundings, Token};
use crate::store::error::StoreError;

/// Pixels of one module of the QR code, and modules of white around it.
const SCALE: usize = 10;
const QUIET: usize = 4;

/// What is kept of a one-time-password device, sealed.
pub(super) struct Material {
    pub(super) secret: SecretBytes,
    pub(super) parameters: OtpParameters,
    /// The next counter of a device that is being enrolled.
    pub(super) counter: u64,
}

/// The options of `prepare-device`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// A PNG of the provisioning URI, in base64.
    #[serde(default)]
    generate_qr_code: bool,
    /// The secret of a hardware token that was delivered with one, in base32.
    secret: Option<String>,
    /// The next counter of such a token.
    counter: Option<u64>,
}

/// Makes or takes the secret, and shows the URI.
pub(super) fn prepare(
    around: &Surroundings<'_>,
    kind: FactorKind,
    options: &Value,
) -> Result<Step, KindError> {
    let options = match options {
        Value::Null => Options { generate_qr_code: false, secret: None, counter: None },
        // The text of a serde error can repeat what was sent: a secret.
        given => Options::deserialize(given).map_err(|_| {
            let words = "the options of this kind are generate_qr_code (true or false), secret (text, in base32) and \
                         counter (a number)";
            KindError::Options(words.to_owned())
        })?,
    };
    if kind == FactorKind::Totp && options.counter.is_some() {
        return Err(KindError::Options("a time-based device has no counter".to_owned()));
    }
    let digits = Digits::new(around.policy.code_length.min(8))
        .map_err(|_| StoreError::Corrupt("a policy with an impossible length of codes"))?;
    let parameters = OtpParameters { digits, ..OtpParameters::default() };
    let secret = match options.secret.map(Zeroizing::new) {
        Some(given) => brought_along(&given)?,
        None => {
            let mut bytes = vec![0; parameters.algorithm.secret_length()];
            around.random.fill(&mut bytes).map_err(StoreError::from)?;
            SecretBytes::new(bytes)
        }
    };
    let counter = options.counter.unwrap_or(0);
    if counter > oss2fa_core::factor::otp::MAX_POSITION {
        return Err(KindError::Options("the counter is beyond every counter".to_owned()));
    }
    let provisioning = Provisioning {
        kind,
        issuer: around.issuer.to_owned(),
        account: around.username.as_str().to_owned(),
        secret: secret.clone(),
        parameters,
        counter,
    };
    let uri = provisioning.to_short_uri();
    let mut shown = json!({ "provisioning_uri": uri.expose() });
    if options.generate_qr_code
        && let Some(fields) = shown.as_object_mut()
    {
        fields.insert("qr_code".to_owned(), Value::String(qr_code(uri.expose())?));
    }
    let material = Material { secret, parameters, counter };
    Ok(Step { state: material.keep(), shown: Some(shown), send: None })
}

fn brought_along(text: &str) -> Result<SecretBytes, KindError> {
    let plain: Zeroizing<String> = Zeroizing::new(
        text.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).map(|c| c.to_ascii_uppercase()).collect(),
    );
    match BASE32_NOPAD.decode(plain.as_bytes()) {
        // RFC 4226 section 4, R6: at least 128 bits.
        Ok(bytes) if (16..=128).contains(&bytes.len()) => Ok(SecretBytes::new(bytes)),
        _ => Err(KindError::Options("the secret must be 16 to 128 bytes in base32".to_owned())),
    }
}

/// A PNG in base64, black on white, with the quiet zone that readers need (ISO/IEC 18004 section 5.3.8).
fn qr_code(text: &str) -> Result<String, KindError> {
    let impossible = |_| KindError::Options("the provisioning URI is too long for a QR code".to_owned());
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(impossible)?;
    let modules = code.width();
    let side = (modules + 2 * QUIET) * SCALE;
    let colors = code.to_colors();
    let mut pixels = vec![0xff_u8; side.div_ceil(8) * side];
    for (at, _) in colors.iter().enumerate().filter(|(_, color)| **color == qrcode::Color::Dark) {
        let (left, top) = ((at % modules + QUIET) * SCALE, (at / modules + QUIET) * SCALE);
        for (y, x) in (top..top + SCALE).flat_map(|y| (left..left + SCALE).map(move |x| (y, x))) {
            if let Some(byte) = pixels.get_mut(y * side.div_ceil(8) + x / 8) {
                *byte &= !(0x80 >> (x % 8));
            }
        }
    }
    let mut png = Cursor::new(Vec::new());
    let mut write = || {
        let side = u32::try_from(side).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut png, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder.write_header()?.write_image_data(&pixels)
    };
    write().map_err(|_: png::EncodingError| StoreError::Corrupt("a picture that cannot be written"))?;
    Ok(BASE64.encode(&Zeroizing::new(png.into_inner())))
}

/// What is kept of the device, where the token has as many digits as its codes.
pub(super) fn of_shape(device: &StoredDevice, token: &Token) -> Option<Material> {
    let (material, code) = (Material::read(&device.material).ok()?, token.text()?);
    oss2fa_core::factor::otp::looks_like(code, material.parameters.digits).then_some(material)
}

/// The answer with what a check has found.
pub(super) fn answered(found: Option<Verified>) -> Answered {
    found.map_or(Answered::Refused, |verified| Answered::Verified(verified, Spend::Position))
}
