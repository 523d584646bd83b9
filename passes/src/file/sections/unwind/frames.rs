//! `binary_unwind_entries` of DWARF call frame information: `.eh_frame` and `.debug_frame`.
//!
//! *Notation.* A section is a sequence of entries, each with its length. A common information entry (CIE) holds what
//! several frame description entries (FDEs) share. An FDE describes one code range and refers to a CIE anywhere in the
//! section.
//!
//! *Algorithm.* (1) Split the section into entries, and parse each CIE once, where an entry starts. (2) Parse each FDE
//! with its CIE. Both are linear in the section, whatever FDEs refer to. *Errors.* An FDE that cannot be read is
//! reported and the next one is read; after a length that exceeds the section, no further entries can be found.
//!
//! *Own reader.* `gimli` (0.34) reads the same entries, but its iterator stops at the first CIE that it cannot parse,
//! and at an entry of length 0, which linkers leave between the entries of two object files. It parses a CIE again for
//! each FDE, has no offsets of fields, which relocations of an object are looked up by, adds the base to a pointer
//! before a null pointer can be recognized, and rejects segment selectors and aligned pointers. Only its reader of
//! integers is used.
//!
//! Sources: Linux Standard Base, Core specification, section 10.6 (`.eh_frame`); DWARF 5, section 6.4.1
//! (`.debug_frame`).

use super::cfa_rule::CfaRule;
use super::plain_entry;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::EndianReader;
use crate::file::formats::compression::{self, ElfEncoding, decompress};
use crate::file::formats::field_relocations::{self, FieldRelocation};
use crate::file::pointers::{Pointer, PointerBases};
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::Rows;
use binframe_ir::tables::{
    Architecture, BinarySection, BinarySectionColumns, BinarySections, BinaryUnwindEntry, DiagnosticCode,
    UnwindSource,
};
use gimli::{DwEhPe, EndianSlice, Error, Format, Reader as _, RunTimeEndian, constants};
use object::Endianness;
use object::read::CompressionFormat;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Encoding of numbers and registers in call frame information.
#[derive(Debug, Clone, Copy)]
pub(in crate::file::sections) struct FrameEncoding {
    architecture: Architecture,
    pub(in crate::file::sections) endian: RunTimeEndian,
    pub(in crate::file::sections) address_size: u8,
}

impl FrameEncoding {
    pub(in crate::file::sections) fn new(
        architecture: Architecture,
        endian: Endianness,
        is_64: bool,
    ) -> Self {
        let endian = match endian {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        Self { architecture, endian, address_size: if is_64 { 8 } else { 4 } }
    }
}

/// The entries of all sections, in file order.
#[derive(Default)]
pub(in crate::file::sections) struct FrameEntries {
    /// The FDEs that can be read.
    pub(in crate::file::sections) rows: Vec<BinaryUnwindEntry>,
    /// File offset and error of each entry that cannot be read.
    broken: Vec<(u64, FrameError)>,
}

/// Why an entry cannot be read.
#[derive(Debug)]
enum FrameError {
    Bytes(Error),
    /// No relocation, or more than one, states the address of the code.
    Relocation,
    Compressed(String),
}

impl From<Error> for FrameError {
    fn from(error: Error) -> Self {
        Self::Bytes(error)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(error) => error.fmt(formatter),
            Self::Relocation => formatter.write_str("no relocation says where its code is"),
            Self::Compressed(reason) => formatter.write_str(reason),
        }
    }
}

