//! `unwind_entries`, from `.eh_frame` and `.debug_frame`.
//!
//! Both are sequences of entries that begin with their length. An entry is common information (CIE), or the description of a
//! range of code (FDE) that refers to common information anywhere in the section.
//!
//! Sources: Linux Standard Base, Core specification, section 10.6 (`.eh_frame`); DWARF 5, section 6.4.1 (`.debug_frame`).

use super::frame_addresses::FrameAddress;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::relocations::{self, Relocation};
use crate::file::pointers::{Bases, Pointer, Reader};
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::Rows;
use binframe_ir::tables::{
    Architecture, BinarySection, BinarySectionColumns, BinarySections, DiagnosticCode, UnwindEntry,
    UnwindSource,
};
use gimli::{DwEhPe, EndianSlice, Error, Format, Reader as _, RunTimeEndian, constants};
use object::Endianness;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// How numbers stand in frames.
#[derive(Debug, Clone, Copy)]
pub(in crate::file::sections) struct Layout {
    architecture: Architecture,
    pub(in crate::file::sections) endian: RunTimeEndian,
    pub(in crate::file::sections) address_size: u8,
}

impl Layout {
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

/// What was read, in the order of the file.
#[derive(Default)]
pub(in crate::file::sections) struct Entries {
    /// The entries that can be read.
    pub(in crate::file::sections) rows: Vec<UnwindEntry>,
    /// Where the others stand in the file, and what is wrong with them.
    broken: Vec<(u64, Broken)>,
}

/// Why an entry cannot be read.
#[derive(Debug)]
enum Broken {
    Bytes(Error),
    Relocation,
    Compressed(String),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Bytes(error)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(error) => error.fmt(formatter),
            Self::Relocation => formatter.write_str("no relocation says where its code is"),
            Self::Compressed(reason) => formatter.write_str(reason),
        }
    }
}

impl Entries {
    pub(in crate::file::sections) fn report(&self, diagnostics: &mut Collector) {
        for (file_offset, broken) in &self.broken {
            let message = format!("an unwind entry cannot be read: {broken}");
            let location = DiagnosticLocation::FileOffset(*file_offset);
            diagnostics.error(DiagnosticCode::BrokenUnwind, location, &message);
        }
    }
}

/// Whether a section of that name holds frames, and of which kind.
pub(in crate::file::sections) fn source(section_name: &str) -> Option<UnwindSource> {
    match section_name {
        ".eh_frame" | "__TEXT,__eh_frame" => Some(UnwindSource::EhFrame),
        ".debug_frame" | ".zdebug_frame" | "__DWARF,__debug_frame" => Some(UnwindSource::DebugFrame),
        _ => None,
    }
}

/// What an ELF file has beside sections of frames as they lie in it.
#[derive(Default)]
pub(in crate::file::sections) struct Special<'a> {
    /// What a linker will write to the frames of a relocatable object whose sections have no addresses, sorted by section and offset.
    pub(in crate::file::sections) relocations: Option<Vec<Relocation>>,
    /// Contents of compressed sections, by their index, or why there is none.
    pub(in crate::file::sections) decompressed: BTreeMap<u32, Result<Cow<'a, [u8]>, String>>,
    /// Row of the section in whose midst frames begin, and where they do. An entry of no length ends them.
    pub(in crate::file::sections) loaded: Option<(usize, usize)>,
}

/// Reads all sections of frames.
pub(in crate::file::sections) fn read(
    sections: &Rows<BinarySections>,
    layout: Layout,
    special: &Special<'_>,
) -> Entries {
    let columns = sections.columns();
    let code = SectionsByAddress::of(sections, |section| section.is_executable);
    let mut bases = Bases::of(sections, layout.endian, layout.address_size);
    let mut entries = Entries::default();
    for (row, section) in columns.iter().enumerate() {
        let (source, start) = match (source(section.section_name), special.loaded) {
            (Some(source), _) => (source, 0),
            (None, Some((loaded, start))) if loaded == row => (UnwindSource::EhFrame, start),
            _ => continue,
        };
        let content = match special.decompressed.get(&section.section_index) {
            None => section.content,
            Some(Ok(content)) => content,
            Some(Err(reason)) => {
                entries.broken.push((section.file_offset, Broken::Compressed(reason.clone())));
                continue;
            }
        };
        bases.section = EndianSlice::new(content, layout.endian);
        bases.address = section.address;
        let frames = Frames {
            columns,
            section,
            source,
            architecture: layout.architecture,
            bases,
            code: &code,
            relocations: special.relocations.as_deref(),
            is_ended: special.loaded.is_some(),
            is_decompressed: special.decompressed.contains_key(&section.section_index),
        };
        frames.read(start, &mut entries);
    }
    entries
}

