//! A Debian 12 in a folder, to install the packages in: made once by debootstrap, kept below
//! `target/debootstrap`, and the ground for every test, which writes into a folder of its own above it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// What the tests need in it beside Debian's smallest system. Another list makes another archive.
const PACKAGES: &str = "adduser,ca-certificates,curl,jq,libpam-runtime,pamtester,oathtool,systemd,sudo,openssh-server,openssh-client";

/// A root of its own; gone when dropped.
pub(crate) struct DebianRoot {
    /// Where what the test has written is mounted.
    folder: TempDir,
    root: PathBuf,
}

impl Drop for DebianRoot {
    fn drop(&mut self) {
        // Should it stay, it goes with the namespace; only the folder is left then.
        let _unmounted = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}

/// What a command in it came to.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit status 0.
    pub(crate) ok: bool,
    /// Both streams, standard output first.
    pub(crate) text: String,
}

impl DebianRoot {
    /// A fresh one. The calling thread, and what it starts from now on, see it; the machine does not.
    pub(crate) fn fresh() -> Self {
        let ground = ground();
        let folder = tempfile::Builder::new().prefix("oss2fa-debian-").tempdir_in("/var/tmp").unwrap();
        let here = folder.path();
        let none = None::<&str>;
        // With the namespace goes all that is mounted, however the test ends; and nothing waits for a disk.
        unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
            .and_then(|()| mount(Some("tmpfs"), here, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")))
            .unwrap_or_else(|error| panic!("no namespace of its own, as root: {error}"));
        let [written, work, root] = ["written", "work", "root"].map(|name| {
            let path = here.join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        });
        let layers = [("lowerdir", &ground), ("upperdir", &written), ("workdir", &work)];
        let options = layers.map(|(layer, path)| format!("{layer}={}", path.display())).join(",");
        mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(&*options))
            .unwrap_or_else(|error| panic!("no root above {}: {error}", ground.display()));
        Self { folder, root }
    }

    /// The same, with a package of this version installed.
    pub(crate) fn with_package(package: &str, version: &str) -> Self {
        let root = Self::fresh();
        root.install(package, version).expect_ok("dpkg --install");
        root
    }

    /// A path inside, as seen from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Builds a package in this version and installs it with dpkg.
    pub(crate) fn install(&self, package: &str, version: &str) -> Ran {
        self.run(&self.how_to_install(package, version))
    }

    /// Builds a package in this version and puts it inside; gives the command that installs it.
    pub(crate) fn how_to_install(&self, package: &str, version: &str) -> String {
        let file = build_package(package, version, &self.path("/root"), "none");
        let name = file.file_name().unwrap().to_string_lossy();
        format!("dpkg --install --force-confold --force-unsafe-io /root/{name}")
    }

    /// Runs a shell command inside, with `/proc` and a process list of its own: whatever it leaves
    /// running ends with it.
    pub(crate) fn run(&self, script: &str) -> Ran {
        let output = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"])
            .arg("mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /bin/sh -c \"$1\"")
            .arg(&self.root)
            .arg(script)
            .env_clear()
            .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8")])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .unwrap();
        Ran::from(output)
    }

    /// The text of a file inside; empty where there is none.
    pub(crate) fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_default()
    }

    /// Writes a file inside, mode 0644.
    pub(crate) fn write(&self, inside: &str, text: &str) {
        fs::write(self.path(inside), text).unwrap();
    }

    /// Owner and mode of a file inside, as `uid:gid mode`.
    pub(crate) fn owner_and_mode(&self, inside: &str) -> String {
        let meta =
            fs::symlink_metadata(self.path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"));
        format!("{}:{} {:o}", meta.uid(), meta.gid(), meta.mode() & 0o7777)
    }
}

impl Ran {
    /// Fails the test with what the command said, unless it succeeded.
    #[track_caller]
    pub(crate) fn expect_ok(self, what: &str) -> String {
        assert!(self.ok, "{what} failed:\n{}", self.text);
        self.text
    }

    /// Fails the test unless the command failed.
    #[track_caller]
    pub(crate) fn expect_failure(self, what: &str) -> String {
        assert!(!self.ok, "{what} should have failed, but said:\n{}", self.text);
        self.text
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Self { ok: output.status.success(), text }
    }
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Cargo's target folder: the test's own program lies in it, at `debug/deps/NAME`.
pub(crate) fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_path_buf()
}

/// Owner and mode of what is this user's own, as [`DebianRoot::owner_and_mode`] gives them.
pub(crate) fn owned_by(root: &DebianRoot, user: &str, mode: &str) -> String {
    let ids = root.run(&format!("echo $(id -u {user}):$(id -g {user})")).expect_ok("id");
    format!("{} {mode}", ids.trim())
}

/// Runs `packaging/debian/build-deb.sh` on the release build; `compression` as dpkg-deb names it.
pub(crate) fn build_package(package: &str, version: &str, folder: &Path, compression: &str) -> PathBuf {
    let output = Command::new(repository().join("packaging/debian/build-deb.sh"))
        .arg(package)
        .arg(version)
        .arg(folder)
        .env("BUILD_DIR", target().join("release"))
        .env("COMPRESSION", compression)
        .output()
        .unwrap();
    let said =
        Ran { ok: output.status.success(), text: String::from_utf8_lossy(&output.stderr).into_owned() };
    said.expect_ok("packaging/debian/build-deb.sh (has `make build` run?)");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// The fresh system, unpacked where it is not. Nobody writes into it.
fn ground() -> PathBuf {
    let ground = archive().with_extension("");
    let lock = File::create(ground.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !ground.exists() {
        let new = ground.with_extension("new");
        let script =
            "rm -rf \"$1\"; mkdir \"$1\"; tar -C \"$1\" -xpf \"$2\"; chmod 755 \"$1\"; mv \"$1\" \"$3\"";
        let words = [&new, &archive(), &ground];
        let unpacked = Command::new("sh").args(["-eu", "-c", script, "sh"]).args(words).output().unwrap();
        Ran::from(unpacked).expect_ok("unpacking the archive of a Debian");
    }
    ground
}

/// The archive of the fresh system, made where it is missing.
pub(crate) fn archive() -> PathBuf {
    let folder = target().join("debootstrap");
    fs::create_dir_all(&folder).unwrap();
    let archive = folder.join("debian-12.tar");
    let made_with = folder.join("debian-12.packages");
    // Tests run in processes of their own, several at once: one makes it, the others wait.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if archive.exists() && fs::read_to_string(&made_with).is_ok_and(|list| list == PACKAGES) {
        return archive;
    }
    let system = folder.join("debian-12");
    let made = Command::new("sh")
        .args(["-eu", "-c"])
        .arg(
            // What comes over a network may not come at once.
            "try() { rm -rf \"$1\"; debootstrap --variant=minbase --include=\"$2\" bookworm \"$1\" >&2; }
             try \"$@\" || { sleep 10; try \"$@\"; } || { sleep 60; try \"$@\"; }
             rm -rf \"$1\"/var/cache/apt/archives/*.deb \"$1\"/var/lib/apt/lists/* \"$1\"/usr/share/locale/*
             tar -C \"$1\" -cf \"$3.new\" .; mv \"$3.new\" \"$3\"; rm -rf \"$1\"",
        )
        .arg("sh")
        .arg(&system)
        .arg(PACKAGES)
        .arg(&archive)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(
        made.status.success(),
        "debootstrap could not make a Debian 12 in {} (it needs root, the package debootstrap, and the \
         packages of Debian):\n{}",
        system.display(),
        said.lines().rev().take(15).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    );
    fs::write(&made_with, PACKAGES).unwrap();
    archive
}
