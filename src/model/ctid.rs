//! Container identifiers.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A CTID: a decimal number from 1 to 2147483644 (vzctl include/types.h VEID_MAX), or a UUID (Virtuozzo 7 and later).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ctid(String);

/// The largest number that vzctl takes.
pub const CTID_MAX: u32 = 2_147_483_644;

impl Ctid {
    /// Parses a number or a UUID. Leading zeros are dropped, as vzctl does. A name is not a CTID: the node resolves it.
    pub fn parse(text: &str) -> Result<Ctid> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.parse::<u32>() {
                Ok(n) if (1..=CTID_MAX).contains(&n) => Ok(Ctid(n.to_string())),
                _ => Err(Error::usage(format!("CTID {text} is not between 1 and {CTID_MAX}"))),
            };
        }
        let bare = text.trim_start_matches('{').trim_end_matches('}');
        let groups: Vec<usize> = bare.split('-').map(str::len).collect();
        if groups == [8, 4, 4, 4, 12] && bare.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
            return Ok(Ctid(bare.to_ascii_lowercase()));
        }
        Err(Error::usage(format!("\"{}\" is neither a CTID nor a UUID", text.escape_debug())))
    }

    /// Returns container 1, for which a configuration without a CTID stands.
    pub fn first() -> Ctid {
        Ctid("1".to_owned())
    }

    /// Returns the number, when it is one.
    pub fn number(&self) -> Option<u32> {
        self.0.parse().ok()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ctid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_uuids_only() {
        assert_eq!(Ctid::parse("0101").unwrap().as_str(), "101");
        assert_eq!(
            Ctid::parse("{5FBAABE3-6958-40ff-92a7-860e329aab41}").unwrap().as_str(),
            "5fbaabe3-6958-40ff-92a7-860e329aab41"
        );
        for bad in ["", "0", "2147483645", "99999999999", "-1", "web1", "1 2", "../../etc", "5fbaabe3-6958"] {
            assert!(Ctid::parse(bad).is_err(), "{bad}");
        }
    }
}
