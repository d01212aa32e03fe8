#!/bin/bash
# build-base.sh - build the lab VM's root image, kernel and initrd (once).
#
# Needs root, mmdebstrap, e2fsprogs, busybox-static, cpio, kmod.
# No loop mount, no device mapper, no boot loader: the image is a bare ext4
# file system made with `mkfs.ext4 -d`, and QEMU boots kernel+initrd directly.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
mkdir -p "$LAB_DIR"
cd "$LAB_DIR"
key=$(cat "$LAB_SCRIPTS/build-base.sh" "$LAB_SCRIPTS/fence_lab" | sha256sum | cut -c 1-16)
if [ -s "$LAB_BASE" ] && [ -s "$LAB_KERNEL" ] && [ -s "$LAB_INITRD" ] && [ "$(cat base.key 2>/dev/null)" = "$key" ]; then
    echo "base image is there already"; exit 0
fi
rm -f base.key
t0=$(lab_now)

[ -s "$LAB_KEY" ] || ssh-keygen -q -t ed25519 -N '' -C lab -f "$LAB_KEY"

# --- 1. root file system -----------------------------------------------------
PKGS="systemd-sysv,systemd,udev,dbus,kmod,iproute2,iputils-ping,openssh-server,\
procps,psmisc,less,rsync,openssh-client,libssl3,zlib1g,e2fsprogs,xfsprogs,bridge-utils,netcat-openbsd,xz-utils,zstd,ca-certificates,\
lvm2,lvm2-lockd,dlm-controld,gfs2-utils,\
corosync,pacemaker,pacemaker-cli-utils,pcs,crmsh,resource-agents,libxml2-utils,\
lxc,apparmor"
ROOT="$LAB_DIR/root"
rm -rf "$ROOT"
# The package set is cached as a tar: a change of configuration rebuilds in seconds.
if [ ! -s rootfs.tar ] || [ "$(cat rootfs.pkgs 2>/dev/null)" != "$PKGS" ]; then
# policy-rc.d: no service starts inside the chroot. Docs, man pages and locales
# are never unpacked. force-unsafe-io: no fsync per file.
mmdebstrap --mode=root --variant=minbase --format=tar \
    --include="$PKGS" \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    "$LAB_SUITE" rootfs.tar "$LAB_SOURCES" >build.log 2>&1 || { tail -20 build.log; exit 1; }
    echo "$PKGS" > rootfs.pkgs
fi
mkdir "$ROOT"; tar -C "$ROOT" -xpf rootfs.tar --numeric-owner
echo "rootfs: $(lab_since "$t0") s, $(du -sm "$ROOT" | cut -f1) MiB"

# --- 2. kernel: unpack the package, do not install it (no initramfs-tools) ----
mkdir -p kdl
if ! ls kdl/linux-image-*.deb >/dev/null 2>&1; then
    kpkg=$(apt-cache depends "$LAB_KPKG" | awk '/Depends: linux-image/{print $2; exit}')
    (cd kdl && apt-get -qq download "$kpkg" 2>/dev/null)
fi
rm -rf kroot; mkdir kroot
dpkg-deb -x kdl/linux-image-*.deb kroot
KVER=$(ls kroot/lib/modules)
cp kroot/boot/vmlinuz-* "$LAB_KERNEL"
M="kroot/lib/modules/$KVER/kernel"
# A virtual machine needs neither GPUs nor sound nor wireless.
rm -rf "$M"/sound "$M"/drivers/{gpu,media,infiniband,iio,staging,isdn,usb,bluetooth,nfc,hwmon,input,mmc,mtd,thunderbolt,video,platform,scsi,ata,firmware,comedi,leds,rtc,w1,char/tpm,crypto,net/wireless,net/ethernet,net/can,net/usb,accel,power,soundwire,i2c,gpio,pinctrl,mfd,regulator,edac,acpi,ntb,parport,pcmcia,memstick,message,tty,uio,vfio,xen} "$M"/net/{wireless,mac80211,bluetooth,nfc,can}
depmod -b kroot "$KVER"
mkdir -p "$ROOT/lib/modules"
cp -a "kroot/lib/modules/$KVER" "$ROOT/lib/modules/"
echo "kernel $KVER: modules $(du -sm "$ROOT/lib/modules" | cut -f1) MiB"

