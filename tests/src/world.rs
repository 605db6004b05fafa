//! A private world: a mount namespace with folders of its own over the machine's.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::built::Built;
use crate::command::Program;

/// The environment of every program that is started in a world.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Lives as long as its holder process; all of it goes with that one, also when a test is killed.
#[derive(Debug)]
pub struct World {
    holder: Child,
    folder: PathBuf,
}

impl World {
    /// Makes the world, with the built module and agent in it.
    ///
    /// # Panics
    /// Without root, and where a mount fails.
    #[must_use]
    pub fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make private mount namespaces: run them as root"
        );
        let built = Built::find();
        let folder = tempfile::Builder::new().prefix("oss2fa-world-").tempdir().unwrap().keep();
        let mut holder = Command::new("/usr/bin/unshare")
            .args(["--mount", "--propagation", "private", "/bin/sh", "-c", include_str!("world.sh"), "world"])
            .args([&folder, &built.module, &built.agent])
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C at a demo must leave the holder alive to clean up.
            .process_group(0)
            .spawn()
            .expect("unshare of util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "the private world could not be made");
        Self { holder, folder }
    }

    /// A program that will run in this world.
    #[must_use]
    pub fn program(&self, words: &[&str]) -> Program {
        Program::new(self, words)
    }

    /// Where a path of this world is reached from outside it, also for sockets.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(inside.trim_start_matches('/'))
    }

    /// Writes a file of this world, and the folders on the way to it.
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap_or_else(|error| panic!("{inside}: {error}"));
    }

    /// Reads a file of this world.
    #[must_use]
    pub fn read(&self, inside: &str) -> String {
        let bytes = fs::read(self.path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its mount namespace, for a process that enters it by itself.
    #[must_use]
    pub fn mount_namespace(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/mnt", self.holder.id()))
    }

    pub(crate) fn namespace(&self) -> String {
        format!("--mount={}", self.mount_namespace().display())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _gone = self.holder.wait();
    }
}
