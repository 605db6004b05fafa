//! Names of accounts and devices that could be read as something else are refused.
#![cfg(feature = "factors")]

use oss2fa_core::ids::{BadName, DeviceName, UserName};

#[test]
fn account_names() {
    for name in ["ferris", "ferris.crab", "DOM\\ferris", "ferris@example.org", "svc$", "ü", &"a".repeat(256)]
    {
        assert_eq!(UserName::from_directory(name).as_ref().map(UserName::as_str), Ok(name));
    }
    for name in [
        "",
        ".",
        "..",
        "../root",
        "a/b",
        "-rf",
        "a:b",
        "a,b",
        "a b",
        "a\tb",
        "a\nb",
        "a\u{2028}b",
        "a\u{0}",
        "a\u{1b}[2J",
        &"a".repeat(257),
    ] {
        assert_eq!(UserName::from_directory(name), Err(BadName), "{name:?}");
    }
}

#[test]
fn device_names() {
    assert_eq!(DeviceName::new("  my phone ").as_ref().map(DeviceName::as_str), Ok("my phone"));
    assert!(DeviceName::new(&"ü".repeat(64)).is_ok());
    for name in ["", "   ", "a\nb", "a\u{1b}[2Jb", &"ü".repeat(65)] {
        assert_eq!(DeviceName::new(name), Err(BadName), "{name:?}");
        assert!(serde_json::from_value::<DeviceName>(name.into()).is_err());
    }
}
