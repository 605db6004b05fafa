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

/// The middle one of what eleven logins took; all of them ended like this.
fn median_of_eleven(host: &Host, service: &str, expected: Outcome) -> Duration {
    let mut took: Vec<Duration> = (0..11)
        .map(|_| {
            let (outcome, took) = login(host, service, "755224");
            assert_eq!(outcome, expected);
            took
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}

fn wait_until_well(host: &Host, token: &mut Token) {
    let begun = Instant::now();
    while login(host, "shown", &token.next_code()).0 != Outcome::Verified {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the server is back, and the host does not know it"
        );
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn packets_that_disappear_are_a_refusal_in_time_then_at_once_and_the_server_is_found_again() {
    let network = Network::new();
    let (server, mut token) = server(&network);
    let host = host(&server, &network, |plan| plan);
    assert_eq!(login(&host, "shown", &token.next_code()).0, Outcome::Verified);
    network.drop_packets_to(server.port());
    // The connection that is kept alive looks well: only time tells.
    let (outcome, took) = login(&host, "shown", &token.next_code());
    assert_eq!(outcome, Outcome::Unavailable);
    assert!(took < DEADLINE, "{took:?}");
    let took = median_of_eleven(&host, "shown", Outcome::Unavailable);
    assert!(took < AT_ONCE, "{took:?}");
    assert!(host.log().contains("server_away"), "the log tells the administrator");
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
    server.signal(Signal::SIGSTOP);
    let (outcome, took) = login(&host, "open", &token.next_code());
    assert_eq!(outcome, Outcome::Unavailable);
    assert!(took < DEADLINE, "{took:?}");
    server.signal(Signal::SIGCONT);
    wait_until_well(&host, &mut token);
    network.drop_packets_to(server.port());
    let (outcome, took) = login(&host, "open", &token.next_code());
    assert_eq!(outcome, Outcome::Skipped, "proved away");
    assert!(took < DEADLINE, "{took:?}");
    assert_eq!(login(&host, "shown", &token.next_code()).0, Outcome::Unavailable, "another service");
    let took = median_of_eleven(&host, "open", Outcome::Skipped);
    assert!(took < AT_ONCE, "{took:?}");
    host.syslog().wait_for("fail_open");
    network.pass_packets_to(server.port());
    wait_until_well(&host, &mut token);
    // Each bypass is told to the server as soon as it is back.
    let begun = Instant::now();
    loop {
        let told = server.cli(&["audit", "list", "--event", "host_event", "--json"]);
        let count = told.stdout.lines().filter(|line| line.contains("fail_open")).count();
        if count == 12 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{count} of 12 were told: {told}");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(login(&host, "open", &token.wrong_code()).0, Outcome::Refused, "the server says no again");
}

#[test]
fn who_has_a_device_of_the_host_itself_logs_in_while_the_server_is_away() {
    let network = Network::new();
    let (server, _) = server(&network);
    let both = |plan: Plan| plan.user("gopher").set("server.mode", "remote-then-local");
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
    assert!(took < Duration::from_secs(1), "nobody was waited for: {took:?}");
    assert_eq!(login(&host, "shown", "755224").0, Outcome::Unavailable, "who is the server's");
}
