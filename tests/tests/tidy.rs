//! Rules of the repository that a compiler does not check.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oss2fa_tests::{Built, workspace};
use serde_json::Value;

const LONGEST_FILE: usize = 600;
const LARGEST_MODULE: u64 = 512 * 1024;
const MOST_CRATES: usize = 20;

/// Which crate of the workspace may use which others.
const ARROWS: [(&str, &[&str]); 6] = [
    ("oss2fa-core", &[]),
    ("oss2fa-ctap", &["oss2fa-core"]),
    ("pam_oss2fa", &["oss2fa-core"]),
    ("oss2fa-agent", &["oss2fa-core", "oss2fa-ctap"]),
    ("oss2fa-server", &["oss2fa-core"]),
    ("oss2fa-tests", &["oss2fa-core", "oss2fa-ctap", "pam_oss2fa", "oss2fa-agent", "oss2fa-server"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn members(metadata: &Value) -> Vec<&Value> {
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().filter(|package| package["source"].is_null()).collect()
}

fn files(ending: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(workspace())
        .output()
        .ok()
        .filter(|output| output.status.success());
    let all: Vec<PathBuf> = match listed {
        Some(output) => {
            let names = String::from_utf8(output.stdout).unwrap();
            names.split_terminator('\0').map(|name| workspace().join(name)).collect()
        }
        // A tree without its history, as in a source package.
        None => walk(&workspace()),
    };
    let found: Vec<PathBuf> =
        all.into_iter().filter(|path| path.is_file() && path.to_string_lossy().ends_with(ending)).collect();
    assert!(!found.is_empty(), "no {ending} files");
    found
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                found.extend(walk(&path));
            }
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let names: Vec<&str> = members(&metadata).iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 4, "{names:?}");
    for member in members(&metadata) {
        let name = member["name"].as_str().unwrap();
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} has no place in the table of arrows"));
        for dependency in member["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let within = names.contains(&other) && other != name;
            assert!(!within || may.contains(&other), "{name} may not depend on {other}");
        }
    }
}

#[test]
fn the_tests_cannot_make_a_code_with_our_own_generator() {
    let metadata = metadata();
    let members = members(&metadata);
    let tests = members.iter().find(|member| member["name"] == "oss2fa-tests").unwrap();
    for dependency in tests["dependencies"].as_array().unwrap() {
        let name = dependency["name"].as_str().unwrap();
        assert!(!matches!(name, "totp-rs" | "oss2fa-agent"), "{name}");
        if name == "oss2fa-core" {
            assert_eq!(dependency["uses_default_features"], false);
            assert_eq!(dependency["features"].as_array().unwrap().len(), 0, "the factors are a feature");
        }
    }
}

#[test]
fn the_module_stays_within_its_budget() {
    let size = fs::metadata(Built::find().module).unwrap().len();
    assert!(size <= LARGEST_MODULE, "the module has {size} bytes, stripped; at most {LARGEST_MODULE}");
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", "pam_oss2fa", "-e", "normal,build", "--prefix", "none"])
        .current_dir(workspace())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let mut crates: Vec<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    crates.sort_unstable();
    crates.dedup();
    crates.retain(|line| !line.is_empty());
    assert!((2..=MOST_CRATES).contains(&crates.len()), "{}: {crates:#?}", crates.len());
}

#[test]
fn the_module_links_nothing_but_libpam_and_libc() {
    let module = Built::find().module;
    let read = |program: &str, how: &[&str]| {
        let output = Command::new(program).args(how).arg(&module).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let dynamic = read("readelf", &["--dynamic", "--wide"]);
    let shared = "Shared library: [";
    let needed: Vec<&str> = dynamic.lines().filter_map(|line| line.split(shared).nth(1)).collect();
    assert!(needed.iter().any(|library| library.starts_with("libpam.so.0")), "{needed:?}");
    for library in &needed {
        let known = ["libpam.so", "libc.so", "ld-linux"];
        assert!(known.iter().any(|name| library.starts_with(name)), "{needed:?}");
    }
    // The program unloads its modules while it runs on.
    assert!(dynamic.contains("NODELETE"), "linked with -z nodelete");
    let symbols = read("nm", &["--dynamic", "--defined-only"]);
    let mut exported: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    exported.sort_unstable();
    assert_eq!(exported, ["pam_sm_acct_mgmt", "pam_sm_authenticate", "pam_sm_setcred"]);
}

#[test]
fn source_files_say_what_they_are_for_and_stay_short() {
    for path in files(".rs") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(workspace()).unwrap().display().to_string();
        assert!(text.starts_with("//! "), "{name}: the first line says what the file is for");
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{name} has {lines} lines, the limit is {LONGEST_FILE}");
        let stem = path.file_stem().unwrap().to_string_lossy();
        assert!(
            !["util", "utils", "helpers", "manager", "misc", "common"].contains(&&*stem),
            "{name}: named for what?"
        );
    }
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    for path in files(".rs") {
        let text = fs::read_to_string(&path).unwrap();
        for attribute in ["#[", "#!["] {
            let forbidden = format!("{attribute}allow");
            // This file names it, in two pieces.
            assert!(!text.contains(&forbidden), "{}: use #[expect(.., reason = \"..\")]", path.display());
        }
    }
}

