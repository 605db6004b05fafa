//! Long commands that somebody ends: what they leave behind is not taken for what they were to make, and the server
//! beside them goes on.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::host::{Host, Ran};

fn begun(host: &Host, words: &[&str]) -> Child {
    let mut command = host.command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn end(child: Child, signal: Signal) -> Ran {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    Ran::of(child.wait_with_output().unwrap())
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}

#[test]
fn a_backup_has_its_name_only_when_it_is_whole() {
    let (host, _) = Host::begun();
    host.sql(
        "CREATE TABLE filler (bytes BLOB); WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 128)
         INSERT INTO filler SELECT zeroblob(1048576) FROM n",
    );
    let (copy, part) = (host.path("copy.db"), host.path("copy.db.part"));
    let backup = ["backup", copy.to_str().unwrap()];
    let child = begun(&host, &backup);
    wait_until("a part", || length(&part) > 1_000_000);
    // One at a time: the other one's part is not written over.
    host.refused(&backup, 1, "bad_file");
    end(child, Signal::SIGKILL);
    assert!(!copy.exists() && part.exists());
    // What is left over is in nobody's way.
    let report = host.json(&backup);
    assert_eq!(report["bytes"], length(&copy));
    assert!(length(&copy) > 128 * 1_048_576 && !part.exists() && !host.path("copy.db.part-journal").exists());
    let whole = rusqlite::Connection::open(&copy).unwrap();
    let found: String = whole.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");

    // What somebody else has put there is not written to.
    let other = host.path("other.db.part");
    fs::write(&other, "").unwrap();
    fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    host.refused(&["backup", host.path("other.db").to_str().unwrap()], 1, "bad_file");
    assert_eq!(length(&other), 0);
}

#[test]
fn a_copy_that_is_told_to_stop_leaves_the_old_store_in_use() {
    let host = Host::empty();
    let server = host.serve();
    host.sql(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300000)
         INSERT INTO client (tenant, integration, username, status, created_at)
         SELECT 1, 1, 'client' || n, 'active', 1 FROM n",
    );
    let ask = || server.post("/integrations/enrollments", &server.token, &json!({ "username": "ferris" })).0;
    let (from, to) = (host.path("data/server.db"), host.path("new.db"));
    let (from, to) = (format!("sqlite:{}", from.display()), format!("sqlite:{}", to.display()));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let child = begun(&host, &["store", "copy", "--from", &from, "--to", &to, "--json"]);
        wait_until("the mark", || host.sql("SELECT count(moved_to) FROM store_state") == "1");
        assert_eq!(ask(), 503, "nothing is written meanwhile");
        let ran = end(child, signal);
        assert_eq!((ran.status, ran.error().as_str()), (3, "store_unavailable"), "{ran:?}");
        assert!(ran.stderr.contains("stopped: nothing was copied"), "{ran:?}");
        assert_eq!(ask(), 201);
    }
}
