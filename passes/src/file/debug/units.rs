//! `debug_units`, and the units as later steps read them.
//!
//! Units are in row order: those of the file, each joined with its split unit if there is one, then the type units of
//! companion files, then the units of the supplementary file. Units may share a table of abbreviations. It is parsed
//! once, up to the start of the next table, so that no byte is parsed twice.

use super::attributes::{Attributes, DwarfString};
use super::lists::{self, ListBudget};
use super::names::{self, NameShare, take_text};
use super::reports::Reports;
use crate::file::formats::EndianReader;
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

/// Size of all units that are read, in bytes. Offsets in units and row indexes have 32 bits.
const UNITS_SIZE_MAX: u64 = 4 << 30;

/// A line number program: position of its file's sections in `Units::dwarfs`, and offset in `.debug_line`.
pub(super) type ProgramLocation = (usize, usize);

/// A unit.
pub(super) struct Unit<'a> {
    /// Position of its sections in `Units::dwarfs`.
    pub(super) dwarf: usize,
    /// Header, abbreviations and base offsets.
    pub(super) inner: gimli::Unit<EndianReader<'a>>,
    root: RootEntry<'a>,
    /// Its line number program.
    pub(super) program: Option<ProgramLocation>,
    /// The skeleton of a split unit, in the file itself; `None` for other units.
    skeleton: Option<Box<Self>>,
    /// Whether this is a skeleton whose split unit was not found.
    is_skeleton: bool,
}

/// The first entry of a unit.
#[derive(Default)]
struct RootEntry<'a> {
    attributes: Attributes<'a>,
    producer: Option<DwarfString<'a>>,
    language: Option<constants::DwLang>,
    program: Option<usize>,
    split_name: Option<DwarfString<'a>>,
    is_partial: bool,
}

/// All units, and the sections that contain them.
pub(super) struct Units<'a> {
    pub(super) dwarfs: Vec<Dwarf<EndianReader<'a>>>,
    pub(super) all: Vec<Unit<'a>>,
    /// Position in `dwarfs` of the supplementary file.
    pub(super) supplement: Option<usize>,
    /// Position in `dwarfs`, offset in `.debug_info` and position in `all` of each unit, sorted.
    by_offset: Vec<(usize, u64, u32)>,
    /// Signature and position in `all` of each type unit, sorted.
    by_signature: Vec<(u64, u32)>,
}

impl<'a> Units<'a> {
    /// Indexes units by offset and by signature.
    pub(super) fn new(
        dwarfs: Vec<Dwarf<EndianReader<'a>>>,
        units: Vec<Unit<'a>>,
        supplement: Option<usize>,
    ) -> Self {
        let offset = |(position, unit): (u32, &Unit<'_>)| {
            let start = unit.inner.header.debug_info_offset()?.0 as u64;
            Some((unit.dwarf, start, position))
        };
        let mut by_offset: Vec<_> = (0..).zip(&units).filter_map(offset).collect();
        by_offset.sort_unstable();
        let mut by_signature: Vec<_> =
            (0..).zip(&units).filter_map(|(position, unit)| Some((unit.signature()?.0, position))).collect();
        by_signature.sort_unstable();
        Self { dwarfs, all: units, supplement, by_offset, by_signature }
    }

    /// The sections of a unit.
    pub(super) fn dwarf(&self, unit: &Unit<'_>) -> &Dwarf<EndianReader<'a>> {
        &self.dwarfs[unit.dwarf]
    }

    /// Position of the unit that contains an offset of `.debug_info`, and the offset in the unit.
    pub(super) fn at(&self, dwarf: usize, offset: u64) -> Option<(u32, u32)> {
        let after = self.by_offset.partition_point(|(of, start, _)| (*of, *start) <= (dwarf, offset));
        let (of, start, position) = *self.by_offset.get(after.checked_sub(1)?)?;
        let inside = offset - start;
        let size = self.all[position as usize].size();
        (of == dwarf && inside < size).then_some((position, inside as u32))
    }

    /// Position of the unit of a type signature, and offset of the type in the unit.
    pub(super) fn of_signature(&self, signature: u64) -> Option<(u32, u32)> {
        let first = self.by_signature.partition_point(|(known, _)| *known < signature);
        let (known, position) = *self.by_signature.get(first)?;
        let (_, offset) = self.all[position as usize].signature()?;
        (known == signature).then_some((position, offset))
    }

    /// Size of all units, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.all.iter().map(Unit::size).sum()
    }
}

impl<'a> Unit<'a> {
    /// Lower bound of the arrays that do not state one, which the source language defines.
    pub(super) fn default_lower_bound(&self) -> i64 {
        let bound = self.root.language.and_then(constants::DwLang::default_lower_bound);
        bound.map_or(0, |bound| bound as i64)
    }

