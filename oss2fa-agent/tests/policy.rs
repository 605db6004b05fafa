//! Who must show a second factor where: every combination of facts, and what counts as an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use oss2fa_agent::policy::{
    Decision, Enrolled, Facts, Messages, Policy, Prompts, Rules, SelfService, SkipReason, Unenrolled,
    address_of, prompts,
};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::verify::UserVerification;

const ALL: [FactorKind; 3] = [FactorKind::Totp, FactorKind::Hotp, FactorKind::RecoveryCode];

fn rules(unenrolled: Unenrolled) -> Rules {
    Rules {
        unenrolled,
        required_groups: Vec::new(),
        exempt_groups: Vec::new(),
        skip_networks: Vec::new(),
        factors: ALL.to_vec(),
        messages: None,
        user_verification: UserVerification::NotAsked,
    }
}

fn policy(base: Rules, services: &[(&str, Rules)]) -> Policy {
    let services = services.iter().map(|(name, rules)| ((*name).to_owned(), rules.clone())).collect();
    Policy::new(base, services, BTreeSet::new(), 1)
}

/// One letter for each decision, in the order of the table below.
fn letter(decision: &Decision) -> char {
    match decision {
        Decision::MustProve => 'P',
        Decision::NotEnrolled => 'N',
        Decision::Skip(SkipReason::Unenrolled) => 'u',
        Decision::Skip(SkipReason::ExemptGroup(group)) => {
            assert_eq!(group, "robots");
            'e'
        }
        Decision::Skip(SkipReason::Network(network)) => {
            assert_eq!(network.to_string(), "192.0.2.0/24");
            'n'
        }
    }
}

#[test]
fn every_combination_of_facts_has_its_decision() {
    // Columns: never enrolled, no longer enrolled, enrolled.
    let table = [
        // unenrolled, in a required group, in an exempt group, from a skipped network
        (Unenrolled::Deny, false, false, false, "NNP"),
        (Unenrolled::Deny, false, true, false, "eee"),
        (Unenrolled::Deny, true, false, false, "NNP"),
        (Unenrolled::Deny, true, true, false, "NNP"),
        (Unenrolled::Skip, false, false, false, "uNP"),
        (Unenrolled::Skip, false, true, false, "eee"),
        (Unenrolled::Skip, true, false, false, "NNP"),
        (Unenrolled::Skip, true, true, false, "NNP"),
        (Unenrolled::Deny, false, false, true, "nnn"),
        (Unenrolled::Deny, false, true, true, "nnn"),
        (Unenrolled::Deny, true, false, true, "nnn"),
        (Unenrolled::Deny, true, true, true, "nnn"),
        (Unenrolled::Skip, false, false, true, "nnn"),
        (Unenrolled::Skip, false, true, true, "nnn"),
        (Unenrolled::Skip, true, false, true, "nnn"),
        (Unenrolled::Skip, true, true, true, "nnn"),
    ];
    for (unenrolled, required, exempt, near, expected) in table {
        let rules = Rules {
            skip_networks: vec!["198.51.100.0/24".parse().unwrap(), "192.0.2.0/24".parse().unwrap()],
            ..rules(unenrolled)
        };
        let address = if near { "192.0.2.255" } else { "192.0.3.0" };
        let decisions: String = [Enrolled::Never, Enrolled::NoLonger, Enrolled::Yes]
            .into_iter()
            .map(|enrolled| {
                letter(&rules.decide(&Facts {
                    enrolled,
                    required_by: required.then(|| "wheel".to_owned()),
                    exempt_by: exempt.then(|| "robots".to_owned()),
                    address: address_of(address),
                }))
            })
            .collect();
        assert_eq!(
            decisions, expected,
            "unenrolled={unenrolled:?} required={required} exempt={exempt} near={near}"
        );
    }
}

#[test]
fn without_an_address_no_network_is_skipped() {
    let rules = Rules { skip_networks: vec!["::/1".parse().unwrap()], ..rules(Unenrolled::Deny) };
    for rhost in ["", "localhost", "::1%lo"] {
        let facts =
            Facts { enrolled: Enrolled::Yes, required_by: None, exempt_by: None, address: address_of(rhost) };
        assert_eq!(rules.decide(&facts), Decision::MustProve, "{rhost}");
    }
}

#[test]
fn with_no_rules_of_their_own_all_services_are_alike() {
    let base = Rules { exempt_groups: vec!["robots".to_owned()], ..rules(Unenrolled::Skip) };
    let policy = policy(base.clone(), &[]);
    assert_eq!(policy.rules("sshd"), &base);
    assert_eq!(policy.rules(""), &base);
}

#[test]
fn a_service_that_nobody_thought_of_gets_the_strictest_of_everything() {
    let base = Rules {
        required_groups: vec!["wheel".to_owned()],
        exempt_groups: vec!["robots".to_owned()],
        skip_networks: vec!["192.0.2.0/24".parse().unwrap()],
        ..rules(Unenrolled::Skip)
    };
    let sshd = Rules { factors: vec![FactorKind::Totp, FactorKind::RecoveryCode], ..base.clone() };
    let su = Rules { required_groups: vec!["admins".to_owned()], ..base.clone() };
    let lenient = policy(base.clone(), &[("sshd", sshd.clone()), ("su", su.clone())]);
    assert_eq!(lenient.rules("sshd"), &sshd);
    assert_eq!(lenient.rules("su"), &su);
    let strictest = Rules {
        unenrolled: Unenrolled::Skip,
        required_groups: vec!["admins".to_owned(), "wheel".to_owned()],
        exempt_groups: Vec::new(),
        skip_networks: Vec::new(),
        factors: vec![FactorKind::Totp, FactorKind::RecoveryCode],
        messages: None,
        user_verification: UserVerification::NotAsked,
    };
    for unknown in ["login", "SSHD", "sshd ", "", "ssh"] {
        assert_eq!(lenient.rules(unknown), &strictest, "{unknown:?}");
    }
    // One `deny` anywhere, also in the base, is enough.
    let denied = Rules { unenrolled: Unenrolled::Deny, ..su.clone() };
    assert_eq!(policy(base, &[("su", denied)]).rules("login").unenrolled, Unenrolled::Deny);
    let denied = rules(Unenrolled::Deny);
    assert_eq!(policy(denied, &[("su", su)]).rules("login").unenrolled, Unenrolled::Deny);
}

