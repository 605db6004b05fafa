//! The outcome table through real libpam: each row as the code that a program gets.

use oss2fa_tests::Factor::{Hotp, RecoveryCodes, Totp};
use oss2fa_tests::{Generator, Host, PASSWORD, Pam, stack};

const SERVICE: &str = "shown";

#[test]
fn right_codes_of_every_kind_are_success_and_each_works_once() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .enrolled(RecoveryCodes)
        .user("gopher")
        .enrolled(Hotp)
        .pam(SERVICE, &stack::revealing(""))
        .start();
    for (user, code) in [
        ("ferris", host.code("ferris")),
        ("ferris", host.recovery_code("ferris")),
        ("gopher", host.code("gopher")),
    ] {
        let (first, ran) = host.authenticate(SERVICE, user, &[&code]);
        assert_eq!(first, Pam::Success, "{ran}");
        let (second, ran) = host.authenticate(SERVICE, user, &[&code]);
        assert_eq!(second, Pam::AuthErr, "{ran}");
    }
}

#[test]
fn parameters_of_every_kind_work_with_both_generators() {
    let host = Host::new().user("ferris").pam(SERVICE, &stack::revealing("")).start();
    for words in [
        &["totp", "--algorithm", "sha256", "--digits", "8", "--period", "60"][..],
        &["totp", "--algorithm", "sha512", "--digits", "7"],
        &["totp", "--algorithm", "sha1", "--period", "15"],
        &["hotp", "--digits", "8"],
    ] {
        let mut token = host.enroll_with("ferris", words);
        for generator in [Generator::Oathtool, Generator::PyOtp] {
            token = token.with(generator);
            let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&token.next_code()]);
            assert_eq!(pam, Pam::Success, "{words:?} {generator:?} {ran}");
        }
    }
}

#[test]
fn hotp_looks_ahead_by_ten_and_not_further() {
    let host = Host::new().user("ferris").enrolled(Hotp).pam(SERVICE, &stack::revealing("")).start();
    let token = host.token("ferris");
    let next = token.position;
    let (ahead, ran) = host.authenticate(SERVICE, "ferris", &[&token.code_at(next + 10)]);
    assert_eq!(ahead, Pam::Success, "{ran}");
    for (position, why) in [(next + 10, "the same"), (next + 9, "passed over"), (next + 22, "too far")] {
        let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&token.code_at(position)]);
        assert_eq!(pam, Pam::AuthErr, "{why}: {ran}");
    }
    let (ahead, ran) = host.authenticate(SERVICE, "ferris", &[&token.code_at(next + 11)]);
    assert_eq!(ahead, Pam::Success, "{ran}");
}

#[test]
fn wrong_empty_and_odd_answers_are_one_refusal_with_the_same_words() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .pam(SERVICE, &stack::revealing(""))
        .set("locks.free_attempts", 100)
        .start();
    let used = host.code("ferris");
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&used]).0, Pam::Success);
    let long = "9".repeat(500);
    let mut words = Vec::new();
    for answer in [
        &host.wrong_code("ferris"),
        &used,
        "",
        "   ",
        "abcdef",
        "12345",
        "1234567",
        "-1",
        "0x1F4",
        "１２３４５６",
        "' OR 1=1 --",
        "ABCD-EFGH-JKLM",
        &long,
    ] {
        let (pam, ran) = host.authenticate(SERVICE, "ferris", &[answer]);
        assert_eq!(pam, Pam::AuthErr, "{answer:?}: {ran}");
        words.push(ran.text());
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:#?}");
}

#[test]
fn blanks_around_and_inside_a_code_do_not_matter() {
    let host = Host::new().user("ferris").enrolled(Totp).pam(SERVICE, &stack::revealing("")).start();
    let code = host.code("ferris");
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&format!("  {code} ")]);
    assert_eq!(pam, Pam::Success, "{ran}");
}

