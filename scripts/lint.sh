#!/bin/bash
# lint.sh - format, clippy with every warning an error, documentation without warnings, shell and Perl scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --check
cargo clippy --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

scripts=()
while IFS= read -r file; do
    [ -f "$file" ] || continue
    case $(head -c 64 "$file" | head -n 1) in
    '#!'*bash*|'#!/bin/sh'*) scripts+=("$file") ;;
    '#!'*perl*) perl -I "$(dirname "$file")" -c "$file" ;;
    esac
done < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci scripts tests/node demo tests/lab)
if command -v shellcheck >/dev/null; then
    shellcheck -S warning "${scripts[@]}"
else
    echo "shellcheck is not installed: the shell scripts were not read"
fi
