//! Who follows a guide in the guest, where security keys can be plugged in: a step of the guest for each command.

use super::{Guide, Step, compare};
use crate::{Guest, GuestRan};

/// Prompts that may stand in a block; what is typed there stands behind them.
const PROMPTS: [&str; 4] =
    ["PIN of ", "Wrong PIN. PIN of ", "Touch your security key, and press Enter:", "Verification code:"];

impl Guide {
    /// Adds its commands to those of a guest, where ferris has an account. A key that blinks is touched by whoever sits
    /// there. `before` has what the page leaves to its reader's hands: how a command begins, and a script before it.
    ///
    /// # Panics
    /// Where no command begins so.
    #[must_use]
    pub fn in_guest(&self, mut guest: Guest, before: &[(&str, &str)]) -> Guest {
        let mut done = 0;
        for (name, _, step) in self.commands() {
            for (_, script) in before.iter().filter(|(start, _)| step.command.starts_with(start)) {
                guest = guest.step(&format!("before {name}"), script);
                done += 1;
            }
            guest = guest.step(&name, &script(step));
        }
        assert_eq!(done, before.len(), "{}: a command is not there any more", self.page);
        guest
    }

    /// Demands that each command has shown what the page says.
    ///
    /// # Panics
    /// Where one has not.
    pub fn was_followed(&self, ran: &GuestRan) {
        for (name, status, step) in self.commands() {
            let ended = ran.of(&name);
            let (shown, last) = ended.stdout.trim_end().rsplit_once("status ").unwrap_or(("", ""));
            assert_eq!(last, status.to_string(), "{name}: {ended}");
            // What is typed after a prompt is not what the page shows.
            let lines = step.shows.iter().map(|line| prompt(line).map_or(line.as_str(), |(text, _)| text));
            compare(lines, shown, &name);
        }
    }

    // Each with its name, which says where it stands, and the status it must have.
    fn commands(&self) -> impl Iterator<Item = (String, i32, &Step)> {
        self.blocks.iter().filter(|block| block.runs).flat_map(move |block| {
            let last = block.steps.len() - 1;
            block.steps.iter().enumerate().map(move |(number, step)| {
                let name = format!("{}:{} `{}`", self.page, block.line + number, step.command);
                (name, if number == last { block.status } else { 0 }, step)
            })
        })
    }
}

fn script(step: &Step) -> String {
    // There is no systemd in a guest: what it would do is done here.
    if step.command == "systemctl reload oss2fa-agent" {
        return "reload_agent; echo status 0".to_owned();
    }
    let user = if step.by_root { "root" } else { "ferris" };
    let mut script = format!("cd /; at_terminal {user} {}", quoted(&step.command));
    for (prompt, typed) in step.shows.iter().filter_map(|line| prompt(line)) {
        script.push_str(&format!(" {} {}", quoted(prompt), quoted(typed)));
    }
    script
}

// A prompt that a line begins with, and what stands behind it: what is typed.
fn prompt(line: &str) -> Option<(&'static str, &str)> {
    let prompt = PROMPTS.into_iter().find(|text| line.starts_with(text))?;
    let (_, typed) = line.rsplit_once(':').unwrap_or_default();
    Some((prompt, typed.trim()))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
