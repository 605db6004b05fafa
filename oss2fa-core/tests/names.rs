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
fn device_names_hold_nothing_that_cannot_be_seen() {
    for c in [
        '\u{ad}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2064}',
        '\u{2066}',
        '\u{2069}',
        '\u{206f}',
        '\u{2800}',
        '\u{3164}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e0020}',
        '\u{e0041}',
        '\u{e007f}',
    ] {
        for name in [format!("pho{c}ne"), format!("{c}phone"), format!("phone{c}")] {
            // Separators of lines count as blanks: at the ends they go.
            let trimmed = name.trim() == "phone";
            assert_eq!(DeviceName::new(&name).is_ok(), trimmed, "{name:?}");
            let stored = DeviceName::from_store(&format!("pho{c}ne"));
            assert_eq!(stored.as_ref().map(DeviceName::as_str), Ok("pho\u{fffd}ne"), "{c:?}");
        }
    }
    for name in
        ["téléphone de Zoë", "電話", "טלפון", "هاتف", "phone 📱", "a\u{301}", "❤\u{fe0f}", "²", "a\u{a0}b"]
    {
        assert_eq!(DeviceName::new(name).as_ref().map(DeviceName::as_str), Ok(name));
        assert_eq!(DeviceName::from_store(name).as_ref().map(DeviceName::as_str), Ok(name));
    }
    assert_eq!(DeviceName::from_store("a\nb"), Err(BadName), "no release has written that");
}

/// The table against that of Python, which knows all characters of its own Unicode.
#[test]
fn another_implementation_calls_the_same_characters_unseen() {
    let script = "import sys, unicodedata\n\
                  for c in range(sys.maxunicode + 1):\n    \
                  k, n = unicodedata.category(chr(c)), unicodedata.name(chr(c), '')\n    \
                  blank = n == 'BRAILLE PATTERN BLANK' or 'HANGUL' in n and n.endswith('FILLER')\n    \
                  if k in ('Cf', 'Zl', 'Zp', 'Cc', 'Cn') or blank: print(c, k)";
    let output = std::process::Command::new("/usr/bin/python3").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed: std::collections::HashMap<u32, &str> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(number, kind)| (number.parse().unwrap(), kind))
        .collect();
    assert!(listed.len() > 100_000, "{}", listed.len());
    for c in '\u{0}'..=char::MAX {
        let refused = DeviceName::new(&format!("a{c}b")).is_err();
        match listed.get(&u32::from(c)) {
            // Not yet assigned in an older Unicode.
            Some(&"Cn") => {}
            kind => assert_eq!(refused, kind.is_some(), "{c:?} {kind:?}"),
        }
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
