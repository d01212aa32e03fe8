//! Sizes in bytes, as people write and read them.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A number of bytes. Written with a 1024-based suffix (`4G`, `512M`, `1.5T`), read the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// One KiB.
pub const KIB: u64 = 1024;
/// One MiB.
pub const MIB: u64 = 1024 * KIB;
/// One GiB.
pub const GIB: u64 = 1024 * MIB;
/// One page of the machines that OpenVZ ran on, in bytes.
pub const PAGE: u64 = 4096;

impl Bytes {
    /// Parses `N[.F][K|M|G|T][B|iB]`; a bare number is bytes. Zero is refused: nothing here has a use for it.
    pub fn parse(text: &str) -> Result<Bytes> {
        let wrong = || {
            Error::usage(format!("\"{}\" is not a size", text.escape_debug()))
                .hint("write a number with K, M, G or T, for example 4G")
        };
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, suffix) = trimmed.split_at(digits);
        let unit = match suffix.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
            "" => 1,
            "k" => KIB,
            "m" => MIB,
            "g" => GIB,
            "t" => 1024 * GIB,
            _ => return Err(wrong()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty()
            || fraction.len() > 9
            || fraction.contains('.')
            || (number.contains('.') && fraction.is_empty())
        {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let parts: u64 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| wrong())? };
        let scale = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let total = u128::from(whole) * u128::from(unit) + u128::from(parts) * u128::from(unit) / scale;
        match u64::try_from(total) {
            Ok(n) if n > 0 && n <= i64::MAX as u64 => Ok(Bytes(n)),
            _ => Err(wrong()),
        }
    }

    /// Rounds up to a multiple of `unit` bytes.
    #[must_use]
    pub fn round_up(self, unit: u64) -> Bytes {
        Bytes(self.0.div_ceil(unit).saturating_mul(unit))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 1024 * GIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)];
        for (name, unit) in units {
            if self.0 >= unit {
                let tenths = u128::from(self.0) * 10 / u128::from(unit);
                return if tenths % 10 == 0 {
                    write!(f, "{} {name}", tenths / 10)
                } else {
                    write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_fractions_and_refusals() {
        for (text, bytes) in
            [("4G", 4 * GIB), ("1.5k", 1536), ("512MiB", 512 * MIB), ("1024", 1024), ("2 tb", 2048 * GIB), ("7b", 7)]
        {
            assert_eq!(Bytes::parse(text).unwrap().0, bytes, "{text}");
        }
        for bad in ["", "0", "G", "-1", "1.2.3", "1.", "4X", "1e3", "99999999T", "１G"] {
            assert!(Bytes::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn people_read_at_most_one_decimal() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (4 * GIB, "4 GiB"), (GIB - 1, "1023.9 MiB")]
        {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
