//! The file system of an image, mounted read-only while the guard lives. The image itself is only ever read.

use super::overlay::Overlay;
use super::{descriptor, image, partition, serve};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The largest descriptor: it names a few files.
const DESCRIPTOR_LIMIT: u64 = 1 << 20;
const SOON: Duration = Duration::from_secs(60);
/// A journal is replayed by the mount.
const MOUNT: Duration = Duration::from_secs(600);
/// Nothing of a tenant's acts on this host.
const OPTIONS: &str = "ro,nodev,nosuid,noexec";

/// Takes away what is mounted at directory `$1`, the loop devices on file `$2`, and what is mounted on it. Also what a
/// process left that was killed, whose file answers nothing any more; so names are compared and the file is not touched.
const CLOSE: &str = r#"umount "$1" 2>/dev/null
losetup --list --noheadings --output NAME,BACK-FILE | while read -r name file; do
  [ "$file" = "$2" ] && losetup --detach "$name"
done
umount "$2" 2>/dev/null || umount -l "$2" 2>/dev/null
if grep -qF " $1 " /proc/self/mounts; then echo "$1 is still mounted" >&2; exit 1; fi
exit 0"#;

/// An image's file system, mounted. Dropping it unmounts it.
pub struct MountedImage {
    host: Arc<dyn Host>,
    directory: PathBuf,
    file: PathBuf,
}

impl MountedImage {
    /// Mounts the file system of the image in `image` (a `root.hdd` directory) at `directory`, which is made. Takes over
    /// what a killed run left there. `host` is this host.
    pub fn open(host: Arc<dyn Host>, image: &Path, directory: &Path) -> Result<MountedImage> {
        let doing = || format!("opening ploop image {}", image.display());
        if host.remote_shell().is_some() {
            return Err(Error::new("only images on this host are read directly")
                .hint("attach the dead node's disk to this host, and name it with --from local --vz-root DIR"))
            .doing(doing);
        }
        let text = host.read_file(&image.join("DiskDescriptor.xml"), DESCRIPTOR_LIMIT).doing(doing)?;
        let text = text.ok_or_else(|| Error::new("there is no DiskDescriptor.xml in it")).doing(doing)?;
        let disk = descriptor::parse(&String::from_utf8_lossy(&text))
            .and_then(|found| image::Image::open(image, &found))
            .and_then(|disk| partition::find(&disk).map(|(start, length)| Overlay::new(disk, start, length)))
            .doing(doing)?;
        let file = directory.with_extension("disk");
        let mounted = MountedImage { host, directory: directory.to_owned(), file };
        mounted.unmount().doing(doing)?;
        mounted.mount(disk).doing(doing)?;
        Ok(mounted)
    }

    fn mount(&self, disk: Overlay) -> Result<()> {
        let making = |path: &Path| format!("making {}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).doing(|| making(&self.directory))?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.open(&self.file).doing(|| making(&self.file))?;
        serve::serve(disk, &self.file)?;
        let attach = Command::write("losetup").args(["--find", "--show", "--"]).arg(&self.file).timeout(SOON);
        let device = self.host.run_ok(&attach)?.text();
        // Not `noload`: what the journal holds belongs to the tree. The kernel may write it, into our memory.
        let mount = Command::write("mount").args(["-t", "ext4", "-o", OPTIONS, "--", device.trim()]);
        self.host.run_ok(&mount.arg(&self.directory).timeout(MOUNT)).map(drop)
    }

    fn unmount(&self) -> Result<()> {
        let command = Command::write("sh").args(["-c", CLOSE, "sh"]).arg(&self.directory).arg(&self.file);
        self.host.run_ok(&command.timeout(SOON)).map(drop)
    }
}

impl Drop for MountedImage {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            tracing::warn!("{}", error.chain().join(": "));
            return;
        }
        let _ = std::fs::remove_dir(&self.directory);
        let _ = std::fs::remove_file(&self.file);
    }
}
