//! podman in namespaces of its own, with its images in memory: no image, container or network of this machine
//! is seen or touched.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::root::Ran;

/// Makes the namespaces fit for podman and waits until the test ends.
///
/// The runtime asks for a hierarchy of cgroups of one kind, even where it makes none.
const HOLD: &str = r#"
    mount --make-rprivate /
    mount -t proc proc /proc
    mount -t tmpfs -o mode=0755 tmpfs /run
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    ip link set lo up
    echo ready
    read -r end
"#;

/// What differs from a machine of its own: no cgroups, no network besides loopback, no higher limits than
/// those that the test itself runs with.
const CONFIGURATION: &str = r#"
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
"#;

/// Below the /run of its own, which is in memory.
const STORAGE: &str = r#"
[storage]
driver = "overlay"
graphroot = "/run/images"
runroot = "/run/containers"
"#;

/// A podman; its containers end when it is dropped.
pub(crate) struct Podman {
    folder: TempDir,
    unshare: Child,
    init: String,
}

impl Podman {
    /// One without images.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("storage.conf"), STORAGE).unwrap();
        fs::write(folder.path().join("containers.conf"), CONFIGURATION).unwrap();
        let mut unshare = Command::new("unshare")
            .args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-eu", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(unshare.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "the namespaces could not be made; the test needs root");
        let pid = unshare.id();
        let init = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().trim().to_owned();
        Self { folder, unshare, init }
    }

    /// Runs podman with these words.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.inside(&[&["podman"], words].concat())
    }

    /// Runs a program of this machine beside the containers.
    pub(crate) fn inside(&self, words: &[&str]) -> Ran {
        let output = Command::new("nsenter")
            .args(["-t", &self.init, "--mount", "--pid", "--net", "--"])
            .args(words)
            .env_clear()
            .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8"), ("HOME", "/root")])
            .env("CONTAINERS_CONF", self.folder.path().join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.folder.path().join("storage.conf"))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{words:?} does not run: {error}"));
        Ran::from(output)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // The shell reads the end of its input and ends, and with it every process of its namespace.
        drop(self.unshare.stdin.take());
        let _gone = self.unshare.wait();
    }
}
