//! What happens to connections when the server is asked to stop.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use oss2fa_server::listen::ListenLimits;

use crate::peers::{Raw, curl_started, eventually, said};
use crate::server::{OwnPair, Server, Setup};

#[test]
fn a_running_request_ends_and_new_ones_are_refused() {
    for version in ["--http2", "--http1.1"] {
        let own = OwnPair::make();
        let server = Server::tls(&own.files, Setup::default());
        let address = server.address;
        let mut silent = Raw::open(address);
        let running = curl_started(&["--cacert", own.certificate(), version, &server.url("https", "/slow")]);
        sleep(Duration::from_secs(2));

        let start = Instant::now();
        let stopping = server.stopping();
        // A stranger in the middle of a handshake is not waited for.
        assert!(silent.closed_after(start) < Duration::from_secs(8), "nor for its time to be over");
        eventually("new connections are refused", || {
            TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        let said = said(running);
        assert_eq!((said.code, said.out.as_str()), (0, "done"), "{version}: {}", said.err);
        let drained = stopping.join().unwrap();
        assert_eq!(drained.cut, 0, "{version}");
        assert!(start.elapsed() < Duration::from_secs(9), "its grace is longer");
    }
}

#[test]
fn idle_connections_do_not_delay_the_stop() {
    let server = Server::plain(Setup::default());
    let mut idle = Raw::open(server.address);
    idle.hello();
    let mut silent = Raw::open(server.address);
    sleep(Duration::from_secs(2));
    let start = Instant::now();
    let drained = server.stop();
    assert!(start.elapsed() < Duration::from_secs(8), "its grace is longer");
    assert_eq!((drained.finished, drained.cut), (2, 0));
    idle.closed_after(start);
    silent.closed_after(start);
}

#[test]
fn what_takes_longer_than_the_grace_is_cut() {
    let setup = Setup::default();
    let limits = ListenLimits { stop_grace: Duration::from_secs(1), ..setup.limits };
    let server = Server::plain(Setup { limits, ..setup });
    let running = curl_started(&[&server.url("http", "/never")]);
    sleep(Duration::from_secs(2));
    let start = Instant::now();
    let drained = server.stop();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!((drained.finished, drained.cut), (0, 1));
    // Empty reply, or connection reset.
    let said = said(running);
    assert!([52, 56].contains(&said.code), "{said:?}");
}
