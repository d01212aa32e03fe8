#!/bin/sh
# Written by ovz2lxc; LXC runs it on the host at every start of the container (lxc.hook.start-host), before the container's
# init runs. It sets what no line of the configuration can say: limits of I/O, which the kernel takes by device number,
# and the number of a loop or device-mapper device changes; weights, for which a kernel may have no file, and then a line
# would make the start fail; and shared memory, where /proc/sys is read-only inside.
# It also settles what LXC leaves shaky for routed interfaces.
# It never keeps the container from starting: what cannot be set is said on standard error and to syslog.

# What to set; an empty value sets nothing.
# @SETTINGS@

# Where the kernel's files are.
PROC=/proc
SYS=/sys
set -f
LXC_NAME=${LXC_NAME:-?}
PATH=${PATH:+$PATH:}/usr/sbin:/usr/bin:/sbin:/bin

say() {
    printf 'ovz2lxc start-host %s: %s\n' "$LXC_NAME" "$1" >&2
    if command -v logger >/dev/null 2>&1; then
        logger -t ovz2lxc -- "start-host $LXC_NAME: $1" </dev/null >/dev/null 2>&1
    fi
}

# put FILE TEXT: writes a line into a file of the kernel's.
put() {
    { printf '%s\n' "$2" >"$1"; } 2>/dev/null || say "the kernel refuses \"$2\" in $1"
}

# hierarchy TYPE CONTROLLER: finds the container's control group. Sets $top, where the hierarchy is mounted, $below, the
# group's path in it, and $cgroup, both. Version 2 has no controller's name.
hierarchy() {
    path=
    while IFS=: read -r _ controllers where; do
        case ",$controllers," in *",$2,"*) path=$where ;; esac
    done <"$PROC/$LXC_PID/cgroup"
    [ -n "$path" ] || return 1
    while read -r _ _ _ root point _ rest; do
        case " $rest" in *" - $1 "*) ;; *) continue ;; esac
        [ -z "$2" ] || case ",${rest##* }," in *",$2,"*) ;; *) continue ;; esac
        top=$point
        # A hierarchy may be mounted from one of its groups on.
        below=$path
        [ "$root" = / ] || below=${path#"$root"}
        below=${below#/}
        cgroup=$top/$below
        [ -d "$cgroup" ] && return 0
    done <"$PROC/self/mountinfo"
    return 1
}

# Sets $device to the disk that the container's root is on, as MAJOR:MINOR.
find_device() {
    device=
    while read -r _ _ number _ point _; do
        [ "$point" = / ] && device=$number
    done <"$PROC/$LXC_PID/mountinfo"
    case $device in
    '')
        say "I/O is not limited: its root file system cannot be seen in $PROC/$LXC_PID/mountinfo"
        return 1
        ;;
    0:*)
        say "I/O is not limited: its root file system is on no single block device (btrfs, overlay, NFS)"
        return 1
        ;;
    esac
    # The kernel limits whole disks only.
    if [ -e "$SYS/dev/block/$device/partition" ]; then
        read -r device <"$SYS/dev/block/$device/../dev"
    fi
}

# Gives the io controller to every group on the way to the container's.
enable_io() {
    dir=$top
    rest=$below
    while :; do
        { printf '+io\n' >"$dir/cgroup.subtree_control"; } 2>/dev/null || break
        case $rest in */*) ;; *) return ;; esac
        dir=$dir/${rest%%/*}
        rest=${rest#*/}
    done
    say "the io controller cannot be enabled in $dir/cgroup.subtree_control"
}

# set_weight N FILE...: sets the weight in every file that this kernel has.
set_weight() {
    weight=$1
    shift
    for file in "$@"; do
        file=$cgroup/${file}
        [ -e "$file" ] || continue
        put "$file" "$weight"
        found=yes
    done
}

limit_v2() {
    [ -e "$cgroup/io.max" ] || enable_io
    if [ -n "$WEIGHT" ]; then
        found=
        set_weight "$WEIGHT" io.weight io.bfq.weight
        [ -n "$found" ] || say "its I/O priority is not set: this kernel has neither io.weight nor io.bfq.weight"
    fi
    [ -n "$BYTES_PER_SECOND$OPERATIONS_PER_SECOND" ] || return
    find_device || return
    line=$device
    [ -z "$BYTES_PER_SECOND" ] || line="$line rbps=$BYTES_PER_SECOND wbps=$BYTES_PER_SECOND"
    [ -z "$OPERATIONS_PER_SECOND" ] || line="$line riops=$OPERATIONS_PER_SECOND wiops=$OPERATIONS_PER_SECOND"
    put "$cgroup/io.max" "$line"
}

