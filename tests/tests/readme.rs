//! The console blocks of README.md, run from top to bottom in one private world, as a reader would.
//!
//! In a block, `# ` begins a command of root and `$ ` one of the user ferris. A line below that begins
//! with a known prompt is answered; every other line must appear in what the command shows, in this
//! order, `...` standing for anything. A word of six digits in a command stands for the next code of
//! ferris' device. After ` ```console ` may stand `no-run`, or `status=N` for the block's last command.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a panic in tests, in their helpers too")]

use std::fs;

use nix::sys::signal::Signal;
use oss2fa_tests::{Host, PASSWORD, Program, Sshd, Token, workspace};

/// Prompts that may stand in a block, and what is typed there.
const PROMPTS: [(&str, Typed); 4] = [
    ("First code from it:", Typed::Code),
    ("Verification code:", Typed::Code),
    ("[sudo] password for ferris:", Typed::Password),
    ("Password:", Typed::Password),
];

/// Blocks that need a machine of their own: `make demo`, and the three ways to install.
const NOT_RUN: usize = 4;

#[derive(Clone, Copy)]
enum Typed {
    Code,
    Password,
}

#[derive(Debug)]
struct Block {
    line: usize,
    runs: bool,
    status: i32,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    by_root: bool,
    command: String,
    shows: Vec<String>,
}

#[test]
fn the_console_blocks_of_the_readme_do_what_they_say() {
    let blocks = blocks(&fs::read_to_string(workspace().join("README.md")).unwrap());
    assert!(blocks.len() > 15, "the blocks were not found");
    assert!(blocks.iter().filter(|block| !block.runs).count() <= NOT_RUN, "more blocks are left out");
    let host = Host::new().user("ferris").in_group("sudo").start();
    prepare(&host);
    let mut reader = Reader { host: &host, sshd: None, token: None };
    for block in blocks.iter().filter(|block| block.runs) {
        for (number, step) in block.steps.iter().enumerate() {
            let last = number + 1 == block.steps.len();
            reader.follow(step, if last { block.status } else { 0 }, block.line);
        }
    }
}

// What the reader's host has beside the harness's: other media, and the files of other modules.
fn prepare(host: &Host) {
    for folder in ["/var/backups", "/mnt"] {
        host.program(&["mount", "-t", "tmpfs", "none", folder]).succeed();
    }
    let google = "google-authenticator -t -d -f -C -q -r 3 -R 30 -w 3 -s /home/ferris/.google_authenticator";
    host.program(&["sh", "-c", google]).as_user("ferris").succeed();
    host.write("/etc/users.oath", "HOTP ferris - 3132333435363738393031323334353637383930\n");
}

struct Reader<'h> {
    host: &'h Host,
    sshd: Option<Sshd<'h>>,
    token: Option<Token>,
}

impl Reader<'_> {
    fn follow(&mut self, step: &Step, status: i32, line: usize) {
        let here = format!("README.md, block of line {line}, `{}`", step.command);
        if let Some(request) = step.command.strip_prefix("systemctl ") {
            self.systemctl(request, &here);
            return;
        }
        let command = self.with_codes(&step.command);
        let (ended, shown) = self.run(step, &command, &here);
        assert_eq!(ended, status, "{here}:\n{shown}");
        let shown = words(&shown);
        let mut rest = shown.as_str();
        for expected in &step.shows {
            // What is typed after a prompt is not what the README shows.
            let expected = prompt(expected).map_or(expected.as_str(), |(text, _)| text);
            for part in expected.split("...").map(words) {
                let at = rest.find(&part).unwrap_or_else(|| panic!("{here}: no {part:?} in\n{shown}"));
                rest = &rest[at + part.len()..];
            }
        }
    }

    fn run(&mut self, step: &Step, command: &str, here: &str) -> (i32, String) {
        let program = self.program(step, command);
        let prompts: Vec<_> = step.shows.iter().filter_map(|line| prompt(line)).collect();
        if prompts.is_empty() {
            let ran = program.run();
            self.learn(&ran.stdout);
            return (ran.status, ran.text());
        }
        let mut terminal = program.terminal();
        for (text, typed) in prompts {
            let before = terminal.expect(text);
            self.learn(&before);
            terminal.send(&match typed {
                Typed::Password => PASSWORD.to_owned(),
                Typed::Code => self.code(here),
            });
        }
        let end = terminal.finish();
        (end.status, end.transcript)
    }

    fn program(&self, step: &Step, command: &str) -> Program {
        if let Some(words) = command.strip_prefix("ssh ferris@host.example ") {
            let sshd = self.sshd.as_ref().unwrap();
            return sshd.ssh("ferris", &[], &[words]);
        }
        if step.by_root {
            let command = format!("cd '{}' && {command}", workspace().display());
            self.host.program(&["bash", "-c", &command])
        } else {
            self.host.program(&["bash", "-c", command]).as_user("ferris")
        }
    }

    // There is no systemd in a world: what it would do is done here.
    fn systemctl(&mut self, request: &str, here: &str) {
        let host = self.host;
        match request {
            "reload ssh" => {
                let drop_in = fs::read_to_string(host.path("/etc/ssh/sshd_config.d/oss2fa.conf"));
                let drop_in = drop_in.unwrap_or_default();
                let methods = drop_in.lines().find_map(|line| line.strip_prefix("AuthenticationMethods "));
                drop(self.sshd.take());
                host.program(&["rm", "-rf", "/etc/ssh/test"]).succeed();
                let plan = host.sshd(methods.unwrap_or("any"));
                let sshd = plan.line("Include /etc/ssh/sshd_config.d/*.conf").start();
                if methods != Some("keyboard-interactive") {
                    sshd.authorize_key("ferris");
                }
                self.sshd = Some(sshd);
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

    // The first device that is shown is the one that codes are of from then on.
    fn learn(&mut self, shown: &str) {
        if self.token.is_none() {
            self.token =
                shown.split_whitespace().find(|word| word.starts_with("otpauth://")).map(Token::scan);
        }
    }

    fn code(&mut self, here: &str) -> String {
        self.token.as_mut().unwrap_or_else(|| panic!("{here}: no device was shown yet")).next_code()
    }

    fn with_codes(&mut self, command: &str) -> String {
        let is_code = |word: &str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        let words = command.split(' ').map(|word| match is_code(word) {
            true => self.code(command),
            false => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (index, line) in readme.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(info) if !inside && info.starts_with("console") => {
                inside = true;
                let status = info.split("status=").nth(1).map_or(0, |number| number.trim().parse().unwrap());
                let runs = !info.contains("no-run");
                blocks.push(Block { line: index + 1, runs, status, steps: Vec::new() });
            }
            Some(_) => inside = false,
            None if inside => {
                let steps = &mut blocks.last_mut().unwrap().steps;
                match line.strip_prefix("# ").or(line.strip_prefix("$ ")) {
                    Some(command) => {
                        let (by_root, command) = (line.starts_with('#'), command.to_owned());
                        steps.push(Step { by_root, command, shows: Vec::new() });
                    }
                    None => steps.last_mut().unwrap().shows.push(line.to_owned()),
                }
            }
            None => {}
        }
    }
    blocks
}

fn prompt(line: &str) -> Option<(&'static str, Typed)> {
    PROMPTS.into_iter().find(|(text, _)| line.starts_with(text))
}

// One blank between words: columns and line ends are not what the README promises.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
