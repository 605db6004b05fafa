//! A guest under QEMU with a kernel of Debian's, into which security keys can be plugged.
//!
//! The machine that tests run on may have neither USB nor modules to load: the guest has both. Its root is this
//! machine's, read-only, with a folder in memory above it, so that every program here runs there as well, some
//! twenty times slower. What it needs is made by `tests/guest/prepare.sh`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::built::{Built, workspace};
use crate::command::Ran;

/// For how long a guest may run at most, whatever becomes of its steps: on a machine that does much else, too.
const LONGEST: Duration = Duration::from_mins(20);

/// For how long a step may take at most.
const LONGEST_STEP: Duration = Duration::from_mins(5);

/// What is to be done in a guest.
#[derive(Debug, Clone, Default)]
pub struct Guest {
    steps: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug)]
pub struct GuestRan {
    steps: Vec<(String, Ran)>,
    /// What the guest's kernel said.
    pub console: String,
    /// What went wrong in the keys themselves.
    pub keys: String,
    /// How long it took from the start of QEMU to its end.
    pub took: Duration,
    /// How many wanted a processor of this machine at the worst of it: the load average of a minute.
    load: f64,
}

impl Guest {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more step: a name, and a script for bash in which the functions of `tests/guest/keys.sh` can be
    /// called. What it leaves running goes on; a step that fails does not keep the next ones from theirs.
    #[must_use]
    pub fn step(mut self, name: &str, script: &str) -> Self {
        self.steps.push((name.to_owned(), script.to_owned()));
        self
    }

    /// Boots the guest, takes the steps, and waits until it has switched itself off.
    ///
    /// # Panics
    /// Where a guest cannot be run here, and where it does not come to its end.
    #[must_use]
    pub fn run(self) -> GuestRan {
        let files = GuestFiles::find();
        let share = tempfile::tempdir().unwrap();
        for (number, (_, script)) in self.steps.iter().enumerate() {
            let step = folder(share.path(), number);
            fs::create_dir_all(&step).unwrap();
            fs::write(step.join("script"), script).unwrap();
            fs::write(step.join("seconds"), LONGEST_STEP.as_secs().to_string()).unwrap();
        }
        let begun = Instant::now();
        let qemu = files.qemu(share.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let qemu = qemu.expect("timeout");
        let over = AtomicBool::new(false);
        let (output, load) = thread::scope(|scope| {
            let beside = scope.spawn(|| highest_load_until(&over));
            let output = qemu.wait_with_output();
            over.store(true, Ordering::Relaxed);
            (output.expect("timeout"), beside.join().expect("a look at /proc"))
        });
        let took = begun.elapsed();
        let console = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            share.path().join("done").exists(),
            "the guest did not come to its end within {took:?} (QEMU's status {:?}): {said}\n{console}\n{}",
            output.status.code(),
            self.so_far(share.path())
        );
        assert!(!share.path().join("no-modules").exists(), "the guest's kernel has no USB: {console}");
        let keys = fs::read_to_string(share.path().join("keys-log")).unwrap_or_default();
        let steps = self.steps.into_iter().enumerate();
        let steps = steps.map(|(number, (name, _))| (name, result(&folder(share.path(), number)))).collect();
        GuestRan { steps, console, keys, took, load }
    }
}

impl Guest {
    // What the steps have said, those that were not taken or did not end as well.
    fn so_far(&self, share: &Path) -> String {
        let of = |(number, (name, _)): (usize, &(String, String))| {
            let read = |file: &str| fs::read_to_string(folder(share, number).join(file)).unwrap_or_default();
            let (status, stdout, stderr) = (read("status"), read("stdout"), read("stderr"));
            format!("== {name}: status {}\n{stdout}{stderr}", status.trim())
        };
        self.steps.iter().enumerate().map(of).collect()
    }
}

impl GuestRan {
    /// How many wanted each processor of this machine: in a guest that is emulated the time of the others is nobody's but
    /// its own processes'. 1 on a machine that did nothing else.
    ///
    /// # Panics
    /// Where nobody can say how many processors there are.
    #[must_use]
    pub fn crowd(&self) -> f64 {
        let processors = thread::available_parallelism().expect("processors").get() as f64;
        // A guest has some more than one thread at work.
        (self.load / processors / 1.5).max(1.0)
    }

    /// What came of the step with this name.
    ///
    /// # Panics
    /// Where there was none.
    #[must_use]
    pub fn of(&self, name: &str) -> &Ran {
        let found = self.steps.iter().find(|(step, _)| step == name);
        &found.unwrap_or_else(|| panic!("no step {name:?}")).1
    }

