//! How much history is kept.

use std::time::Duration;

use super::values::SECONDS;

/// How much of a history is kept. Safety never depends on it (DESIGN 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// Everything.
    All,
    /// Nothing.
    None,
    /// What is younger.
    Age(Duration),
    /// So many bytes, the newest.
    Bytes(u64),
}

/// Units of size, in bytes.
const SIZES: [(&str, u64); 6] = [
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl std::str::FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Self::All),
            "none" => return Ok(Self::None),
            _a_number_with_a_unit => {}
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let find =
            |units: &[(&str, u64)]| units.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        let number: Option<u64> = number.parse().ok().filter(|number| *number > 0);
        let scaled = |size: u64| number.and_then(|number| number.checked_mul(size));
        if let Some(seconds) = find(&SECONDS).and_then(scaled) {
            return Ok(Self::Age(Duration::from_secs(seconds)));
        }
        if let Some(bytes) = find(&SIZES).and_then(scaled) {
            return Ok(Self::Bytes(bytes));
        }
        Err(format!(
            "is '{text}', not 'all', 'none', an age such as '30d' or '12h', or a size such as '500MB'"
        ))
    }
}

impl std::fmt::Display for Retention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, units): (u64, &[(&str, u64)]) = match self {
            Self::All => return f.write_str("all"),
            Self::None => return f.write_str("none"),
            Self::Age(age) => (age.as_secs(), &SECONDS),
            Self::Bytes(bytes) => (*bytes, &SIZES),
        };
        let exact =
            units.iter().filter(|(_, size)| number.is_multiple_of(*size)).max_by_key(|(_, size)| *size);
        match exact {
            Some((unit, size)) => write!(f, "{}{unit}", number / size),
            None => write!(f, "{number}B"),
        }
    }
}
