//! The container of the server: built from its Debian package, run as its document says, and confined.

use std::time::{Duration, Instant};

use crate::podman::Podman;
use crate::root::{archive, build_package, repository};
use crate::{SERVER, VERSION};

const CONFINED: &[&str] = &[
    "--read-only",
    // podman would mount folders to write to where docker mounts none.
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--volume=data:/var/lib/oss2fa-server",
];

#[test]
fn the_container_runs_as_documented_and_confined() {
    let podman = Podman::new();
    build(&podman);

    podman.run(&["run", "--name", "oss2fa", "-d", "oss2fa"]).expect_ok("podman run");
    let shown = banner(&podman);
    assert_is_that_of_the_document(&shown);
    answers(&podman, &shown);
    // Before it would be killed by default; the quickest of a few, for this machine has other work, too.
    let in_time = (0..3).any(|_| {
        let before = Instant::now();
        podman.run(&["stop", "--time=60", "oss2fa"]).expect_ok("podman stop");
        let took = before.elapsed();
        let status = podman.run(&["inspect", "--format", "{{.State.ExitCode}}", "oss2fa"]);
        assert_eq!(status.expect_ok("inspect").trim(), "0", "how it ended");
        podman.run(&["start", "oss2fa"]).expect_ok("podman start");
        let _up = banner(&podman);
        took < Duration::from_secs(8)
    });
    assert!(in_time, "it would have been killed, not stopped");
    assert_eq!(
        value(&banner(&podman), "Tenant"),
        value(&shown, "Tenant"),
        "the data of the first start is gone"
    );
    podman.run(&["rm", "--force", "--time=0", "oss2fa"]).expect_ok("podman rm");

    let run = [&["run", "--name", "oss2fa"], CONFINED, &["-d", "oss2fa"]].concat();
    podman.run(&run).expect_ok("podman run, confined");
    let shown = banner(&podman);
    answers(&podman, &shown);
    assert_is_confined(&podman);
    podman.run(&["rm", "--force", "--time=0", "oss2fa"]).expect_ok("podman rm");
    podman.run(&run).expect_ok("a new container on the same volume");
    assert_eq!(value(&banner(&podman), "Tenant"), value(&shown, "Tenant"), "the volume has lost the data");
    let listed =
        podman.run(&["exec", "oss2fa", "oss2fa-server", "client", "list", "--integration", "oss2fa"]);
    listed.expect_ok("a command beside the server");
}

/// The image, as the Containerfile says, but for the base, which comes from no registry here.
fn build(podman: &Podman) {
    let context = tempfile::tempdir().unwrap();
    build_package(SERVER, VERSION, context.path(), "none");
    let base = archive();
    podman.run(&["import", &base.display().to_string(), "debian"]).expect_ok("podman import");
    let file = repository().join("packaging/container/Containerfile");
    podman
        .run(&[
            "build",
            // One layer at the end; and the containers of the build need no cgroups.
            "--layers=false",
            "--isolation=chroot",
            "--build-arg=BASE=localhost/debian",
            "--tag=oss2fa",
            &format!("--file={}", file.display()),
            &context.path().display().to_string(),
        ])
        .expect_ok("podman build");
}

/// What the last start has shown, up to its last line.
fn banner(podman: &Podman) -> String {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let shown = podman.run(&["logs", "oss2fa"]).expect_ok("podman logs");
        let running = podman.run(&["inspect", "--format", "{{.State.Running}}", "oss2fa"]).text;
        let last = shown.rfind(LISTENER).map(|at| shown.split_at(at).1.to_owned()).unwrap_or_default();
        if running.trim() == "true" && last.contains("==> OSS2FA server started") && answering(podman) {
            return format!("{}{last}", " ".repeat(INDENT - LISTENER.len()));
        }
        assert!(Instant::now() < until, "the server in the container did not start:\n{shown}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The first word of the banner, and where the colons of the banner stand.
const LISTENER: &str = "Listener 1";
const INDENT: usize = 24;

/// Line by line what the document shows, with digits of this server's own.
fn assert_is_that_of_the_document(shown: &str) {
    let lines: Vec<_> = shown.lines().take(6).collect();
    let [listener, tenant, integration, version, empty, started] = lines.as_slice() else {
        panic!("{shown}")
    };
    assert_eq!(*listener, "              Listener 1: tcp (addr: \"0.0.0.0:8300\", tls: \"enabled\")");
    for (line, words) in [(tenant, "                  Tenant: "), (integration, "             Integration: ")]
    {
        let id = line.strip_prefix(words).unwrap_or_else(|| panic!("'{line}' is no '{words}'"));
        let hex = id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        assert!(id.len() == 40 && hex, "{line}");
    }
    assert_eq!(*version, "                 Version: OSS2FA v1.0");
    assert_eq!((*empty, *started), ("", "==> OSS2FA server started"));
}

/// A value of the banner.
fn value(banner: &str, name: &str) -> String {
    let found = banner.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
    found.unwrap_or_else(|| panic!("no {name} in {banner}")).to_owned()
}

fn answering(podman: &Podman) -> bool {
    podman.inside(&["curl", "-q", "-sSk", "--fail", "--max-time", "20", "https://127.0.0.1:8300/readyz"]).ok
}

/// The first step of the document works with what the banner shows.
fn answers(podman: &Podman, banner: &str) {
    let token = format!("X-Integration-Token: {}", value(banner, "Integration"));
    let body = r#"{"username": "john.doe"}"#;
    let url = "https://127.0.0.1:8300/integrations/enrollments";
    let made = podman.inside(&["curl", "-q", "-sSk", "--fail-with-body", "-H", &token, "--json", body, url]);
    let made = made.expect_ok("an enrollment");
    assert!(made.contains("john.doe") && made.contains("expires_at"), "{made}");
}

fn assert_is_confined(podman: &Podman) {
    let pid = podman.run(&["inspect", "--format", "{{.State.Pid}}", "oss2fa"]).expect_ok("inspect");
    let of = |file: &str| {
        podman.inside(&["cat", &format!("/proc/{}/{file}", pid.trim())]).expect_ok("the server's process")
    };
    let status = of("status");
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("Uid"), "8300 8300 8300 8300");
    assert_eq!(line("Gid"), "8300 8300 8300 8300");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert_eq!((line("NoNewPrivs").as_str(), line("Seccomp").as_str()), ("1", "2"));
    let mounts = of("mountinfo");
    let options = |place: &str| {
        let mut fields = mounts.lines().map(|line| line.split_whitespace().skip(4));
        let found =
            fields.find_map(|mut fields| (fields.next() == Some(place)).then(|| fields.next()).flatten());
        found.unwrap_or_else(|| panic!("{place} is not mounted:\n{mounts}"))
    };
    assert!(options("/").starts_with("ro,"), "{mounts}");
    assert!(options("/var/lib/oss2fa-server").starts_with("rw,"), "{mounts}");
}
