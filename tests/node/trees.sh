#!/bin/bash
# trees.sh - makes and keeps the distribution trees that play containers in the tests and in the demo.
#
#   trees.sh list                  names of the recipes
#   trees.sh path NAME             where the tar file of NAME is kept (it may not be there yet)
#   trees.sh build NAME            builds it unless it is there; prints its path
#   trees.sh extract NAME DIR      builds it if need be and unpacks it into DIR
#
# The trees are Debian, of the release that this machine runs, from the package sources that this machine uses; no
# source is named here, and none stays in the tree. They are kept outside the checkout, in ${OVZ2LXC_CACHE:-~/.cache/ovz2lxc},
# under a name that holds the hash of the recipe. OVZ2LXC_TREE_TOOL=mmdebstrap|debootstrap chooses the builder.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
die() { say "trees.sh: $*"; exit 1; }

# shellcheck disable=SC1091
codename() { . /etc/os-release && printf '%s' "${VERSION_CODENAME:?this system has no code name}"; }

cache="${OVZ2LXC_CACHE:-${HOME:-/root}/.cache/ovz2lxc}"
recipes="sysvinit systemd i386 openrc"
# Raise it when the way a tree is made changes.
edition=1

packages_of() {
    local common="ifupdown net-tools iproute2 openssh-server procps iputils-ping netbase"
    case $1 in
    sysvinit|i386) printf '%s' "sysvinit-core sysv-rc initscripts insserv startpar bsdextrautils $common" ;;
    systemd) printf '%s' "systemd-sysv dbus $common" ;;
    openrc) printf '%s' "sysvinit-core openrc initscripts insserv startpar bsdextrautils $common" ;;
    *) die "no recipe named $1; there are: $recipes" ;;
    esac
}

# Every recipe is of this machine's architecture, but for the one that has it in its name.
arch_of() { case $1 in i386) printf i386 ;; *) dpkg --print-architecture ;; esac; }

path_of() {
    local packages key
    packages=$(packages_of "$1")
    key=$(printf '%s|%s|%s|%s|%s' "$edition" "$1" "$(codename)" "$(arch_of "$1")" "$packages" | sha256sum | cut -c1-16)
    printf '%s/tree-%s-%s-%s.tar\n' "$cache" "$(codename)" "$1" "$key"
}