    /// Size of the unit including its header, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.inner.header.length_including_self() as u64
    }

    /// Signature and offset of the type that a type unit describes; `None` for other units.
    pub(super) fn signature(&self) -> Option<(u64, u32)> {
        match self.inner.header.type_() {
            UnitType::Type { type_signature, type_offset }
            | UnitType::SplitType { type_signature, type_offset } => {
                Some((type_signature.0, u32::try_from(type_offset.0).ok()?))
            }
            _ => None,
        }
    }

    /// File name and identifier of the split unit of a skeleton; `None` for other units.
    pub(super) fn split_unit(&self) -> Option<(DwarfString<'a>, DwoId)> {
        Some((self.root.split_name?, self.inner.dwo_id?))
    }

    /// A split unit, joined with this skeleton.
    pub(super) fn joined(self, mut split: Self) -> Self {
        split.inner.copy_relocated_attributes(&self.inner);
        split.inner.comp_dir = split.inner.comp_dir.or(self.inner.comp_dir);
        split.program = self.program;
        split.skeleton = Some(Box::new(self));
        split
    }

    /// Marks a skeleton whose split unit was not found.
    pub(super) fn set_skeleton(&mut self) {
        self.is_skeleton = true;
    }
}

/// The units of the sections at a position in `Units::dwarfs`. Units that cannot be read are reported.
pub(super) fn read_units<'a>(
    dwarf: &Dwarf<EndianReader<'a>>,
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
    let read = |header: &UnitHeader<EndianReader<'a>>| {
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

/// The tables of abbreviations, by offset.
fn abbreviations(
    dwarf: &Dwarf<EndianReader<'_>>,
    headers: &[UnitHeader<EndianReader<'_>>],
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

/// Reads the first entry of a unit, which determines how the others are read.
fn read_unit<'a>(
    dwarf: &Dwarf<EndianReader<'a>>,
    position: usize,
    header: UnitHeader<EndianReader<'a>>,
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
    // Beyond this point base offsets are known, so that strings and addresses in other sections can be read.
    let mut root = RootEntry { attributes: Attributes::read(dwarf, &unit, &entry), ..RootEntry::default() };
    root.is_partial = entry.tag() == constants::DW_TAG_partial_unit;
    let mut directory = None;
    for attribute in entry.attrs() {
        let value = attribute.value();
        let text = || DwarfString::of(dwarf, &unit, &value);
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
    let reader = |text: DwarfString<'a>| EndianSlice::new(text.bytes(), dwarf.debug_info.reader().endian());
    (unit.comp_dir, unit.name) = (directory.map(reader), root.attributes.name.map(reader));
    unit.low_pc = root.attributes.low.unwrap_or(0);
    let program = root.program.map(|offset| (position, offset));
    Ok(Unit { dwarf: position, inner: unit, root, program, skeleton: None, is_skeleton: false })
}

fn hexadecimal(number: u64) -> String {
    format!("{number:016x}")
}

/// The rows of the units.
pub(super) fn table(units: &Units<'_>, budget: &ListBudget, reports: &mut Reports) -> Rows<DebugUnits> {
    let mut rows = DebugUnitBuilder::default();
    let mut names = NameShare::of(units.size()).budget(units.size());
    for (unit_index, unit) in (0..).zip(&units.all) {
        let root = &unit.root;
        let mut name = |text| take_text(&mut names, text);
        // Code ranges and the name of the split file are in the skeleton.
        let skeleton = unit.skeleton.as_deref().unwrap_or(unit);
        let list_budget = &mut budget.share(skeleton.size());
        let attributes = &skeleton.root.attributes;
        let ranges = lists::ranges(units.dwarf(skeleton), &skeleton.inner, attributes, list_budget);
        let is_split = unit.skeleton.is_some() || unit.is_skeleton;
        let split_name = skeleton.root.split_name.filter(|_| is_split);
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
        let address = ranges.iter().map(|range| range.begin).min();
        let end = ranges.iter().map(|range| range.end).max();
        let split_id = unit.inner.dwo_id.filter(|_| split_name.is_some()).map(|id| hexadecimal(id.0));
        let type_signature = unit.signature().map(|(signature, _)| hexadecimal(signature));
        let directory = unit.inner.comp_dir.map(|directory| DwarfString::new(directory.slice()));
        rows.push(DebugUnit {
            unit_index,
            kind,
            unit_name: name(root.attributes.name).as_deref(),
            compilation_directory: name(directory).as_deref(),
            producer: name(root.producer).as_deref(),
            language: language.as_deref().map(Term),
            version: unit.inner.header.version(),
            address,
            size: address.and_then(|start| Some(end?.saturating_sub(start))),
            split_name: name(split_name).as_deref(),
            split_id: split_id.as_deref(),
            type_signature: type_signature.as_deref(),
            unit_offset: unit.inner.header.offset().0 as u64,
        });
    }
    if let Some((code, message)) = names::problem(&names) {
        reports.error(code, &message);
    }
    rows.finish()
}
