#!/bin/bash
# dress.sh - leaves in a tree what vzctl's distribution scripts leave in a container at every start.
#
#   dress.sh TREE FAMILY [--ip "A B/24 C::/64"] [--hostname FQDN] [--nameserver "A B"] [--searchdomain "D E"]
#                        [--wait] [--ugid-quota] [--no-console]
#
# FAMILY: debian (Debian, Ubuntu, Alpine), redhat (Red Hat, CentOS, Fedora, and whatever vzctl does not know), redhat-7.3
# (and Owl), suse, gentoo, funtoo, arch, slackware, alt. As vzctl does, it goes by the name it is given and not by what is in the tree: a
# Debian container whose OSTEMPLATE is "mytmpl" gets Red Hat files. Everything is additive, and a second run changes
# nothing. Nothing from the tree is executed. TREE must be a tree of our own: links in it are not guarded against.
set -euo pipefail

die() { printf 'dress.sh: %s\n' "$*" >&2; exit 20; }

[ $# -ge 2 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 20; }
tree=$(readlink -f "$1") family=$2
shift 2
[ -d "$tree" ] && [ "$tree" != / ] || die "$tree is not a tree to dress"
ips='' fqdn='' nameservers='' searchdomains='' wait='' quota='' console=yes
while [ $# -gt 0 ]; do
    case $1 in
    --ip) ips=$2; shift 2 ;;
    --hostname) fqdn=$2; shift 2 ;;
    --nameserver) nameservers=$2; shift 2 ;;
    --searchdomain) searchdomains=$2; shift 2 ;;
    --wait) wait=yes; shift ;;
    --ugid-quota) quota=yes; shift ;;
    --no-console) console=''; shift ;;
    *) die "unknown option $1" ;;
    esac
done
cd "$tree"

has() { [ -e "$1" ] || [ -L "$1" ]; }

# Replaces FILE by standard input, in one step; keeps the mode of what was there.
put() {
    local file=$1 mode=644
    mkdir -p "$(dirname "$file")"
    [ ! -f "$file" ] || mode=$(stat -L -c %a "$file")
    # /etc/resolv.conf and others may be links to a file that lives elsewhere; vzctl writes over the link.
    cat >"$file.vztmp"
    chmod "$mode" "$file.vztmp"
    mv -f -T "$file.vztmp" "$file"
}

# Sets KEY="VALUE" in a file of shell assignments, in place when it is there.
set_key() { # FILE KEY VALUE
    local file=$1
    { [ ! -f "$file" ] || cat "$file"; } | KEY=$2 VALUE=$3 awk '
        BEGIN { key = ENVIRON["KEY"]; line = key "=\"" ENVIRON["VALUE"] "\"" }
        index($0, key "=") == 1 { if (!done) print line; done = 1; next }
        { print }
        END { if (!done) print line }' | put "$file"
}
drop_key() { # FILE KEY
    [ ! -f "$1" ] || { grep -v "^$2=" "$1" || true; } | put "$1"
}

node() { # PATH TYPE MAJOR MINOR MODE
    has "$1" || { mkdir -p "$(dirname "$1")"; mknod -m "$5" "$1" "$2" "$3" "$4"; }
}

short=${fqdn%%.*}
v4() { for i in $ips; do case $i in *:*) ;; *) printf '%s\n' "$i" ;; esac; done; }
v6() { for i in $ips; do case $i in *:*) printf '%s\n' "$i" ;; esac; done; }
bare() { printf '%s' "${1%%/*}"; }
# The prefix length; venet is point to point, so an address without one is /32 or /128.
prefix() { case $1 in */*) printf '%s' "${1#*/}" ;; *:*) printf 128 ;; *) printf 32 ;; esac; }
netmask() {
    local n o out=''
    n=$(prefix "$1")
    for o in 8 16 24 32; do
        if [ "$n" -ge "$o" ]; then out=$out.255
        elif [ "$n" -le $((o - 8)) ]; then out=$out.0
        else out=$out.$((256 - (1 << (o - n)))); fi
    done
    printf '%s' "${out#.}"
}

