//! A security key of a user of a server, in a guest with a real kernel: our server, our agent and our module in the real
//! sudo, with firmware that others wrote. Online, without the server, and after the key was removed there.

use oss2fa_tests::{Built, Guest};

/// Who there is, and what runs: server, agent, sudo with our module, a key.
const SET_UP: &str = r#"
    useradd -m ferris; useradd --system oss2fa
    mkdir -p /etc/oss2fa /var/lib/oss2fa /run/oss2fa-agent /tmp/server
    chown oss2fa: /var/lib/oss2fa /run/oss2fa-agent
    install -m 0644 "$target/release/libpam_oss2fa.so" "/lib/$(uname -m)-linux-gnu/security/pam_oss2fa.so"
    printf 'auth required pam_oss2fa.so\naccount required pam_permit.so\n' >/etc/pam.d/sudo
    printf 'ferris ALL=(ALL) ALL\nDefaults passwd_tries=1\n' >/etc/sudoers.d/test
"#;

/// Words of the steps.
const WORDS: &str = r#"
    data=/tmp/server
    server() { "$target/release/oss2fa-server" --data-dir $data "$@"; }
    agent() { "$target/release/oss2fa-agent" "$@"; }
    api() { curl -sS --fail-with-body --cacert $data/tls.crt -H "X-Integration-Token: $(cat /etc/oss2fa/server.token)" "$@"; }
    url=https://localhost:8300
    start_server() {
        setsid "$target/release/oss2fa-server" serve --data-dir $data --listen 127.0.0.1:8300 \
            >$data/banner 2>$data/log </dev/null &
        echo $! >$data/process
        wait_until grep -q 'server started' $data/banner
    }
    stop_server() { kill "$(cat $data/process)"; wait_until sh -c "! kill -0 $(cat $data/process)"; }
    # Enter at the prompt that says to touch the key; then whoever sudo lets one be.
    sudo_as_ferris() { echo | setpriv --reuid ferris --regid ferris --init-groups sudo -S -k id -un; }
"#;

const START: &str = r#"
    start_server
    sed -n 's/^ *Integration: //p' $data/banner >/etc/oss2fa/server.token
    server integration policy oss2fa --set fido.rp_id=example.org \
        --set fido.origins=https://www.example.org,oss2fa:host >/dev/null
    chown oss2fa: /etc/oss2fa/server.token; chmod 0600 /etc/oss2fa/server.token
    install -m 0644 $data/tls.crt /etc/oss2fa/server-ca.pem
    printf '%s\n' '[agent]' 'login_timeout = 30' '[server]' 'urls = ["https://localhost:8300"]' \
        'ca_file = "/etc/oss2fa/server-ca.pem"' 'timeout = 20' >/etc/oss2fa/agent.toml
    setsid "$target/release/oss2fa-agent" serve >/tmp/agent-log 2>&1 </dev/null &
    wait_until test -S /run/oss2fa/agent.sock
"#;

fn step(script: &str) -> String {
    format!("{WORDS}{script}")
}

#[test]
fn a_key_of_a_user_of_a_server_opens_sudo_with_the_server_and_without_it() {
    let _built = (Built::agent_alone(), Built::server());
    let ran = Guest::new()
        .step("users and sudo", SET_UP)
        .step("server and agent", &step(START))
        .step("a key", "make_key first; plug_in first; chgrp oss2fa /dev/hidraw*; chmod 0660 /dev/hidraw*")
        .step(
            "enrolled at the server",
            &step(
                "touch_key first; agent enroll fido2 --user ferris --name blue; let_go first
                 agent list --user ferris; api \"$url/integrations/security-keys?username=ferris\" | jq -c '.[0] | [.rp_id, .asks]'",
            ),
        )
        .step("sudo online", &step("touch_key first; sudo_as_ferris; let_go first; agent audit | grep accepted"))
        .step(
            "sudo without the server",
            &step("stop_server; touch_key first; sudo_as_ferris; let_go first; agent audit | grep offline_touch"),
        )
        .step(
            "the server hears of it, and counts on",
            &step(
                "start_server
                 wait_until sh -c \"'$target/release/oss2fa-server' --data-dir $data audit list | grep -q offline_touch\"
                 server audit list | grep offline_touch
                 api \"$url/integrations/security-keys?username=ferris\" | jq '.[0].sign_count > 0'",
            ),
        )
        .step(
            "removed at the server",
            &step(
                "api -X DELETE $url/integrations/clients/1/devices/1
                 touch_key first; if sudo_as_ferris; then exit 1; fi; let_go first; agent audit | grep offline_revoked",
            ),
        )
        .step(
            "and so without the server",
            &step("stop_server; touch_key first; if sudo_as_ferris; then exit 1; fi; let_go first"),
        )
        .step("what the agent said", "cat /tmp/agent-log")
        .run();
    println!("{ran}");
    ran.all_succeeded();
    let enrolled = &ran.of("enrolled at the server").stdout;
    assert!(enrolled.contains(r#"["example.org","touch"]"#) && enrolled.contains("blue"), "{enrolled}");
    for name in ["sudo online", "sudo without the server"] {
        assert_eq!(ran.of(name).stdout.lines().next().unwrap(), "root", "{name}: {ran}");
    }
    assert!(ran.of("the server hears of it, and counts on").stdout.contains("true"), "{ran}");
}