# --- 3. initrd: busybox and the few modules the root disk needs --------------
rm -rf ird; mkdir -p ird/{bin,dev,proc,sys,newroot,lib}
cp /bin/busybox ird/bin/busybox
# modules in load order, without duplicates
for m in virtio_pci virtio_blk virtio_net virtio_rng ext4 crc32c_generic bridge; do
    modprobe -d kroot -S "$KVER" --show-depends "$m" 2>/dev/null | awk '/^insmod/{print $2}'
done | awk '!s[$0]++' > ird.mods
: > ird/lib/order
while read -r f; do cp "$f" ird/lib/; basename "$f" >> ird/lib/order; done < ird.mods
cat > ird/init <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
while read -r m; do /bin/busybox insmod /lib/$m 2>/dev/null; done < /lib/order
i=0; while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do /bin/busybox usleep 20000; i=$((i+1)); done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /newroot || exec /bin/busybox sh
/bin/busybox mount --move /dev /newroot/dev
/bin/busybox umount /proc
exec /bin/busybox switch_root /newroot /sbin/init
INIT
chmod +x ird/init
(cd ird && find . | cpio -o -H newc --quiet | gzip -1) > "$LAB_INITRD"

# --- 4. configure the root ----------------------------------------------------
sed -i 's#^root:[^:]*:#root::#' "$ROOT/etc/shadow"          # console login without a password
install -d -m 700 "$ROOT/root/.ssh"
cp "$LAB_KEY.pub" "$ROOT/root/.ssh/authorized_keys"
cp "$LAB_KEY" "$ROOT/root/.ssh/id_ed25519"; chmod 600 "$ROOT/root/.ssh/"*
printf 'Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n' > "$ROOT/root/.ssh/config"
printf 'UseDNS no\nPermitRootLogin prohibit-password\nUsePAM no\n' > "$ROOT/etc/ssh/sshd_config.d/lab.conf"
printf 'hacluster:lab\n' | chroot "$ROOT" chpasswd
: > "$ROOT/etc/fstab"
: > "$ROOT/etc/resolv.conf"
rm -f "$ROOT"/etc/apt/sources.list "$ROOT"/etc/apt/sources.list.d/*   # no mirror in the image
printf '127.0.0.1 localhost\n192.168.77.1 node1\n192.168.77.2 node2\n' > "$ROOT/etc/hosts"
cp /dev/null "$ROOT/etc/hostname"
# lab-net: identity and addresses from the kernel command line (lab.node=N)
cat > "$ROOT/usr/local/sbin/lab-net" <<'NET'
#!/bin/sh
n=$(sed -n 's/.*lab\.node=\([0-9]*\).*/\1/p' /proc/cmdline); n=${n:-1}
hostname "node$n"; echo "node$n" > /etc/hostname
ip link set lo up
# net.ifnames=0: eth0 is user-net (ssh from the host), eth1 the cluster wire
i=0; while [ ! -e /sys/class/net/eth1 ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i+1)); done
ip addr replace 10.0.2.15/24 dev eth0; ip link set eth0 up
# the cluster NIC is a bridge port, so that containers share that segment
# (an explicit MAC: the persistent one systemd derives would follow the machine id)
ip link add br0 address "52:54:00:30:00:0$n" type bridge forward_delay 0 2>/dev/null
ip link set eth1 master br0; ip link set eth1 up; ip addr replace "192.168.77.$n/24" dev br0; ip link set br0 up
NET
chmod +x "$ROOT/usr/local/sbin/lab-net"
cat > "$ROOT/etc/systemd/system/lab-net.service" <<'UNIT'
[Unit]
DefaultDependencies=no
After=systemd-remount-fs.service
Wants=network.target
Before=network.target ssh.service corosync.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-net
[Install]
WantedBy=multi-user.target
UNIT
# fence_lab: a real fence agent for these VMs - it tells the victim's QEMU
# monitor (on the host's loopback, reached through user-net) to reset it.
install -m 755 "$LAB_SCRIPTS/fence_lab" "$ROOT/usr/sbin/fence_lab"
# LVM: lvmlockd on; no device filter is needed (vdb is the only PV)
sed -i -E 's/^\s*#?\s*use_lvmlockd = .*/\tuse_lvmlockd = 1/' "$ROOT/etc/lvm/lvm.conf"
# corosync/pacemaker/dlm start only when the lab says so
for u in corosync pacemaker pcsd pcsd-ruby lvmlockd lvmlocks dlm lxc lxc-net lxc-monitord \
         e2scrub_reap apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
         e2scrub_all.timer fstrim.timer systemd-timesyncd blk-availability lvm2-monitor sbd; do
    chroot "$ROOT" systemctl disable "$u" >/dev/null 2>&1 || true
