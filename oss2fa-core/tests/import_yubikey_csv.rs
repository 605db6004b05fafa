//! Files of the tools that put keys into YubiKeys.
#![cfg(feature = "factors")]

use oss2fa_core::import::yubikey_csv::{ImportedYubikey, parse};

const TRADITIONAL: &str = "LOGGING START,12/11/2026 18:55\n\
    Yubico OTP,12/11/2026 18:55,1,vvgutbiedkvi,ab86c04de6a3,d26a7c0f85fdda28bd816e406342b214,,,0,0,0,0,0,0,0,0,0,0\n\
    OATH-HOTP,12/11/2026 18:56,1,cccccccccccc,,916821d3a138bf855e70069605559a206ba854cd,,,0,0,0,6,0,0,0,0,0,0\n\
    Static Password,12/11/2026 19:08,1,,d5a3d50327dc,0e8e37b0e38b314a56748c030f58d21d,,,0,0,0,0,0,0,0,0,0,0\n\
    Yubico OTP,12/11/2026 19:10,2,vvgutbiedkvj,ab86c04de6a4,D26A7C0F85FDDA28BD816E406342B215,,,0\r\n";

const YUBICO: &str = "# ykksm 1\n\
    123456,cccccccccccb,f5e9f3e9d7a3,05c6ae260d8ec7fa0d5b9ef1ec4a1a52,000000000000,2026-11-12T00:00:00,\n\
    123457,cccccccccccd,f5e9f3e9d7a4,05c6ae260d8ec7fa0d5b9ef1ec4a1a53,000000000000,2026-11-12T00:00:00,,0 # spare\n\
    508326,,0,69cfb9202438ca68964ec3244bfa4843d073a43b,,2026-12-12T08:41:07,\n\
    ,cccccccccccf,f5e9f3e9d7a5,05c6ae260d8ec7fa0d5b9ef1ec4a1a54\n";

fn taken(text: &str) -> Vec<(usize, Option<u32>, String)> {
    let tell = |found: ImportedYubikey| (found.line, found.serial, found.public_id.to_string());
    parse(text).into_iter().flatten().map(tell).collect()
}

fn refused(text: &str) -> Vec<String> {
    parse(text).into_iter().filter_map(Result::err).map(|error| error.to_string()).collect()
}

#[test]
fn the_traditional_log_is_read() {
    assert_eq!(
        taken(TRADITIONAL),
        [(2, None, "vvgutbiedkvi".to_owned()), (5, None, "vvgutbiedkvj".to_owned())]
    );
    let found = parse(TRADITIONAL).into_iter().flatten().next();
    assert!(found.is_some_and(|found| {
        found.private_id.expose() == [0xab, 0x86, 0xc0, 0x4d, 0xe6, 0xa3]
            && found.key.expose().starts_with(&[0xd2, 0x6a])
            && found.key.expose().len() == 16
    }));
    let refused = refused(TRADITIONAL);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|line| line.contains("no entry of Yubico OTP")), "{refused:?}");
}

#[test]
fn the_yubico_form_is_read() {
    assert_eq!(
        taken(YUBICO),
        [
            (2, Some(123_456), "cccccccccccb".to_owned()),
            (3, Some(123_457), "cccccccccccd".to_owned()),
            (5, None, "cccccccccccf".to_owned()),
        ]
    );
    let refused = refused(YUBICO);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused.iter().all(|line| line.starts_with("line 4: the public id")), "{refused:?}");
}

#[test]
fn a_bad_line_is_told_without_its_secrets() {
    let good = "123456,cccccccccccb,f5e9f3e9d7a3,05c6ae260d8ec7fa0d5b9ef1ec4a1a52";
    for (from, to) in [
        ("cccccccccccb", "ccccccccccca"),
        ("cccccccccccb", "ccccccccccc"),
        ("f5e9f3e9d7a3", "f5e9f3e9d7a"),
        ("f5e9f3e9d7a3", "f5e9f3e9d7zz"),
        ("4a1a52", "4a1a"),
        ("4a1a52", "4a1a5252"),
        ("123456", "12345678901234567890"),
        ("123456", "serial"),
        ("123456", "Yubico OTP,12:00,3"),
        (",05c6ae260d8ec7fa0d5b9ef1ec4a1a52", ""),
        ("123456,", "Yubico OTP,"),
    ] {
        let line = good.replace(from, to);
        let told = refused(&line).concat();
        assert!(told.starts_with("line 1: "), "{line}: {told}");
        assert!(!told.contains("05c6ae") && !told.contains("f5e9f3"), "{told}");
    }
    assert!(refused(&format!("{good},{}", "x".repeat(1024))).concat().contains("1024"));
    assert_eq!(refused(good), Vec::<String>::new());
}
