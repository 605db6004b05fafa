#!/bin/sh
# Makes what the guest of the tests with a security key is booted from, in target/guest, where it is missing:
# Debian's kernel and its modules, a first root, the key's firmware, its attestation. As root on Debian 12, after
# packaging/install-test-packages.sh and tests/peers/install.sh. With everything in place it asks cargo only.
set -eu
cd "$(dirname "$0")/../.."
guest=$PWD/target/guest
mkdir -p "$guest"

# The firmware, in a workspace of its own.
cargo build --quiet --release --locked --manifest-path tests/virtual-key/Cargo.toml --target-dir target/virtual-key

# Who vouches for the key: made here, known to nobody else. The number in the second extension is the model.
if [ ! -f "$guest/attestation/done" ]; then
    rm -rf "$guest/attestation"
    mkdir "$guest/attestation"
    cd "$guest/attestation"
    openssl ecparam -name prime256v1 -genkey -noout -out key.pem
    openssl ec -in key.pem -outform DER 2>/dev/null | dd bs=1 skip=7 count=32 of=key.bin status=none
    cat >request.cnf <<'END'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
C = XX
O = OSS2FA
OU = Authenticator Attestation
CN = OSS2FA virtual key
[extensions]
basicConstraints = critical, CA:FALSE
1.3.6.1.4.1.45724.2.1.1 = DER:03:02:05:20
1.3.6.1.4.1.45724.1.1.4 = DER:04:10:6f:73:73:32:66:61:2d:74:65:73:74:2d:6b:65:79:31
END
    openssl req -new -x509 -key key.pem -config request.cnf -days 20000 -outform DER -out certificate.der
    touch done
    cd - >/dev/null
fi

# Debian's kernel as it is now; the one that is here already stays.
if [ ! -f "$guest/kernel/done" ]; then
    echo "Fetching Debian's kernel for the guest into target/guest/kernel"
    rm -rf "$guest/kernel"
    mkdir -p "$guest/kernel/package"
    name=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
    if [ -z "$name" ]; then
        echo "prepare.sh: apt does not know linux-image-amd64: run apt-get update" >&2
        exit 1
    fi
    (cd "$guest/kernel" && apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=5 download "$name" && dpkg-deb -x ./*.deb package && rm ./*.deb)
    cp "$guest/kernel/package/boot/vmlinuz-"* "$guest/kernel/vmlinuz"
    release=$(ls "$guest/kernel/package/lib/modules")
    depmod -b "$guest/kernel/package" "$release"
    mv "$guest/kernel/package/lib/modules" "$guest/kernel/modules"
    rm -r "$guest/kernel/package"
    touch "$guest/kernel/done"
fi

# The first root: busybox, and the modules by which the guest comes to this machine's files.
if [ ! -f "$guest/initrd" ] || [ -n "$(find tests/guest/init tests/guest/prepare.sh "$guest/kernel/done" -newer "$guest/initrd")" ]; then
    root=$guest/root
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/modules"
    cp "$(command -v busybox)" "$root/bin/busybox"
    install -m 0755 tests/guest/init "$root/init"
    for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci 9pnet 9pnet_virtio netfs \
        fscache 9p overlay; do
        find "$guest/kernel/modules" -name "$module.ko" -exec cp {} "$root/modules" \; | head -n 1
        test -f "$root/modules/$module.ko" || { echo "prepare.sh: the kernel has no module $module" >&2; exit 1; }
        echo "$module" >>"$root/modules/order"
    done
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$guest/initrd.new"
    mv "$guest/initrd.new" "$guest/initrd"
fi
