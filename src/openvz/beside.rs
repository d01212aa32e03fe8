//! Action scripts beside a configuration file on this machine, for a conversion without a node.

use super::actions::{ACTIONS, Container, SCRIPT_LIMIT, Script, proposals};
use super::grammar::shown;
use super::parse::{ctid_of, path_in};
use crate::error::{Doing, Result};
use crate::model::finding::Finding;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How much of the configuration is read for VE_ROOT and VE_PRIVATE.
const CONFIG_LIMIT: u64 = 1 << 20;

/// Finds the action scripts that belong to a configuration file, and says what each would be under LXC: `CTID.ACTION` and
/// `vps.ACTION` beside it, `scripts/ACTION` beside a `ve.conf`. They are read, never run. Fails when a file that is there
/// cannot be read.
pub fn scripts_beside(ve_conf: &Path) -> Result<Vec<Finding>> {
    let own = read(ve_conf, CONFIG_LIMIT)?.unwrap_or_default();
    let ctid = ctid_of(ve_conf, &own);
    let area = |name: &str, kind: &str| {
        path_in(&own, name, &ctid).unwrap_or_else(|| PathBuf::from(format!("/vz/{kind}/{ctid}")))
    };
    let (root, private) = (area("VE_ROOT", "root"), area("VE_PRIVATE", "private"));
    let container = Container { ctid: ctid.as_str(), root: &root, private: &private };
    let directory = ve_conf.parent().unwrap_or(Path::new(""));
    let in_private = ve_conf.file_name().is_some_and(|name| name == "ve.conf");
    let mut out = Vec::new();
    for action in ACTIONS {
        let own = directory.join(format!("{ctid}.{action}"));
        let places = if in_private {
            vec![directory.join("scripts").join(action)]
        } else {
            vec![own, directory.join(format!("vps.{action}"))]
        };
        for place in places {
            let Some(text) = read(&place, SCRIPT_LIMIT)? else { continue };
            let name = shown(place.as_os_str().as_bytes());
            out.extend(proposals(&Script { name: &name, action, text: &text }, &container));
        }
    }
    Ok(out)
}

/// Reads the beginning of a regular file; `None` when there is none.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let doing = || format!("reading {}", shown(path.as_os_str().as_bytes()));
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing(doing),
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).doing(doing)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_both_kinds_of_node_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let conf = write("101.conf", "VE_ROOT=\"/ct/$VEID\"\n");
        assert_eq!(scripts_beside(&conf).unwrap(), []);
        write("101.mount", "mount --bind /srv /ct/101/srv\n");
        write("102.mount", "mount --bind /srv /ct/102/srv\n");
        write("vps.umount", "logger\n");
        std::fs::create_dir(dir.path().join("101.start")).unwrap();
        let found = scripts_beside(&conf).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].remedy, "lxc.mount.entry = /srv srv none bind,create=dir 0 0");
        assert!(found[1].subject.ends_with("vps.umount") && found[1].remedy.starts_with("lxc.hook.post-stop"));

        let uuid = "5fbaabe3-6958-40ff-92a7-860e329aab41";
        let conf = write(&format!("{uuid}/ve.conf"), "HOSTNAME='a'\n");
        write(&format!("{uuid}/scripts/mount"), "mount --bind /srv /vz/root/$VEID/srv\n");
        let found = scripts_beside(&conf).unwrap();
        assert_eq!((found.len(), found[0].id.as_str()), (1, "ve-action-mount"), "{found:?}");
        assert_eq!(scripts_beside(Path::new("/nonexistent/7.conf")).unwrap(), []);
    }
}
