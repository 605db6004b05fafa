//! `make demo`: a login with a second factor on this machine, in a private world, from nothing.
//!
//! `--hold` keeps its sshd open, to log in by hand.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::io::{self, BufRead, Write};

use anyhow::{Context, Result, bail, ensure};
use oss2fa_tests::page::Page;
use oss2fa_tests::{End, Host, PASSWORD, Plan, Sshd, Terminal, Token, workspace};

const USER: &str = "ferris";
const CODE: &str = "Verification code: ";

fn main() -> Result<()> {
    let hold = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--hold") => true,
        Some(other) => bail!("unknown argument {other:?}; it is --hold, or none"),
    };
    let page = Page::for_terminal();
    page.title("OSS2FA: a login with a second factor, on this machine");
    page.words(
        "Everything below happens in a private world: its own /etc, /home, /run and /var/lib. This machine's \
         accounts, PAM stacks and sshd are not touched, and nothing stays behind.",
    );
    let host = the_host(&page)?;
    let mut phone = enrolment(&page, &host)?;
    let sshd = host.sshd("keyboard-interactive").line("LoginGraceTime 130").start();
    let used = ssh_login(&page, &sshd, &mut phone)?;
    sudo(&page, &host, &mut phone)?;
    refusals(&page, &sshd, &phone, &used)?;
    audit(&page, &host)?;
    how_to(&page);
    if hold {
        hold_open(&page, &sshd, &phone)?;
    }
    drop(sshd);
    drop(host);
    page.title("Cleaned up: the private world, its account and its sshd are gone.");
    Ok(())
}

