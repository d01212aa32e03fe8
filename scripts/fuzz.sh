#!/bin/bash
# fuzz.sh [MINUTES] - builds the fuzz targets on the Rust that is installed (libFuzzer's own coverage passes need no
# nightly), and runs them over fuzz/corpus. 10 minutes unless said otherwise, 0 for the seeds alone; the seed files are not changed. Ends with
# another code than 0 when an input breaks a promise of the parser; that input is then named.
#
# What libFuzzer finds is kept in target/fuzz/corpus and used again by the next run.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-${MINUTES:-10}}
case $minutes in '' | *[!0-9]*) printf 'fuzz.sh: "%s" is not a number of minutes\n' "$minutes" >&2; exit 2 ;; esac
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/fuzz/corpus" "$target/fuzz/artifacts"
target=$(cd "$target/fuzz" && pwd)
runs=-max_total_time=$((minutes * 20)) # three targets
[ "$minutes" != 0 ] || runs=-runs=0 # the seeds alone
mkdir -p "$target/walk" "$target/archive"
host=$(rustc -vV | sed -n 's/^host: //p')

# As cargo-fuzz sets them, without a sanitizer: what is hunted is panics, and the crate has no unsafe code. Dead code is
# left out and the code generated in parallel, which makes the build minutes shorter. With --target the flags hold for the
# program alone, not for build scripts and macros.
flags=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0
    -Cforce-frame-pointers --cfg=fuzzing)
RUSTFLAGS=${flags[*]} cargo build --release --locked --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$target"

dictionary=$target/ve_conf.dict
# The names of the parameters, from their table, and the words of their values.
{
    grep -oE '(row|ubc|opaque)\("[A-Z0-9_]+"' src/openvz/params.rs | sed -E 's/.*\("(.*)"/"\1="/'
    printf '"%s"\n' unlimited yes no inherit all auto none ploop: simfs ':on' ':off' 'ifname=' 'mac=' 'c:10:200:rw' \
        '$VEID' '%%\x0a' '\x0a' '\\' '\"' 5fbaabe3-6958-40ff-92a7-860e329aab41 9223372036854775807
} | sort -u >"$dictionary"

common=("$runs" -artifact_prefix="$target/artifacts/" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1)

# What is unpacked needs a place that is fast, and goes with this script.
trees=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$trees"' EXIT
TMPDIR=$trees "$target/$host/release/archive" "$target/archive" fuzz/corpus/archive "${common[@]}" -max_len=16384
"$target/$host/release/walk" "$target/walk" fuzz/corpus/walk "${common[@]}" -max_len=4096
"$target/$host/release/ve_conf" "$target/corpus" fuzz/corpus/ve_conf "${common[@]}" -max_len=4096 -dict="$dictionary"
