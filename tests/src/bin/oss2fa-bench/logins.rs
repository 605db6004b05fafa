//! Whole logins by pamtester, ours and the peers', in turns: medians of one run.
//!
//! Each login is a process that loads libpam and the module, asks for a code, and says yes. What
//! pam_permit needs for the same is taken off.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sched::{CloneFlags, setns, unshare};
use oss2fa_tests::Host;

use crate::codes::{SECRET_BASE32, SECRET_HEX, codes};
use crate::report::{Bound, Report};
use crate::site::{MANY, host};
use crate::throughput::median;

const LOGINS: usize = 200;
const USER: &str = "bench";

/// A way to log in: a stack, and the host that it runs on.
struct Way {
    name: &'static str,
    service: &'static str,
    asks: bool,
}

/// With one user; and then with many, apart, since pam_oath rewrites megabytes at each login there, which
/// the disk is still busy with when the next one begins.
const WAYS: [Way; 8] = [
    Way { name: "pam_permit", service: "permit", asks: false },
    Way { name: "ours, 1 user", service: "ours", asks: true },
    Way { name: "pam_google_authenticator", service: "google", asks: true },
    Way { name: "pam_oath, 1 user", service: "oath", asks: true },
    Way { name: "pam_permit, once more", service: "permit", asks: false },
    Way { name: "ours, 1 user, once more", service: "ours", asks: true },
    Way { name: "ours, 100,000 users", service: "ours-many", asks: true },
    Way { name: "pam_oath, 100,000 users", service: "oath-many", asks: true },
];

/// How many of [`WAYS`] are with one user.
const ONE_USER: usize = 4;

/// Ours with one user, beside ours with many.
const ONCE_MORE: usize = 5;

pub(crate) fn measure(report: &mut Report) {
    let many = host(&[USER.to_owned()], MANY);
    let host = host(&[USER.to_owned()], 0);
    stacks(&host, &many);
    let codes = codes(1, 2 * LOGINS);
    let socket_of_many = many.socket();
    let mut times: Vec<Vec<f64>> = WAYS.iter().map(|_| Vec::with_capacity(LOGINS)).collect();
    // Into the world of the host: a program that enters it first would be measured, too. The path
    // of the other host's socket leads there through /proc.
    assert!(socket_of_many.exists());
    let home = fs::File::open("/proc/thread-self/ns/mnt").unwrap();
    let world = fs::File::open(host.mount_namespace()).unwrap();
    // The harness has threads, and only a thread with a root and a working folder of its own may move.
    unshare(CloneFlags::CLONE_FS).expect("leaving the other threads' root");
    setns(world, CloneFlags::CLONE_NEWNS).expect("entering the host's world");
    for phase in [0..ONE_USER, ONE_USER..WAYS.len()] {
        for round in 0..LOGINS {
            for way in phase.clone() {
                // That device has used the codes of the first half.
                let code = if way == ONCE_MORE { round + LOGINS } else { round };
                times[way].push(login(&WAYS[way], &codes[code]));
            }
            if round % 50 == 49 {
                eprintln!("  {} of {LOGINS} rounds", round + 1);
            }
        }
    }
    // Out again: the host ends everything that is in its world.
    setns(home, CloneFlags::CLONE_NEWNS).expect("leaving the host's world");
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    for (way, median) in WAYS.iter().zip(&medians) {
        report.add(format!("pamtester, {}", way.name), *median, "ms", Bound::None);
    }
    let net = |way: usize| medians[way] - medians[if way < ONE_USER { 0 } else { ONE_USER }];
    report.add("ours, against pam_google_authenticator (net)", net(1) / net(2), "ratio", Bound::AtMost(0.7));
    report.add("ours, against pam_oath with 1 user (net)", net(1) / net(3), "ratio", Bound::AtMost(0.7));
    report.add(
        "pam_oath with 100,000 users, against ours with as many (net)",
        net(7) / net(6),
        "times",
        Bound::AtLeast(20.0),
    );
    report.add(
        "ours with 100,000 users, against ours with 1 (net)",
        net(6) / net(ONCE_MORE),
        "ratio",
        Bound::AtMost(1.1),
    );
}

fn stacks(host: &Host, many: &Host) {
    let stack = |module: &str| format!("auth required {module}\naccount required pam_permit.so\n");
    host.write("/etc/pam.d/permit", &stack("pam_permit.so"));
    host.write("/etc/pam.d/ours", &stack("pam_oss2fa.so"));
    let socket = many.socket();
    host.write("/etc/pam.d/ours-many", &stack(&format!("pam_oss2fa.so socket={}", socket.display())));
    host.write("/etc/pam.d/google", &stack("pam_google_authenticator.so secret=/var/lib/google user=root"));
    // As google-authenticator itself writes it for a counter-based device.
    let google = host.path("/var/lib/google");
    fs::write(&google, format!("{SECRET_BASE32}\n\" HOTP_COUNTER 1\n\" WINDOW_SIZE 17\n")).unwrap();
    fs::set_permissions(&google, Permissions::from_mode(0o400)).unwrap();
    let line = |user: &str| format!("HOTP\t{user}\t-\t{SECRET_HEX}\n");
    let mut all = String::new();
    for number in 0..MANY {
        if number == MANY / 2 {
            all.push_str(&line(USER));
        }
        all.push_str(&line(&format!("u{number:06}")));
    }
    for (service, users) in [("oath", line(USER)), ("oath-many", all)] {
        let file = format!("/var/lib/{service}");
        host.write(&file, &users);
        fs::set_permissions(host.path(&file), Permissions::from_mode(0o600)).unwrap();
        let module = format!("pam_oath.so usersfile={file} window=20 digits=6");
        host.write(&format!("/etc/pam.d/{service}"), &stack(&module));
    }
}

/// One whole login, in milliseconds.
fn login(way: &Way, code: &str) -> f64 {
    let begun = Instant::now();
    let mut pamtester = Command::new("/usr/bin/pamtester")
        .args([way.service, USER, "authenticate"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pamtester");
    let mut input = pamtester.stdin.take().unwrap();
    if way.asks {
        input.write_all(format!("{code}\n").as_bytes()).unwrap();
    }
    drop(input);
    let status = pamtester.wait().unwrap();
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    assert!(status.success(), "{}: the login with {code} failed", way.name);
    took
}
