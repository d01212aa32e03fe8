#!/bin/bash
# Compares `ovz2lxc copy` with `rsync -aHAXS --numeric-ids` and `tar | ssh | tar`, over ssh on loopback.
# The ways take turns, so that a busy machine slows all of them; medians and their ratios to rsync are printed.
#
# usage: benches/transfer.sh [TREE]     default: a tree of 20,000 small and 20 large files
#        OVZ2LXC=path of the program    ROUNDS=5    as root
set -euo pipefail

ovz2lxc=${OVZ2LXC:-$(dirname "$0")/../target/release/ovz2lxc}
rounds=${ROUNDS:-5}
[[ $(id -u) = 0 ]] || { echo "benches/transfer.sh: needs root" >&2; exit 1; }
[[ -x $ovz2lxc ]] || { echo "benches/transfer.sh: no program at $ovz2lxc: cargo build --release first" >&2; exit 1; }

desk=$(mktemp -d)
sshd_pid=
clean_up() {
    [[ -z $sshd_pid ]] || kill "$sshd_pid" 2>/dev/null || true
    rm -rf "$desk"
}
trap clean_up EXIT

start_sshd() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    ssh-keygen -q -t ed25519 -N '' -f "$desk/host"
    ssh-keygen -q -t ed25519 -N '' -f "$desk/user"
    cp "$desk/user.pub" "$desk/authorized"
    printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$desk/host.pub")" >"$desk/known"
    printf '%s\n' "ListenAddress 127.0.0.1:$port" "HostKey $desk/host" "AuthorizedKeysFile $desk/authorized" \
        "PermitRootLogin prohibit-password" "StrictModes no" "UsePAM no" "PidFile none" >"$desk/sshd_config"
    mkdir -p /run/sshd # sshd's own empty directory; only its service makes it
    "$(command -v sshd || echo /usr/sbin/sshd)" -D -f "$desk/sshd_config" 2>"$desk/sshd.log" &
    sshd_pid=$!
    ssh=(ssh -i "$desk/user" -p "$port" -o "UserKnownHostsFile=$desk/known" -o StrictHostKeyChecking=yes -o BatchMode=yes)
    for _ in $(seq 50); do
        "${ssh[@]}" root@127.0.0.1 true 2>/dev/null && return
        sleep 0.1
    done
    echo "benches/transfer.sh: no sshd: $(cat "$desk/sshd.log")" >&2
    exit 1
}

make_tree() {
    python3 - "$1" <<'PYTHON'
import os, random, sys
dice, top = random.Random(1), sys.argv[1]
for number in range(20000):
    directory = f"{top}/{number % 40}/{number % 800}"
    os.makedirs(directory, exist_ok=True)
    with open(f"{directory}/{number}", "wb") as file:
        file.write(dice.randbytes(int(dice.paretovariate(0.9) * 500) % 60000))
for number in range(20):
    with open(f"{top}/large-{number}", "wb") as file:
        file.write(dice.randbytes(10 << 20))
PYTHON
}

copy() { # way, target
    local way=$1 target=$2
    case $way in
        stream | ovz2lxc-rsync)
            "$ovz2lxc" copy --from "root@127.0.0.1:$tree" --port "$port" --identity "$desk/user" \
                --known-hosts "$desk/known" --to "$target" --engine "${way#ovz2lxc-}" --progress none >/dev/null ;;
        rsync) rsync -aHAXS --numeric-ids -e "${ssh[*]}" "root@127.0.0.1:$tree/" "$target/" ;;
        tar) "${ssh[@]}" root@127.0.0.1 "tar -C '$tree' --xattrs --acls --numeric-owner -Scf - ." |
            tar -C "$target" --xattrs --xattrs-include='*' --acls --numeric-owner -Sxpf - ;;
    esac
}

start_sshd
tree=${1:-$desk/tree}
[[ $# -gt 0 ]] || { mkdir "$desk/tree" && make_tree "$desk/tree"; }
ways=(rsync stream ovz2lxc-rsync tar)
for round in $(seq 0 "$rounds"); do
    for way in "${ways[@]}"; do
        rm -rf "$desk/target"
        mkdir "$desk/target"
        begun=$(date +%s%N)
        copy "$way" "$desk/target"
        ended=$(date +%s%N)
        diff -rq --no-dereference "$tree" "$desk/target" >"$desk/differences" ||
            { echo "$way: the copy differs" >&2; head -3 "$desk/differences" >&2; exit 1; }
        # Round 0 warms the caches.
        [[ $round = 0 ]] || echo $(((ended - begun) / 1000000)) >>"$desk/$way.times"
    done
done

median() { sort -n "$1" | awk '{ t[NR] = $1 } END { print NR % 2 ? t[(NR + 1) / 2] : (t[NR / 2] + t[NR / 2 + 1]) / 2 }'; }
base=$(median "$desk/rsync.times")
printf '%s entries, %s MB, %s rounds\n' "$(find "$tree" | wc -l)" "$(du -sm "$tree" | cut -f1)" "$rounds"
printf '%-14s %10s %10s\n' way 'median ms' 'to rsync'
for way in "${ways[@]}"; do
    this=$(median "$desk/$way.times")
    printf '%-14s %10s %10s\n' "$way" "$this" "$(awk "BEGIN { printf \"%.2f\", $this / $base }")"
done