impl FrameEntries {
    /// Drops the entries of code that the linker discarded: it leaves them in `.debug_frame`, with the address 0 or the
    /// greatest one. Where code is at 0, only the shortest entry there can be true, if no other begins within it.
    fn drop_discarded(&mut self, code: &SectionsByAddress, greatest: u64) {
        let is_at = |entry: &BinaryUnwindEntry, address| {
            entry.unwind_kind == UnwindSource::DebugFrame && entry.address == address
        };
        let next = self.rows.iter().map(|entry| entry.address).filter(|address| *address > 0).min();
        let at_zero = self.rows.iter().filter(|entry| is_at(entry, 0) && code.holding(0).is_some());
        let size = at_zero.map(|entry| entry.size).min().filter(|size| next.is_none_or(|next| *size <= next));
        let mut is_found = false;
        self.rows.retain(|entry| {
            if !is_at(entry, 0) {
                return !is_at(entry, greatest);
            }
            let is_true = size == Some(entry.size) && !is_found;
            is_found |= is_true;
            is_true
        });
    }

    /// Reports the entries that cannot be read.
    pub(in crate::file::sections) fn report(&self, diagnostics: &mut Collector) {
        for (file_offset, broken) in &self.broken {
            let message = format!("an unwind entry cannot be read: {broken}");
            let location = DiagnosticLocation::FileOffset(*file_offset);
            diagnostics.error(DiagnosticCode::BrokenUnwind, location, &message);
        }
    }
}

/// The kind of call frame information in a section of this name; `None` if it has none.
pub(in crate::file::sections) fn source_of(section_name: &str) -> Option<UnwindSource> {
    match section_name {
        ".eh_frame" | "__TEXT,__eh_frame" => Some(UnwindSource::EhFrame),
        ".debug_frame" | ".zdebug_frame" | "__DWARF,__debug_frame" | "__DWARF,__zdebug_frame" => {
            Some(UnwindSource::DebugFrame)
        }
        _ => None,
    }
}

/// Call frame information that is not simply the content of a linked section.
#[derive(Default)]
pub(in crate::file::sections) struct FrameSources<'a> {
    /// The relocations of a relocatable object whose sections have no addresses, sorted by section and offset; `None`
    /// otherwise.
    pub(in crate::file::sections) relocations: Option<Vec<FieldRelocation>>,
    /// Contents of compressed sections by section index, or why they cannot be decompressed.
    pub(in crate::file::sections) decompressed: BTreeMap<u32, Result<Cow<'a, [u8]>, String>>,
    /// Row of the segment that contains the entries of a file without section headers, and their offset in it. An entry
    /// of length 0 ends them. `None` if sections contain the entries.
    pub(in crate::file::sections) in_segment: Option<(usize, usize)>,
}

/// Decompressed call frames may be this many times the file's size.
const FRAMES_PER_FILE_SIZE_MAX: u64 = 8;

/// The contents of compressed sections of call frames, by section index. `elf` is given for an ELF file.
pub(in crate::file::sections) fn decompressed<'a>(
    file: &'a [u8],
    sections: &Rows<BinarySections>,
    elf: Option<ElfEncoding>,
) -> BTreeMap<u32, Result<Cow<'a, [u8]>, String>> {
    let mut bytes_left = (file.len() as u64).saturating_mul(FRAMES_PER_FILE_SIZE_MAX);
    let content = |section: BinarySection<'_>| {
        let stored = compression::stored(file, &section, elf);
        if stored.as_ref().is_ok_and(|stored| stored.format == CompressionFormat::None) {
            return None;
        }
        let content = stored.and_then(|stored| {
            let size = stored.uncompressed_size;
            let left = bytes_left.checked_sub(size);
            bytes_left = left.ok_or_else(|| format!("{size} bytes are more than are made"))?;
            decompress(&stored)
        });
        Some((section.section_index, content))
    };
    let sections = sections.columns().iter();
    sections.filter(|section| source_of(section.section_name).is_some()).filter_map(content).collect()
}