#[test]
fn too_many_tries_are_maxtries_and_pass_by_themselves() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .pam(SERVICE, &stack::revealing(""))
        .set("locks.free_attempts", 2)
        .set("locks.first_pause", 10)
        .set("locks.longest_pause", 10)
        .start();
    let wrong = host.wrong_code("ferris");
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&wrong]).0, Pam::AuthErr);
    assert_eq!(host.authenticate(SERVICE, "ferris", &[&wrong]).0, Pam::AuthErr);
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&host.code("ferris")]);
    assert_eq!(pam, Pam::MaxTries, "{ran}");
    std::thread::sleep(std::time::Duration::from_millis(11_100));
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&host.code("ferris")]);
    assert_eq!(pam, Pam::Success, "{ran}");
}

#[test]
fn a_user_that_the_host_does_not_know_is_asked_all_the_same() {
    let host = Host::new().user("ferris").enrolled(Totp).pam(SERVICE, &stack::revealing("")).start();
    let (pam, unknown) = host.authenticate(SERVICE, "nobody-here", &["123456"]);
    assert_eq!(pam, Pam::UserUnknown, "{unknown}");
    let (_, known) = host.authenticate(SERVICE, "ferris", &[&host.wrong_code("ferris")]);
    let shown = |text: String| text.split("pamtester: ").next().map(str::to_owned);
    assert_eq!(shown(unknown.text()), shown(known.text()), "a stranger cannot tell which names exist");
}

#[test]
fn not_enrolled_is_refused_by_default_and_told_how_to_enrol() {
    let host = Host::new().user("ferris").pam(SERVICE, &stack::revealing("")).start();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &["123456"]);
    assert_eq!(pam, Pam::AuthErr, "{ran}");
    assert!(ran.text().contains("oss2fa-agent enroll totp"), "{ran}");
}

#[test]
fn not_enrolled_is_ignore_where_policy_says_skip_and_nowhere_else() {
    let host = Host::new()
        .user("ferris")
        .user("gopher")
        .enrolled(Totp)
        .pam(SERVICE, &stack::revealing(""))
        .set("policy.unenrolled", "skip")
        .start();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[]);
    assert_eq!(pam, Pam::Ignore, "{ran}");
    host.syslog().wait_for("event=skipped user=\"ferris\"");
    assert_eq!(host.authenticate(SERVICE, "gopher", &["123456"]).0, Pam::AuthErr);
    // Deleting something does not turn the second factor off.
    let device = host.token("gopher").device.to_string();
    host.cli(&["remove", "--user", "gopher", "--device", &device]).succeed();
    let (pam, ran) = host.authenticate(SERVICE, "gopher", &["123456"]);
    assert_eq!(pam, Pam::AuthErr, "{ran}");
    host.cli(&["remove", "--user", "gopher", "--all", "--forget"]).succeed();
    assert_eq!(host.authenticate(SERVICE, "gopher", &[]).0, Pam::Ignore);
}

#[test]
fn exempt_groups_are_not_asked_and_required_groups_win() {
    let host = Host::new()
        .user("robot")
        .in_group("robots")
        .user("admin")
        .in_group("robots")
        .in_group("admins")
        .user("enrolled")
        .in_group("robots")
        .enrolled(Totp)
        .pam(SERVICE, &stack::revealing_each("", "enforce"))
        .set("policy.exempt_groups", vec!["robots"])
        .set("policy.required_groups", vec!["admins"])
        .start();
    assert_eq!(host.authenticate(SERVICE, "robot", &[]).0, Pam::Ignore);
    host.syslog().wait_for("event=skipped user=\"robot\"");
    host.syslog().wait_for("member of the exempt group robots");
    assert_eq!(host.authenticate(SERVICE, "enrolled", &[]).0, Pam::Ignore);
    assert_eq!(host.authenticate(SERVICE, "admin", &["1"]).0, Pam::AuthErr);
    let account = |user: &str| host.pamtester(SERVICE, user, &[], &["acct_mgmt"], &[]).run().0;
    assert_eq!(account("robot"), Pam::Success);
    assert_eq!(account("admin"), Pam::PermDenied);
}

