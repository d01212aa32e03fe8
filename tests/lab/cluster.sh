#!/bin/bash
# cluster.sh - turn the booted VMs into the test cluster (idempotent enough to
# be run on freshly booted nodes): corosync + pacemaker, fencing, DLM, lvmlockd,
# shared volume group, GFS2 on /var/lib/lxc on both nodes.
#
# pcs is slow under TCG (8-12 s a call), so the configuration is made on the
# host with `pcs -f FILE` (0.7 s a call, no daemon needed) and pushed once with
# cibadmin. Host packages: pcs pacemaker-cli-utils resource-agents
# pacemaker-resource-agents.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
cd "$LAB_DIR"
T0=$(lab_now)
say() { echo "[$(lab_since "$T0") s] $*"; }

names=() members=()
for n in $(seq 1 "$LAB_NODES"); do names+=("node$n"); members+=("node$n" "addr=192.168.77.$n"); done
push_cib() {   # push_cib FILE: replace the configuration, wait until the cluster is idle
    lab_ssh 1 'cat > /root/cib.xml && cibadmin --replace --scope configuration --xml-file /root/cib.xml && crm_resource --wait --timeout=300' < "$1"
}

# --- 1. corosync + pacemaker -------------------------------------------------
rm -f corosync.conf
pcs cluster setup "$LAB_CLUSTER" "${members[@]}" transport knet link linknumber=0 totem token=10000 \
    --corosync_conf="$LAB_DIR/corosync.conf" 2>/dev/null
# two_node implies wait_for_all; fine for a lab whose nodes start together
[ -s corosync.authkey ]  || head -c 256 /dev/urandom > corosync.authkey
[ -s pacemaker.authkey ] || head -c 256 /dev/urandom > pacemaker.authkey
for n in $(seq 1 "$LAB_NODES"); do
    tar cf - corosync.conf corosync.authkey pacemaker.authkey | lab_ssh "$n" '
        cd /root && tar xf - &&
        install -m 644 corosync.conf /etc/corosync/corosync.conf &&
        install -m 400 corosync.authkey /etc/corosync/authkey &&
        install -d -m 750 -g haclient /etc/pacemaker &&
        install -m 640 -o root -g haclient pacemaker.authkey /etc/pacemaker/authkey &&
        modprobe -a gfs2 dlm && systemctl start corosync pacemaker' & pids[n]=$!
done
for p in "${pids[@]}"; do wait "$p"; done
say "daemons started"
until lab_ssh 1 'crm_mon -1 2>/dev/null' | grep -q "Online: \[ ${names[*]} \]"; do sleep 0.5; done
say "nodes online"

# --- 2. fencing, DLM, lvmlockd --------------------------------------------------
lab_ssh 1 cibadmin -Q > cib.xml
P() { pcs -f cib.xml "$@" >/dev/null 2>pcs.err || { cat pcs.err; exit 1; }; }
O=(op start timeout=180s op stop timeout=180s op monitor interval=60s timeout=120s)
map=$(for n in $(seq 1 "$LAB_NODES"); do printf 'node%s:%s;' "$n" "$n"; done)
P property set no-quorum-policy=freeze stonith-timeout=120s
# `pcs cluster setup` 0.11.5 leaves stickiness at 0; then `pcs resource move` moves,
# drops its constraint, the resource goes straight back, and pcs exits 1
P resource defaults update resource-stickiness=1
# not `pcs stonith create`: that wants the agent's metadata, and fence_lab exists in the VMs only
CIB_file=cib.xml cibadmin --create -o resources --xml-text "<primitive id='fence' class='stonith' type='fence_lab'>
  <instance_attributes id='fence-ia'><nvpair id='fence-ia-map' name='pcmk_host_map' value='${map%;}'/></instance_attributes>
  <operations><op id='fence-monitor' name='monitor' interval='300s' timeout='60s'/></operations></primitive>"
P resource create dlm ocf:pacemaker:controld "${O[@]}" on-fail=fence clone interleave=true ordered=true
P resource create lvmlockd ocf:heartbeat:lvmlockd "${O[@]}" on-fail=fence clone interleave=true ordered=true
P constraint order start dlm-clone "then" lvmlockd-clone
P constraint colocation add lvmlockd-clone with dlm-clone
crm_verify -x cib.xml
push_cib cib.xml
say "dlm + lvmlockd up"

# --- 3. shared volume group, GFS2 ------------------------------------------------
lab_ssh 1 "vgs shared_vg >/dev/null 2>&1 || vgcreate -q --shared shared_vg /dev/vdb"
for n in $(seq 2 "$LAB_NODES"); do lab_ssh "$n" 'vgchange -q --lock-start shared_vg'; done
lab_ssh 1 "lvs shared_vg/lxc_conf >/dev/null 2>&1 || {
    lvcreate -q -y --activate sy -L 128M -n lxc_conf shared_vg &&
    mkfs.gfs2 -q -O -j $LAB_NODES -J 16 -p lock_dlm -t $LAB_CLUSTER:lxcconf /dev/shared_vg/lxc_conf &&
    lvchange -q -an shared_vg/lxc_conf; }"
say "volume group and GFS2 made"
lab_ssh 1 cibadmin -Q > cib.xml
P resource create lxcconf_lv ocf:heartbeat:LVM-activate vgname=shared_vg lvname=lxc_conf activation_mode=shared vg_access_mode=lvmlockd "${O[@]}" clone interleave=true ordered=true
P resource create lxcconf_fs ocf:heartbeat:Filesystem device=/dev/shared_vg/lxc_conf directory=/var/lib/lxc fstype=gfs2 options=noatime "${O[@]}" on-fail=fence clone interleave=true ordered=true
P constraint order start lvmlockd-clone "then" lxcconf_lv-clone
P constraint colocation add lxcconf_lv-clone with lvmlockd-clone
P constraint order start lxcconf_lv-clone "then" lxcconf_fs-clone
P constraint colocation add lxcconf_fs-clone with lxcconf_lv-clone
crm_verify -x cib.xml
push_cib cib.xml
for n in $(seq 1 "$LAB_NODES"); do lab_ssh "$n" 'grep -q " /var/lib/lxc gfs2 " /proc/mounts' || { say "node$n: GFS2 is not mounted"; exit 1; }; done
say "GFS2 on /var/lib/lxc on ${names[*]}: ready"
