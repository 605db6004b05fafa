//! Strangers that are slow, silent, or many.

use std::io::{ErrorKind, Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use oss2fa_server::listen::{ListenLimits, PerAddress};

use crate::peers::{Raw, got, said, start};
use crate::server::{OwnPair, Server, Setup};

const TIMEOUT: Duration = Duration::from_secs(1);
const TOO_LONG: Duration = Duration::from_millis(2500);
/// On a machine that does much else what is closed in time is seen late: the quickest of so many tries counts.
const TRIES: usize = 4;

fn hasty() -> Setup {
    let setup = Setup::default();
    Setup {
        limits: ListenLimits {
            request_timeout: TIMEOUT,
            stream_timeout: TIMEOUT,
            handshake_timeout: TIMEOUT,
            ..setup.limits
        },
        ..setup
    }
}

fn in_time(closes: impl Fn() -> Duration) {
    let mut late = Vec::new();
    loop {
        let took = closes();
        assert!(took >= TIMEOUT - Duration::from_millis(50), "closed after {took:?}");
        if took < TOO_LONG {
            return;
        }
        late.push(took);
        assert!(late.len() < TRIES, "closed after {late:?}");
    }
}

#[test]
fn a_head_that_is_never_finished_is_not_waited_for() {
    let server = Server::plain(hasty());
    in_time(|| {
        let start = Instant::now();
        let mut slow = Raw::open(server.address);
        let mut drip = slow.0.try_clone().unwrap();
        let dripping = std::thread::spawn(move || {
            let head =
                b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x'));
            for byte in head {
                if drip.write_all(&[*byte]).is_err() {
                    break;
                }
                sleep(Duration::from_millis(20));
            }
        });
        let took = slow.closed_after(start);
        dripping.join().unwrap();
        took
    });

    // The same on a connection that was good before.
    in_time(|| {
        let mut turned = Raw::open(server.address);
        turned.hello();
        let start = Instant::now();
        turned.0.write_all(b"GET /hello HTTP/1.1\r\nHost: loc").unwrap();
        turned.closed_after(start)
    });
}

#[test]
fn silence_is_not_waited_for() {
    let own = OwnPair::make();
    let plain = Server::plain(hasty());
    let tls = Server::tls(&own.files, hasty());
    let http2_preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for (address, said) in [
        (plain.address, &b""[..]),
        (plain.address, b"PRI * HTTP/2"),
        (plain.address, http2_preface),
        (tls.address, b""),
        // The head of a client hello of 512 bytes that do not come.
        (tls.address, b"\x16\x03\x01\x02\x00\x01\x00"),
    ] {
        in_time(|| {
            let start = Instant::now();
            let mut silent = Raw::open(address);
            silent.0.write_all(said).unwrap();
            silent.closed_after(start)
        });
    }
}

/// RFC 9113 section 6.9: whoever gives no window takes no byte of an answer.
#[test]
fn an_answer_that_nobody_takes_is_not_waited_for() {
    for path in [b"/hello", b"/flood"] {
        let server = Server::plain(hasty());
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let no_window = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
        // GET http://localhost/hello, as HPACK writes it (RFC 7541 section 6).
        let head = [b"\x82\x86\x44\x06".as_slice(), path, b"\x41\x09localhost"].concat();
        let frame = [b"\0\0\x15\x01\x05\0\0\0\x01".as_slice(), &head].concat();
        in_time(|| {
            let start = Instant::now();
            let mut sly = Raw::open(server.address);
            sly.0.write_all(&[preface.as_slice(), no_window, &frame].concat()).unwrap();
            sly.closed_after(start)
        });
    }
}

#[test]
fn a_stream_that_nobody_takes_gives_its_place_up_and_one_that_is_made_slowly_does_not() {
    let setup = hasty();
    let server = Server::plain(Setup { limits: ListenLimits { connections: 1, ..setup.limits }, ..setup });
    let start = Instant::now();
    let mut deaf = Raw::open(server.address);
    deaf.0.write_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // There is one place, and this connection waits for it.
    assert_eq!(got(&[&server.url("http", "/hello")]), "hello");
    assert!(start.elapsed() >= TIMEOUT, "after {:?}", start.elapsed());

    // Two seconds for each part, where one is what a client may take.
    assert_eq!(got(&[&server.url("http", "/drip")]), "drip drip drip ");
}

#[test]
fn a_slow_head_within_tls_is_not_waited_for() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, hasty());
    in_time(|| {
        let begin = Instant::now();
        let mut client =
            start("openssl", &["s_client", "-quiet", "-ign_eof", "-connect", &server.address.to_string()]);
        let mut input = client.stdin.take().unwrap();
        input.write_all(b"GET /hello HTTP/1.1\r\nHost: loc").unwrap();
        let said = said(client);
        let took = begin.elapsed();
        assert_eq!(said.out, "");
        drop(input);
        took
    });
}

