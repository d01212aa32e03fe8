//! ACLs after rsync. Where the mask of one grants what the entry of the owning group does, rsync (3.2.7 at least) leaves that
//! entry without any right; and on XFS, which shows each ACL a second time as `trusted.SGI_ACL_*`, its next run takes that
//! for an attribute too many and removes it. The source's `getfattr` says what they are.

use super::Job;
use super::exclude::Excludes;
use super::lesser::parse_getfattr;
use super::running::watch;
use crate::error::{Doing, Result};
use crate::host::Command;
use crate::model::finding::Finding;
use crate::rootfs::attributes::{Kind, shown};
use crate::rootfs::write::Parents;
use crate::rootfs::xattrs::replace_xattr;
use std::cell::RefCell;
use std::io::BufReader;

const SCRIPT: &str = "command -v getfattr >/dev/null 2>&1 || exit 127\ncd \"$1\" || exit 1\n\
    find . -xdev ! -type l ! -type s -print0 | xargs -0 getfattr -h -d -m '^system\\.posix_acl_' -e hex --\n";
/// What the script says without getfattr.
const MISSING: i32 = 127;

/// Gives the entries on the target the ACLs of the source, which must be still.
pub(super) fn put_right(job: &Job<'_>) -> Result<Option<Finding>> {
    let doing = || format!("asking {} for its ACLs", job.source.label());
    let command = Command::read("/bin/sh").args(["-c", SCRIPT, "sh"]).arg(&job.tree);
    let ended = watch(job.source, &command, job.cancel, None, |output| {
        let paths = RefCell::new(Vec::new());
        let number = |path: &[u8]| {
            paths.borrow_mut().push(path.to_vec());
            Some(paths.borrow().len() - 1)
        };
        let acls = parse_getfattr(BufReader::new(output), number)?;
        Ok((acls, paths.into_inner()))
    })
    .doing(doing)?;
    if ended.output.status == MISSING {
        let title = "whether rsync carried every ACL right was not looked at: the source has no getfattr";
        return Ok(Some(Finding::info("copy-acls-unchecked", title).remedy("install the package attr there")));
    }
    ended.output.ok(&command, job.source.label()).doing(doing)?;
    let (acls, paths) = ended.result.doing(doing)?;
    let excludes = Excludes::new(&job.excludes);
    let mut parents = Parents::new(job.target)?;
    for (number, xattrs) in &acls {
        let path = &paths[*number];
        if excludes.matches(path) {
            continue;
        }
        let doing = || format!("setting the ACLs of {}", shown(path));
        let place = parents.place(path, false).doing(doing)?;
        if place.status().doing(doing)?.is_some_and(|status| status.kind != Kind::Symlink) {
            for (name, acl) in xattrs {
                replace_xattr(place.dir, place.name, name, acl).doing(doing)?;
            }
        }
    }
    Ok(None)
}
