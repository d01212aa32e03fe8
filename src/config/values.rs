//! Values as they are written in TOML and on the command line, each parsed by the same code in both places.

use crate::error::{Error, Result};
use crate::model::resource::ClusterChoice;
use crate::model::settings::{AddressMode, TransportChoice};
use crate::model::size::Bytes;
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::volume::{FileSystem, StorageKind};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// Makes a newtype that TOML and clap parse through one function, and that is shown as it was written.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident($inner:ty), $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name {
            text: String,
            value: $inner,
        }

        impl $name {
            /// Returns the parsed value.
            pub fn value(&self) -> $inner {
                self.value.clone()
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<$name> {
                let parse: fn(&str) -> Result<$inner> = $parse;
                Ok($name { value: parse(text)?, text: text.to_owned() })
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<$name> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
    };
}

/// Looks a word up in a table; the error names the words that would do.
fn one_of<T: Copy>(text: &str, what: &str, words: &[(&str, T)]) -> Result<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Error::usage(format!("\"{}\" is not {what}: use {}", text.escape_debug(), known.join(", ")))
    })
}

text_value!(
    /// A size such as `4G`.
    SizeText(Bytes),
    Bytes::parse
);

text_value!(
    /// `image`, `dir`, `lvm`, `lvm-thin`.
    StorageText(StorageKind),
    |t| one_of(
        t,
        "a kind of storage",
        &[
            ("image", StorageKind::Image),
            ("dir", StorageKind::Dir),
            ("lvm", StorageKind::Lvm),
            ("lvm-thin", StorageKind::LvmThin)
        ]
    )
);

text_value!(
    /// `ext4`, `xfs`.
    FsText(FileSystem),
    |t| one_of(t, "a file system", &[("ext4", FileSystem::Ext4), ("xfs", FileSystem::Xfs)])
);

text_value!(
    /// `auto`, `openssh`, `ssh2`.
    TransportText(TransportChoice),
    |t| one_of(
        t,
        "a transport",
        &[("auto", TransportChoice::Auto), ("openssh", TransportChoice::Openssh), ("ssh2", TransportChoice::Ssh2)]
    )
);

text_value!(
    /// `guest`, `lxc`.
    AddressText(AddressMode),
    |t| one_of(t, "a way to set addresses", &[("guest", AddressMode::Guest), ("lxc", AddressMode::Lxc)])
);

text_value!(
    /// `v1`, `v2`, `both`.
    CgroupText(CgroupMode),
    |t| one_of(
        t,
        "a control group version",
        &[("v1", CgroupMode::V1), ("v2", CgroupMode::V2), ("both", CgroupMode::Both)]
    )
);

text_value!(
    /// An LXC version such as `5.0`.
    LxcText(LxcVersion),
    |t| LxcVersion::parse(t).ok_or_else(|| {
        Error::usage(format!("\"{}\" is not an LXC version", t.escape_debug())).hint("write it like 5.0")
    })
);

text_value!(
    /// `auto`, `none`, `pcs`, `crmsh`, `cib:FILE`.
    ClusterText(ClusterChoice),
    |t| match t.strip_prefix("cib:") {
        Some(file) if file.starts_with('/') => Ok(ClusterChoice::Cib(file.into())),
        Some(_) => Err(Error::usage("cib: wants an absolute path of a CIB file")),
        None => match t {
            "auto" => Ok(ClusterChoice::Auto),
            "none" => Ok(ClusterChoice::None),
            "pcs" => Ok(ClusterChoice::Pcs),
            "crmsh" => Ok(ClusterChoice::Crmsh),
            _ => Err(Error::usage(format!(
                "\"{}\" is not a cluster: use auto, none, pcs, crmsh, cib:FILE",
                t.escape_debug()
            ))),
        },
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_what_would_do_instead() {
        assert_eq!("lvm-thin".parse::<StorageText>().unwrap().value(), StorageKind::LvmThin);
        assert_eq!("cib:/a.xml".parse::<ClusterText>().unwrap().value(), ClusterChoice::Cib("/a.xml".into()));
        assert!("cib:a.xml".parse::<ClusterText>().is_err());
        let error = "zfs".parse::<StorageText>().unwrap_err();
        assert_eq!(error.to_string(), "\"zfs\" is not a kind of storage: use image, dir, lvm, lvm-thin");
        assert!("5.x".parse::<LxcText>().is_err());
    }
}
