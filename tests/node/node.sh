#!/bin/bash
# node.sh - an OpenVZ node on this machine, for the tests and the demo, reached over real SSH. It is an overlay over this
# machine's own root file system, in mount, process and host name namespaces of its own, with /etc/vz, /vz, stand-ins
# for vzctl and vzlist, and an sshd that takes one key only. Nothing on the machine itself is changed.
#
#   node.sh up DIR [--netns NAME] [--port N] [--listen ADDR] [--size 8G] [--sshd-option 'Keyword value']...
#       starts a node that lives in DIR and writes DIR/node.env; any number may run at once, one per DIR
#   node.sh down DIR             ends every process of it and unmounts everything; also after a crash; never fails
#   node.sh env DIR              prints DIR/node.env:
#       NODE_HOST NODE_PORT NODE_KEY NODE_KNOWN_HOSTS   for ssh -p PORT -i KEY -o UserKnownHostsFile=... root@HOST
#       NODE_DIR    the private areas, as seen from outside (NODE_DIR/101 is container 101's tree)
#       NODE_CONF   the directory of the CTID.conf files, as seen from outside
#       NODE_STATE  where the stand-in keeps its notes: CTID/running, CTID/workload, CTID/fail-ACTION, CTID/stop-seconds
#       NODE_VZ     /vz as seen from outside (lock/, dump/)
#       NODE_NETNS  the network namespace it is in, if any
#   node.sh add-container DIR CTID [--tree sysvinit|systemd | --from TREE | --empty] [--ip "A B"] [--hostname FQDN]
#           [--nameserver "A B"] [--searchdomain D] [--ostemplate T] [--name NAME] [--line 'KEY="VALUE"']...
#           [--files] [--workload] [--ugid-quota] [--wait] [--stopped] [--ploop]
#       puts a container there, with a CTID.conf as vzctl writes it, and starts it unless --stopped. --files adds what
#       careless copies lose; --workload lets it change its files while it runs; --line comes last in the file;
#       --ploop puts the tree into a raw image in root.hdd, which the stand-in mounts by a loop device
#   node.sh ssh DIR COMMAND...   runs a command on the node with the plain ssh client
#   node.sh exec DIR COMMAND...  the same without ssh
#   node.sh fail DIR CTID ACTION RC   the next `vzctl ACTION CTID` ends with RC and does nothing
#
# Needs root, overlayfs and loop devices (a tmpfs serves where there are none), sshd and perl. Exit codes: 0, 1 failed,
# 2 usage, 77 this machine cannot do it (the reason is on standard error).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

die() { printf 'node.sh: %s\n' "$*" >&2; exit 1; }
# Exit code 77: not a fault, this machine cannot do it.
cannot() { printf 'node.sh: %s\n' "$*" >&2; exit 77; }
usage() { sed -n '2,31s/^# \{0,1\}//p' "$0"; exit 2; }

started_at() { # PID: the kernel's note of when a process began, so that a recycled number is not taken for ours
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    printf '%s' "${20}"
}

mounted() { awk -v p="$1" '$2 == p {f = 1} END {exit !f}' /proc/self/mounts; }

# --- the node's inside: runs in the new namespaces, becomes their process 1 ---------------------------------------

