#!/bin/bash
# limits.sh [TEST...] - tests/limits.rs on a host with control groups of version 2 alone and AppArmor: a virtual machine of
# its own, beside the cluster's, made from the same image (`make lab` has to have built that once). About 15 minutes
# without KVM. Arguments are those of the test binary.
set -euo pipefail
: "${LAB_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/ovz2lxc-lab}"
above=$LAB_DIR
[ -s "$above/base.img" ] || { echo "there is no image in $above: make lab builds it" >&2; exit 1; }
export LAB_DIR=$above/limits LAB_NODES=1 LAB_SMP=2 LAB_CT_TAR=/nonexistent LAB_SHARED_MB=1
export LAB_SSH_BASE=${LAB_SSH_BASE:-42260} LAB_QMP_BASE=${LAB_QMP_BASE:-42270}
mkdir -p "$LAB_DIR"
for file in base.img vmlinuz initrd id_ed25519; do ln -sfn "../$file" "$LAB_DIR/$file"; done
. "$(dirname "$0")/lab.env.sh"
end() {
    "$LAB_SCRIPTS/down.sh" 1
    rm -rf "$LAB_DIR"
}
trap end EXIT
cd "$LAB_SCRIPTS/../.."
binary=$(nice cargo test --test limits --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*limits-[^"]*\)".*/\1/p' | tail -1)
strip -o "$LAB_DIR/limits-test" "$binary"
"$LAB_SCRIPTS/up.sh" 1
cp /bin/busybox "$LAB_DIR/busybox"
tar -C "$LAB_DIR" -cf - limits-test busybox | lab_ssh 1 'tar -C /root -xf - && mv /root/busybox /bin/busybox'
# One container at a time: emulated, they take 15 s each to start.
lab_ssh 1 'grep -q " /sys/fs/cgroup cgroup2 " /proc/mounts' || { echo "control groups are not of version 2" >&2; exit 1; }
lab_ssh 1 "cd /root && OVZ2LXC_SKIPPED_LOG=/dev/null ./limits-test --test-threads=1 $*"
