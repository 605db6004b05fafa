#!/bin/sh
# Builds the fuzz targets and runs each for a short time: `smoke.sh [SECONDS_PER_TARGET]`, 5 by default.
# Needs the stable toolchain and g++, nothing else. Fails on a crash, on a run that takes too long or
# too much memory, and when the coverage counters do not count.
#
# For a long run of one target after this: target/fuzz/x86_64-unknown-linux-gnu/debug/NAME DIR tests/fuzz/corpus/NAME
# To try a single input again: the same program with the file as its only argument.
set -eu

seconds=${1:-5}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
built=$root/target/fuzz
targets="wire config import u2f_keys ssh_sk otpauth yubikey display_text server_config server_values server_request \
server_keys bus_call mail_answers sms_answers yubico_answers ctap_messages ctap_attestation ctap_device"

# What cargo-fuzz passes, without its sanitizer, which needs an unstable compiler. Naming the target
# keeps the flags from build scripts and macros. The ciphers are those of .cargo/config.toml.
RUSTFLAGS="--cfg fuzzing --cfg chacha20_backend=\"soft\" --cfg poly1305_backend=\"soft\" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
    cargo build --quiet --locked --bins --target "$host" --target-dir "$built" --manifest-path "$here/Cargo.toml"

mkdir -p "$built/artifacts"
# In memory where that can be: one target has a database there.
found=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$found"' EXIT
# One for each processor at a time.
printf '%s\n' $targets | xargs -n 1 -P "$(nproc)" "$here/search.sh" "$built" "$host" "$found" "$seconds"
