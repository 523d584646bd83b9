//! The units of debug information, in the order in which their rows stand: those of the file, each with its split part where
//! there is one, then units of types that stand with split parts.
//!
//! Abbreviations are parsed once for each place where they stand, and no further than where the next ones do: a broken file
//! cannot have the same bytes parsed for every unit.

use super::attributes::{Attributes, Text};
use super::lists::{self, ListBudget};
use super::names::NameShare;
use super::sections::DebugSections;
use super::split::SplitFiles;
use super::{Reader, Reports};
use binframe_ir::tables::{DebugUnit, DebugUnitBuilder, DebugUnits, DiagnosticCode, UnitKind};
use binframe_ir::{Rows, Term};
use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugAddrBase, DebugLocListsBase,
    DebugRngListsBase, DebugStrOffsetsBase, DebuggingInformationEntry, Dwarf, DwoId, EndianSlice,
    Reader as _, Section, UnitHeader, UnitType, constants,
};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of units that are read at most: entries are counted with 32 bits.
const UNITS_SIZE_MAX: u64 = 4 << 30;

/// A line number program: the position of its file's sections, and where it begins.
pub(super) type ProgramPlace = (usize, usize);

/// One unit.
pub(super) struct Unit<'a> {
    /// Position of the sections that it stands in.
    pub(super) dwarf: usize,
    /// What all units have in common.
    pub(super) inner: gimli::Unit<Reader<'a>>,
    root: Root<'a>,
    /// Its line number program.
    pub(super) program: Option<ProgramPlace>,
    /// What the file itself keeps of a unit whose split part this is.
    kept: Option<Box<Self>>,
    /// Whether its split part was not found.
    is_skeleton: bool,
}

/// What the first entry of a unit says.
#[derive(Default)]
struct Root<'a> {
    attributes: Attributes<'a>,
    producer: Option<Text<'a>>,
    language: Option<constants::DwLang>,
    program: Option<usize>,
    split_name: Option<Text<'a>>,
    is_partial: bool,
}

/// All units, and the sections that they stand in.
pub(super) struct Units<'a> {
    pub(super) dwarfs: Vec<Dwarf<Reader<'a>>>,
    pub(super) all: Vec<Unit<'a>>,
    /// Sections of units: their place among `dwarfs`, where each begins in `.debug_info` and its position, in order.
    by_offset: Vec<(usize, u64, u32)>,
    /// Units of types, by their signatures.
    by_signature: Vec<(u64, u32)>,
}

impl<'a> Units<'a> {
    /// Finds the units of a file, and of the split files that they name.
    pub(super) fn find(
        main: &'a DebugSections<'a>,
        split: &'a SplitFiles<'a>,
        reports: &mut Reports,
    ) -> Self {
        let mut dwarfs = vec![main.linked()];
        let units = read_units(&dwarfs[0], 0, reports);
        let units = split.join(&mut dwarfs, units, reports);
        let place = |(position, unit): (u32, &Unit<'_>)| {
            let start = unit.inner.header.debug_info_offset()?.0 as u64;
            Some((unit.dwarf, start, position))
        };
        let mut by_offset: Vec<_> = (0..).zip(&units).filter_map(place).collect();
        by_offset.sort_unstable();
        let mut by_signature: Vec<_> =
            (0..).zip(&units).filter_map(|(position, unit)| Some((unit.signature()?.0, position))).collect();
        by_signature.sort_unstable();
        Self { dwarfs, all: units, by_offset, by_signature }
    }

    /// The sections of a unit.
    pub(super) fn dwarf(&self, unit: &Unit<'_>) -> &Dwarf<Reader<'a>> {
        &self.dwarfs[unit.dwarf]
    }

    /// The unit that holds an offset of `.debug_info`, and the offset in it.
    pub(super) fn at(&self, dwarf: usize, offset: u64) -> Option<(u32, u32)> {
        let after = self.by_offset.partition_point(|(of, start, _)| (*of, *start) <= (dwarf, offset));
        let (of, start, position) = *self.by_offset.get(after.checked_sub(1)?)?;
        let inside = offset - start;
        let size = self.all[position as usize].size();
        (of == dwarf && inside < size).then_some((position, inside as u32))
    }

    /// The unit of a type, and where the type stands in it.
    pub(super) fn of_signature(&self, signature: u64) -> Option<(u32, u32)> {
        let first = self.by_signature.partition_point(|(known, _)| *known < signature);
        let (known, position) = *self.by_signature.get(first)?;
        let (_, offset) = self.all[position as usize].signature()?;
        (known == signature).then_some((position, offset))
    }

    /// Bytes of all units.
    pub(super) fn size(&self) -> u64 {
        self.all.iter().map(Unit::size).sum()
    }
}

impl<'a> Unit<'a> {
    /// Its size, the header included.
    pub(super) fn size(&self) -> u64 {
        self.inner.header.length_including_self() as u64
    }

