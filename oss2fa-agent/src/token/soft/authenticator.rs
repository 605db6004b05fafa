//! What goes on inside a key of software.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use aes::cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use oss2fa_ctap::cbor::{self, Value};
use oss2fa_ctap::cose::PublicKey;
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

/// What a key speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    U2f,
    Ctap2,
    Both,
}

impl Protocol {
    pub(super) fn capabilities(self) -> u8 {
        match self {
            Self::U2f => 0x00,
            Self::Ctap2 => 0x0c,
            Self::Both => 0x04,
        }
    }
}

/// A key; its clones are the same one.
#[derive(Clone)]
pub(crate) struct SoftKey(Arc<Mutex<Inside>>);

pub(crate) struct Inside {
    pub(super) protocol: Protocol,
    pub(crate) gone: bool,
    /// How many have it open, and how often it has blinked and was told to stop.
    pub(crate) open: usize,
    pub(crate) blinking: usize,
    pub(crate) cancelled: usize,
    /// How often it said that it waits for a touch.
    pub(crate) reminded: usize,
    /// When it last answered after a touch.
    pub(crate) answered_at: Option<Instant>,
    /// The signature counter, and by how much it goes up.
    pub(crate) count: u32,
    pub(crate) step: u32,
    pub(crate) tries_left: u8,
    /// Its reader of fingers, where it has one.
    pub(crate) reader: Option<Reader>,
    /// It tells what is on it only to who has shown the PIN.
    pub(crate) tells_nothing: bool,
    touched: bool,
    pin: Option<String>,
    seed: u8,
    /// Who made it, where it tells: a key and its certificate.
    maker: Option<(rcgen::KeyPair, Vec<u8>)>,
    credentials: Vec<(Vec<u8>, [u8; 32], Vec<u8>)>,
}

/// Which finger touches a key that looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finger {
    ItsOwners,
    Another,
}

/// What looks at fingers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) tries_left: u8,
    pub(crate) finger: Finger,
    most: u8,
}

/// A scalar of the curve that nobody else uses.
const AGREEMENT: [u8; 32] = [9; 32];
const TOKEN: [u8; 32] = [7; 32];

impl SoftKey {
    /// Keys of different numbers are different keys.
    pub(crate) fn new(protocol: Protocol, number: u8) -> Self {
        Self(Arc::new(Mutex::new(Inside {
            protocol,
            gone: false,
            open: 0,
            blinking: 0,
            cancelled: 0,
            reminded: 0,
            answered_at: None,
            count: 0,
            step: 1,
            tries_left: 8,
            reader: None,
            tells_nothing: false,
            touched: false,
            pin: None,
            seed: number,
            maker: None,
            credentials: Vec::new(),
        })))
    }

    pub(crate) fn with_pin(self, pin: &str) -> Self {
        self.inside().pin = Some(pin.to_owned());
        self
    }

    /// It recognises its owner by a finger, with so many tries (CTAP 2.1).
    pub(crate) fn with_reader(self, tries: u8) -> Self {
        self.inside().reader = Some(Reader { tries_left: tries, finger: Finger::ItsOwners, most: tries });
        self
    }

    /// This finger touches it.
    pub(crate) fn touch_by(&self, finger: Finger) {
        if let Some(reader) = &mut self.inside().reader {
            reader.finger = finger;
        }
        self.touch();
    }

    /// Its maker vouches for it, by this key and its certificate.
    pub(crate) fn made_by(self, key: rcgen::KeyPair, certificate: Vec<u8>) -> Self {
        self.inside().maker = Some((key, certificate));
        self
    }

    /// Another device, which calls itself this key and cannot sign as it does.
    pub(crate) fn forged(&self) -> Self {
        let own = self.inside();
        let forged = Self::new(own.protocol, own.seed.wrapping_add(100));
        forged.inside().credentials = own.credentials.clone();
        forged
    }

    /// The next request that waits for a touch, or will, has it.
    pub(crate) fn touch(&self) {
        self.inside().touched = true;
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }
}