/// Reads all call frame information of a file.
pub(in crate::file::sections) fn read(
    sections: &Rows<BinarySections>,
    encoding: FrameEncoding,
    sources: &FrameSources<'_>,
) -> FrameEntries {
    let columns = sections.columns();
    let code = SectionsByAddress::of(sections, |section| section.is_executable);
    let mut bases = PointerBases::of(sections, encoding.endian, encoding.address_size);
    let mut entries = FrameEntries::default();
    for (row, section) in columns.iter().enumerate() {
        let (source, start) = match (source_of(section.section_name), sources.in_segment) {
            (Some(source), _) => (source, 0),
            (None, Some((segment, start))) if segment == row => (UnwindSource::EhFrame, start),
            _ => continue,
        };
        let content = match sources.decompressed.get(&section.section_index) {
            None => section.content,
            Some(Ok(content)) => content,
            Some(Err(reason)) => {
                entries.broken.push((section.file_offset, FrameError::Compressed(reason.clone())));
                continue;
            }
        };
        bases.section = EndianSlice::new(content, encoding.endian);
        bases.address = section.address;
        let frames = FrameSection {
            columns,
            section,
            source,
            architecture: encoding.architecture,
            bases,
            code: &code,
            relocations: sources.relocations.as_deref(),
            has_terminator: sources.in_segment.is_some(),
            is_decompressed: sources.decompressed.contains_key(&section.section_index),
        };
        frames.read(start, &mut entries);
    }
    if sources.relocations.is_none() {
        entries.drop_discarded(&code, bases.within_address_size(u64::MAX));
    }
    entries
}

/// A section of call frame information.
struct FrameSection<'a> {
    columns: BinarySectionColumns<'a>,
    section: BinarySection<'a>,
    source: UnwindSource,
    architecture: Architecture,
    bases: PointerBases<'a>,
    code: &'a SectionsByAddress,
    relocations: Option<&'a [FieldRelocation]>,
    /// Whether an entry of length 0 ends the section.
    has_terminator: bool,
    /// Whether the entries have no file offsets.
    is_decompressed: bool,
}

/// A common information entry.
#[derive(Clone, Copy)]
struct Cie {
    address_size: u8,
    segment_size: u8,
    has_augmentation_data: bool,
    address_encoding: DwEhPe,
    lsda_encoding: Option<DwEhPe>,
    personality: Option<Pointer>,
    is_signal_frame: bool,
    /// Factor of offsets in instructions.
    data_factor: i64,
    /// The rule before the instructions of an FDE.
    cfa_rule: CfaRule,
}

/// A frame description entry that is not parsed yet, since its CIE may follow it.
struct PendingFde<'a> {
    offset: usize,
    cie_offset: u64,
    /// The bytes after the reference to the CIE.
    rest: EndianReader<'a>,
}

impl<'a> FrameSection<'a> {
    /// Adds the entries from an offset on.
    fn read(&self, start: usize, entries: &mut FrameEntries) {
        let (mut cies, mut fdes) = (Vec::new(), Vec::new());
        let mut input = self.bases.section.range_from(start..);
        while !input.is_empty() {
            let offset = input.offset_from(self.bases.section);
            match self.next(&mut input) {
                Ok(None) if self.has_terminator => break,
                Ok(None) => {}
                Ok(Some((None, mut rest))) => {
                    let cie = self.cie(&mut rest);
                    if let Err(error) = cie {
                        self.report(entries, offset, error.into());
                    }
                    cies.push((offset as u64, cie));
                }
                Ok(Some((Some(cie_offset), rest))) => fdes.push(PendingFde { offset, cie_offset, rest }),
                Err(error) => {
                    self.report(entries, offset, error.into());
                    break;
                }
            }
        }
        entries.rows.reserve(fdes.len());
        for fde in fdes {
            let cie = cies.binary_search_by_key(&fde.cie_offset, |(offset, _)| *offset);
            let row = match cie.map(|index| &cies[index].1) {
                Ok(Ok(cie)) => self.entry(&fde, cie),
                Ok(Err(error)) => Err(FrameError::Bytes(*error)),
                Err(_) => Err(FrameError::Bytes(Error::NotCieId(fde.cie_offset))),
            };
            match row {
                Ok(row) => entries.rows.push(row),
                Err(error) => self.report(entries, fde.offset, error),
            }
        }
    }

