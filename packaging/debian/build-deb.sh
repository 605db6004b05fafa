#!/bin/sh
# Builds one Debian package from programs that are already built (`make build`).
#
# Usage: build-deb.sh PACKAGE [VERSION] [FOLDER]
#   PACKAGE  oss2fa-agent or oss2fa-server
#   VERSION  of the package; by default the workspace's, with Debian revision 1
#   FOLDER   where the .deb goes; by default target/packages
# Environment: BUILD_DIR (default target/release), COMPRESSION (default xz; "none" is quick for a trial),
# DEBFULLNAME and DEBEMAIL (who packages it), SOURCE_DATE_EPOCH (the date inside; by default that of the
# last commit).
#
# Prints the path of the package.
set -eu

cd "$(dirname "$0")/../.."
package=${1:-}
version=${2:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)-1}
folder=${3:-target/packages}
build_dir=${BUILD_DIR:-target/release}
maintainer="${DEBFULLNAME:-OSS2FA packaging} <${DEBEMAIL:-packaging@oss2fa.invalid}>"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}"
export SOURCE_DATE_EPOCH
umask 022

case "$package" in
    oss2fa-agent) built="oss2fa-agent libpam_oss2fa.so" crates="-p oss2fa-agent -p pam_oss2fa" ;;
    oss2fa-server) built="oss2fa-server" crates="-p oss2fa-server" ;;
    *) echo "build-deb.sh: unknown package '$package'; it is 'oss2fa-agent' or 'oss2fa-server'" >&2; exit 2 ;;
esac
for tool in dpkg-deb dpkg-shlibdeps dpkg-architecture strip; do
    command -v "$tool" >/dev/null || { echo "build-deb.sh: $tool is missing: apt-get install dpkg-dev binutils" >&2; exit 1; }
done
for file in $built; do
    [ -e "$build_dir/$file" ] || { echo "build-deb.sh: $build_dir/$file is missing: run 'make build' first" >&2; exit 1; }
done
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
scripts=packaging/debian/$package

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

env -u MAKEFLAGS -u MFLAGS make --no-print-directory -s "install-${package#oss2fa-}" DESTDIR="$root" PREFIX=/usr \
    BUILD_DIR="$build_dir" UNIT_DIR=/lib/systemd/system >&2
# Every program and library of it.
set -- "$root/usr/bin/$package" "$root"/usr/lib/*/security/*.so
[ -e "$2" ] || set -- "$1"
# What Debian's own packages leave out: it is of no use once linked.
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$@"
# Debian compresses what is read with man and zless, without a time stamp.
find "$root/usr/share/man" -type f -name '*.[1-8]' -exec gzip -9n {} +

doc=$root/usr/share/doc/$package
sed "s|@PACKAGE@|$package|" packaging/debian/copyright >"$doc/copyright"
[ ! -e CHANGELOG.md ] || gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
{
    echo "$package ($version) bookworm; urgency=medium"
    echo
    echo "  * Built from the sources of OSS2FA; its CHANGELOG.md says what is new."
    echo
    echo " -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.Debian.gz"
# The licences of what is linked in. $crates is a list of words on purpose.
# shellcheck disable=SC2086
cargo tree --locked --offline $crates -e normal,no-proc-macro --prefix none \
    -f '{p} {l}' | sed 's, (\*)$,,; s, (/[^)]*),,; /^$/d' | LC_ALL=C sort -u | gzip -9n >"$doc/crates.gz"
install -D -m 0644 "$scripts/lintian-overrides" "$root/usr/share/lintian/overrides/$package"

# Which versions of which libraries the programs need. dpkg-shlibdeps wants a source package around it.
mkdir -p "$work/source/debian" "$root/DEBIAN"
printf 'Source: oss2fa\n\nPackage: %s\nArchitecture: any\n' "$package" >"$work/source/debian/control"
shlibs=$(cd "$work/source" && dpkg-shlibdeps -O "$@" | sed -n 's/^shlibs:Depends=//p')
[ -n "$shlibs" ] || { echo "build-deb.sh: dpkg-shlibdeps found no library; are these the built programs?" >&2; exit 1; }

sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@MAINTAINER@|$maintainer|" \
    -e "s|@SHLIBS@|$shlibs|" -e "s|@SIZE@|$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)|" \
    "$scripts/control.in" >"$root/DEBIAN/control"
install -m 0644 "$scripts/conffiles" "$root/DEBIAN/conffiles"
install -m 0755 "$scripts/postinst" "$scripts/prerm" "$scripts/postrm" "$root/DEBIAN/"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$folder"
file=$folder/${package}_${version}_$architecture.deb
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$root" "$file" >/dev/null
echo "$file"
