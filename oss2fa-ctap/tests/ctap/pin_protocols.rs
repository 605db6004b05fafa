//! PIN protocols 1 and 2, against what python-fido2 made of the same keys.

use oss2fa_core::secret::SecretText;
use oss2fa_ctap::cbor;
use oss2fa_ctap::ctap2::pin_protocol::{Agreement, PinProtocol};
use serde::Deserialize;

use crate::fixed::{Fixed, hex, vectors};

#[derive(Deserialize)]
struct Vector {
    protocol: u64,
    secret: String,
    initial: String,
    peer: String,
    public: String,
    pin: String,
    sealed_pin: String,
    token: String,
    sealed_token: String,
    hash: String,
    by_shared: String,
    by_token: String,
}

fn each() -> Vec<(PinProtocol, Vector)> {
    let all: Vec<Vector> = vectors(include_str!("../data/pin_protocols.json"));
    assert_eq!(all.len(), 2);
    all.into_iter().map(|vector| (PinProtocol::choose(&[vector.protocol]).unwrap(), vector)).collect()
}

impl Vector {
    fn agreement(&self, protocol: PinProtocol) -> Agreement {
        let peer = cbor::parse(&hex(&self.peer)).unwrap();
        Agreement::with(protocol, peer, &Fixed::bytes(&hex(&self.secret))).unwrap()
    }
}

#[test]
fn both_sides_agree_on_a_key() {
    for (protocol, vector) in each() {
        let agreement = vector.agreement(protocol);
        assert_eq!(cbor::encode(&agreement.public_key()), hex(&vector.public));
        assert_eq!(agreement.authenticate(&hex(&vector.hash)), hex(&vector.by_shared), "{protocol:?}");
    }
}

#[test]
fn a_pin_is_sealed_as_the_peer_seals_it() {
    use sha2::{Digest, Sha256};
    for (protocol, vector) in each() {
        let pin = SecretText::new(vector.pin.clone());
        let hashed = Sha256::digest(pin.expose().as_bytes());
        let sealed = vector.agreement(protocol).encrypt(&hashed[..16], &Fixed::bytes(&hex(&vector.initial)));
        assert_eq!(sealed.unwrap(), hex(&vector.sealed_pin), "{protocol:?}");
    }
}

#[test]
fn a_token_is_opened() {
    for (protocol, vector) in each() {
        let opened = vector.agreement(protocol).decrypt(&hex(&vector.sealed_token)).unwrap();
        assert_eq!(*opened, hex(&vector.token), "{protocol:?}");
        assert!(!vector.by_token.is_empty());
    }
}

#[test]
fn what_is_not_whole_blocks_is_not_opened() {
    for (protocol, vector) in each() {
        let sealed = hex(&vector.sealed_token);
        assert!(vector.agreement(protocol).decrypt(&sealed[..sealed.len() - 1]).is_err());
        assert!(vector.agreement(protocol).encrypt(&[0; 15], &Fixed::counting()).is_err());
    }
}

#[test]
fn a_key_agreement_off_the_curve_is_refused() {
    for (protocol, vector) in each() {
        let mut peer = hex(&vector.peer);
        *peer.last_mut().unwrap() ^= 1;
        let peer = cbor::parse(&peer).unwrap();
        assert!(Agreement::with(protocol, peer, &Fixed::counting()).is_err());
    }
}

#[test]
fn a_source_that_gives_no_scalar_is_given_up() {
    for (protocol, vector) in each() {
        let peer = cbor::parse(&hex(&vector.peer)).unwrap();
        assert!(Agreement::with(protocol, peer, &Fixed::bytes(&[0; 32 * 20])).is_err());
    }
}

#[test]
fn the_key_chooses_among_the_protocols_that_are_known() {
    assert_eq!(PinProtocol::choose(&[2, 1]), Some(PinProtocol::Two));
    assert_eq!(PinProtocol::choose(&[1, 2]), Some(PinProtocol::One));
    assert_eq!(PinProtocol::choose(&[9, 1]), Some(PinProtocol::One));
    assert_eq!(PinProtocol::choose(&[3]), None);
}
