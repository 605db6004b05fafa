# Makes the private world around itself and keeps it until its standard input ends.
# $1: an empty folder of its own; $2: the PAM module; $3: the agent.
set -eu
umask 022
base=$1
cd "$base"

cover() {
    # $1: a folder of the machine; $2: what it shall look like from here on.
    mount --bind "$base/$2" "$1"
}

cp -a /etc etc
for security in /usr/lib/*-linux-gnu/security; do cp -a "$security" security; done
cp "$2" security/pam_oss2fa.so
mkdir -p home bin lib/sudo log run/lock run/sshd run/sudo run/oss2fa run/systemd/journal mail dev
chmod 711 run/sudo
chmod 700 lib/sudo
cp "$3" bin/oss2fa-agent
chmod 755 bin/oss2fa-agent security/pam_oss2fa.so

mount -t tmpfs -o mode=755 none dev
for node in null zero full random urandom tty; do cp -a "/dev/$node" dev/; done
mkdir dev/pts dev/shm
chmod 1777 dev/shm
mount --rbind /dev/pts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
ln -s /run/systemd/journal/dev-log dev/log
mount --rbind dev /dev

cover /etc etc
cover "$security" security
cover /home home
cover /usr/local/bin bin
cover /var/lib lib
cover /var/log log
cover /var/mail mail
cover /run run
echo 127.0.0.1 "$(hostname)" >>/etc/hosts
rm -f /etc/sudoers.d/* /etc/environment
getent passwd oss2fa >/dev/null ||
    useradd --system --user-group --home-dir /var/lib/oss2fa --shell /usr/sbin/nologin oss2fa
install -d -o oss2fa -g oss2fa -m 700 /var/lib/oss2fa
install -d -m 755 /etc/oss2fa
echo ready

# The other end of this pipe closes when the test ends, however it ends.
read -r end || true

me=$(readlink /proc/$$/ns/mnt | tr -dc 0-9)
for round in 1 2 3 4 5; do
    left=
    for process in $(find /proc/[0-9]*/ns/mnt -maxdepth 0 -lname "mnt:?$me?" 2>/dev/null); do
        process=${process#/proc/}
        process=${process%/ns/mnt}
        if [ "$process" != "$$" ] && kill -9 "$process" 2>/dev/null; then left=1; fi
    done
    [ -n "$left" ] || break
done
cd /
umount -l "$base/dev" 2>/dev/null || true
# With what a test has mounted below them.
umount -lR /var/lib /run 2>/dev/null || true
rm -rf "$base"