impl Inside {
    pub(super) fn take_touch(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    fn signing_key(&self, id: &[u8]) -> SigningKey {
        SigningKey::from_slice(&Sha256::digest([&[self.seed], id].concat())).unwrap()
    }

    fn make(&mut self, rp_hash: [u8; 32], owner: &[u8]) -> (Vec<u8>, PublicKey) {
        let id = Sha256::digest([&[self.seed, self.credentials.len() as u8], rp_hash.as_slice()].concat());
        let point = self.signing_key(&id).verifying_key().to_sec1_point(false);
        self.credentials.push((id.to_vec(), rp_hash, owner.to_vec()));
        (id.to_vec(), PublicKey::from_point(point.as_bytes()).unwrap())
    }

    /// A credential for another program, as that writes it down: id and coordinates in hexadecimal.
    pub(crate) fn made_for(&mut self, rp: &str) -> (String, String) {
        let (id, public_key) = self.make(Sha256::digest(rp.as_bytes()).into(), b"");
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        (hex(&id), hex(&public_key_point(&public_key)[1..]))
    }

    fn has(&self, id: &[u8], rp_hash: &[u8]) -> bool {
        self.credentials.iter().any(|(known, of, _)| known == id && of == rp_hash)
    }

    fn sign(&self, id: &[u8], message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.signing_key(id).sign(message);
        signature.to_der().as_bytes().to_vec()
    }

    fn next_count(&mut self) -> [u8; 4] {
        self.count += self.step;
        self.count.to_be_bytes()
    }

    /// FIDO U2F Raw Message Formats 1.2.
    pub(super) fn u2f(&mut self, request: &[u8]) -> Vec<u8> {
        let word = |word: u16| word.to_be_bytes().to_vec();
        let data = request.get(7..).unwrap_or_default().to_vec();
        match (request[1], request[2]) {
            (3, _) => [b"U2F_V2".as_slice(), &word(0x9000)].concat(),
            (1, _) if !self.take_touch() => word(0x6985),
            (1, _) => {
                let (id, public_key) = self.make(data[32..64].try_into().unwrap(), b"");
                let point = public_key_point(&public_key);
                let sequence = [0x30, 3, 2, 1, 1];
                let head = [&[5], point.as_slice(), &[id.len() as u8]].concat();
                [&head, id.as_slice(), &sequence, &sequence, &word(0x9000)].concat()
            }
            (2, control) => {
                let (id, rp_hash) = (data[65..65 + usize::from(data[64])].to_vec(), data[32..64].to_vec());
                if !self.has(&id, &rp_hash) {
                    return word(0x6a80);
                }
                if control == 7 {
                    return word(0x6985);
                }
                self.blinking += 1;
                if !self.take_touch() {
                    return word(0x6985);
                }
                let count = self.next_count();
                let signed = [rp_hash.as_slice(), &[1], &count, &data[..32]].concat();
                [&[1], count.as_slice(), &self.sign(&id, &signed), &word(0x9000)].concat()
            }
            _ => word(0x6d00),
        }
    }

    pub(super) fn waits_for_touch(&self, request: &[u8]) -> bool {
        match request.first() {
            Some(1 | 0x0b) => true,
            Some(2) => {
                let asked = cbor::parse(&request[1..]).unwrap();
                let silent = field(&asked, 5).and_then(|options| named(options, "up")).is_some();
                !silent && self.found(&asked).is_some()
            }
            Some(6) => {
                let asked = cbor::parse(&request[1..]).unwrap();
                let looks = field(&asked, 2) == Some(&Value::number(6));
                looks && self.reader.is_some_and(|reader| reader.tries_left > 0)
            }
            _ => false,
        }
    }

    /// CTAP 2.1 section 6, of which PIN protocol 1 alone.
    pub(super) fn ctap2(&mut self, request: &[u8]) -> Vec<u8> {
        let asked = request.get(1..).filter(|rest| !rest.is_empty()).map(|rest| cbor::parse(rest).unwrap());
        match (request[0], asked) {
            (4, _) => answer(vec![
                (Value::number(1), Value::Array(vec![Value::text(self.version())])),
                (Value::number(3), Value::bytes(&[self.seed; 16])),
                (Value::number(4), self.options()),
                (Value::number(6), Value::Array(vec![Value::number(1)])),
            ]),
            (1, Some(asked)) => self.make_credential(&asked),
            (2, Some(asked)) => self.get_assertion(&asked),
            (6, Some(asked)) => self.client_pin(&asked),
            (0x0b, _) => vec![0],
            _ => vec![1],
        }
    }

    fn version(&self) -> &'static str {
        if self.reader.is_some() { "FIDO_2_1" } else { "FIDO_2_0" }
    }

