//! Enrolment and logins by a touch, with U2F and with FIDO2; without one; and who goes away while it is awaited.

use oss2fa_tests::guest_login::{ENTER, IN};
use oss2fa_tests::{Guest, GuestRan};

pub(crate) fn steps(guest: Guest) -> Guest {
    guest
        .step(
            "U2F is enrolled",
            r#"begin "$agent" enroll u2f --user ferris; touch_when_awaited first; finish"#,
        )
        .step(
            "U2F, touched before Enter",
            &format!(
                r#"rm -f /tmp/go; begin log_in ferris '{ENTER}' @/tmp/go
                   wait_until test -e $awaited; as ferris test -e $awaited; touch_when_awaited first
                   : >/tmp/go; finish; ls /run/oss2fa-agent"#
            ),
        )
        .step(
            "without a touch, until the deadline",
            &format!("set_agent login_timeout 5; log_in ferris '{ENTER}' ''; set_agent login_timeout 60"),
        )
        .step(
            "the same key is not enrolled twice, and then by FIDO2",
            r#"begin "$agent" enroll fido2 --user ferris; wait_until grep already /tmp/said; kill $begun; finish || true
               "$agent" remove --user ferris --device 2
               begin "$agent" enroll fido2 --user ferris; touch_when_awaited first; finish"#,
        )
        .step(
            "FIDO2, touched after Enter",
            &format!("begin log_in ferris '{ENTER}' ''; touch_when_awaited first; finish"),
        )
        .step(
            "sudo is killed while it waits, and the next login is served",
            &format!(
                r#"begin log_in ferris '{ENTER}' ''; wait_until test -e $awaited
                   killed=$(cut -d ' ' -f 1 /proc/uptime); kill -9 "$(pidof sudo)"; wait_until test ! -e $awaited
                   echo "$(cut -d ' ' -f 1 /proc/uptime) $killed" | awk '{{print $1 - $2, "seconds"}}'; finish
                   begin log_in ferris '{ENTER}' ''; touch_when_awaited first; finish"#
            ),
        )
}

pub(crate) fn held(ran: &GuestRan) {
    ran.showed("U2F is enrolled", &["Touch it now.\n", "Done: device 2 (u2f) of ferris counts"]);
    ran.let_in(&["U2F, touched before Enter", "FIDO2, touched after Enter"]);
    ran.refused("without a touch, until the deadline", &[ENTER]);
    assert!(ran.of("without a touch, until the deadline").took.as_secs() >= 5);
    let again = "the same key is not enrolled twice, and then by FIDO2";
    ran.showed(again, &["enrolled already", "Device 2 of ferris is removed.", "Done: device 3 (fido2)"]);

    let killed = "sudo is killed while it waits, and the next login is served";
    ran.showed(killed, &[" seconds\n", IN[0], IN[1]]);
    let took = ran.of(killed).stdout.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    assert!(took.expect("seconds") < 15.0, "the key blinked for {took:?} s after sudo was killed");
}
