//! Those who vouch for the key: fido2-tools, Yubico's programs, and pam_u2f's mapping, which is taken over.

use oss2fa_tests::guest_login::ENTER;
use oss2fa_tests::{Guest, GuestRan};

/// The known answer of HMAC-SHA1 for the key's secret (FIPS 198 example 2).
pub(crate) const KNOWN_ANSWER: &str = "0922d3405faa3d194f82a45830737d5cc6c75d24";

const BY_FIDO2_TOOLS: &str = r#"
    touch_key first; fido2-token -L
    vouched_by_fido2_tools; echo "the tools took their own answer"
    vouched_by_fido2_tools -u; echo "the tools took their own answer"
    let_go first
"#;

pub(crate) fn steps(guest: Guest) -> Guest {
    guest
        .step("fido2-tools register and log in by FIDO2 and by U2F", BY_FIDO2_TOOLS)
        .step("ykchalresp has the answer of slot 2", "ykchalresp -2 'Sample #2'")
        .step(
            "pamu2fcfg enrols corro, and its line is taken over",
            r#"touch_key first; pamu2fcfg -u corro >/tmp/line; let_go first; cut -d , -f 3- /tmp/line
               "$agent" import u2f-keys --json /tmp/line"#,
        )
        .step(
            "corro logs in with what was taken over",
            &format!("begin log_in corro '{ENTER}' ''; touch_when_awaited first; finish"),
        )
}

pub(crate) fn held(ran: &GuestRan) {
    let step = "fido2-tools register and log in by FIDO2 and by U2F";
    let took = "the tools took their own answer\n";
    ran.showed(step, &["vendor=0x1050, product=0x0403", took, took]);
    assert_eq!(ran.of("ykchalresp has the answer of slot 2").stdout.trim(), KNOWN_ANSWER);
    ran.showed(
        "pamu2fcfg enrols corro, and its line is taken over",
        &["es256,+presence", r#""result":"imported""#],
    );
    ran.let_in(&["corro logs in with what was taken over"]);
}