done
for u in e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
         systemd-networkd-wait-online.service getty@tty1.service systemd-journal-flush.service \
         systemd-random-seed.service systemd-pstore.service systemd-binfmt.service \
         systemd-hwdb-update.service systemd-update-done.service ldconfig.service \
         apparmor.service rsync.service systemd-ask-password-wall.path systemd-logind.service \
         systemd-sysusers.service systemd-tmpfiles-clean.timer modprobe@drm.service \
         modprobe@efi_pstore.service modprobe@loop.service systemd-update-utmp.service \
         systemd-update-utmp-runlevel.service getty-static.service \
         lvm2-monitor.service dm-event.socket dm-event.service lvm2-lvmpolld.socket console-getty.service keyboard-setup.service; do
    ln -sf /dev/null "$ROOT/etc/systemd/system/$u"
done
chroot "$ROOT" systemctl enable lab-net.service ssh.service >/dev/null 2>&1
chroot "$ROOT" systemctl set-default multi-user.target >/dev/null 2>&1
mkdir -p "$ROOT/etc/systemd/journald.conf.d" "$ROOT/etc/systemd/system.conf.d"
printf '[Journal]\nStorage=volatile\n' > "$ROOT/etc/systemd/journald.conf.d/lab.conf"
printf '[Manager]\nDefaultTimeoutStartSec=300s\nDefaultTimeoutStopSec=120s\n' > "$ROOT/etc/systemd/system.conf.d/lab.conf"
printf 'gfs2\ndlm\n' > "$ROOT/etc/modules-load.d/lab.conf"
rm -rf "$ROOT"/var/cache/apt/*.bin "$ROOT"/var/lib/apt/lists/* "$ROOT"/usr/share/{doc,man,locale,info}/*
rm -f "$ROOT/etc/machine-id"; : > "$ROOT/etc/machine-id"   # up.sh passes systemd.machine_id=
echo "rootfs final: $(du -sm "$ROOT" | cut -f1) MiB"

# --- 5. image -----------------------------------------------------------------
rm -f "$LAB_BASE"
truncate -s "${LAB_ROOT_MB}M" "$LAB_BASE"
mkfs.ext4 -q -F -L labroot -O ^has_journal,^metadata_csum -E lazy_itable_init=1,root_owner=0:0 -d "$ROOT" "$LAB_BASE"
rm -rf "$ROOT" kroot ird ird.mods
echo "base image: $(lab_since "$t0") s in all; $(du -m "$LAB_BASE" | cut -f1) MiB on disk, initrd $(du -k "$LAB_INITRD" | cut -f1) KiB"
echo "$key" >base.key
