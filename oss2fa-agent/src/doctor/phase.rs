//! What the walk along one phase of a service shows: by which line somebody gets past the module.

use super::control::{Action, Code};
use super::module::{self, Modules, OURS, Who, bad_argument, enforces, is_ours};
use super::stack::{Link, Phase, Place};
use super::walk::{Step, TooManyWays, Walk};

/// A way past the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// The line that lets by; none where a line is missing.
    pub(super) place: Option<Place>,
    /// What that line says and why it matters.
    pub(super) what: String,
    /// What to do.
    pub(super) cure: String,
}

/// What is known of one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The way past the module, where there is one.
    pub(super) gap: Option<Gap>,
    /// Whether the owner gets through, who shows everything that is asked for.
    pub(super) passable: bool,
}

/// Walks along a phase.
pub(super) fn examine(links: &[Link], modules: &Modules<'_>, phase: Phase) -> Result<Finding, TooManyWays> {
    let walk = Walk::new(links, modules, phase);
    let past = walk.way(Who::Stranger)?;
    let passable = walk.way(Who::Owner)?.is_some();
    Ok(Finding { gap: past.map(|steps| gap(links, &steps, phase)), passable })
}

/// The lines that name our module and have a say.
pub(super) fn ours(links: &[Link], phase: Phase) -> impl Iterator<Item = &Link> {
    links.iter().filter(move |link| is_ours(link) && (phase == Phase::Auth || enforces(link)))
}

fn gap(links: &[Link], steps: &[Step], phase: Phase) -> Gap {
    let matters = |link: &Link| is_ours(link) && (phase == Phase::Auth || enforces(link));
    let Some((first, ours)) = links.iter().enumerate().find(|(_, link)| matters(link)) else {
        return missing(links, phase);
    };
    let mut asked = steps
        .iter()
        .filter_map(|step| links.get(step.link).filter(|link| matters(link)).map(|link| (step, link)));
    if let Some((step, link)) = asked.next() {
        return match step.action {
            Action::Bad | Action::Die => forgotten(links, steps, step, link),
            _ => passed_over(step, link, phase),
        };
    }
    let skips = |step: &&Step| step.link < first && step.next > first;
    match steps.iter().find(skips).and_then(|step| links.get(step.link).map(|link| (step, link))) {
        Some((step, link)) => skipped(step, link, ours),
        None => missing(links, phase),
    }
}

fn missing(links: &[Link], phase: Phase) -> Gap {
    let unarmed = links.iter().find(|link| is_ours(link) && phase == Phase::Account);
    match (phase, unarmed) {
        (Phase::Auth, _) => Gap {
            place: None,
            what: format!("no auth line names {OURS}"),
            cure: format!("put `auth required {OURS}` below the auth lines that ask for the password"),
        },
        (Phase::Account, None) => Gap {
            place: None,
            what: format!("no account line says `{OURS} enforce`"),
            cure: format!("put `account required {OURS} enforce` above the other account lines"),
        },
        (Phase::Account, Some(link)) => Gap {
            place: Some(link.place.clone()),
            what: format!("the account line {} does not say `enforce`", link.place),
            cure: format!("write `account required {OURS} enforce` there"),
        },
    }
}

/// Our module said no, and that did not count.
fn passed_over(step: &Step, link: &Link, phase: Phase) -> Gap {
    let words = link.control.words_for(step.code);
    let line = phase_word(phase);
    let what = match words.as_str() {
        "optional" | "sufficient" => {
            format!("{} says `{words}` for {OURS}, so its refusal does not count", link.place)
        }
        _ => format!(
            "{} says `{words}` for {OURS}, so {} does not end the login",
            link.place,
            meaning(step.code, phase)
        ),
    };
    Gap { place: Some(link.place.clone()), what, cure: format!("write `{line} required {OURS}` there") }
}

