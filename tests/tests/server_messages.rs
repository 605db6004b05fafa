//! Codes by mail and by SMS, through a real mail server and a gateway that may be away, slow or unwilling.

use std::thread;
use std::time::{Duration, Instant};

use oss2fa_tests::server::{Caller, Gateway, GatewayMode, MailMode, MailSecurity, MailSink, Server};
use serde_json::{Value, json};

const MAILBOX: &str = "john.doe@example.org";
const PHONE: &str = "+49 171 2345678";

/// Where no time-out is set one message may take ten seconds, and the peers take a minute.
const WITHOUT_THE_DEFAULT: Duration = Duration::from_secs(9);

fn address(written: &str) -> Value {
    json!({"address": written})
}

/// What may be seen of an address, in an answer that is about it.
fn shows_only(reply: &Value, masked: &str, whole: &str) {
    let text = reply.to_string();
    assert!(text.contains(masked), "{masked} in {text}");
    assert!(!text.contains(whole), "the whole address in {text}");
}

/// An enrolment by mail; gives the device.
fn enroll_by_mail(vpn: &Caller<'_>, sink: &MailSink, username: &str) -> i64 {
    let count = sink.mails().len();
    let enrollment = vpn.enrollment(username);
    let prepared = vpn.prepare(enrollment, "EMAIL", &address(MAILBOX)).expect(200).json();
    shows_only(&prepared, "j***@example.org", "john.doe@");
    let code = sink.wait_for(count + 1).code();
    assert!(!prepared.to_string().contains(&code), "the code went by mail alone");
    let _done = vpn.complete(enrollment, &code).expect(201);
    vpn.newest_device(username)
}

#[test]
fn a_code_comes_by_mail_over_starttls_and_over_tls() {
    for security in [MailSecurity::StartTls, MailSecurity::Tls] {
        let sink = MailSink::start(security);
        let server = Server::new().config(&sink.config()).config("[log]\nlevel = 'trace'\n").start();
        let vpn = server.integration();
        let device = enroll_by_mail(&vpn, &sink, "john");
        let decision = vpn.decide("john");
        shows_only(&decision, "j***@example.org", "john.doe@");

        let challenge = vpn.challenge_reply("john", device).expect(201).json();
        let mail = sink.wait_for(2);
        let code = mail.code();
        assert!(!challenge.to_string().contains(&code), "{challenge}");
        assert_eq!((mail.to.as_str(), mail.encrypted, mail.user.as_str()), (MAILBOX, true, "oss2fa"));
        assert_eq!((mail.subject.as_str(), mail.from.as_str()), ("Your code", "codes@example.org"));
        assert!(mail.html.contains(&code), "in both forms: {}", mail.html);
        for header in ["Date:", "Message-ID:", "MIME-Version:"] {
            assert!(mail.raw.contains(header), "{header} in\n{}", mail.raw);
        }
        let pk = challenge["pk"].as_i64().unwrap();
        vpn.answer(pk, &sink.mails()[0].code()).refused(403, "wrong_token");
        let _right = vpn.answer(pk, &code).expect(200);
        vpn.answer(pk, &code).refused(409, "challenge_over");

        let log = server.log();
        for secret in [&code, sink.password(), MAILBOX] {
            assert!(!log.contains(secret), "{secret} in the log:\n{log}");
        }
    }
}

#[test]
fn a_code_of_one_challenge_is_wrong_at_another() {
    let sink = MailSink::start(MailSecurity::Plain);
    let server = Server::new().config(&sink.config()).start();
    let vpn = server.integration();
    let device = enroll_by_mail(&vpn, &sink, "john");
    let (one, other) = (vpn.challenge("john", device), vpn.challenge("john", device));
    let code = sink.wait_for(2).code();
    let _waited = sink.wait_for(3);
    vpn.answer(other, &code).refused(403, "wrong_token");
    let _right = vpn.answer(one, &code).expect(200);
}

#[test]
fn a_mail_server_that_does_not_take_it() {
    let sink = MailSink::start(MailSecurity::Plain);
    let server = Server::new().config(&sink.config()).config("[smtp]\ntimeout = 3\n").start();
    let vpn = server.integration();
    let device = enroll_by_mail(&vpn, &sink, "john");
    for mode in [MailMode::Refuse, MailMode::Busy, MailMode::Drop, MailMode::Slow(60)] {
        sink.mode(mode);
        let begun = Instant::now();
        let reply = vpn.challenge_reply("john", device);
        assert!(
            (500..600).contains(&reply.status) && reply.code() == "message_not_sent",
            "{mode:?}: {reply}"
        );
        assert!(begun.elapsed() < WITHOUT_THE_DEFAULT, "the time-out of [smtp] is 3: {:?}", begun.elapsed());
        assert!(!reply.text().contains(MAILBOX), "{reply}");
    }
    sink.mode(MailMode::Accept);
    let challenge = vpn.challenge("john", device);
    let last = sink.mails().len();
    let _right = vpn.answer(challenge, &sink.wait_for(last).code()).expect(200);
    assert!(server.log().contains("550"), "the operator learns why:\n{}", server.log());
}