inside_setup() { # DIR
    local dir=$1 root=$1/root d
    mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/fs/upper,workdir=$dir/fs/work" "$root"
    # Parts of the system that are file systems of their own are not in the overlay of the root.
    for d in /usr /etc /var /opt; do
        if mounted "$d"; then
            mkdir -p "$dir/fs/upper$d.d" "$dir/fs/work$d.d"
            mount -t overlay overlay -o "lowerdir=$d,upperdir=$dir/fs/upper$d.d,workdir=$dir/fs/work$d.d" "$root$d"
        fi
    done
    # At once, not only with all the rest of the machine below: another test waits a second for its loop device.
    awk -v own="$dir/" 'index($1, "/dev/loop") == 1 && $2 != "/" && index($2, own) != 1 {print $2}' /proc/self/mounts |
        sort -r | while read -r m; do umount -l "$(printf %b "$m")" 2>/dev/null || true; done
    mount -t proc proc "$root/proc"
    # Read-only the mount and not the file system, which is that of the whole network namespace: with that no container in
    # it could have a user name space and a /sys.
    if mount -t sysfs sysfs "$root/sys" 2>/dev/null; then mount -o remount,bind,ro "$root/sys"; fi
    for d in dev tmp run root; do mount -t tmpfs -o mode=0755 ovznode "$root/$d"; done
    chmod 1777 "$root/tmp"
    chmod 700 "$root/root"
    mkdir -p "$root/run/sshd" "$root/dev/pts" "$root/dev/shm" "$root/run/lock"
    local name major minor
    for d in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
        IFS=: read -r name major minor <<<"$d"
        mknod -m 666 "$root/dev/$name" c "$major" "$minor"
    done
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s /proc/self/fd/0 "$root/dev/stdin"; ln -s /proc/self/fd/1 "$root/dev/stdout"; ln -s /proc/self/fd/2 "$root/dev/stderr"

    rm -rf "$root/etc/vz" "$root/etc/sysconfig/vz-scripts" "$root/usr/lib/ovznode"
    mkdir -p "$root/etc/vz" "$root/etc/sysconfig/vz-scripts" "$root/vz" "$root/var/lib/ovznode" "$root/usr/lib/ovznode" "$root/etc/ssh"
    mount --bind "$dir/fs/vz" "$root/vz"
    mount --bind "$dir/fs/etc-vz" "$root/etc/vz"
    mount --bind "$dir/fs/conf" "$root/etc/sysconfig/vz-scripts"
    mount --bind "$dir/fs/state" "$root/var/lib/ovznode"
    ln -sfn /etc/vz/vz.conf "$root/etc/sysconfig/vz"
    cp "$here/VzConf.pm" "$here/dress.sh" "$root/usr/lib/ovznode/"
    install -m 755 "$here/vzctl" "$here/vzlist" "$root/usr/sbin/"
    install -m 600 "$dir/host_key" "$root/etc/ssh/node_host_key"
    install -m 644 "$dir/client_key.pub" "$root/etc/ssh/node_authorized_keys"
    install -m 600 "$dir/sshd_config" "$root/etc/ssh/node_sshd_config"
    # A root account that is locked with "!" would refuse keys as well.
    sed -i 's/^root:!*[^:]*:/root:*:/' "$root/etc/shadow"
    printf 'vz1.example.com\n' >"$root/etc/hostname.node"
    mv "$root/etc/hostname.node" "$root/etc/hostname" 2>/dev/null || true
    hostname vz1.example.com
    mount --make-rprivate /
}

if [ "${1:-}" = --inside ]; then
    inside_setup "$2"
    # Everything of the machine that is not part of the node is let go: a copy of a mount in this namespace would keep
    # somebody else's loop device busy for as long as the node lives.
    mkdir -p "$2/root/.outside"
    cd "$2/root"
    pivot_root . .outside
    # Process 1 stays a shell: it collects what a session leaves behind, which sshd would not.
    exec chroot . /bin/bash -c 'cd / && umount -l /.outside && rmdir /.outside && { /usr/sbin/sshd -D -e -f /etc/ssh/node_sshd_config & wait $!; }' node
fi

# --- from outside -------------------------------------------------------------------------------------------------

env_of() { [ -f "$1/node.env" ] || die "$1 has no node: node.sh up $1"; cat "$1/node.env"; }

load_env() {
    dir=$(readlink -f "$1")
    env_of "$dir" >/dev/null
    # shellcheck disable=SC1091
    . "$dir/node.env"
}

