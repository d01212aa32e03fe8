#!/bin/bash
# make-ct.sh [OUT.tar] - a small Debian container root with sysvinit and sshd,
# as a tar that the VMs read as /dev/vdc.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
out=${1:-$LAB_DIR/ct.tar}
mkdir -p "$(dirname "$out")"
[ -s "$out" ] && { echo "$out is there already"; exit 0; }
t0=$(lab_now)
mmdebstrap --mode=root --variant=minbase --format=tar \
    --include=sysvinit-core,initscripts,ifupdown,iproute2,iputils-ping,openssh-server,procps \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*; : > "$1/etc/fstab"' \
    --customize-hook='sed -i "s#^pf::powerwait:.*#pf::powerwait:/sbin/shutdown -h now#; /^[56]:23:respawn/d" "$1/etc/inittab"' \
    "$LAB_SUITE" "$out" "$LAB_SOURCES" >"$out.log" 2>&1 || { tail -20 "$out.log"; exit 1; }
echo "$out: $(du -m "$out" | cut -f1) MiB in $(lab_since "$t0") s"
