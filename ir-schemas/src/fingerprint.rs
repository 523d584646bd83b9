//! Fingerprints: 128-bit hashes of content.

use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// XXH3-128 of bytes or of rows of a table.
///
/// Detects changes; it is not collision-resistant against an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// Fingerprint of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(bytes))
    }

    /// Fingerprint of numbers.
    pub fn of_numbers(numbers: &[u64]) -> Self {
        let mut bytes = Vec::with_capacity(8 * numbers.len());
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        Self::of_bytes(&bytes)
    }

    /// Fingerprint of a sequence of fingerprints.
    pub fn of_all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut hash = Xxh3::new();
        for part in parts {
            hash.update(&part.0.to_le_bytes());
        }
        Self(hash.digest128())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}
