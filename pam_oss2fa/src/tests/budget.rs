//! What the module may bring into sshd, and where its `unsafe` may stand.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MOST_CRATES: usize = 20;

#[test]
fn at_most_twenty_crates() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "pam_oss2fa", "-e", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let words = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let crates: BTreeSet<String> = tree.lines().filter(|line| !line.is_empty()).map(words).collect();
    assert!(crates.contains("pam-bindings v0.4.0"), "{crates:?}");
    assert!(crates.len() <= MOST_CRATES, "{} crates: {crates:?}", crates.len());
    for heavy in ["tokio", "rustls", "reqwest", "rusqlite", "hidapi", "totp-rs"] {
        assert!(!crates.iter().any(|it| it.starts_with(&format!("{heavy} "))), "{heavy}");
    }
}

#[test]
fn unsafe_code_stands_in_the_ffi_folder_alone() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for file in files_under(&source) {
        let text = fs::read_to_string(&file).unwrap();
        let inside = file.starts_with(source.join("ffi"));
        assert!(text.starts_with("//! "), "{}: the first line says what it is for", file.display());
        if inside {
            seen += 1;
        } else if file != source.join("lib.rs") {
            assert!(text.contains("\n#![forbid(unsafe_code)]\n"), "{}", file.display());
        }
    }
    assert!(seen > 1);
    assert!(fs::read_to_string(source.join("lib.rs")).unwrap().contains("\n#![deny(unsafe_code)]\n"));
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files
}