on_node() { # uses the environment of the node; the root of its mount namespace is the node's own
    nsenter --mount="/proc/$NODE_PID/ns/mnt" --uts="/proc/$NODE_PID/ns/uts" --pid="/proc/$NODE_PID/ns/pid_for_children" \
        --net="/proc/$NODE_PID/ns/net" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

down() {
    local dir pid began
    dir=$(readlink -m "$1")
    if [ -s "$dir/node.pid" ]; then
        read -r pid began <"$dir/node.pid"
        # Its child is process 1 of the node and dies with it, and everything in the node with that one.
        if [ "$(started_at "$pid" || true)" = "$began" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    fi
    if mounted "$dir/fs"; then
        for _ in $(seq 50); do
            umount "$dir/fs" 2>/dev/null && break
            sleep 0.1
        done
        # Somebody outside has a file open: the mount goes as soon as that is closed.
        if mounted "$dir/fs"; then umount --lazy "$dir/fs" 2>/dev/null || true; fi
    fi
    # The image is let go by the kernel when the last mount of it in any namespace is gone.
    for _ in $(seq 50); do
        [ -n "$(losetup -j "$dir/fs.img" 2>/dev/null)" ] || break
        sleep 0.1
    done
    rm -f "$dir/fs.img" "$dir/node.env" "$dir/node.pid" "$dir/sshd_config" "$dir"/host_key* "$dir"/client_key* "$dir/known_hosts"
    rmdir "$dir/fs" "$dir/root" 2>/dev/null || true
}

free_port() { # a port that nothing listens on, in the namespace in question; sshd has the last word
    local port used
    used=$("${net[@]}" cat /proc/net/tcp | awk 'NR > 1 && $4 == "0A" {split($2, a, ":"); print a[2]}')
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
        grep -qix "$(printf '%04X' $port)" <<<"$used" || break
    done
    printf '%s' "$port"
}

write_node_files() {
    mkdir -p "$dir/fs/upper" "$dir/fs/work" "$dir/fs/conf" "$dir/fs/state" "$dir/fs/etc-vz/names" \
        "$dir/fs/vz/private" "$dir/fs/vz/root" "$dir/fs/vz/lock" "$dir/fs/vz/dump" "$dir/fs/vz/template/cache"
    ln -s /etc/sysconfig/vz-scripts "$dir/fs/etc-vz/conf"
    cat >"$dir/fs/etc-vz/vz.conf" <<'C'
## Settings of the whole node
VIRTUOZZO=yes
LOCKDIR=/vz/lock
DUMPDIR=/vz/dump
VE0CPUUNITS=1000

## Disk quota
DISK_QUOTA=yes
VZFASTBOOT=no

## Directories
TEMPLATE=/vz/template

## Defaults for containers
VE_ROOT=/vz/root/$VEID
VE_PRIVATE=/vz/private/$VEID
CONFIGFILE="vswap-256m"
DEF_OSTEMPLATE="centos-6-x86"
VE_LAYOUT=simfs
IPTABLES_MODULES="ipt_REJECT ipt_tos ipt_limit ipt_multiport iptable_filter iptable_mangle"
IPV6="yes"
C
    printf 'ONBOOT="no"\nPHYSPAGES="unlimited"\nSWAPPAGES="unlimited"\n' >"$dir/fs/conf/0.conf"
    printf 'PHYSPAGES="0:512M"\nSWAPPAGES="0:1G"\nDISKSPACE="2G:2.2G"\nDISKINODES="131072:144179"\nQUOTATIME="0"\nCPUUNITS="1000"\n' \
        >"$dir/fs/conf/ve-vswap-512m.conf-sample"
}

write_sshd_config() { # PORT LISTEN
    local sftp=internal-sftp
    { printf 'Port %s\nListenAddress %s\nHostKey /etc/ssh/node_host_key\n' "$1" "$2"
      printf 'AuthorizedKeysFile /etc/ssh/node_authorized_keys\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n'
      printf 'KbdInteractiveAuthentication no\nUsePAM no\nPidFile none\nPrintMotd no\nUseDNS no\nStrictModes no\n'
      printf 'LogLevel VERBOSE\nMaxSessions 64\nMaxStartups 100\nLoginGraceTime 30\nSubsystem sftp %s\n' $sftp
      [ ${#options[@]} = 0 ] || printf '%s\n' "${options[@]}"; } >"$dir/sshd_config"
}

banner() { # HOST PORT
    "${net[@]}" timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/$2" && IFS= read -r line <&3 && case $line in SSH-2*) exit 0 ;; *) exit 1 ;; esac' sh "$1" "$2" 2>/dev/null
}

up() {
    local netns='' port='' listen=127.0.0.1 size=8G fixed='' attempt pid
    local -a options=()
    [ $# -ge 1 ] || usage
    mkdir -p "$1"
    dir=$(readlink -f "$1")
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --netns) netns=$2; shift 2 ;;
        --port) port=$2 fixed=1; shift 2 ;;
        --listen) listen=$2; shift 2 ;;
        --size) size=$2; shift 2 ;;
        --sshd-option) options+=("$2"); shift 2 ;;
        *) die "unknown option $1" ;;
        esac
    done
    [ "$(id -u)" = 0 ] || cannot "needs root"
    [ -x /usr/sbin/sshd ] || cannot "sshd is missing; scripts/deps.sh test installs it"
    command -v mkfs.ext4 >/dev/null || cannot "mkfs.ext4 is missing; scripts/deps.sh test installs e2fsprogs"
    grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || cannot "this kernel has no overlayfs"
    unshare --mount --uts --pid --fork true 2>/dev/null || cannot "this machine does not let us make namespaces"
    case $dir in *[,:\\]*) die "the path $dir would confuse overlayfs" ;; esac
    net=()
    [ -z "$netns" ] || net=(nsenter --net="/run/netns/$netns")
    down "$dir"
    # The node's upper layer must not lie below its lower layer, this machine's root: so it gets a file system of its own.
    mkdir -p "$dir/fs" "$dir/root"
    truncate -s "$size" "$dir/fs.img"
    mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=1 "$dir/fs.img"
    if ! mount -o loop,noatime "$dir/fs.img" "$dir/fs" 2>/dev/null; then
        rm -f "$dir/fs.img"
        mount -t tmpfs -o "mode=0755,size=$size" ovznode "$dir/fs" || { down "$dir"; cannot "neither a loop device nor a tmpfs can be mounted"; }
    fi
    write_node_files
    ssh-keygen -q -t ed25519 -N '' -C ovz2lxc-test -f "$dir/client_key"
    ssh-keygen -q -t ed25519 -N '' -C vz1 -f "$dir/host_key"
    for attempt in 1 2 3 4 5; do
        [ -n "$fixed" ] || port=$(free_port)
        write_sshd_config "$port" "$listen"
        ${net[@]+"${net[@]}"} setsid unshare --mount --uts --pid --fork --kill-child --propagation private \
            /bin/bash "$here/node.sh" --inside "$dir" </dev/null >"$dir/sshd.log" 2>&1 &
        pid=$!
        disown
        printf '%s %s\n' "$pid" "$(started_at $pid || true)" >"$dir/node.pid"
        for _ in $(seq 600); do
            if ! [ -d "/proc/$pid" ]; then break; fi
            if grep -q 'Server listening on' "$dir/sshd.log" && banner "$listen" "$port"; then
                finish_up; return
            fi
            sleep 0.1
        done
        [ -z "$fixed" ] && [ "$attempt" -lt 5 ] && grep -q 'in use' "$dir/sshd.log" || break
    done
    tail -n 5 "$dir/sshd.log" >&2
    down "$dir"
    ! grep -q '^mount: .*overlay' "$dir/sshd.log" || cannot "an overlay of this machine's root cannot be mounted here"
    die "the node's sshd did not come up"
}