/// A section of frames.
struct Frames<'a> {
    columns: BinarySectionColumns<'a>,
    section: BinarySection<'a>,
    source: UnwindSource,
    architecture: Architecture,
    bases: Bases<'a>,
    code: &'a SectionsByAddress,
    relocations: Option<&'a [Relocation]>,
    /// Whether an entry of no length ends them.
    is_ended: bool,
    /// Whether they have no places in the file.
    is_decompressed: bool,
}

/// What frames have in common.
#[derive(Clone, Copy)]
struct Common {
    address_size: u8,
    segment_size: u8,
    has_augmentation_data: bool,
    address_encoding: DwEhPe,
    lsda_encoding: Option<DwEhPe>,
    personality: Option<Pointer>,
    is_signal_frame: bool,
    /// What the distances of instructions are multiplied by, and where the frame is found before those of a description.
    data_factor: i64,
    frame_address: FrameAddress,
}

/// A frame whose common information may stand behind it.
struct Frame<'a> {
    offset: usize,
    common_offset: u64,
    rest: Reader<'a>,
}

impl<'a> Frames<'a> {
    /// Common information is read once and only where an entry begins, so that the work is linear whatever frames refer to.
    fn read(&self, start: usize, entries: &mut Entries) {
        let (mut commons, mut frames) = (Vec::new(), Vec::new());
        let mut input = self.bases.section.range_from(start..);
        while !input.is_empty() {
            let offset = input.offset_from(self.bases.section);
            match self.next(&mut input) {
                Ok(None) if self.is_ended => break,
                Ok(None) => {}
                Ok(Some((None, mut rest))) => {
                    let common = self.common(&mut rest);
                    if let Err(error) = common {
                        self.report(entries, offset, error.into());
                    }
                    commons.push((offset as u64, common));
                }
                Ok(Some((Some(common_offset), rest))) => frames.push(Frame { offset, common_offset, rest }),
                Err(error) => {
                    self.report(entries, offset, error.into());
                    break;
                }
            }
        }
        entries.rows.reserve(frames.len());
        for frame in frames {
            let common = commons.binary_search_by_key(&frame.common_offset, |(offset, _)| *offset);
            let row = match common.map(|index| &commons[index].1) {
                Ok(Ok(common)) => self.entry(&frame, common),
                Ok(Err(error)) => Err(Broken::Bytes(*error)),
                Err(_) => Err(Broken::Bytes(Error::NotCieId(frame.common_offset))),
            };
            match row {
                Ok(row) => entries.rows.push(row),
                Err(broken) => self.report(entries, frame.offset, broken),
            }
        }
    }

    fn report(&self, entries: &mut Entries, offset: usize, broken: Broken) {
        let offset = if self.is_decompressed { 0 } else { offset as u64 };
        entries.broken.push((self.section.file_offset.saturating_add(offset), broken));
    }

    /// The next entry: where its common information begins (none for an entry that is such) and what follows. None for an entry
    /// of no length: it ends what one object file had, and linkers may leave it between two.
    fn next(&self, input: &mut Reader<'a>) -> gimli::Result<Option<(Option<u64>, Reader<'a>)>> {
        let (length, format) = input.read_initial_length()?;
        if length == 0 {
            return Ok(None);
        }
        let mut rest = input.split(length)?;
        let base = rest.offset_from(self.bases.section) as u64;
        // In `.eh_frame`, the reference has four bytes even if the length has eight.
        let common = match (self.source, format) {
            (UnwindSource::EhFrame, _) => match rest.read_u32().map(u64::from)? {
                0 => None,
                distance => Some(base.checked_sub(distance).ok_or(Error::OffsetOutOfBounds(distance))?),
            },
            (_, Format::Dwarf32) => Some(rest.read_u32()?).filter(|id| *id != u32::MAX).map(u64::from),
            (_, Format::Dwarf64) => Some(rest.read_u64()?).filter(|id| *id != u64::MAX),
        };
        Ok(Some((common, rest)))
    }

    fn common(&self, rest: &mut Reader<'a>) -> gimli::Result<Common> {
        let version = rest.read_u8()?;
        if ![1, 3, 4].contains(&version) {
            return Err(Error::UnknownVersion(version.into()));
        }
        let augmentation = rest.read_null_terminated_slice()?;
        let mut common = Common {
            address_size: self.bases.address_size,
            segment_size: 0,
            has_augmentation_data: false,
            address_encoding: constants::DW_EH_PE_absptr,
            lsda_encoding: None,
            personality: None,
            is_signal_frame: false,
            data_factor: 1,
            frame_address: FrameAddress::Other,
        };
        if version == 4 && self.source == UnwindSource::DebugFrame {
            common.address_size = rest.read_address_size()?;
            common.segment_size = rest.read_u8()?;
        }
        // Factors of the instructions that follow, and the register of the return address.
        rest.read_uleb128()?;
        common.data_factor = rest.read_sleb128()?;
        match version {
            1 => _ = rest.read_u8()?,
            _ => _ = rest.read_uleb128()?,
        }
        self.augment(&mut common, augmentation, rest)?;
        common.frame_address = common.frame_address.after(*rest, common.data_factor);
        Ok(common)
    }