# --- what every family gets -----------------------------------------------------------------------------------------

marker='# Auto-generated hostname. Please do not remove this comment.'

write_hosts() {
    local first=127.0.0.1 names4 line6 user
    for i in $ips; do first=$(bare "$i"); break; done
    if [ "$family" = arch ]; then
        { printf '127.0.0.1  %s %s localhost.localdomain localhost\n' "$fqdn" "$short"
          [ ! -f etc/hosts ] || grep -vE '^127\.0\.0\.1[[:space:]]' etc/hosts || true; } | put etc/hosts
        return
    fi
    names4='localhost.localdomain localhost' line6='::1 localhost.localdomain localhost' user=''
    if [ -f etc/hosts ]; then
        # Names that the stock file gives to the loopback addresses beyond the two that are always there.
        local more
        more=$(sed -n 's/^127\.0\.0\.1[[:space:]]*//p' etc/hosts | head -n 1 | tr -s ' \t' '\n\n' | grep -vxE 'localhost(\.localdomain)?|' | tr '\n' ' ' || true)
        names4="$names4${more:+ ${more% }}"
        more=$(grep -E '^::1[[:space:]]' etc/hosts | head -n 1 || true)
        line6=${more:-$line6}
        user=$(awk -v m="$marker" '$0 == m {skip = 1; next} skip {skip = 0; next} /^(127\.0\.0\.1|::1)[ \t]/ {next} {print}' etc/hosts)
    fi
    { printf '127.0.0.1 %s\n' "$names4"
      [ -z "$user" ] || printf '%s\n' "$user"
      if [ -n "$fqdn" ]; then
          printf '%s\n' "$marker"
          if [ "$fqdn" = "$short" ]; then printf '%s %s\n' "$first" "$fqdn"; else printf '%s %s  %s\n' "$first" "$fqdn" "$short"; fi
      fi
      printf '%s\n' "$line6"; } | put etc/hosts
}

write_dns() {
    [ -n "$nameservers$searchdomains" ] || return 0
    { [ -z "$searchdomains" ] || printf 'search %s\n' "$searchdomains"
      for i in $nameservers; do printf 'nameserver %s\n' "$i"; done
      [ ! -f etc/resolv.conf ] || grep -vE '^(search|nameserver)([[:space:]]|$)' etc/resolv.conf || true; } | put etc/resolv.conf
}

write_init_done() {
    [ -n "$wait" ] || return 0
    if [ -f etc/inittab ] && ! grep -q '^vz:' etc/inittab; then
        { cat etc/inittab; printf 'vz:2345:once:touch /.vzfifo\n'; } | put etc/inittab
    fi
    local job=''
    if [ -d etc/init ]; then job=etc/init/vz_init_done.conf; elif [ -d etc/event.d ]; then job=etc/event.d/vz_init_done; fi
    if [ -n "$job" ]; then
        { printf 'description\t"reports a finished boot to vzctl"\n\nstart on stopped rc RUNLEVEL=[2345]\n\n'
          printf 'task\n\nexec touch /.vzfifo\n'; } | put "$job"
    fi
    has .vzfifo || mkfifo -m 644 .vzfifo
}

getty_command() { # TTY
    if has sbin/mingetty || has usr/sbin/mingetty; then printf '/sbin/mingetty %s' "$1"
    elif has sbin/agetty && ! has sbin/getty; then printf '/sbin/agetty %s 38400' "$1"
    else printf '/sbin/getty 38400 %s' "$1"; fi
}

is_systemd() { case $(readlink sbin/init 2>/dev/null) in *systemd) return 0 ;; esac; return 1; }

