#!/bin/sh
# Installs the Debian packages that building, testing, the demo and the benchmark need, where they are
# missing. Debian 12, as root. With everything in place it asks dpkg only, and takes no time.
#
# Usage: install-test-packages.sh [demo|test]     (default: test, which is everything)
set -eu

# To compile the module (libpam) and SQLite, which is bundled as C.
build="build-essential pkg-config libpam0g-dev"
# The programs that people log in through, and an independent generator of codes.
login="openssh-server openssh-client sudo iproute2 oathtool curl expect python3 python3-pexpect python3-pyotp"
# libpam without a program around it, as root and as somebody else; what a process opens; QR codes.
harness="pamtester libpam-wrapper iptables strace zbar-tools qrencode faketime gdb"
# What stands around the server: its callers, its other store, who takes its mail, the broker of its bus.
server="jq openssl postgresql python3-aiosmtpd python3-requests rabbitmq-server"
# A browser with a security key, and what drives it.
browser="chromium chromium-driver"
# What makes the passwords of YubiKeys, and who has them validated.
yubico="libyubikey-dev libpam-yubico libykclient-dev"
# Who signs as a key on a security key would, for sshd.
ssh="python3-cryptography"
# To install the peers that come from PyPI (tests/peers/install.sh).
pypi="python3-venv python3-pip"
# What the benchmark measures against, and what `import` reads files of.
peers="libpam-google-authenticator libpam-oath"
# The packages: dpkg-shlibdeps, rpmbuild, their linters, a Debian to install them in, what runs
# the container, the checks of the units and of what confines the agent.
package="dpkg-dev lintian debootstrap debian-archive-keyring systemd rpm rpmlint podman crun
    apparmor python3-apparmor selinux-policy-dev"
# A guest with a kernel of its own, the security key in it, and who speaks to keys there. The key's firmware
# is built with libclang.
guest="qemu-system-x86 busybox-static cpio kmod usbip fido2-tools pamu2fcfg libpam-u2f yubikey-personalization
    udev libclang-dev"

case "${1:-test}" in
    demo) wanted="$build $login" ;;
    test) wanted="$build $login $harness $server $browser $yubico $ssh $pypi $peers $package $guest" ;;
    *) echo "install-test-packages.sh: unknown purpose '$1'; it is 'demo' or 'test'" >&2; exit 2 ;;
esac

missing=
for name in $wanted; do
    case "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)" in
        installed) ;;
        *) missing="$missing $name" ;;
    esac
done
if [ -z "$missing" ]; then
    exit 0
fi

echo "Installing with apt-get:$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "install-test-packages.sh: run this as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# openssh-server would start an sshd for the whole machine, postgresql a cluster and rabbitmq-server a
# broker. Debian's way to say no is this file; where the machine has its own, that one stands.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\n# Put here by OSS2FA while its test packages install; remove it if it stayed.\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
fi

# Another apt may be at work on a machine that was just started, and what comes over a network may not come at once.
patient="-o DPkg::Lock::Timeout=600 -o Acquire::Retries=5"
install() {
    # Both are lists of words on purpose.
    # shellcheck disable=SC2086
    apt-get $patient update -q || echo "apt-get update failed; going on with the package lists that are there" >&2
    # shellcheck disable=SC2086
    apt-get $patient install -y -q --no-install-recommends $missing
}

export DEBIAN_FRONTEND=noninteractive
install || { sleep 30; install; }
