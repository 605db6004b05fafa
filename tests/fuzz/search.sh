#!/bin/sh
# Runs one fuzz target for a short time: `search.sh TARGET_FOLDER HOST SCRATCH SECONDS NAME`; smoke.sh runs it for each.
set -eu

built=$1 host=$2 found=$3 seconds=$4 target=$5
here=$(cd "$(dirname "$0")" && pwd)
mkdir "$found/$target"
log=$found/$target.log
# On a machine that does much else the time may be over when the seeds have been tried: then for longer.
for time in "$seconds" "$((seconds * 12))"; do
    status=0
    TMPDIR=$found "$built/$host/debug/$target" "$found/$target" "$here/corpus/$target" \
        -max_total_time="$time" -rss_limit_mb=512 -timeout=5 -print_final_stats=1 \
        -artifact_prefix="$built/artifacts/$target-" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
        echo "fuzz $target: FAILED; the input is in $built/artifacts" >&2
        exit 1
    fi
    # `#N DONE cov: C ft: F ...`: C counts the edges that were reached, also by the seeds.
    coverage=$(sed -n 's/^#[0-9]*[[:space:]]*DONE[[:space:]]*cov: \([0-9]*\) .*/\1/p' "$log")
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    new=$(sed -n 's/^stat::new_units_added: *//p' "$log")
    echo "fuzz $target: $runs runs, $coverage edges, $new inputs that reached something new"
    if [ "${coverage:-0}" -ge 50 ] && [ "${new:-0}" -ge 1 ]; then
        exit 0
    fi
done
echo "fuzz $target: FAILED: the coverage did not grow, so nothing was searched" >&2
exit 1
