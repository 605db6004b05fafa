//! Logins of a host that asks a server: the real module, the real agent, the real server over TLS.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a panic in tests, in their helpers too")]

use std::thread;
use std::time::{Duration, Instant};

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{AgentMessage, ModuleMessage, Outcome};
use oss2fa_tests::server::{Authority, Gateway, MailSecurity, MailSink, PostgresCluster, Server, Store};
use oss2fa_tests::{Agent, Dialogue, Factor, Host, PASSWORD, Pam, Plan, Token, stack, start};
use serde_json::{Value, json};

const SERVICE: &str = "shown";
const CODE: &str = "Verification code: ";
const OFFLINE: &str = "The server cannot be reached.";

/// A host with ferris, who has no device on it, and with this server.
fn host(server: &Server) -> Plan {
    Host::new().user("ferris").pam(SERVICE, &stack::revealing("")).asks(server)
}

/// A login whose answers depend on the prompts.
fn login(host: &Host, answer: &mut dyn FnMut(&str) -> Option<String>) -> Option<Outcome> {
    let mut dialogue = Dialogue::open(&host.socket()).unwrap();
    dialogue.send(&start("ferris", SERVICE, Some("192.0.2.7"))).unwrap();
    loop {
        match dialogue.receive::<AgentMessage>().unwrap() {
            AgentMessage::Ask { text, .. } => {
                let text = SecretText::new(answer(text.as_str())?);
                dialogue.send(&ModuleMessage::Answer { text }).unwrap();
            }
            AgentMessage::Tell { .. } => {}
            AgentMessage::Done { outcome } => return Some(outcome),
            AgentMessage::Account { .. } => panic!("no account phase was asked for"),
        }
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_code_of_a_device_at_the_server_lets_in_once() {
    let server = Server::new().start();
    let ferris = server.integration().enroll("ferris", "TOTP");
    let host = host(&server).start();
    let mut token = ferris.token.clone();
    let code = token.next_code();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&code]);
    assert_eq!(pam, Pam::Success, "{ran}");
    assert!(ran.text().contains(CODE), "{ran}");
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&code]);
    assert_eq!(pam, Pam::AuthErr, "used: {ran}");
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&token.wrong_code()]);
    assert_eq!(pam, Pam::AuthErr, "wrong: {ran}");
    // Neither the token nor a code is in the log, at its loudest.
    let log = host.log();
    assert!(!log.contains(&server.token) && !log.contains(&code), "{log}");
}

#[test]
fn sshd_asks_for_the_servers_code_after_the_password() {
    let server = Server::new().start();
    let mut token = server.integration().enroll("ferris", "TOTP").token;
    let host = Host::new().user("ferris").pam("sshd", stack::PASSWORD_THEN_CODE).asks(&server).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let code = token.next_code();
    let end = sshd.login("ferris").answer("Password: ", PASSWORD).answer(CODE, &code).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let end = sshd.login("ferris").answer("Password: ", PASSWORD).answer(CODE, &code).finish();
    assert_eq!(end.status, 255, "used: {end:?}");
}

#[test]
fn the_command_line_enrols_lists_renames_and_removes_at_the_server() {
    let server = Server::new().start();
    let host = host(&server).start();
    let mut token = host.enroll_with("ferris", &["totp", "--name", "phone"]);
    let listed = host.cli_json(&["list", "--user", "ferris"]);
    let device = listed[0]["device"].as_i64().unwrap().to_string();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["kind"]), (1, &json!("totp")));
    assert_eq!(server.integration().decide("ferris")["result"], 2);
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0, Pam::Success);
    host.cli(&["verify", "--user", "ferris", &token.next_code()]).succeed();
    host.cli(&["rename", "--user", "ferris", "--device", &device, "work"]).succeed();
    assert_eq!(host.cli_json(&["list", "--user", "ferris"])[0]["name"], "work");
    host.enroll("ferris", Factor::RecoveryCodes);
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&host.recovery_code("ferris")]).0, Pam::Success);
    let status = host.cli_json(&["status"]);
    assert_eq!((&status["mode"], &status["servers"][0]["url"]), (&json!("remote"), &json!(server.url)));
    host.cli(&["remove", "--user", "ferris", "--device", &device]).succeed();
    // What belongs to the server is said plainly.
    for words in [&["list"][..], &["import", "otpauth", "/etc/hostname"]] {
        let ran = host.cli(words).run();
        assert_ne!(ran.status, 0, "{ran}");
    }
}