#[test]
fn unsafe_code_stands_in_the_ffi_folder_of_the_module_alone() {
    let ffi = workspace().join("pam_oss2fa/src/ffi");
    let mut seen = 0;
    for path in files(".rs") {
        let text = fs::read_to_string(&path).unwrap();
        let uses = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "unsafe")
                && !code.contains('"')
        });
        if path.starts_with(&ffi) {
            seen += usize::from(uses);
        } else {
            assert!(!uses, "{} has unsafe code", path.display());
        }
    }
    assert!(seen > 0, "the search finds what is there");
    for root in [
        "oss2fa-core/src/lib.rs",
        "oss2fa-ctap/src/lib.rs",
        "oss2fa-agent/src/lib.rs",
        "oss2fa-agent/src/main.rs",
        "tests/src/lib.rs",
    ] {
        let text = fs::read_to_string(workspace().join(root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root}");
    }
}

#[test]
fn documents_name_only_paths_that_exist() {
    let tops: Vec<String> = fs::read_dir(workspace())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let mut seen = 0;
    let mut documents =
        ["ARCHITECTURE.md", "README.md", "SECURITY.md", "CONTRIBUTING.md"].map(str::to_owned).to_vec();
    documents.extend(guides().into_iter().map(|name| format!("docs/{name}")));
    for document in documents {
        let text = fs::read_to_string(workspace().join(&document)).unwrap();
        for page in text.split("](").skip(1).filter_map(|rest| rest.split(['#', ')']).next()) {
            let page = workspace().join(&document).with_file_name(page);
            assert!(page.to_string_lossy().contains("://") || page.exists(), "{document} leads to {page:?}");
        }
        let quoted = text.split('`').skip(1).step_by(2);
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for name in quoted.chain(linked) {
            let name = name.split(['#', ' ']).next().unwrap_or_default();
            let name = name.split("::").next().unwrap_or_default();
            let top = name.split('/').next().unwrap_or_default();
            if !name.contains('/') || !tops.iter().any(|known| known == top) || name.contains(['*', '<']) {
                continue;
            }
            seen += 1;
            let built = top == "target";
            assert!(built || workspace().join(name).exists(), "{document} names {name}, which is not there");
        }
    }
    assert!(seen > 30, "only {seen} paths were looked at");
}

#[test]
fn the_example_configuration_is_what_the_agent_does_without_one() {
    let text = fs::read_to_string(workspace().join("config/agent.toml")).unwrap();
    let parsed: toml::Table = toml::from_str(&text).unwrap();
    for key in [
        ("agent", "socket"),
        ("store", "path"),
        ("store", "master_key"),
        ("policy", "unenrolled"),
        ("policy", "required_groups"),
        ("policy", "exempt_groups"),
    ] {
        assert!(parsed[key.0].get(key.1).is_some(), "{key:?} stays as it is from now on");
    }
    let host = oss2fa_tests::Plan::by_default().without_agent();
    let bare = host.cli_json(&["check-config"]);
    host.write("/etc/oss2fa/agent.toml", &text);
    assert_eq!(host.cli_json(&["check-config"]), bare, "what it writes down are the defaults");
}

#[test]
fn texts_speak_of_the_product_alone() {
    let traces = [concat!("/wo", "rk/"), concat!("cla", "ude"), concat!("chat", "gpt")];
    for ending in [".rs", ".md", ".toml", ".sh", ".py", ".service", ".socket", "Makefile", ".sql"] {
        for path in files(ending) {
            let text = fs::read_to_string(&path).unwrap().to_lowercase();
            for trace in traces {
                assert!(!text.contains(trace), "{} has {trace:?}", path.display());
            }
        }
    }
}

#[test]
fn every_guide_is_run_by_a_test() {
    let sources: String = files(".rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let guides = guides();
    assert!(guides.len() >= 7, "{guides:?}");
    for name in guides {
        assert!(sources.contains(&format!("(\"docs/{name}\"")), "no test runs docs/{name}");
    }
}

fn guides() -> Vec<String> {
    let entries = fs::read_dir(workspace().join("docs")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
