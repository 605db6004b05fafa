//! The same Debian, booted: systemd as process 1, in namespaces of its own, so that units, sockets and
//! confinement are the real ones.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::root::{DebianRoot, Ran};

/// Makes the namespaces fit for systemd and becomes it. `$1` the root, `$2` the name of the cgroup.
///
/// /proc/sys is read-only: what systemd sets there would be the kernel's, not the container's.
const BOOT: &str = r#"
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
        [ -e "$hierarchy/cgroup.procs" ] || continue
        mkdir -p "$hierarchy/$2"
        echo $$ >"$hierarchy/$2/cgroup.procs"
    done
    exec unshare --mount --pid --uts --ipc --cgroup --net --fork --kill-child sh -eu -c '
        mount --make-rprivate /
        mount --rbind "$1" "$1"
        mount -t proc proc "$1/proc"
        mount --bind "$1/proc/sys" "$1/proc/sys"
        mount -o remount,ro,bind "$1/proc/sys"
        mount -t sysfs -o ro sysfs "$1/sys"
        mount -t tmpfs -o mode=0755 tmpfs "$1/run"
        mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
        if [ -e /sys/fs/cgroup/cgroup.procs ]; then
            mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
        else
            mount -t tmpfs -o mode=0755 tmpfs "$1/sys/fs/cgroup"
            mkdir "$1/sys/fs/cgroup/systemd" "$1/sys/fs/cgroup/unified"
            mount -t cgroup -o none,name=systemd cgroup "$1/sys/fs/cgroup/systemd"
            [ ! -e /sys/fs/cgroup/unified ] || mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup/unified"
        fi
        ip link set lo up
        cd "$1"
        exec env -i container=oss2fa PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" \
            /lib/systemd/systemd --unit=multi-user.target
    ' sh "$1" "$2"
"#;

/// A running system; its processes end when it is dropped.
pub(crate) struct Booted {
    /// Its files.
    pub(crate) root: DebianRoot,
    unshare: Child,
    cgroup: String,
}

impl Booted {
    /// Boots it and waits until systemd has started everything.
    pub(crate) fn new(root: DebianRoot) -> Self {
        let cgroup = format!("oss2fa-test-{}", std::process::id());
        let unshare = Command::new("timeout")
            // Should the test be killed, the system ends all the same.
            .args(["--signal=KILL", "1200", "sh", "-eu", "-c", BOOT, "sh"])
            .arg(root.path("/"))
            .arg(&cgroup)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(root.path("/boot-errors")).unwrap())
            .spawn()
            .unwrap();
        let mut booted = Self { root, unshare, cgroup };
        booted.wait_until_up();
        booted
    }

    fn wait_until_up(&mut self) {
        let until = Instant::now() + Duration::from_secs(240);
        loop {
            let state = self.run("systemctl is-system-running").text;
            // "degraded": some unit that a container cannot have; the tests look at ours.
            if matches!(state.trim(), "running" | "degraded") {
                return;
            }
            let ended = self.unshare.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "systemd did not come up in the test's Debian ({ended:?}, state '{}'); the test needs root and \
                 may make namespaces and cgroups:\n{}",
                state.trim(),
                self.root.read("/boot-errors")
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// The process that is 1 inside: the last in the chain of only children.
    fn init(&self) -> io::Result<u32> {
        let mut pid = self.unshare.id();
        loop {
            let program = fs::read_link(format!("/proc/{pid}/exe"))?;
            if program.ends_with("lib/systemd/systemd") {
                return Ok(pid);
            }
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            pid = children
                .split_whitespace()
                .next()
                .and_then(|pid| pid.parse().ok())
                .ok_or(io::ErrorKind::NotFound)?;
        }
    }

    /// Runs a shell command in the running system, as root.
    pub(crate) fn run(&self, script: &str) -> Ran {
        let Ok(init) = self.init() else {
            return Ran { ok: false, text: "systemd is not running yet".into() };
        };
        let output = Command::new("nsenter")
            .args([
                "-t",
                &init.to_string(),
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--cgroup",
                "--net",
                "--root",
                "--wd=/",
            ])
            .args(["/usr/bin/env", "--chdir=/", "/bin/sh", "-c", script])
            .env_clear()
            .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8")])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran::from(output)
    }

    /// Runs a program of this machine in the network of the running system.
    pub(crate) fn in_its_network(&self, words: &[&str]) -> Ran {
        let init = self.init().unwrap().to_string();
        Ran::from(Command::new("nsenter").args(["-t", &init, "--net", "--"]).args(words).output().unwrap())
    }

    /// Starts a program of this machine in the network of the running system, its input and its output open to the test.
    pub(crate) fn start_in_its_network(&self, words: &[&str]) -> Child {
        let init = self.init().unwrap().to_string();
        let mut program = Command::new("nsenter");
        program.args(["-t", &init, "--net", "--"]).args(words);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What the journal holds about a unit; for messages of failed tests.
    pub(crate) fn journal(&self, unit: &str) -> String {
        self.run(&format!("journalctl --sync; journalctl --no-pager -o cat -u {unit} | tail -n 40")).text
    }

    /// Waits until the journal has these words: what a program has written comes into it a moment later.
    #[track_caller]
    pub(crate) fn wait_for_journal(&self, of: &str, words: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let journal = self.run(&format!("journalctl --sync; journalctl --no-pager -o cat {of}"));
            let journal = journal.expect_ok("journalctl");
            if journal.contains(words) {
                return journal;
            }
            assert!(Instant::now() < until, "no {words:?} in the journal:\n{journal}");
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // systemd's end takes every process of its namespace along.
        if let Ok(init) = self.init() {
            let _ = Command::new("kill").args(["-KILL", &init.to_string()]).status();
        }
        let _ = self.unshare.wait();
        for hierarchy in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"] {
            let folder = PathBuf::from(hierarchy).join(&self.cgroup);
            if folder.exists() {
                let _ = Command::new("find")
                    .arg(&folder)
                    .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", "+"])
                    .status();
            }
        }
    }
}