#[test]
fn a_code_is_sent_by_mail_and_sent_again() {
    let sink = MailSink::start(MailSecurity::StartTls);
    let server = Server::new().config(&sink.config()).start();
    server.set_policy(&json!({"resend_after": 5}));
    let host = host(&server).start();
    let made = host.cli_json(&["enroll", "email", "john.doe@example.org", "--user", "ferris"]);
    let enrollment = made["device"].as_i64().unwrap().to_string();
    let first = sink.wait_for(1).code();
    host.cli(&["confirm", "--user", "ferris", "--device", &enrollment, &first]).succeed();
    let mut prompts = Vec::new();
    let outcome = login(&host, &mut |prompt| {
        prompts.push(prompt.to_owned());
        Some(match prompts.len() {
            1 => "1".to_owned(),
            2 => {
                let _first = sink.wait_for(2);
                thread::sleep(Duration::from_millis(6500));
                "r".to_owned()
            }
            _ => sink.wait_for(3).code(),
        })
    });
    assert_eq!(outcome, Some(Outcome::Verified), "{prompts:?}");
    assert_eq!(prompts[0], "1. e-mail to j***@example.org\nNumber, or code: ");
    assert_eq!(prompts[1..], ["Code sent to j***@example.org (r: send again): "; 2]);
    // Whoever hangs up gives the challenge up: the server says so in its audit.
    let left = login(&host, &mut |prompt| prompt.starts_with("1.").then(|| "1".to_owned()));
    assert_eq!(left, None);
    let cancelled = || server.cli(&["audit", "list", "--json"]).stdout.contains("cancelled");
    wait_until("the challenge was given up", cancelled);
}

#[test]
fn a_device_that_a_script_enrols_at_the_server_gets_its_name_when_it_is_confirmed() {
    let server = Server::new().start();
    let host = host(&server).start();
    let made = host.cli(&["enroll", "totp", "--user", "ferris", "--json", "--name", "phone"]).run();
    assert!(made.stderr.contains("add --name 'phone' to \"confirm\""), "{made}");
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    let device = made["device"].as_i64().unwrap().to_string();
    let code = Token::scan(made["provisioning_uri"].as_str().unwrap()).at_skew(1).next_code();
    let words = ["confirm", "--user", "ferris", "--device", &device, "--name", "phone", &code];
    assert_eq!(host.cli_json(&words)["name"], "phone");
    assert_eq!(host.cli_json(&["list", "--user", "ferris"])[0]["name"], "phone");
}

#[test]
fn a_code_comes_by_sms_from_the_enrolment_on() {
    let gateway = Gateway::start();
    let server = Server::new().config(&gateway.config()).start();
    let host = host(&server).start();
    let made = host.cli_json(&["enroll", "sms", "+491712345678", "--user", "ferris"]);
    let enrollment = made["device"].as_i64().unwrap().to_string();
    let first = gateway.wait_for(1).code();
    host.cli(&["confirm", "--user", "ferris", "--device", &enrollment, &first]).succeed();
    let mut prompts = Vec::new();
    let outcome = login(&host, &mut |prompt| {
        prompts.push(prompt.to_owned());
        Some(if prompts.len() == 1 { "1".to_owned() } else { gateway.wait_for(2).code() })
    });
    assert_eq!(outcome, Some(Outcome::Verified), "{prompts:?}");
    assert!(prompts[0].starts_with("1. SMS to ") && !prompts[0].contains("1712345"), "{prompts:?}");
}

#[test]
fn of_two_nodes_the_second_is_asked_as_soon_as_the_first_is_gone() {
    let cluster = PostgresCluster::start();
    let first = Server::new().on(Store::Postgres(&cluster)).start();
    let second = Server::new().beside(&first).start();
    let nodes = [&first, &second];
    // Whoever waited for the first would wait half of this.
    let plan = Host::new().user("ferris").pam(SERVICE, &stack::revealing("")).asks_all(&nodes);
    let host = plan.set("server.timeout", 30).start();
    let mut token = host.enroll_with("ferris", &["hotp"]);
    let mut passes = || host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0;
    let away = || host.cli_json(&["status"])["servers"].as_array().unwrap().clone();
    assert_eq!(passes(), Pam::Success);
    assert!(away().iter().all(|server| server["away"].is_null()), "{:?}", away());
    first.kill_9();
    let begun = Instant::now();
    assert_eq!(passes(), Pam::Success, "by the second node");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let known = away();
    assert!(known[0]["away"].is_string() && known[1]["away"].is_null(), "{known:?}");
    // Both gone: refused, and nobody passes because one of them once answered.
    second.kill_9();
    assert_eq!(passes(), Pam::AuthinfoUnavail);
}

