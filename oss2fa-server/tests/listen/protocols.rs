//! TLS versions, HTTP versions, and what handlers get to see.

use std::fs;

use crate::peers::{LAST_REQUEST, P256, curl, got, openssl_pair, run, s_client};
use crate::server::{OwnPair, Server, Setup, text};

#[test]
fn tls_1_2_and_1_3_are_spoken_and_1_1_is_refused() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, Setup::default());
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = s_client(server.address, &[version, "-CAfile", own.certificate()], LAST_REQUEST);
        assert!(said.out.contains(&format!("New, {name}, Cipher is ")), "{said:?}");
        assert!(said.out.contains("Verify return code: 0 (ok)"), "{said:?}");
        assert!(said.out.contains("HTTP/1.1 200 OK"), "{said:?}");
    }
    // Whatever the openssl of this machine thinks of old versions, it offers them here.
    for (old, name) in [("-tls1_1", "TLSv1.1"), ("-tls1", "TLSv1")] {
        let said = s_client(server.address, &[old, "-cipher", "DEFAULT@SECLEVEL=0"], LAST_REQUEST);
        assert!(said.out.contains(&format!("Protocol  : {name}\n")), "{said:?}");
        // It is the server that refuses.
        assert!(said.err.contains("SSL alert number"), "{said:?}");
        assert!(said.out.contains("New, (NONE)") && !said.out.contains("HTTP/1.1"), "{said:?}");
    }
}

/// The suite that the server takes of what openssl is told to offer; none: it takes none of it.
fn taken(server: &Server, offer: &[&str]) -> Option<String> {
    let said = s_client(server.address, offer, LAST_REQUEST);
    let (_, rest) = said.out.split_once("Cipher is ").unwrap_or_else(|| panic!("{said:?}"));
    let name = rest.lines().next().unwrap().trim();
    if name != "(NONE)" {
        return Some(name.to_owned());
    }
    // It is the server that refuses, and not openssl that has nothing to offer.
    assert!(said.err.contains("SSL alert number 40"), "{said:?}");
    None
}

#[test]
fn every_suite_is_authenticated_encryption_with_forward_secrecy() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, key) in [("ECDSA", &P256[..]), ("RSA", &["rsa:2048"][..])] {
        let server = Server::tls(&openssl_pair(folder.path(), kind, key), Setup::default());
        let all = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
        let offered = run("openssl", &["ciphers", "-s", "-tls1_2", all], b"").out;
        for weak in ["AES128-SHA:", "ECDHE-ECDSA-AES256-SHA384:", "ECDHE-RSA-AES128-SHA:"] {
            assert!(offered.contains(weak), "openssl has no {weak} to offer: {offered}");
        }
        // Everything is offered, without what was taken before, until nothing more is taken.
        let (mut suites, mut offer) = (Vec::new(), all.to_owned());
        while let Some(suite) = taken(&server, &["-tls1_2", "-cipher", &offer]) {
            offer += &format!(":!{suite}");
            suites.push(suite);
        }
        suites.sort();
        let strong = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"];
        assert_eq!(suites, strong.map(|suite| format!("ECDHE-{kind}-{suite}")));

        let strong = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
        let mut left = [&strong[..], &["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]].concat();
        let mut suites = Vec::new();
        while let Some(suite) = taken(&server, &["-tls1_3", "-ciphersuites", &left.join(":")]) {
            left.retain(|offered| *offered != suite);
            suites.push(suite);
        }
        suites.sort();
        assert_eq!(suites, strong);
    }
}

#[test]
fn sessions_are_resumed() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, Setup::default());
    let session = own.folder.path().join("session");
    for version in ["-tls1_2", "-tls1_3"] {
        let first = s_client(server.address, &[version, "-sess_out", text(&session)], LAST_REQUEST);
        assert!(first.out.contains("New, TLS"), "{first:?}");
        let second = s_client(server.address, &[version, "-sess_in", text(&session)], LAST_REQUEST);
        assert!(second.out.contains("Reused, TLS"), "{second:?}");
        assert!(second.out.contains("HTTP/1.1 200 OK"), "{second:?}");
    }
}

