//! ssh with a key that OpenSSH has made on the security key, which needs no code, and with one in a file, which does.

use oss2fa_tests::{Guest, GuestRan};

/// Shell words of the steps: a client, and somebody at its terminal who types a code.
const WORDS: &str = r#"
    cd /root
    client="ssh -F /dev/null -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
        -o IdentitiesOnly=yes -o NumberOfPasswordPrompts=1"
    login() { $client -i "$1" corro@127.0.0.1 id -un </dev/null; }
    code() { oathtool --hotp --base32 --counter "$1" "$(cat secret)"; }
"#;

/// corro has nothing yet but what the next lines give: codes, and a key that ssh-keygen makes.
const HOST: &str = r#"
    "$agent" remove --user corro --all --forget
    "$agent" enroll hotp --user corro --json >enrolled
    sed -n 's/.*secret=\([A-Z2-7]*\).*/\1/p' enrolled >secret
    "$agent" confirm --user corro --device "$(sed 's/.*"device":\([0-9]*\).*/\1/' enrolled)" "$(code 0)"
    sed -i 's/^ssh_touch_services = .*/ssh_touch_services = ["sshd"]/' /etc/oss2fa/agent.toml; reload_agent
    "$agent" pam install sshd --mode publickey+code --yes --danger-no-way-back
    mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/guest_host
    touch_key first; ssh-keygen -q -t ecdsa-sk -N '' -C 'key ring' -f sk; let_go first
    ssh-keygen -q -t ed25519 -N '' -f plain
    install -d -o corro -g corro -m 700 /home/corro/.ssh
    cat plain.pub sk.pub >/home/corro/.ssh/authorized_keys
    "$agent" enroll ssh-sk sk.pub --user corro
    /usr/sbin/sshd -p 2222 -o HostKey=/etc/ssh/guest_host -o PidFile=/run/guest-sshd.pid -E /run/sshd.log
    wait_until bash -c ': </dev/tcp/127.0.0.1/2222'
"#;

/// Without a code first, which must not do.
const PLAIN: &str = r#"
    if login plain; then exit 1; fi
    expect -c "
        set timeout 150
        spawn $client -i plain corro@127.0.0.1 id -un
        expect {Verification code: } { send [exec oathtool --hotp --base32 --counter 1 [exec cat secret]]\r } eof { exit 9 }
        expect eof
        lassign [wait] a b c status
        exit \$status"
"#;

pub(crate) fn steps(guest: Guest) -> Guest {
    let step = |script: &str| format!("{WORDS}{script}");
    guest
        .step("sshd, and a key that ssh-keygen makes on the security key", &step(HOST))
        .step("the touched key needs no code at ssh", &step("touch_key first; login sk; let_go first"))
        .step("what was written down of ssh", &step(r#""$agent" audit | grep 'ssh_sk device'"#))
        .step("a key in a file needs one", &step(PLAIN))
}

pub(crate) fn held(ran: &GuestRan) {
    let made = "sshd, and a key that ssh-keygen makes on the security key";
    ran.showed(made, &["+PubkeyAuthOptions touch-required", "(key ring) of corro is the key SHA256:"]);
    assert_eq!(ran.of("the touched key needs no code at ssh").stdout, "corro\n");
    ran.showed("what was written down of ssh", &["SHA256:", "sshd insists on its touch"]);
    ran.showed("a key in a file needs one", &["Verification code: ", "corro"]);
}
