//! Reads the function table of Go programs (`runtime.pclntab`): a header, and a row for each function.
//!
//! A row has the entry of a function and the offset of its record, which has the offset of its name. The header's first
//! four bytes name the layout. Until Go 1.17 entries are addresses; since then they are offsets from the start of Go's
//! code, which is the same in files that are loaded at any address. The entry of a last row without a record is the end
//! of the last function.
//!
//! Source: `debug/gosym/pclntab.go`, `runtime/symtab.go` and `cmd/link/internal/ld/pcln.go` of Go.

use crate::file::formats::number;
use object::{Endian, Endianness};

/// The size of a name in bytes, without its end. Names of generic functions have some thousands.
const NAME_SIZE_MAX: usize = 1 << 16;

/// Offset of the header's first word, after the magic number, two zeros, and the sizes of an instruction and of a pointer.
const WORDS_OFFSET: u64 = 8;

/// How a program stores numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    pub(super) endianness: Endianness,
    /// Size of a pointer in bytes: 4 or 8.
    pub(super) pointer_size: usize,
}

impl Encoding {
    pub(super) fn read_u32(self, bytes: &[u8], offset: u64) -> Option<u32> {
        let bytes = bytes.get(usize::try_from(offset).ok()?..)?;
        bytes.first_chunk().map(|bytes| self.endianness.read_u32(*bytes))
    }

    pub(super) fn read_word(self, bytes: &[u8], offset: u64) -> Option<u64> {
        let start = usize::try_from(offset).ok()?;
        number(self.endianness, bytes.get(start..start.checked_add(self.pointer_size)?)?)
    }
}

/// A header whose offsets are inside the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Whether entries and offsets of records have 32 bits, and entries are relative to the start of Go's code.
    pub(super) is_relative: bool,
    /// Number of functions.
    function_count: u64,
    /// Offset of the names.
    pub(super) names: u64,
    /// Offset of the rows.
    rows: u64,
    /// Offset to which the offsets of records are relative.
    records: u64,
}

impl Header {
    /// Offset of the header's field for the start of Go's code, which is 0 if the field is not used.
    pub(super) fn text_start_offset(encoding: Encoding) -> u64 {
        WORDS_OFFSET + 2 * encoding.pointer_size as u64
    }

    /// The header at the start of some bytes; `None` if there is none.
    pub(super) fn read(bytes: &[u8], encoding: Encoding) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let [0, 0, instruction_size, pointer_size, ..] = *rest else { return None };
        if ![1, 2, 4].contains(&instruction_size) || usize::from(pointer_size) != encoding.pointer_size {
            return None;
        }
        let word =
            |index: u64| encoding.read_word(bytes, WORDS_OFFSET + index * encoding.pointer_size as u64);
        let function_count = word(0)?;
        let header = match encoding.endianness.read_u32(*magic) {
            // Go 1.2.
            0xffff_fffb => {
                let rows = WORDS_OFFSET + encoding.pointer_size as u64;
                Self { is_relative: false, function_count, names: 0, rows, records: 0 }
            }
            // Go 1.16.
            0xffff_fffa => {
                let (names, rows) = (word(2)?, word(6)?);
                Self { is_relative: false, function_count, names, rows, records: rows }
            }
            // Go 1.18 and 1.20, which differ in records only.
            0xffff_fff0 | 0xffff_fff1 => {
                let (names, rows) = (word(3)?, word(7)?);
                Self { is_relative: true, function_count, names, rows, records: rows }
            }
            _ => return None,
        };
        let is_inside = header.names <= header.rows && header.rows < bytes.len() as u64;
        (is_inside && function_count > 0).then_some(header)
    }

    /// Number of functions whose rows, and the entry after them, are in a table of `size` bytes.
    fn functions_within(&self, size: usize, encoding: Encoding) -> u64 {
        let (row_size, entry_size) = self.row_size(encoding);
        let rows = (size as u64).saturating_sub(self.rows).saturating_sub(entry_size) / row_size;
        rows.min(self.function_count)
    }

    /// Whether all rows are in a table of `size` bytes.
    pub(super) fn is_whole(&self, size: usize, encoding: Encoding) -> bool {
        self.functions_within(size, encoding) == self.function_count
    }

    /// Sizes of a row and of an entry in bytes.
    fn row_size(&self, encoding: Encoding) -> (u64, u64) {
        let entry_size = if self.is_relative { 4 } else { encoding.pointer_size as u64 };
        (2 * entry_size, entry_size)
    }
}

/// A function that the table lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::code) struct ListedFunction<'f> {
    pub(in crate::code) address: u64,
    /// Bytes up to the next entry, padding included; 0 if that entry is broken.
    pub(in crate::code) size: u64,
    /// `None` if it is broken.
    pub(in crate::code) name: Option<&'f str>,
}

/// A broken part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::code) struct BrokenPart {
    pub(in crate::code) address: u64,
    pub(in crate::code) message: &'static str,
}

