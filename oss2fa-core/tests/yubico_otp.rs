//! Yubico OTP against an independent generator: the passwords were made by `ykgenerate` of Debian's libyubikey-dev.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail where it likes")]
#![cfg(feature = "factors")]

use data_encoding::HEXLOWER;
use oss2fa_core::factor::modhex;
use oss2fa_core::factor::yubico_otp::{Opened, PublicId, Touch, TypedOtp, Yubikey};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

/// Key, private id, session counter, clock (low 16 bits, high 8 bits), use counter, all hexadecimal, and what
/// `ykgenerate` made of them.
const MADE: &str = include_str!("data/yubico_otp.txt");

struct Vector {
    key: SecretBytes,
    private_id: SecretBytes,
    touch: Touch,
    block: String,
}

fn vectors() -> Vec<Vector> {
    let hex = |text: &str| SecretBytes::new(HEXLOWER.decode(text.as_bytes()).unwrap());
    let number = |text: &str| u32::from_str_radix(text, 16).unwrap();
    MADE.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [key, private_id, session, low, high, used, block] = fields[..] else { panic!("{line}") };
            let touch = Touch {
                session: u16::try_from(number(session)).unwrap(),
                used: u8::try_from(number(used)).unwrap(),
                clock: number(high) << 16 | number(low),
            };
            Vector { key: hex(key), private_id: hex(private_id), touch, block: block.to_owned() }
        })
        .collect()
}

impl Vector {
    fn open(&self, public_id: &str, typed: &str, next_position: u64) -> Opened {
        let public_id = &PublicId::parse(public_id).unwrap();
        let (private_id, key) = (&self.private_id, &self.key);
        let yubikey = Yubikey { device: DeviceId(7), public_id, private_id, key, next_position };
        yubikey.open(&TypedOtp::read(typed).expect(typed))
    }
}

const PUBLIC: &str = "cccccccbcgujh";

#[test]
fn what_the_peer_made_opens_to_its_counters() {
    let public = &PUBLIC[1..];
    let vectors = vectors();
    assert!(vectors.len() >= 6);
    for vector in &vectors {
        let typed = format!("{public}{}", vector.block);
        let Opened::Fresh(verified, touch) = vector.open(public, &typed, 0) else { panic!("{typed}") };
        assert_eq!(touch, vector.touch);
        let position = u64::from(touch.session) << 8 | u64::from(touch.used);
        assert_eq!((verified.position(), verified.kind()), (position, FactorKind::YubicoOtp));
        assert_eq!(verified.device(), DeviceId(7));
        // At its own position, not below it.
        assert!(matches!(vector.open(public, &typed, position), Opened::Fresh(..)));
        assert_eq!(vector.open(public, &typed, position + 1), Opened::Passed(touch));
        // With caps lock, and with what a terminal adds.
        assert!(matches!(
            vector.open(public, &format!(" {}\r\n", typed.to_uppercase()), 0),
            Opened::Fresh(..)
        ));
        // As the key of somebody else.
        assert_eq!(vector.open("cccccccccccc", &typed, 0), Opened::Foreign);
    }
}

#[test]
fn another_key_another_private_id_and_any_changed_letter_are_foreign() {
    let public = &PUBLIC[1..];
    for vector in vectors() {
        let typed = format!("{public}{}", vector.block);
        let mut wrong = vec![];
        for bit in [0, 7, 127] {
            let mut key = vector.key.expose().to_vec();
            key[bit / 8] ^= 1 << (bit % 8);
            wrong.push(Vector {
                key: SecretBytes::new(key),
                private_id: vector.private_id.clone(),
                ..copy(&vector)
            });
        }
        for private_id in [vec![9; 6], vec![], vector.private_id.expose()[..5].to_vec(), vec![0; 7]] {
            wrong.push(Vector { private_id: SecretBytes::new(private_id), ..copy(&vector) });
        }
        for key in [vec![], vec![0; 15], vec![0; 32]] {
            wrong.push(Vector { key: SecretBytes::new(key), ..copy(&vector) });
        }
        for vector in wrong {
            assert_eq!(vector.open(public, &typed, 0), Opened::Foreign);
        }
        for at in 0..32 {
            let mut block = vector.block.clone();
            let other = if &block[at..=at] == "c" { "b" } else { "c" };
            block.replace_range(at..=at, other);
            assert_eq!(vector.open(public, &format!("{public}{block}"), 0), Opened::Foreign, "{at}");
        }
    }
}

fn copy(vector: &Vector) -> Vector {
    Vector {
        key: vector.key.clone(),
        private_id: vector.private_id.clone(),
        touch: vector.touch,
        block: vector.block.clone(),
    }
}

#[test]
fn what_is_no_password_is_not_read() {
    let block = "c".repeat(32);
    for typed in [
        String::new(),
        block.clone(),
        format!("c{block}"),
        format!("ccc{block}"),
        format!("a{}{block}", "c".repeat(11)),
        format!("{}{block}", "c".repeat(34)),
        format!("cc{}", "c".repeat(31)),
        format!("cc{}a", "c".repeat(31)),
        format!("cc {block}"),
        format!("cc\u{e9}{block}"),
        format!("cc{block}\0"),
        "123456".to_owned(),
    ] {
        assert!(TypedOtp::read(&typed).is_none(), "{typed:?}");
    }
    for public in ["cc", &"v".repeat(32)] {
        let typed = TypedOtp::read(&format!("{public}{block}")).unwrap();
        assert_eq!(typed.public_id().as_str(), public);
        assert_eq!(*typed.expose(), format!("{public}{block}"));
        assert!(!format!("{typed:?}").contains(&block));
    }
}

#[test]
fn a_public_id_is_shown_by_its_end() {
    for (id, shown) in [("ccccccbcgujh", "********gujh"), ("cbde", "**de"), ("vb", "*b")] {
        assert_eq!(PublicId::parse(id).unwrap().masked(), shown);
    }
}

proptest! {
    #[test]
    fn modhex_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let text = modhex::encode(&bytes);
        prop_assert_eq!(modhex::decode(&text), Some(bytes.clone()));
        prop_assert_eq!(modhex::decode(&text.to_uppercase()), Some(bytes));
    }
}