#[test]
fn required_groups_turn_skip_into_deny_for_their_members() {
    let host = Host::new()
        .user("admin")
        .in_group("admins")
        .user("ferris")
        .pam(SERVICE, &stack::revealing(""))
        .set("policy.unenrolled", "skip")
        .set("policy.required_groups", vec!["admins"])
        .start();
    assert_eq!(host.authenticate(SERVICE, "ferris", &[]).0, Pam::Ignore);
    let (pam, ran) = host.authenticate(SERVICE, "admin", &["1"]);
    assert_eq!(pam, Pam::AuthErr, "{ran}");
}

#[test]
fn rules_by_service_and_an_unknown_service_gets_the_strictest() {
    let host = Host::new()
        .user("ferris")
        .pam("su", &stack::revealing(""))
        .pam("su-l", &stack::revealing(""))
        .pam("other-door", &stack::revealing(""))
        .set("policy.unenrolled", "skip")
        .set("policy.service.su.unenrolled", "skip")
        .set("policy.service.sshd.unenrolled", "deny")
        .start();
    assert_eq!(host.authenticate("su", "ferris", &[]).0, Pam::Ignore);
    assert_eq!(host.authenticate("su-l", "ferris", &[]).0, Pam::Ignore, "su-l goes by the rule of su");
    assert_eq!(host.authenticate("other-door", "ferris", &["1"]).0, Pam::AuthErr);
}

#[test]
fn a_rule_may_leave_out_kinds_of_factor() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Hotp)
        .enrolled(RecoveryCodes)
        .pam("strict", &stack::revealing(""))
        .set("policy.service.strict.factors", vec!["hotp"])
        .start();
    let recovery = host.recovery_code("ferris");
    assert_eq!(host.authenticate("strict", "ferris", &[&recovery]).0, Pam::AuthErr);
    let (pam, ran) = host.authenticate("strict", "ferris", &[&host.code("ferris")]);
    assert_eq!(pam, Pam::Success, "{ran}");
}

#[test]
fn unknown_and_bad_arguments_are_service_err() {
    let host = Host::new().user("ferris").enrolled(Totp).start();
    for arguments in
        ["nullok", "socket=relative", "timeout=0", "timeout=abc", "echo=1", "enforce", "debug debug"]
    {
        host.write("/etc/pam.d/bad", &stack::revealing_each(arguments, "enforce=1"));
        let (pam, ran) = host.authenticate("bad", "ferris", &[&host.wrong_code("ferris")]);
        assert_eq!(pam, Pam::ServiceErr, "{arguments}: {ran}");
        let (pam, ran) = host.pamtester("bad", "ferris", &[], &["acct_mgmt"], &[]).run();
        assert_eq!(pam, Pam::ServiceErr, "{arguments}: {ran}");
    }
}

#[test]
fn arguments_do_what_they_say() {
    let host = Host::new().user("ferris").enrolled(Totp).start();
    host.write("/etc/pam.d/words", &stack::revealing("[prompt=Token please: ] quiet timeout=30"));
    let (pam, ran) = host.authenticate("words", "ferris", &["000"]);
    assert_eq!(pam, Pam::AuthErr);
    assert!(ran.text().contains("Token please: "), "{ran}");
    assert!(!ran.text().contains("not accepted"), "quiet: {ran}");
    let mut hidden = host.pamtester("words", "ferris", &[], &["authenticate"], &[]).program().terminal();
    let _before = hidden.expect("Token please: ");
    hidden.send("4711");
    assert!(!hidden.finish().rest.contains("4711"), "what is typed is not shown");
    host.write("/etc/pam.d/echo", &stack::revealing("echo"));
    let mut shown = host.pamtester("echo", "ferris", &[], &["authenticate"], &[]).program().terminal();
    let _before = shown.expect("code: ");
    shown.send("4711");
    assert!(shown.finish().rest.contains("4711"), "what is typed is shown");
}

#[test]
fn no_answer_is_conv_err() {
    let host = Host::new().user("ferris").enrolled(Totp).pam(SERVICE, &stack::revealing("")).start();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[]);
    assert_eq!(pam, Pam::ConvErr, "{ran}");
    let mut terminal = host.pamtester(SERVICE, "ferris", &[], &["authenticate"], &[]).program().terminal();
    let _before = terminal.expect("code: ");
    terminal.type_keys("\u{4}");
    let end = terminal.finish();
    assert_eq!(Pam::of(&end.rest), Pam::ConvErr, "Ctrl-D: {end:?}");
}

