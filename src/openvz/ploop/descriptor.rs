//! DiskDescriptor.xml: which file is the image.

use crate::error::{Error, Result};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::path::{Path, PathBuf};

/// How the image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Header, block table, blocks in any order (`Compressed`: expanded and preallocated ones).
    Expanded,
    /// The disk as it is (`Plain`).
    Raw,
}

/// What the descriptor says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// The image's name in the directory of the descriptor.
    pub(super) file: PathBuf,
    pub(super) format: Format,
}

/// Reads a descriptor. More than one image means snapshots, whose blocks only ploop itself can put together; any but a
/// plain file name would lead out of the directory.
pub(super) fn parse(text: &str) -> Result<Descriptor> {
    let mut reader = Reader::from_str(text);
    let (mut path, mut images, mut encrypted) = (Vec::<String>::new(), Vec::<(String, String)>::new(), false);
    loop {
        let broken = |e: &dyn std::fmt::Display| Error::new(format!("DiskDescriptor.xml is broken: {e}"));
        match reader.read_event().map_err(|e| broken(&e))? {
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                if path.len() >= 32 {
                    return Err(broken(&"nested too deeply"));
                }
                encrypted |= name == "Encryption";
                path.push(name);
                if path.ends_with(&["Storage".to_owned(), "Image".to_owned()]) {
                    images.push(Default::default());
                }
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Text(text) => {
                let text = text.trim().to_owned();
                let inside = path.len() >= 2 && path[path.len() - 2] == "Image";
                if let (true, Some(image)) = (inside, images.last_mut()) {
                    match path.last().map(String::as_str) {
                        Some("Type") => image.0.push_str(&text),
                        Some("File") => image.1.push_str(&text),
                        _ => {}
                    }
                }
            }
            Event::GeneralRef(_) => return Err(broken(&"entities have no place in it")),
            Event::Eof => break,
            _ => {}
        }
    }
    if encrypted {
        return Err(Error::new("the image is encrypted").hint("only a node with its key can open it"));
    }
    let [(kind, file)] = images.as_slice() else {
        return Err(Error::new(format!("the image consists of {} files: it has snapshots", images.len())).hint(
            "merge them where ploop runs: vzctl snapshot-list CTID, vzctl snapshot-delete CTID --id ID for each",
        ));
    };
    let format = match kind.as_str() {
        "Compressed" => Format::Expanded,
        "Plain" => Format::Raw,
        other => return Err(Error::new(format!("images of type \"{}\" are not known", other.escape_debug()))),
    };
    // Old descriptors have the whole path that the image once had; it lies beside the descriptor all the same.
    let name = Path::new(file).file_name().filter(|_| !file.ends_with('/')).map(PathBuf::from);
    let plain = !file.contains('/') || file.starts_with('/');
    match name.filter(|_| plain) {
        Some(file) => Ok(Descriptor { file, format }),
        None => Err(Error::new(format!("the image \"{}\" does not lie beside its descriptor", file.escape_debug()))),
    }
}
