//! `binary_unwind_entries` of a Mach-O file, from `__unwind_info` of a linked file or `__compact_unwind` of an object.
//!
//! `__unwind_info` is a table of two levels: an index, and pages of functions. Linkers merge adjacent functions with
//! the same encoding into one entry; such an entry is split again at function starts (`LC_FUNCTION_STARTS` and
//! symbols).
//!
//! *Own reader.* The crate `macho-unwind-info` (0.5) reads the same table. Its iterator over functions panics if a page
//! names an encoding that it does not have, returns no position of an entry (`entry_offset`), and reads neither
//! personality routines nor language-specific data. Its types for the raw table would replace only the reads of single
//! fields.
//!
//! Source: `mach-o/compact_unwind_encoding.h` of Apple's libunwind.

use super::super::unwind::plain_entry;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::macho::{Header, MachO};
use crate::file::formats::number;
use binframe_ir::tables::{
    BinarySection, BinarySections, BinarySymbols, BinaryUnwindEntry, DiagnosticCode, SymbolDefinition,
    SymbolType, UnwindSource,
};
use binframe_ir::{Enumeration, Rows};
use object::Endianness;
use object::endian::Endian;
use object::macho;
use object::read::macho::Section;
use std::collections::HashMap;
use std::ops::Range;

/// Names of the sections of a linked file and of an object.
const LINKED: &str = "__TEXT,__unwind_info";
const UNLINKED: &str = "__LD,__compact_unwind";

/// Field of an encoding: index of the personality routine, the first being 1; 0 for none.
const PERSONALITY_MASK: u32 = 0x3000_0000;
const PERSONALITY_SHIFT: u32 = 28;
/// Bit of an encoding: the function has language-specific data.
const HAS_LSDA: u32 = 0x4000_0000;

/// Kinds of second-level pages.
const REGULAR_PAGE: u32 = 2;
const COMPRESSED_PAGE: u32 = 3;

pub(super) fn read<H: Header>(
    macho: &MachO<'_, H>,
    sections: &Rows<BinarySections>,
    symbols: &Rows<BinarySymbols>,
    diagnostics: &mut Collector,
) -> Vec<BinaryUnwindEntry> {
    let mut entries = Vec::new();
    let columns = sections.columns();
    let image_address = macho.image_address();
    let name = if image_address.is_some() { LINKED } else { UNLINKED };
    let Some(section) = columns.iter().find(|section| section.section_name == name) else {
        return entries;
    };
    let read = match image_address {
        Some(image_address) => {
            let starts = function_starts(macho, image_address, symbols);
            let section_index = section.section_index;
            let (content, endian) = (section.content, macho.endian);
            let table = UnwindInfo { content, endian, section_index, image_address, starts };
            table.read(&mut entries)
        }
        None => read_object(macho, &section, symbols, &mut entries),
    };
    if read.is_none() {
        let message = format!("the unwind entries after the first {} cannot be read", entries.len());
        let location = DiagnosticLocation::FileOffset(section.file_offset);
        diagnostics.error(DiagnosticCode::BrokenUnwind, location, &message);
    }
    entries
}

/// Addresses of function starts, from `LC_FUNCTION_STARTS` and the symbols; sorted, without duplicates.
fn function_starts<H: Header>(
    macho: &MachO<'_, H>,
    image_address: u64,
    symbols: &Rows<BinarySymbols>,
) -> Vec<u64> {
    let listed = macho.commands.iter().find_map(|command| {
        let command: &macho::LinkeditDataCommand<_> = command.data().ok()?;
        command.function_starts(macho.endian, macho.file.as_ref(), image_address).ok()
    });
    let listed = listed.into_iter().flatten().map_while(Result::ok);
    let symbols = symbols.columns();
    let named = symbols.iter().filter(|symbol| {
        symbol.symbol_type == SymbolType::Function.name()
            && symbol.definition_kind == SymbolDefinition::Section
    });
    let mut starts: Vec<u64> = listed.chain(named.map(|symbol| symbol.symbol_address)).collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// The section `__unwind_info`.
struct UnwindInfo<'a> {
    content: &'a [u8],
    endian: Endianness,
    section_index: u32,
    image_address: u64,
    /// Addresses of function starts, sorted.
    starts: Vec<u64>,
}

/// An entry of a page: a function, or several adjacent ones.
struct FunctionEntry {
    /// Offset of the entry in the section.
    entry_offset: usize,
    /// Offset of the function from the image address.
    offset: u32,
    encoding: u32,
}