#[test]
fn whoever_begins_anew_gets_no_messages_without_end() {
    let sink = MailSink::start(MailSecurity::Plain);
    let server = Server::new().config(&sink.config()).start();
    let vpn = server.integration();
    let device = enroll_by_mail(&vpn, &sink, "john");
    let before = sink.mails().len();
    for _ in 0..6 {
        let _opened = vpn.challenge_reply("john", device).expect(201);
    }
    let last = vpn.challenge_reply("john", device);
    last.refused(429, "no_more_messages");
    assert!(last.header("Retry-After").is_some(), "{last}");
    let _last = sink.wait_for(before + 6);
    assert_eq!(sink.mails().len(), before + 6);
}

#[test]
fn a_retry_sends_no_second_message_where_the_first_may_have_arrived() {
    let sink = MailSink::start(MailSecurity::Plain);
    let server = Server::new().config(&sink.config()).config("[smtp]\ntimeout = 3\n").start();
    let vpn = server.integration();
    let device = enroll_by_mail(&vpn, &sink, "john");
    sink.mode(MailMode::Slow(60));
    let keyed = vpn.clone().header("Idempotency-Key: once");
    let body = serde_json::json!({"username": "john", "device_pk": device});
    let first = keyed.post("/integrations/challenges", &body);
    first.refused(502, "message_not_sent");
    let again = keyed.post("/integrations/challenges", &body);
    assert_eq!((again.status, again.text()), (first.status, first.text()), "{again}");
    assert!(again.header("Idempotency-Replayed").is_some(), "{again}");
    let listed = server.cli(&["audit", "list", "--client", "john", "--event", "challenged", "--json"]);
    assert_eq!(listed.stdout.lines().count(), 1, "{listed}");
}

#[test]
fn a_mail_server_that_cannot_be_trusted_or_reached() {
    let sink = MailSink::start(MailSecurity::StartTls);
    let other = MailSink::start(MailSecurity::StartTls);
    // The authority of another one.
    let trusted = other.config().lines().find(|line| line.starts_with("ca_file")).unwrap().to_owned();
    let server = Server::new()
        .config(&sink.config())
        .config(&format!(
            "[smtp]
{trusted}
"
        ))
        .start();
    let vpn = server.integration();
    let refused = vpn.prepare(vpn.enrollment("john"), "EMAIL", &address(MAILBOX));
    assert!((500..600).contains(&refused.status) && refused.code() == "message_not_sent", "{refused}");
    assert_eq!(sink.mails().len(), 0);
    let gone = MailSink::start(MailSecurity::Plain).config();
    let server = Server::new().config(&gone).start();
    let vpn = server.integration();
    let refused = vpn.prepare(vpn.enrollment("john"), "EMAIL", &address(MAILBOX));
    assert!((500..600).contains(&refused.status) && refused.code() == "message_not_sent", "{refused}");
}

#[test]
fn without_the_sections_nobody_enrols_by_message() {
    let server = Server::new().start();
    let vpn = server.integration();
    for (kind, written) in [("EMAIL", MAILBOX), ("SMS", PHONE)] {
        let refused = vpn.prepare(vpn.enrollment("john"), kind, &address(written));
        assert!(refused.status >= 400 && !refused.code().is_empty(), "{refused}");
    }
}

#[test]
fn addresses_that_are_traps_and_domains_that_policy_does_not_take() {
    let sink = MailSink::start(MailSecurity::Plain);
    let gateway = Gateway::start();
    let server = Server::new().config(&sink.config()).config(&gateway.config()).start();
    let vpn = server.integration();
    server.set_policy(&json!({"email_domains": ["example.org"]}));
    let enrollment = vpn.enrollment("john");
    for (kind, written) in [
        ("EMAIL", "john@example.com"),
        ("EMAIL", "john@sub.example.org"),
        ("EMAIL", "john@example.org\r\nBcc: eve@example.org"),
        ("EMAIL", "john"),
        ("SMS", "0171 2345678"),
        ("SMS", "+49 171 2345678\",\"to\":\"+1"),
    ] {
        let refused = vpn.prepare(enrollment, kind, &address(written));
        assert!(matches!(refused.status, 400 | 422), "{written:?}: {refused}");
    }
    assert_eq!((sink.mails().len(), gateway.received().len()), (0, 0));
    let _taken = vpn.prepare(enrollment, "EMAIL", &address("John@EXAMPLE.org")).expect(200);
}

#[test]
fn a_code_comes_by_sms() {
    for gateway in [Gateway::start(), Gateway::start_tls()] {
        let server = Server::new().config(&gateway.config()).config("[log]\nlevel = 'trace'\n").start();
        let vpn = server.integration();
        let enrollment = vpn.enrollment("john");
        let prepared = vpn.prepare(enrollment, "SMS", &address(PHONE)).expect(200).json();
        shows_only(&prepared, "+49", "1712345678");
        let sent = gateway.wait_for(1);
        assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/send"));
        assert_eq!(sent.headers["authorization"], format!("Bearer {}", gateway.secret()));
        assert_eq!(sent.json()["to"], "+491712345678");
        let _done = vpn.complete(enrollment, &sent.code()).expect(201);
        let device = vpn.newest_device("john");
        let challenge = vpn.challenge("john", device);
        let code = gateway.wait_for(2).code();
        let _right = vpn.answer(challenge, &code).expect(200);
        let log = server.log();
        for secret in [&code, gateway.secret(), "1712345678"] {
            assert!(!log.contains(secret), "{secret} in the log:\n{log}");
        }
    }
}

