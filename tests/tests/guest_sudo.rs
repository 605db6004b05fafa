//! What else the owner of a key may do, in a guest with a real kernel: change devices by a touch, use up the tries of a PIN,
//! take over pam_u2f's mapping in both of its formats, follow the guide; and what the daemon costs while it waits.

use oss2fa_tests::guest_login::{CODE, ENTER, IN, NOT_IN};
use oss2fa_tests::waiting::{PROMISED, Waiting};
use oss2fa_tests::{Guest, Guide};

fn enrolled(guest: Guest) -> Guest {
    let guest = guest.step(
        "ferris has a key",
        r#"install_agent ferris gopher corro ada dora; start_agent; make_key first; plug_in first
           begin "$agent" enroll fido2 --user ferris; touch_when_awaited first; finish"#,
    );
    Waiting::measured(guest)
}

fn changed_by_touch(guest: Guest) -> Guest {
    guest
        .step(
            "ferris enrols a second key by touching the first",
            r#"make_key second; plug_in second; begin as ferris "$agent" enroll fido2 --name second
               wait_until grep enrolled /tmp/said; touch_when_awaited first; touch_when_awaited second; finish"#,
        )
        .step(
            "ferris removes the second by touching it",
            r#"begin as ferris "$agent" remove --device 2; touch_when_awaited second; finish
               as ferris "$agent" list; pull_out second"#,
        )
        .step(
            "ferris has codes as well, and the key is touched beside the prompt",
            &format!(
                r#""$agent" enroll hotp --user ferris --json >/tmp/enrolled
                   sed 's/.*secret=//; s/[&"].*//' /tmp/enrolled >/tmp/secret
                   "$agent" confirm --user ferris --device "$(sed 's/.*"device":\([0-9]*\).*/\1/' /tmp/enrolled)" \
                       "$(oathtool --hotp --base32 --counter 0 "$(cat /tmp/secret)")"
                   rm -f /tmp/go; begin log_in ferris '{CODE}' @/tmp/go; touch_when_awaited first; : >/tmp/go; finish"#
            ),
        )
}

/// A key with a PIN, which gopher enrols with `--pin`.
fn used_up(guest: Guest) -> Guest {
    let pin = "tries left): ";
    guest
        .step(
            "gopher enrols a credential that stays on the key, as fido2-token sees with its PIN",
            &format!(
                r#"pull_out first; make_key pin; plug_in pin; set_pin 4711
                   begin at_terminal gopher "$agent enroll fido2 --pin --resident" '(8 {pin}' 4711
                   touch_when_awaited pin; touch_when_awaited pin; finish
                   expect -c "
                       set timeout 150
                       spawn fido2-token -L -k oss2fa:host $(fido_node)
                       expect -re {{PIN.*: }} {{ send 4711\r }}
                       expect eof" | tr -d '\r'
                   begin log_in gopher '{ENTER}' '' '(8 {pin}' 4711; touch_when_awaited pin; finish"#
            ),
        )
        .step(
            "wrong PINs until the key wants to be plugged in again",
            &format!(
                r#"log_in gopher '{ENTER}' '' '(8 {pin}' 1111 '(7 {pin}' 2222 '(6 {pin}' 3333 'Press Enter: ' ''"#
            ),
        )
        .step(
            "wrong PINs until three tries are left, and the right one comes too late",
            &format!(
                r#"pull_out pin; plug_in pin; log_in gopher '{ENTER}' '' '(5 {pin}' 4444 '(4 {pin}' 5555 'Press Enter: ' ''
                   log_in gopher '{ENTER}' '' 'Press Enter: ' 4711
                   fido2-token -I "$(fido_node)" | grep 'pin retries'; pull_out pin; plug_in first"#
            ),
        )
}

