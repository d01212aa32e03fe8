#!/bin/bash
# demo.sh - what `make demo` runs: a small OpenVZ node on this machine with a real Debian in container 101, and its
# migration over real SSH into an image-file volume; where LXC can run, the result is started, looked at and stopped.
# Nothing is left running, mounted or behind. Needs root (asks sudo for it).
#
#   OVZ2LXC_DEMO_TREE=sysvinit|systemd   which Debian; sysvinit by default
#   OVZ2LXC_DEMO_LXC=no                  copies and shows the rest, as where LXC cannot run
set -euo pipefail
top=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$top"
tree=${OVZ2LXC_DEMO_TREE:-sysvinit}
target=${CARGO_TARGET_DIR:-$top/target}
binary=$target/release/ovz2lxc

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

if [ "${1:-}" != --built ]; then
    command -v cargo >/dev/null || die "cargo is missing: Rust 1.88 or newer is needed, from rustup (Debian 12's own is older)"
    step "packages"
    scripts/deps.sh build demo
    step "building"
    cargo build --release
fi
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "needs root: namespaces, mounts and loop devices"
    exec sudo env "OVZ2LXC_DEMO_LXC=${OVZ2LXC_DEMO_LXC:-}" "OVZ2LXC_CACHE=${OVZ2LXC_CACHE:-$HOME/.cache/ovz2lxc}" "OVZ2LXC_DEMO_TREE=$tree" "CARGO_TARGET_DIR=$target" "$0" --built
fi
[ -x "$binary" ] || die "$binary is not there"

ctid=101 fqdn=web1.example.com name=lxc-web1
address=10.77.0.101 second=10.77.0.102 gateway=10.77.0.1
work=$(mktemp -d "${TMPDIR:-/var/tmp}/ovz2lxc-demo-XXXXXX")
lxc_path=$work/lxc
mkdir -p "$lxc_path" "$work/state" "$work/mnt"

private_net=''
inside() { if [ -n "$private_net" ]; then tests/node/netns.sh exec "$work/net" -- "$@"; else "$@"; fi; }