#[test]
fn where_the_rules_share_no_factor_an_unknown_service_takes_none() {
    let only = |kind| Rules { factors: vec![kind], ..rules(Unenrolled::Skip) };
    let policy =
        policy(rules(Unenrolled::Skip), &[("sshd", only(FactorKind::Totp)), ("su", only(FactorKind::Hotp))]);
    assert!(policy.rules("login").factors.is_empty());
}

#[test]
fn login_shells_go_by_the_rules_of_their_program() {
    let own = |group: &str| Rules { required_groups: vec![group.to_owned()], ..rules(Unenrolled::Skip) };
    let policy = policy(
        rules(Unenrolled::Skip),
        &[("su", own("a")), ("sudo-i", own("b")), ("runuser", own("c")), ("login", own("d"))],
    );
    for (service, group) in
        [("su", "a"), ("su-l", "a"), ("sudo", "b"), ("sudo-i", "b"), ("runuser-l", "c"), ("login", "d")]
    {
        assert_eq!(policy.rules(service).required_groups, [group], "{service}");
    }
    assert_eq!(policy.rules("login-l").required_groups.len(), 4, "no program of that name is known");
}

#[test]
fn what_can_show_messages_is_known_and_can_be_overruled() {
    let default = rules(Unenrolled::Deny);
    assert_eq!(default.messages("openvpn"), Messages::Hide);
    assert_eq!(default.messages("sshd"), Messages::Show);
    let told = Rules { messages: Some(Messages::Show), ..default };
    assert_eq!(told.messages("openvpn"), Messages::Show);
}

#[test]
fn users_may_do_what_is_listed_and_nothing_else() {
    let allowed = BTreeSet::from([SelfService::List]);
    let policy = Policy::new(rules(Unenrolled::Deny), BTreeMap::new(), allowed, 1);
    assert!(policy.allows(SelfService::List));
    for verb in [SelfService::Enroll, SelfService::Remove, SelfService::Rename] {
        assert!(!policy.allows(verb), "{verb:?}");
    }
}

#[test]
fn only_what_is_strictly_an_address_is_one() {
    for not_an_address in [
        "",
        " ",
        "LOCAL",
        "localhost",
        "tty1",
        ":0",
        "1",
        "0",
        "192.0.2",
        "192.0.2.1.",
        "192.0.2.1.1",
        "192.0.2.256",
        "0177.0.0.1",
        "192.0.2.01",
        "0x7f.0.0.1",
        "2130706433",
        "127.1",
        "192.0.2.1:22",
        "192.0.2.1/32",
        "192.0.2.1%eth0",
        " 192.0.2.1",
        "192.0.2.1 ",
        "192.0.2.1\n",
        "192.0.2.1\0",
        "192.0.2.1,192.0.2.2",
        "fe80::1%eth0",
        "[2001:db8::1]",
        "[2001:db8::1]:22",
        "2001:db8::1::",
        "2001:db8:::1",
        "::ffff:192.0.2.01",
        "１９２.0.2.1",
    ] {
        assert_eq!(address_of(not_an_address), None, "{not_an_address:?}");
    }
    for (rhost, address) in [
        ("192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::1", "::1"),
        // In IPv6 clothes; the older form of it is not the same address.
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("::192.0.2.1", "::192.0.2.1"),
    ] {
        assert_eq!(address_of(rhost), Some(address.parse::<IpAddr>().unwrap()), "{rhost}");
    }
}

#[test]
fn an_ipv4_network_holds_for_addresses_in_ipv6_clothes() {
    let rules = Rules { skip_networks: vec!["192.0.2.0/24".parse().unwrap()], ..rules(Unenrolled::Deny) };
    let decide = |rhost| {
        let address = address_of(rhost);
        letter(&rules.decide(&Facts { enrolled: Enrolled::Yes, required_by: None, exempt_by: None, address }))
    };
    assert_eq!(decide("::ffff:192.0.2.9"), 'n');
    assert_eq!(decide("::ffff:192.0.3.9"), 'P');
    assert_eq!(decide("::192.0.2.9"), 'P');
}

#[test]
fn a_service_without_a_rule_verifies_users_where_any_rule_does() {
    let strict = Rules { user_verification: UserVerification::Required, ..rules(Unenrolled::Deny) };
    let policy = policy(rules(Unenrolled::Deny), &[("su", strict), ("sudo", rules(Unenrolled::Deny))]);
    let asked = |service| policy.rules(service).user_verification;
    assert_eq!(asked("su-l"), UserVerification::Required);
    assert_eq!(asked("sudo"), UserVerification::NotAsked);
    assert_eq!(asked("login"), UserVerification::Required);
}

#[test]
fn what_relabels_prompts_is_known() {
    for service in ["polkit-1", "kde", "swaylock", "xscreensaver"] {
        assert_eq!(prompts(service), Prompts::Relabelled, "{service}");
    }
    for service in ["sudo", "su", "login"] {
        assert_eq!(prompts(service), Prompts::AsTheyAre, "{service}");
    }
}