finish_up() {
    local host=$listen key
    key=$(cut -d ' ' -f 1,2 "$dir/host_key.pub")
    if [ "$port" = 22 ]; then printf '%s %s\n' "$host" "$key"; else printf '[%s]:%s %s\n' "$host" "$port" "$key"; fi >"$dir/known_hosts"
    { printf 'NODE_HOST=%q\nNODE_PORT=%q\nNODE_KEY=%q\nNODE_KNOWN_HOSTS=%q\n' "$host" "$port" "$dir/client_key" "$dir/known_hosts"
      printf 'NODE_DIR=%q\nNODE_CONF=%q\nNODE_STATE=%q\nNODE_VZ=%q\n' "$dir/fs/vz/private" "$dir/fs/conf" "$dir/fs/state" "$dir/fs/vz"
      printf 'NODE_NETNS=%q\nNODE_PID=%q\n' "$netns" "$pid"; } >"$dir/node.env"
}

# What a careless copy loses: links, holes, times, attributes, owners, odd names, special files, deep paths.
add_files() { # TREE
    perl -e '
        my $d = shift; mkdir $d, 0755; chdir $d or die;
        my $w = sub { open my $f, ">", $_[0] or die "$_[0]: $!"; print $f $_[1]; close $f };
        $w->("plain", "plain\n"); link "plain", "hardlink"; symlink "plain", "relative"; symlink "/etc/passwd", "absolute"; symlink "nowhere", "dangling";
        open my $s, ">", "sparse" or die; seek $s, 8 * 1048576, 0; print $s "end"; close $s;
        $w->("caf\xe9 latin1", "not UTF-8\n"); $w->("new\nline", "newline\n"); $w->("n" x 255, "longest name\n"); $w->("-rf", "looks like an option\n"); $w->("back\\slash", "b\n");
        $w->("owned", "o\n"); chown 54321, 12345, "owned"; $w->("setuid", "s\n"); chmod 04755, "setuid"; $w->("empty", "");
        mkdir "sticky"; chmod 01777, "sticky"; mkdir "deep"; my $p = "deep"; for (1 .. 20) { $p .= "/" . ("d" x 40); mkdir $p } $w->("$p/leaf", "leaf\n");
        mkdir "dev"; $w->("dev/not-a-device", "a directory named dev below the root\n");
        utime 1, 1000000000, "empty";' "$1"
    mkfifo "$1/fifo"
    mknod "$1/device" c 1 3
    touch -d '2001-02-03T04:05:06.789012345' "$1/plain"
    if command -v setfattr >/dev/null; then setfattr -n user.comment -v 'kept' "$1/owned"; fi
    if command -v setfacl >/dev/null; then setfacl -m u:54321:r,d:u:54321:rx "$1/sticky"; fi
    if command -v setcap >/dev/null; then setcap cap_net_raw+ep "$1/setuid"; fi
}

