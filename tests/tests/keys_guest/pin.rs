//! A key with a PIN, which gopher enrols with `--pin`: right, wrong, empty, and not typed at all.

use oss2fa_tests::guest_login::{ENTER, IN, NOT_IN};
use oss2fa_tests::{Guest, GuestRan};

/// How a question for the PIN ends.
const LEFT: &str = "tries left): ";

pub(crate) fn steps(guest: Guest) -> Guest {
    guest
        .step(
            "gopher enrols a key with its PIN",
            &format!(
                r#"pull_out first; make_key pin; plug_in pin; set_pin 4711
                   begin at_terminal gopher "$agent enroll fido2 --pin" '(8 {LEFT}' 4711
                   touch_when_awaited pin; touch_when_awaited pin; finish"#
            ),
        )
        .step(
            "a wrong PIN, the right one, and a touch",
            &format!(
                r#"begin log_in gopher '{ENTER}' '' '(8 {LEFT}' 0815 '(7 {LEFT}' 4711
                   touch_when_awaited pin; finish"#
            ),
        )
        .step("the empty PIN", &format!("log_in gopher '{ENTER}' '' '(8 {LEFT}' ''"))
        .step(
            "the PIN is not typed: Ctrl-D, Ctrl-C",
            &format!(
                "log_in gopher '{ENTER}' '' '(8 {LEFT}' ^D; log_in gopher '{ENTER}' '' '(8 {LEFT}' ^C
                 pull_out pin; plug_in first"
            ),
        )
}

pub(crate) fn held(ran: &GuestRan) {
    ran.showed(
        "gopher enrols a key with its PIN",
        &["Touch it now.", "(8 tries left): ", "Touch it now.", "Done: device ", "status 0"],
    );
    ran.showed(
        "a wrong PIN, the right one, and a touch",
        &["PIN of your security key (8 tries left): ", "Wrong PIN. ", "(7 tries left): ", IN[0], IN[1]],
    );
    ran.refused("the empty PIN", &["(8 tries left): "]);
    let untyped = "the PIN is not typed: Ctrl-D, Ctrl-C";
    ran.refused(untyped, &["(8 tries left): ", NOT_IN[0], NOT_IN[1], "(8 tries left): "]);
}
