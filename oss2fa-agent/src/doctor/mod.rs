//! The doctor: whether a login can pass without the second factor, and by which line.
//!
//! Pure but for reading files and asking `sshd -T`. [`tree`] is the host's files; `line`, `control`
//! and `stack` read a service as libpam does; `walk` goes along its chains over every answer that
//! the modules may give (`module`); `phase` says by which line somebody gets past ours;
//! `sshd_config` and `doors` do the same for the ways into sshd; [`report`] is what comes out.
//!
//! **Invariant:** what cannot be read, followed or counted is never called protected.

mod control;
mod doors;
pub(crate) mod line;
mod module;
mod phase;
mod policy_notes;
pub mod report;
mod sshd;
mod sshd_config;
mod stack;
mod touch_notes;
pub mod tree;
mod walk;

pub(crate) use self::module::{OURS, PASSWORD};
pub use self::report::{Report, ServiceReport, Verdict};
pub(crate) use self::sshd_config::CONFIG as SSHD_CONFIG;
pub(crate) use self::sshd_config::{PUBLIC_KEY_OPTIONS, Setting, SshdConfig};
pub use self::stack::Place;
pub(crate) use self::stack::find as find_stack;
pub use self::tree::Tree;

use self::module::Modules;
use self::phase::{Finding, Gap};
use self::stack::{Phase, Stack, Unreadable};
use crate::config::Config;

/// The service of sshd.
pub const SSHD: &str = "sshd";

/// Services that are looked at, where they exist, when nobody names any: the usual ways in, and to root.
pub const USUAL: [&str; 5] = [SSHD, "su", "su-l", "sudo", "sudo-i"];

/// What a program calls itself for a login shell (`su -`, `sudo -i`): it is the same way in.
#[must_use]
pub fn login_shell_of(service: &str) -> Option<&'static str> {
    match service {
        "su" => Some("su-l"),
        "sudo" => Some("sudo-i"),
        "runuser" => Some("runuser-l"),
        _ => None,
    }
}

