//! Security keys in one boot of a guest with a real kernel, as their owners use them: firmware that others wrote, plugged
//! in over USB/IP; programs of others vouch for it; then it is our module, our daemon as a process and a user of its own,
//! the real sudo and the real sshd. `make test-keys` runs this alone; `make test` runs the guests `guest_*.rs` as well.
#![expect(clippy::expect_used, reason = "a failure is a panic in tests, in their helpers too")]

mod from_afar;
mod pin;
mod pulled;
mod touch;
mod vouched;
mod yubikey;

use std::time::Duration;

use oss2fa_tests::Guest;

/// The promise: all of this within three minutes, on a machine that does nothing else.
const PROMISED: Duration = Duration::from_mins(3);

/// The daemon as the package installs it, and a key that udev's rule lets it open.
fn installed(guest: Guest) -> Guest {
    guest.step(
        "the daemon is somebody who may open keys by udev's rule",
        r#"install_agent ferris gopher corro ada; start_agent; ps -o user= -p "$(cat /run/agent.pid)"
           make_key first; plug_in first; stat -c '%U %G %a' "$(fido_node)"
           as ferris "$agent" keys"#,
    )
}

#[test]
fn keys_let_people_in_by_the_real_sudo_and_ssh() {
    let parts = [
        installed,
        vouched::steps,
        touch::steps,
        yubikey::steps,
        pulled::steps,
        pin::steps,
        from_afar::steps,
    ];
    let ran = parts.into_iter().fold(Guest::new(), |guest, steps| steps(guest)).run();
    println!("{ran}");
    ran.all_succeeded();
    ran.showed(
        "the daemon is somebody who may open keys by udev's rule",
        &["oss2fa\nroot oss2fa 660\n", "FIDO2, U2F"],
    );
    for held in [vouched::held, touch::held, yubikey::held, pulled::held, pin::held, from_afar::held] {
        held(&ran);
    }
    let (took, allowed) = (ran.took, PROMISED.mul_f64(ran.crowd()));
    assert!(took < allowed, "{took:?} instead of {PROMISED:?}, allowed {allowed:?}");
}
