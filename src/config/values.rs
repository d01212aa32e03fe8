//! Values as they are written in TOML and on the command line, each parsed by the same code in both places.

use crate::error::{Error, Result};
use crate::model::limits::APPROXIMATIONS;
use crate::model::resource::ClusterChoice;
use crate::model::settings::{AddressMode, Compress, IdRange, NetworkMode, TransportChoice, Verify};
use crate::model::size::{Bytes, KIB};
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::volume::{FileSystem, StorageKind};
use serde::Deserialize;
use std::fmt;
use std::num::NonZeroU32;
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
    /// `bridge`, `routed`.
    NetworkText(NetworkMode),
    |t| one_of(t, "a kind of network", &[("bridge", NetworkMode::Bridge), ("routed", NetworkMode::Routed)])
);

text_value!(
    /// Ids as `BASE:COUNT`.
    IdRangeText(IdRange),
    id_range
);

/// The least that a guest needs: its ids below 65536, nobody and nogroup among them.
const FEWEST_IDS: u32 = 65_536;

fn id_range(text: &str) -> Result<IdRange> {
    let wrong = |why: &str| {
        Error::usage(format!("\"{}\" is not a range of ids: {why}", text.escape_debug()))
            .hint("write it like 100000:65536")
    };
    let (base, count) = text.split_once(':').ok_or_else(|| wrong("it is not BASE:COUNT"))?;
    let number = |t: &str| t.parse::<u32>().map_err(|_| wrong("BASE and COUNT are numbers below 4294967296"));
    let range = IdRange { base: number(base)?, count: number(count)? };
    if range.count < FEWEST_IDS {
        return Err(wrong("a container needs 65536 ids at least"));
    }
    // An id of the container and an id of the range must not be mixed up while a tree is shifted.
    if range.base < range.count {
        return Err(wrong("BASE must not be less than COUNT"));
    }
    // The last id is -1, which means \"no change\" to chown.
    if range.base.checked_add(range.count).is_none() {
        return Err(wrong("it ends beyond the last id"));
    }
    Ok(range)
}

text_value!(
    /// The name of a parameter that has an approximation which must be asked for.
    ApproximateText(String),
    |t| {
        let known = APPROXIMATIONS;
        if known.contains(&t) {
            return Ok(t.to_owned());
        }
        let none = format!("\"{}\" has no approximation that can be asked for", t.escape_debug());
        Err(Error::usage(none).hint(format!("those that have one: {}", known.join(", "))))
    }
);

text_value!(
    /// `none`, `metadata`, `content`.
    VerifyText(Verify),
    |t| one_of(
        t,
        "a way to verify a copy",
        &[("none", Verify::None), ("metadata", Verify::Metadata), ("content", Verify::Content)]
    )
);

text_value!(
    /// `auto`, `none`, `gzip`, `zstd`, `lz4`.
    CompressText(Compress),
    |t| one_of(
        t,
        "a compression",
        &[
            ("auto", Compress::Auto),
            ("none", Compress::None),
            ("gzip", Compress::Gzip),
            ("zstd", Compress::Zstd),
            ("lz4", Compress::Lz4)
        ]
    )
);

text_value!(
    /// Bytes a second, such as `10M`.
    BwlimitText(Bytes),
    |t| {
        let rate = Bytes::parse(t).map_err(|e| {
            Error::usage(format!("\"{}\" is no number of bytes a second", t.escape_debug()))
                .because(e)
                .hint("write it with K, M or G, for example 10M")
        })?;
        // Nobody means ten bytes a second who writes 10.
        if rate.0 < KIB {
            return Err(Error::usage(format!("\"{}\" is less than 1K bytes a second", t.escape_debug()))
                .hint("write it with K, M or G, for example 10M"));
        }
        Ok(rate)
    }
);

/// How many streams at once, 1 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct StreamCount(NonZeroU32);

impl StreamCount {
    /// Returns the number.
    pub fn get(self) -> NonZeroU32 {
        self.0
    }
}

impl TryFrom<u32> for StreamCount {
    type Error = String;
    fn try_from(count: u32) -> std::result::Result<StreamCount, String> {
        let wrong = || format!("{count} is not a number of streams: 1 to 16");
        NonZeroU32::new(count).filter(|n| n.get() <= 16).map(StreamCount).ok_or_else(wrong)
    }
}

impl FromStr for StreamCount {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<StreamCount, String> {
        let number: u32 = text.parse().map_err(|_| "write a number, 1 to 16".to_owned())?;
        StreamCount::try_from(number)
    }
}

impl fmt::Display for StreamCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A VLAN, 1 to 4094.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub struct VlanId(u16);

impl VlanId {
    /// Returns the number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = String;
    fn try_from(id: u16) -> std::result::Result<VlanId, String> {
        if (1..=4094).contains(&id) { Ok(VlanId(id)) } else { Err(format!("{id} is not a VLAN: 1 to 4094")) }
    }
}

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
    |t| LxcVersion::parse(t).filter(|v| v.major >= 1).ok_or_else(|| {
        Error::usage(format!("\"{}\" is not an LXC version from 1.0 on", t.escape_debug())).hint("write it like 5.0")
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
    fn ranges_of_ids_and_vlans() {
        let range = "100000:65536".parse::<IdRangeText>().unwrap().value();
        assert_eq!((range.base, range.count), (100_000, 65_536));
        for bad in
            ["", "100000", "x:65536", "100000:1000", "1000:65536", "4294967295:65536", "4294901760:65536", "-1:65536"]
        {
            assert!(bad.parse::<IdRangeText>().is_err(), "{bad}");
        }
        assert!("4294901759:65536".parse::<IdRangeText>().is_ok());
        assert!(VlanId::try_from(0).is_err() && VlanId::try_from(4095).is_err() && VlanId::try_from(4094).is_ok());
    }

    #[test]
    fn what_a_copy_may_take() {
        assert_eq!("content".parse::<VerifyText>().unwrap().value(), Verify::Content);
        assert_eq!("lz4".parse::<CompressText>().unwrap().value(), Compress::Lz4);
        assert_eq!("10M".parse::<BwlimitText>().unwrap().value(), Bytes(10 << 20));
        for bad in ["", "10", "fast", "-1M", "10M/s"] {
            assert!(bad.parse::<BwlimitText>().is_err(), "{bad}");
        }
        assert!("yes".parse::<VerifyText>().is_err() && "xz".parse::<CompressText>().is_err());
        assert_eq!("16".parse::<StreamCount>().unwrap().get().get(), 16);
        assert!("0".parse::<StreamCount>().is_err() && "17".parse::<StreamCount>().is_err());
    }

    #[test]
    fn words_and_what_would_do_instead() {
        assert_eq!("lvm-thin".parse::<StorageText>().unwrap().value(), StorageKind::LvmThin);
        assert_eq!("cib:/a.xml".parse::<ClusterText>().unwrap().value(), ClusterChoice::Cib("/a.xml".into()));
        assert!("cib:a.xml".parse::<ClusterText>().is_err());
        let error = "zfs".parse::<StorageText>().unwrap_err();
        assert_eq!(error.to_string(), "\"zfs\" is not a kind of storage: use image, dir, lvm, lvm-thin");
        assert!("5.x".parse::<LxcText>().is_err() && "0.9".parse::<LxcText>().is_err());
        assert!("PRIVVMPAGES".parse::<ApproximateText>().is_ok());
        assert!("HOSTNAME".parse::<ApproximateText>().unwrap_err().to_string().contains("HOSTNAME"));
    }
}