    /// The signature of the type that it is of, and where that stands.
    pub(super) fn signature(&self) -> Option<(u64, u32)> {
        match self.inner.header.type_() {
            UnitType::Type { type_signature, type_offset }
            | UnitType::SplitType { type_signature, type_offset } => {
                Some((type_signature.0, u32::try_from(type_offset.0).ok()?))
            }
            _ => None,
        }
    }

    /// The name of its split part and the part's identification, where it was split.
    pub(super) fn split_part(&self) -> Option<(Text<'a>, DwoId)> {
        Some((self.root.split_name?, self.inner.dwo_id?))
    }

    /// What the file itself keeps of a unit, made whole by its split part.
    pub(super) fn joined(self, mut part: Self) -> Self {
        part.inner.copy_relocated_attributes(&self.inner);
        part.inner.comp_dir = part.inner.comp_dir.or(self.inner.comp_dir);
        part.program = self.program;
        part.kept = Some(Box::new(self));
        part
    }

    /// That its split part was not found.
    pub(super) fn set_skeleton(&mut self) {
        self.is_skeleton = true;
    }
}

/// The units of the sections that stand at a position.
pub(super) fn read_units<'a>(
    dwarf: &Dwarf<Reader<'a>>,
    position: usize,
    reports: &mut Reports,
) -> Vec<Unit<'a>> {
    let mut headers = Vec::new();
    let mut broken = None;
    let (mut units, mut type_units) = (dwarf.units(), dwarf.type_units());
    let mut next = || units.next().transpose().or_else(|| type_units.next().transpose());
    let mut left = UNITS_SIZE_MAX;
    while let Some(header) = next() {
        match header.map(|header| (left.checked_sub(header.length_including_self() as u64), header)) {
            Ok((Some(rest), header)) => {
                left = rest;
                headers.push(header);
            }
            Ok((None, _)) => broken = Some("there are more than 4 GiB of them".to_owned()),
            Err(error) => broken = Some(error.to_string()),
        }
        if left == 0 {
            break;
        }
    }
    if let Some(problem) = broken {
        let message = format!("units after the first {} cannot be read: {problem}", headers.len());
        reports.error(DiagnosticCode::BrokenDebugUnit, &message);
    }
    let tables = abbreviations(dwarf, &headers);
    let read = |header: &UnitHeader<Reader<'a>>| {
        let table = &tables[&header.debug_abbrev_offset().0];
        let offset = header.offset().0;
        let table = table.clone().map_err(|error| (offset, error))?;
        read_unit(dwarf, position, *header, table).map_err(|error| (offset, error))
    };
    let read: Vec<_> = headers.par_iter().map(read).collect();
    let mut units = Vec::with_capacity(read.len());
    for unit in read {
        match unit {
            Ok(unit) => units.push(unit),
            Err((offset, error)) => {
                let message = format!("the unit at {offset:#x} cannot be read: {error}");
                reports.error(DiagnosticCode::BrokenDebugUnit, &message);
            }
        }
    }
    units
}

