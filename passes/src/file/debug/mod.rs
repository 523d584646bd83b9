//! `(file, binary_headers, binary_sections, companion files) -> (debug_units, debug_lines, debug_functions,
//! debug_variables,` `debug_types, debug_type_members)`
//!
//! *Problem.* Read DWARF debug information, versions 2 to 5: source lines, functions and inlined calls, variables and
//! their locations, types. An optional stage: no other pass reads its tables.
//!
//! *Notation.* A unit is a tree of debugging information entries. A split unit is in a companion file; the file itself
//! keeps a skeleton of it. An entry's origin is the entry that it completes, or is a copy of.
//!
//! *Algorithm.* (1) Load sections: decompress, and relocate in an object (`sections.rs`). (2) Read unit headers, and
//! join split units with their skeletons (`units.rs`, `split.rs`); units of a supplementary file (`dwz`) follow. (3)
//! Read the entries of each unit once, in parallel, without resolving references (`entry_reader.rs`). (4) Write rows in
//! parallel for chunks of units, resolving references and names (`index.rs`); line tables likewise, for chunks of line
//! number programs (`lines.rs`).
//!
//! *Invariants.* Units are in file order, followed by the type units of companion files; functions, variables and types
//! are in the order of units and entries. The index of a row is its position in its table.
//!
//! *Not done here.* Macros, evaluation of expressions, line number programs that no unit names.
//!
//! *Limits.* Entries of a broken file may share lists, names and tables. Each unit has a share of list entries
//! (`lists.rs`) and of text (`names.rs`) in proportion to its size, so that the result does not depend on parallelism.
//! *Cost.* Linear in the debug information.
//!
//! *Diagnostics.* `broken_debug_section`, `broken_debug_unit`, `broken_line_program`, `broken_name`,
//! `missing_debug_file`.

mod attributes;
mod chunks;
mod companion_files;
mod companion_search;
mod entries;
mod entry_reader;
mod functions;
mod index;
mod lines;
mod lists;
mod locations;
mod names;
mod relocations;
mod reports;
mod sections;
mod split;
mod tags;
#[cfg(test)]
mod tests;
mod types;
mod units;
mod variables;

use crate::diagnostics::DiagnosticLocation;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{DiagnosticCode, Diagnostics};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;
use chunks::chunks;
use gimli::SectionId;
use index::EntryIndex;
use lines::LinePrograms;
use lists::ListBudget;
use names::NameShare;
use rayon::prelude::*;
use reports::Reports;
use sections::{BuildBudget, DebugSections};
use split::SplitFiles;
use std::ops::Range;
use units::{Unit, Units};

pub use companion_files::{Companion, CompanionFile, CompanionKind};

/// Size of the units, in bytes, whose rows one task writes.
const CHUNK_SIZE: u64 = 1 << 21;

/// The tables of the pass, each in parts that are written as one row group.
#[derive(Debug, Clone)]
pub struct DebugIr {
    parts: Vec<Batch>,
    /// The diagnostics.
    pub diagnostics: Rows<Diagnostics>,
    fingerprint: Fingerprint,
}

impl DebugIr {
    /// The tables. A large one has several batches, in the order of its key.
    pub fn tables(&self) -> Vec<&Batch> {
        self.parts.iter().chain([self.diagnostics.batch()]).collect()
    }

    /// A hash of all tables.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// The companion files of the file at a path, given those that were found so far. Call it again until it returns no new
/// one: a separate debug file may refer to others.
pub fn companions(path: &str, file: &Bytes, found: &[CompanionFile]) -> Vec<Companion> {
    companion_search::companions(path, file, found)
}

/// Reads the debug information of a file and of the companion files that were found.
pub fn run(file: &Bytes, sections: &SectionsIr, found: &[CompanionFile]) -> DebugIr {
    let mut reports = Reports::new(0);
    let sizes = found.iter().map(|file| &file.bytes).chain([file]).map(|bytes| bytes.len() as u64);
    let mut budget = BuildBudget::of(sizes.sum());
    let parts = match main_sections(file, found, &mut budget, &mut reports) {
        Some(main) => tables(&main, sections, found, &mut budget, &mut reports),
        None => Vec::new(),
    };
    let diagnostics = reports.collector.finish();
    let fingerprints: Vec<_> = parts.par_iter().map(Batch::fingerprint).collect();
    let fingerprint =
        Fingerprint::of_all(fingerprints.into_iter().chain([diagnostics.batch().fingerprint()]));
    DebugIr { parts, diagnostics, fingerprint }
}

/// The debug sections of the file or, if they were stripped, of its separate debug file.
fn main_sections<'a>(
    file: &'a Bytes,
    found: &'a [CompanionFile],
    budget: &mut BuildBudget,
    reports: &mut Reports,
) -> Option<DebugSections<'a>> {
    let own = DebugSections::load(file, budget)?;
    reports.file_offset = own.file_offset;
    for (file_offset, problem) in &own.problems {
        let location = DiagnosticLocation::FileOffset(*file_offset);
        reports.collector.error(DiagnosticCode::BrokenDebugSection, location, problem);
    }
    if own.size(SectionId::DebugInfo) > 0 {
        return Some(own);
    }
    let separate = found.iter().find(|file| file.kind == CompanionKind::Separate);
    let Some((separate, sections)) =
        separate.and_then(|separate| Some((separate, DebugSections::load(&separate.bytes, budget)?)))
    else {
        if let Some(name) = &own.link {
            let message = format!("debug information stands in {name}, which was not found");
            reports.warning(DiagnosticCode::MissingDebugFile, &message);
        }
        return Some(own);
    };
    if sections.build_id != own.build_id {
        let message = format!("{} is of another build", separate.name);
        reports.warning(DiagnosticCode::MissingDebugFile, &message);
        return Some(own);
    }
    for (_, problem) in &sections.problems {
        reports.error(DiagnosticCode::BrokenDebugSection, &format!("{}: {problem}", separate.name));
    }
    Some(sections)
}