# Writes those of this machine's package sources that carry its own release, one "deb" line each.
own_sources() {
    perl -e '
        my $codename = shift; my @out;
        for my $file (@ARGV) {
            open my $in, "<", $file or next; local $/; my $text = <$in>;
            if ($file =~ /\.sources$/) {
                for my $stanza (split /\n[ \t]*\n/, $text) {
                    my (%f, $key);
                    for (split /\n/, $stanza) {
                        next if /^\s*#/;
                        if (/^([\w-]+):\s*(.*)$/) { $key = lc $1; $f{$key} = $2 } elsif ($key && /^\s+(.*)$/) { $f{$key} .= " $1" }
                    }
                    next if lc($f{enabled} // "yes") =~ /^(no|false|0)/ or ($f{types} // "") !~ /\bdeb\b/;
                    my @options;
                    push @options, "signed-by=$f{q(signed-by)}" if ($f{"signed-by"} // "") =~ m{^/\S+$};
                    for my $uri (split " ", $f{uris} // "") { for my $suite (split " ", $f{suites} // "") {
                        push @out, [$uri, $suite, $f{components} // "", "@options"];
                    } }
                }
            } else {
                for (split /\n/, $text) {
                    /^\s*deb\s+(?:\[\s*([^\]]*?)\s*\]\s+)?(\S+)\s+(\S+)\s+(.*?)\s*$/ or next;
                    push @out, [$2, $3, $4, $1 // ""];
                }
            }
        }
        my %seen;
        for (@out) {
            my ($uri, $suite, $components, $options) = @$_;
            next unless $suite =~ /^\Q$codename\E(-updates|-security|\/updates)?$/ and " $components " =~ / main /;
            next if $seen{"$uri $suite"}++;
            print "deb ", ($options ne "" ? "[$options] " : ""), "$uri $suite main\n";
        }' "$(codename)" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null
}

# Turns a fresh tree into what a precreated OpenVZ template holds: an fstab of one line, /etc/mtab a link, no getty on
# ttys that a container does not have, no package sources, no identity that two containers would share.
to_template() {
    local tree=$1
    rm -f "$tree"/etc/apt/sources.list "$tree"/etc/apt/sources.list.d/* "$tree"/etc/apt/apt.conf.d/*mmdebstrap* "$tree"/etc/dpkg/dpkg.cfg.d/*mmdebstrap* \
        "$tree/etc/resolv.conf" "$tree/etc/hostname"
    printf 'none /dev/pts devpts rw,gid=5,mode=620 0 0\n' >"$tree/etc/fstab"
    ln -sfn /proc/mounts "$tree/etc/mtab"
    printf '127.0.0.1 localhost\n' >"$tree/etc/hosts"
    printf 'auto lo\niface lo inet loopback\n' >"$tree/etc/network/interfaces"
    if [ -f "$tree/etc/inittab" ]; then
        sed -i '/^[1-6]:[0-9]*:respawn:.*getty/d' "$tree/etc/inittab"
    fi
    rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/var/log/* "$tree"/usr/share/doc/* \
        "$tree"/usr/share/man/* "$tree"/usr/share/locale/* "$tree"/usr/share/info/*
    mkdir -p "$tree/var/log" "$tree/var/cache/apt/archives/partial" "$tree/var/lib/apt/lists/partial"
    [ ! -d "$tree/usr/lib/systemd/system" ] || : >"$tree/etc/machine-id"
    find "$tree/dev" -xdev -mindepth 1 -delete
    mkdir -p "$tree/dev/pts" "$tree/dev/shm"
    # A template has a static /dev: there is no udev in a container.
    local node name major minor
    for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 ptmx:5:2 console:5:1; do
        IFS=: read -r name major minor <<<"$node"
        mknod -m 666 "$tree/dev/$name" c "$major" "$minor"
    done
    ln -sfn /proc/self/fd "$tree/dev/fd"
}

apt_proxy_options() {
    local HTTP_PROXY_SET='' HTTPS_PROXY_SET=''
    eval "$(apt-config shell HTTP_PROXY_SET Acquire::http::Proxy HTTPS_PROXY_SET Acquire::https::Proxy)"
    [ -z "$HTTP_PROXY_SET" ] || printf -- '--aptopt=Acquire::http::Proxy "%s"\n' "$HTTP_PROXY_SET"
    [ -z "$HTTPS_PROXY_SET" ] || printf -- '--aptopt=Acquire::https::Proxy "%s"\n' "$HTTPS_PROXY_SET"
}

make_tree() { # NAME TREE LOG
    local name=$1 tree=$2 log=$3 packages sources tool
    packages=$(packages_of "$name" | tr ' ' ',')
    sources=$(own_sources)
    # Mirrors of another architecture are looked after less: the release itself is enough to boot.
    [ "$(arch_of "$name")" = "$(dpkg --print-architecture)" ] || sources=$(grep -E " $(codename) main$" <<<"$sources")
    [ -n "$sources" ] || die "no package source of this machine carries $(codename) main (looked in /etc/apt/sources.list*)"
    tool=${OVZ2LXC_TREE_TOOL:-}
    [ -n "$tool" ] || { if command -v mmdebstrap >/dev/null; then tool=mmdebstrap; else tool=debootstrap; fi; }
    command -v "$tool" >/dev/null || die "$tool is missing; scripts/deps.sh test installs it"
    case $tool in
    mmdebstrap)
        local -a options
        mapfile -t options < <(apt_proxy_options)
        mmdebstrap --mode=root --variant=apt --architectures="$(arch_of "$name")" --skip=check/qemu --include="$packages" "${options[@]}" \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
            "$(codename)" "$tree" - <<<"$sources" >"$log" 2>&1 ;;
    debootstrap)
        # debootstrap takes one mirror and its own resolver cannot leave systemd-sysv out when "init" asks for it.
        local mirror suffix exclude=''
        mirror=$(sed -n "s#^deb \(\[[^]]*\] \)\?\([^ ]*\) $(codename) .*#\2#p" <<<"$sources" | head -n 1)
        suffix=$(sed -n "s#^deb \[.*signed-by=\([^] ,]*\).* $(codename) main#--keyring=\1#p" <<<"$sources" | head -n 1)
        [ "$name" = systemd ] || exclude=--exclude=systemd-sysv,init,systemd
        # shellcheck disable=SC2086
        debootstrap --variant=minbase --arch="$(arch_of "$name")" $suffix $exclude --include="$packages" "$(codename)" "$tree" "$mirror" >"$log" 2>&1 ;;
    esac
}

build() {
    local name=$1 tar work began
    tar=$(path_of "$name")
    if [ -s "$tar" ]; then printf '%s\n' "$tar"; return; fi
    [ "$(id -u)" = 0 ] || die "building a tree needs root"
    mkdir -p "$cache"
    exec 9>"$cache/.lock-$name"
    flock 9
    if [ -s "$tar" ]; then printf '%s\n' "$tar"; return; fi
    began=$SECONDS
    say "building the $name tree of Debian $(codename) (once; kept in $cache)"
    work=$(mktemp -d "$cache/.building-$name-XXXXXX")
    # Expanded now: the variable is local.
    # shellcheck disable=SC2064
    trap "rm -rf --one-file-system '$work'" EXIT
    if ! make_tree "$name" "$work/tree" "$work/log"; then
        tail -n 15 "$work/log" >&2
        die "the $name tree could not be built"
    fi
    to_template "$work/tree"
    tar --numeric-owner --xattrs --xattrs-include='*' --acls -C "$work/tree" -cf "$work/tar" .
    mv "$work/tar" "$tar"
    rm -rf --one-file-system "$work"
    trap - EXIT
    say "built the $name tree in $((SECONDS - began)) s, $(($(stat -c %s "$tar") / 1048576)) MiB"
    printf '%s\n' "$tar"
}

case ${1:-} in
list) for r in $recipes; do printf '%s\n' "$r"; done ;;
path) path_of "${2:?NAME}" ;;
build) build "${2:?NAME}" ;;
extract)
    tar=$(build "${2:?NAME}")
    mkdir -p "${3:?DIR}"
    tar --numeric-owner --xattrs --xattrs-include='*' --acls -C "$3" -xpf "$tar" ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
