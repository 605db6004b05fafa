//! Keys that come and go while somebody waits, two of them, and one that is somebody else's.

use oss2fa_tests::guest_login::{CODE, ENTER, IN};
use oss2fa_tests::{Guest, GuestRan};

pub(crate) fn steps(guest: Guest) -> Guest {
    guest
        .step(
            "pulled out while a touch is awaited, and plugged in again",
            &format!(
                r#"begin log_in ferris '{ENTER}' ''; wait_until test -e $awaited; pull_out first
                   wait_until test ! -e $awaited; plug_in first; touch_when_awaited first; finish"#
            ),
        )
        .step(
            "a foreign key does not blink and lets nobody in",
            &format!(
                r#"pull_out first; make_key second; plug_in second; touch_key second; set_agent login_timeout 5
                   begin log_in ferris '{ENTER}' ''
                   while kill -0 $begun 2>/dev/null; do
                       test ! -e $awaited || echo "it blinks"; doze
                   done
                   finish; let_go second; set_agent login_timeout 60"#
            ),
        )
        .step(
            "plugged in while a key is awaited",
            &format!(
                r#"begin log_in ferris '{ENTER}' ''; wait_until pidof sudo; sleep 1
                   plug_in first; touch_when_awaited first; finish"#
            ),
        )
        .step(
            "two keys, and the second is touched",
            &format!(
                r#"begin "$agent" enroll fido2 --user ferris --name second; touch_when_awaited second; finish
                   begin log_in ferris '{ENTER}' ''; touch_when_awaited second; finish; pull_out second"#
            ),
        )
        .step(
            "a code is typed while the key blinks",
            &format!(
                r#""$agent" enroll hotp --user ferris --json >/tmp/enrolled
                   sed 's/.*secret=//; s/[&"].*//' /tmp/enrolled >/tmp/secret
                   code() {{ oathtool --hotp --base32 --counter "$1" "$(cat /tmp/secret)"; }}
                   "$agent" confirm --user ferris --device "$(sed 's/.*"device":\([0-9]*\).*/\1/' /tmp/enrolled)" "$(code 0)"
                   rm -f /tmp/go; begin log_in ferris '{CODE}' "@/tmp/go $(code 1)"
                   wait_until test -e $awaited; : >/tmp/go; finish; test ! -e $awaited"#
            ),
        )
}

pub(crate) fn held(ran: &GuestRan) {
    ran.let_in(&[
        "pulled out while a touch is awaited, and plugged in again",
        "plugged in while a key is awaited",
        "two keys, and the second is touched",
    ]);
    let foreign = "a foreign key does not blink and lets nobody in";
    ran.refused(foreign, &[ENTER]);
    assert!(!ran.of(foreign).stdout.contains("blinks"), "{}", ran.of(foreign));
    let both = "Touch your security key and press Enter, or type a code.\nVerification code: ";
    ran.showed("a code is typed while the key blinks", &[both, IN[0], IN[1]]);
}
