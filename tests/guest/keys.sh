# What the steps of a test in the guest may say. A key has a name; its folder is /run/keys/NAME.
target=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../target" && pwd)
SECRET=303132333435363738393a3b3c3d3e3f40414243

# doze: a moment, without a program, whose start takes longer here than the moment.
exec {nothing}<> <(:)
doze() { read -rt 0.05 -u "$nothing" || true; }

# wait_until COMMAND...: until it succeeds. The step's own time is the limit.
wait_until() {
    until "$@" >/dev/null 2>&1; do doze; done
}

# make_key NAME: a key of its own, not plugged in. The first has serial number 4200001, and so on.
make_key() {
    local folder=/run/keys/$1 number
    mkdir -p "$folder"
    number=$(ls /run/keys | wc -l)
    echo $((3240 + number)) >"$folder/port"
    : >"$folder/ready"
    setsid "$target/peers/usbip/bin/python" "$(dirname "${BASH_SOURCE[0]}")/device.py" \
        --port $((3240 + number)) --serial $((4200000 + number)) --secret $SECRET --touch "$folder/finger" -- \
        "$target/virtual-key/release/oss2fa-virtual-key" "$target/guest/attestation/certificate.der" \
        "$target/guest/attestation/key.bin" "$folder/memory" "$folder/finger" \
        >"$folder/ready" 2>"$folder/log" </dev/null &
    echo $! >"$folder/process"
    until grep -q ready "$folder/ready"; do
        kill -0 "$(cat "$folder/process")" || { cat "$folder/log" >&2; return 1; }
        doze
    done
}

# The ports of the virtual bus that are in use, one a line.
_ports() {
    awk '$3 == 6 || $3 == "006" {print $2 + 0}' /sys/devices/platform/vhci_hcd.0/status
}

# How many interfaces of keys the system has: sets the variable `nodes`.
_count_nodes() {
    local all
    mapfile -t all < <(compgen -G "/dev/hidraw*")
    nodes=${#all[@]}
}

# plug_in NAME: until the system has both its interfaces.
plug_in() {
    local folder=/run/keys/$1 before nodes had
    before=$(_ports)
    _count_nodes
    had=$nodes
    usbip --tcp-port "$(cat "$folder/port")" attach -r 127.0.0.1 -b 1-1
    until [ "$nodes" = $((had + 2)) ]; do
        doze
        _count_nodes
    done
    comm -13 <(echo "$before" | sort) <(_ports | sort) >"$folder/bus"
    # Where udev runs, it also says who may open them.
    [ ! -e /run/udev/control ] || udevadm settle
}

# pull_out NAME: its power goes with it; until the system has neither of its interfaces.
pull_out() {
    local folder=/run/keys/$1 nodes had
    _count_nodes
    had=$nodes
    usbip detach -p "$(cat "$folder/bus")"
    kill -USR1 "$(cat "$folder/process")"
    until [ "$nodes" = $((had - 2)) ]; do
        doze
        _count_nodes
    done
}

# touch_key NAME, let_go NAME: the finger.
touch_key() { : >"/run/keys/$1/finger"; }
let_go() { rm -f "/run/keys/$1/finger"; }

# fido_node, otp_node: the device file of the interface, of the key that was plugged in last.
_node() {
    local node found=
    for node in $(compgen -G '/sys/class/hidraw/hidraw*' || true); do
        if od -An -tx1 -v "$node/device/report_descriptor" | tr -d ' \n' | grep -q "^$1"; then
            found=/dev/${node##*/}
        fi
    done
    [ -n "$found" ] && echo "$found"
}
fido_node() { _node 06d0f1; }
otp_node() { _node 0501; }

# vouched_by_fido2_tools [-u]: they have the key that was plugged in last make a credential and log in with it, by U2F with -u,
# and judge both. Its finger is there. Leaves `answer` and `public-key` in /tmp.
vouched_by_fido2_tools() {
    local node
    node=$(fido_node)
    cd /tmp
    head -c 32 /dev/urandom | base64 >challenge
    { cat challenge; echo example.org; echo ferris; echo ZmVycmlz; } >ask
    fido2-cred -M "$@" -i ask "$node" es256 >made
    fido2-cred -V -i made -o credential es256
    { cat challenge; echo example.org; sed -n 1p credential; } >ask
    fido2-assert -G "$@" -i ask "$node" >answer
    sed 1d credential >public-key
    fido2-assert -V -i answer public-key es256
}

# set_pin PIN: of the key that was plugged in last and has none.
set_pin() {
    expect -c "
        set timeout 150
        spawn fido2-token -S $(fido_node)
        expect -re {new PIN.*: } { send $1\r }
        expect -re {again.*: } { send $1\r }
        expect eof
        lassign [wait] a b c status
        exit \$status"
}