/// The abbreviations at every offset that units name.
fn abbreviations(
    dwarf: &Dwarf<Reader<'_>>,
    headers: &[UnitHeader<Reader<'_>>],
) -> BTreeMap<usize, gimli::Result<Arc<Abbreviations>>> {
    let mut offsets: Vec<_> = headers.iter().map(|header| header.debug_abbrev_offset().0).collect();
    offsets.sort_unstable();
    offsets.dedup();
    let section = dwarf.debug_abbrev.reader();
    let parse = |(index, offset): (usize, &usize)| {
        let end = offsets.get(index + 1).copied().unwrap_or(usize::MAX).min(section.len());
        let content = section.slice().get(*offset..end).unwrap_or_default();
        let table = DebugAbbrev::from(EndianSlice::new(content, section.endian()));
        (*offset, table.abbreviations(DebugAbbrevOffset(0)).map(Arc::new))
    };
    offsets.par_iter().enumerate().map(parse).collect()
}

/// Reads the first entry of a unit.
fn read_unit<'a>(
    dwarf: &Dwarf<Reader<'a>>,
    position: usize,
    header: UnitHeader<Reader<'a>>,
    abbreviations: Arc<Abbreviations>,
) -> gimli::Result<Unit<'a>> {
    let (encoding, file_type) = (header.encoding(), dwarf.file_type);
    let mut entry = DebuggingInformationEntry::null();
    header.entries_raw(&abbreviations, None)?.read_entry(&mut entry)?;
    let dwo_id = match header.type_() {
        UnitType::Skeleton(id) | UnitType::SplitCompilation(id) => Some(id),
        _ => None,
    };
    let mut unit = gimli::Unit {
        header,
        abbreviations,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, file_type),
        addr_base: DebugAddrBase(0),
        loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, file_type),
        rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, file_type),
        line_program: None,
        dwo_id,
    };
    for attribute in entry.attrs() {
        match attribute.value() {
            AttributeValue::DebugStrOffsetsBase(base) => unit.str_offsets_base = base,
            AttributeValue::DebugAddrBase(base) => unit.addr_base = base,
            AttributeValue::DebugLocListsBase(base) => unit.loclists_base = base,
            AttributeValue::DebugRngListsBase(base) => unit.rnglists_base = base,
            AttributeValue::DwoId(id) => unit.dwo_id = unit.dwo_id.or(Some(id)),
            _ => {}
        }
    }
    // Beyond this point text and addresses that stand elsewhere can be found.
    let mut root = Root { attributes: Attributes::read(dwarf, &unit, &entry), ..Root::default() };
    root.is_partial = entry.tag() == constants::DW_TAG_partial_unit;
    let mut directory = None;
    for attribute in entry.attrs() {
        let value = attribute.value();
        let text = || Text::of(dwarf, &unit, &value);
        match (attribute.name(), value) {
            (constants::DW_AT_comp_dir, _) => directory = text(),
            (constants::DW_AT_producer, _) => root.producer = text(),
            (constants::DW_AT_dwo_name | constants::DW_AT_GNU_dwo_name, _) => root.split_name = text(),
            (constants::DW_AT_language, AttributeValue::Language(language)) => root.language = Some(language),
            (constants::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) => {
                root.program = Some(offset.0);
            }
            _ => {}
        }
    }
    let reader = |text: Text<'a>| EndianSlice::new(text.bytes(), dwarf.debug_info.reader().endian());
    (unit.comp_dir, unit.name) = (directory.map(reader), root.attributes.name.map(reader));
    unit.low_pc = root.attributes.low.unwrap_or(0);
    let program = root.program.map(|offset| (position, offset));
    Ok(Unit { dwarf: position, inner: unit, root, program, kept: None, is_skeleton: false })
}

/// The rows of the units.
pub(super) fn table(units: &Units<'_>, budget: &ListBudget, reports: &mut Reports) -> Rows<DebugUnits> {
    let mut rows = DebugUnitBuilder::default();
    let mut names = NameShare::of(units.size()).names(units.size());
    for (unit_index, unit) in (0..).zip(&units.all) {
        let root = &unit.root;
        let mut name = |text| names.take_text(text);
        // Addresses and names of files stay where the linker and the reader find them.
        let kept = unit.kept.as_deref().unwrap_or(unit);
        let left = &mut budget.of(kept.size());
        let ranges = lists::ranges(units.dwarf(kept), &kept.inner, &kept.root.attributes, left);
        let split_name = kept.root.split_name.filter(|_| unit.kept.is_some() || unit.is_skeleton);
        let language = root.language.map(|language| {
            let known = language.static_string();
            known.map_or_else(|| format!("{:#x}", language.0), str::to_owned)
        });
        let kind = match (unit.signature(), root.is_partial, unit.is_skeleton) {
            (Some(_), _, _) => UnitKind::Type,
            (_, true, _) => UnitKind::Partial,
            (_, _, true) => UnitKind::Skeleton,
            _ => UnitKind::Compilation,
        };
        let directory = unit.inner.comp_dir.map(|directory| Text::new(directory.slice()));
        rows.push(DebugUnit {
            unit_index,
            kind,
            name: name(root.attributes.name).as_deref(),
            compilation_directory: name(directory).as_deref(),
            producer: name(root.producer).as_deref(),
            language: language.as_deref().map(Term),
            version: unit.inner.header.version(),
            low_address: ranges.iter().map(|range| range.begin).min(),
            high_address: ranges.iter().map(|range| range.end).max(),
            split_name: name(split_name).as_deref(),
            split_id: unit.inner.dwo_id.filter(|_| split_name.is_some()).map(|id| id.0),
            type_signature: unit.signature().map(|(signature, _)| signature),
            unit_offset: unit.inner.header.offset().0 as u64,
        });
    }
    names.problem().iter().for_each(|(code, message)| reports.error(*code, message));
    rows.finish()
}
