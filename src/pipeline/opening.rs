//! The source's tree, made readable: a ploop image that is not mounted is mounted for as long as it is read.

use crate::error::Result;
use crate::model::container::{Access, Layout, SourceContainer, Status};
use crate::openvz::{MountedImage, Node};
use std::path::{Path, PathBuf};

/// What was opened on the source. An image that this program reads itself is let go of when this is dropped; what vzctl
/// mounted outlives this process, so it is unmounted by [`Opening::unmount`] and by whoever takes the migration back.
#[derive(Default)]
pub struct Opening {
    image: Option<MountedImage>,
    /// vzctl mounted it for us.
    pub mounted: bool,
}

/// Returns where an image of a container with this state directory is mounted.
pub fn image_mount_point(state: &Path) -> PathBuf {
    state.join("source")
}

impl Opening {
    /// Makes the tree of a container readable. What is readable stays as it is.
    pub fn open(&mut self, node: &Node, container: &SourceContainer) -> Result<()> {
        match (container.layout, container.access) {
            (Layout::Simfs, _) => Ok(()),
            (Layout::Ploop, Access::Image) if self.image.is_some() => Ok(()),
            (Layout::Ploop, Access::Image) => {
                let image = container.private.join("root.hdd");
                self.image = Some(MountedImage::open(node.host().clone(), &image, &container.tree)?);
                Ok(())
            }
            // Also one that was mounted when it was looked at: a restart of the node unmounts it.
            (Layout::Ploop, Access::Open | Access::Mount) => {
                if node.status(&container.ctid)? == Status::Stopped {
                    node.mount(&container.ctid)?;
                    self.mounted = true;
                }
                Ok(())
            }
        }
    }

    /// Unmounts on the node what was mounted for us: by this run, or by an earlier one when it was not mounted before.
    pub fn unmount(mounted: bool, node: &Node, container: &SourceContainer) -> Result<()> {
        let ours = container.layout == Layout::Ploop && (mounted || container.access == Access::Mount);
        if ours && node.status(&container.ctid)? == Status::Mounted {
            return node.unmount(&container.ctid);
        }
        Ok(())
    }
}