#[test]
fn setcred_is_success_and_account_has_no_opinion_unless_enforced() {
    let host = Host::new().user("ferris").enrolled(Totp).pam(SERVICE, &stack::revealing("")).start();
    host.write("/etc/pam.d/bare", "auth required pam_oss2fa.so\naccount required pam_oss2fa.so\n");
    let (pam, ran) = host.pamtester("bare", "ferris", &[], &["setcred"], &[]).run();
    assert_eq!(pam, Pam::Success, "{ran}");
    let (pam, ran) = host.pamtester(SERVICE, "ferris", &[], &["acct_mgmt"], &[]).run();
    assert_eq!(pam, Pam::Ignore, "{ran}");
}

#[test]
fn enforce_wants_a_second_factor_of_this_very_transaction() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .user("gopher")
        .pam(SERVICE, &stack::revealing_each("", "enforce"))
        .start();
    let (pam, ran) = host.pamtester(SERVICE, "ferris", &[], &["acct_mgmt"], &[]).run();
    assert_eq!(pam, Pam::PermDenied, "{ran}");
    assert!(ran.text().contains("showed no second factor"), "{ran}");
    let both = ["authenticate", "acct_mgmt"];
    let (pam, ran) = host.pamtester(SERVICE, "ferris", &[], &both, &[&host.code("ferris")]).run();
    assert_eq!(pam, Pam::Success, "{ran}");
    assert!(ran.text().contains("account management done"), "{ran}");
    // One transaction does not vouch for the next.
    assert_eq!(host.pamtester(SERVICE, "ferris", &[], &["acct_mgmt"], &[]).run().0, Pam::PermDenied);
    // Somebody who never enrolled must have one, too: the policy says deny.
    assert_eq!(host.pamtester(SERVICE, "gopher", &[], &["acct_mgmt"], &[]).run().0, Pam::PermDenied);
    assert_eq!(host.pamtester(SERVICE, "nobody-here", &[], &["acct_mgmt"], &[]).run().0, Pam::UserUnknown);
}

#[test]
fn enforce_asks_for_nothing_where_policy_does_not() {
    let host = Host::new()
        .user("ferris")
        .pam(SERVICE, &stack::revealing_each("", "enforce"))
        .set("policy.unenrolled", "skip")
        .start();
    let (pam, ran) = host.pamtester(SERVICE, "ferris", &[], &["acct_mgmt"], &[]).run();
    assert_eq!(pam, Pam::Success, "{ran}");
}

#[test]
fn items_are_all_optional_and_odd_ones_do_no_harm() {
    let host = Host::new().user("ferris").enrolled(Hotp).pam(SERVICE, &stack::revealing("")).start();
    let long = format!("rhost={}", "x".repeat(4000));
    for items in [
        &[][..],
        &["rhost=192.0.2.7", "tty=/dev/pts/3", "ruser=somebody"],
        &["rhost=", "tty=", "ruser="],
        &["rhost=\u{1b}[2Jevil\nline", "tty=\u{202e}"],
        &[&long],
    ] {
        let code = host.code("ferris");
        let (pam, ran) = host.pamtester(SERVICE, "ferris", items, &["authenticate"], &[&code]).run();
        assert_eq!(pam, Pam::Success, "{items:?} {ran}");
    }
    assert!(!host.syslog().text().contains('\u{1b}'), "no control character reaches the log");
}

#[test]
fn password_and_code_in_one_stack() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("both", stack::PASSWORD_THEN_CODE).start();
    let (pam, ran) = host.authenticate("both", "ferris", &[PASSWORD, &host.code("ferris")]);
    assert_eq!(pam, Pam::Success, "{ran}");
    let (pam, _) = host.authenticate("both", "ferris", &["wrong", &host.code("ferris")]);
    assert_eq!(pam, Pam::AuthErr);
    let (pam, _) = host.authenticate("both", "ferris", &[PASSWORD, &host.wrong_code("ferris")]);
    assert_eq!(pam, Pam::AuthErr);
}
