#!/bin/bash
# netns.sh - a private network namespace with a bridge, in which sshd, ovz2lxc and LXC run without touching the machine's
# own network. Nothing leaves the machine: the bridge has no uplink.
#
#   netns.sh up DIR [--bridge NAME] [--address ADDR/LEN]...    DIR keeps the state; default br-ovz, 10.77.0.1/24
#   netns.sh exec DIR -- COMMAND...                            runs a command inside, in a mount namespace of its own
#                                                              without the loop mounts that lie outside of DIR/..
#   netns.sh name DIR                                          the namespace's name, for `nsenter --net=/run/netns/NAME`
#   netns.sh down DIR                                          kills what still runs inside, removes it; never fails
#
# DIR/netns.env records NETNS, NETNS_BRIDGE, NETNS_ADDRESS. Any number of them may be up at once, one per DIR.
#
# Two traps are taken care of: LXC looks for the bridge in /sys/class/net, so /sys must be that of the namespace, yet with
# the cgroups in it; and LXC's command socket is abstract, hence per network namespace: every lxc-* command has to go
# through `netns.sh exec`, with the same absolute -P.
set -euo pipefail

# Exit code 77: not a fault, this machine cannot do it.
cannot() { printf 'netns.sh: %s\n' "$*" >&2; exit 77; }
die() { printf 'netns.sh: %s\n' "$*" >&2; exit 1; }

name_of() { printf 'ovz%s' "$(readlink -m "$1" | sha256sum | cut -c1-10)"; }

inside() { # NAME DIR COMMAND...
    local name=$1 dir=$2
    shift 2
    [ -e "/run/netns/$name" ] || die "$dir has no namespace: netns.sh up $dir"
    # The mount point for the new sysfs lies in a tmpfs of the new mount namespace: nothing of it is left behind.
    exec nsenter --net="/run/netns/$name" unshare --mount --propagation private /bin/sh -c '
        d=$1; shift
        mount -t tmpfs -o mode=0700 ovz2lxc "$d" && mkdir "$d/sys" && mount -t sysfs sysfs "$d/sys" || exit 1
        if [ -d /sys/fs/cgroup ] && [ -d "$d/sys/fs/cgroup" ]; then mount --rbind /sys/fs/cgroup "$d/sys/fs/cgroup" || exit 1; fi
        mount --move "$d/sys" /sys && umount "$d" || exit 1
        # What stays open in here, the monitor of a container for one, must not keep the loop devices of others busy.
        awk -v own="${d%/*/*}/" "index(\$1, \"/dev/loop\") == 1 && \$2 != \"/\" && index(\$2, own) != 1 {print \$2}" /proc/self/mounts |
            sort -r | while read -r m; do umount -l "$(printf %b "$m")" 2>/dev/null; done
        exec "$@"' sh "$dir/.sys" "$@"
}

up() {
    local dir=$1 name bridge=br-ovz address a
    local -a addresses=()
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --bridge) bridge=$2; shift 2 ;;
        --address) addresses+=("$2"); shift 2 ;;
        *) die "unknown option $1" ;;
        esac
    done
    [ ${#addresses[@]} -gt 0 ] || addresses=(10.77.0.1/24)
    [ "$(id -u)" = 0 ] || cannot "needs root"
    command -v ip >/dev/null || cannot "the ip command is missing; scripts/deps.sh test installs iproute2"
    mkdir -p "$dir/.sys"
    dir=$(readlink -f "$dir")
    name=$(name_of "$dir")
    down "$dir"
    mkdir -p "$dir/.sys"
    ip netns add "$name" || cannot "this machine does not let us make a network namespace"
    local -a in=(ip -n "$name")
    "${in[@]}" link set lo up
    # Without a forward delay the bridge passes packets at once instead of after 30 s.
    "${in[@]}" link add "$bridge" type bridge forward_delay 0 || { down "$dir"; cannot "this machine does not let us make a bridge"; }
    for a in "${addresses[@]}"; do
        case $a in
        *:*) "${in[@]}" addr add "$a" dev "$bridge" nodad ;;
        *) "${in[@]}" addr add "$a" dev "$bridge" ;;
        esac
    done
    "${in[@]}" link set "$bridge" up
    address=${addresses[0]}
    printf 'NETNS=%s\nNETNS_BRIDGE=%s\nNETNS_ADDRESS=%s\n' "$name" "$bridge" "$address" >"$dir/netns.env"
}

# Ends every process whose network namespace this is: they can only be ours. The monitors of LXC containers are among
# them; their containers die with them (lxc.monitor.signal.pdeath).
down() {
    local dir=$1 name pid i signal
    name=$(name_of "$dir")
    if [ -e "/run/netns/$name" ]; then
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            signal=TERM
            [ "$i" -lt 10 ] || signal=KILL
            pid=$(ip netns pids "$name" 2>/dev/null) || pid=''
            [ -n "$pid" ] || break
            # shellcheck disable=SC2086
            kill -s $signal $pid 2>/dev/null || true
            sleep 0.2
        done
        ip netns del "$name" 2>/dev/null || true
    fi
    rm -f "$dir/netns.env"
    rmdir "$dir/.sys" 2>/dev/null || true
}

case ${1:-} in
up) up "${@:2}" ;;
name) name_of "${2:?DIR}" ;;
exec)
    if [ "${3:-}" != -- ] || [ $# -lt 4 ]; then die "usage: netns.sh exec DIR -- COMMAND..."; fi
    inside "$(name_of "$2")" "$(readlink -m "$2")" "${@:4}" ;;
down) down "${2:?DIR}" ;;
*) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