    fn options(&self) -> Value {
        let option = |name, state| (Value::text(name), Value::Bool(state));
        let mut options = vec![option("rk", true), option("clientPin", self.pin.is_some())];
        if self.reader.is_some() {
            options.extend([option("uv", true), option("pinUvAuthToken", true)]);
        }
        Value::Map(options)
    }

    fn make_credential(&mut self, asked: &Value) -> Vec<u8> {
        let rp = text(named(field(asked, 2).unwrap(), "id").unwrap());
        let owner = bytes(named(field(asked, 3).unwrap(), "id").unwrap());
        let rp_hash: [u8; 32] = Sha256::digest(rp.as_bytes()).into();
        let verified = field(asked, 8).is_some();
        if (self.pin.is_some() || self.reader.is_some()) && !verified {
            return vec![0x36];
        }
        let (id, public_key) = self.make(rp_hash, &owner);
        let flags = if verified { 0x45 } else { 0x41 };
        let length = (id.len() as u16).to_be_bytes();
        let head = [rp_hash.as_slice(), &[flags, 0, 0, 0, 0], &[self.seed; 16], &length].concat();
        let auth_data = [head.as_slice(), &id, &public_key.to_cose()].concat();
        let signed = [auth_data.as_slice(), &bytes(field(asked, 1).unwrap())].concat();
        let (format, statement) = match &self.maker {
            None => ("none", Vec::new()),
            Some((key, certificate)) => {
                let signature = rcgen::SigningKey::sign(key, &signed).unwrap();
                let chain = Value::Array(vec![Value::bytes(certificate)]);
                let statement = vec![
                    (Value::text("alg"), Value::number(-7)),
                    (Value::text("sig"), Value::Bytes(signature)),
                    (Value::text("x5c"), chain),
                ];
                ("packed", statement)
            }
        };
        answer(vec![
            (Value::number(1), Value::text(format)),
            (Value::number(2), Value::Bytes(auth_data)),
            (Value::number(3), Value::Map(statement)),
        ])
    }

    fn found(&self, asked: &Value) -> Option<Vec<u8>> {
        let rp_hash = Sha256::digest(text(field(asked, 1)?).as_bytes());
        let Some(Value::Array(allowed)) = field(asked, 3) else {
            let mut resident = self.credentials.iter();
            return resident
                .find(|(_, rp, _)| rp.as_slice() == rp_hash.as_slice())
                .map(|(id, ..)| id.clone());
        };
        let ids = allowed.iter().filter_map(|one| named(one, "id")).map(bytes);
        ids.into_iter().find(|id| self.has(id, &rp_hash))
    }

    fn get_assertion(&mut self, asked: &Value) -> Vec<u8> {
        if self.tells_nothing && field(asked, 3).is_none() {
            return vec![0x36];
        }
        let Some(id) = self.found(asked) else { return vec![0x2e] };
        let rp_hash = Sha256::digest(text(field(asked, 1).unwrap()).as_bytes());
        let silent = field(asked, 5).and_then(|options| named(options, "up")).is_some();
        let verified = if field(asked, 6).is_some() { 4 } else { 0 };
        let flags = if silent { 0 } else { 1 | verified };
        let count = if silent { self.count.to_be_bytes() } else { self.next_count() };
        let auth_data = [rp_hash.as_slice(), &[flags], &count].concat();
        let signature = self.sign(&id, &[auth_data.as_slice(), &bytes(field(asked, 2).unwrap())].concat());
        let descriptor = Value::Map(vec![
            (Value::text("id"), Value::Bytes(id)),
            (Value::text("type"), Value::text("public-key")),
        ]);
        answer(vec![
            (Value::number(1), descriptor),
            (Value::number(2), Value::Bytes(auth_data)),
            (Value::number(3), Value::Bytes(signature)),
        ])
    }

