//! U2F: requests as python-fido2 spells them, the example of the specification, answers that are not read.

use oss2fa_ctap::u2f::{Authenticated, OLD_VERSION_REQUEST, Registered, StatusWord, request, response};

use crate::ctap2_messages::golden;
use crate::fixed::hex;

/// FIDO U2F Raw Message Formats, section 8.1: the example of a registration.
const REGISTRATION: &str = "0504b174bc49c7ca254b70d2e5c207cee9cf174820ebd77ea3c65508c26da51b657c1cc6b952f8621697936482da0a6d3d3826a59095daf6cd7c03e2e60385d2f6d9402a552dfdb7477ed65fd84133f86196010b2215b57da75d315b7b9e8fe2e3925a6019551bab61d16591659cbaf00b4950f7abfe6660e2e006f76868b772d70c253082013c3081e4a003020102020a47901280001155957352300a06082a8648ce3d0403023017311530130603550403130c476e756262792050696c6f74301e170d3132303831343138323933325a170d3133303831343138323933325a3031312f302d0603550403132650696c6f74476e756262792d302e342e312d34373930313238303030313135353935373335323059301306072a8648ce3d020106082a8648ce3d030107034200048d617e65c9508e64bcc5673ac82a6799da3c1446682c258c463fffdf58dfd2fa3e6c378b53d795c4a4dffb4199edd7862f23abaf0203b4b8911ba0569994e101300a06082a8648ce3d0403020347003044022060cdb6061e9c22262d1aac1d96d8c70829b2366531dda268832cb836bcd30dfa0220631b1459f09e6330055722c8d89b7f48883b9089b88d60d1d9795902b30410df304502201471899bcc3987e62e8202c9b39c33c19033f7340352dba80fcab017db9230e402210082677d673d891933ade6f617e5dbde2e247e70423fd5ad7804a6d3d3961ef871";

#[test]
fn requests_are_spelled_as_the_peer_spells_them() {
    assert_eq!(OLD_VERSION_REQUEST.as_slice(), golden("u2f_version"));
    for name in ["u2f_register", "u2f_authenticate", "u2f_check_only"] {
        let golden = golden(name);
        let data = &golden[7..golden.len() - 2];
        assert_eq!(request(golden[1], golden[2], data).unwrap(), golden, "{name}");
    }
}

#[test]
fn a_request_without_data_has_no_length_of_it() {
    assert_eq!(request(3, 0, &[]).unwrap(), hex("00 03 00 00 00 0000"));
    assert!(request(3, 0, &[0; 70_000]).is_err());
}

#[test]
fn the_status_stands_at_the_end() {
    assert_eq!(response(&hex("0102 9000")), Ok((hex("0102").as_slice(), StatusWord::NO_ERROR)));
    assert_eq!(response(&hex("6985")), Ok(([].as_slice(), StatusWord::CONDITIONS_NOT_SATISFIED)));
    assert!(response(&hex("90")).is_err());
}

#[test]
fn the_example_of_the_specification_is_read() {
    let read = Registered::parse(&hex(REGISTRATION)).unwrap();
    assert_eq!(read.key_handle.len(), 64);
    assert_eq!(read.certificate.len(), 320);
    assert_eq!(read.signature.len(), 71);
}

#[test]
fn a_registration_with_one_thing_wrong_is_refused() {
    let right = hex(REGISTRATION);
    let changed = |at: usize, to: u8| {
        let mut bytes = right.clone();
        bytes[at] = to;
        bytes
    };
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("another first byte", changed(0, 4)),
        ("a compressed point", changed(1, 2)),
        ("a point off the curve", changed(65, 0)),
        ("no key handle", changed(66, 0)),
        ("a key handle past the end", [&right[..67], &right[67..100]].concat()),
        ("no certificate", changed(131, 0x31)),
        ("a certificate past the end", changed(133, 0xff)),
        ("a signature that was cut", right[..right.len() - 1].to_vec()),
        ("a byte behind", [right.as_slice(), &[0]].concat()),
    ] {
        assert!(Registered::parse(&bytes).is_err(), "{what}");
    }
}

#[test]
fn the_example_of_an_authentication_is_read() {
    // Section 8.2.
    let bytes = hex(
        "0100000001304402204b5f0cd17534cedd8c34ee09570ef542a353df4436030ce43d406de870b847780220267bb998fac9b7\
         266eb60e7cb0b5eabdfd5ba9614f53c7b22272ec10047a923f",
    );
    let read = Authenticated::parse(&bytes).unwrap();
    assert_eq!((read.user_presence, read.counter, read.signature.len()), (1, 1, 70));
    let data = read.auth_data(&[7; 32]);
    assert_eq!((data.len(), &data[32..]), (37, [1, 0, 0, 0, 1].as_slice()));
}

#[test]
fn an_authentication_with_one_thing_wrong_is_refused() {
    for (what, bytes) in [
        ("nothing", ""),
        ("no counter", "01000000"),
        ("no signature", "0100000001"),
        ("a signature that was cut", "0100000001 3006 020101 0201"),
        ("a byte behind", "0100000001 3006 020101 020101 00"),
        ("a presence that would say verified", "0500000001 3006 020101 020101"),
    ] {
        assert!(Authenticated::parse(&hex(bytes)).is_err(), "{what}");
    }
    assert!(Authenticated::parse(&hex("0100000001 3006 020101 020101")).is_ok());
}