    /// Reads what the letters of an augmentation say.
    fn augment(
        &self,
        common: &mut Common,
        augmentation: Reader<'a>,
        rest: &mut Reader<'a>,
    ) -> gimli::Result<()> {
        let bases = Bases { address_size: common.address_size, ..self.bases };
        let mut data = rest.split(0)?;
        for letter in augmentation.slice() {
            match letter {
                b'z' if !common.has_augmentation_data => {
                    data = augmentation_data(rest)?;
                    common.has_augmentation_data = true;
                }
                b'L' => common.lsda_encoding = Some(DwEhPe(data.read_u8()?)),
                b'R' => common.address_encoding = DwEhPe(data.read_u8()?),
                b'P' => {
                    let encoding = DwEhPe(data.read_u8()?);
                    common.personality = match encoding.is_absent() {
                        true => None,
                        false => Some(bases.read(encoding, &mut data)?).filter(|pointer| pointer.stored != 0),
                    };
                }
                b'S' => common.is_signal_frame = true,
                // AArch64: return addresses are signed with the second key; frames have tagged memory.
                b'B' | b'G' => {}
                _ => return Err(Error::UnknownAugmentation),
            }
        }
        Ok(())
    }

    /// The row.
    fn entry(&self, frame: &Frame<'a>, common: &Common) -> Result<UnwindEntry, Broken> {
        let mut rest = frame.rest;
        rest.skip(common.segment_size.into())?;
        let mut bases = Bases { address_size: common.address_size, ..self.bases };
        let encoding = common.address_encoding;
        let address_offset = rest.offset_from(bases.section) as u64;
        let pointer = bases.read(encoding, &mut rest)?;
        let size_offset = rest.offset_from(bases.section) as u64;
        let size = bases.within_address_size(bases.read_number(encoding, &mut rest)?);
        let mut entry = UnwindEntry {
            address: pointer.address,
            size,
            source: self.source,
            entry_section_index: self.section.section_index,
            entry_offset: frame.offset as u64,
            section_index: None,
            personality_address: None,
            is_personality_indirect: None,
            lsda_address: None,
            lsda_section_index: None,
            is_signal_frame: common.is_signal_frame,
            is_continuation: false,
            begins_in_frame: None,
        };
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
                entry.personality_address = common.personality.map(|pointer| pointer.address);
                entry.is_personality_indirect = common.personality.map(|pointer| pointer.is_indirect);
            }
        }
        if common.has_augmentation_data {
            let mut data = augmentation_data(&mut rest)?;
            bases.function = Some(entry.address);
            if let Some(encoding) = common.lsda_encoding.filter(|encoding| !encoding.is_absent()) {
                let offset = data.offset_from(bases.section) as u64;
                let pointer = bases.read(encoding, &mut data)?;
                let is_there = pointer.stored != 0 && !pointer.is_indirect;
                (entry.lsda_address, entry.lsda_section_index) = match self.relocations {
                    Some(_) => self.relocated(offset, pointer.stored).ok().unzip(),
                    None => (is_there.then_some(pointer.address), None),
                };
            }
        }
        let frame_address = common.frame_address.after(rest, common.data_factor);
        entry.begins_in_frame = frame_address.is_at_entry(self.architecture).map(|is_at_entry| !is_at_entry);
        Ok(entry)
    }

    /// What the linker will write to a field.
    fn relocations_at(&self, offset: u64) -> &'a [Relocation] {
        relocations::at(self.relocations.unwrap_or_default(), self.section.section_index, offset)
    }

    /// The place that the linker will write to a field: its offset in a section.
    fn relocated(&self, offset: u64, stored: u64) -> Result<(u64, u32), Broken> {
        let [relocation] = self.relocations_at(offset) else { return Err(Broken::Relocation) };
        let section_index = relocation.section_index.ok_or(Broken::Relocation)?;
        let stored = if relocation.adds_stored { stored } else { 0 };
        Ok((relocation.value.wrapping_add(stored), section_index))
    }

    /// The number that the linker will write to a field, of the distance between two symbols.
    fn relocated_sum(&self, offset: u64, stored: u64) -> u64 {
        self.relocations_at(offset).iter().fold(stored, |sum, relocation| match relocation.is_subtracted {
            true => sum.wrapping_sub(relocation.value),
            false => sum.wrapping_add(relocation.value),
        })
    }
}

/// The data of an augmentation, behind its size.
fn augmentation_data<'a>(rest: &mut Reader<'a>) -> gimli::Result<Reader<'a>> {
    let size = rest.read_uleb128()?;
    rest.split(usize::try_from(size).map_err(|_| Error::UnsupportedOffset)?)
}