impl UnwindInfo<'_> {
    fn u32(&self, offset: usize) -> Option<u32> {
        let bytes = self.content.get(offset..)?.first_chunk()?;
        Some(self.endian.read_u32(*bytes))
    }

    fn u16(&self, offset: usize) -> Option<usize> {
        let bytes = self.content.get(offset..)?.first_chunk()?;
        Some(self.endian.read_u16(*bytes).into())
    }

    /// Adds the entries. Returns `None` if the table cannot be read to its end; the entries before are kept.
    fn read(&self, entries: &mut Vec<BinaryUnwindEntry>) -> Option<()> {
        let field = |index: usize| self.u32(index * 4).map(|value| value as usize);
        let (personalities, index, index_count) = (field(3)?, field(5)?, field(6)?);
        if field(0)? != 1 {
            return None;
        }
        let index_entry = |position: usize| -> Option<[u32; 3]> {
            let offset = position.checked_mul(12)?.checked_add(index)?;
            Some([self.u32(offset)?, self.u32(offset.checked_add(4)?)?, self.u32(offset.checked_add(8)?)?])
        };
        // The last entry of the index has no page: it states the end of the code and of the list of language-specific
        // data.
        let last = index_count.checked_sub(1)?;
        let [end, _, lsdas_end] = index_entry(last)?;
        let [_, _, lsdas_start] = index_entry(0)?;
        let lsdas = self.read_lsdas(lsdas_start as usize..lsdas_end as usize)?;
        let mut functions = Vec::new();
        for position in 0..last {
            let [first, page, _] = index_entry(position)?;
            if page != 0 {
                self.read_page(page as usize, first, &mut functions)?;
            }
            // Pages of a valid table do not overlap, so that all entries fit in it.
            if functions.len() > self.content.len() / 4 {
                return None;
            }
        }
        functions.sort_by_key(|function| (function.offset, function.entry_offset));
        let ends = functions.iter().skip(1).map(|function| function.offset).chain([end]);
        for (function, end) in functions.iter().zip(ends) {
            self.push(function, end, personalities, &lsdas, entries)?;
        }
        Some(())
    }

    /// Offset of language-specific data by function offset, both from the image address.
    fn read_lsdas(&self, range: Range<usize>) -> Option<HashMap<u32, u32>> {
        let entries = self.content.get(range)?.chunks_exact(8);
        let word = |entry: &[u8], offset| Some(self.endian.read_u32(*entry.get(offset..)?.first_chunk()?));
        entries.map(|entry| Some((word(entry, 0)?, word(entry, 4)?))).collect()
    }

    fn read_page(&self, page: usize, first: u32, functions: &mut Vec<FunctionEntry>) -> Option<()> {
        let (kind, header) = (self.u32(page)?, page.checked_add(4)?);
        let entries = page.checked_add(self.u16(header)?)?;
        let count = self.u16(header + 2)?;
        let (common_encodings, common_count) = (self.u32(4)? as usize, self.u32(8)? as usize);
        for position in 0..count {
            let function = match kind {
                REGULAR_PAGE => {
                    let entry_offset = entries.checked_add(position * 8)?;
                    let (offset, encoding) = (self.u32(entry_offset)?, self.u32(entry_offset + 4)?);
                    FunctionEntry { entry_offset, offset, encoding }
                }
                COMPRESSED_PAGE => {
                    let entry_offset = entries.checked_add(position * 4)?;
                    let entry = self.u32(entry_offset)?;
                    let encoding_index = (entry >> 24) as usize;
                    let encoding = match encoding_index.checked_sub(common_count) {
                        None => common_encodings.checked_add(encoding_index * 4)?,
                        Some(index) => page.checked_add(self.u16(header + 4)?)?.checked_add(index * 4)?,
                    };
                    let offset = first.wrapping_add(entry & 0x00ff_ffff);
                    FunctionEntry { entry_offset, offset, encoding: self.u32(encoding)? }
                }
                _ => return None,
            };
            functions.push(function);
        }
        Some(())
    }

    /// Adds the rows of the functions in the range of an entry, which ends at `end`.
    fn push(
        &self,
        function: &FunctionEntry,
        end: u32,
        personalities: usize,
        lsdas: &HashMap<u32, u32>,
        entries: &mut Vec<BinaryUnwindEntry>,
    ) -> Option<()> {
        // Encoding 0: code between functions, which is not described.
        if function.encoding == 0 || end <= function.offset {
            return Some(());
        }
        let at = |offset: u32| self.image_address.checked_add(offset.into());
        let (start, end) = (at(function.offset)?, at(end)?);
        let personality = match (function.encoding & PERSONALITY_MASK) >> PERSONALITY_SHIFT {
            0 => None,
            index => Some(at(self.u32(personalities.checked_add((index as usize - 1) * 4)?)?)?),
        };
        let lsda = lsdas.get(&function.offset).filter(|_| function.encoding & HAS_LSDA != 0);
        let lsda_address = lsda.and_then(|offset| at(*offset));
        let first = self.starts.partition_point(|address| *address <= start);
        let last = self.starts.partition_point(|address| *address < end);
        let inner = self.starts.get(first..last).unwrap_or_default();
        let begins = [start].into_iter().chain(inner.iter().copied());
        let ends = inner.iter().copied().chain([end]);
        let location = (self.section_index, function.entry_offset as u64);
        entries.extend(begins.zip(ends).map(|(address, end)| BinaryUnwindEntry {
            personality_address: personality,
            is_personality_indirect: personality.map(|_| true),
            lsda_address,
            ..plain_entry(UnwindSource::CompactUnwind, location, (address, end - address))
        }));
        Some(())
    }
}