/// Our module said no, and a later line wiped that out.
fn forgotten(links: &[Link], steps: &[Step], refused: &Step, ours: &Link) -> Gap {
    let reset = steps.iter().find(|step| step.action == Action::Reset && step.link > refused.link);
    let link = reset.and_then(|step| links.get(step.link)).unwrap_or(ours);
    let words = reset.map_or_else(String::new, |step| link.control.words_for(step.code));
    Gap {
        place: Some(link.place.clone()),
        what: format!(
            "{} says `{words}` for {}, which wipes out what {OURS} refused at {}",
            link.place, link.module, ours.place
        ),
        cure: format!("write `ok` or `ignore` in place of `reset` at {}", link.place),
    }
}

/// Our module was never called.
fn skipped(step: &Step, link: &Link, ours: &Link) -> Gap {
    let words = link.control.words_for(step.code);
    let when = match step.code {
        Code::SUCCESS => format!("whoever {} lets by", link.module),
        Code::IGNORE => format!("whoever {} has no opinion of", link.module),
        _ => format!("whoever {} refuses", link.module),
    };
    let (what, cure) = match step.action {
        Action::Jump(_) => (
            format!(
                "{} says `{words}` for {}, a jump over {OURS} at {}: {when} is not asked for a code",
                link.place, link.module, ours.place
            ),
            format!("let the jump end at the line of {OURS}, or write `required` there"),
        ),
        _ => (
            format!(
                "{} says `{words}` for {}, above {OURS} at {}: {when} is not asked for a code",
                link.place, link.module, ours.place
            ),
            match link.place.path == ours.place.path {
                true => format!("write `requisite` there, or move the line of {OURS} above it"),
                false => format!(
                    "move the line of {OURS} above the one that includes {}, or include that file by `substack`",
                    link.place.path.display()
                ),
            },
        ),
    };
    Gap { place: Some(link.place.clone()), what, cure }
}

/// What a refusal of our module comes from.
fn meaning(code: Code, phase: Phase) -> &'static str {
    match (code, phase) {
        (Code::AUTH_ERR, _) => "a wrong code",
        (Code::CONV_ERR, _) => "leaving at the prompt for the code",
        (Code::AUTHINFO_UNAVAIL, _) => "an agent that does not answer",
        (Code::MAXTRIES, _) => "a pause after too many wrong codes",
        (Code::USER_UNKNOWN, _) => "a user whom the agent does not know",
        (Code::SERVICE_ERR, _) => "a bad configuration",
        (Code::PERM_DENIED, Phase::Account) => "having shown no second factor",
        (Code::MODULE_UNKNOWN, _) => "the absence of the module's file",
        _ => "a failure of the module",
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Auth => "auth",
        Phase::Account => "account",
    }
}

/// What is wrong with the lines of our module, save that they let somebody by.
pub(super) fn oddities(links: &[Link], modules: &Modules<'_>, phase: Phase) -> Vec<String> {
    let mut notes = Vec::new();
    for link in links.iter().filter(|link| is_ours(link)) {
        if let Some(name) = bad_argument(link, phase) {
            notes.push(format!(
                "{}: {OURS} does not take the argument `{name}` there and refuses every login: correct it",
                link.place
            ));
        }
        if !modules.has(&link.module) {
            notes.push(format!(
                "{}: the file of {} is not there, and libpam refuses every login: install the module",
                link.place, link.module
            ));
        }
    }
    for link in links.iter().filter(|link| link.module_name() == "pam_rootok.so") {
        if modules.answers(link, phase, Who::Stranger).iter().all(|answer| answer.code != Code::SUCCESS) {
            notes.push(format!("root passes without a second factor by {}", link.place));
        }
    }
    notes
}

/// The socket that our lines name.
pub(super) fn sockets(links: &[Link]) -> impl Iterator<Item = (&Link, &str)> {
    links.iter().filter(|link| is_ours(link)).map(|link| {
        let named = link.arguments.iter().find_map(|argument| argument.strip_prefix("socket="));
        (link, named.unwrap_or(module::DEFAULT_SOCKET))
    })
}
