#!/bin/bash
# openvz.sh - make node 2 an OpenVZ node as well: /etc/vz, /vz, stand-ins for vzctl and vzlist, and container 101, a
# Debian with sysvinit that has been started once, so that its network files are those of vzctl.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
tar -C "$LAB_SCRIPTS/../node" -cf - vzctl vzlist VzConf.pm dress.sh | lab_ssh 2 'rm -rf /root/ovz; mkdir /root/ovz; tar -C /root/ovz -xf -'
lab_ssh 2 'bash -s' <<'NODE'
set -euo pipefail
install -m 755 /root/ovz/vzctl /root/ovz/vzlist /usr/sbin/
install -D -m 644 /root/ovz/VzConf.pm /usr/lib/ovznode/VzConf.pm
install -D -m 755 /root/ovz/dress.sh /usr/lib/ovznode/dress.sh
mkdir -p /etc/vz/conf /etc/vz/names /etc/sysconfig /vz/private /vz/root /vz/lock /vz/dump /vz/template /var/lib/ovznode
ln -sfn /etc/vz/conf /etc/sysconfig/vz-scripts
ln -sfn /etc/vz/vz.conf /etc/sysconfig/vz
cat >/etc/vz/vz.conf <<'C'
VIRTUOZZO=yes
LOCKDIR=/vz/lock
DUMPDIR=/vz/dump
DISK_QUOTA=yes
TEMPLATE=/vz/template
VE_ROOT=/vz/root/$VEID
VE_PRIVATE=/vz/private/$VEID
VE_LAYOUT=simfs
C
printf 'ONBOOT="no"\nPHYSPAGES="unlimited"\nSWAPPAGES="unlimited"\n' >/etc/vz/conf/0.conf
vzctl --quiet stop 101 2>/dev/null || true
rm -rf /vz/private/101
mkdir -p /vz/private/101 /vz/root/101
tar -C /vz/private/101 --numeric-owner -xpf /dev/vdc
printf '#!/bin/sh\necho racktables\n' >/vz/private/101/usr/local/bin/which-one
chown 1234:5678 /vz/private/101/usr/local/bin/which-one
chmod 4755 /vz/private/101/usr/local/bin/which-one
cat >/etc/vz/conf/101.conf <<'C'
ONBOOT="yes"
PHYSPAGES="0:256M"
SWAPPAGES="0:128M"
DISKSPACE="700M:720M"
DISKINODES="60000:66000"
CPUUNITS="1000"
VE_ROOT="/vz/root/$VEID"
VE_PRIVATE="/vz/private/$VEID"
OSTEMPLATE="debian-12-x86_64"
ORIGIN_SAMPLE="basic"
HOSTNAME="racktables.example.com"
NAME="racktables"
IP_ADDRESS="192.168.77.101"
NAMESERVER="192.168.77.1"
C
ln -sfn /etc/vz/conf/101.conf /etc/vz/names/racktables
vzctl start 101
vzlist -a
NODE