#[test]
fn a_slow_handler_and_a_busy_connection_are_not_cut() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, hasty());
    for version in ["--http2", "--http1.1"] {
        // Four seconds, where one is the limit of a head.
        assert_eq!(got(&["--cacert", own.certificate(), version, &server.url("https", "/slow")]), "done");
    }
    // Longer than the limit in all, and far from it each time.
    let setup = hasty();
    let limits = ListenLimits { request_timeout: 4 * TIMEOUT, ..setup.limits };
    let plain = Server::plain(Setup { limits, ..setup });
    let mut busy = Raw::open(plain.address);
    for _ in 0..12 {
        busy.hello();
        sleep(Duration::from_millis(500));
    }
}

#[test]
fn two_thousand_idle_connections_hold_while_another_answers() {
    const MANY: usize = 2000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert!(hard > 2 * MANY as u64 + 100, "this test needs 4,100 descriptors: ulimit -n gives {hard}");

    // None of them is to be silent for too long by the end.
    let setup = Setup::default();
    let limits = ListenLimits { request_timeout: Duration::from_secs(600), ..setup.limits };
    let server = Server::plain(Setup { limits, ..setup });
    let mut idle: Vec<_> = (0..MANY).map(|_| Raw::open(server.address)).collect();
    // Half of them have asked before, half never did.
    idle.iter_mut().step_by(2).for_each(Raw::hello);
    let in_time = (0..TRIES).any(|_| {
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(got(&[&server.url("http", "/hello")]), "hello");
        }
        start.elapsed() < Duration::from_secs(5)
    });
    assert!(in_time, "ten requests take longer than five seconds");
    idle.iter_mut().for_each(Raw::hello);
    let drained = server.stop();
    assert_eq!((drained.finished, drained.cut), (MANY, 0));
}

#[test]
fn one_address_leaves_room_for_others_and_a_proxy_has_no_limit() {
    let setup = |exempt: &[&str]| {
        let exempt = exempt.iter().map(|network| network.parse().unwrap()).collect();
        let setup = Setup::default();
        let per_address = PerAddress { most: 3, exempt };
        Setup { limits: ListenLimits { per_address, ..setup.limits }, ..setup }
    };
    let server = Server::plain(setup(&[]));
    let mut open: Vec<_> = (0..3).map(|_| Raw::open(server.address)).collect();
    open.iter_mut().for_each(Raw::hello);
    let at_once = (0..TRIES).any(|_| {
        let start = Instant::now();
        Raw::open(server.address).closed_after(start) < TIMEOUT
    });
    assert!(at_once, "a fourth is closed");
    let url = server.url("http", "/hello").replace("localhost", "127.0.0.1");
    assert_eq!(got(&["--interface", "127.0.0.2", &url]), "hello", "another address is served");
    drop(open.pop());
    // Its end is seen a moment later.
    assert_eq!(got(&["--retry", "20", "--retry-all-errors", "--retry-delay", "1", &url]), "hello");
    assert!(crate::server::logs().contains("connections_of_address"));

    let server = Server::plain(setup(&["127.0.0.0/8"]));
    let mut open: Vec<_> = (0..20).map(|_| Raw::open(server.address)).collect();
    open.iter_mut().for_each(Raw::hello);
}

#[test]
fn at_the_limit_new_connections_wait_for_an_old_one_to_end() {
    let setup = Setup::default();
    let limits = ListenLimits { connections: 3, ..setup.limits };
    let server = Server::plain(Setup { limits, ..setup });
    let mut open: Vec<_> = (0..3).map(|_| Raw::open(server.address)).collect();
    open.iter_mut().for_each(Raw::hello);

    let mut waiting = Raw::open(server.address);
    waiting.0.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    waiting.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let early = waiting.0.read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::WouldBlock);

    open.pop();
    waiting.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(waiting.0.read(&mut [0; 1]).unwrap(), 1);
}
