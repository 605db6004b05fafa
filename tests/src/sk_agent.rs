//! A person's ssh-agent with keys on a security key, as far as sshd can tell: signed by Python's `cryptography`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::built::workspace;
use crate::world::World;

/// Where it listens and keeps its public keys, inside a world.
pub(crate) const FOLDER: &str = "/run/sk";

/// A running agent. ssh of its world finds it by itself.
#[derive(Debug)]
pub struct SkAgent<'w> {
    world: &'w World,
    process: Child,
}

/// What a signature says of the key's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Nobody has touched it.
    None,
    /// Somebody has.
    Present,
    /// Somebody has whom the key knows.
    Verified,
}

impl World {
    /// Starts one; its keys are touched.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn sk_agent(&self) -> SkAgent<'_> {
        let script = workspace().join("tests/src/sk_agent.py");
        let script = script.to_str().expect("a path of text");
        let mut command = self.program(&["/usr/bin/python3", script, FOLDER]).command();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "the ssh-agent does not start: python3-cryptography?");
        SkAgent { world: self, process }
    }
}

impl SkAgent<'_> {
    /// What its signatures say from now on.
    pub fn says(&self, touch: Touch) {
        let flags = match touch {
            Touch::None => "0",
            Touch::Present => "1",
            Touch::Verified => "5",
        };
        self.world.write(&format!("{FOLDER}/flags"), flags);
    }

    /// The file of a public key, `id_ecdsa_sk` or `id_ed25519_sk`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        format!("{FOLDER}/{name}.pub")
    }

    /// Lets `user` log in with both keys, by lines that begin with these options.
    pub fn authorize(&self, user: &str, options: &str) {
        let lines: String = ["id_ecdsa_sk", "id_ed25519_sk"]
            .map(|name| format!("{options} {}", self.world.read(&self.file(name))).trim_start().to_owned())
            .concat();
        self.world.write(&format!("/etc/ssh/test/authorized_keys_{user}"), &lines);
    }
}

impl Drop for SkAgent<'_> {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}