write_console() {
    local units=lib/systemd/system tty id
    if is_systemd; then
        [ -d "$units" ] || units=usr/lib/systemd/system
        if [ -f "$units/getty@.service" ]; then
            { grep -vE '^ConditionPathExists=!/(proc/vz|run/openvz)$' "$units/getty@.service" || true; } | put "$units/getty@.service"
        fi
        rm -f etc/systemd/system/getty.target.wants/getty@tty1.service
        mkdir -p etc/systemd/system/getty.target.wants
        ln -sfn "/$units/getty@.service" etc/systemd/system/getty.target.wants/getty@tty2.service
        if ! has "$units/console-getty.service"; then
            printf '[Unit]\nDescription=Console Getty\n\n[Service]\nExecStart=-/sbin/agetty --noclear --keep-baud console 115200,38400,9600\nRestart=always\n\n[Install]\nWantedBy=getty.target\n' |
                put etc/systemd/system/console-getty.service
        fi
    elif [ -d etc/init ]; then
        for tty in console tty2; do
            printf 'start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec %s\n' "$(getty_command $tty)" | put "etc/init/$tty.conf"
        done
    elif [ -d etc/event.d ]; then
        # The real script has a bug: the jobs land in the directory of the init scripts.
        for tty in console tty2; do
            printf 'start on stopped rc2\nstop on runlevel 0\nrespawn\nexec %s\n' "$(getty_command $tty)" | put "etc/init.d/$tty"
        done
    elif [ -f etc/inittab ]; then
        # The ids are not checked against those of the stock lines.
        id=1
        for tty in console tty2; do
            grep -qxF "$id:2345:respawn:$(getty_command $tty)" etc/inittab ||
                { cat etc/inittab; printf '%s:2345:respawn:%s\n' "$id" "$(getty_command $tty)"; } | put etc/inittab
            id=2
        done
    fi
    node dev/console c 5 1 600
    node dev/tty2 c 4 2 600
}

# The minor number of the simfs device; real ones are given out as containers are mounted.
minor=49

write_quota() {
    local type level dir links
    [ -n "$quota" ] || return 0
    for type in user group; do ln -sfn "$(printf '/proc/vz/vzaquota/%08x/aquota.%s' $minor $type)" "aquota.$type"; done
    node dev/simfs b 0 $minor 700
    for dir in usr/lib/udev/devices lib/udev/devices etc/udev/devices; do [ ! -d "$dir" ] || node "$dir/simfs" b 0 $minor 700; done
    [ ! -d etc/tmpfiles.d ] || printf 'b /dev/simfs 0700 root root - 0:%s\n' $minor | put etc/tmpfiles.d/device-root.conf
    case $family in
    gentoo|funtoo) mkdir -p etc/runlevels/default; ln -sfn /etc/init.d/vzquota etc/runlevels/default/vzquota ;;
    slackware|arch) ;;
    esac
    local script=etc/init.d/vzquota
    [ "$family" != arch ] || script=etc/rc.d/vzquota
    [ "$family" != slackware ] || script=etc/rc.d/rc.quota
    { [[ $family = @(gentoo|funtoo) ]] && printf '#!/sbin/runscript\n' || printf '#!/bin/sh\n'
      printf '# chkconfig: 2345 10 90\n# description: quota of the users of this container\n'
      printf '### BEGIN INIT INFO\n# Provides: vzquota\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2 3 4 5\n# Default-Stop:\n### END INIT INFO\n'
      printf 'start() {\n\t[ -e /dev/simfs ] || mknod /dev/simfs b 0 %s\n\trm -f /etc/mtab\n' $minor
      printf '\techo "/dev/simfs / reiserfs rw,usrquota,grpquota 0 0" > /etc/mtab\n\tquotaon -aug\n}\n'
      [[ $family = @(gentoo|funtoo) ]] || printf 'case "$1" in\nstart) start ;;\nesac\n'; } | put $script
    chmod 755 $script
    case $family in
    redhat)
        for level in 0 1 6; do mkdir -p etc/rc.d/rc$level.d; ln -sfn ../init.d/vzquota etc/rc.d/rc$level.d/K90vzquota; done
        for level in 2 3 4 5; do mkdir -p etc/rc.d/rc$level.d; ln -sfn ../init.d/vzquota etc/rc.d/rc$level.d/S10vzquota; done ;;
    debian)
        for level in 2 3 4 5; do mkdir -p etc/rc$level.d; ln -sfn ../init.d/vzquota etc/rc$level.d/S20vzquota; done ;;
    suse|alt)
        links=etc; [ ! -d etc/rc.d/rc3.d ] || links=etc/rc.d
        for level in 0 1 2 3 4 5 6; do mkdir -p $links/rc$level.d; ln -sfn /etc/init.d/vzquota $links/rc$level.d/S10vzquota; done ;;
    slackware)
        grep -qs rc.quota etc/rc.d/rc.local || { cat etc/rc.d/rc.local 2>/dev/null || true; printf '/etc/rc.d/rc.quota start\n'; } | put etc/rc.d/rc.local ;;
    arch)
        [ ! -f etc/rc.conf ] || grep -q vzquota etc/rc.conf || sed 's/^DAEMONS=(\(.*\))/DAEMONS=(\1 "vzquota")/' etc/rc.conf | put etc/rc.conf ;;
    esac
}

