//! `X-Forwarded-For` and `Forwarded` (RFC 7239): whose word is taken, and how far.
//!
//! Where a request comes from is seen from outside by which addresses may read `/metrics`.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::request::Builder;

use crate::world::{Who, World};

const PROXY: &str = "10.0.0.1:4711";

/// Whether a request from this peer, with these values of the header, is taken for one of 192.0.2.7.
fn is_seen_as_192_0_2_7(world: &World, header: &str, peer: &str, values: &[&[u8]]) -> bool {
    let mut request = Builder::new().uri("/metrics");
    for value in values {
        request = request.header(header, HeaderValue::from_bytes(value).unwrap());
    }
    let answer = world.ask_from(peer, request.body(Body::empty()).unwrap());
    match answer.status.as_u16() {
        200 => true,
        403 => false,
        _ => panic!("{answer:?}"),
    }
}

fn behind(header: &str) -> World {
    World::with(&format!(
        "[proxy]\ntrusted = ['10.0.0.0/24', '2001:db8:1::/64']\nheader = '{header}'\n\
         [metrics]\nallowed = ['192.0.2.7/32']\n"
    ))
}

#[test]
fn row_52_x_forwarded_for() {
    let world = behind("X-Forwarded-For");
    let seen = |peer: &str, values: &[&[u8]]| is_seen_as_192_0_2_7(&world, "X-Forwarded-For", peer, values);
    let good: [&[&[u8]]; 12] = [
        &[b"192.0.2.7"],
        &[b" 192.0.2.7 "],
        &[b"192.0.2.7:51234"],
        &[b"::ffff:192.0.2.7"],
        &[b"[::ffff:192.0.2.7]:443"],
        // Proxies that are trusted hand it on to one another.
        &[b"192.0.2.7, 10.0.0.9"],
        &[b"192.0.2.7", b"10.0.0.9, 10.0.0.8"],
        &[b"192.0.2.7, 2001:db8:1::5"],
        // What the client wrote itself stands to the left, whatever it is.
        &[b"203.0.113.9, 192.0.2.7"],
        &[b"10.0.0.5", b"192.0.2.7"],
        &[b"garbage", b"\xff\xfe", b"192.0.2.7"],
        &[b", ,, 192.0.2.7"],
    ];
    for values in good {
        assert!(seen(PROXY, values), "{values:?}");
    }
    let bad: [&[&[u8]]; 16] = [
        &[],
        &[b""],
        &[b"192.0.2.7, 203.0.113.9"],
        &[b"192.0.2.7", b"203.0.113.9"],
        // What cannot be read ends the chain: what stands to the left of it is anybody's word.
        &[b"192.0.2.7, unknown"],
        &[b"192.0.2.7, "],
        &[b"192.0.2.7,"],
        &[b"192.0.2.7", b""],
        &[b"192.0.2.7", b"\xff"],
        &[b"192.0.2.7, fe80::1%eth0"],
        &[b"192.0.2.7, [fe80::1%25eth0]:1"],
        &[b"192.0.2.7, 10.0.0.256"],
        &[b"192.0.2.7, 10.0.0.9 10.0.0.8"],
        &[b"192.0.2.07"],
        &[b"0xc0000207"],
        &[b"192.0.2.7/32"],
    ];
    for values in bad {
        assert!(!seen(PROXY, values), "{values:?}");
    }
    // Another than the proxy says what it likes.
    for peer in ["203.0.113.1:1", "[2001:db8:2::1]:1", "[::ffff:203.0.113.1]:1"] {
        assert!(!seen(peer, &[b"192.0.2.7"]), "{peer}");
    }
    // The proxy by its other names.
    for peer in ["[::ffff:10.0.0.1]:1", "[2001:db8:1::9]:1"] {
        assert!(seen(peer, &[b"192.0.2.7"]), "{peer}");
    }
    // The other header is nobody's word here.
    assert!(!is_seen_as_192_0_2_7(&world, "Forwarded", PROXY, &[b"for=192.0.2.7"]));
}