    fn report(&self, entries: &mut FrameEntries, offset: usize, error: FrameError) {
        let offset = if self.is_decompressed { 0 } else { offset as u64 };
        entries.broken.push((self.section.file_offset.saturating_add(offset), error));
    }

    /// The next entry: the offset of its CIE (`None` if it is a CIE itself) and its remaining bytes. `None` for an
    /// entry of length 0.
    fn next(&self, input: &mut EndianReader<'a>) -> gimli::Result<Option<(Option<u64>, EndianReader<'a>)>> {
        let (length, format) = input.read_initial_length()?;
        if length == 0 {
            return Ok(None);
        }
        let mut rest = input.split(length)?;
        let base = rest.offset_from(self.bases.section) as u64;
        // In `.eh_frame`, the reference has four bytes even if the length has eight.
        let cie_offset = match (self.source, format) {
            (UnwindSource::EhFrame, _) => match rest.read_u32().map(u64::from)? {
                0 => None,
                distance => Some(base.checked_sub(distance).ok_or(Error::OffsetOutOfBounds(distance))?),
            },
            (_, Format::Dwarf32) => Some(rest.read_u32()?).filter(|id| *id != u32::MAX).map(u64::from),
            (_, Format::Dwarf64) => Some(rest.read_u64()?).filter(|id| *id != u64::MAX),
        };
        Ok(Some((cie_offset, rest)))
    }

    fn cie(&self, rest: &mut EndianReader<'a>) -> gimli::Result<Cie> {
        let version = rest.read_u8()?;
        if ![1, 3, 4].contains(&version) {
            return Err(Error::UnknownVersion(version.into()));
        }
        let augmentation = rest.read_null_terminated_slice()?;
        let mut cie = Cie {
            address_size: self.bases.address_size,
            segment_size: 0,
            has_augmentation_data: false,
            address_encoding: constants::DW_EH_PE_absptr,
            lsda_encoding: None,
            personality: None,
            is_signal_frame: false,
            data_factor: 1,
            cfa_rule: CfaRule::Other,
        };
        // Old compilers put a pointer to exception tables between the string and the factors.
        let augmentation = match augmentation.slice().strip_prefix(b"eh") {
            Some(letters) => {
                rest.skip(self.bases.address_size.into())?;
                letters
            }
            None => augmentation.slice(),
        };
        if version == 4 && self.source == UnwindSource::DebugFrame {
            cie.address_size = rest.read_address_size()?;
            cie.segment_size = rest.read_u8()?;
        }
        // The code alignment factor.
        rest.read_uleb128()?;
        cie.data_factor = rest.read_sleb128()?;
        // The register of the return address.
        match version {
            1 => _ = rest.read_u8()?,
            _ => _ = rest.read_uleb128()?,
        }
        self.augment(&mut cie, augmentation, rest)?;
        cie.cfa_rule = cie.cfa_rule.after(*rest, cie.data_factor);
        Ok(cie)
    }

    /// Reads the augmentation data that the letters of an augmentation string announce.
    fn augment(&self, cie: &mut Cie, augmentation: &[u8], rest: &mut EndianReader<'a>) -> gimli::Result<()> {
        let bases = PointerBases { address_size: cie.address_size, ..self.bases };
        let mut data = rest.split(0)?;
        for letter in augmentation {
            match letter {
                b'z' if !cie.has_augmentation_data => {
                    data = augmentation_data(rest)?;
                    cie.has_augmentation_data = true;
                }
                b'L' => cie.lsda_encoding = Some(DwEhPe(data.read_u8()?)),
                b'R' => cie.address_encoding = DwEhPe(data.read_u8()?),
                b'P' => {
                    let encoding = DwEhPe(data.read_u8()?);
                    cie.personality = match encoding.is_absent() {
                        true => None,
                        false => Some(bases.read(encoding, &mut data)?).filter(|pointer| pointer.stored != 0),
                    };
                }
                b'S' => cie.is_signal_frame = true,
                // AArch64: return addresses are signed with key B; stack frames use memory tagging.
                b'B' | b'G' => {}
                _ => return Err(Error::UnknownAugmentation),
            }
        }
        Ok(())
    }

