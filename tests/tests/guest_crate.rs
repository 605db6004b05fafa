//! Security keys, in a guest with a real kernel: firmware that others wrote, plugged in over USB/IP.
//!
//! In one boot: programs of others vouch for the key (fido2-tools, pam_u2f in a real sudo, Yubico's), then it is
//! our crate and our agent that speak to it, over hidraw.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use oss2fa_tests::{Built, Guest, GuestRan};

/// The known answer of HMAC-SHA1 for the key's secret (FIPS 198 example 2).
const KNOWN_ANSWER: &str = "0922d3405faa3d194f82a45830737d5cc6c75d24";

/// What the probe says when the key waits.
const TOUCH_IT: &str = "touch it";

const FIDO2_TOOLS: &str = r#"
    touch_key first; vouched_by_fido2_tools $KIND
    # The same answer to another challenge is none.
    { head -c 32 /dev/urandom | base64; sed 1d answer; } >wrong
    if fido2-assert -V -i wrong public-key es256 2>/dev/null; then echo "any challenge will do"; exit 1; fi
    let_go first
"#;

const SUDO: &str = r#"
    useradd -m ferris
    touch_key first
    pamu2fcfg -u ferris >/etc/u2f_mappings
    printf 'auth required pam_u2f.so authfile=/etc/u2f_mappings\naccount required pam_permit.so\n' >/etc/pam.d/sudo
    echo 'ferris ALL=(ALL) ALL' >/etc/sudoers.d/test
    as_ferris() { setpriv --reuid ferris --regid ferris --init-groups "$@"; }
    as_ferris sudo -k id -un
    let_go first
    if as_ferris timeout 3 sudo -k id -un; then echo "without a touch"; exit 1; fi
    # It goes on waiting for a touch that nobody wants any more.
    pull_out first; plug_in first
"#;

/// Shell words for the probe: status and what it said, on the standard output.
const PROBE: &str = r#"
    probe() { local status=0; "$target/debug/examples/key_probe" "$@" || status=$?; echo "status $status"; }
    anchor=$target/guest/attestation/certificate.der
    cd /tmp
"#;

fn probe(script: &str) -> String {
    format!("{PROBE}{script}")
}

