//! What Virtuozzo 7 keeps outside of a container's tree: further disks and directories of the node.

use super::actions::{Mount, mount_entry};
use super::departure::listed;
use super::grammar::shown;
use crate::model::size::{Bytes, KIB};

/// Names the disks of DISK beside the root disk; `None` when there is none.
///
/// Each is `key=value` by commas: `uuid`, `image` or `device`, `mnt`, `size` in KiB.
pub(super) fn disks(list: &[String]) -> Option<String> {
    let mut extra = Vec::new();
    for one in list {
        let field = |key: &str| {
            let fields = one.split(',').filter_map(|field| field.split_once('='));
            fields.filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim()).next_back().filter(|v| !v.is_empty())
        };
        if field("root") == Some("yes") || field("mnt") == Some("/") {
            continue;
        }
        let name = field("image").or(field("device")).or(field("uuid")).unwrap_or("a disk without an image");
        let mut said = shown(name.as_bytes());
        if let Some(mount) = field("mnt") {
            said.push_str(&format!(" at {}", shown(mount.as_bytes())));
        }
        if let Some(size) = field("size").and_then(|size| size.parse::<u64>().ok()) {
            said.push_str(&format!(" ({})", Bytes(size.saturating_mul(KIB))));
        }
        extra.push(said);
    }
    if extra.is_empty() { None } else { Some(listed(&extra)) }
}

/// Names the mounts of BINDMOUNT with the line of an LXC configuration that does the same. Each is `[SOURCE:]TARGET[,OPTION…]`.
pub(super) fn bind_mounts(list: &[String]) -> String {
    let all: Vec<String> = list
        .iter()
        .map(|one| {
            let mut parts = one.split(',');
            let place = parts.next().unwrap_or_default();
            let options: Vec<String> = parts.filter(|o| !o.is_empty()).map(str::to_owned).collect();
            let entry = place.split_once(':').and_then(|(source, target)| {
                mount_entry(&Mount { source: source.into(), target: target.into(), recursive: false, options })
            });
            entry.unwrap_or_else(|| format!("{} (no directory of the node is named)", shown(one.as_bytes())))
        })
        .collect();
    format!("directories of the node, whose data is not in the container's tree: {}", listed(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(';').filter(|w| !w.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn every_disk_but_the_root_disk_is_named() {
        let text = "uuid=1,image=/vz/private/1/root.hdd,root=yes,mnt=/;uuid=2,image=/vz/private/1/data.hdd,mnt=/data,\
                    size=10485760;uuid=3,device=/dev/sdb,storage_url=x";
        let want = "/vz/private/1/data.hdd at /data (10 GiB), /dev/sdb";
        assert_eq!(disks(&words(text)).as_deref(), Some(want));
        assert_eq!(disks(&words("root=yes,image=a")), None);
    }

    #[test]
    fn every_directory_is_proposed_as_an_entry() {
        let list = ["/srv/data:/data,ro,nosuid".to_owned(), "/only".to_owned(), "/a:/../b".to_owned()];
        let said = bind_mounts(&list);
        assert!(
            said.contains("lxc.mount.entry = /srv/data data none bind,ro,nosuid,create=dir 0 0, /only ("),
            "{said}"
        );
        assert!(said.ends_with("/a:/../b (no directory of the node is named)"), "{said}");
    }
}
