//! `[limits]`: how often one token and one address may ask, and how often somebody may guess.

use axum::http::request::Builder;

use crate::world::{Answer, Who, World};

const TOKENS: &str = "[limits]\ntoken_per_second = 1\ntoken_burst = 3\naddress_per_second = 1000000\n\
    address_burst = 1000000\n";
const ADDRESSES: &str = "[limits]\naddress_per_second = 1\naddress_burst = 3\ntoken_per_second = 1000000\n\
    token_burst = 1000000\nrefused_per_minute = 100000\n";
const GUESSES: &str = "[limits]\nrefused_per_minute = 2\naddress_burst = 1000\n";

#[track_caller]
fn get(world: &World, who: Who, peer: &str, path: &str) -> Answer {
    world.ask_as(who, peer, Builder::new().uri(path), Vec::new())
}

/// The status of each of so many requests; one that was too much says when to come again.
#[track_caller]
fn statuses(world: &World, who: Who, peers: &[&str], path: &str) -> Vec<u16> {
    let status = |peer: &&str| {
        let answer = get(world, who, peer, path);
        if answer.status == 429 {
            assert_eq!(answer.code(), "too_many_requests");
            let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{answer:?}");
        }
        answer.status.as_u16()
    };
    peers.iter().map(status).collect()
}

const ELSEWHERE: [&str; 5] =
    ["192.0.2.11:1", "192.0.2.12:1", "198.51.100.13:1", "[2001:db8:1::1]:1", "[2001:db8:2::1]:1"];

/// What no operation answers is counted too, and so is what needs no token.
#[test]
fn an_address_is_counted_wherever_it_knocks() {
    let knocks = [
        ("GET", "/openapi.json", "*/*", 200),
        ("GET", "/nothing", "*/*", 404),
        ("OPTIONS", "/devices-kind", "*/*", 200),
        ("GET", "/devices-kind", "text/html", 406),
        ("DELETE", "/devices-kind", "*/*", 405),
    ];
    for (method, path, accept, first) in knocks {
        let world = World::with(ADDRESSES);
        let knock = || {
            let request = Builder::new().method(method).uri(path).header("Accept", accept);
            world.ask_as(Who::Nobody, "192.0.2.44:1", request, Vec::new()).status.as_u16()
        };
        let statuses: Vec<u16> = (0..5).map(|_| knock()).collect();
        assert_eq!(statuses, [first, first, first, 429, 429], "{method} {path}");
    }
}

#[test]
fn a_token_is_one_token_wherever_it_comes_from() {
    let world = World::with(TOKENS);
    assert_eq!(statuses(&world, Who::Integration, &ELSEWHERE, "/devices-kind"), [200, 200, 200, 429, 429]);
    // By its pair it is the same integration.
    assert_eq!(statuses(&world, Who::Pair, &ELSEWHERE[..1], "/devices-kind"), [429]);
    // The owner has asked once already, for another integration.
    assert_eq!(statuses(&world, Who::Owner, &ELSEWHERE, "/tenants"), [200, 200, 429, 429, 429]);
}

#[test]
fn an_address_is_one_address_whoever_asks_from_there() {
    let world = World::with(ADDRESSES);
    let here = ["192.0.2.44:1", "192.0.2.44:2", "192.0.2.44:3", "192.0.2.44:4"];
    assert_eq!(statuses(&world, Who::Integration, &here, "/devices-kind"), [200, 200, 200, 429]);
    for (who, path) in [(Who::Nobody, "/devices-kind"), (Who::Owner, "/tenants"), (Who::Nobody, "/readyz")] {
        assert_eq!(statuses(&world, who, &here[..1], path), [429], "{path}");
    }
    assert_eq!(
        statuses(&world, Who::Integration, &["192.0.2.45:1"], "/devices-kind"),
        [200],
        "the neighbour"
    );
    // In the clothes of IPv6 it is the same; and whoever has one address of IPv6 has a whole network.
    assert_eq!(statuses(&world, Who::Nobody, &["[::ffff:192.0.2.44]:1"], "/readyz"), [429]);
    let network = ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::ffff:1]:1", "[2001:db8::3]:1"];
    assert_eq!(statuses(&world, Who::Nobody, &network, "/readyz"), [200, 200, 200, 429]);
    assert_eq!(statuses(&world, Who::Nobody, &["[2001:db8:0:1::1]:1"], "/readyz"), [200]);
    // Whether the process is there can be asked at any time.
    assert_eq!(statuses(&world, Who::Nobody, &here, "/healthz"), [200; 4]);
}

#[test]
fn guesses_are_few_and_keep_nobody_out_who_has_a_token() {
    let world = World::with(GUESSES);
    let here = ["192.0.2.66:1"; 4];
    assert_eq!(statuses(&world, Who::Guesser, &here, "/devices-kind"), [401, 401, 429, 429]);
    assert_eq!(statuses(&world, Who::Guesser, &here[..1], "/tenants"), [429], "at no other path either");
    assert_eq!(statuses(&world, Who::Nobody, &here[..1], "/devices-kind"), [429]);
    assert_eq!(statuses(&world, Who::Integration, &here, "/devices-kind"), [200; 4]);
    assert_eq!(statuses(&world, Who::Guesser, &["192.0.2.67:1"], "/devices-kind"), [401], "from elsewhere");
}
