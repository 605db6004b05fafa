//! The new text of a stack: our lines in their places, everything else as it was.

use crate::doctor::line::{self, Line, Words};
use crate::doctor::{OURS, PASSWORD, SSHD, Tree, find_stack};

use super::Mode;

/// In front of a line that is no longer in force.
const OFF: &str = "#oss2fa: ";

/// Lets by whoever has shown a key, which sshd says in a variable that no client can set.
const KEY_WAS_SHOWN: &str = "auth       requisite    pam_exec.so quiet /bin/sh -c [case \"$SSH_AUTH_INFO_0\" in \
                             \"publickey \"*) exit 0;; esac; exit 1]";

/// Deepest file within a file that is looked into.
const DEEPEST: usize = 16;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Phases {
    auth: bool,
    account: bool,
    password: bool,
    session: bool,
}

/// The new text of the stack of `service`, whose text is `original`; `way_back` is what `pam remove` is
/// told to undo it.
///
/// # Errors
/// A sentence that says why this program cannot write it.
pub(crate) fn protect(
    tree: &Tree,
    service: &str,
    way_back: &str,
    original: &str,
    mode: Mode,
) -> Result<String, String> {
    let (lines, fault) = line::lines(original);
    if let Some((number, _)) = fault {
        return Err(format!("its line {number} cannot be read"));
    }
    let about: Vec<(Line, Phases)> = lines
        .into_iter()
        .map(|line| phases(tree, &line.text, 0).map(|phases| (line, phases)))
        .collect::<Result<_, _>>()?;
    if about.iter().any(|(line, _)| line.text.contains(OURS)) {
        return Err(format!("it names {OURS} already"));
    }
    let last = |wanted: fn(&Phases) -> bool| {
        about.iter().rfind(|(_, phases)| wanted(phases)).map(|(line, _)| line.last)
    };
    let Some(last_auth) = last(|phases| phases.auth) else {
        return Err("it has no auth lines of its own".to_owned());
    };
    // Above the others: a `sufficient` among them, as Fedora has it, would end the phase before ours.
    let first_account = about.iter().find(|(_, phases)| phases.account).map(|(line, _)| line.number);
    let mut text = String::new();
    for (number, raw) in original.split_inclusive('\n').enumerate().map(|(at, raw)| (at + 1, raw)) {
        if service == SSHD && first_account == Some(number) {
            text.push_str(&account_lines());
        }
        let whole = about.iter().find(|(line, _)| (line.number..=line.last).contains(&number));
        match whole
            .filter(|(line, phases)| mode != Mode::PasswordAndCode && asks_for_a_password(line, phases))
        {
            Some((line, phases)) => {
                text.push_str(&format!("{OFF}{raw}"));
                if number == line.last {
                    end_line(&mut text);
                    text.push_str(&rest_of(line, *phases));
                }
            }
            None => text.push_str(raw),
        }
        if number == last_auth {
            end_line(&mut text);
            text.push_str(&auth_lines(way_back, mode));
        }
    }
    if service == SSHD && first_account.is_none() {
        end_line(&mut text);
        text.push_str(&account_lines());
    }
    Ok(text)
}

fn account_lines() -> String {
    format!(
        "# A login by public key alone runs only the account lines: this one refuses it.\n\
         account    required     {OURS} enforce\n"
    )
}

fn auth_lines(way_back: &str, mode: Mode) -> String {
    let mut lines = format!(
        "# The second factor. `oss2fa-agent pam remove {way_back}` puts back what was here before.\n"
    );
    if mode == Mode::PublicKeyAndCode {
        lines.push_str(&format!("{KEY_WAS_SHOWN}\n"));
    }
    lines.push_str(&format!("auth       required     {OURS}\n"));
    lines
}

fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// Whether a line stands for a password: a whole file of such lines, a module that asks for one, or what
/// goes with it.
fn asks_for_a_password(line: &Line, phases: &Phases) -> bool {
    if !phases.auth {
        return false;
    }
    let words: Vec<String> = Words::new(&line.text).collect();
    let word = |at: usize| words.get(at).map(String::as_str).unwrap_or_default();
    let module = word(2).rsplit('/').next().unwrap_or_default().to_owned();
    is_include(word(0))
        || is_inclusion(word(1))
        || PASSWORD.contains(&module.as_str())
        || matches!(module.as_str(), "pam_deny.so" | "pam_permit.so")
}

/// What an `@include` that is switched off was good for besides the auth phase.
fn rest_of(line: &Line, phases: Phases) -> String {
    let mut words = Words::new(&line.text);
    if !words.next().is_some_and(|word| is_include(&word)) {
        return String::new();
    }
    let name = words.next().unwrap_or_default();
    [("account", phases.account), ("password", phases.password), ("session", phases.session)]
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(type_, _)| format!("{type_} include {name}\n"))
        .collect()
}

fn is_include(word: &str) -> bool {
    word.trim_start_matches('-').eq_ignore_ascii_case("@include")
}

fn is_inclusion(control: &str) -> bool {
    control.eq_ignore_ascii_case("include") || control.eq_ignore_ascii_case("substack")
}

fn phases(tree: &Tree, text: &str, depth: usize) -> Result<Phases, String> {
    let mut words = Words::new(text);
    let first = words.next().unwrap_or_default();
    let mut phases = Phases::default();
    match first.trim_start_matches('-').to_ascii_lowercase().as_str() {
        "auth" => phases.auth = true,
        "account" => phases.account = true,
        "password" => phases.password = true,
        "session" => phases.session = true,
        "@include" => {
            let name = words.next().unwrap_or_default();
            let found = find_stack(tree, &name).map_err(|error| format!("it includes {name}: {error}"))?;
            let Some((_, included)) = found.filter(|_| depth < DEEPEST) else {
                return Err(format!("it includes {name}, which cannot be read"));
            };
            for line in line::lines(&included).0 {
                let more = self::phases(tree, &line.text, depth + 1)?;
                phases.auth |= more.auth;
                phases.account |= more.account;
                phases.password |= more.password;
                phases.session |= more.session;
            }
        }
        _ => return Err(format!("its line {first:?} is of no phase that libpam knows")),
    }
    Ok(phases)
}