#[test]
fn row_52_forwarded() {
    let world = behind("Forwarded");
    let seen = |values: &[&[u8]]| is_seen_as_192_0_2_7(&world, "Forwarded", PROXY, values);
    let good: [&[&[u8]]; 9] = [
        &[b"for=192.0.2.7"],
        &[b"For=192.0.2.7;proto=https;by=10.0.0.1"],
        &[b"proto=https; for=192.0.2.7"],
        &[b"for=\"192.0.2.7:51234\""],
        &[b"for=\"[::ffff:192.0.2.7]:443\""],
        &[b"for=192.0.2.7, for=10.0.0.9"],
        &[b"for=203.0.113.9, for=192.0.2.7"],
        &[b"for=\"unclosed", b"for=192.0.2.7"],
        &[b"for=\"a, for=203.0.113.9", b"for=192.0.2.7;host=\"example.org\""],
    ];
    for values in good {
        assert!(seen(values), "{values:?}");
    }
    let bad: [&[&[u8]]; 10] = [
        &[b"192.0.2.7"],
        &[b"by=192.0.2.7"],
        &[b"for=_hidden"],
        &[b"for=unknown"],
        &[b"for=192.0.2.7, for=unknown"],
        &[b"for=192.0.2.7, for=_gateway"],
        &[b"for=192.0.2.7, for=\"[fe80::1%eth0]\""],
        &[b"for=192.0.2.7, proto=https"],
        &[b"for=192.0.2.7", b"for=203.0.113.9"],
        &[b"for=203.0.113.9;for=192.0.2.7"],
    ];
    for values in bad {
        assert!(!seen(values), "{values:?}");
    }
    assert!(!is_seen_as_192_0_2_7(&world, "X-Forwarded-For", PROXY, &[b"192.0.2.7"]));
}

#[test]
fn without_tls_nobody_is_talked_to_but_this_machine_and_the_proxies() {
    let world = World::with(
        "listen = '0.0.0.0:8300'\n[tls]\nmode = 'off'\n[proxy]\ntrusted = ['10.0.0.0/24', '2001:db8:1::/64']\n",
    );
    let ask = |peer: &str, forwarded: &str, path: &str| {
        let request = Builder::new().uri(path).header("X-Forwarded-For", forwarded);
        let answer = world.ask_as(Who::Integration, peer, request, Vec::new());
        (answer.status.as_u16(), answer.code())
    };
    for near in ["10.0.0.1:1", "[::ffff:10.0.0.9]:1", "[2001:db8:1::5]:1", "127.0.0.1:1", "[::1]:1"] {
        assert_eq!(ask(near, "192.0.2.7", "/devices-kind").0, 200, "{near}");
    }
    for far in ["192.0.2.7:1", "10.0.1.1:1", "[2001:db8:2::5]:1", "[::ffff:192.0.2.7]:1"] {
        for forwarded in ["10.0.0.1", "127.0.0.1", ""] {
            for path in ["/devices-kind", "/readyz", "/metrics"] {
                assert_eq!(ask(far, forwarded, path), (403, "forbidden".to_owned()), "{far} {path}");
            }
        }
        assert_eq!(ask(far, "", "/healthz").0, 200, "which says nothing");
    }
}

#[test]
fn row_52_without_a_proxy_no_header_is_believed() {
    let world = World::with("[metrics]\nallowed = ['192.0.2.7/32']\n");
    for header in
        ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP"]
    {
        for value in [&b"192.0.2.7"[..], b"for=192.0.2.7"] {
            assert!(!is_seen_as_192_0_2_7(&world, header, "127.0.0.1:1", &[value]), "{header}");
        }
    }
    assert!(is_seen_as_192_0_2_7(&world, "X-Forwarded-For", "192.0.2.7:1", &[b"203.0.113.9"]));
}
