#!/bin/bash
# up.sh [N...] - boot the lab nodes (default: 1..LAB_NODES) and wait for ssh.
# A node that is running already is left alone. FRESH=1 drops the node's overlay.
#
# Network: NIC 1 is QEMU user networking with restrict=on (ssh in from
# 127.0.0.1; out only to the monitor ports of the other nodes, for fencing);
# NIC 2 is a wire made of two UNIX datagram sockets. Nothing reaches a real network.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
cd "$LAB_DIR"
nodes=("$@"); [ ${#nodes[@]} -gt 0 ] || mapfile -t nodes < <(seq 1 "$LAB_NODES")
[ -e "$LAB_SHARED" ] || truncate -s "${LAB_SHARED_MB}M" "$LAB_SHARED"
accel="tcg,thread=multi,tb-size=256"; cpu="max,la57=off"
# KVM without hardware support (kvm_pvm) opens, but does not get through a normal kernel's decompressor
if [ "${LAB_KVM:-auto}" = auto ]; then
    if [ -w /dev/kvm ] && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then LAB_KVM=1; else LAB_KVM=0; fi
fi
if [ "$LAB_KVM" = 1 ]; then accel=kvm cpu=host; fi
t0=$(lab_now)
for n in "${nodes[@]}"; do
    if [ -s "node$n.pid" ] && kill -0 "$(cat "node$n.pid")" 2>/dev/null; then echo "node$n runs already"; continue; fi
    [ -n "${FRESH:-}" ] && rm -f "node$n.qcow2"
    [ -e "node$n.qcow2" ] || qemu-img create -q -f qcow2 -F raw -b "$LAB_BASE" "node$n.qcow2"
    peer=$((3 - n))
    rm -f "wire$n.sock"
    ctdisk=()     # a container's root file system as a tar, readable in the VM as /dev/vdc
    [ -s "${LAB_CT_TAR:-$LAB_DIR/ct.tar}" ] && ctdisk=(-drive "file=${LAB_CT_TAR:-$LAB_DIR/ct.tar},if=virtio,format=raw,readonly=on,file.locking=off")
    incoming=()   # snap.sh restore: start from a saved memory image, paused until all are loaded
    [ -n "${LAB_INCOMING:-}" ] && incoming=(-S -incoming "exec:cat $LAB_INCOMING/node$n.state")
    # guestfwd: inside every VM, 10.0.2.100:(QMP_BASE+N) is node N's second monitor,
    # for fence_lab. (A monitor socket serves one client at a time: hence a second
    # one, and a time limit on the connection.)
    fwd=""
    for m in $(seq 1 "$LAB_NODES"); do
        fwd+=",guestfwd=tcp:10.0.2.100:$((LAB_QMP_BASE + m))-cmd:timeout 5 nc -q 1 -U $LAB_DIR/fence$m.sock"
    done
    # not -daemonize: that would throw QEMU's own error messages away
    setsid qemu-system-x86_64 -name "lab-node$n" -nodefaults -no-user-config -display none \
        -machine pc -accel "$accel" -cpu "$cpu" -smp "${LAB_SMP:-1}" -m "$LAB_MEM" \
        -kernel "$LAB_KERNEL" -initrd "$LAB_INITRD" \
        -append "console=ttyS0 quiet loglevel=4 mitigations=off audit=0 tsc=reliable no_timer_check net.ifnames=0 systemd.show_status=0 nmi_watchdog=0 nowatchdog lab.node=$n systemd.machine_id=$(printf %032x "$n") ${LAB_APPEND:-}" \
        -drive "file=node$n.qcow2,if=none,id=root,format=qcow2,cache=unsafe,discard=unmap" \
        -device virtio-blk-pci,drive=root,serial=root \
        -drive "file=$LAB_SHARED,if=none,id=shared,format=raw,cache=none,file.locking=off" \
        -device virtio-blk-pci,drive=shared,share-rw=on,serial=shared0 \
        "${ctdisk[@]}" \
        -netdev "user,id=u0,restrict=on,hostfwd=tcp:127.0.0.1:$(lab_port "$n")-:22$fwd" \
        -device "virtio-net-pci,netdev=u0,mac=52:54:00:10:00:0$n" \
        -netdev "dgram,id=w0,local.type=unix,local.path=$LAB_DIR/wire$n.sock,remote.type=unix,remote.path=$LAB_DIR/wire$peer.sock" \
        -device "virtio-net-pci,netdev=w0,mac=52:54:00:20:00:0$n" \
        -device virtio-rng-pci \
        -serial "file:node$n.console" \
        -monitor "unix:$LAB_DIR/mon$n.sock,server=on,wait=off" \
        -chardev "socket,id=fence,path=$LAB_DIR/fence$n.sock,server=on,wait=off" -mon chardev=fence,mode=readline \
        -pidfile "node$n.pid" "${incoming[@]}" </dev/null >"node$n.qemu.log" 2>&1 &
    for _ in $(seq 100); do [ -s "node$n.pid" ] && break; sleep 0.05; done
    [ -s "node$n.pid" ] || { cat "node$n.qemu.log"; exit 1; }
done
if [ -n "${LAB_INCOMING:-}" ]; then      # all loaded? then let all go on at the same moment
    for n in "${nodes[@]}"; do
        until printf 'info status\n' | nc -q 1 -w 5 -U "mon$n.sock" 2>/dev/null | grep -q 'paused' &&
              ! printf 'info status\n' | nc -q 1 -w 5 -U "mon$n.sock" 2>/dev/null | grep -q 'inmigrate'; do sleep 0.2; done
    done
    conts=()
    for n in "${nodes[@]}"; do printf 'cont\n' | nc -q 1 -w 5 -U "mon$n.sock" >/dev/null 2>&1 & conts+=($!); done
    wait "${conts[@]}" || true     # not a bare wait: the VMs are children of this shell
fi
for n in "${nodes[@]}"; do
    until lab_ssh "$n" true 2>/dev/null; do
        kill -0 "$(cat "node$n.pid")" || { echo "node$n died"; exit 1; }
        [ "$(printf '%.0f' "$(lab_since "$t0")")" -lt 180 ] || { echo "node$n: no ssh after 180 s"; tail -5 "node$n.console"; exit 1; }
        sleep 0.5
    done
    echo "node$n: ssh after $(lab_since "$t0") s"
done
