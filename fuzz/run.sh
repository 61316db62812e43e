#!/bin/sh
# Runs fuzz targets one after the other with the stable compiler, and prints a table:
#     sh fuzz/run.sh SECONDS [TARGET…]
# Works on copies of the corpora below target/; crashes stay in target/found/TARGET/.
set -eu
cd "$(dirname "$0")"
seconds=${1:?how many seconds for each target?}
shift
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER="$PWD/rustc.sh"
export RUSTFLAGS="--cfg fuzzing -Cdebug-assertions -Zsanitizer=address"
cargo build --release --quiet --target "$host"
[ $# -gt 0 ] || set -- $(ls corpus)

echo "| target | executions | seconds | crashes |"
echo "|---|---|---|---|"
for target in "$@"; do
    rm -rf "target/grown/$target"
    mkdir -p "target/grown/$target" "target/found/$target"
    cp "corpus/$target"/* "target/grown/$target/"
    log="target/found/$target.log"
    # Leaks are looked for by the tests; here they would cost a scan every few inputs.
    "target/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -detect_leaks=0 \
        -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="target/found/$target/" "target/grown/$target" >"$log" 2>&1 || true
    ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    took=$(sed -n 's/^Done .* in \([0-9]*\) second.*/\1/p' "$log")
    echo "| \`$target\` | ${ran:-?} | ${took:-?} | $(ls "target/found/$target" | wc -l) |"
done