# --- addresses and the host name, by family ------------------------------------------------------------------------

network_debian() {
    local i n=0
    if [ -z "$ips" ] && ! grep -qs venet0 etc/network/interfaces; then return; fi
    { printf '# This configuration file is auto-generated.\n#\n\n'
      [ ! -f etc/network/interfaces.head ] || cat etc/network/interfaces.head
      if [ -f etc/network/interfaces.template ]; then cat etc/network/interfaces.template
      else printf '# Auto generated lo interface\nauto lo\niface lo inet loopback\n'; fi
      if [ -n "$ips" ]; then
          printf '\n# Auto generated venet0 interface\nauto venet0\niface venet0 inet manual\n'
          printf '\tup ifconfig venet0 up\n\tup ifconfig venet0 127.0.0.2\n\tup route add default dev venet0\n'
          printf '\tdown route del default dev venet0\n\tdown ifconfig venet0 down\n\n\n'
          if [ -n "$(v6)" ]; then
              printf 'iface venet0 inet6 manual\n'
              for i in $(v6); do printf '\tup ifconfig venet0 add %s/%s\n\tdown ifconfig venet0 del %s/%s\n' "$(bare "$i")" "$(prefix "$i")" "$(bare "$i")" "$(prefix "$i")"; done
              printf '\tup route -A inet6 add default dev venet0\n\tdown route -A inet6 del default dev venet0\n\n'
          fi
          for i in $(v4); do
              printf 'auto venet0:%s\niface venet0:%s inet static\n\taddress %s\n\tnetmask %s\n\n' $n $n "$(bare "$i")" "$(netmask "$i")"
              n=$((n + 1))
          done
      fi
      [ ! -f etc/network/interfaces.tail ] || cat etc/network/interfaces.tail; } | put etc/network/interfaces
    # Under upstart the job would wait for a udev event that never comes in a container.
    if [ -f etc/init/networking.conf ] && grep -q udevtrigger etc/init/networking.conf; then
        sed -e 's/^start on (local-filesystems$/start on local-filesystems/' -e '/udevtrigger/d' etc/init/networking.conf | put etc/init/networking.conf
    fi
}

