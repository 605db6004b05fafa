//! Security keys, in a guest with a real kernel: firmware that others wrote, plugged in over USB/IP.
//!
//! First programs of others vouch for the key (fido2-tools, pam_u2f, Yubico's), in the same boot; then it is ours.

use oss2fa_tests::Guest;

const FIDO2: &str = r#"
    touch_key first; node=$(fido_node); cd /tmp
    head -c 32 /dev/urandom | base64 >challenge
    { cat challenge; echo example.org; echo ferris; echo ZmVycmlz; } >ask
    fido2-cred -M $KIND -i ask "$node" es256 >made
    fido2-cred -V -i made -o credential es256
    { cat challenge; echo example.org; sed -n 1p credential; } >ask
    fido2-assert -G $KIND -i ask "$node" >answer
    sed 1d credential >public-key
    fido2-assert -V -i answer public-key es256
    # The same answer with another challenge is none.
    { head -c 32 /dev/urandom | base64; sed 1d answer; } >wrong
    ! fido2-assert -V -i wrong public-key es256 2>/dev/null
"#;

#[test]
fn keys_work_in_a_guest() {
    let ran = Guest::new()
        .step("a key is plugged in", "make_key first; plug_in first; ls /dev/hidraw*")
        .step("fido2-token lists it", "fido2-token -L")
        .step("fido2-token asks what it is", r#"fido2-token -I "$(fido_node)""#)
        .step("fido2-tools register and log in by FIDO2", &format!("KIND= {FIDO2}"))
        .step("fido2-tools register and log in by U2F", &format!("KIND=-u {FIDO2}"))
        .step("ykinfo asks what it is", "ykinfo -s -v")
        .step("ykchalresp has the known answer of slot 2", "ykchalresp -2 'Sample #2'")
        .run();
    println!("{}", ran.times());
    ran.all_succeeded();
}
