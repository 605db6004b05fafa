//! The doctor against a folder of stacks, each of which real logins walk through as well.
//!
//! `tests/doctor/open` holds stacks that let somebody in without a code, `tests/doctor/safe` those that
//! do not; each file has its stack, the sentence of the doctor, and what is typed. Nothing is
//! skipped: what the doctor says of a stack, libpam must do.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

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
        assert_eq!(report["services"][0]["service"], service, "{ran}");
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

/// Stacks that nobody would write: the same ones in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.roll(all.len())]
    }

    fn control(&mut self) -> String {
        const CODES: [&str; 6] =
            ["success", "auth_err", "ignore", "user_unknown", "new_authtok_reqd", "default"];
        const ACTIONS: [&str; 9] = ["ok", "done", "ignore", "bad", "die", "reset", "1", "2", "3"];
        match self.roll(3) {
            0 => self.pick(&["required", "requisite", "sufficient", "optional"]).to_owned(),
            1 => format!("[success={} default={}]", self.pick(&ACTIONS), self.pick(&ACTIONS)),
            _ => {
                let pairs =
                    (0..self.roll(3) + 1).map(|_| format!("{}={}", self.pick(&CODES), self.pick(&ACTIONS)));
                format!("[{} default={}]", pairs.collect::<Vec<_>>().join(" "), self.pick(&ACTIONS))
            }
        }
    }

    /// Some lines; they include parts of this number or higher.
    fn stack(&mut self, part: usize, ours: bool) -> String {
        const CODES: [&str; 7] =
            ["success", "success", "success", "auth_err", "ignore", "user_unknown", "new_authtok_reqd"];
        let lines = self.roll(7) + 1;
        let mine = self.roll(lines);
        let mut text = String::new();
        for line in 0..lines {
            let next = part + self.roll(PARTS - part + 1);
            text += &match self.roll(5) {
                _ if ours && line == mine => format!("auth {} pam_oss2fa.so\n", self.control()),
                0 if next < PARTS => {
                    format!(
                        "{} part{next}\n",
                        self.pick(&["@include", "auth include", "auth substack", "auth substack"])
                    )
                }
                _ => format!("auth {} pam_debug.so auth={}\n", self.control(), self.pick(&CODES)),
            };
        }
        text
    }
}

const PARTS: usize = 8;
const STACKS: usize = 300;

#[test]
fn six_hundred_stacks_made_by_dice_end_as_the_doctor_says() {
    let surgery = Surgery::open();
    let host = &surgery.host;
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for part in 0..PARTS {
        host.write(&format!("/etc/pam.d/part{part}"), &dice.stack(part + 1, false));
    }
    for number in 0..STACKS {
        host.write(&format!("/etc/pam.d/dice{number}"), &dice.stack(0, false));
        host.write(&format!("/etc/pam.d/ours{number}"), &dice.stack(0, true));
    }
    let services: Vec<String> =
        (0..STACKS).flat_map(|number| [format!("dice{number}"), format!("ours{number}")]).collect();
    let mut words = vec!["doctor", "--json"];
    words.extend(services.iter().map(String::as_str));
    let report = host.cli(&words).run().json();
    let open: Vec<&str> = report["services"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["verdict"] == "open")
        .map(|found| found["service"].as_str().unwrap())
        .collect();
    let each = "for service in \"$@\"; do echo 000000 | pamtester \"$service\" ferris authenticate >/dev/null 2>&1 \
                && echo \"$service\"; done; true";
    let mut words = vec!["/bin/sh", "-c", each, "sh"];
    words.extend(services.iter().map(String::as_str));
    let passed = host.program(&words).output();
    let passed: Vec<&str> = passed.lines().collect();
    // Without a line of ours there is one way through a stack of pam_debug, and libpam takes it.
    let of_dice = |names: &[&str]| -> Vec<String> {
        names.iter().filter(|name| name.starts_with("dice")).map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(of_dice(&open), of_dice(&passed));
    // A wrong code is one of the ways that the doctor looks at.
    let untold: Vec<&&str> = passed.iter().filter(|name| !open.contains(*name)).collect();
    assert!(untold.is_empty(), "a wrong code passes, and the doctor does not say so: {untold:?}");
    for kind in ["dice", "ours"] {
        let count = passed.iter().filter(|name| name.starts_with(kind)).count();
        assert!((15..=STACKS - 15).contains(&count), "the dice are one-sided: {count} {kind}");
    }
}