/// Adds the entries of an object. Each consists of function address, size, encoding, personality routine and
/// language-specific data; its pointers are relocated. Returns `None` at the first entry that cannot be read.
fn read_object<H: Header>(
    macho: &MachO<'_, H>,
    section: &BinarySection<'_>,
    symbols: &Rows<BinarySymbols>,
    entries: &mut Vec<BinaryUnwindEntry>,
) -> Option<()> {
    let endian = macho.endian;
    let pointer_size = usize::from(H::pointer_size());
    let entry_size = pointer_size * 3 + 8;
    let (_, _, header, _) = macho.sections().nth(section.section_index.checked_sub(1)? as usize)?;
    let relocations = header.relocations(endian, macho.file.as_ref()).ok()?;
    let relocations = relocations.iter().filter(|entry| !entry.r_scattered(endian, macho.cpu_type));
    let relocations: HashMap<_, _> =
        relocations.map(|entry| entry.info(endian)).map(|entry| (entry.r_address as usize, entry)).collect();
    let symbols = symbols.columns();
    for (entry_offset, entry) in (0..).step_by(entry_size).zip(section.content.chunks_exact(entry_size)) {
        let (pointer, rest) = entry.split_at_checked(pointer_size)?;
        let stored = number(endian, pointer)?;
        // The stored value is an address in the object or, with an external relocation, an addend to a symbol's
        // address.
        let address = match relocations.get(&entry_offset).filter(|relocation| relocation.r_extern) {
            None => stored,
            Some(relocation) => {
                let row = relocation.r_symbolnum as usize;
                let is_here =
                    row < symbols.len() && symbols.definition_kind.get(row) == SymbolDefinition::Section;
                if !is_here {
                    return None;
                }
                symbols.symbol_address[row].wrapping_add(stored)
            }
        };
        let size = endian.read_u32(*rest.first_chunk()?).into();
        let location = (section.section_index, entry_offset as u64);
        entries.push(plain_entry(UnwindSource::CompactUnwind, location, (address, size)));
    }
    section.content.len().is_multiple_of(entry_size).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with two common encodings, one personality routine, language-specific data of the function at 0x140, and
    /// a page of each kind.
    fn content() -> Vec<u8> {
        let header = [1, 28, 2, 36, 1, 40, 3, 0x0100_0000, 0x5200_0000, 0x2000];
        let index = [0x100, 84, 76, 0x200, 108, 84, 0x300, 0, 84];
        let lsdas = [0x140, 0x900];
        // Kind; offset and number of entries; function offsets and encodings.
        let regular = [2, 8 | 2 << 16, 0x100, 0x0300_0000, 0x140, 0x5200_0000];
        // Local encodings are numbered after the common ones. The last function has the last of them, 0: it is not
        // described.
        let compressed = [3, 0x3_000c, 0x2_0018, 0, 2 << 24 | 0x10, 3 << 24 | 0x40, 0x0400_0000, 0];
        let words: Vec<u32> = [&header[..], &index, &lsdas, &regular, &compressed].concat();
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    type Read = Vec<(u64, u64, Option<u64>, Option<u64>)>;

    fn read(content: &[u8], starts: Vec<u64>) -> Option<Read> {
        let (endian, image_address) = (Endianness::Little, 0x1_0000);
        let table = UnwindInfo { content, endian, section_index: 1, image_address, starts };
        let mut entries = Vec::new();
        table.read(&mut entries)?;
        let rows = entries.iter();
        Some(rows.map(|row| (row.address, row.size, row.personality_address, row.lsda_address)).collect())
    }

    #[test]
    fn pages_of_both_kinds_are_read_and_entries_split_at_function_starts() {
        let expected = [
            (0x1_0100, 0x20, None, None),
            (0x1_0120, 0x20, None, None),
            (0x1_0140, 0xc0, Some(0x1_2000), Some(0x1_0900)),
            (0x1_0200, 0x10, None, None),
            (0x1_0210, 0x30, None, None),
        ];
        assert_eq!(read(&content(), vec![0x1_0100, 0x1_0120]).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn every_truncated_table_is_an_error() {
        let content = content();
        for size in 0..content.len() {
            assert_eq!(read(&content[..size], Vec::new()), None, "{size}");
        }
    }
}
