//! The self-signed pair, and which pairs are refused at the start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use oss2fa_server::listen::{ListenError, PairFiles, Tls, self_signed};
use time::macros::datetime;

use crate::peers::{P256, curl, got, openssl_pair, run};
use crate::server::{OwnPair, Server, Setup, now, text};

fn refusal(files: PairFiles) -> ListenError {
    Tls::open(files).map(|_| ()).expect_err("the pair must be refused")
}

#[test]
fn the_pair_is_made_once_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = datetime!(2026-03-02 10:20:30 UTC);
    let files = self_signed::pair(folder.path(), "auth.example.com", first).unwrap();
    let bytes = || (fs::read(&files.certificate).unwrap(), fs::read(&files.key).unwrap());
    let made = bytes();
    let again =
        self_signed::pair(folder.path(), "other.example.com", first + time::Duration::days(30)).unwrap();
    assert_eq!(again, files);
    assert_eq!(bytes(), made);

    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["tls.crt", "tls.key"]);
    assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn openssl_finds_in_the_certificate_what_it_should_hold() {
    let folder = tempfile::tempdir().unwrap();
    let files =
        self_signed::pair(folder.path(), "auth.example.com", datetime!(2026-03-02 10:20:30 UTC)).unwrap();
    let path = text(&files.certificate);
    let shown = run("openssl", &["x509", "-in", path, "-noout", "-text"], b"").out;
    for part in [
        "ASN1 OID: prime256v1",
        "Not Before: Mar  1 10:20:30 2026 GMT",
        // 825 days and not a second more.
        "Not After : Jun  3 10:20:29 2028 GMT",
        "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:auth.example.com\n",
        "CA:FALSE",
        "TLS Web Server Authentication",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let at = datetime!(2026-03-02 10:20:30 UTC).unix_timestamp().to_string();
    let strict = ["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &at, "-CAfile", path, path];
    let said = run("openssl", &strict, b"");
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_host_name_that_no_certificate_can_hold_is_left_out() {
    for host in ["", "no good", "-", "localhost", "h\u{f6}st"] {
        let folder = tempfile::tempdir().unwrap();
        let files = self_signed::pair(folder.path(), host, now()).unwrap();
        let said = run(
            "openssl",
            &["x509", "-in", text(&files.certificate), "-noout", "-ext", "subjectAltName"],
            b"",
        );
        assert!(
            said.out.ends_with("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1\n"),
            "{said:?}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let files = self_signed::pair(folder.path(), "192.0.2.7", now()).unwrap();
    let said =
        run("openssl", &["x509", "-in", text(&files.certificate), "-noout", "-ext", "subjectAltName"], b"");
    assert!(said.out.trim_end().ends_with(", IP Address:192.0.2.7"), "{said:?}");
}

#[test]
fn half_a_pair_is_an_error_that_says_what_to_do() {
    for gone in ["tls.key", "tls.crt"] {
        let own = OwnPair::make();
        let before = (fs::read(&own.files.certificate).unwrap(), fs::read(&own.files.key).unwrap());
        fs::remove_file(own.folder.path().join(gone)).unwrap();
        let error = self_signed::pair(own.folder.path(), "localhost", now()).unwrap_err();
        assert_eq!(error.code(), "tls_half_pair");
        let said = error.to_string();
        assert!(said.contains(&format!("{gone} is not. Put the missing file back; or remove ")), "{said}");
        // What is left was not touched.
        let after = (fs::read(&own.files.certificate), fs::read(&own.files.key));
        assert!(after.0.is_ok_and(|left| left == before.0) || after.1.is_ok_and(|left| left == before.1));
    }
}

#[test]
fn a_first_start_that_was_cut_short_is_completed() {
    let own = OwnPair::make();
    let made = fs::read(&own.files.certificate).unwrap();
    let fresh = own.folder.path().join("tls.crt.new");
    // Between the two renames.
    fs::rename(&own.files.certificate, &fresh).unwrap();
    let files = self_signed::pair(own.folder.path(), "localhost", now()).unwrap();
    assert_eq!(fs::read(&files.certificate).unwrap(), made);
    Tls::open(files.clone()).unwrap();

    // Before the first: what is left is no pair.
    fs::rename(&files.certificate, &fresh).unwrap();
    fs::rename(&files.key, own.folder.path().join("tls.key.new")).unwrap();
    let files = self_signed::pair(own.folder.path(), "localhost", now()).unwrap();
    assert_ne!(fs::read(&files.certificate).unwrap(), made);
    Tls::open(files).unwrap();
}

#[test]
fn curl_trusts_the_pair_for_its_names_and_for_no_other() {
    let own = OwnPair::make();
    let server = Server::tls(&own.files, Setup { address: "[::]:0", ..Setup::default() });
    let port = server.address.port();
    let resolve = |name: &str| format!("{name}:{port}:127.0.0.1");
    for host in ["localhost", "127.0.0.1", "[::1]", "auth.example.com"] {
        let url = format!("https://{host}:{port}/hello");
        let got = got(&["--cacert", own.certificate(), "--resolve", &resolve("auth.example.com"), &url]);
        assert_eq!(got, "hello", "{host}");
    }
    let url = format!("https://evil.example.com:{port}/hello");
    let other = curl(&["--cacert", own.certificate(), "--resolve", &resolve("evil.example.com"), &url]);
    assert_eq!(other.code, 60, "{other:?}");
    let untrusted = curl(&[&server.url("https", "/hello")]);
    assert_eq!(untrusted.code, 60, "{untrusted:?}");
}

#[test]
fn pairs_of_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in [("rsa", &["rsa:2048"][..]), ("p256", &P256[..]), ("ed25519", &["ed25519"][..])] {
        let files = openssl_pair(folder.path(), name, key);
        let server = Server::tls(&files, Setup::default());
        let url = server.url("https", "/hello");
        assert_eq!(got(&["--cacert", text(&files.certificate), &url]), "hello", "{name}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let one = openssl_pair(folder.path(), "one", &P256);
    let two = openssl_pair(folder.path(), "two", &P256);
    let error = refusal(PairFiles { certificate: one.certificate.clone(), key: two.key.clone() });
    assert_eq!(error.code(), "tls_key_mismatch");
    let said = error.to_string();
    assert!(said.contains(text(&one.certificate)) && said.contains(text(&two.key)), "{said}");
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_cure() {
    let own = OwnPair::make();
    let key = &own.files.key;
    let chmod = |mode| fs::set_permissions(key, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o644, 0o604, 0o660, 0o602, 0o601] {
        chmod(mode);
        let error = refusal(own.files.clone());
        assert_eq!(error.code(), "tls_key_exposed", "{mode:o}");
        let said = error.to_string();
        assert!(said.contains(&format!("{mode:04o}")), "{said}");
        assert!(said.ends_with(&format!("chmod 0600 {}", text(key))), "{said}");
    }
    for mode in [0o600, 0o400] {
        chmod(mode);
        Tls::open(own.files.clone()).unwrap();
    }
    // Its group may read it when it is root's, as a distribution shares one key among several services.
    chmod(0o640);
    if nix::unistd::geteuid().is_root() {
        Tls::open(own.files.clone()).unwrap();
        chown(key, Some(65_534), None).unwrap();
    }
    assert_eq!(refusal(own.files.clone()).code(), "tls_key_exposed");
}

#[test]
fn what_is_no_pair_is_refused_by_name() {
    let own = OwnPair::make();
    let missing = PairFiles { certificate: own.folder.path().join("not.there"), key: own.files.key.clone() };
    let said = refusal(missing).to_string();
    assert!(said.contains("not.there") && said.contains("under [tls] in server.toml"), "{said}");

    let swapped = PairFiles { certificate: own.files.key.clone(), key: own.files.key.clone() };
    assert!(refusal(swapped).to_string().ends_with("holds no certificate in PEM"));

    let pipe = own.folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let piped = PairFiles { certificate: pipe, key: own.files.key.clone() };
    assert!(refusal(piped).to_string().ends_with("it is not a regular file"));

    let locked = own.folder.path().join("locked.key");
    let arguments =
        ["pkcs8", "-topk8", "-in", text(&own.files.key), "-passout", "pass:x", "-out", text(&locked)];
    assert_eq!(run("openssl", &arguments, b"").code, 0);
    let with_password = PairFiles { certificate: own.files.certificate.clone(), key: locked };
    let said = refusal(with_password).to_string();
    assert!(said.ends_with("holds no private key in PEM that is without a password"), "{said}");
}
