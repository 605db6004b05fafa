#!/bin/sh
# Sets privacyIDEA up for the benchmark, from its packages on PyPI: a virtual environment (kept between
# runs), and a fresh site beside it with configuration, keys, an SQLite database and HOTP tokens.
#
# Usage: setup.sh FOLDER COUNT
# Leaves FOLDER/venv and FOLDER/site; `serve.sh FOLDER PORT` then runs it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?"the folder to set it up in"}
count=${2:?"how many HOTP tokens"}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
venv=$folder/venv
site=$folder/site

# The list of versions is copied there last: so a broken installation is made anew.
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-deps --disable-pip-version-check -r "$here/requirements.txt"
    "$venv/bin/pip" check >/dev/null
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

rm -rf "$site"
mkdir -m 0700 "$site"
# As its documentation has it for production; logs at the level that it recommends.
cat >"$site/pi.cfg" <<CONFIG
import logging
SUPERUSER_REALM = ['super']
SQLALCHEMY_DATABASE_URI = 'sqlite:///$site/privacyidea.db'
SECRET_KEY = '$("$venv/bin/python" -c 'import secrets; print(secrets.token_hex(24))')'
PI_PEPPER = '$("$venv/bin/python" -c 'import secrets; print(secrets.token_hex(24))')'
PI_ENCFILE = '$site/enckey'
PI_AUDIT_KEY_PRIVATE = '$site/private.pem'
PI_AUDIT_KEY_PUBLIC = '$site/public.pem'
PI_LOGFILE = '$site/privacyidea.log'
PI_LOGLEVEL = logging.WARNING
PI_UUID_FILE = '$site/uuid.txt'
CONFIG
export PRIVACYIDEA_CONFIGFILE="$site/pi.cfg"
manage() {
    "$venv/bin/pi-manage" "$@" >>"$site/setup.log" 2>&1 || { cat "$site/setup.log" >&2; exit 1; }
}
manage setup create_enckey
manage setup create_audit_keys
manage setup create_tables
"$venv/bin/python" "$here/tokens.py" "$count" >>"$site/setup.log" 2>&1 || { cat "$site/setup.log" >&2; exit 1; }
