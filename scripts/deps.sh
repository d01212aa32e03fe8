#!/bin/bash
# deps.sh [--best-effort] GROUP... - installs the Debian packages that a group of targets needs and that are missing,
# and says which and why. Groups: build, test, demo, lint, bench, fuzz, lab. Does nothing when all are there.
#
# As root or through sudo, without questions; `apt-get update` only when the package lists do not know a package. Services
# that come with a package are not started. With --best-effort what cannot be installed is said and is no failure: the
# tests then skip what needs it.
set -euo pipefail

packages_for() {
    case $1 in
    build) cat <<'P' ;;
gcc              compiles libssh2, which the built-in SSH client is made of
make             runs the targets
pkg-config       finds the libraries
libssl-dev       the cryptography below libssh2
zlib1g-dev       compression in libssh2
P
    test) cat <<'P' ;;
busybox-static   the smallest container that boots
openssh-server   the sshd of the node that the tests migrate from
openssh-client   keys, and one of the two SSH transports
sshpass          passwords for the system's SSH client
rsync            the rsync engine
lxc              starts what was migrated, and judges every configuration
e2fsprogs        ext4 volumes
xfsprogs         xfs volumes
lvm2             the commands for logical volumes
attr             extended attributes in the test trees
acl              access lists in the test trees
libcap2-bin      file capabilities in the test trees
iproute2         the private network of the tests
iputils-ping     asks a started container for an answer
procps           looks at processes
mmdebstrap       makes the distribution trees that play containers
debootstrap      the same where mmdebstrap cannot
pcs              builds the cluster's resources in an offline CIB
pacemaker-cli-utils  checks the CIB and simulates the cluster
resource-agents  the LXC and LVM agents that the CIB names
P
    demo) cat <<'P' ;;
openssh-server   the sshd of the node that the demo migrates from
openssh-client   one of the two SSH transports
rsync            the rsync engine
lxc              starts what was migrated
e2fsprogs        the image-file volume
iproute2         the private network of the demo
iputils-ping     asks the container for an answer
libcap2-bin      file capabilities in the container
attr             extended attributes in the container
acl              access lists in the container
procps           looks at processes
bsdutils         a terminal for the container's console
mmdebstrap       makes the Debian tree that plays the container
P
    lint) printf 'shellcheck       reads the shell scripts\n' ;;
    bench) printf 'rsync            what the engine is measured against\nopenssh-server   the other end\nopenssh-client   the other end\npython3          makes the trees\n' ;;
    fuzz) printf 'g++              compiles libFuzzer\n' ;;
    lab) cat <<'P' ;;
qemu-system-x86  the two nodes of the cluster
qemu-utils       their disks
mmdebstrap       their system
e2fsprogs        their file systems
openssh-client   the way into them
netcat-openbsd   talks to the machines' monitors
pcs              makes the cluster's configuration, offline
pacemaker-cli-utils  checks it
resource-agents  describes the resources in it
pacemaker-resource-agents  describes those of Pacemaker itself
busybox-static   the first program that they run
cpio             packs it
kmod             the modules of their kernel
P
    *) printf 'deps.sh: unknown group %s\n' "$1" >&2; exit 2 ;;
    esac
}

best_effort=''
[ "${1:-}" != --best-effort ] || { best_effort=1; shift; }
[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }

fail() {
    printf 'deps.sh: %s\n' "$*" >&2
    [ -n "$best_effort" ] || exit 1
    exit 0
}

installed() {
    if command -v dpkg-query >/dev/null; then
        dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed && return 0
        # Another package may provide it: pkgconf stands for pkg-config since Debian 12.
        dpkg-query -W -f '${db:Status-Status} ${Provides}\n' 2>/dev/null | grep -qE "^installed (.*, )?$1( |,|\$)"
    else
        # Not a Debian system: what can be seen is the command of the same name.
        case $1 in
        openssh-server) [ -x /usr/sbin/sshd ] ;;
        openssh-client) command -v ssh >/dev/null ;;
        lxc) command -v lxc-start >/dev/null ;;
        e2fsprogs) command -v mkfs.ext4 >/dev/null ;;
        xfsprogs) command -v mkfs.xfs >/dev/null ;;
        iproute2) command -v ip >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
        esac
    fi
}

lines=''
for group in "$@"; do lines+=$(packages_for "$group")$'\n'; done
missing=()
while read -r package why; do
    [ -n "$package" ] || continue
    case " ${missing[*]-} " in *" $package "*) continue ;; esac
    installed "$package" && continue
    [ ${#missing[@]} -gt 0 ] || echo "packages that are missing:"
    printf '  %-20s %s\n' "$package" "$why"
    missing+=("$package")
done <<<"$lines"
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || fail "this system has no apt-get: install what is listed above by its own means"
become=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "installing packages needs root: run as root \`apt-get install ${missing[*]}\`"
    sudo -n true 2>/dev/null || fail "sudo asks for a password: run \`sudo apt-get install ${missing[*]}\`"
    become=(sudo -n)
fi

apt() {
    # RUNLEVEL and SYSTEMD_OFFLINE keep the maintainer scripts from starting what they install.
    ${become[@]+"${become[@]}"} env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 SYSTEMD_OFFLINE=1 LC_ALL=C apt-get -y -q "$@" </dev/null
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { apt install --no-install-recommends --no-upgrade "$@" >"$log" 2>&1; }

echo "installing ${missing[*]}"
if ! install "${missing[@]}"; then
    if ! apt update >>"$log" 2>&1 || ! install "${missing[@]}"; then
        # One that cannot be had must not take the others with it.
        still=()
        for package in "${missing[@]}"; do install "$package" || still+=("$package"); done
        [ ${#still[@]} = 0 ] || { tail -n 5 "$log" >&2; fail "could not be installed: ${still[*]}"; }
    fi
fi
