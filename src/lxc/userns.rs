//! The user name space of an unprivileged container.

use super::config::{ContainerConfig, RootfsPath};
use super::render::Writer;
use crate::error::{Error, Result};

/// Tells whether what the shared configuration says for privileged containers must be taken back here: `userns.conf`
/// would do that, and the target has none.
pub(super) fn takes_back(config: &ContainerConfig) -> bool {
    config.idmap.is_some() && config.include.is_some() && config.userns_include.is_none()
}

/// Writes the mapping of ids.
pub(super) fn write(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    let Some(map) = config.idmap else { return Ok(()) };
    let (base, count) = (map.range.base, map.range.count);
    if base == 0 || count == 0 || base.checked_add(count).is_none() {
        return Err(Error::new(format!("{count} ids from {base} cannot be a container's"))
            .hint("name a range that is nobody's, for instance 100000:65536"));
    }
    w.section(&format!("unprivileged: id 0 inside is {base} on the host"));
    for kind in ['u', 'g'] {
        w.set(w.names().idmap, format!("{kind} 0 {base} {count}"));
    }
    if map.mounted {
        // 5.0.2 refuses the start for images and devices: "only supports the "dir" storage driver".
        if !matches!(config.rootfs, RootfsPath::Dir(_)) || !w.dialect.at_least(5, 0) {
            let version = w.dialect.version;
            return Err(Error::new(format!("LXC {version} cannot mount this root file system with its ids mapped"))
                .hint("that takes a directory and LXC 5.0: shift the owners of the files instead"));
        }
        w.set("lxc.rootfs.options", "idmap=container");
    }
    Ok(())
}