write_workload() { # FILE
    cat >"$1" <<'W'
#!/bin/bash
# Changes files of a running container: appends, replaces by rename, creates, removes, and at its end says how far it got.
dir=$1/var/tmp/workload n=0
mkdir -p "$dir"
stop=
trap 'stop=1' TERM
while [ -z "$stop" ]; do
    n=$((n + 1))
    printf 'line %s\n' $n >>"$dir/log"
    printf '%s\n' $n >"$dir/count.new" && mv "$dir/count.new" "$dir/count"
    : >"$dir/file-$n"
    rm -f "$dir/file-$((n - 20))"
    sleep 0.05 & wait $!
done
printf '%s\n' "$n" >"$dir/last"
W
    chmod 755 "$1"
}

into_image() { # PRIVATE: what is in it goes into an image in it
    local private=$1 tree=$1.tree guid='{5fbaabe3-6958-40ff-92a7-860e329aab41}' size
    mv "$private" "$tree"
    mkdir -p "$private/root.hdd" "$private/dump"
    size=$(($(du -sk "$tree" | cut -f 1) * 5 / 4 + 32768))
    mke2fs -q -t ext4 -d "$tree" "$private/root.hdd/root.hdd" "${size}k"
    rm -rf "$tree"
    printf '<?xml version="1.0"?>\n<Parallels_disk_image Version="1.0"><StorageData><Storage><Image><GUID>%s</GUID><Type>Plain</Type><File>root.hdd</File></Image></Storage></StorageData><Snapshots><TopGUID>%s</TopGUID></Snapshots></Parallels_disk_image>\n' \
        "$guid" "$guid" >"$private/root.hdd/DiskDescriptor.xml"
}

