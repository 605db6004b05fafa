#!/bin/sh
# Installs the peers that come from PyPI into target/peers, each version pinned, where they are missing.
# With everything in place it takes no time.
set -eu
cd "$(dirname "$0")/../.."

install() {
    wanted=$1
    venv=target/peers/$2
    if [ -f "$venv/installed.txt" ] && cmp -s "$wanted" "$venv/installed.txt"; then
        return
    fi
    echo "Installing the peers from PyPI into $venv"
    rm -rf "$venv"
    mkdir -p "$venv"
    # Debian's own Python, whatever else is on the PATH: the tests are about Debian 12.
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --requirement "$wanted"
    # Last, so that an installation that was cut off is made anew.
    cp "$wanted" "$venv/installed.txt"
}

install tests/peers/requirements.txt schemathesis
install tests/peers/yubico/requirements.txt yubico