#[test]
fn a_user_without_a_device_enrols_in_the_login() {
    let server = Server::new().start();
    let host = host(&server).set("policy.enroll_at_login", vec![SERVICE]).start();
    let mut token = None;
    let outcome = login(&host, &mut |prompt| {
        let uri = prompt.lines().find(|line| line.starts_with("otpauth://")).expect("a URI");
        assert!(prompt.contains('█') && prompt.ends_with("First code: "), "{prompt}");
        let phone: &mut Token = token.insert(Token::scan(uri).at_skew(1));
        Some(phone.next_code())
    });
    assert_eq!(outcome, Some(Outcome::Verified));
    let code = token.unwrap().next_code();
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&code]).0, Pam::Success, "from then on by its codes");
    assert_eq!(server.integration().decide("ferris")["result"], 2);
}

#[test]
fn without_a_server_logins_are_refused_and_the_log_says_why_and_the_prompt_does_not() {
    let server = Server::new().start();
    let mut token = server.integration().enroll("ferris", "HOTP").token;
    let host = host(&server).start();
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0, Pam::Success);
    server.stop();
    for _ in 0..2 {
        let begun = Instant::now();
        let (pam, ran) = host.authenticate(SERVICE, "ferris", &["123456"]);
        assert_eq!(pam, Pam::AuthinfoUnavail, "{ran}");
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!shown.contains("server") && !shown.contains("refused"), "{ran}");
    }
    let log = host.log();
    assert!(log.contains("server_away") && log.contains("Connection refused"), "{log}");
    server.start_again();
    wait_until("it is asked again", || {
        host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0 == Pam::Success
    });
}

#[test]
fn another_certificate_and_a_revoked_token_are_refused_even_where_fail_open_is_chosen() {
    let server = Server::new().start();
    let mut token = server.integration().enroll("ferris", "HOTP").token;
    let stranger = Authority::new();
    let other = std::fs::read_to_string(stranger.ca()).unwrap();
    let host = host(&server).set("server.fail_open_services", vec![SERVICE]).start();
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0, Pam::Success);
    let ca = host.read("/etc/oss2fa/server-ca.pem");
    let reload = || {
        let before = host.log().matches("the configuration was read again").count();
        host.with_agent(|agent| agent.signal(nix::sys::signal::Signal::SIGHUP));
        wait_until("reloaded", || host.log().matches("the configuration was read again").count() > before);
    };
    host.write("/etc/oss2fa/server-ca.pem", &other);
    reload();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &["123456"]);
    assert_eq!(pam, Pam::AuthinfoUnavail, "{ran}");
    assert!(host.log().contains("server_tls"));
    host.write("/etc/oss2fa/server-ca.pem", &ca);
    reload();
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0, Pam::Success);
    let integrations = server.cli_json(&["integration", "list"]);
    let name = integrations[0]["name"].as_str().unwrap_or_else(|| panic!("{integrations}"));
    let rotated = server.cli_json(&["integration", "rotate-token", name]);
    wait_until("the old token is worth nothing", || {
        host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0 == Pam::AuthinfoUnavail
    });
    assert!(host.log().contains("the server refused this host's token"));
    // A new one, taken over by a reload.
    host.write("/etc/oss2fa/server.token", rotated["token"].as_str().unwrap());
    reload();
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0, Pam::Success);
}

#[test]
fn row_14_no_proxy_of_the_environment_comes_between_host_and_server() {
    let server = Server::new().start();
    let mut token = server.integration().enroll("ferris", "HOTP").token;
    let host = host(&server).set("server.fail_open_services", vec![SERVICE]).without_agent();
    // Nobody listens at port 9: whoever asked there would find the server away, and let everybody pass.
    let proxies = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        .map(|name| format!("{name}=http://127.0.0.1:9"));
    let mut words = vec!["/usr/bin/env"];
    words.extend(proxies.iter().map(String::as_str));
    words.extend(["/usr/local/bin/oss2fa-agent", "serve"]);
    let mut agent = Agent::launch(host.world(), &words);
    agent.wait_until_ready(host.world());
    *host.agent() = Some(agent);
    assert_eq!(host.authenticate(SERVICE, "ferris", &["000000"]).0, Pam::AuthErr);
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&token.next_code()]).0, Pam::Success);
}

