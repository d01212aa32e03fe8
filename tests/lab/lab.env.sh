# shellcheck shell=bash disable=SC2034
# lab.env.sh - variables shared by every lab script; source it, do not run it.
# Everything can be overridden from the environment. Nothing here names a
# machine, a mirror or a person.
: "${LAB_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/ovz2lxc-lab}"   # images, sockets, pids; a short path (UNIX sockets)
: "${LAB_SCRIPTS:=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)}"
: "${LAB_SUITE:=bookworm}"
: "${LAB_KPKG:=linux-image-amd64}"              # generic flavour: cloud flavour has no gfs2/dlm
: "${LAB_SOURCES:=/etc/apt/sources.list.d/debian.sources}"  # mirror comes from here at run time
: "${LAB_NODES:=2}"                             # 1 or 2
: "${LAB_MEM:=1536}"                            # MiB per VM
: "${LAB_SSH_BASE:=42220}"                       # node N is reached on 127.0.0.1:(LAB_SSH_BASE+N)
: "${LAB_QMP_BASE:=42230}"                       # node N's QEMU monitor (used by the fence agent)
: "${LAB_SHARED_MB:=2048}"                      # shared raw disk (sparse)
: "${LAB_CLUSTER:=labcl}"
: "${LAB_ROOT_MB:=3072}"                        # virtual size of the root disk (sparse)

LAB_KEY="$LAB_DIR/id_ed25519"
LAB_BASE="$LAB_DIR/base.img"                    # raw ext4, no partition table
LAB_KERNEL="$LAB_DIR/vmlinuz"
LAB_INITRD="$LAB_DIR/initrd"
LAB_SHARED="$LAB_DIR/shared.img"

lab_port() { echo $((LAB_SSH_BASE + $1)); }

# lab_ssh N cmd...  - run a command on node N as root
lab_ssh() {
    local n=$1; shift
    ssh -q -p "$(lab_port "$n")" -i "$LAB_KEY" \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=5 -o ServerAliveInterval=10 \
        -o ControlMaster=auto -o ControlPath="$LAB_DIR/cm-%p" -o ControlPersist=300 \
        root@127.0.0.1 "$@"
}
lab_now() { date +%s.%N; }
lab_since() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN{printf "%.1f", b-a}'; }

# Says what is missing before anything is begun; scripts/deps.sh lab installs it.
lab_host_check() {
    local p missing=
    for p in qemu-system-x86_64 qemu-img mmdebstrap mkfs.ext4 busybox nc cpio modprobe ssh pcs cibadmin crm_verify; do
        command -v "$p" >/dev/null || missing="$missing $p"
    done
    [ -z "$missing" ] || { echo "missing:$missing (scripts/deps.sh lab installs them)" >&2; return 1; }
    [ "$(id -u)" = 0 ] || { echo "the lab's image is built as root" >&2; return 1; }
    # A UNIX socket's path has room for 108 bytes.
    [ "${#LAB_DIR}" -le 80 ] || { echo "LAB_DIR=$LAB_DIR is too long a path" >&2; return 1; }
}
