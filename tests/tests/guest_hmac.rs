//! A YubiKey's challenge-response in logins through our module and our agent, in a guest with a real kernel: over hidraw,
//! with a real sudo, once Yubico's own program has vouched for the key in the same boot.

use oss2fa_tests::{Guest, GuestRan};

/// The known answer of HMAC-SHA1 for the key's secret (FIPS 198 example 2).
const KNOWN_ANSWER: &str = "0922d3405faa3d194f82a45830737d5cc6c75d24";

/// An agent that runs as its own user, and stacks that use it.
const AGENT: &str = r#"
    useradd -r oss2fa; useradd -m ferris; useradd -m corro
    mkdir -p /etc/oss2fa
    printf '[agent]\nlogin_timeout = 60\n[audit]\nsyslog = false\n' >/etc/oss2fa/agent.toml
    for service in sudo hello; do
        printf 'auth required %s\naccount required pam_permit.so\nsession required pam_permit.so\n' \
            "$target/release/libpam_oss2fa.so" >/etc/pam.d/$service
    done
    printf 'ferris ALL=(ALL) ALL\n' >/etc/sudoers.d/test
    "$target/release/oss2fa-agent" serve >/run/agent.log 2>&1 </dev/null &
    wait_until "$target/release/oss2fa-agent" status
"#;

/// Words for the steps. Without udevd a key's files are root's, which the agent is not.
const WORDS: &str = r#"
    agent() { "$target/release/oss2fa-agent" "$@"; }
    let_the_agent_at_keys() { chown oss2fa /dev/hidraw*; }
    # Waiting that ends in nothing is short. The last one said is in force.
    patience() {
        sed -i "s/^login_timeout = .*/login_timeout = $1/" /etc/oss2fa/agent.toml
        hang_up "$(pidof oss2fa-agent)"
    }
    outcome() { local status=0; "$@" || status=$?; echo "status $status"; }
    as_ferris() { setpriv --reuid ferris --regid ferris --init-groups "$@"; }
    pam() { outcome pamtester hello "$1" authenticate 2>&1; }
"#;

fn words(script: &str) -> String {
    format!("{WORDS}{script}")
}

fn guest() -> Guest {
    Guest::new()
        .step("a key is plugged in", "make_key first; plug_in first; ykinfo -s")
        .step("ykchalresp has the answer of slot 2", "ykchalresp -2 'Sample #2'")
        .step("an agent runs", &words(&format!("{AGENT} let_the_agent_at_keys")))
        .step("slot 2 is enrolled", &words("agent enroll yubikey-hmac --slot 2 --user ferris 2>&1"))
        .step("sudo opens without a touch, thrice", &words("for n in 1 2 3; do echo | as_ferris sudo -S -k id -un; done"))
        .step("it still answers others", "ykchalresp -2 'Sample #2'")
        .step("the key is pulled out", &words("pull_out first; patience 5; echo | outcome as_ferris sudo -S -k id -un; patience 60"))
        .step(
            "it is plugged in while somebody waits",
            &words(
                "pam ferris >/tmp/said & waiting=$!
                 sleep 1; plug_in first; let_the_agent_at_keys; wait $waiting; cat /tmp/said",
            ),
        )
        .step(
            "a foreign key",
            &words("pull_out first; make_key second; plug_in second; let_the_agent_at_keys; patience 5; pam ferris; patience 60; pull_out second"),
        )
        .step(
            "slot 1 is enrolled with touches",
            &words(
                "plug_in first; let_the_agent_at_keys
                 agent enroll yubikey-hmac --slot 1 --user corro >/tmp/said 2>&1 & waiting=$!
                 wait_until grep 'Touch it now' /tmp/said; touch_key first; wait $waiting; let_go first; cat /tmp/said",
            ),
        )
        .step("slot 1 with touches", &words("touch_key first; pam corro; let_go first"))
        .step("slot 1 without a touch", &words("patience 5; pam corro; patience 60"))
        .step("slot 1 with touches again", &words("touch_key first; pam corro; let_go first"))
        .step("what the agent has written down", &words("agent audit 2>&1; cat /run/agent.log"))
}

fn said<'a>(ran: &'a GuestRan, step: &str) -> &'a str {
    &ran.of(step).stdout
}

#[test]
fn a_yubikey_opens_sudo_in_a_guest() {
    let ran = guest().run();
    println!("{ran}");
    ran.all_succeeded();
    for step in ["ykchalresp has the answer of slot 2", "it still answers others"] {
        assert_eq!(said(&ran, step).trim(), KNOWN_ANSWER, "{step}");
    }
    let enrolled = said(&ran, "slot 2 is enrolled");
    assert!(enrolled.contains("This slot answers without a touch"), "{enrolled}");
    assert!(enrolled.contains("Done: device 1 (yubikey_hmac) of ferris"), "{enrolled}");
    assert_eq!(said(&ran, "sudo opens without a touch, thrice"), "root\n".repeat(3));
    let pulled_out = said(&ran, "the key is pulled out");
    assert!(!pulled_out.contains("root") && !pulled_out.contains("status 0"), "{pulled_out}");
    let came = said(&ran, "it is plugged in while somebody waits");
    assert!(came.ends_with("status 0\n"), "{came}");
    for step in ["a foreign key", "slot 1 without a touch"] {
        assert!(said(&ran, step).contains("status 1"), "{step}: {}", said(&ran, step));
    }
    let enrolled = said(&ran, "slot 1 is enrolled with touches");
    assert!(enrolled.contains("Done: device 2") && !enrolled.contains("without a touch"), "{enrolled}");
    for step in ["slot 1 with touches", "slot 1 with touches again"] {
        assert!(said(&ran, step).ends_with("status 0\n"), "{step}: {}", said(&ran, step));
    }
    let audit = said(&ran, "what the agent has written down");
    assert_eq!(audit.matches("yubikey_hmac device=1").count(), 5, "{audit}");
}
