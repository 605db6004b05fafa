# What the steps of a test in the guest may say about our own programs: the module in the real sudo, the daemon as a
# process and a user of its own, who may open keys because udev's rule lets them. After tests/guest/keys.sh.
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
agent=$target/release/oss2fa-agent
awaited=/run/oss2fa-agent/touch-awaited

# install_agent: all that the package puts in place, the daemon's user, udev, and people called NAME...
install_agent() {
    local name
    install -m 0644 "$target/release/libpam_oss2fa.so" "$(echo /usr/lib/*-linux-gnu/security)/pam_oss2fa.so"
    install -m 0644 "$source/packaging/udev/oss2fa-agent.rules" /usr/lib/udev/rules.d/70-oss2fa-agent.rules
    install -m 0644 "$source/packaging/systemd/oss2fa-agent.sysusers" /usr/lib/sysusers.d/oss2fa-agent.conf
    systemd-sysusers oss2fa-agent.conf
    rm -rf /etc/oss2fa /var/lib/oss2fa /run/oss2fa
    install -d -m 0755 /etc/oss2fa /run/oss2fa
    install -d -m 0755 -o oss2fa -g oss2fa /run/oss2fa-agent
    install -d -m 0700 -o oss2fa -g oss2fa /var/lib/oss2fa
    install -m 0644 "$source/config/agent.toml" /etc/oss2fa/agent.toml
    ln -sf "$agent" /usr/local/bin/oss2fa-agent
    # sudo looks its own host up.
    echo '127.0.0.1 guest' >>/etc/hosts
    echo 'Defaults timestamp_timeout=0, passwd_tries=1' >>/etc/sudoers.d/test
    /lib/systemd/systemd-udevd --daemon 2>/dev/null
    for name in "$@"; do
        useradd -m "$name"
        echo "$name ALL=(ALL) ALL" >>/etc/sudoers.d/test
    done
    restore_stack
}

# restore_stack: sudo asks for the second factor alone, and insists on it.
restore_stack() {
    printf 'auth required pam_oss2fa.so\naccount required pam_oss2fa.so enforce\nsession required pam_permit.so\n' \
        >/etc/pam.d/sudo
}

# start_agent: until it listens. It says what it does in /run/agent.log.
start_agent() {
    setsid "$agent" serve >>/run/agent.log 2>&1 </dev/null &
    echo $! >/run/agent.pid
    wait_until "$agent" status
}

# reload_agent: its configuration is in force when this ends.
reload_agent() {
    hang_up "$(cat /run/agent.pid)"
}

# hang_up PROCESS: SIGHUP for a daemon whose log is /run/agent.log, until that says once more that what was read is in force.
hang_up() {
    local before
    before=$(_in_force)
    kill -HUP "$1"
    until [ "$(_in_force)" -gt "$before" ]; do doze; done
}
_in_force() { grep -c 'was read again and is in force' /run/agent.log || true; }

# set_agent KEY VALUE: another value in its configuration.
set_agent() {
    sed -i "s|^$1 = .*|$1 = $2|" /etc/oss2fa/agent.toml
    grep -qx "$1 = $2" /etc/oss2fa/agent.toml
    reload_agent
}

# as NAME COMMAND...
as() {
    local name=$1
    shift
    setpriv --reuid "$name" --regid "$name" --init-groups env HOME="/home/$name" USER="$name" "$@"
}

# at_terminal NAME COMMAND [PROMPT ANSWER]...: by that user, as tests/guest/terminal.exp says.
at_terminal() {
    expect "$source/tests/guest/terminal.exp" "$@" | tr -d '\r'
}

# log_in NAME [PROMPT ANSWER]...: sudo at a terminal, which asks each time.
log_in() {
    local name=$1
    shift
    at_terminal "$name" 'exec sudo -k id -un' "$@"
}

# begin COMMAND...: it goes on beside what follows, until `finish`, which shows what it has said.
begin() {
    "$@" >/tmp/said 2>&1 &
    begun=$!
}
finish() {
    wait "$begun"
    cat /tmp/said
}

# touch_when_awaited NAME: as soon as the daemon says that somebody is to, until it has the touch.
touch_when_awaited() {
    wait_until test -e $awaited
    touch_key "$1"
    wait_until test ! -e $awaited
    let_go "$1"
}

# somebody_sits_here NAME...: who touches those keys whenever the daemon says so, from now on.
somebody_sits_here() {
    local name
    while :; do
        wait_until test -e $awaited
        for name in "$@"; do touch_key "$name"; done
        wait_until test ! -e $awaited
        for name in "$@"; do let_go "$name"; done
    done
}

# _used: what the daemon has had of the processor so far, in hundredths of a second (proc(5): utime and stime).
_used() {
    # The words behind its name, which may have blanks.
    sed 's/.*) //' "/proc/$(cat /run/agent.pid)/stat" | awk '{print $12 + $13}'
}

# measure_processor SECONDS TIMES: says what the daemon has of one core during that time, in per cent: the least of so many
# times, for whatever else wants the guest's processors, or this machine's, only ever adds to it.
measure_processor() {
    local used begun
    for _ in $(seq "$2"); do
        used=$(_used) begun=$(cut -d ' ' -f 1 /proc/uptime)
        sleep "$1"
        echo "$(_used) $used $(cut -d ' ' -f 1 /proc/uptime) $begun"
    done | awk '{printf "%.3f %%\n", ($1 - $2) / ($3 - $4)}' | sort -n | head -n 1
}