fn the_others(guest: Guest) -> Guest {
    guest
        .step("a key is plugged in", "make_key first; plug_in first; fido_node; otp_node")
        .step("fido2-token lists it", "fido2-token -L")
        .step("fido2-token asks what it is", r#"fido2-token -I "$(fido_node)""#)
        .step("fido2-tools register and log in by FIDO2", &format!("KIND= {FIDO2_TOOLS}"))
        .step("fido2-tools register and log in by U2F", &format!("KIND=-u {FIDO2_TOOLS}"))
        .step("pam_u2f lets a touch through sudo, and nothing else", SUDO)
        .step("ykinfo asks for the serial number", "ykinfo -s")
        .step("ykchalresp has the answer of slot 2", "ykchalresp -2 'Sample #2'")
}

fn ours(guest: Guest) -> Guest {
    guest
        .step("our agent lists both interfaces", r#""$target/release/oss2fa-agent" keys"#)
        .step("our crate asks what it is", &probe("probe info"))
        .step("our crate asks for the serial number", &probe("probe serial"))
        .step("our crate has the answer of slot 2", &probe("probe hmac 2 'Sample #2'"))
        .step(
            "slot 1 waits for its touch",
            &probe("probe hmac 1 'Sample #2' >said & wait_until grep touch said; touch_key first; wait; let_go first; cat said"),
        )
        .step("slot 1 is not touched", &probe("probe --seconds 8 hmac 1 'Sample #2'"))
        .step(
            "U2F with a touch",
            &probe("touch_key first; probe register u2f u2f-key $anchor; probe login u2f u2f-key; let_go first"),
        )
        .step("U2F without a touch", &probe("probe --seconds 8 login u2f u2f-key"))
        .step(
            "FIDO2 with a touch",
            &probe("touch_key first; probe register touch key $anchor; probe login touch key; let_go first"),
        )
        .step(
            "the touch comes while it is awaited",
            &probe("probe login touch key >said & wait_until grep touch said; touch_key first; wait; let_go first; cat said"),
        )
        .step("FIDO2 without a touch", &probe("probe --seconds 8 login touch key"))
        .step("who waits gives up", &probe("probe --give-up login touch key; probe info"))
        .step(
            "a key that counts backwards",
            &probe(
                r#"sed 's/"counter":[0-9]*/"counter":100000/' key >cloned
                   touch_key first; probe login touch cloned; let_go first"#,
            ),
        )
}

fn in_and_out(guest: Guest) -> Guest {
    guest
        .step(
            "pulled out while a touch is awaited",
            &probe("probe login touch key >said & wait_until grep touch said; pull_out first; wait; cat said"),
        )
        .step("no key", &probe(r#"probe login touch key; "$target/release/oss2fa-agent" keys"#))
        .step(
            "plugged in while a key is awaited",
            &probe("touch_key first; probe --wait login touch key >said & wait_until grep plug said; plug_in first; wait; let_go first; cat said"),
        )
        .step(
            "pulled out while U2F awaits a touch",
            &probe("probe login u2f u2f-key >said & wait_until grep touch said; pull_out first; wait; plug_in first; cat said"),
        )
        .step(
            "two keys, and the credential is on one",
            &probe(
                "make_key second; plug_in second; touch_key first; touch_key second
                 probe login touch key; let_go first; let_go second",
            ),
        )
        .step(
            "a foreign key",
            &probe("pull_out first; touch_key second; probe login touch key; probe login u2f u2f-key; let_go second"),
        )
        .step("the first key again", "pull_out second; plug_in first")
}

fn with_a_pin(guest: Guest) -> Guest {
    guest
        .step(
            "fido2-token sets a PIN",
            "set_pin 4711",
        )
        .step(
            "FIDO2 with the PIN",
            &probe("touch_key first; probe register pin=4711 pin-key $anchor; probe login pin=4711 pin-key; let_go first"),
        )
        .step(
            "the wrong PIN, the empty one, and the right one again",
            &probe("touch_key first; probe login pin=0815 pin-key; probe login pin= pin-key; probe login pin=4711 pin-key; let_go first"),
        )
        .step("the PIN, and no touch", &probe("probe --seconds 8 login pin=4711 pin-key"))
        .step(
            "a credential of before the PIN",
            &probe("touch_key first; probe login touch key; let_go first"),
        )
}

/// Holds what a step has said against how its lines begin. That the key waited for its touch is looked at only
/// where it must: on a slow machine the finger that is there may be seen a moment late.
fn said<'a>(ran: &'a GuestRan, step: &str, expected: &[&str]) -> Vec<&'a str> {
    let asked = expected.contains(&TOUCH_IT);
    let lines: Vec<&str> = ran.of(step).stdout.lines().filter(|line| asked || *line != TOUCH_IT).collect();
    let fits = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start));
    assert!(fits, "{step}: {lines:#?} instead of {expected:#?}");
    lines
}

/// A touch that does not come is waited for until the deadline, and no shorter.
fn waited(ran: &GuestRan, step: &str, seconds: f64) {
    let lines = said(ran, step, &[TOUCH_IT, "TimedOut after ", "status 3"]);
    let took: f64 = lines[1].split(' ').nth(2).and_then(|word| word.parse().ok()).expect("seconds");
    assert!(took >= seconds, "{step}: {lines:?}");
}

