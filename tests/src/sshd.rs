//! A private sshd on loopback, and people who log in to it.

use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::Program;
use crate::server::free_port;
use crate::terminal::Terminal;
use crate::world::World;

/// An sshd in the making. Its PAM service is `sshd`.
#[derive(Debug)]
pub struct SshdPlan<'w> {
    world: &'w World,
    /// Who is let in by what.
    rules: &'static str,
    lines: Vec<String>,
}

const PRIVATE: &str = "UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication yes\n\
                       PrintMotd no\nPrintLastLog no\n";

/// A running sshd.
#[derive(Debug)]
pub struct Sshd<'w> {
    world: &'w World,
    server: Child,
    /// Where it listens.
    pub port: u16,
}

const FOLDER: &str = "/etc/ssh/test";

impl World {
    /// Begins an sshd that wants these `AuthenticationMethods`.
    #[must_use]
    pub fn sshd(&self, methods: &str) -> SshdPlan<'_> {
        let lines = vec![format!("AuthenticationMethods {methods}")];
        SshdPlan { world: self, rules: PRIVATE, lines }
    }

    /// An sshd that is started again keeps its key, and people keep theirs.
    fn make_key(&self, file: &str) {
        if !self.path(file).exists() {
            self.program(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file]).succeed();
        }
    }

    /// Begins an sshd that goes by the world's own `/etc/ssh/sshd_config`.
    #[must_use]
    pub fn sshd_as_configured(&self) -> SshdPlan<'_> {
        let lines = vec!["Include /etc/ssh/sshd_config".to_owned()];
        SshdPlan { world: self, rules: "", lines }
    }
}

impl<'w> SshdPlan<'w> {
    /// One more line of its configuration.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Starts it and waits until it takes connections.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn start(self) -> Sshd<'w> {
        let world = self.world;
        world.write(&format!("{FOLDER}/made"), "");
        world.make_key(&format!("{FOLDER}/host"));
        // Another program may take the port between the look and the start: then again with another.
        for _try in 0..5 {
            let port = free_port();
            let config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {FOLDER}/host\nPidFile none\n{}StrictModes no\n\
                 UseDNS no\nLogLevel DEBUG1\nAuthorizedKeysFile {FOLDER}/authorized_keys_%u .ssh/authorized_keys\n{}\n",
                self.rules,
                self.lines.join("\n")
            );
            world.write(&format!("{FOLDER}/config"), &config);
            let words =
                ["/usr/sbin/sshd", "-D", "-f", &format!("{FOLDER}/config"), "-E", "/var/log/sshd.log"];
            let mut command = world.program(&words).command();
            let mut server = command.stdin(Stdio::null()).spawn().unwrap();
            if listens(&mut server, port) {
                let key = world.read(&format!("{FOLDER}/host.pub"));
                world.write(&format!("{FOLDER}/known_hosts"), &format!("[127.0.0.1]:{port} {key}"));
                return Sshd { world, server, port };
            }
        }
        panic!("sshd does not start:\n{}", world.read("/var/log/sshd.log"));
    }
}

fn listens(server: &mut Child, port: u16) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if server.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

impl Sshd<'_> {
    /// Makes a key with which `user` may log in.
    pub fn authorize_key(&self, user: &str) {
        let key = format!("{FOLDER}/key_{user}");
        self.world.make_key(&key);
        let public = self.world.read(&format!("{key}.pub"));
        self.world.write(&format!("{FOLDER}/authorized_keys_{user}"), &public);
    }

    /// The ssh command that logs `user` in and runs `words`; with a key where one was made.
    #[must_use]
    pub fn ssh(&self, user: &str, options: &[&str], words: &[&str]) -> Program {
        let port = self.port.to_string();
        let key = format!("{FOLDER}/key_{user}");
        let mut all = vec!["/usr/bin/ssh", "-F", "/dev/null", "-p", &port];
        for option in [
            "StrictHostKeyChecking=yes",
            "UserKnownHostsFile=/etc/ssh/test/known_hosts",
            "GlobalKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "ConnectTimeout=60",
        ] {
            all.extend(["-o", option]);
        }
        // Somebody with keys on a security key, and who shows another key than their own.
        let agent = format!("IdentityAgent={}/agent.sock", crate::sk_agent::FOLDER);
        if self.world.path(crate::sk_agent::FOLDER).exists() {
            all.extend(["-o", &agent]);
        }
        let shows_another = options.iter().any(|option| option.starts_with("IdentityFile="));
        if self.world.path(&key).exists() && !shows_another {
            all.extend(["-i", &key]);
        }
        for option in options {
            all.extend(["-o", option]);
        }
        let who = format!("{user}@127.0.0.1");
        all.push(&who);
        all.extend(words);
        self.world.program(&all)
    }

    /// Somebody at a terminal who logs in and will run `id -un`; one prompt is all they get.
    #[must_use]
    pub fn login(&self, user: &str) -> Terminal {
        self.ssh(user, &["NumberOfPasswordPrompts=1"], &["id", "-un"]).terminal()
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.world.read("/var/log/sshd.log")
    }

    /// Waits until its log has this: the process that serves a connection writes while its caller hears of it.
    ///
    /// # Panics
    /// Where it has not within a minute.
    #[track_caller]
    pub fn logs(&self, what: &str) {
        let begun = Instant::now();
        while !self.log().contains(what) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no {what:?} in\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Sshd<'_> {
    #[expect(clippy::print_stderr, reason = "the log of the server belongs to the report of a failed test")]
    fn drop(&mut self) {
        let _gone = self.server.kill();
        let _status = self.server.wait();
        if thread::panicking() {
            eprintln!("---- the log of sshd ----\n{}", self.log());
        }
    }
}