add_container() {
    local ctid tree='' from='' empty='' ips='' fqdn='' ns='' sd='' template='' name='' files='' workload='' quota='' stopped='' ploop='' private
    local -a lines=() start=()
    load_env "$1"
    ctid=${2:?CTID}
    shift 2
    fqdn=ct$ctid.example.com
    while [ $# -gt 0 ]; do
        case $1 in
        --tree) tree=$2; shift 2 ;;
        --from) from=$2; shift 2 ;;
        --empty) empty=1; shift ;;
        --ip) ips=$2; shift 2 ;;
        --hostname) fqdn=$2; shift 2 ;;
        --nameserver) ns=$2; shift 2 ;;
        --searchdomain) sd=$2; shift 2 ;;
        --ostemplate) template=$2; shift 2 ;;
        --name) name=$2; shift 2 ;;
        --line) lines+=("$2"); shift 2 ;;
        --files) files=1; shift ;;
        --workload) workload=1; shift ;;
        --ugid-quota) quota=1; shift ;;
        --wait) start+=(--wait); shift ;;
        --stopped) stopped=1; shift ;;
        --ploop) ploop=1; shift ;;
        *) die "unknown option $1" ;;
        esac
    done
    [ -n "$tree$from$empty" ] || die "add-container wants --tree, --from or --empty"
    private=$NODE_DIR/$ctid
    [ ! -e "$private" ] || die "container $ctid is there already"
    mkdir -p "$private" "$NODE_STATE/$ctid"
    if [ -n "$tree" ]; then
        "$here/trees.sh" extract "$tree" "$private"
        : "${template:=debian-$(sed 's/\..*//' "$private/etc/debian_version")-x86_64}"
        [ ! -f "$private/etc/machine-id" ] || tr -d - </proc/sys/kernel/random/uuid >"$private/etc/machine-id"
    elif [ -n "$from" ]; then
        cp -a --sparse=always "$from/." "$private/"
    else
        mkdir -p "$private/etc" "$private/var/tmp" "$private/proc" "$private/sys" "$private/dev/pts" "$private/tmp"
    fi
    : "${template:=debian-6.0-x86_64}"
    if [ -n "$files" ]; then mkdir -p "$private/srv"; add_files "$private/srv/files"; fi
    [ -z "$ploop" ] || into_image "$private"
    [ -z "$workload" ] || write_workload "$NODE_STATE/$ctid/workload"
    { printf '# Resources of container %s\nONBOOT="yes"\n\n# RAM and swap (barrier:limit)\nPHYSPAGES="0:131072"\nSWAPPAGES="0:262144"\n' "$ctid"
      printf '\n# Disk quota (soft:hard)\nDISKSPACE="2097152:2306867"\nDISKINODES="131072:144179"\nQUOTATIME="0"\n'
      [ -z "$quota" ] || printf 'QUOTAUGIDLIMIT="2000"\n'
      printf '\n# CPU\nCPUUNITS="1000"\nVE_ROOT="/vz/root/$VEID"\nVE_PRIVATE="/vz/private/$VEID"\n'
      printf 'OSTEMPLATE="%s"\nORIGIN_SAMPLE="vswap-512m"\nHOSTNAME="%s"\n' "$template" "$fqdn"
      [ -z "$ips" ] || printf 'IP_ADDRESS="%s"\n' "$ips"
      [ -z "$ns" ] || printf 'NAMESERVER="%s"\n' "$ns"
      [ -z "$sd" ] || printf 'SEARCHDOMAIN="%s"\n' "$sd"
      [ ${#lines[@]} = 0 ] || printf '%s\n' "${lines[@]}"; } >"$NODE_CONF/$ctid.conf"
    [ -z "$name" ] || on_node vzctl --quiet set "$ctid" --name "$name" --save
    [ -n "$stopped" ] || on_node vzctl --quiet start "$ctid" ${start[@]+"${start[@]}"}
}

case ${1:-} in
up) up "${@:2}" ;;
down) down "${2:?DIR}" ;;
env) env_of "${2:?DIR}" ;;
add-container) add_container "${@:2}" ;;
exec) load_env "${2:?DIR}"; on_node "${@:3}" ;;
ssh)
    load_env "${2:?DIR}"
    net=()
    [ -z "$NODE_NETNS" ] || net=(nsenter --net="/run/netns/$NODE_NETNS")
    exec ${net[@]+"${net[@]}"} ssh -F none -p "$NODE_PORT" -i "$NODE_KEY" -o IdentitiesOnly=yes -o BatchMode=yes \
        -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$NODE_KNOWN_HOSTS" "root@$NODE_HOST" "${@:3}" ;;
fail)
    load_env "${2:?DIR}"
    mkdir -p "$NODE_STATE/${3:?CTID}"
    printf '%s\n' "${5:?RC}" >"$NODE_STATE/$3/fail-${4:?ACTION}" ;;
*) usage ;;
esac