/// A table, with what its entries are relative to.
pub(super) struct Table<'f> {
    pub(super) encoding: Encoding,
    pub(super) header: Header,
    /// Address of the header.
    pub(super) address: u64,
    /// The bytes from the header to the end of its section.
    pub(super) bytes: &'f [u8],
    /// Start of Go's code, to which entries are relative; 0 if entries are addresses.
    pub(super) text_start: u64,
}

impl<'f> Table<'f> {
    /// The functions, sorted by address, and what is broken. `relocated` gives the pointer that the loader writes to an
    /// address, if it does.
    ///
    /// Entries ascend. If they do not, those that would have to be left out for the rest to ascend are, and no more.
    pub(super) fn functions(
        &self,
        relocated: &dyn Fn(u64) -> Option<u64>,
        is_code: &dyn Fn(u64) -> bool,
    ) -> (Vec<ListedFunction<'f>>, Vec<BrokenPart>) {
        let mut broken = Vec::new();
        let count = self.header.functions_within(self.bytes.len(), self.encoding);
        let mut report = |row: u64, message| {
            broken.push(BrokenPart { address: self.address.wrapping_add(self.row_offset(row)), message });
        };
        if count < self.header.function_count {
            report(count, "the function table of Go extends past the end of its section");
        }
        let mut entries: Vec<(u64, u64)> = Vec::new();
        for row in 0..count {
            match self.entry(row, relocated).filter(|entry| is_code(*entry)) {
                Some(entry) => entries.push((row, entry)),
                None => report(row, "an entry of the function table of Go is not in code"),
            }
        }
        let kept = ascending(&entries.iter().map(|(_, entry)| *entry).collect::<Vec<_>>());
        let mut next_kept = kept.iter().peekable();
        for (index, (row, _)) in (0..).zip(&entries) {
            if next_kept.next_if_eq(&&index).is_none() {
                report(*row, "entries of the function table of Go do not ascend");
            }
        }
        // No two names of a valid table share bytes.
        let mut budget = self.bytes.len();
        let mut functions = Vec::with_capacity(kept.len());
        for (position, index) in kept.iter().enumerate() {
            let (row, address) = entries[*index];
            let next = match kept.get(position + 1).map(|next| entries[*next]) {
                Some((next_row, next)) => (next_row == row + 1).then_some(next),
                None => (row + 1 == count).then(|| self.entry(count, relocated)).flatten(),
            };
            let size = next.and_then(|next| next.checked_sub(address)).unwrap_or(0);
            let name = self.name(row, &mut budget);
            if name.is_none() {
                report(row, "the name of a function in the function table of Go cannot be read");
            }
            functions.push(ListedFunction { address, size, name });
        }
        (functions, broken)
    }

    /// The entry of a row, or the end of the last function for the row after the last.
    pub(super) fn entry(&self, row: u64, relocated: &dyn Fn(u64) -> Option<u64>) -> Option<u64> {
        let offset = self.row_offset(row);
        if self.header.is_relative {
            let entry = self.encoding.read_u32(self.bytes, offset)?;
            return self.text_start.checked_add(entry.into());
        }
        let relocated = relocated(self.address.checked_add(offset)?);
        relocated.or_else(|| self.encoding.read_word(self.bytes, offset))
    }

    /// The name of a row's function. Spends the bytes that are read from the budget.
    fn name(&self, row: u64, budget: &mut usize) -> Option<&'f str> {
        let (_, entry_size) = self.header.row_size(self.encoding);
        let offset = self.row_offset(row) + entry_size;
        let record = match self.header.is_relative {
            true => self.encoding.read_u32(self.bytes, offset)?.into(),
            false => self.encoding.read_word(self.bytes, offset)?,
        };
        let record = self.header.records.checked_add(record)?;
        let name = self.encoding.read_u32(self.bytes, record.checked_add(entry_size)?)?;
        let start = usize::try_from(self.header.names.checked_add(name.into())?).ok()?;
        let rest = self.bytes.get(start..)?;
        let bytes = &rest[..rest.len().min(NAME_SIZE_MAX).min(*budget)];
        let size = bytes.iter().position(|byte| *byte == 0);
        *budget -= size.unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..size?]).ok().filter(|name| !name.is_empty())
    }

    fn row_offset(&self, row: u64) -> u64 {
        self.header.rows + row * self.header.row_size(self.encoding).0
    }
}

/// The indexes of a longest strictly ascending subsequence.
fn ascending(values: &[u64]) -> Vec<usize> {
    // For each length, the last index of the subsequence of that length whose last value is the lowest.
    let mut last: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let length = last.partition_point(|other| values[*other] < *value);
        before.push(length.checked_sub(1).map(|length| last[length]));
        match last.get_mut(length) {
            Some(last) => *last = index,
            None => last.push(index),
        }
    }
    let mut kept: Vec<_> = std::iter::successors(last.last().copied(), |index| before[*index]).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests;
