#!/bin/bash
# lab-test.sh - the whole way, for real: container 101 of the OpenVZ node (node 2) becomes lxc-racktables on node 1, with
# its volume in the shared volume group and its configuration on GFS2, is handed to Pacemaker, moved to the other node,
# stopped cleanly, started again, and taken back. LAB_BINARY names the program; the release build otherwise.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
T0=$(lab_now)
say() { printf '[%s s] %s\n' "$(lab_since "$T0")" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
for n in 1 2; do lab_ssh $n true 2>/dev/null || fail "the lab is not up: make lab"; done
cd "$LAB_SCRIPTS/../.."
if [ -z "${LAB_BINARY:-}" ]; then
    nice cargo build --release --quiet
    LAB_BINARY=${CARGO_TARGET_DIR:-target}/release/ovz2lxc
fi

name=lxc-racktables group=lxc-racktables-group
where() { lab_ssh 1 "crm_resource --locate --resource $name 2>/dev/null" | sed -n 's/.*is running on: \([^ ]*\).*/\1/p'; }
settle() { lab_ssh 1 'crm_resource --wait --timeout=300'; }
configuration() { lab_ssh 1 "cibadmin --query -o resources; cibadmin --query -o constraints"; }
volumes() { lab_ssh 1 'lvs --noheadings -o lv_name shared_vg | sort'; }

# --- before -----------------------------------------------------------------------------------------------------------
strip -o "$LAB_DIR/ovz2lxc" "$LAB_BINARY"
lab_ssh 1 'cat >/usr/local/sbin/ovz2lxc && chmod 755 /usr/local/sbin/ovz2lxc' <"$LAB_DIR/ovz2lxc"
"$LAB_SCRIPTS/openvz.sh"
lab_ssh 1 'ssh-keyscan -t ed25519 node2 2>/dev/null >/root/node2.key && test -s /root/node2.key'
configuration >"$LAB_DIR/before.xml"
volumes >"$LAB_DIR/before.lvs"
say "node 2 is an OpenVZ node with container 101"
# What changed less than a minute before a pass is sent again by the next one; a tree that was just unpacked is all of that.
sleep 65

# --- migrate ----------------------------------------------------------------------------------------------------------
options="--from root@node2 --known-hosts /root/node2.key --storage lvm --vg shared_vg --cluster pcs --bridge br0 --prefix4 24 --gateway4 192.168.77.1 --progress plain"
lab_ssh 1 "ovz2lxc migrate 101 $options ${LAB_OPTIONS:-} --yes --format json >/root/result.json" || { lab_ssh 1 'cat /root/result.json'; fail "migrate ended with $?"; }
lab_ssh 1 'cat /root/result.json' >"$LAB_DIR/result.json"
grep -q '"outcome": *"migrated"' "$LAB_DIR/result.json" || fail "not migrated: $(cat "$LAB_DIR/result.json")"
say "migrated: $(tr -d '\n' <"$LAB_DIR/result.json" | grep -o '"downtime_seconds": *[0-9.]*')"

# --- what it must be like ---------------------------------------------------------------------------------------------
[ "$(where)" = node1 ] || fail "the cluster has it on \"$(where)\", not on node1"
lab_ssh 1 "cibadmin --query -o resources" | grep -A 40 "id=\"$group\"" | grep -qE 'is-managed|target-role' && fail "it is not managed, or disabled"
pid=$(lab_ssh 1 "lxc-info -n $name -p -H")
[ "$(lab_ssh 1 'cibadmin --query -o status' | grep -c "${name}_start_0")" = 0 ] || fail "Pacemaker has started it: it was not adopted"
lab_ssh 2 "test -f /var/lib/lxc/$name/config" || fail "its configuration is not on the shared file system"
said=$(lab_ssh 2 "lvchange -aey shared_vg/$name 2>&1") && fail "node 2 could activate the volume as well"
case $said in *"locked by other host"*) ;; *) fail "unexpected: $said" ;; esac
for _ in $(seq 60); do lab_ssh 2 'ping -c 1 -W 1 192.168.77.101 >/dev/null' && break; done
lab_ssh 2 'ping -c 1 -W 2 192.168.77.101 >/dev/null' || fail "its address does not answer"
[ "$(lab_ssh 1 "lxc-attach -n $name -- stat -c '%a %u %g' /usr/local/bin/which-one")" = '4755 1234 5678' ] || fail "mode or owner was lost"
lab_ssh 2 'vzctl status 101' | grep -q ' down' || fail "the source still runs"
lab_ssh 2 'grep -q "^ONBOOT=\"no\"" /etc/vz/conf/101.conf' || fail "the source would start again at boot"
say "runs on node1 as process $pid, adopted by Pacemaker; its address answers; the source is down and fenced"

# --- moved by the cluster -----------------------------------------------------------------------------------------------
lab_ssh 1 "crm_resource --move --resource $group --node node2" 2>/dev/null
settle
[ "$(where)" = node2 ] || fail "moved to \"$(where)\""
for _ in $(seq 60); do lab_ssh 1 'ping -c 1 -W 1 192.168.77.101 >/dev/null' && break; done
lab_ssh 1 'ping -c 1 -W 2 192.168.77.101 >/dev/null' || fail "its address does not answer on node2"
lab_ssh 1 "crm_resource --clear --resource $group"
settle
[ "$(where)" = node2 ] || fail "it went back to \"$(where)\""
say "moved to node2, and it stays there"

# --- stopped cleanly ----------------------------------------------------------------------------------------------------
began=$(lab_now)
lab_ssh 1 "crm_resource --resource $group --meta --set-parameter target-role --parameter-value Stopped" >/dev/null
settle
took=$(lab_since "$began")
[ -z "$(where)" ] || fail "it still runs"
lab_ssh 1 'crm_mon -1' | grep -A 5 'Failed' && fail "an action failed"
# The agent kills it after its timeout minus 5 s, which is more than this.
awk -v t="$took" 'BEGIN {exit !(t < 100)}' || fail "stopping took $took s: it was killed"
say "stopped cleanly in $took s"

# --- taken back -----------------------------------------------------------------------------------------------------------
lab_ssh 1 "crm_resource --move --resource $group --node node1; crm_resource --resource $group --meta --delete-parameter target-role" >/dev/null 2>&1
settle
lab_ssh 1 "crm_resource --clear --resource $group" >/dev/null
[ "$(where)" = node1 ] || fail "started again on \"$(where)\""
lab_ssh 1 "ovz2lxc rollback 101 --known-hosts /root/node2.key --progress plain --yes"
settle
lab_ssh 1 "crm_mon -1" | grep -A 5 'Failed' && fail "an action failed"
configuration | cmp -s - "$LAB_DIR/before.xml" || fail "the cluster's configuration is not as before"
lab_ssh 2 'vzctl status 101' | grep -q ' running' || fail "the source does not run again"
lab_ssh 2 'grep -q "^ONBOOT=\"yes\"" /etc/vz/conf/101.conf' || fail "the source does not start at boot any more"
# The new container has lived: what it wrote is kept until the operator deletes it, but nothing holds it any more.
lab_ssh 1 "lvs --noheadings -o lv_active shared_vg/$name" | grep -q active && fail "its volume is still active"
lab_ssh 1 "lvremove -y -q shared_vg/$name && rm -rf /var/lib/lxc/$name" >/dev/null
volumes | cmp -s - "$LAB_DIR/before.lvs" || fail "the volume group is not as before"
say "taken back: the cluster is as before, and the source runs"