#[test]
fn a_stop_waits_for_the_login_under_way_and_then_ends() {
    let server = Server::new().start();
    let mut token = server.integration().enroll("ferris", "HOTP").token;
    let host = host(&server).start();
    let outcome = login(&host, &mut |_| {
        host.with_agent(|agent| agent.signal(nix::sys::signal::Signal::SIGTERM));
        Some(token.next_code())
    });
    assert_eq!(outcome, Some(Outcome::Verified));
    let ended = host.with_agent(|agent| agent.ended_within(Duration::from_secs(60)));
    assert_eq!(ended, Some(0));
}

#[test]
fn fail_open_lets_pass_only_without_a_server_and_the_server_hears_of_it() {
    let server = Server::new().start();
    let _ferris = server.integration().enroll("ferris", "TOTP");
    let host = host(&server).set("server.fail_open_services", vec![SERVICE]).start();
    assert_eq!(host.authenticate(SERVICE, "ferris", &["000000"]).0, Pam::AuthErr, "it is there");
    server.stop();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[]);
    assert_eq!(pam, Pam::Ignore, "{ran}");
    host.syslog().wait_for("event=fail_open user=\"ferris\"");
    server.start_again();
    let heard = || server.cli(&["audit", "list", "--json"]).stdout.matches("fail_open").count();
    wait_until("the server hears of it", || heard() > 0);
    // And the host hears that it has heard.
    wait_until("nothing waits to be told", || host.cli_json(&["status"])["waiting_events"] == 0);
    assert_eq!(host.authenticate(SERVICE, "ferris", &["000000"]).0, Pam::AuthErr, "it is back");
}

#[test]
fn an_offline_code_works_once_without_the_server_also_after_a_restart_and_not_when_it_is_revoked() {
    let server = Server::new().start();
    let _ferris = server.integration().enroll("ferris", "TOTP");
    let host = host(&server).start();
    let mut offline = host.enroll_with("ferris", &["offline", "--name", "desk"]);
    let listed = host.cli_json(&["list", "--user", "ferris"]);
    assert_eq!(listed[1]["shown_as"], "hotp, offline", "{listed}");
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&offline.next_code()]);
    assert_eq!(pam, Pam::AuthErr, "not while the server is there: {ran}");
    server.stop();
    let code = offline.next_code();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&code]);
    assert_eq!(pam, Pam::Success, "{ran}");
    assert!(ran.text().contains(OFFLINE), "{ran}");
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&code]).0, Pam::AuthErr, "used");
    host.restart_agent();
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&code]).0, Pam::AuthErr, "used, after a restart");
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&offline.next_code()]).0, Pam::Success);
    // The server is back, hears of it, and revokes the credential: gone at the next contact.
    server.start_again();
    let heard = || server.cli(&["audit", "list", "--json"]).stdout.contains("offline_code");
    wait_until("the server hears of it", heard);
    let credentials: Value = server.cli_json(&["client", "offline-credentials", "ferris"]);
    let pk = credentials[0]["pk"].as_i64().unwrap_or_else(|| panic!("{credentials}")).to_string();
    let revoked = server.cli(&["client", "revoke-offline", "ferris", &pk]);
    assert_eq!(revoked.status, 0, "{revoked}");
    host.with_agent(|agent| agent.signal(nix::sys::signal::Signal::SIGHUP));
    wait_until("it is gone here", || {
        host.cli_json(&["list", "--user", "ferris"]).as_array().unwrap().len() == 1
    });
    server.stop();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&offline.next_code()]);
    assert_eq!(pam, Pam::AuthinfoUnavail, "{ran}");
}

#[test]
fn a_break_glass_account_is_verified_here_online_or_not() {
    let server = Server::new().start();
    let _ferris = server.integration().enroll("ferris", "TOTP");
    let host = host(&server).user("root2").set("server.mode", "remote-then-local").start();
    let mut token = host.enroll_with("root2", &["hotp", "--local"]);
    assert_eq!(host.authenticate(SERVICE, "root2", &[&token.next_code()]).0, Pam::Success);
    server.stop();
    assert_eq!(host.authenticate(SERVICE, "root2", &[&token.next_code()]).0, Pam::Success);
    assert_eq!(host.authenticate(SERVICE, "ferris", &["123456"]).0, Pam::AuthinfoUnavail);
}
