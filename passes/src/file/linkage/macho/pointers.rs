//! Pointers that the loader changes, while they are read.

use super::imports::{AddressRanges, Imports};
use super::relocations::RelocationWriter;
use crate::file::formats::macho::Header;
use std::collections::HashMap;

/// Pointers that the loader writes to arrays of functions: address of the function by address of the pointer; `None` for
/// a function of another file.
pub(super) type ArrayPointers = HashMap<u64, Option<u64>>;

/// What the relocations of the loader are written to.
pub(super) struct Fixups<'w, 'a, 'l, H: Header> {
    pub(super) writer: &'w mut RelocationWriter<'a, 'l, H>,
    pub(super) imports: Imports<'a>,
    /// Arrays of functions, and the pointers in them that chains change.
    pub(super) arrays: &'w AddressRanges,
    pub(super) pointers: ArrayPointers,
}