/// These services, and those that their programs go by for a login shell, where those have a file.
#[must_use]
pub fn with_login_shells(tree: &Tree, services: Vec<String>) -> Vec<String> {
    let has_file = |name: &str| matches!(stack::find(tree, name), Ok(Some(_)) | Err(_));
    let mut all = Vec::new();
    for service in services {
        let shell = login_shell_of(&service).filter(|shell| has_file(shell)).map(str::to_owned);
        for name in std::iter::once(service).chain(shell) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

/// Programs that are known to run the account phase after the auth phase, so that `enforce` in it closes
/// what the auth phase leaves open.
const RUN_ACCOUNT: [&str; 7] = ["login", "remote", SSHD, "su", "su-l", "sudo", "sudo-i"];

/// Examines `services`. `config` is the agent's own, or why there is none.
#[must_use]
pub fn examine(tree: &Tree, services: &[String], config: &Result<Config, String>) -> Report {
    Report::new(services.iter().map(|service| one(tree, service, config)).collect())
}

/// The services that are meant to be protected when nobody names any: those whose stack names the
/// module, those that `pam install` has written, and the [`USUAL`] ones where they have a file.
///
/// # Errors
/// Where the folders of libpam cannot be read.
pub fn meant(tree: &Tree) -> std::io::Result<Vec<String>> {
    let mut services = stack::services(tree)?;
    let installed = crate::pam_stack::kept::installed(tree);
    services
        .extend(installed.iter().filter(|service| !services.contains(service)).cloned().collect::<Vec<_>>());
    services.retain(|service| {
        installed.contains(service) || USUAL.contains(&service.as_str()) || names_the_module(tree, service)
    });
    services.sort_unstable();
    Ok(services)
}

/// Whether a service's chains have a line of the module.
#[must_use]
pub fn names_the_module(tree: &Tree, service: &str) -> bool {
    // Of a stack that cannot be read nobody can say that it does not.
    stack::load(tree, service).map_or(true, |stack| stack.names_the_module())
}

/// Whether somebody who shows all that is asked for gets through the service's stack.
#[must_use]
pub fn lets_somebody_in(tree: &Tree, service: &str) -> bool {
    let modules = Modules::new(tree, service);
    let passable = |links: &[stack::Link], phase| {
        phase::examine(links, &modules, phase).is_ok_and(|finding| finding.passable)
    };
    stack::load(tree, service)
        .is_ok_and(|stack| passable(&stack.auth, Phase::Auth) && passable(&stack.account, Phase::Account))
}

/// Why sshd would not take these settings, each a keyword in small letters and its value; `None` where
/// it would.
///
/// # Errors
/// Where its configuration cannot be read, or sshd does not take it at all.
pub(crate) fn sshd_takes(tree: &Tree, settings: &[(&str, &str)]) -> Result<Option<String>, String> {
    let config = sshd_config::SshdConfig::load(tree).map_err(|unusable| unusable.why)?;
    let Some(config) = config else { return Err(format!("there is no {SSHD_CONFIG}")) };
    let other = settings.iter().find_map(|(name, value)| {
        let setting = config.setting(name, &[]);
        (setting.value != *value).then(|| setting.told(name))
    });
    Ok(other)
}

/// What the walks found out about one service.
struct Walked {
    stack: Stack,
    auth: Finding,
    account: Finding,
    notes: Vec<String>,
}

impl Walked {
    fn lets_anybody_in(&self) -> bool {
        self.auth.passable && self.account.passable
    }
}

/// What is safe as nothing passes at all.
fn nobody(service: &str, walked: Walked) -> ServiceReport {
    let sentence = "nobody gets in, with or without a second factor".to_owned();
    let mut report = ServiceReport::protected(service, sentence, walked.notes);
    report.cure = Some(format!("try the stack with `oss2fa-agent pam try {service} USER`, and mend it"));
    report
}

fn one(tree: &Tree, service: &str, config: &Result<Config, String>) -> ServiceReport {
    let walked = match walk(tree, service, config) {
        Ok(walked) => walked,
        Err(report) => return *report,
    };
    if service == SSHD {
        return sshd::examine(tree, walked);
    }
    let closed_later = RUN_ACCOUNT.contains(&service) && walked.account.gap.is_none();
    match &walked.auth.gap {
        Some(gap) if closed_later => {
            let mut notes = walked.notes.clone();
            notes.push(format!("the auth phase would let by: {}; the account phase refuses that", gap.what));
            let sentence =
                format!("{} refuses whoever has shown no second factor", told(&walked, Phase::Account));
            ServiceReport::protected(service, sentence, notes)
        }
        Some(gap) => open(service, &walked, gap),
        None if !walked.lets_anybody_in() => nobody(service, walked),
        None => {
            let sentence =
                format!("every login is asked for a second factor by {}", told(&walked, Phase::Auth));
            ServiceReport::protected(service, sentence, walked.notes)
        }
    }
}

/// The line of ours that does it.
fn told(walked: &Walked, phase: Phase) -> String {
    let line = phase::ours(walked.stack.phase(phase), phase).next();
    line.map_or_else(|| "a stack that refuses everybody".to_owned(), |link| link.place.to_string())
}

fn open(service: &str, walked: &Walked, gap: &Gap) -> ServiceReport {
    let whose = match (&gap.place, &walked.stack.file) {
        (Some(_), _) => String::new(),
        (None, Some(file)) => format!(" in {}", file.display()),
        (None, None) => " in /etc/pam.d/other, which stands in for it".to_owned(),
    };
    ServiceReport {
        service: service.to_owned(),
        verdict: Verdict::Open,
        sentence: format!("{}{whose}", gap.what),
        line: gap.place.clone(),
        cure: Some(gap.cure.clone()),
        notes: walked.notes.clone(),
    }
}

fn walk(tree: &Tree, service: &str, config: &Result<Config, String>) -> Result<Walked, Box<ServiceReport>> {
    let stack =
        stack::load(tree, service).map_err(|unreadable| Box::new(without_stack(service, unreadable)))?;
    let modules = Modules::new(tree, service);
    let mut found = Vec::new();
    for phase in [Phase::Auth, Phase::Account] {
        found.push(phase::examine(stack.phase(phase), &modules, phase).map_err(|_too_many| {
            Box::new(ServiceReport {
                service: service.to_owned(),
                verdict: Verdict::Unclear,
                sentence: "its lines can be gone through in more ways than can be looked at".to_owned(),
                line: None,
                cure: Some("write the stack with fewer jumps".to_owned()),
                notes: Vec::new(),
            })
        })?);
    }
    let mut found = found.into_iter();
    let (Some(auth), Some(account)) = (found.next(), found.next()) else {
        return Err(Box::new(without_stack(service, Unreadable::NoFile)));
    };
    let mut notes = phase::oddities(&stack.auth, &modules, Phase::Auth);
    notes.extend(phase::oddities(&stack.account, &modules, Phase::Account));
    if stack.names_the_module() {
        notes.extend(policy_notes::notes(config, service, &stack));
        notes.extend(touch_notes::notes(tree, config, service, &stack));
    }
    notes.dedup();
    Ok(Walked { stack, auth, account, notes })
}

fn without_stack(service: &str, unreadable: Unreadable) -> ServiceReport {
    let service = service.to_owned();
    match unreadable {
        Unreadable::Refuses { at, why } => ServiceReport {
            service,
            verdict: Verdict::Protected,
            sentence: format!("libpam refuses every login, because {at} {why}"),
            line: Some(at),
            cure: Some("mend that line: as it is, nobody gets in".to_owned()),
            notes: Vec::new(),
        },
        Unreadable::NoFile => ServiceReport {
            service,
            verdict: Verdict::Protected,
            sentence: "libpam refuses every login, because there is no file for it, and no `other`"
                .to_owned(),
            line: None,
            cure: None,
            notes: Vec::new(),
        },
        Unreadable::Unclear { at, why } => ServiceReport {
            service,
            verdict: Verdict::Unclear,
            sentence: format!("{at} {why}"),
            line: Some(at),
            cure: None,
            notes: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    /// A host of nothing but these files.
    fn host(files: &[(&str, &str)]) -> Tree {
        files.iter().fold(Tree::new(Path::new("/nonexistent")), |tree, (name, text)| {
            tree.with(&Path::new("/etc/pam.d").join(name), Some((*text).to_owned()))
        })
    }

    fn verdict(tree: &Tree) -> ServiceReport {
        let report = examine(tree, &["door".to_owned()], &Err("none".to_owned()));
        report.services.into_iter().next().unwrap()
    }

    #[test]
    fn what_cannot_be_followed_is_not_called_protected() {
        let ours = "auth required pam_oss2fa.so\n";
        for (text, why) in [
            ("@include door\n".to_owned(), "a file that includes itself"),
            (format!("{ours}@include\n"), "without the name of a file"),
            (format!("{ours}# {}\n", "x".repeat(1100)), "longer than 1022 bytes"),
            (format!("{ours}auth required pam_unix.so\0\n"), "a zero byte"),
        ] {
            let found = verdict(&host(&[("door", &text)]));
            assert_eq!(found.verdict, Verdict::Unclear, "{why}");
            assert!(found.sentence.contains(why), "{}", found.sentence);
        }
    }

    #[test]
    fn long_stacks_with_substacks_in_substacks_are_gone_through_to_the_end() {
        let mut files = vec![("door".to_owned(), String::new())];
        for depth in 0..10 {
            let controls = [
                "required",
                "[success=ok ignore=ignore user_unknown=reset default=bad]",
                "[default=2]",
                "optional",
            ];
            let mut text: String = controls
                .iter()
                .cycle()
                .take(40)
                .map(|control| format!("auth {control} pam_any.so\n"))
                .collect();
            text += &format!("auth substack part{depth}\n");
            let name = if depth == 0 { "door".to_owned() } else { format!("part{}", depth - 1) };
            files.push((name, text));
        }
        files.push((
            "part9".to_owned(),
            "auth required pam_oss2fa.so\nauth required pam_unix.so\n".to_owned(),
        ));
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        // The line of ours is ten substacks deep, and above it there are jumps and resets of their own.
        assert_ne!(verdict(&host(&files)).verdict, Verdict::Unclear);
    }

    fn words() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("auth "),
            Just("account "),
            Just("-session "),
            Just("@include "),
            Just("include "),
            Just("substack "),
            Just("door"),
            Just("other"),
            Just("required "),
            Just("sufficient "),
            Just("[success="),
            Just("default="),
            Just("1"),
            Just("done"),
            Just("] "),
            Just("pam_oss2fa.so "),
            Just("pam_permit.so"),
            Just("enforce"),
            Just("\\\n"),
            Just("\n"),
            Just("\n"),
            Just("# "),
            Just("\\]"),
            Just("ü"),
            Just("\0"),
        ];
        proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic_or_go_on_for_ever(one in words(), other in words()) {
            let tree = host(&[("door", &one), ("other", &other)]);
            let found = verdict(&tree);
            prop_assert!(!found.sentence.is_empty());
            // Where nothing names the module, nothing but a stack that lets nobody in is protected.
            if !names_the_module(&tree, "door") && found.verdict == Verdict::Protected {
                prop_assert!(!lets_somebody_in(&tree, "door"));
            }
        }
    }
}
