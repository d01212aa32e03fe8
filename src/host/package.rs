//! Which Debian package holds a program, for the hint of an error.

/// Returns what to do when a program is not installed.
pub(super) fn hint(program: &str, host: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    match package(name) {
        Some(package) => {
            format!("install it on {host}; on Debian it is in the package {package}: apt-get install {package}")
        }
        None => format!("install it on {host}, or see whether PATH is right"),
    }
}

fn package(program: &str) -> Option<&'static str> {
    Some(match program {
        "blkid" | "findmnt" | "losetup" | "lsblk" | "mount" | "umount" | "fstrim" | "wipefs" | "nsenter" => {
            "util-linux"
        }
        "crm" => "crmsh",
        "crm_mon" | "crm_resource" | "crm_verify" | "crm_simulate" | "cibadmin" | "crm_attribute" => {
            "pacemaker-cli-utils"
        }
        "getcap" | "setcap" => "libcap2-bin",
        "getfacl" | "setfacl" => "acl",
        "getfattr" | "setfattr" => "attr",
        "ip" | "bridge" => "iproute2",
        "lvcreate" | "lvremove" | "lvs" | "lvchange" | "lvextend" | "vgs" | "pvs" => "lvm2",
        "lxc-start" | "lxc-stop" | "lxc-info" | "lxc-ls" | "lxc-attach" | "lxc-console" | "lxc-checkconfig" => "lxc",
        "mkfs.ext4" | "tune2fs" | "e2fsck" | "resize2fs" | "dumpe2fs" | "debugfs" => "e2fsprogs",
        "mkfs.xfs" | "xfs_admin" | "xfs_growfs" | "xfs_info" | "xfs_repair" => "xfsprogs",
        "pcs" => "pcs",
        "rsync" => "rsync",
        "ssh" | "scp" | "ssh-keygen" | "ssh-keyscan" | "ssh-add" => "openssh-client",
        "systemctl" | "systemd-run" => "systemd",
        "tar" => "tar",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_package_when_it_is_known() {
        assert!(hint("/sbin/lvcreate", "local").ends_with("apt-get install lvm2"));
        assert!(!hint("frobnicate", "local").contains("apt-get"));
    }
}
