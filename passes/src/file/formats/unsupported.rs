//! The error of a file that cannot be read at all.

use std::fmt;

/// Why a file has no tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// File offset of the bytes that are not supported.
    pub file_offset: u64,
    /// Description of these bytes.
    pub found: String,
    /// Description of the bytes that were expected.
    pub expected: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_offset, found, expected } = self;
        write!(formatter, "{found} at offset {file_offset:#x}; expected {expected}")
    }
}

impl std::error::Error for Unsupported {}

impl Unsupported {
    pub(crate) fn new(file_offset: u64, found: impl Into<String>, expected: &'static str) -> Self {
        Self { file_offset, found: found.into(), expected }
    }

    /// Something at an offset beyond the end of the file.
    pub(super) fn truncated(file: &[u8], file_offset: u64, found: &str, expected: &'static str) -> Self {
        Self::new(file_offset, format!("{found} beyond the end of the file ({} bytes)", file.len()), expected)
    }
}
