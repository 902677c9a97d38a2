//! Sizes in bytes, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A size in bytes; text needs a unit: `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `KB`, `MB`, `GB`, `TB` (powers of 1000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Why a text is not a size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ByteSizeError {
    #[error("'{0}' is not a size: write a whole number and a unit, for example \"25GiB\"")]
    Form(String),
    #[error("'{0}' has no unit: write for example \"25GiB\" (1024-based) or \"25GB\" (1000-based)")]
    NoUnit(String),
    #[error("'{0}' is larger than 2^64 bytes")]
    TooLarge(String),
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    pub const fn mib(count: u64) -> Self {
        ByteSize(count << 20)
    }

    pub const fn gib(count: u64) -> Self {
        ByteSize(count << 30)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ByteSizeError::Form(text.to_owned()));
        }
        let unit = unit.trim_start();
        if unit.is_empty() {
            return Err(ByteSizeError::NoUnit(text.to_owned()));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(ByteSizeError::Form(text.to_owned()));
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(*factor))
            .map(ByteSize)
            .ok_or_else(|| ByteSizeError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    /// The largest 1024-based unit that divides the size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = UNITS
            .iter()
            .find(|(name, factor)| (name.contains('i') || *name == "B") && self.0.is_multiple_of(*factor))
            .expect("every size is a multiple of one byte");
        write!(f, "{}{name}", self.0 / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        assert_eq!("25GiB".parse(), Ok(ByteSize::gib(25)));
        assert_eq!("512 MiB".parse(), Ok(ByteSize::mib(512)));
        assert_eq!("200GB".parse(), Ok(ByteSize(200_000_000_000)));
        assert_eq!(ByteSize::gib(25).to_string(), "25GiB");
        assert_eq!(ByteSize(1000).to_string(), "1000B");
        assert!(matches!("25".parse::<ByteSize>(), Err(ByteSizeError::NoUnit(_))));
        assert!(matches!("GiB".parse::<ByteSize>(), Err(ByteSizeError::Form(_))));
        assert!(matches!("9999999999TiB".parse::<ByteSize>(), Err(ByteSizeError::TooLarge(_))));
    }
}