limit_v1() {
    if [ -n "$WEIGHT" ]; then
        found=
        set_weight "$WEIGHT_CFQ" blkio.weight
        set_weight "$WEIGHT" blkio.bfq.weight
        [ -n "$found" ] || say "its I/O priority is not set: this kernel has neither blkio.weight nor blkio.bfq.weight"
    fi
    [ -n "$BYTES_PER_SECOND$OPERATIONS_PER_SECOND" ] || return
    find_device || return
    for way in read write; do
        [ -z "$BYTES_PER_SECOND" ] || put "$cgroup/blkio.throttle.${way}_bps_device" "$device $BYTES_PER_SECOND"
        [ -z "$OPERATIONS_PER_SECOND" ] || put "$cgroup/blkio.throttle.${way}_iops_device" "$device $OPERATIONS_PER_SECOND"
    done
}

# Whether the io controller is in the version 2 hierarchy just found; in a hybrid mount it is in version 1's.
has_io() {
    read -r controllers <"$top/cgroup.controllers"
    case " $controllers " in *" io "*) return 0 ;; esac
    return 1
} 2>/dev/null

limit_io() {
    case $VERSIONS in
    *2*) if hierarchy cgroup2 '' && has_io; then
        limit_v2
        return
    fi ;;
    esac
    case $VERSIONS in
    *1*) if hierarchy cgroup blkio; then
        limit_v1
        return
    fi ;;
    esac
    say "I/O is not limited: its control group is in no mounted hierarchy with the I/O controller"
}

limit_shared_memory() {
    theirs=$(readlink "$PROC/$LXC_PID/ns/ipc")
    if [ -z "$theirs" ] || [ "$theirs" = "$(readlink "$PROC/self/ns/ipc")" ]; then
        say "shared memory is not limited: the container has no IPC name space of its own"
        return
    fi
    # The file is that of the IPC name space of whoever opens it, and is written by the root that the name space belongs to.
    user=
    [ "$(readlink "$PROC/$LXC_PID/ns/user")" = "$(readlink "$PROC/self/ns/user")" ] || user=-U
    # shellcheck disable=SC2016
    nsenter -t "$LXC_PID" ${user:+"$user"} -i -- sh -c 'printf "%s\n" "$1" >"$2"' sh "$SHARED_MEMORY_PAGES" "$PROC/sys/kernel/shmall" \
        2>/dev/null || say "shared memory is not limited: kernel.shmall cannot be set to $SHARED_MEMORY_PAGES"
}

# Sets $address, $gateway, $uplink, $family and $bits from one word of $ROUTED.
read_routed() {
    IFS=, read -r address gateway uplink <<WORD
$1
WORD
    case $address in
    *:*) family=-6 bits=128 ;;
    *) family=-4 bits=32 ;;
    esac
}

# LXC (to 5.0.2) gives the host's end of the interface no address but proxy entries for the gateway, and the uplink
# proxy entries for the container. The kernel drops those whenever it sees the device without carrier, which the host's
# end is until the container has the other; and proxy ARP needs a route to the gateway that leads elsewhere. An address
# and entries by ip(8) stay (seen on Linux 6.18). The address has the scope of the host, so that it is nobody's source.
settle_routes() {
    for word in $ROUTED; do
        read_routed "$word"
        device=
        # shellcheck disable=SC2046
        set -- $(ip "$family" route show "$address" 2>/dev/null)
        while [ $# -gt 1 ]; do
            [ "$1" != dev ] || device=$2
            shift
        done
        if [ -z "$device" ]; then
            say "the host has no route to $address"
            continue
        fi
        case $family in -4) how="scope host" ;; *) how=nodad ;; esac
        # shellcheck disable=SC2086
        [ -z "$gateway" ] || ip "$family" addr replace "$gateway/$bits" dev "$device" $how 2>/dev/null ||
            say "$device does not get the address $gateway, the gateway of $address"
        [ -z "$uplink" ] || ip neigh replace proxy "$address" dev "$uplink" 2>/dev/null ||
            say "$uplink does not answer for $address"
    done
}

settle_routes
[ -n "$WEIGHT$BYTES_PER_SECOND$OPERATIONS_PER_SECOND$SHARED_MEMORY_PAGES" ] || exit 0
if [ -z "$LXC_PID" ] || ! [ -r "$PROC/$LXC_PID/cgroup" ]; then
    say "no limits are set: LXC names no process of the container"
    exit 0
fi
[ -z "$WEIGHT$BYTES_PER_SECOND$OPERATIONS_PER_SECOND" ] || limit_io
[ -z "$SHARED_MEMORY_PAGES" ] || limit_shared_memory
exit 0
