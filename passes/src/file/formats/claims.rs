//! File ranges and their owners, from which `binary_extents` is computed.

use binframe_ir::tables::ExtentOwner;
use std::ops::Range;

/// A file range and its owner.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// The range. It may exceed the file, and overlap other claims.
    pub(crate) range: Range<u64>,
    pub(crate) owner: ExtentOwner,
    /// Index of the section or member; `None` for other owners.
    pub(crate) index: Option<u32>,
}

impl Claim {
    /// The range of a header.
    pub(super) fn header(offset: u64, size: u64) -> Self {
        Self { range: offset..offset.saturating_add(size), owner: ExtentOwner::Header, index: None }
    }

    /// The range of a table that is in no section.
    pub(super) fn table(offset: u64, size: u64) -> Self {
        Self { owner: ExtentOwner::Table, ..Self::header(offset, size) }
    }
}