#[test]
fn a_gateway_that_does_not_take_it() {
    let gateway = Gateway::start();
    let server = Server::new().config(&gateway.config()).config("[sms]\ntimeout = 3\n").start();
    // Seven messages to one number.
    server.set_policy(&json!({"sends": 4}));
    let vpn = server.integration();
    for mode in [
        GatewayMode::AcceptInVain,
        GatewayMode::Refuse(401),
        GatewayMode::Refuse(500),
        GatewayMode::Slow(60),
        GatewayMode::Drop,
        GatewayMode::Redirect,
    ] {
        gateway.mode(mode);
        let begun = Instant::now();
        let reply = vpn.prepare(vpn.enrollment("john"), "SMS", &address(PHONE));
        assert!(
            (500..600).contains(&reply.status) && reply.code() == "message_not_sent",
            "{mode:?}: {reply}"
        );
        assert!(begun.elapsed() < WITHOUT_THE_DEFAULT, "the time-out of [sms] is 3: {:?}", begun.elapsed());
    }
    let elsewhere = gateway.received().iter().any(|sent| sent.path == "/elsewhere");
    assert!(!elsewhere, "the secret and the code follow no redirection");
    gateway.mode(GatewayMode::Accept);
    let _sent = vpn.prepare(vpn.enrollment("john"), "SMS", &address(PHONE)).expect(200);
}

#[test]
fn a_form_a_query_and_what_must_be_escaped_in_them() {
    let gateway = Gateway::start();
    let config = format!(
        "[sms]\nmethod = 'GET'\nurl = '{}/send?to={{phone}}&text={{text}}'\ntimeout = 30\n",
        gateway.url()
    );
    let server = Server::new().config(&config).start();
    server.set_policy(&json!({"issuer": "A & B=C \"D\""}));
    let vpn = server.integration();
    let _sent = vpn.prepare(vpn.enrollment("john"), "SMS", &address(PHONE)).expect(200);
    let sent = gateway.wait_for(1);
    assert_eq!((sent.method.as_str(), sent.body.as_str()), ("GET", ""));
    assert!(sent.path.starts_with("/send?to=%2B491712345678&text="), "{}", sent.path);
    assert_eq!(sent.path.matches('&').count(), 1, "{}", sent.path);
    assert!(sent.path.contains("%26"), "{}", sent.path);
}

#[test]
fn another_message_comes_not_too_soon_and_not_too_often() {
    let sink = MailSink::start(MailSecurity::Plain);
    let server = Server::new().config(&sink.config()).start();
    let vpn = server.integration();
    let device = enroll_by_mail(&vpn, &sink, "john");
    server.set_policy(&json!({"resend_after": 5, "sends": 2}));
    let challenge = vpn.challenge("john", device);
    let again = || vpn.post(&format!("/integrations/challenges/{challenge}/resend"), &Value::Null);
    let early = again();
    assert_eq!(early.status, 429, "{early}");
    let wait = early.json()["error"]["retry_after"].as_u64().unwrap();
    assert!((1..=5).contains(&wait), "{early}");
    thread::sleep(Duration::from_secs(wait + 1));
    let resent = again();
    assert!(resent.status < 300, "{resent}");
    let (first, second) = (sink.wait_for(2).code(), sink.wait_for(3).code());
    thread::sleep(Duration::from_secs(6));
    let last = again();
    assert!((400..500).contains(&last.status), "two messages are the most: {last}");
    if first != second {
        vpn.answer(challenge, &first).refused(403, "wrong_token");
    }
    let _right = vpn.answer(challenge, &second).expect(200);
    assert_eq!(sink.mails().len(), 3);
    let totp = vpn.enroll("john", "HOTP");
    let counted = vpn.challenge("john", totp.device);
    let nothing = vpn.post(&format!("/integrations/challenges/{counted}/resend"), &Value::Null);
    assert!((400..500).contains(&nothing.status), "nothing was sent: {nothing}");
}

#[test]
fn addresses_are_masked_wherever_they_are_listed() {
    let sink = MailSink::start(MailSecurity::Plain);
    let server = Server::new().config(&sink.config()).start();
    let vpn = server.integration();
    let _device = enroll_by_mail(&vpn, &sink, "john");
    let clients = vpn.get("/integrations/clients").expect(200).json();
    let client = clients["results"][0]["pk"].as_i64().unwrap();
    let listed = vpn.get(&format!("/integrations/clients/{client}/devices")).expect(200).json();
    shows_only(&listed, "j***@example.org", "john.doe@");
}
