//! A ploop image read without OpenVZ: the format of `root.hdd`, and a mount of the file system inside.
//!
//! | file | what it does |
//! |---|---|
//! | `descriptor` | DiskDescriptor.xml: which file is the image, and whether it is the only one |
//! | `image` | header and block table: where each block of the disk is in the file |
//! | `partition` | the file system's place on the disk |
//! | `overlay` | reads of a part of the disk, and writes that are kept in memory |
//! | `serve` | that part as a file, by the kernel's FUSE |
//! | `mounted` | the file system in it, mounted read-only |

mod descriptor;
mod image;
mod mounted;
mod overlay;
mod partition;
mod serve;
#[cfg(test)]
mod tests;

pub use mounted::MountedImage;
