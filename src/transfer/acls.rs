//! ACLs after rsync. Where the mask of one grants what the entry of the owning group does, rsync (3.2.7 at least) leaves that
//! entry without any right; and on XFS, which shows each ACL a second time as `trusted.SGI_ACL_*`, its next run takes that
//! for an attribute too many and removes it. The source's `getfattr` says what they are.

use super::exclude::Excludes;
use super::running::watch;
use super::{Job, getfattr};
use crate::error::{Doing, Result};
use crate::model::finding::Finding;
use crate::rootfs::attributes::{Kind, shown};
use crate::rootfs::write::Parents;
use crate::rootfs::xattrs::replace_xattr;

/// Gives the entries on the target the ACLs of the source, which must be still.
pub(super) fn put_right(job: &Job<'_>) -> Result<Option<Finding>> {
    let doing = || format!("asking {} for its ACLs", job.source.label());
    let command = getfattr::acls(job);
    let read = |output| getfattr::read_all(output, |path| Some(path.to_vec()));
    let ended = watch(job.source, &command, job.cancel, Some(&[]), read).doing(doing)?;
    if ended.output.status == getfattr::MISSING {
        let title = "whether rsync carried every ACL right was not looked at: the source has no getfattr";
        return Ok(Some(Finding::info("copy-acls-unchecked", title).remedy("install the package attr there")));
    }
    ended.output.ok(&command, job.source.label()).doing(doing)?;
    let acls = ended.result.doing(doing)?;
    let excludes = Excludes::new(&job.excludes);
    let mut parents = Parents::new(job.target)?;
    for (path, xattrs) in &acls {
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
