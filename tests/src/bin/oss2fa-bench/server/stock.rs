//! Data folders with many enrolled devices, filled by the server's own example program.
//!
//! The client of device i is `u<i>`, and its secret what `codes.py` says; its first code is of counter 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use oss2fa_tests::{Built, workspace};

/// A data folder.
pub(crate) struct Stock {
    pub(crate) folder: PathBuf,
    /// Of the integration that all clients belong to.
    pub(crate) token: String,
}

/// The program that fills.
pub(crate) fn build() {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked", "-p", "oss2fa-server", "--example", "fill_store"])
        .current_dir(workspace())
        .status();
    assert!(built.expect("cargo").success(), "fill_store was not built");
}

impl Stock {
    /// A folder of this name below `target/bench`, made anew.
    pub(crate) fn fill(name: &str, devices: u64) -> Self {
        let folder = empty(name);
        let filled = Command::new(workspace().join("target/release/examples/fill_store"))
            .arg(&folder)
            .arg(devices.to_string())
            .output()
            .expect("fill_store");
        assert!(filled.status.success(), "fill_store: {}", String::from_utf8_lossy(&filled.stderr));
        let said = String::from_utf8(filled.stdout).expect("text");
        let token = said.lines().last().unwrap_or_default().trim().to_owned();
        assert!(token.len() == 40, "fill_store prints the integration's token last: {said:?}");
        Self { folder, token }
    }

    /// The same clients in another database.
    pub(crate) fn copy_to(&self, url: &str) {
        let from = format!("sqlite:{}", self.folder.join("server.db").display());
        let copied = Command::new(Built::server())
            .args(["store", "copy", "--from", &from, "--to", url, "--data-dir"])
            .arg(&self.folder)
            .output()
            .expect("oss2fa-server");
        assert!(copied.status.success(), "store copy: {}", String::from_utf8_lossy(&copied.stderr));
    }
}

/// An empty folder below `target/bench`.
pub(crate) fn empty(name: &str) -> PathBuf {
    let folder = workspace().join("target/bench").join(name);
    remove(&folder);
    fs::create_dir_all(&folder).unwrap();
    must_be_durable(&folder);
    folder
}

/// On a disk: a file system in memory would be fast for the wrong reason.
pub(crate) fn must_be_durable(folder: &Path) {
    let found = statfs(folder).unwrap().filesystem_type();
    assert!(found != TMPFS_MAGIC, "{} is in memory; nothing there is durable", folder.display());
}

/// Where it is there.
pub(crate) fn remove(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
}

impl Drop for Stock {
    // A million devices are hundreds of megabytes.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            remove(&self.folder);
        }
    }
}
