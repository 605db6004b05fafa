//! ssh with a key that lives on a security key, in a guest with a real kernel: OpenSSH makes the key on firmware that
//! others wrote, sshd takes it, and our daemon counts its touch.

use oss2fa_tests::Guest;

/// Shell words of the steps: a client, and somebody at its terminal who types a code.
const WORDS: &str = r#"
    cd /root
    agent=$target/release/oss2fa-agent
    client="ssh -F /dev/null -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
        -o IdentitiesOnly=yes -o NumberOfPasswordPrompts=1"
    login() { $client -i "$1" ferris@127.0.0.1 id -un </dev/null; }
    login_with_code() {
        local code
        code=$(oathtool --hotp --counter "$2" --base32 "$(cat secret)")
        expect -c "
            set timeout 150
            spawn $client -i $1 ferris@127.0.0.1 id -un
            expect {Verification code: } { send $code\r } eof { exit 9 }
            expect eof
            lassign [wait] a b c status
            exit \$status"
    }
    start_sshd() {
        /usr/sbin/sshd -p 2222 -o HostKey=/etc/ssh/guest_host -o PidFile=/run/guest-sshd.pid -E /run/sshd.log
        wait_until bash -c ': </dev/tcp/127.0.0.1/2222'
    }
"#;

const HOST: &str = r#"
    useradd -m ferris
    for folder in /usr/lib/*-linux-gnu/security; do cp "$target/release/libpam_oss2fa.so" "$folder/pam_oss2fa.so"; done
    getent passwd oss2fa >/dev/null || useradd --system --user-group --home-dir /var/lib/oss2fa oss2fa
    rm -rf /var/lib/oss2fa /etc/oss2fa
    install -d -o oss2fa -g oss2fa -m 700 /var/lib/oss2fa
    mkdir -p /etc/oss2fa /run/oss2fa /run/sshd
    printf '[policy]\nssh_touch_services = ["sshd"]\n[audit]\nsyslog = false\n' >/etc/oss2fa/agent.toml
    setsid "$agent" serve >/run/agent.log 2>&1 </dev/null &
    wait_until test -S /run/oss2fa/agent.sock
    "$agent" enroll hotp --user ferris --json >enrolled
    sed -n 's/.*secret=\([A-Z2-7]*\).*/\1/p' enrolled >secret
    "$agent" confirm --user ferris --device 1 "$(oathtool --hotp --counter 0 --base32 "$(cat secret)")"
    "$agent" pam install sshd --mode publickey+code --yes --danger-no-way-back
    ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/guest_host
    ssh-keygen -q -t ed25519 -N '' -f plain
    install -d -o ferris -g ferris -m 700 /home/ferris/.ssh
    start_sshd
"#;

/// One key that is touched, and one whose owner has had both ends leave that out.
const KEYGEN: &str = r#"
    touch_key first
    ssh-keygen -q -t ecdsa-sk -N '' -C 'key ring' -f sk
    ssh-keygen -q -t ecdsa-sk -O no-touch-required -O application=ssh:lazy -N '' -C 'lazy' -f lazy
    let_go first
    { cat plain.pub sk.pub; printf 'no-touch-required '; cat lazy.pub; } >/home/ferris/.ssh/authorized_keys
    "$agent" enroll ssh-sk sk.pub --user ferris
    "$agent" enroll ssh-sk lazy.pub --user ferris
"#;

const LAZY: &str = r#"
    if login lazy; then echo "without a touch"; exit 1; fi
    grep "user presence (authenticator touch) requirement not met" /run/sshd.log
"#;

const NO_LONGER: &str = r#"
    sed -i '/^PubkeyAuthOptions/d' /etc/ssh/sshd_config.d/00-oss2fa.conf
    kill "$(cat /run/guest-sshd.pid)"
    wait_until bash -c '! : </dev/tcp/127.0.0.1/2222'
    start_sshd
    login_with_code lazy 2
"#;

fn step(script: &str) -> String {
    format!("{WORDS}{script}")
}

#[test]
fn a_touched_key_on_real_firmware_needs_no_code_at_ssh() {
    let ran = Guest::new()
        .step("a key is plugged in", "make_key first; plug_in first; fido_node")
        .step("a host with the agent, its stack and an sshd", &step(HOST))
        .step("ssh-keygen makes a key on it, and it is enrolled", &step(KEYGEN))
        .step("the touched key needs no code", &step("touch_key first; login sk; let_go first"))
        .step("a key that is not touched is not taken", &step(LAZY))
        .step("what was written down", &step(r#""$agent" audit | grep accepted"#))
        .step("a key in a file needs one", &step("if login plain; then exit 1; fi; login_with_code plain 1"))
        .step("where sshd insists no more, so does this one", &step(NO_LONGER))
        .step("why", "cat /run/agent.log")
        .run();
    println!("{ran}");
    ran.all_succeeded();

    let installed = &ran.of("a host with the agent, its stack and an sshd").stdout;
    assert!(installed.contains("+PubkeyAuthOptions touch-required"), "{installed}");
    let enrolled = &ran.of("ssh-keygen makes a key on it, and it is enrolled").stdout;
    assert!(enrolled.contains("Done: device 2 (key ring) of ferris is the key SHA256:"), "{enrolled}");
    assert_eq!(ran.of("the touched key needs no code").stdout, "ferris\n");
    let event = &ran.of("what was written down").stdout;
    assert!(
        event.contains("ssh_sk device=2 SHA256:") && event.contains("sshd insists on its touch"),
        "{event}"
    );
    assert_eq!(event.lines().count(), 1, "{event}");
    assert!(ran.of("a key in a file needs one").stdout.contains("ferris"));
    assert!(ran.of("where sshd insists no more, so does this one").stdout.contains("ferris"));
    let why = &ran.of("why").stdout;
    assert!(why.contains("as it is by default does not insist"), "{why}");
}
