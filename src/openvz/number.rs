//! Numbers of a VE configuration: units, fractions, pairs (vzctl 4.11 src/lib/config.c:234, 637).

/// `unlimited`: LONG_MAX of a 64-bit node.
pub(super) const UNLIMITED: u64 = u64::MAX >> 1;

/// What 32-bit tools wrote for unlimited (vzctl src/lib/ub.c:403).
pub(super) const UNLIMITED_32: u64 = 2_147_483_647;

/// What a bare number counts, and what a suffix is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Items; no suffix is allowed.
    Items,
    /// Pages of 4096 bytes.
    Pages,
    /// Bytes.
    Bytes,
    /// KiB; `unlimited` is not a value here (DISKSPACE).
    Kib,
    /// Items with 1024-based suffixes (DISKINODES).
    Inodes,
}

impl Unit {
    fn divisor(self) -> Option<u128> {
        match self {
            Unit::Items => None,
            Unit::Pages => Some(4096),
            Unit::Kib => Some(1024),
            Unit::Bytes | Unit::Inodes => Some(1),
        }
    }
}

/// Tells whether a value means that there is no limit.
pub(super) fn is_unlimited(value: u64) -> bool {
    value >= UNLIMITED || value == UNLIMITED_32
}

/// Reads `BARRIER[:LIMIT]`; one number is both.
pub(super) fn pair(text: &str, unit: Unit) -> Option<(u64, u64)> {
    match text.split_once(':') {
        Some((barrier, limit)) => Some((quantity(barrier, unit)?, quantity(limit, unit)?)),
        None => quantity(text, unit).map(|n| (n, n)),
    }
}

/// Reads `N[.F][T|G|M|K|P|B]` or `unlimited`. An empty text is 0 and a negative number is unlimited, as strtoull has them.
pub(super) fn quantity(text: &str, unit: Unit) -> Option<u64> {
    if text == "unlimited" {
        return if unit == Unit::Kib { None } else { Some(UNLIMITED) };
    }
    let (negative, number) = sign(text);
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (whole, rest) = number.split_at(end);
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(after) => after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len())),
        None => ("", rest),
    };
    if whole.is_empty() && (text.len() != suffix.len() || !fraction.is_empty()) {
        // No digit before the unit: strtoull stops at the very beginning, so blanks and signs stand in the way.
        return if fraction.is_empty() { None } else { scaled("0", fraction, suffix, unit, negative) };
    }
    scaled(whole, fraction, suffix, unit, negative)
}

fn scaled(whole: &str, fraction: &str, suffix: &str, unit: Unit, negative: bool) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(12)];
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let tenths = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let value = if suffix.is_empty() {
        u128::from(whole)
    } else {
        let multiple = multiple(suffix)?;
        (u128::from(whole) * multiple + parts * multiple / tenths) / unit.divisor()?
    };
    let value = u64::try_from(value).unwrap_or(UNLIMITED);
    if negative && value > 0 { Some(UNLIMITED) } else { Some(value.min(UNLIMITED)) }
}

fn multiple(suffix: &str) -> Option<u128> {
    match suffix {
        "T" | "t" => Some(1 << 40),
        "G" | "g" => Some(1 << 30),
        "M" | "m" => Some(1 << 20),
        "K" | "k" => Some(1 << 10),
        "P" | "p" => Some(4096),
        "B" | "b" => Some(1),
        _ => None,
    }
}

fn sign(text: &str) -> (bool, &str) {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Returns the place of the first character that no number goes on with; 0 when the number is whole, and only its amount
/// is refused.
pub(super) fn fault(text: &[u8]) -> usize {
    let skip = |from: usize, belongs: fn(&u8) -> bool| {
        text[from..].iter().position(|b| !belongs(b)).map_or(text.len(), |n| from + n)
    };
    let digits = |from| skip(from, u8::is_ascii_digit);
    let blanks = skip(0, |b| matches!(b, b' ' | 0x09..=0x0d));
    let mut at = digits(blanks + usize::from(matches!(text.get(blanks), Some(b'-' | b'+'))));
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1);
    }
    if at < text.len() { at } else { 0 }
}

/// Returns the place of what is wrong in `BARRIER[:LIMIT]`.
pub(super) fn pair_fault(text: &[u8], unit: Unit) -> usize {
    let Some(colon) = text.iter().position(|b| *b == b':') else { return fault(text) };
    let (barrier, limit) = (&text[..colon], &text[colon + 1..]);
    if quantity(&String::from_utf8_lossy(barrier), unit).is_none() { fault(barrier) } else { colon + 1 + fault(limit) }
}