/// A key handle of U2F in the base64 of URLs and a point in hexadecimal, of a registration by fido2-tools.
const LEGACY: &str = r#"
    cd /tmp; touch_key first
    { head -c 32 /dev/urandom | base64; echo pam://guest; echo ada; echo YWRh; } >ask
    fido2-cred -M -u -i ask "$(fido_node)" es256 >made
    fido2-cred -V -i made -o made.key es256
    point=$(sed 1d made.key | openssl ec -pubin -outform DER 2>/dev/null | tail -c 65 | od -An -tx1 -v | tr -d ' \n')
    echo "ada:$(sed -n 1p made.key | tr '+/' '-_' | tr -d '='),$point" >legacy
    printf 'auth required pam_u2f.so authfile=/tmp/legacy\naccount required pam_permit.so\n' >/etc/pam.d/sudo
    as ada sudo -k id -un; let_go first
"#;

/// What pamu2fcfg writes; pam_u2f vouches for the line in the legacy format, which it reads and does not write.
fn of_pam_u2f(guest: Guest) -> Guest {
    guest
        .step(
            "pamu2fcfg writes its lines",
            r#"cd /tmp; touch_key first
               for options in "" -P -V -r; do pamu2fcfg -u corro $options >>lines; echo >>lines; done
               let_go first; cut -d , -f 3- lines; cut -c 1-7 lines"#,
        )
        .step(
            "they are taken over",
            r#""$agent" import u2f-keys --json /tmp/lines; "$agent" list --user corro"#,
        )
        .step(
            "corro logs in with what was taken over",
            &format!("begin log_in corro '{ENTER}' ''; touch_when_awaited first; finish"),
        )
        .step(
            "pamu2fcfg writes a line for a key with a PIN, and corro logs in with that",
            &format!(
                r#"pull_out first; make_key other; plug_in other; set_pin 4711; touch_key other
                   pamu2fcfg -u corro -N >/tmp/with-pin; let_go other
                   cut -d , -f 3- /tmp/with-pin; "$agent" import u2f-keys /tmp/with-pin
                   begin log_in corro '{ENTER}' '' '(8 {pin}' 4711; touch_when_awaited other; finish
                   pull_out other; plug_in first"#,
                pin = "tries left): "
            ),
        )
        .step(
            "dora logs in with a credential that stays on the key",
            &format!(
                r#"touch_key first; pamu2fcfg -u dora -r >/tmp/stays; let_go first; cut -c 1-7 /tmp/stays
                   "$agent" import u2f-keys /tmp/stays
                   begin log_in dora '{ENTER}' ''; touch_when_awaited first; finish"#
            ),
        )
        .step("pam_u2f reads a line in the legacy format", LEGACY)
        .step(
            "ada logs in with what was taken over",
            &format!(
                r#"restore_stack; "$agent" import u2f-keys /tmp/legacy
                   begin log_in ada '{ENTER}' ''; touch_when_awaited first; finish"#
            ),
        )
}

#[test]
fn what_else_the_owner_of_a_key_may_do() {
    let ran = of_pam_u2f(used_up(changed_by_touch(enrolled(Guest::new())))).run();
    println!("{ran}");
    ran.all_succeeded();

    let waiting = Waiting::of(&ran);
    let allowed = PROMISED * ran.crowd();
    assert!(waiting.for_touch < allowed && waiting.for_key < allowed, "{waiting:?}, allowed {allowed}");

    let second = "ferris enrols a second key by touching the first";
    ran.showed(second, &["Touch a security key that is enrolled already", "Done: device 2 (second)"]);
    let removed = "ferris removes the second by touching it";
    ran.showed(removed, &["Device 2 of ferris is removed.", "1   fido2"]);
    let both = "Touch your security key and press Enter, or type a code.\nVerification code: ";
    ran.showed("ferris has codes as well, and the key is touched beside the prompt", &[both, IN[0], IN[1]]);

    let stays = "gopher enrols a credential that stays on the key, as fido2-token sees with its PIN";
    // This firmware prefers Ed25519, and shows its list only to who knows the PIN.
    ran.showed(stays, &["Done: device ", "status 0", "00: ", " eddsa uvopt+id", IN[0], IN[1]]);

    let again = "pull the security key out and plug it in again";
    ran.refused(
        "wrong PINs until the key wants to be plugged in again",
        &["(7 tries left): ", "(6 tries left): ", again],
    );
    let late = "wrong PINs until three tries are left, and the right one comes too late";
    ran.refused(
        late,
        &[
            "(5 tries left): ",
            "(4 tries left): ",
            "3 tries are left",
            NOT_IN[0],
            NOT_IN[1],
            ENTER,
            "3 tries are left",
        ],
    );
    ran.showed(late, &["pin retries: 3"]);
    assert!(!ran.of(late).stdout.contains("(3 tries left)"), "{}", ran.of(late));

    let lines = "es256,+presence\nes256,\nes256,+presence+verification\nes256,+presence\n";
    ran.showed("pamu2fcfg writes its lines", &[lines]);
    let report = &ran.of("they are taken over").stdout;
    assert_eq!(report.matches(r#""result":"imported""#).count(), 4, "{report}");
    let with_pin = "pamu2fcfg writes a line for a key with a PIN, and corro logs in with that";
    ran.showed(with_pin, &["es256,+presence+pin", "(8 tries left): ", IN[0], IN[1]]);
    let stays = "dora logs in with a credential that stays on the key";
    ran.showed(stays, &["dora:*,"]);
    ran.let_in(&[stays, "corro logs in with what was taken over", "ada logs in with what was taken over"]);
    assert_eq!(ran.of("pam_u2f reads a line in the legacy format").stdout, "root\n");
}

/// Two keys that are plugged in, a mapping of pam_u2f for corro, and somebody with fingers.
const BEFORE_THE_GUIDE: &str = r#"
    install_agent ferris gopher corro; start_agent
    make_key blue; plug_in blue; touch_key blue; pamu2fcfg -u corro >/etc/u2f_mappings; let_go blue
    make_key spare; plug_in spare
    setsid bash -c '. "$0/keys.sh"; . "$0/agent.sh"; somebody_sits_here blue spare pin' "$source/tests/guest" \
        >/dev/null 2>&1 &
"#;

/// Its owner has set a PIN.
const A_KEY_WITH_A_PIN: &str = "pull_out blue; pull_out spare; make_key pin; plug_in pin; set_pin 4711";

#[test]
fn the_guide_of_security_keys_does_what_it_says() {
    let guide = Guide::read("docs/security-keys.md");
    assert!(guide.runs() >= 9 && guide.leaves_out() == 0, "{} {}", guide.runs(), guide.leaves_out());
    let by_hand = [("oss2fa-agent enroll fido2 --user gopher", A_KEY_WITH_A_PIN)];
    let ran = guide.in_guest(Guest::new().step("before", BEFORE_THE_GUIDE), &by_hand).run();
    println!("{ran}");
    ran.all_succeeded();
    guide.was_followed(&ran);
}
