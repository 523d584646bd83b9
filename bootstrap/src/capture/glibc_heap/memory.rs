//! The memory of a snapshot as glibc's `malloc` sees it: words and chunks.

use crate::capture::snapshot::ProcessSnapshot;
use binframe_ir::tables::{ChunkState, RegionType};

/// Alignment of chunks and of the memory that they hold.
pub(super) const ALIGNMENT: u64 = 16;

/// Flags in the size of a chunk. The third one tells whether it is of the main arena.
pub(super) const IS_PREVIOUS_USED: u64 = 1;
pub(super) const IS_MAPPED: u64 = 2;
pub(super) const FLAGS: u64 = 7;

/// A chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) struct Chunk {
    /// Address of the memory that the program has or may get.
    pub(in crate::capture) address: u64,
    /// Size of that memory.
    pub(in crate::capture) size: u64,
    /// The arena; `None` for a mapping.
    pub(in crate::capture) arena: Option<u64>,
    pub(in crate::capture) state: ChunkState,
}

/// The memory of a snapshot as words of the process.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    pub(super) snapshot: &'a ProcessSnapshot,
    pub(super) word_size: u64,
}

impl<'a> Memory<'a> {
    /// The data of modules that was read, with its addresses.
    pub(super) fn data(self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let mappings = self.snapshot.mappings.iter().zip(&self.snapshot.contents);
        mappings.filter_map(|(mapping, content)| {
            let is_data = mapping.region_type == RegionType::Global && mapping.permissions.starts_with("rw");
            let content = content.as_ref().filter(|_| is_data)?.as_whole()?;
            Some((mapping.start, content))
        })
    }

    /// The word at an address; `None` if it was not read.
    pub(super) fn word(self, address: u64) -> Option<u64> {
        number(self.snapshot.bytes_at(address).get(..self.word_size as usize)?)
    }

    /// The word at an address, in bytes that start with it.
    pub(super) fn word_in(self, bytes: &[u8], offset: usize) -> Option<u64> {
        number(bytes.get(offset..)?.get(..self.word_size as usize)?)
    }

    /// Size of the header of a chunk.
    pub(super) fn header_size(self) -> u64 {
        2 * self.word_size
    }

    /// Size of the smallest chunk.
    pub(super) fn size_min(self) -> u64 {
        4 * self.word_size
    }

    /// The address of the first chunk at or after an address.
    pub(super) fn chunk_from(self, address: u64) -> Option<u64> {
        let content = address.checked_add(self.header_size())?.checked_next_multiple_of(ALIGNMENT)?;
        Some(content - self.header_size())
    }
}

/// A little-endian number.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    let mut value = [0; 8];
    value.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(value))
}
