//! The doctor against a folder of stacks, each of which real logins walk through as well.
//!
//! `tests/doctor/open` holds stacks that let somebody in without a code, `tests/doctor/safe` those that
//! do not; each file has its stack, the sentence of the doctor, and what is typed. Nothing is
//! skipped: what the doctor says of a stack, libpam must do.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::collections::BTreeMap;
use std::fs;

use oss2fa_tests::Factor::Hotp;
use oss2fa_tests::{Host, PASSWORD, Pam, workspace};
use serde::Deserialize;

const MODULE: &str = "/usr/lib/x86_64-linux-gnu/security/pam_oss2fa.so";

/// A stack of the folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the doctor says of it, behind the name of the service.
    sentence: String,
    #[serde(default = "door")]
    service: String,
    #[serde(default = "ferris")]
    user: String,
    /// Who runs pamtester; root by default.
    r#as: Option<String>,
    /// Open: what lets in without a code.
    #[serde(default)]
    typed: Vec<String>,
    /// Open: what the program asks of libpam.
    #[serde(default = "authenticate")]
    operations: Vec<String>,
    /// Open: `stopped`, for what only shows when nobody answers.
    agent: Option<String>,
    /// `absent`, for a host without the file of the module.
    module: Option<String>,
    /// Safe: what is refused.
    #[serde(default = "wrong")]
    wrong: Vec<String>,
    /// Safe: what is let in, `CODE` being a right one.
    #[serde(default = "right")]
    right: Vec<String>,
    /// Safe: not even that is let in.
    #[serde(default)]
    nobody: bool,
    /// Safe: operations that are refused by themselves.
    #[serde(default)]
    also_refused: Vec<String>,
    files: BTreeMap<String, String>,
}

fn door() -> String {
    "door".to_owned()
}

fn ferris() -> String {
    "ferris".to_owned()
}

fn authenticate() -> Vec<String> {
    vec!["authenticate".to_owned()]
}

fn wrong() -> Vec<String> {
    vec![PASSWORD.to_owned(), "000000".to_owned()]
}

fn right() -> Vec<String> {
    vec![PASSWORD.to_owned(), "CODE".to_owned()]
}

fn cases(folder: &str) -> Vec<(String, Case)> {
    let folder = workspace().join("tests/doctor").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let case = toml::from_str(&fs::read_to_string(&path).unwrap());
            (name.clone(), case.unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect()
}

/// One host for many stacks; those of one case never meet those of another.
struct Surgery {
    host: Host,
}

impl Surgery {
    fn open() -> Self {
        let host = Host::new()
            .user("ferris")
            .enrolled(Hotp)
            .set("locks.free_attempts", 100)
            .set("locks.free_attempts_per_source", 10_000)
            .set("locks.free_attempts_per_user", 10_000)
            .start();
        // The machine's own folder of the distribution, for this world alone.
        host.program(&["mount", "-t", "tmpfs", "-o", "mode=755", "none", "/usr/lib/pam.d"]).succeed();
        Self { host }
    }

    fn with<T>(&self, case: &Case, act: impl FnOnce(&Host) -> T) -> T {
        let host = &self.host;
        let before: Vec<_> = case.files.keys().map(|path| (path, fs::read(host.path(path)).ok())).collect();
        for (path, text) in &case.files {
            // A file of the folder that ends in a backslash has no line end behind it.
            let text = if text.ends_with("\\\n") { text.trim_end() } else { text };
            host.write(path, text);
        }
        let away = case.module.as_deref() == Some("absent");
        let (module, aside) = (host.path(MODULE), host.path("/run/module-aside"));
        if away {
            fs::copy(&module, &aside).unwrap();
            fs::remove_file(&module).unwrap();
        }
        if case.agent.is_some() {
            host.kill_agent();
        }
        let result = act(host);
        if case.agent.is_some() {
            host.start_agent();
        }
        if away {
            fs::copy(&aside, &module).unwrap();
        }
        for (path, text) in before {
            match text {
                Some(text) => fs::write(host.path(path), text).unwrap(),
                None => fs::remove_file(host.path(path)).unwrap(),
            }
        }
        result
    }

    /// The doctor's sentence, and whether its exit status is 0.
    fn ask(host: &Host, service: &str) -> (String, bool) {
        let ran = host.cli(&["doctor", service, "--json"]).run();
        let report = ran.json();
        assert_eq!(report["protected"], ran.status == 0, "{ran}");
        assert_eq!(report["services"].as_array().unwrap().len(), 1, "{ran}");
        let found = &report["services"][0];
        assert_eq!(found["verdict"] == "protected", ran.status == 0, "{ran}");
        (found["sentence"].as_str().unwrap().to_owned(), ran.status == 0)
    }

    fn login(host: &Host, case: &Case, operations: &[String], typed: &[String]) -> Pam {
        let lines: Vec<String> = typed
            .iter()
            .map(|line| if line == "CODE" { host.code("ferris") } else { line.clone() })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let operations: Vec<&str> = operations.iter().map(String::as_str).collect();
        let run = host.pamtester(&case.service, &case.user, &[], &operations, &lines);
        let run = match &case.r#as {
            Some(user) => run.map(|program| program.as_user(user)),
            None => run,
        };
        let ran = run.program().run();
        if ran.status == 0 { Pam::Success } else { Pam::AuthErr }
    }
}

#[test]
fn every_open_stack_is_told_and_lets_a_login_pass_without_a_code() {
    let cases = cases("open");
    assert!(cases.len() >= 40, "{}", cases.len());
    let surgery = Surgery::open();
    let mut wrong = Vec::new();
    for (name, case) in &cases {
        surgery.with(case, |host| {
            let (sentence, protected) = Surgery::ask(host, &case.service);
            if protected || sentence != case.sentence {
                wrong.push(format!("{name}: the doctor says ({protected}): {sentence}"));
            }
            assert!(!case.typed.contains(&"CODE".to_owned()), "{name}: a bypass has no right code");
            if Surgery::login(host, case, &case.operations, &case.typed) != Pam::Success {
                wrong.push(format!("{name}: the login does not get past it"));
            }
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_safe_stack_is_told_and_refuses_a_login_without_a_code() {
    let cases = cases("safe");
    assert!(cases.len() >= 30, "{}", cases.len());
    let surgery = Surgery::open();
    let both = ["authenticate".to_owned(), "acct_mgmt".to_owned()];
    let mut wrong = Vec::new();
    for (name, case) in &cases {
        surgery.with(case, |host| {
            let (sentence, protected) = Surgery::ask(host, &case.service);
            if !protected || sentence != case.sentence {
                wrong.push(format!("{name}: the doctor says ({protected}): {sentence}"));
            }
            if Surgery::login(host, case, &both, &case.wrong) == Pam::Success {
                wrong.push(format!("{name}: a login without a code gets past it"));
            }
            for operation in &case.also_refused {
                if Surgery::login(host, case, std::slice::from_ref(operation), &[]) == Pam::Success {
                    wrong.push(format!("{name}: {operation} alone gets past it"));
                }
            }
            // Otherwise a stack that is broken would do.
            let let_in = Surgery::login(host, case, &both, &case.right) == Pam::Success;
            if let_in == case.nobody {
                wrong.push(format!("{name}: with a right code, the login succeeds: {let_in}"));
            }
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
