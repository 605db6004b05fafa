#!/bin/sh
# Builds the Debian package of the host part from programs that are already built (`make build`).
#
# Usage: build-deb.sh [VERSION] [FOLDER]
#   VERSION  of the package; by default the workspace's, with Debian revision 1
#   FOLDER   where the .deb goes; by default target/debian
# Environment: BUILD_DIR (default target/release), COMPRESSION (default xz; "none" is quick for a trial),
# DEBFULLNAME and DEBEMAIL (who packages it), SOURCE_DATE_EPOCH (the date inside; by default that of the
# last commit).
#
# Prints the path of the package.
set -eu

cd "$(dirname "$0")/../.."
version=${1:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)-1}
folder=${2:-target/debian}
build_dir=${BUILD_DIR:-target/release}
maintainer="${DEBFULLNAME:-OSS2FA packaging} <${DEBEMAIL:-packaging@oss2fa.invalid}>"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}"
export SOURCE_DATE_EPOCH
umask 022

for tool in dpkg-deb dpkg-shlibdeps dpkg-architecture strip; do
    command -v "$tool" >/dev/null || { echo "build-deb.sh: $tool is missing: apt-get install dpkg-dev binutils" >&2; exit 1; }
done
for file in libpam_oss2fa.so oss2fa-agent; do
    [ -e "$build_dir/$file" ] || { echo "build-deb.sh: $build_dir/$file is missing: run 'make build' first" >&2; exit 1; }
done
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

env -u MAKEFLAGS -u MFLAGS make --no-print-directory -s install-agent DESTDIR="$root" PREFIX=/usr BUILD_DIR="$build_dir" \
    UNIT_DIR=/lib/systemd/system >&2
# What Debian's own packages leave out: it is of no use once linked.
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/bin/oss2fa-agent" \
    "$root"/usr/lib/*/security/pam_oss2fa.so
# Debian compresses what is read with man and zless, without a time stamp.
find "$root/usr/share/man" -type f -name '*.[1-8]' -exec gzip -9n {} +

doc=$root/usr/share/doc/oss2fa-agent
install -m 0644 packaging/debian/copyright "$doc/copyright"
[ ! -e CHANGELOG.md ] || gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
{
    echo "oss2fa-agent ($version) bookworm; urgency=medium"
    echo
    echo "  * Built from the sources of OSS2FA; its CHANGELOG.md says what is new."
    echo
    echo " -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.Debian.gz"
# The licences of what is linked in.
cargo tree --locked --offline -p oss2fa-agent -p pam_oss2fa -e normal,no-proc-macro --prefix none \
    -f '{p} {l}' | sed 's, (\*)$,,; s, (/[^)]*),,; /^$/d' | LC_ALL=C sort -u | gzip -9n >"$doc/crates.gz"
install -D -m 0644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/oss2fa-agent"

# Which versions of which libraries the programs need. dpkg-shlibdeps wants a source package around it.
mkdir -p "$work/source/debian" "$root/DEBIAN"
printf 'Source: oss2fa\n\nPackage: oss2fa-agent\nArchitecture: any\n' >"$work/source/debian/control"
shlibs=$(cd "$work/source" && dpkg-shlibdeps -O -e"$root/usr/bin/oss2fa-agent" \
    -e"$(echo "$root"/usr/lib/*/security/pam_oss2fa.so)" | sed -n 's/^shlibs:Depends=//p')
[ -n "$shlibs" ] || { echo "build-deb.sh: dpkg-shlibdeps found no library; are these the built programs?" >&2; exit 1; }

sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@MAINTAINER@|$maintainer|" \
    -e "s|@SHLIBS@|$shlibs|" -e "s|@SIZE@|$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)|" \
    packaging/debian/control.in >"$root/DEBIAN/control"
install -m 0644 packaging/debian/conffiles "$root/DEBIAN/conffiles"
install -m 0755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$root/DEBIAN/"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$folder"
package=$folder/oss2fa-agent_${version}_$architecture.deb
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$root" "$package" >/dev/null
echo "$package"
