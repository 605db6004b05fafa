#!/bin/sh
# Runs what setup.sh made: gunicorn with two workers on a port of the loopback interface.
#
# Usage: serve.sh FOLDER PORT
set -eu

folder=${1:?"the folder that setup.sh was given"}
port=${2:?"a free port"}
folder=$(cd "$folder" && pwd)
cd "$folder/site"
exec "$folder/venv/bin/gunicorn" --workers 2 --bind "127.0.0.1:$port" --log-level warning \
    --pid "$folder/site/gunicorn.pid" \
    "privacyidea.app:create_app(config_name='production', config_file='$folder/site/pi.cfg', silent=True)"
