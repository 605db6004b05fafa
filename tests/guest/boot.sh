#!/bin/sh
# Runs in the guest: brings it up, takes the steps of the test one after another, and switches it off. The share
# at /run/share is the only way out; each step is a folder in it, with its script, and gets its output, its status
# and its time.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
here=$(dirname "$0")
target=$(cd "$here/../../target" && pwd)

mount -t tmpfs -o mode=755 run /run
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir -p /dev/shm /dev/pts /run/share /run/lock /run/sudo
mount -t tmpfs shm /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir -p /lib/modules
mount --bind "$target/guest/kernel/modules" /lib/modules
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none share /run/share
hostname guest
ip link set lo up
modprobe -a vhci-hcd usbhid hid-generic || touch /run/share/no-modules

for step in /run/share/steps/*; do
    begun=$(cut -d ' ' -f 1 /proc/uptime)
    (
        cd / && exec timeout -k 5 "$(cat "$step/seconds")" \
            bash -euo pipefail -c '. "$1/keys.sh"; . "$1/agent.sh"; . "$2/script"' step "$here" "$step"
    ) >"$step/stdout" 2>"$step/stderr" </dev/null
    echo $? >"$step/status"
    echo "$begun $(cut -d ' ' -f 1 /proc/uptime)" >"$step/time"
done
cat /run/keys/*/log >/run/share/keys-log 2>/dev/null
touch /run/share/done
sync
echo o >/proc/sysrq-trigger
# It takes a moment.
sleep 60
