//! A server that is away: a network that swallows packets, a server that is stopped, one that only seems away.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use oss2fa_core::wire::Outcome;
use oss2fa_tests::server::Server;
use oss2fa_tests::{Dialogue, Host, Network, Plan, Token, start};

/// Seconds that the host waits for its server.
const TIMEOUT: i64 = 2;

const DEADLINE: Duration = Duration::from_secs(3);

/// The promise for logins while the server is known to be away.
const AT_ONCE: Duration = Duration::from_millis(50);

/// A server, and the device of somebody who is enrolled there.
fn server(network: &Network) -> (Server, Token) {
    let server = Server::new().in_network(network).start();
    let token = server.integration().enroll("ferris", "HOTP").token;
    (server, token)
}

fn host(server: &Server, network: &Network, change: impl FnOnce(Plan) -> Plan) -> Host {
    let plan = Host::new().user("ferris").asks(server).in_network(network).set("server.timeout", TIMEOUT);
    change(plan).start()
}

/// One login at `service`: what came of it, and how long it took.
fn login(host: &Host, service: &str, code: &str) -> (Outcome, Duration) {
    let begun = Instant::now();
    let outcome = Dialogue::login(&host.socket(), &start("ferris", service, None), code).unwrap();
    (outcome, begun.elapsed())
}

/// Logins that all end like this, until the middle one of eleven has taken no longer than promised: this machine has other
/// work, too. How many they were.
fn at_once(host: &Host, service: &str, expected: Outcome) -> usize {
    for tries in 1..=4 {
        let mut took: Vec<Duration> = (0..11)
            .map(|_| {
                let (outcome, took) = login(host, service, "755224");
                assert_eq!(outcome, expected);
                took
            })
            .collect();
        took.sort_unstable();
        if took[took.len() / 2] < AT_ONCE {
            return 11 * tries;
        }
        assert!(tries < 4, "{took:?}");
    }
    unreachable!("the last of them fails the test")
}

fn wait_until_well(host: &Host, token: &mut Token) {
    let begun = Instant::now();
    let mut code = token.next_code();
    loop {
        match login(host, "shown", &code).0 {
            Outcome::Verified => return,
            // The server is there, and has spent it for a login whose answer was lost.
            Outcome::Refused => code = token.next_code(),
            _ => {}
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the server is back, and the host does not know it"
        );
        thread::sleep(Duration::from_millis(500));
    }
}

fn logs(host: &Host, words: &str) {
    let begun = Instant::now();
    while !host.log().contains(words) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no {words} in the log");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The first login at `service` after `trouble`, in time in one of a few tries: `cure` ends the trouble before the next.
fn in_time(
    host: &Host,
    token: &mut Token,
    service: &str,
    expected: Outcome,
    (trouble, cure): (&dyn Fn(), &dyn Fn()),
) -> usize {
    for tries in 1..=3 {
        trouble();
        let (outcome, took) = login(host, service, &token.next_code());
        assert_eq!(outcome, expected);
        if took < DEADLINE {
            return tries;
        }
        assert!(tries < 3, "{took:?}");
        cure();
        wait_until_well(host, token);
    }
    unreachable!("the last of them fails the test")
}

#[test]
fn packets_that_disappear_are_a_refusal_in_time_then_at_once_and_the_server_is_found_again() {
    let network = Network::new();
    let (server, mut token) = server(&network);
    let host = host(&server, &network, |plan| plan);
    assert_eq!(login(&host, "shown", &token.next_code()).0, Outcome::Verified);
    // The connection that is kept alive looks well: only time tells.
    let (drop_them, pass_them) =
        (|| network.drop_packets_to(server.port()), || network.pass_packets_to(server.port()));
    in_time(&host, &mut token, "shown", Outcome::Unavailable, (&drop_them, &pass_them));
    at_once(&host, "shown", Outcome::Unavailable);
    // It tells the administrator.
    logs(&host, "server_away");
    network.pass_packets_to(server.port());
    wait_until_well(&host, &mut token);
}

#[test]
fn a_service_that_may_fail_open_does_so_while_packets_disappear_and_at_no_other_time() {
    let network = Network::new();
    let (server, mut token) = server(&network);
    let open = |plan: Plan| plan.set("server.fail_open_services", vec!["open"]);
    let host = host(&server, &network, open);
    assert_eq!(login(&host, "open", &token.wrong_code()).0, Outcome::Refused, "the server says no");
    // It takes connections and says nothing: reached, so nothing is proved.
    let (stop, go_on) = (|| server.signal(Signal::SIGSTOP), || server.signal(Signal::SIGCONT));
    in_time(&host, &mut token, "open", Outcome::Unavailable, (&stop, &go_on));
    go_on();
    wait_until_well(&host, &mut token);
    // Proved away.
    let (drop_them, pass_them) =
        (|| network.drop_packets_to(server.port()), || network.pass_packets_to(server.port()));
    let mut skipped = in_time(&host, &mut token, "open", Outcome::Skipped, (&drop_them, &pass_them));
    assert_eq!(login(&host, "shown", &token.next_code()).0, Outcome::Unavailable, "another service");
    skipped += at_once(&host, "open", Outcome::Skipped);
    host.syslog().wait_for("fail_open");
    network.pass_packets_to(server.port());
    wait_until_well(&host, &mut token);
    // Each bypass is told to the server as soon as it is back.
    let begun = Instant::now();
    loop {
        let told = server.cli(&["audit", "list", "--event", "host_event", "--json"]);
        let count = told.stdout.lines().filter(|line| line.contains("fail_open")).count();
        if count == skipped {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{count} of {skipped} were told: {told}");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(login(&host, "open", &token.wrong_code()).0, Outcome::Refused, "the server says no again");
}

#[test]
fn who_has_a_device_of_the_host_itself_logs_in_while_the_server_is_away() {
    let network = Network::new();
    let (server, _) = server(&network);
    // Whoever waited for the server would wait long.
    let both =
        |plan: Plan| plan.user("gopher").set("server.mode", "remote-then-local").set("server.timeout", 15);
    let host = host(&server, &network, both);
    let mut device = host.enroll_with("gopher", &["hotp", "--local"]);
    let local = |code: &str| {
        let begun = Instant::now();
        let login = start("gopher", "shown", None);
        (Dialogue::login(&host.socket(), &login, code).unwrap(), begun.elapsed())
    };
    assert_eq!(local(&device.next_code()).0, Outcome::Verified, "with the server there");
    network.drop_packets_to(server.port());
    let (outcome, took) = local(&device.next_code());
    assert_eq!(outcome, Outcome::Verified, "and without it");
    assert!(took < Duration::from_secs(6), "nobody was waited for: {took:?}");
    assert_eq!(login(&host, "shown", "755224").0, Outcome::Unavailable, "who is the server's");
}
