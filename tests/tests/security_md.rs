//! SECURITY.md names tests: each of them exists, and none that was written for a row is left out.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::fs;
use std::path::Path;

use oss2fa_tests::workspace;

/// Rows of the table of holes.
const ROWS: std::ops::RangeInclusive<u32> = 1..=57;

/// Fewer would mean that the table is not read as it should be.
const AT_LEAST: usize = 150;

#[test]
fn every_test_that_security_md_names_exists() {
    let document = fs::read_to_string(workspace().join("SECURITY.md")).unwrap();
    let named: Vec<(&str, &str)> = document
        .split('`')
        .filter_map(|text| text.split_once("::"))
        .filter(|(file, _)| file.ends_with(".rs"))
        .collect();
    assert!(named.len() >= AT_LEAST, "only {} tests are named", named.len());
    for (file, name) in named {
        let source = fs::read_to_string(workspace().join(file)).unwrap_or_default();
        assert!(
            source.contains(&format!("fn {name}(")),
            "SECURITY.md names {file}::{name}, which is not there"
        );
    }
}

#[test]
fn every_row_is_answered_and_every_test_for_a_row_is_named() {
    let document = fs::read_to_string(workspace().join("SECURITY.md")).unwrap();
    for row in ROWS {
        let line = document.lines().find(|line| line.starts_with(&format!("| {row} |")));
        let cells: Vec<&str> = line.unwrap_or_default().split('|').map(str::trim).collect();
        let answer = cells.get(4).copied().unwrap_or_default();
        assert!(!answer.is_empty(), "row {row} of SECURITY.md has neither a test nor a reason");
    }
    for folder in [
        "tests/tests",
        "oss2fa-agent/src",
        "oss2fa-agent/tests",
        "oss2fa-server/src",
        "oss2fa-server/tests",
        "pam_oss2fa/src",
        "oss2fa-core/tests",
        "oss2fa-ctap/tests",
    ] {
        for name in tests_for_rows(&workspace().join(folder)) {
            assert!(document.contains(&format!("::{name}`")), "SECURITY.md does not name {name} ({folder})");
        }
    }
}

// Tests that were written for a row are called `row_NN_...`.
fn tests_for_rows(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(tests_for_rows(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(path).unwrap();
            let functions = source.lines().filter_map(|line| Some(line.split_once("fn row_")?.1));
            names.extend(functions.filter_map(|rest| Some(format!("row_{}", rest.split_once('(')?.0))));
        }
    }
    names
}