/// The supplementary file of the debug information, if it was found.
fn supplement<'a>(
    main: &DebugSections<'_>,
    found: &'a [CompanionFile],
    budget: &mut BuildBudget,
    reports: &mut Reports,
) -> Option<DebugSections<'a>> {
    let link = main.supplement.as_ref()?;
    let file = found.iter().find(|file| file.kind == CompanionKind::Supplementary);
    let Some(sections) = file.and_then(|file| DebugSections::load(&file.bytes, budget)) else {
        let message = format!("names and types stand in {}, which was not found", link.name);
        reports.warning(DiagnosticCode::MissingDebugFile, &message);
        return None;
    };
    if sections.build_id.is_some_and(|id| id != link.build_id) {
        let message = format!("{} is of another build", link.name);
        reports.warning(DiagnosticCode::MissingDebugFile, &message);
        return None;
    }
    for (_, problem) in &sections.problems {
        reports.error(DiagnosticCode::BrokenDebugSection, &format!("{}: {problem}", link.name));
    }
    Some(sections)
}

/// The parts of all tables.
fn tables(
    main: &DebugSections<'_>,
    sections: &SectionsIr,
    found: &[CompanionFile],
    budget: &mut BuildBudget,
    reports: &mut Reports,
) -> Vec<Batch> {
    let split = SplitFiles::load(found, budget, reports);
    let supplement = supplement(main, found, budget, reports);
    let mut dwarfs = vec![main.linked()];
    if let Some(supplement) = &supplement {
        dwarfs[0].set_sup(supplement.linked());
    }
    let mut units = match main.is_split() {
        true => split::units_alone(main, &mut dwarfs, reports),
        false => {
            let units = units::read_units(&dwarfs[0], 0, reports);
            split.join(&mut dwarfs, units, reports)
        }
    };
    let supplement_position = supplement.as_ref().map(|supplement| {
        let position = dwarfs.len();
        dwarfs.push(supplement.linked());
        units.extend(units::read_units(&dwarfs[position], position, reports));
        position
    });
    let units = Units::new(dwarfs, units, supplement_position);
    // Beyond this point split units are joined with their skeletons, and units are known by position.
    let lowest_address = lowest_address(sections);
    let files = [main].into_iter().chain(split.iter()).chain(&supplement);
    let budget = ListBudget::new(files, units.size(), lowest_address);
    let unit_rows = units::table(&units, &budget, reports);
    let programs = LinePrograms::find(&units);
    let (lines, problems): (Vec<_>, Vec<_>) = programs.rows(&units, lowest_address).into_iter().unzip();
    problems.iter().flatten().for_each(|(code, message)| reports.error(*code, message));
    let entries: Vec<_> = units
        .all
        .par_iter()
        .map(|unit| entry_reader::read(units.dwarf(unit), unit, budget.share(unit.size())))
        .collect();
    for (unit, entries) in units.all.iter().zip(&entries) {
        if let Some((offset, error)) = &entries.broken {
            let start = unit.inner.header.offset().0;
            let message =
                format!("the unit at {start:#x} cannot be read beyond {offset:#x} bytes of it: {error}");
            reports.error(DiagnosticCode::BrokenDebugUnit, &message);
        }
    }
    let index = EntryIndex::new(&units, entries);
    // Beyond this point only text and the file lists of line number programs are read.
    let architecture = sections.headers.columns().iter().find_map(|header| header.architecture);
    let share = NameShare::of(units.size());
    let rows_of = |chunk: Range<usize>| {
        let size = units.all[chunk.clone()].iter().map(Unit::size).sum();
        let mut names = share.budget(size);
        let functions = functions::rows(&index, &programs, chunk.clone(), &mut names).batch().clone();
        let variables = variables::rows(&index, architecture, chunk.clone(), &mut names).batch().clone();
        let types = types::rows(&index, chunk.clone(), &mut names).batch().clone();
        let members = types::members(&index, chunk, &mut names).batch().clone();
        ([functions, variables, types, members], names::problem(&names))
    };
    let unit_chunks = chunks(&units.all, CHUNK_SIZE, Unit::size);
    let rows: Vec<_> = unit_chunks.into_par_iter().map(rows_of).collect();
    let mut parts = vec![unit_rows.batch().clone()];
    parts.extend(lines.iter().map(|rows| rows.batch().clone()));
    for (batches, problem) in rows {
        parts.extend(batches);
        if let Some((code, message)) = problem {
            reports.error(code, &message);
        }
    }
    parts.retain(|part| part.rows() > 0);
    parts
}

/// The lowest address of code: 0 only if an executable section has this address. Linkers leave debug information of
/// discarded code at address 0.
fn lowest_address(sections: &SectionsIr) -> u64 {
    let mut columns = sections.sections.columns().iter();
    u64::from(!columns.any(|section| section.is_executable && section.address == 0 && section.size > 0))
}
