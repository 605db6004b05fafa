//! Real sshd, sudo and su on a host that asks a server; and what they say when something is wrong with it.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use oss2fa_tests::server::{Authority, Server};
use oss2fa_tests::{End, Host, Network, PASSWORD, Plan, Token, stack};
use toml::toml;

const CODE: &str = "Verification code: ";

/// Seconds that the host waits for its server, and a login for all of it.
const TIMEOUT: i64 = 5;
const DEADLINE: Duration = Duration::from_secs(25);

/// A server under a certificate of this authority, and somebody's device there.
fn server(authority: &Authority) -> (Server, Token) {
    let (certificate, key) = (authority.certificate(), authority.key());
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let config = toml! { [tls] certificate = certificate key = key };
    let server = Server::new().config(&config.to_string()).start();
    let token = server.integration().enroll("ferris", "HOTP").token;
    (server, token)
}

fn plan(server: &Server) -> Plan {
    Host::new()
        .user("ferris")
        .user("gopher")
        .pam("sshd", stack::PASSWORD_THEN_CODE)
        .pam("sudo", stack::PASSWORD_THEN_CODE)
        .pam("su", stack::PASSWORD_THEN_CODE)
        .asks(server)
        .set("server.timeout", TIMEOUT)
}

/// A login with a code.
type Way<'a> = &'a dyn Fn(&str) -> End;

/// Whether `id -un` has said this name.
fn says(end: &End, name: &str) -> bool {
    end.rest.lines().any(|line| line.trim() == name)
}