    /// The row of an FDE.
    fn entry(&self, fde: &PendingFde<'a>, cie: &Cie) -> Result<BinaryUnwindEntry, FrameError> {
        let mut rest = fde.rest;
        rest.skip(cie.segment_size.into())?;
        let mut bases = PointerBases { address_size: cie.address_size, ..self.bases };
        let encoding = cie.address_encoding;
        let address_offset = rest.offset_from(bases.section) as u64;
        let pointer = bases.read(encoding, &mut rest)?;
        let size_offset = rest.offset_from(bases.section) as u64;
        let size = bases.within_address_size(bases.read_number(encoding, &mut rest)?);
        let location = (self.section.section_index, fde.offset as u64);
        let mut entry = plain_entry(self.source, location, (pointer.address, size));
        entry.is_signal_frame = cie.is_signal_frame;
        match self.relocations {
            Some(_) => {
                let (address, section_index) = self.relocated(address_offset, pointer.stored)?;
                entry.address = bases.within_address_size(address);
                entry.section_index = Some(section_index);
                entry.size = bases.within_address_size(self.relocated_sum(size_offset, size));
            }
            None => {
                let row = self.code.holding(entry.address);
                entry.section_index = row.map(|row| self.columns.section_index[row]);
                entry.personality_address = cie.personality.map(|pointer| pointer.address);
                entry.is_personality_indirect = cie.personality.map(|pointer| pointer.is_indirect);
            }
        }
        if cie.has_augmentation_data {
            let mut data = augmentation_data(&mut rest)?;
            bases.function = Some(entry.address);
            if let Some(encoding) = cie.lsda_encoding.filter(|encoding| !encoding.is_absent()) {
                let offset = data.offset_from(bases.section) as u64;
                let pointer = bases.read(encoding, &mut data)?;
                let is_there = pointer.stored != 0 && !pointer.is_indirect;
                (entry.lsda_address, entry.lsda_section_index) = match self.relocations {
                    Some(_) => self.relocated(offset, pointer.stored).ok().unzip(),
                    None => (is_there.then_some(pointer.address), None),
                };
            }
        }
        let cfa_rule = cie.cfa_rule.after(rest, cie.data_factor);
        entry.begins_in_frame = cfa_rule.is_at_entry(self.architecture).map(|is_at_entry| !is_at_entry);
        Ok(entry)
    }

    /// The relocations of a field of the section.
    fn relocations_at(&self, offset: u64) -> &'a [FieldRelocation] {
        field_relocations::of_field(self.relocations.unwrap_or_default(), self.section.section_index, offset)
    }

    /// The location that a linker will write to a field, as an offset in a section and the index of that section.
    fn relocated(&self, offset: u64, stored: u64) -> Result<(u64, u32), FrameError> {
        let [relocation] = self.relocations_at(offset) else { return Err(FrameError::Relocation) };
        let section_index = relocation.section_index.ok_or(FrameError::Relocation)?;
        let stored = if relocation.adds_stored { stored } else { 0 };
        Ok((relocation.value.wrapping_add(stored), section_index))
    }

    /// The value that a linker will write to a field, the sum of its relocations. Sizes are differences of two symbols.
    fn relocated_sum(&self, offset: u64, stored: u64) -> u64 {
        self.relocations_at(offset).iter().fold(stored, |sum, relocation| match relocation.is_subtracted {
            true => sum.wrapping_sub(relocation.value),
            false => sum.wrapping_add(relocation.value),
        })
    }
}

/// The augmentation data, which follows its size.
fn augmentation_data<'a>(rest: &mut EndianReader<'a>) -> gimli::Result<EndianReader<'a>> {
    let size = rest.read_uleb128()?;
    rest.split(usize::try_from(size).map_err(|_| Error::UnsupportedOffset)?)
}
