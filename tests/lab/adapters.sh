#!/bin/bash
# adapters.sh - run tests/lab_adapters.rs on node 1: real LVM in a shared group, a real Pacemaker.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
cd "$LAB_SCRIPTS/../.."
binary=$(nice cargo test --test lab_adapters --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*lab_adapters[^"]*\)".*/\1/p' | tail -1)
strip -o "$LAB_DIR/lab_adapters" "$binary"
lab_ssh 1 'cat > /root/lab_adapters && chmod 755 /root/lab_adapters' < "$LAB_DIR/lab_adapters"
lab_ssh 1 'cd /root && OVZ2LXC_LAB=1 OVZ2LXC_SKIPPED_LOG=/dev/null RUST_BACKTRACE=1 ./lab_adapters --test-threads=1 --nocapture'
