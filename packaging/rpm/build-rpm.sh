#!/bin/sh
# Builds the RPM packages of the host part and of the server from programs that are already built
# (`make build`). rpmbuild of any system will do; what the programs were linked with decides where they run.
#
# Usage: build-rpm.sh [VERSION] [FOLDER]
#   VERSION  of the packages; by default the workspace's
#   FOLDER   where they go; by default target/packages
# Environment: BUILD_DIR (default target/release), PAYLOAD (default w19.zstdio; "w0.ufdio" is quick for a
# trial), SOURCE_DATE_EPOCH (the date inside; by default that of the last commit).
#
# Prints the paths of the packages.
set -eu

cd "$(dirname "$0")/../.."
version=${1:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)}
folder=${2:-target/packages}
build_dir=${BUILD_DIR:-target/release}
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}"
export SOURCE_DATE_EPOCH
umask 022

command -v rpmbuild >/dev/null || { echo "build-rpm.sh: rpmbuild is missing: install rpm-build (on Debian: rpm)" >&2; exit 1; }
for file in libpam_oss2fa.so oss2fa-agent oss2fa-server; do
    [ -e "$build_dir/$file" ] || { echo "build-rpm.sh: $build_dir/$file is missing: run 'make build' first" >&2; exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
rpmbuild -bb --quiet \
    --define "_topdir $work" --define "_dbpath $work/db" --define "_rpmdir $(cd "$folder" && pwd)" \
    --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    --define "_binary_payload ${PAYLOAD:-w19.zstdio}" \
    --define '_buildhost oss2fa.invalid' --define 'use_source_date_epoch_as_buildtime 1' \
    --define 'clamp_mtime_to_source_date_epoch 1' \
    --define "packaged_on $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" \
    --define "sources $(pwd)" --define "built $(cd "$build_dir" && pwd)" --define "packaged $version" \
    packaging/rpm/oss2fa.spec >&2
for package in oss2fa-agent oss2fa-server; do
    echo "$folder/$package-$version-1.$(uname -m).rpm"
done