network_redhat() {
    local scripts=etc/sysconfig/network-scripts i n=0 list=''
    mkdir -p $scripts
    rm -f $scripts/ifcfg-venet0 $scripts/ifcfg-venet0:*
    set_key etc/sysconfig/network NETWORKING yes
    [ -n "$ips" ] || return 0
    drop_key etc/sysconfig/network GATEWAY
    set_key etc/sysconfig/network GATEWAYDEV venet0
    { printf 'DEVICE=venet0\nBOOTPROTO=static\nONBOOT=yes\nARPCHECK="no"\nIPADDR=127.0.0.1\nNETMASK=255.255.255.255\n'
      printf 'BROADCAST=0.0.0.0\nARPCHECK="no"\n'
      if [ -n "$(v6)" ]; then
          # The blanks between the addresses are irregular in the real files as well.
          for i in $(v6); do
              if [ $n = 0 ]; then list="$(bare "$i")/$(prefix "$i")"
              elif [ $n = 1 ]; then list="$list $(bare "$i")/$(prefix "$i")"
              else list="$list  $(bare "$i")/$(prefix "$i") "; fi
              n=$((n + 1))
          done
          printf 'IPV6INIT="yes"\nIPV6ADDR_SECONDARIES="%s"\n' "$list"
      fi; } | put $scripts/ifcfg-venet0
    if [ -n "$(v6)" ]; then
        set_key etc/sysconfig/network NETWORKING_IPV6 yes
        set_key etc/sysconfig/network IPV6_DEFAULTDEV venet0
    fi
    n=0
    for i in $(v4); do
        printf 'DEVICE=venet0:%s\nONBOOT=yes\nARPCHECK="no"\nIPADDR=%s\nNETMASK=%s\n' $n "$(bare "$i")" "$(netmask "$i")" | put "$scripts/ifcfg-venet0:$n"
        n=$((n + 1))
    done
    # Otherwise ifup would refuse 127.0.0.1 on a device that is not lo.
    if [ -f sbin/ifup ] && grep -qF '"${DEVICE}" = "lo"' sbin/ifup; then
        sed 's/"\${DEVICE}" = "lo"/"${IPADDR}" = "127.0.0.1"/' sbin/ifup | put sbin/ifup
    fi
}

network_redhat73() {
    local scripts=etc/sysconfig/network-scripts i n=0
    mkdir -p $scripts
    rm -f $scripts/ifcfg-venet0 $scripts/ifcfg-venet0:*
    set_key etc/sysconfig/network NETWORKING yes
    [ -n "$ips" ] || return 0
    # The address of nobody: this release wants a gateway.
    set_key etc/sysconfig/network GATEWAY 192.0.2.1
    printf 'DEVICE=venet0\nONBOOT=yes\nIPADDR=127.0.0.1\nNETMASK=255.255.255.255\nNETWORK=192.0.2.0\nBROADCAST=0.0.0.0\n' | put $scripts/ifcfg-venet0
    for i in $ips; do
        # An IPv6 address lands in the variable for the other kind.
        case $i in *:*) printf 'DEVICE=venet0:%s\nONBOOT=yes\nIPADDR=%s\nNETMASK=\n' $n "$(bare "$i")" ;;
        *) printf 'DEVICE=venet0:%s\nONBOOT=yes\nIPADDR=%s\nNETMASK=%s\n' $n "$(bare "$i")" "$(netmask "$i")" ;; esac | put "$scripts/ifcfg-venet0:$n"
        n=$((n + 1))
    done
    if [ -f sbin/ifup ] && grep -qF '"${DEVICE}" = "lo"' sbin/ifup; then
        sed 's/"\${DEVICE}" = "lo"/"${IPADDR}" = "127.0.0.1"/' sbin/ifup | put sbin/ifup
    fi
}

