//! What several validation servers answer to one question: signed, signed and changed on the way, or signed by nobody.
//!
//! The first byte says whether some of them do not answer in time. Then come the answers, with a zero between them; the
//! first byte of each says what becomes of it. Control characters stand for the password and for the nonce.

use std::collections::BTreeMap;

use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::factor::yubico_servers::{Decided, Hearing};
use oss2fa_core::factor::yubico_validation::{ApiKey, LONGEST_ANSWER, Question};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;

const OTP: &str = "vvcccccccccbudelvecubhnnrglftvvvvkftcnrjldhf";
const NONCE: &str = "aef3a7835277a28da831005c2ae3b919e2076a62";
const DEVICE: DeviceId = DeviceId(7);

type Fields = BTreeMap<String, String>;

/// Only what was signed decides, for and against: nobody on the way lets somebody in, or has a password taken for wrong.
/// What was signed, and says so in full, lets in.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [late, answers @ ..] = data else { return };
    let Ok(answers) = std::str::from_utf8(answers) else { return };
    let (Some(otp), Some(key), Some(other)) = (TypedOtp::read(OTP), key(3), key(4)) else {
        panic!("neither a password nor keys")
    };
    let question = Question { device: DEVICE, otp: &otp, nonce: NONCE, key: &key };
    let mut hearing = Hearing::default();
    let (mut seen, mut decided) = (false, None);
    for answer in answers.split('\0').take(8) {
        let Some(answer) = Answer::make(answer, &key, &other) else { continue };
        let body = answer.body.as_deref().ok_or_else(|| "it is dead".to_owned());
        let heard = hearing.hear("https://here", &question, body);
        answer.look_at(heard.as_ref());
        seen |= heard.is_none() && answer.says("REPLAYED_REQUEST") && answer.is_about_it();
        if heard.is_some() {
            decided = heard;
            break;
        }
    }
    let is_late = late % 2 == 1;
    let decided = match decided {
        Some(decided) => decided,
        None if is_late => hearing.time_up(0.5),
        None => {
            let end = hearing.all_heard();
            assert_eq!(end == Decided::Wrong, seen, "spent, though no server has said so");
            end
        }
    };
    if let Decided::NoAnswer(why) = decided {
        assert!(why.iter().all(|why| why.len() < 200 && !why.contains(OTP) && !why.contains(NONCE)));
    }
}

fn key(byte: u8) -> Option<ApiKey> {
    ApiKey::new(SecretBytes::new(vec![byte; 20]))
}

struct Answer {
    /// As it arrives; `None`: it does not.
    body: Option<String>,
    /// What was signed, and arrived unchanged, whatever stands between it.
    signed: Option<Fields>,
}

impl Answer {
    fn make(written: &str, key: &ApiKey, other: &ApiKey) -> Option<Self> {
        let how = *written.as_bytes().first().filter(|byte| byte.is_ascii())?;
        let text = written[1..].replace('\u{1}', OTP).replace('\u{2}', NONCE);
        let (signer, changes) = match how % 5 {
            0 => return Some(Self { body: None, signed: None }),
            1 => return Some(Self { body: Some(text), signed: None }),
            2 => (other, false),
            3 => (key, true),
            _ => (key, false),
        };
        let (change, text) = if changes { text.split_once('|')? } else { ("", &*text) };
        let mut fields = fields(text)?;
        let signature = signer.sign(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut body = format!("h={signature}\r\n");
        fields.remove("h");
        for (name, value) in &fields {
            body.push_str(&format!("{name}={value}\r\n"));
        }
        fields.insert("h".to_owned(), signature);
        let body = changed(&body, change);
        let arrived = self::fields(&body).filter(|arrived| *arrived == fields);
        let signed = arrived.filter(|_| how % 5 != 2 && body.len() <= LONGEST_ANSWER);
        Some(Self { body: Some(body), signed })
    }

    fn says(&self, status: &str) -> bool {
        self.field("status") == Some(status)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.signed.as_ref()?.get(name).map(String::as_str)
    }

    /// It means the question that was asked.
    fn is_about_it(&self) -> bool {
        let otp = self.field("otp").map(|otp| otp.trim().to_ascii_lowercase());
        self.field("nonce") == Some(NONCE) && otp.as_deref() == Some(OTP)
    }

    fn counts(&self) -> bool {
        let number = |name| {
            let digits = self.field(name).unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        ["sessioncounter", "sessionuse", "timestamp"].into_iter().all(number)
    }

    fn look_at(&self, heard: Option<&Decided>) {
        match heard {
            Some(Decided::Right(verified)) => {
                assert!(self.says("OK") && self.is_about_it() && self.counts(), "let in: {:?}", self.body);
                assert_eq!((verified.device(), verified.kind()), (DEVICE, FactorKind::YubicoOtp));
            }
            Some(Decided::Wrong) => {
                assert!(self.says("BAD_OTP") || self.says("REPLAYED_OTP"), "refused: {:?}", self.body);
                assert!(self.is_about_it());
            }
            Some(Decided::NoAnswer(_)) => panic!("one answer is not all"),
            None => {
                let is_right = self.says("OK") && self.is_about_it();
                let is_small = |name| self.field(name).is_some_and(|digits| digits.len() < 3);
                let counters = ["sessioncounter", "sessionuse", "timestamp"];
                assert!(!(is_right && self.counts() && counters.into_iter().all(is_small)), "not let in");
            }
        }
    }
}

/// `name=value` in each line, each name once.
fn fields(text: &str) -> Option<Fields> {
    let mut fields = Fields::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=')?;
        let is_new = fields.insert(name.to_owned(), value.to_owned()).is_none();
        if !is_new || name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
    }
    Some(fields)
}

/// `AT:TEXT` puts TEXT in the place of as many bytes from AT on.
fn changed(body: &str, change: &str) -> String {
    let whole = || body.to_owned();
    let Some((at, text)) = change.split_once(':') else { return whole() };
    let Ok(at) = at.parse::<usize>() else { return whole() };
    let Some((before, behind)) = body.split_at_checked(at) else { return whole() };
    let rest = behind.get(text.len().min(behind.len())..).unwrap_or_default();
    format!("{before}{text}{rest}")
}