    fn client_pin(&mut self, asked: &Value) -> Vec<u8> {
        match field(asked, 2) {
            Some(Value::Unsigned(1)) => {
                answer(vec![(Value::number(3), Value::number(i64::from(self.tries_left)))])
            }
            Some(Value::Unsigned(2)) => {
                let ours = SecretKey::from_slice(&AGREEMENT).unwrap().public_key();
                let point = ours.to_sec1_point(false);
                let cose = Value::Map(vec![
                    (Value::number(1), Value::number(2)),
                    (Value::number(3), Value::number(-25)),
                    (Value::number(-1), Value::number(1)),
                    (Value::number(-2), Value::bytes(point.x().unwrap())),
                    (Value::number(-3), Value::bytes(point.y().unwrap())),
                ]);
                answer(vec![(Value::number(1), cose)])
            }
            Some(Value::Unsigned(5 | 9)) => {
                let secret = shared_secret(asked);
                let mut typed = bytes(field(asked, 6).unwrap());
                let mut decryptor = cbc::Decryptor::<aes::Aes256>::new(&secret.into(), &[0; 16].into());
                let mut block = Block::<aes::Aes256>::try_from(typed.as_slice()).unwrap();
                decryptor.decrypt_block(&mut block);
                typed.copy_from_slice(&block);
                let right = Sha256::digest(self.pin.clone().unwrap_or_default().as_bytes());
                if typed != right[..16] {
                    self.tries_left -= 1;
                    return vec![0x31];
                }
                self.tries_left = 8;
                if let Some(reader) = &mut self.reader {
                    reader.tries_left = reader.most;
                }
                token(&secret)
            }
            Some(Value::Unsigned(6)) => self.look(asked),
            Some(Value::Unsigned(7)) => match self.reader {
                Some(reader) => answer(vec![(Value::number(5), Value::number(i64::from(reader.tries_left)))]),
                None => vec![0x3e],
            },
            _ => vec![0x3e],
        }
    }

    // Section 6.5.5.7.3. The finger is a touch, too.
    fn look(&mut self, asked: &Value) -> Vec<u8> {
        match &mut self.reader {
            None => vec![0x3e],
            Some(Reader { tries_left: 0, .. }) => vec![0x3c],
            Some(Reader { finger: Finger::Another, tries_left, .. }) => {
                *tries_left -= 1;
                vec![if *tries_left == 0 { 0x3c } else { 0x3f }]
            }
            Some(Reader { finger: Finger::ItsOwners, tries_left, most }) => {
                *tries_left = *most;
                self.touched = true;
                token(&shared_secret(asked))
            }
        }
    }
}

fn shared_secret(asked: &Value) -> [u8; 32] {
    let theirs = field(asked, 3).unwrap();
    let (x, y) = (bytes(field(theirs, -2).unwrap()), bytes(field(theirs, -3).unwrap()));
    let point = p256::PublicKey::from_sec1_bytes(&[&[4], x.as_slice(), &y].concat()).unwrap();
    let ours = SecretKey::from_slice(&AGREEMENT).unwrap();
    let shared = p256::ecdh::diffie_hellman(ours.to_nonzero_scalar(), point.as_affine());
    Sha256::digest(shared.raw_secret_bytes()).into()
}

fn token(secret: &[u8; 32]) -> Vec<u8> {
    let mut encryptor = cbc::Encryptor::<aes::Aes256>::new(secret.into(), &[0; 16].into());
    let mut sealed = Vec::new();
    for half in TOKEN.chunks(16) {
        let mut block = Block::<aes::Aes256>::try_from(half).unwrap();
        encryptor.encrypt_block(&mut block);
        sealed.extend_from_slice(&block);
    }
    answer(vec![(Value::number(2), Value::Bytes(sealed))])
}

fn public_key_point(key: &PublicKey) -> Vec<u8> {
    match key {
        PublicKey::P256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
        PublicKey::Ed25519(_) => Vec::new(),
    }
}

fn answer(fields: Vec<(Value, Value)>) -> Vec<u8> {
    [&[0], cbor::encode(&Value::Map(fields)).as_slice()].concat()
}

fn field(of: &Value, key: i64) -> Option<&Value> {
    lookup(of, &Value::number(key))
}

fn named<'a>(of: &'a Value, key: &str) -> Option<&'a Value> {
    lookup(of, &Value::text(key))
}

fn lookup<'a>(of: &'a Value, wanted: &Value) -> Option<&'a Value> {
    match of {
        Value::Map(pairs) => pairs.iter().find(|(key, _)| key == wanted).map(|(_, value)| value),
        _ => None,
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.clone(),
        _ => Vec::new(),
    }
}