network_suse() {
    local dir=etc/sysconfig/network i n=0
    mkdir -p $dir
    rm -f $dir/ifcfg-venet0 $dir/ifroute-venet0
    [ -n "$ips" ] || return 0
    { printf 'STARTMODE=onboot\nBOOTPROTO=static\nBROADCAST=0.0.0.0\nNETMASK=255.255.255.255\nIPADDR=127.0.0.1\n'
      for i in $ips; do
          printf 'IPADDR_%s=%s\nPREFIXLEN_%s=%s\nLABEL_%s=%s\n' $n "$(bare "$i")" $n "$(prefix "$i")" $n $n
          n=$((n + 1))
      done; } | put $dir/ifcfg-venet0
    { printf 'default - - venet0\n'; [ -z "$(v6)" ] || printf 'default :: - venet0\n'; } | put $dir/ifroute-venet0
    if [ -f $dir/scripts/ifup-route ] && grep -qF 'via $GWAY' $dir/scripts/ifup-route; then
        sed 's/ via \$GWAY/ ${GWAY:+via $GWAY}/' $dir/scripts/ifup-route | put $dir/scripts/ifup-route
    fi
    if [ -f etc/wicked/extensions/netconfig ] && ! grep -q venet etc/wicked/extensions/netconfig; then
        printf '#!/bin/bash\nip route replace default dev venet0\n' | put etc/wicked/extensions/venet_route
        chmod 755 etc/wicked/extensions/venet_route
        sed '1a # venet0 has no gateway\n. /etc/wicked/extensions/venet_route' etc/wicked/extensions/netconfig | put etc/wicked/extensions/netconfig
    fi
}

