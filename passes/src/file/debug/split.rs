//! Split units, in files of their own (`.dwo`) or in a package (`.dwp`): joins them with their skeletons.
//!
//! Sources: DWARF 5, section 7.3; for DWARF 4, "Debug fission" of the GCC wiki.

use super::companion_files::{CompanionFile, CompanionKind};
use super::reports::Reports;
use super::sections::{BuildBudget, DebugSections, FoundSections};
use super::units::{Unit, read_units};
use crate::file::formats::EndianReader;
use binframe_ir::tables::DiagnosticCode;
use gimli::{Dwarf, DwarfPackage, DwoId, Section, SectionId};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// How many times the bytes of a package are read on average. Units of a broken package may share bytes.
const READS_MAX: u64 = 4;

/// The companion files with split units.
pub(super) struct SplitFiles<'a> {
    parts: BTreeMap<&'a str, DebugSections<'a>>,
    package: Option<DebugSections<'a>>,
}

impl<'a> SplitFiles<'a> {
    /// Loads the companion files that were found, as far as the budget is enough.
    pub(super) fn load(found: &'a [CompanionFile], budget: &mut BuildBudget, reports: &mut Reports) -> Self {
        let mut files = Self { parts: BTreeMap::new(), package: None };
        let split =
            found.iter().filter(|file| matches!(file.kind, CompanionKind::Split | CompanionKind::Package));
        let sections = split.filter_map(|file| Some((file, FoundSections::of(&file.bytes, budget)?)));
        let sections: Vec<_> = sections.collect();
        let build = |(file, sections): (_, FoundSections<'a>)| (file, sections.build());
        let loaded: Vec<(&CompanionFile, _)> = sections.into_par_iter().map(build).collect();
        for (file, sections) in loaded {
            for (_, problem) in &sections.problems {
                let message = format!("{}: {problem}", file.name);
                reports.error(DiagnosticCode::BrokenDebugSection, &message);
            }
            match file.kind {
                CompanionKind::Split => _ = files.parts.insert(&file.name, sections),
                CompanionKind::Package => files.package = Some(sections),
                CompanionKind::Separate | CompanionKind::Supplementary => {}
            }
        }
        files
    }

    /// The sections of each file.
    pub(super) fn iter(&self) -> impl Iterator<Item = &DebugSections<'a>> {
        self.parts.values().chain(&self.package)
    }

    /// Replaces each skeleton by its split unit, and appends the type units of companion files.
    pub(super) fn join<'s>(
        &'s self,
        dwarfs: &mut Vec<Dwarf<EndianReader<'s>>>,
        units: Vec<Unit<'s>>,
        reports: &mut Reports,
    ) -> Vec<Unit<'s>> {
        let mut split = SplitUnits::new(self, reports);
        let mut joined = Vec::with_capacity(units.len());
        for mut unit in units {
            let Some((name, id)) = unit.split_unit() else {
                joined.push(unit);
                continue;
            };
            let name = String::from_utf8_lossy(name.bytes());
            let found = split.take_from_file(&name, id, dwarfs, reports);
            joined.push(match found.or_else(|| split.read_from_package(id, dwarfs, reports)) {
                Some(found) => unit.joined(found),
                None => {
                    unit.set_skeleton();
                    let message = format!("the part {:#018x} of a unit was not found; it names {name}", id.0);
                    reports.warning(DiagnosticCode::MissingDebugFile, &message);
                    unit
                }
            });
        }
        joined.extend(split.type_units(dwarfs, reports));
        joined
    }
}

/// Split units that are not joined yet.
struct SplitUnits<'s> {
    files: &'s SplitFiles<'s>,
    /// The units of the files that were read, by file name and identifier.
    of_files: BTreeMap<&'s str, BTreeMap<u64, Unit<'s>>>,
    /// The type units of these files.
    type_units: Vec<Unit<'s>>,
    package: Option<Package<'s>>,
    is_package_used: bool,
}

/// The units of a file of split units that is not the companion of another. Their addresses are in the file with their
/// skeletons, and are not known.
pub(super) fn units_alone<'s>(
    sections: &'s DebugSections<'s>,
    dwarfs: &mut Vec<Dwarf<EndianReader<'s>>>,
    reports: &mut Reports,
) -> Vec<Unit<'s>> {
    let is_package =
        [SectionId::DebugCuIndex, SectionId::DebugTuIndex].iter().any(|id| sections.size(*id) > 0);
    if !is_package {
        dwarfs.push(sections.split(&dwarfs[0]));
        return read_units(&dwarfs[dwarfs.len() - 1], dwarfs.len() - 1, reports);
    }
    let Some(mut package) = Package::new(sections, reports) else { return Vec::new() };
    let mut units = Vec::new();
    for row in 1..=package.inner.cu_index.unit_count() {
        let Ok(dwarf) = package.inner.cu_sections(row, &dwarfs[0]) else { break };
        units.extend(package.read(dwarf, dwarfs, reports));
    }
    units.extend(package.type_units(dwarfs, reports));
    units
}