#[test]
fn http_2_and_1_1_are_both_spoken() {
    let own = OwnPair::make();
    let tls = Server::tls(&own.files, Setup::default());
    let plain = Server::plain(Setup::default());
    let write = ["-w", " %{http_version}"];
    for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let got = got(
            &[&["--cacert", own.certificate(), option, &tls.url("https", "/hello")], &write[..]].concat()
        );
        assert_eq!(got, format!("hello {version}"));
    }
    for (option, version) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let got = got(&[&[option, &plain.url("http", "/hello")], &write[..]].concat());
        assert_eq!(got, format!("hello {version}"));
    }
    let address = tls.address.to_string();
    let said = run("openssl", &["s_client", "-connect", &address, "-alpn", "h2,http/1.1"], b"");
    assert!(said.out.contains("ALPN protocol: h2"), "{said:?}");
}

#[test]
fn one_connection_serves_many_requests() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, Setup::default());
    let url = server.url("https", "/peer");
    for version in ["--http2", "--http1.1"] {
        let got = got(&["--cacert", own.certificate(), version, "-w", "\n", &url, &url, &url]);
        let mut seen: Vec<_> = got.lines().collect();
        assert_eq!(seen.len(), 3);
        seen.dedup();
        assert_eq!(seen.len(), 1, "{seen:?}");
    }
}

#[test]
fn handlers_see_the_address_of_the_peer() {
    let own = OwnPair::make();
    let write = ["-w", " %{local_ip}:%{local_port}"];
    let seen = |got: String| {
        let (peer, its) = got.split_once(' ').unwrap();
        assert_eq!(peer, its);
    };
    let tls = Server::tls(&own.files, Setup::default());
    for version in ["--http2", "--http1.1"] {
        seen(got(
            &[&["--cacert", own.certificate(), version, &tls.url("https", "/peer")], &write[..]].concat()
        ));
    }
    // The socket is one of IPv6 and knows the peer as ::ffff:127.0.0.1.
    let both = Server::plain(Setup { address: "[::]:0", ..Setup::default() });
    seen(got(&[&["-4", &both.url("http", "/peer")], &write[..]].concat()));
}

#[test]
fn bodies_larger_than_any_buffer_pass_unchanged() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, Setup::default());
    let (sent, received) = (own.folder.path().join("sent"), own.folder.path().join("received"));
    let made = run("openssl", &["rand", "-out", text(&sent), "3000000"], b"");
    assert_eq!(made.code, 0);
    let data = format!("@{}", text(&sent));
    for version in ["--http2", "--http1.1"] {
        let url = server.url("https", "/echo");
        let fixed = ["--cacert", own.certificate(), version, "-o", text(&received), "--data-binary", &data];
        got(&[&fixed[..], &[&url]].concat());
        assert!(fs::read(&sent).unwrap() == fs::read(&received).unwrap(), "{version}");
    }
}

#[test]
fn a_head_above_16_kib_is_refused() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, Setup::default());
    let url = server.url("https", "/hello");
    let ask = |version: &str, length: usize| {
        let header = format!("X-Long: {}", "x".repeat(length));
        curl(&[
            "--cacert",
            own.certificate(),
            version,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            &header,
            &url,
        ])
    };
    for version in ["--http2", "--http1.1"] {
        assert_eq!(ask(version, 12_000).out, "200", "{version}");
        let said = ask(version, 20_000);
        assert!(said.out == "431" || said.code != 0, "{version}: {said:?}");
    }
    assert_eq!(ask("--http1.1", 20_000).out, "431");
}

#[test]
fn plain_http_on_the_tls_port_is_closed_and_does_no_harm() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, Setup::default());
    let said = curl(&["-w", "%{http_code}", &server.url("http", "/hello")]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.out.ends_with("000") && !said.out.contains("hello"), "{said:?}");
    assert!(!said.err.contains("timed out"), "{said:?}");
    assert_eq!(got(&["--cacert", own.certificate(), &server.url("https", "/hello")]), "hello");
}