network_gentoo() {
    local i list=''
    mkdir -p etc/init.d etc/runlevels/default
    drop_key etc/conf.d/net config_venet0
    drop_key etc/conf.d/net routes_venet0
    rm -f etc/runlevels/*/net.eth0
    [ -n "$ips" ] || return 0
    if [ -d lib/rcscripts ]; then
        # Baselayout 1 reads arrays.
        for i in $ips; do list="$list \"$(bare "$i")/$(prefix "$i")\""; done
        { [ ! -f etc/conf.d/net ] || cat etc/conf.d/net; printf 'config_venet0=(%s )\n' "$list"; } | put etc/conf.d/net
    else
        for i in $ips; do list="$list $(bare "$i")/$(prefix "$i") "; done
        set_key etc/conf.d/net config_venet0 "$list"
    fi
    set_key etc/conf.d/net routes_venet0 default
    ln -sfn net.lo etc/init.d/net.venet0
    ln -sfn /etc/init.d/net.venet0 etc/runlevels/default/net.venet0
}

network_funtoo() {
    local i list=''
    rm -f etc/conf.d/netif.venet0 etc/init.d/netif.venet0 etc/runlevels/default/netif.venet0
    [ -n "$ips" ] || return 0
    for i in $ips; do list="$list $(bare "$i")/$(prefix "$i")"; done
    printf 'route="default dev venet0"\ntemplate="interface"\nipaddrs="%s"\n' "${list# }" | put etc/conf.d/netif.venet0
    mkdir -p etc/runlevels/default
    ln -sfn netif.tmpl etc/init.d/netif.venet0
    ln -sfn /etc/init.d/netif.venet0 etc/runlevels/default/netif.venet0
}

network_arch() {
    local i a4='' a6=''
    if [ -f etc/conf.d/netcfg ]; then network_netcfg; return; fi
    rm -f etc/netctl/venet0
    [ -n "$ips" ] || return 0
    for i in $(v4); do a4="$a4 '$(bare "$i")/$(prefix "$i")'"; done
    for i in $(v6); do a6="$a6 '$(bare "$i")/$(prefix "$i")'"; done
    { printf "Description='venet0'\nInterface=venet0\nConnection=ethernet\nForceConnect=yes\nIP=static\nAddress=(%s)\nRoutes=('default')\n" "${a4# }"
      [ -z "$a6" ] || printf "IP6=static\nAddress6=(%s)\nRoutes6=('default')\n" "${a6# }"; } | put etc/netctl/venet0
    mkdir -p etc/systemd/system/multi-user.target.wants
    ln -sfn /usr/lib/systemd/system/netctl@.service etc/systemd/system/multi-user.target.wants/netctl@venet0.service
}

network_netcfg() {
    local i n=0 names=venet0
    [ -n "$ips" ] || return 0
    printf 'CONNECTION="ethernet"\nDESCRIPTION="venet0"\nINTERFACE="venet0"\nIP="static"\nADDR="127.0.0.1"\nROUTES=("default")\n' | put etc/network.d/venet0
    for i in $ips; do
        printf 'CONNECTION="ethernet"\nINTERFACE="venet0:%s"\nIP="static"\nADDR="%s"\n' $n "$(bare "$i")" | put "etc/network.d/venet0_$n"
        names="$names venet0_$n"
        n=$((n + 1))
    done
    grep -q venet0 etc/conf.d/netcfg && return
    cp -p etc/conf.d/netcfg etc/conf.d/netcfg.bak
    sed "s/^NETWORKS=(\(.*\))/NETWORKS=(\1 $names)/" etc/conf.d/netcfg.bak | put etc/conf.d/netcfg
}

network_slackware() {
    local first
    first=$(v4 | head -n 1)
    [ -n "$first" ] || return 0
    # Only the first IPv4 address gets in.
    printf 'IPADDR[0]="%s"\nNETMASK[0]="%s"\nUSE_DHCP[0]=""\nGATEWAY="192.0.2.1"\n' "$(bare "$first")" "$(netmask "$first")" | put etc/rc.d/rc.inet1.conf
    [ ! -f etc/rc.d/rc.inet1 ] || sed 's/eth/venet/g' etc/rc.d/rc.inet1 | put etc/rc.d/rc.inet1
}

network_alt() {
    local dir=etc/net/ifaces/venet0 i n=1
    rm -rf $dir
    [ -n "$ips" ] || return 0
    printf 'TYPE=lo\nONBOOT=yes\nCONFIG_WIRELESS=no\nBOOTPROTO=static\n' | put $dir/options
    { printf '\n'; for i in $(v4); do printf '%s/%s label venet0:%s\n' "$(bare "$i")" "$(prefix "$i")" $n; n=$((n + 1)); done; } | put $dir/ipv4address
    printf 'default dev venet0\n' | put $dir/ipv4route
    if [ -n "$(v6)" ]; then
        for i in $(v6); do printf '%s/%s\n' "$(bare "$i")" "$(prefix "$i")"; done | put $dir/ipv6address
        printf 'default dev venet0\n' | put $dir/ipv6route
    fi
}

write_hostname() {
    [ -n "$fqdn" ] || return 0
    case $family in
    debian) printf '%s\n' "$short" | put etc/hostname ;;
    redhat)
        if [ -f etc/hostname ]; then printf '%s\n' "$short" | put etc/hostname; else set_key etc/sysconfig/network HOSTNAME "$fqdn"; fi ;;
    suse) printf '%s\n' "$short" | put etc/HOSTNAME ;;
    gentoo) local key=hostname; [ ! -d lib/rcscripts ] || key=HOSTNAME; set_key etc/conf.d/hostname $key "$fqdn" ;;
    funtoo) set_key etc/conf.d/hostname hostname "$fqdn" ;;
    arch)
        printf '%s\n' "$fqdn" | put etc/hostname
        ! grep -qs '^HOSTNAME=' etc/rc.conf || set_key etc/rc.conf HOSTNAME "$fqdn" ;;
    slackware) printf '%s\n' "$fqdn" | put etc/HOSTNAME ;;
    alt) set_key etc/sysconfig/network HOSTNAME "$fqdn" ;;
    esac
}

network=$family
case $family in
debian|redhat|suse|gentoo|funtoo|arch|slackware|alt) ;;
# Only the network has scripts of its own there.
redhat-7.3) family=redhat network=redhat73 ;;
*) die "unknown family $family" ;;
esac
has fastboot || : >fastboot
"network_$network"
write_init_done
[ -z "$console" ] || write_console
write_hostname
[ -z "$fqdn" ] || write_hosts
write_dns
write_quota
