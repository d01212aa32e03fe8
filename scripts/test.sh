#!/bin/bash
# test.sh [ARGUMENTS OF cargo test] - runs all tests in one go, then says what could not run here and why. The last line
# is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
skipped=$(cd "$target" && pwd)/skipped.log
export OVZ2LXC_SKIPPED_LOG=$skipped
rm -f "$skipped"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Made beforehand, so that no test has to wait for it; without it the tests that need it are skipped.
if [ "$(id -u)" = 0 ]; then
    for tree in $(tests/node/trees.sh list); do tests/node/trees.sh build "$tree" >/dev/null || true; done
fi

cargo test --no-fail-fast "$@" 2>&1 | tee "$log"
rc=${PIPESTATUS[0]}

count() { sed -n "s/^test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$log" | awk '{n += $1} END {print n + 0}'; }
passed=$(count passed) failed=$(count failed) ignored=$(count ignored) skips=0
if [ -s "$skipped" ]; then
    skips=$(sed -n "s/^SKIPPED \([^ ]*\): .*/\1/p" "$skipped" | sort -u | wc -l)
    printf '\n%s skipped:\n' "$(wc -l <"$skipped")"
    sort -u "$skipped"
fi
# cargo counts a test that skips itself as passed.
passed=$((passed > skips ? passed - skips : 0))
# A test binary that did not compile or was killed has no closing line of its own.
[ "$rc" = 0 ] || [ "$failed" != 0 ] || printf '\ncargo test ended with %s\n' "$rc"
printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$((skips + ignored))"
exit "$rc"