/// A package of split units.
struct Package<'s> {
    inner: DwarfPackage<EndianReader<'s>>,
    /// Bytes that may still be read.
    left: u64,
}

impl<'s> Package<'s> {
    fn new(sections: &'s DebugSections<'_>, reports: &mut Reports) -> Option<Self> {
        let size: u64 = PACKAGED.iter().map(|id| sections.size(*id)).sum();
        let broken =
            |error| reports.error(DiagnosticCode::BrokenDebugSection, &format!("the package: {error}"));
        let inner = sections.package().map_err(broken).ok()?;
        Some(Self { inner, left: size * READS_MAX })
    }

    /// Reads the unit in a contribution; `None` beyond the limit.
    fn read(
        &mut self,
        dwarf: Dwarf<EndianReader<'s>>,
        dwarfs: &mut Vec<Dwarf<EndianReader<'s>>>,
        reports: &mut Reports,
    ) -> Option<Unit<'s>> {
        let sizes = [dwarf.debug_abbrev.reader(), dwarf.debug_info.reader(), dwarf.debug_types.reader()]
            .map(|r| r.len());
        self.left = self.left.checked_sub(sizes.iter().sum::<usize>() as u64)?;
        dwarfs.push(dwarf);
        read_units(&dwarfs[dwarfs.len() - 1], dwarfs.len() - 1, reports).into_iter().next()
    }

    fn type_units(
        &mut self,
        dwarfs: &mut Vec<Dwarf<EndianReader<'s>>>,
        reports: &mut Reports,
    ) -> Vec<Unit<'s>> {
        let mut units = Vec::new();
        for row in 1..=self.inner.tu_index.unit_count() {
            let Ok(dwarf) = self.inner.tu_sections(row, &dwarfs[0]) else { break };
            units.extend(self.read(dwarf, dwarfs, reports));
        }
        units
    }
}

impl<'s> SplitUnits<'s> {
    fn new(files: &'s SplitFiles<'s>, reports: &mut Reports) -> Self {
        let package = files.package.as_ref().and_then(|sections| Package::new(sections, reports));
        Self { files, of_files: BTreeMap::new(), type_units: Vec::new(), package, is_package_used: false }
    }

    /// Takes a split unit from a `.dwo` file.
    fn take_from_file(
        &mut self,
        name: &str,
        id: DwoId,
        dwarfs: &mut Vec<Dwarf<EndianReader<'s>>>,
        reports: &mut Reports,
    ) -> Option<Unit<'s>> {
        let (name, sections) = self.files.parts.get_key_value(name)?;
        let units = self.of_files.entry(name).or_insert_with(|| {
            dwarfs.push(sections.split(&dwarfs[0]));
            let units = read_units(&dwarfs[dwarfs.len() - 1], dwarfs.len() - 1, reports);
            let (type_units, units): (Vec<_>, Vec<_>) =
                units.into_iter().partition(|unit| unit.signature().is_some());
            self.type_units.extend(type_units);
            units.into_iter().filter_map(|unit| Some((unit.inner.dwo_id?.0, unit))).collect()
        });
        units.remove(&id.0)
    }

    /// Reads a split unit from the package.
    fn read_from_package(
        &mut self,
        id: DwoId,
        dwarfs: &mut Vec<Dwarf<EndianReader<'s>>>,
        reports: &mut Reports,
    ) -> Option<Unit<'s>> {
        let package = self.package.as_mut()?;
        let dwarf = package.inner.find_cu(id, &dwarfs[0]).ok().flatten()?;
        let unit = package.read(dwarf, dwarfs, reports)?;
        self.is_package_used = true;
        (unit.inner.dwo_id == Some(id)).then_some(unit)
    }

    /// The type units of all files that were used.
    fn type_units(
        mut self,
        dwarfs: &mut Vec<Dwarf<EndianReader<'s>>>,
        reports: &mut Reports,
    ) -> Vec<Unit<'s>> {
        let package = self.package.as_mut().filter(|_| self.is_package_used);
        let packaged = package.map(|package| package.type_units(dwarfs, reports));
        self.type_units.extend(packaged.into_iter().flatten());
        self.type_units
    }
}

/// The sections of a package of which each unit has a contribution that is read.
const PACKAGED: [SectionId; 3] = [SectionId::DebugAbbrev, SectionId::DebugInfo, SectionId::DebugTypes];