    /// Demands that each step ended with status 0.
    ///
    /// # Panics
    /// Where one did not; all that did not are shown.
    pub fn all_succeeded(&self) {
        let failed: Vec<_> = self.steps.iter().filter(|(_, ran)| ran.status != 0).collect();
        let shown: String = failed.iter().map(|(name, ran)| format!("\n== {name}: {ran}")).collect();
        assert!(failed.is_empty(), "{} of {} steps failed{shown}", failed.len(), self.steps.len());
    }
}

/// All steps, each with the seconds it took and what it said.
impl std::fmt::Display for GuestRan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, ran) in &self.steps {
            writeln!(f, "{:6.1} s  {name}", ran.took.as_secs_f64())?;
            ran.text().lines().try_for_each(|line| writeln!(f, "            {line}"))?;
        }
        self.keys.lines().try_for_each(|line| writeln!(f, "a key: {line}"))?;
        writeln!(f, "{:6.1} s  the whole guest", self.took.as_secs_f64())
    }
}

/// The load of this machine now and then.
fn highest_load_until(over: &AtomicBool) -> f64 {
    let load = || fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse::<f64>().ok();
    let mut highest = 0.0_f64;
    while !over.load(Ordering::Relaxed) {
        highest = highest.max(load().unwrap_or_default());
        thread::sleep(Duration::from_millis(200));
    }
    highest
}

fn folder(share: &Path, number: usize) -> PathBuf {
    share.join(format!("steps/{number:03}"))
}

fn result(step: &Path) -> Ran {
    let read = |name: &str| fs::read(step.join(name)).unwrap_or_default();
    let text = |name: &str| String::from_utf8_lossy(&read(name)).into_owned();
    let seconds: Vec<f64> = text("time").split_whitespace().filter_map(|part| part.parse().ok()).collect();
    Ran {
        status: text("status").trim().parse().expect("the status of each step"),
        stdout: text("stdout"),
        stderr: text("stderr"),
        took: Duration::from_secs_f64((seconds[1] - seconds[0]).max(0.0)),
    }
}

/// What a guest is booted from.
struct GuestFiles {
    kernel: PathBuf,
    first_root: PathBuf,
}

impl GuestFiles {
    fn find() -> Self {
        let target = workspace().join("target");
        for needed in
            ["virtual-key/release/oss2fa-virtual-key", "guest/attestation/done", "peers/usbip/bin/python"]
        {
            let path = target.join(needed);
            assert!(path.exists(), "{} is not there: {CURE}", path.display());
        }
        let _built = Built::find();
        assert!(Path::new(QEMU).exists(), "{QEMU} is not there: {CURE}");
        let (kernel, first_root) = (target.join("guest/kernel/vmlinuz"), target.join("guest/initrd"));
        for path in [&kernel, &first_root] {
            assert!(path.exists(), "{} is not there: {CURE}", path.display());
        }
        Self { kernel, first_root }
    }

    fn qemu(&self, share: &Path) -> Command {
        let boot = workspace().join("tests/guest/boot.sh");
        let append = format!(
            "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off tsc=reliable no_timer_check rdinit=/init \
             guest.boot={}",
            boot.display()
        );
        let files = |id: &str, path: &Path, more: &str| {
            format!("local,id={id},path={},security_model=none{more}", path.display())
        };
        let mut command = Command::new("timeout");
        command.args(["-k", "5", &LONGEST.as_secs().to_string(), QEMU]);
        // Without KVM everywhere, so that it is the same everywhere.
        command.args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "qemu64",
            "-M",
            "q35",
            "-m",
            "2048",
            "-smp",
            "2",
        ]);
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ]);
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.first_root);
        command.args(["-append", &append]);
        command.args(["-fsdev", &files("root", Path::new("/"), ",readonly=on,multidevs=remap")]);
        command.args(["-device", "virtio-9p-pci,fsdev=root,mount_tag=hostroot"]);
        command.args(["-fsdev", &files("share", share, "")]);
        command.args(["-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]);
        command.args([
            "-object",
            "rng-random,filename=/dev/urandom,id=rng",
            "-device",
            "virtio-rng-pci,rng=rng",
        ]);
        command.stdin(Stdio::null());
        command
    }
}

const QEMU: &str = "/usr/bin/qemu-system-x86_64";

const CURE: &str = "run packaging/install-test-packages.sh, tests/peers/install.sh and tests/guest/prepare.sh \
                    (`make test-keys` does)";