#[test]
fn keys_work_in_a_guest() {
    let _probe = Built::key_probe();
    let ran = with_a_pin(in_and_out(ours(the_others(Guest::new())))).run();
    println!("{ran}");
    ran.all_succeeded();

    // Those who vouch for the key.
    assert!(ran.of("fido2-token lists it").stdout.contains("vendor=0x1050, product=0x0403"), "{:?}", ran);
    let info = &ran.of("fido2-token asks what it is").stdout;
    assert!(info.contains("U2F_V2") && info.contains("FIDO_2_0") && info.contains("FIDO_2_1"), "{info}");
    assert_eq!(ran.of("pam_u2f lets a touch through sudo, and nothing else").stdout, "root\n");
    assert_eq!(ran.of("ykinfo asks for the serial number").stdout, "serial: 4200001\n");
    assert_eq!(ran.of("ykchalresp has the answer of slot 2").stdout.trim(), KNOWN_ANSWER);

    // Ours, beside them.
    let listed = said(&ran, "our agent lists both interfaces", &["DEVICE", "/dev/hidraw", "/dev/hidraw"]);
    assert!(listed[1].contains("challenge-response  1050:0403  Yubico YubiKey OTP+FIDO"), "{listed:?}");
    assert!(listed[2].contains("FIDO2, U2F          1050:0403  Yubico YubiKey OTP+FIDO"), "{listed:?}");
    let told =
        said(&ran, "our crate asks what it is", &["[\"U2F_V2\", \"FIDO_2_0\", \"FIDO_2_1\"", "status 0"]);
    assert!(told[0].ends_with("model 6f73733266612d746573742d6b657931 PIN NotSetUp"), "{told:?}");
    said(&ran, "our crate asks for the serial number", &["4200001", "status 0"]);
    said(&ran, "our crate has the answer of slot 2", &[KNOWN_ANSWER, "status 0"]);
    said(&ran, "slot 1 waits for its touch", &[TOUCH_IT, KNOWN_ANSWER, "status 0"]);
    waited(&ran, "slot 1 is not touched", 8.0);

    let by_u2f = "registered fido-u2f ByAnchor user Present model unknown";
    let present = "logged in user Present counter rose: true by key";
    said(
        &ran,
        "U2F with a touch",
        &[by_u2f, "status 0", "logged in user Present counter rose: true", "status 0"],
    );
    waited(&ran, "U2F without a touch", 8.0);
    let by_fido2 = "registered packed ByAnchor user Present model known";
    said(&ran, "FIDO2 with a touch", &[by_fido2, "status 0", present, "status 0"]);
    said(&ran, "the touch comes while it is awaited", &[TOUCH_IT, present, "status 0"]);
    waited(&ran, "FIDO2 without a touch", 8.0);
    said(&ran, "who waits gives up", &[TOUCH_IT, "Cancelled", "status 3", "[\"U2F_V2\"", "status 0"]);
    let cloned = "refused: Cloned { stored: 100000, seen: ";
    said(&ran, "a key that counts backwards", &[cloned, "status 4"]);

    let gone = [TOUCH_IT, "Transport(Gone) after", "status 3"];
    said(&ran, "pulled out while a touch is awaited", &gone);
    said(&ran, "no key", &["no key", "status 2", "No security key is plugged in."]);
    said(&ran, "plugged in while a key is awaited", &["plug it in", present, "status 0"]);
    said(&ran, "pulled out while U2F awaits a touch", &gone);
    said(&ran, "two keys, and the credential is on one", &[present, "status 0"]);
    said(&ran, "a foreign key", &["NoCredential", "status 3", "NoCredential", "status 3"]);

    let verified = "logged in user Verified counter rose: true by pin-key";
    let registered = "registered packed ByAnchor user Verified model known";
    said(&ran, "FIDO2 with the PIN", &[registered, "status 0", verified, "status 0"]);
    said(
        &ran,
        "the wrong PIN, the empty one, and the right one again",
        &["WrongPin { left: 7 }", "status 3", "PinLength", "status 3", verified, "status 0"],
    );
    waited(&ran, "the PIN, and no touch", 8.0);
    said(&ran, "a credential of before the PIN", &[present, "status 0"]);
}
