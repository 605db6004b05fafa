//! Who follows a guide: types its commands, answers the prompts, and compares what is shown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Step, compare};
use crate::{Host, PASSWORD, Program, Sshd, Token, workspace};

/// Prompts that may stand in a block, and what is typed there where the page does not say.
const PROMPTS: [(&str, Typed); 8] = [
    ("First code from it:", Typed::Code),
    ("Verification code:", Typed::Code),
    ("One-time password", Typed::Code),
    ("[sudo] password for ferris:", Typed::Password),
    ("Password:", Typed::Password),
    ("password:", Typed::Password),
    ("Write this? [y/N]", Typed::Yes),
    ("Put this back? [y/N]", Typed::Yes),
];

#[derive(Debug, Clone, Copy)]
enum Typed {
    Code,
    Password,
    Yes,
}

pub(super) struct Reader<'h> {
    host: &'h Host,
    sshd: Option<Sshd<'h>>,
    tokens: HashMap<String, Token>,
}

impl<'h> Reader<'h> {
    pub(super) fn at(host: &'h Host, tokens: Vec<(String, Token)>) -> Self {
        Self { host, sshd: None, tokens: tokens.into_iter().collect() }
    }

    pub(super) fn follow(&mut self, step: &Step, status: i32, here: &str) {
        if let Some(request) = step.command.strip_prefix("systemctl ") {
            self.systemctl(request, here);
            return;
        }
        let owner = owner(&step.command);
        let command = self.with_codes(&step.command, &owner);
        let (ended, shown) = self.run(step, &command, &owner, here);
        assert_eq!(ended, status, "{here}:\n{shown}");
        // What is typed after a prompt is not what the page shows.
        let lines = step.shows.iter().map(|line| prompt(line).map_or(line.as_str(), |(text, _, _)| text));
        compare(lines, &shown, here);
    }

    fn run(&mut self, step: &Step, command: &str, owner: &str, here: &str) -> (i32, String) {
        let program = self.program(step, command);
        let prompts: Vec<_> = step.shows.iter().filter_map(|line| prompt(line)).collect();
        if prompts.is_empty() {
            let ran = program.run();
            self.learn(owner, &ran.stdout);
            return (ran.status, ran.text());
        }
        let mut terminal = program.terminal();
        for (text, typed, literal) in prompts {
            let before = terminal.expect(text);
            self.learn(owner, &before);
            terminal.send(&match typed {
                _ if !literal.is_empty() && !is_code(literal) => literal.to_owned(),
                Typed::Password => PASSWORD.to_owned(),
                Typed::Yes => "y".to_owned(),
                Typed::Code => self.code(owner, here),
            });
        }
        let end = terminal.finish();
        (end.status, end.transcript)
    }

    fn program(&self, step: &Step, command: &str) -> Program {
        if let Some(words) = command.strip_prefix("ssh ") {
            return self.ssh(&words.split(' ').collect::<Vec<_>>());
        }
        if step.by_root {
            let command = format!("cd '{}' && {command}", workspace().display());
            self.host.program(&["bash", "-c", &command])
        } else {
            self.host.program(&["bash", "-c", command]).as_user("ferris")
        }
    }

    // host.example is this world; a refusal shows after one question, and not after three.
    fn ssh(&self, words: &[&str]) -> Program {
        let mut options = vec!["NumberOfPasswordPrompts=1"];
        let mut words = words;
        while let ["-o", option, rest @ ..] = words {
            options.push(option);
            words = rest;
        }
        let [at, command @ ..] = words else { panic!("ssh to whom?") };
        let user = at.strip_suffix("@host.example").expect("host.example");
        self.sshd.as_ref().expect("`systemctl reload ssh` comes first").ssh(user, &options, command)
    }

    // There is no systemd in a world: what it would do is done here.
    fn systemctl(&mut self, request: &str, here: &str) {
        let host = self.host;
        match request {
            "reload ssh" => {
                drop(self.sshd.take());
                let sshd = host.sshd_as_configured().start();
                for user in host.program(&["ls", "/home"]).output().split_whitespace() {
                    sshd.authorize_key(user);
                }
                self.sshd = Some(sshd);
            }
            "reload oss2fa-agent" => {
                let reloads = || host.syslog().text().matches("event=reloaded").count();
                let (before, begun) = (reloads(), Instant::now());
                host.with_agent(|agent| agent.signal(Signal::SIGHUP));
                while reloads() == before {
                    assert!(begun.elapsed() < Duration::from_secs(60), "{here}: {}", host.log());
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            "stop oss2fa-agent.socket oss2fa-agent.service" => {
                let status = host.with_agent(|agent| {
                    agent.signal(Signal::SIGTERM);
                    agent.wait()
                });
                assert_eq!(status, 0, "{here}");
            }
            "start oss2fa-agent.socket" => host.start_agent(),
            _ => panic!("{here}: mark this block no-run"),
        }
    }

    // The device of somebody that was shown last is the one that their codes are of.
    fn learn(&mut self, owner: &str, shown: &str) {
        if let Some(uri) = shown.split_whitespace().find(|word| word.starts_with("otpauth://")) {
            self.tokens.insert(owner.to_owned(), Token::scan(uri));
        }
    }

    fn code(&mut self, owner: &str, here: &str) -> String {
        let token = self.tokens.get_mut(owner);
        token.unwrap_or_else(|| panic!("{here}: no device of {owner} was shown yet")).next_code()
    }

    fn with_codes(&mut self, command: &str, owner: &str) -> String {
        let words = command.split(' ').map(|word| match is_code(word) {
            true => self.code(owner, command),
            false => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// A code in a page stands for the next one; this one is always wrong.
const WRONG: &str = "000000";

fn is_code(word: &str) -> bool {
    word != WRONG && word.len() == WRONG.len() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whose codes a command asks for: `--user`, who logs in by ssh, whom one becomes by su; otherwise ferris.
fn owner(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let named = words.iter().position(|word| *word == "--user").and_then(|at| words.get(at + 1)).copied();
    let by_ssh = words.iter().find_map(|word| word.strip_suffix("@host.example"));
    let by_su = (words.first() == Some(&"su")).then_some("root");
    named.or(by_ssh).or(by_su).unwrap_or("ferris").to_owned()
}

/// The prompt that a line begins with, and what the page says is typed there.
fn prompt(line: &str) -> Option<(&'static str, Typed, &str)> {
    PROMPTS.into_iter().find_map(|(text, typed)| {
        let literal = line.strip_prefix(text)?.trim();
        // pam_oath names the user in its prompt.
        let literal = if literal.ends_with(':') { "" } else { literal };
        Some((text, typed, literal))
    })
}