#[test]
fn sshd_sudo_and_su_take_a_code_of_the_server_once() {
    let server = Server::new().start();
    let mut token = server.integration().enroll("ferris", "HOTP").token;
    let host = plan(&server).start();
    host.write("/etc/sudoers.d/test", SUDOERS);
    let sshd = host.sshd("keyboard-interactive").start();
    let ssh = |code: &str| sshd.login("ferris").answer("assword: ", PASSWORD).answer(CODE, code).finish();
    let run = |words: &[&str], user: &str, code: &str| {
        let program = host.program(words).as_user(user).terminal();
        program.answer("assword", PASSWORD).answer(CODE, code).finish()
    };
    let sudo = |code: &str| run(&["/usr/bin/sudo", "-k", "id", "-un"], "ferris", code);
    let su = |code: &str| run(&["/usr/bin/su", "ferris", "-c", "id -un"], "gopher", code);
    let ways: [(Way<'_>, &str); 3] = [(&ssh, "ferris"), (&sudo, "root"), (&su, "ferris")];
    for (log_in, becomes) in ways {
        let code = token.next_code();
        let end = log_in(&code);
        assert_eq!((end.status, says(&end, becomes)), (0, true), "{end:?}");
        for code in [code, token.wrong_code()] {
            let end = log_in(&code);
            assert_ne!(end.status, 0, "{end:?}");
            assert!(!says(&end, becomes), "{end:?}");
        }
    }
    // What the server wrote down says who, where and through what.
    let audit = server.cli(&["audit", "list", "--client", "ferris", "--event", "accepted"]);
    for service in ["sshd", "sudo", "su"] {
        assert!(audit.stdout.contains(&format!("service=\"{service}\"")), "{service}: {audit}");
    }
}

/// What is wrong, how it is brought about, and the word in the agent's log.
struct Trouble {
    what: &'static str,
    code: &'static str,
    cause: fn(&Server, &Authority),
}

const TROUBLES: [Trouble; 6] = [
    Trouble { what: "stopped", code: "server_away", cause: |server, _| server.stop() },
    Trouble { what: "silent", code: "server_slow", cause: |server, _| server.signal(Signal::SIGSTOP) },
    Trouble {
        what: "under a certificate of somebody else's authority",
        code: "server_tls",
        cause: |server, _| {
            let other = Authority::new();
            std::fs::copy(other.certificate(), server.ca()).unwrap();
            let key = server.ca().with_file_name("server.key");
            std::fs::copy(other.key(), key).unwrap();
            start_again(server);
        },
    },
    Trouble {
        what: "under a certificate that has expired",
        code: "server_tls",
        cause: |server, authority| {
            authority.renew_expired();
            start_again(server);
        },
    },
    Trouble {
        what: "under a certificate of another name",
        code: "server_tls",
        cause: |server, authority| {
            authority.renew_for("elsewhere.example.org");
            start_again(server);
        },
    },
    Trouble {
        what: "without this token any more",
        code: "server_token",
        cause: |server, _| {
            let rotated = server.cli(&["integration", "rotate-token", "oss2fa"]);
            assert_eq!(rotated.status, 0, "{rotated}");
            // A node remembers a token for a moment.
            std::thread::sleep(Duration::from_secs(2));
        },
    },
];

fn start_again(server: &Server) {
    server.kill_9();
    server.start_again();
}

/// sshd, sudo and su, none of which lets ferris in; each says so in time, and nothing of why.
fn refused_by_all(host: &Host, token: &mut Token, what: &str, unsaid: &[&str]) {
    let sshd = host.sshd("keyboard-interactive").start();
    let run = |words: &[&str], user: &str, code: &str| {
        let program = host.program(words).as_user(user).terminal().answer("assword", PASSWORD);
        program.answer_if_asked(CODE, code).finish()
    };
    // The agent may find out before it asks for a code, or after.
    let ssh =
        |code: &str| sshd.login("ferris").answer("assword: ", PASSWORD).answer_if_asked(CODE, code).finish();
    let sudo = |code: &str| run(&["/usr/bin/sudo", "-k", "id", "-un"], "ferris", code);
    let su = |code: &str| run(&["/usr/bin/su", "ferris", "-c", "id -un"], "gopher", code);
    let ways: [(Way<'_>, &str); 3] = [(&ssh, "ferris"), (&sudo, "root"), (&su, "ferris")];
    for (log_in, becomes) in ways {
        let begun = Instant::now();
        let end = log_in(&token.next_code());
        let took = begun.elapsed();
        assert_ne!(end.status, 0, "{what}: {end:?}");
        assert!(!says(&end, becomes), "{what}: {end:?}");
        assert!(took < DEADLINE, "{what}: {took:?}");
        for word in unsaid {
            assert!(!end.transcript.contains(word), "{what}: a stranger reads {word}: {end:?}");
        }
    }
}

/// The administrator is told.
fn logs(host: &Host, code: &str, what: &str) {
    let begun = Instant::now();
    while !host.log().contains(code) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: no {code} in the log");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const SUDOERS: &str = "ferris ALL=(ALL) ALL\nDefaults timestamp_timeout=0, passwd_tries=1\n";

#[test]
fn whatever_is_wrong_with_the_server_the_stranger_is_refused_in_time_and_the_administrator_is_told() {
    for Trouble { what, code, cause } in TROUBLES {
        let authority = Authority::new();
        let (server, mut token) = server(&authority);
        let ca = std::fs::read_to_string(authority.ca()).unwrap();
        let host = plan(&server).start();
        host.write("/etc/sudoers.d/test", SUDOERS);
        host.write("/etc/oss2fa/server-ca.pem", &ca);
        host.restart_agent();
        let sshd = host.sshd("keyboard-interactive").start();
        let ssh = |code: &str| sshd.login("ferris").answer("assword: ", PASSWORD).answer(CODE, code).finish();
        let end = ssh(&token.next_code());
        assert_eq!(end.status, 0, "before: {end:?}");
        drop(sshd);
        cause(&server, &authority);
        let port = server.port().to_string();
        refused_by_all(&host, &mut token, what, &[&port, "certificate", "token", "https"]);
        logs(&host, code, what);
    }
}

#[test]
fn packets_that_disappear_let_nobody_in_by_any_program() {
    let network = Network::new();
    let server = Server::new().in_network(&network).start();
    let mut token = server.integration().enroll("ferris", "HOTP").token;
    let host = plan(&server).in_network(&network).start();
    host.write("/etc/sudoers.d/test", SUDOERS);
    network.drop_packets_to(server.port());
    let port = server.port().to_string();
    refused_by_all(&host, &mut token, "out of reach", &[&port, "https"]);
    logs(&host, "server_away", "out of reach");
}
