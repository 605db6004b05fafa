#!/bin/sh
# Installs the peers that come from PyPI into target/peers, each version pinned, where they are missing.
# With everything in place it takes no time.
set -eu
cd "$(dirname "$0")/../.."

# again COMMAND...: three times at most. What comes over a network may not come at once.
again() {
    for pause in 10 60; do
        "$@" && return
        echo "Failed, and tried again in $pause s: $*" >&2
        sleep "$pause"
    done
    "$@"
}

# install NAME LIST: a virtual environment of this name with what the list has, and nothing else.
install() {
    venv=target/peers/$1
    if [ -f "$venv/installed.txt" ] && cmp -s "$2" "$venv/installed.txt"; then
        return
    fi
    echo "Installing the peers from PyPI into $venv"
    rm -rf "$venv"
    mkdir -p "$venv"
    # Debian's own Python, whatever else is on the PATH: the tests are about Debian 12.
    /usr/bin/python3 -m venv "$venv"
    again "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --requirement "$2"
    # Last, so that an installation that was cut off is made anew.
    cp "$2" "$venv/installed.txt"
}

install schemathesis tests/peers/requirements.txt
install nameko-2 tests/peers/nameko/requirements-2.txt
install nameko-3 tests/peers/nameko/requirements-3.txt
install security-key tests/peers/security-key.txt
install yubico tests/peers/yubico/requirements.txt
install usbip tests/peers/usbip/requirements.txt