fn the_host(page: &Page) -> Result<Host> {
    page.step("1", "The agent, and the stacks of sshd and sudo");
    let stack = |name: &str| {
        let path = workspace().join("config/pam.d").join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let host =
        Plan::by_default().user(USER).pam("sshd", &stack("sshd")?).pam("sudo", &stack("sudo")?).start();
    host.write("/etc/sudoers.d/demo", &format!("{USER} ALL=(ALL) ALL\nDefaults:{USER} lecture=never\n"));
    page.words(
        "The stacks are config/pam.d/sshd and config/pam.d/sudo: the password first, and then a code.",
    );
    page.shell(
        "grep pam_oss2fa /etc/pam.d/sshd",
        &host.program(&["grep", "pam_oss2fa", "/etc/pam.d/sshd"]).output(),
    );
    let uid = host.with_agent(|agent| agent.kernel("Uid"));
    let capabilities = host.with_agent(|agent| agent.kernel("CapEff"));
    page.words(&format!(
        "The agent runs on its default configuration, as the system user oss2fa (uid {}) with no capability \
         ({capabilities}); its store is a new SQLite file.",
        uid.split(' ').next().unwrap_or_default()
    ));
    Ok(host)
}

fn enrolment(page: &Page, host: &Host) -> Result<Token> {
    page.step("2", "A new account gets its second factor");
    page.words(&format!(
        "{USER} scans the QR code with an authenticator app. Here oathtool, a program that knows nothing of \
         OSS2FA, takes the place of the phone."
    ));
    let words = ["/usr/local/bin/oss2fa-agent", "enroll", "totp", "--user", USER, "--name", "phone"];
    let program =
        host.program(&words).env("TERM", if page.has_colours() { "xterm-256color" } else { "dumb" });
    let mut terminal = program.terminal();
    let shown = terminal.expect("First code from it: ");
    let uri = shown
        .split_whitespace()
        .find(|word| word.starts_with("otpauth://"))
        .context("the enrolment showed no provisioning URI")?;
    let mut phone = Token::scan(uri).at_skew(1);
    let code = phone.next_code();
    terminal.send(&code);
    let end = terminal.finish();
    page.command(&format!("oss2fa-agent enroll totp --user {USER} --name phone"));
    page.output(&format!("{shown}First code from it: {}", end.rest));
    ensure!(end.status == 0, "the enrolment failed");
    Ok(phone)
}

fn ssh_login(page: &Page, sshd: &Sshd<'_>, phone: &mut Token) -> Result<String> {
    page.step("3", "ssh, with password and code");
    let code = phone.next_code();
    let end = attempt(page, sshd, &code);
    ensure!(end.status == 0 && end.rest.contains(USER), "the login failed");
    page.good("In: the password was right, and the code was new.");
    Ok(code)
}

fn attempt(page: &Page, sshd: &Sshd<'_>, code: &str) -> End {
    let told = "echo \"logged in as $(id -un)\"";
    let program = sshd.ssh(USER, &["NumberOfPasswordPrompts=1"], &[told]);
    page.command(&format!("ssh -p {} {USER}@127.0.0.1", sshd.port));
    typed(page, program.terminal(), "Password: ", code)
}

// What somebody at the terminal would see, and what they type, which no terminal shows.
fn typed(page: &Page, mut terminal: Terminal, password_prompt: &str, code: &str) -> End {
    let before = terminal.expect(password_prompt);
    terminal.send(PASSWORD);
    page.output(&format!("{}{password_prompt}{}", before.trim_start(), page.keys("(the password)")));
    let before = terminal.expect(CODE);
    terminal.send(code);
    page.output(&format!("{}{CODE}{}", before.trim_start(), page.keys(code)));
    let end = terminal.finish();
    page.output(end.rest.trim());
    end
}

fn sudo(page: &Page, host: &Host, phone: &mut Token) -> Result<()> {
    page.step("4", "sudo, with the next code");
    let code = phone.next_code();
    let program = host.program(&["/usr/bin/sudo", "id", "-un"]).as_user(USER);
    page.command("sudo id -un");
    let end = typed(page, program.terminal(), &format!("[sudo] password for {USER}: "), &code);
    ensure!(end.status == 0 && end.rest.contains("root"), "sudo failed");
    page.good("root, for this one command.");
    Ok(())
}

fn refusals(page: &Page, sshd: &Sshd<'_>, phone: &Token, used: &str) -> Result<()> {
    page.step("5", "What does not get in");
    page.words("The code of the login above once more, as somebody would who looked over a shoulder:");
    let end = attempt(page, sshd, used);
    ensure!(end.status != 0 && !end.rest.contains("logged in"), "a used code was accepted");
    page.good("Refused: a code works once, for every door of the host.");
    println!();
    page.words("A wrong code:");
    let end = attempt(page, sshd, &phone.wrong_code());
    ensure!(end.status != 0 && !end.rest.contains("logged in"), "a wrong code was accepted");
    page.good("Refused. A few more of those, and this source has to wait; the owner, elsewhere, has not.");
    Ok(())
}

fn audit(page: &Page, host: &Host) -> Result<()> {
    page.step("6", "What the administrator sees afterwards");
    page.shell("oss2fa-agent audit", &host.cli(&["audit"]).output());
    let chain = host.cli(&["audit", "--verify"]).run();
    page.shell("oss2fa-agent audit --verify", &chain.text());
    ensure!(chain.status == 0, "the audit does not verify");
    Ok(())
}

fn how_to(page: &Page) {
    page.step("*", "On a host of your own");
    page.words("Install it, which changes no login yet:");
    page.lines(&["make packages && apt install ./target/packages/oss2fa-agent_*.deb"]);
    page.words("Keep a root shell open from here on. Enrol yourself, and make recovery codes:");
    page.lines(&["oss2fa-agent enroll totp --user NAME", "oss2fa-agent recovery-codes --user NAME"]);
    page.words("Let sshd and sudo ask (the comments in these files say what each line does):");
    page.lines(&[
        "cp config/pam.d/sshd config/pam.d/sudo config/pam.d/sudo-i /etc/pam.d/",
        "cp config/sshd_config.d/oss2fa.conf /etc/ssh/sshd_config.d/",
        "sshd -t && systemctl reload ssh",
    ]);
    page.words("Log in from a second terminal before you close the first. README.md has the rest.");
}

fn hold_open(page: &Page, sshd: &Sshd<'_>, phone: &Token) -> Result<()> {
    page.step("*", "Try it yourself");
    page.words("The sshd stays open. From another terminal of this machine:");
    page.lines(&[&format!(
        "ssh -p {} -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no {USER}@127.0.0.1",
        sshd.port
    )]);
    page.words(&format!(
        "The password is \"{PASSWORD}\". The code of the moment (a used one needs a wait of 30 seconds):"
    ));
    page.lines(&[&format!("oathtool --totp --base32 {}", phone.secret)]);
    page.words("Enter or Ctrl-C here ends it and cleans up.");
    io::stdout().flush()?;
    let _ended = io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}