# Undoes everything, whatever the demo got to; called once.
cleanup() {
    local rc=$? left=''
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    ! mountpoint -q "$work/mnt" || umount "$work/mnt"
    if [ -f "$lxc_path/$name/config" ] && [ -e "$work/net/netns.env" ]; then
        inside lxc-info -P "$lxc_path" -n "$name" -s -H 2>/dev/null | grep -q STOPPED || inside lxc-stop -P "$lxc_path" -n "$name" -k >/dev/null 2>&1
    fi
    tests/node/node.sh down "$work/node"
    tests/node/netns.sh down "$work/net"
    # A loop device goes a moment after its last mount, wherever that was.
    for _ in $(seq 50); do
        losetup -l -n -O BACK-FILE 2>/dev/null | grep -qF "$work/" || break
        sleep 0.1
    done
    # Everything below the directory is unmounted by now, or else it stays.
    if grep -qF " $work/" /proc/self/mounts; then left="mounts below $work"
    elif losetup -l -n -O BACK-FILE 2>/dev/null | grep -qF "$work/"; then left="loop devices on files in $work"
    else rm -rf --one-file-system "$work"; fi
    if [ -n "$left" ]; then printf 'demo: left behind: %s\n' "$left" >&2; [ $rc != 0 ] || rc=1
    elif [ $rc = 0 ]; then step "nothing is left running, mounted or behind"; fi
    exit $rc
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Why LXC cannot start a container here; empty when it can.
why_no_lxc() {
    [ "${OVZ2LXC_DEMO_LXC:-}" != no ] || { echo "OVZ2LXC_DEMO_LXC=no"; return; }
    [ -n "$private_net" ] || { echo "there are no network namespaces"; return; }
    command -v lxc-start >/dev/null || { echo "lxc is not installed"; return; }
    [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/devices ] || [ -d /sys/fs/cgroup/systemd ] || { echo "no control groups are mounted"; return; }
    losetup -f >/dev/null 2>&1 || { echo "there are no loop devices"; return; }
    inside ip link add ovzprobe type veth peer name ovzprobe1 2>/dev/null || { echo "this kernel has no veth"; return; }
    inside ip link del ovzprobe
}

step "an OpenVZ node with container $ctid, a Debian of this machine's release ($tree)"
tests/node/trees.sh build "$tree" >/dev/null
where=()
if tests/node/netns.sh up "$work/net" --bridge br-ovz --address "$gateway/24"; then
    private_net=1
    where=(--netns "$(tests/node/netns.sh name "$work/net")")
fi
tests/node/node.sh up "$work/node" ${where[@]+"${where[@]}"}
tests/node/node.sh add-container "$work/node" $ctid --tree "$tree" --hostname $fqdn --name web1 --ip "$address $second" \
    --nameserver "10.77.0.53" --searchdomain example.com --files --workload --wait
# shellcheck disable=SC1091
. "$work/node/node.env"
show "ssh -p $NODE_PORT root@$NODE_HOST vzlist -a"
tests/node/node.sh ssh "$work/node" vzlist -a
show "ssh -p $NODE_PORT root@$NODE_HOST cat /etc/vz/conf/$ctid.conf"
tests/node/node.sh ssh "$work/node" cat /etc/vz/conf/$ctid.conf

no_lxc=$(why_no_lxc)
step "the migration"
words=("$ctid" --from "root@$NODE_HOST:$NODE_PORT" --identity "$NODE_KEY" --known-hosts "$NODE_KNOWN_HOSTS" --storage image
    --lxc-path "$lxc_path" --state-dir "$work/state" --cluster none --bridge br-ovz --gateway4 "$gateway" --prefix4 24)
if [ -z "$no_lxc" ]; then
    show "ovz2lxc migrate ${words[*]}"
    inside "$binary" migrate "${words[@]}" || die "the migration ended with $?"

    step "what it made"
    ls -ls "$lxc_path/$name"
    show "cat $lxc_path/$name/config"
    cat "$lxc_path/$name/config"
    tests/node/node.sh ssh "$work/node" vzctl status $ctid
else
    # A migration ends with a healthy container; without LXC it can be copied, and shown what would be done to the copy.
    echo "this machine cannot run LXC ($no_lxc): the container is copied, the rest is shown and not done"
    show "ovz2lxc migrate ${words[*]} --dry-run"
    inside "$binary" migrate "${words[@]}" --dry-run || die "the dry run ended with $?"
    show "ovz2lxc sync ${words[*]}"
    inside "$binary" sync "${words[@]}" || die "the copy ended with $?"
    tests/node/node.sh ssh "$work/node" vzctl status $ctid
fi

if [ -z "$no_lxc" ]; then
    step "the container under LXC"
    show "lxc-info -n $name"
    inside lxc-info -P "$lxc_path" -n "$name"
    inside lxc-info -P "$lxc_path" -n "$name" -s -H | grep -q RUNNING || die "$name does not run"
    show "ping -c 1 $address; ping -c 1 $second"
    for a in $address $second; do
        ok=''
        for _ in $(seq 60); do
            if inside ping -n -q -c 1 -W 1 "$a" >"$work/ping" 2>&1; then ok=1; break; fi
            sleep 0.5
        done
        [ -n "$ok" ] || die "$a does not answer"
        grep transmitted "$work/ping"
    done
    show "head -n 1 </dev/tcp/$address/22"
    banner=''
    for _ in $(seq 60); do
        # shellcheck disable=SC2016
        banner=$(inside timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/22" && IFS= read -r line <&3 && printf "%s" "${line%$'"'\r'"'}"' sh $address 2>/dev/null) && break
        sleep 0.5
    done
    case $banner in SSH-2*) echo "$banner" ;; *) die "no SSH server answers on $address" ;; esac

    show "lxc-console -n $name -t 1"
    { sleep 1; printf '\r'; sleep 2; printf '\001q'; sleep 1; } |
        timeout 30 script -qfec "tests/node/netns.sh exec '$work/net' -- lxc-console -P '$lxc_path' -n '$name' -t 1" /dev/null >"$work/console" 2>&1 || true
    tr -d '\r' <"$work/console" | grep -a . | tail -n 4 || true
    grep -aq 'login:' "$work/console" || die "there is no login prompt on the console"

    step "a clean stop"
    show "lxc-stop -n $name -t 60"
    began=$(date +%s.%N)
    inside lxc-stop -P "$lxc_path" -n "$name" -t 60
    seconds=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f", b - a}')
    inside lxc-info -P "$lxc_path" -n "$name" -s
    awk -v s="$seconds" 'BEGIN {exit !(s < 55)}' || die "it had to be killed after $seconds s"
    echo "stopped in $seconds s"
fi

image=$lxc_path/$name/rootfs.img
mount -o ro,loop "$image" "$work/mnt"
if [ -z "$no_lxc" ]; then
    step "what the fixups changed: the source's tree against the volume"
    diff -ruN --no-dereference -x mtab -x adjtime -x ld.so.cache "$NODE_DIR/$ctid/etc" "$work/mnt/etc" |
        sed -e "s#$NODE_DIR/$ctid/#source/#g" -e "s#$work/mnt/#target/#g" | grep -av '^diff ' || true
    for f in fastboot .vzfifo; do
        if { [ -e "$NODE_DIR/$ctid/$f" ] || [ -L "$NODE_DIR/$ctid/$f" ]; } && ! { [ -e "$work/mnt/$f" ] || [ -L "$work/mnt/$f" ]; }; then
            echo "removed: /$f"
        fi
    done
fi
step "what a careless copy loses: links, times, attributes, access lists, owners, odd names, devices"
# The times of directories are left out: rsync may leave one it made a hard link in some milliseconds late.
fingerprint() {
    local -a how=(tar --numeric-owner --xattrs --xattrs-include='*' --acls --no-recursion --null -T -
        --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' -cf -)
    (cd "$1" && { find files ! -type d -print0 | sort -z | "${how[@]}"; find files -type d -print0 | sort -z | "${how[@]}" --mtime=@0; }) | sha256sum | cut -c1-32
}
source=$(fingerprint "$NODE_DIR/$ctid/srv")
copied=$(fingerprint "$work/mnt/srv")
printf 'source %s\ntarget %s\n' "$source" "$copied"
[ "$source" = "$copied" ] || die "the copy differs from the source"
umount "$work/mnt"
