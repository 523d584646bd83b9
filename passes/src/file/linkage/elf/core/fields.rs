//! A note of a core dump, and the fields of the structure in it, whose numbers and words depend on the file.

use super::super::super::registers::integer;
use object::Endianness;
use std::borrow::Cow;

/// A note of a core dump.
#[derive(Clone, Copy)]
pub(in super::super) struct CoreNote<'a> {
    pub(in super::super) index: u32,
    pub(in super::super) owner: &'a [u8],
    pub(in super::super) note_type: u32,
    /// Name of the type, for attributes.
    pub(in super::super) type_name: &'a str,
    pub(in super::super) content: &'a [u8],
}

/// A structure in memory.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    is_64: bool,
    endian: Endianness,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], is_64: bool, endian: Endianness) -> Self {
        Self { bytes, is_64, endian }
    }

    /// The fields after the first `offset` bytes.
    pub(super) fn from(&self, offset: usize) -> Option<Self> {
        Some(Self { bytes: self.bytes.get(offset..)?, ..*self })
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Size of a word (`long`) in bytes.
    pub(super) fn word_size(&self) -> usize {
        if self.is_64 { 8 } else { 4 }
    }

    /// The unsigned number of `size` bytes, at most 8, at an offset; `None` if they are not in the structure.
    pub(super) fn integer(&self, offset: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..)?.get(..size)?;
        Some(integer(bytes, self.endian))
    }

    pub(super) fn half(&self, offset: usize) -> Option<u16> {
        Some(self.integer(offset, 2)? as u16)
    }

    pub(super) fn number(&self, offset: usize) -> Option<u32> {
        Some(self.integer(offset, 4)? as u32)
    }

    pub(super) fn word(&self, offset: usize) -> Option<u64> {
        self.integer(offset, self.word_size())
    }

    /// The text of at most `size` bytes, up to a zero byte.
    pub(super) fn text(&self, offset: usize, size: usize) -> Option<Cow<'a, str>> {
        let rest = self.bytes.get(offset..)?;
        let text = rest[..rest.len().min(size)].split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text))
    }
}
