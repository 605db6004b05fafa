//! The challenge-response of a YubiKey, in both slots: ada has the one that answers at once, and then the one that is
//! touched.

use oss2fa_tests::guest_login::{ENTER, IN};
use oss2fa_tests::{Guest, GuestRan};

use crate::vouched::KNOWN_ANSWER;

pub(crate) fn steps(guest: Guest) -> Guest {
    guest
        .step(
            "slot 2 is enrolled, and sudo opens without a touch, twice",
            &format!(
                r#""$agent" enroll yubikey-hmac --slot 2 --user ada 2>&1
                   for n in 1 2; do log_in ada '{ENTER}' ''; done"#
            ),
        )
        .step(
            "slot 1 in its place, which is touched",
            &format!(
                r#""$agent" remove --user ada --all --forget
                   begin "$agent" enroll yubikey-hmac --slot 1 --user ada; touch_when_awaited first; finish
                   begin log_in ada '{ENTER}' ''; touch_when_awaited first; finish"#
            ),
        )
        .step(
            "slot 1 is not touched",
            &format!("set_agent login_timeout 5; log_in ada '{ENTER}' ''; set_agent login_timeout 60"),
        )
        .step("it still answers others", "ykchalresp -2 'Sample #2'")
}

pub(crate) fn held(ran: &GuestRan) {
    let at_once = "slot 2 is enrolled, and sudo opens without a touch, twice";
    ran.showed(at_once, &["This slot answers without a touch", "Done: device ", IN[0], IN[1], IN[0], IN[1]]);
    let touched = "slot 1 in its place, which is touched";
    ran.showed(touched, &["Touch it now.", "Done: device ", IN[0], IN[1]]);
    ran.refused("slot 1 is not touched", &[ENTER]);
    assert_eq!(ran.of("it still answers others").stdout.trim(), KNOWN_ANSWER);
}