/// Reads an unsigned long: `unlimited`, or digits; an empty text is 0.
pub(super) fn ulong(text: &str) -> Option<u64> {
    quantity(text, Unit::Items).filter(|_| !text.contains('.'))
}

/// Reads an int that is not negative; an empty text and `unlimited` are no ints.
pub(super) fn int(text: &str) -> Option<u64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok().filter(|n| *n <= UNLIMITED_32 && (!negative || *n == 0))
}

/// CPULIMIT: percent of one CPU, or of all CPUs of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CpuLimit {
    /// `N`; 0 is none.
    OfOne(u64),
    /// `N%`.
    OfNode(u64),
}

/// Reads CPULIMIT.
pub(super) fn cpu_limit(text: &str) -> Option<CpuLimit> {
    match text.strip_suffix('%') {
        Some(percent) => ulong(percent).filter(|n| *n <= 100 && !percent.is_empty()).map(CpuLimit::OfNode),
        None => ulong(text).map(CpuLimit::OfOne),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_values() {
        for (text, unit, want) in [
            ("0:512M", Unit::Pages, (0, 131_072)),
            ("1.5G", Unit::Pages, (393_216, 393_216)),
            ("100P", Unit::Pages, (100, 100)),
            ("5B:4097B", Unit::Pages, (0, 1)),
            ("1T", Unit::Pages, (268_435_456, 268_435_456)),
            ("200K:1M", Unit::Inodes, (204_800, 1_048_576)),
            ("2G:2.2G", Unit::Kib, (2_097_152, 2_306_867)),
            ("0:unlimited", Unit::Pages, (0, UNLIMITED)),
            ("9223372036854775807", Unit::Pages, (UNLIMITED, UNLIMITED)),
            ("1048576", Unit::Kib, (1_048_576, 1_048_576)),
            ("1g:1g", Unit::Bytes, (1 << 30, 1 << 30)),
            ("240:240", Unit::Items, (240, 240)),
        ] {
            assert_eq!(pair(text, unit), Some(want), "{text}");
        }
    }

    #[test]
    fn degenerate_values() {
        assert_eq!(pair("", Unit::Pages), Some((0, 0)));
        assert_eq!(pair("", Unit::Kib), Some((0, 0)));
        assert_eq!(quantity("-5", Unit::Pages), Some(UNLIMITED));
        assert_eq!(quantity(" 512", Unit::Pages), Some(512));
        assert_eq!(quantity("1.5", Unit::Items), Some(1));
        assert_eq!(quantity("18446744073709551615", Unit::Bytes), Some(UNLIMITED));
        for bad in ["0x10", "1e3", "10KB", "1 G", "abc", " ", "-", "18446744073709551616", "1:2:3", "512M "] {
            assert_eq!(pair(bad, Unit::Pages), None, "{bad}");
        }
        assert_eq!(quantity("10K", Unit::Items), None);
        assert_eq!(quantity("unlimited", Unit::Kib), None);
    }

    #[test]
    fn the_fault_is_found() {
        for (text, unit, at) in [
            ("10K", Unit::Items, 2),
            ("0x10", Unit::Pages, 1),
            ("1e3", Unit::Pages, 1),
            ("1:2x", Unit::Pages, 3),
            ("1z:2", Unit::Pages, 1),
            ("unlimited", Unit::Kib, 0),
            ("1G:unlimited", Unit::Kib, 3),
            (" -1.5X", Unit::Pages, 5),
            ("99999999999999999999", Unit::Pages, 0),
            ("", Unit::Items, 0),
            ("-", Unit::Items, 0),
        ] {
            assert_eq!(pair_fault(text.as_bytes(), unit), at, "{text}");
        }
    }

    #[test]
    fn whole_numbers() {
        assert_eq!((ulong("1000"), ulong(""), ulong("1.5"), ulong("5K")), (Some(1000), Some(0), None, None));
        assert_eq!((int("120"), int(""), int("-1"), int("unlimited")), (Some(120), None, None, None));
        assert_eq!((int("2147483647"), int("2147483648")), (Some(UNLIMITED_32), None));
        assert_eq!(cpu_limit("50%"), Some(CpuLimit::OfNode(50)));
        assert_eq!(cpu_limit("250"), Some(CpuLimit::OfOne(250)));
        assert_eq!(cpu_limit(""), Some(CpuLimit::OfOne(0)));
        assert_eq!((cpu_limit("150%"), cpu_limit("%"), cpu_limit("x")), (None, None, None));
    }

    #[test]
    fn thirty_two_bit_unlimited_counts() {
        assert!(is_unlimited(UNLIMITED) && is_unlimited(2_147_483_647) && !is_unlimited(2_147_483_646));
    }
}
