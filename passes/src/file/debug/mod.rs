//! `(file, binary_headers, other files) -> (debug_units, line_table, debug_functions, debug_variables, debug_types,`
//! `debug_type_members)`
//!
//! What DWARF debug information, versions 2 to 5, says of the source: lines, functions and calls that were inlined, variables
//! and where they are, types. Beside the pipeline: no other pass reads it.
//!
//! Sections are decompressed and, in a file that is not linked, relocated (`sections.rs`). Units are found, with the parts of
//! them that stand in other files (`units.rs`, `split.rs`). Entries are read in one pass over every unit, in parallel, without
//! looking up what they refer to (`entries.rs`); then rows are made of them, in parallel for runs of units, and references and
//! names are looked up (`index.rs`).
//!
//! Invariants: units stand in the order of the file, those that stand with split parts after them; functions, variables and
//! types in the order of units and entries. An index of a row is its position among all. Work and memory grow with the size of
//! what is read: lists, names and tables that many entries share are read or kept only so often.
//!
//! What can go wrong: `broken_debug_section`, `broken_debug_unit`, `broken_line_program`, `broken_name`, `missing_debug_file`.
//! Not done here: supplementary files (`dwz`), macros, evaluation of expressions, line number programs that no unit names.

mod attributes;
mod entries;
mod functions;
mod index;
mod lines;
mod lists;
mod locations;
mod names;
mod sections;
mod split;
#[cfg(test)]
mod tests;
mod types;
mod units;
mod variables;

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{DiagnosticCode, DiagnosticPass, Diagnostics};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;
use gimli::{EndianSlice, RunTimeEndian, SectionId};
use index::Index;
use lines::Programs;
use lists::ListBudget;
use names::NameShare;
use rayon::prelude::*;
use sections::DebugSections;
use split::SplitFiles;
use std::ops::Range;
use units::Units;

type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// Bytes of units whose rows are made together.
const RUN_SIZE: u64 = 1 << 21;

/// What another file can hold of a file's debug information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanionKind {
    /// The split part of a unit (`.dwo`).
    Split,
    /// The split parts of all units (`.dwp`).
    Package,
    /// All of it, stripped off.
    Separate,
}

/// Another file that may hold debug information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// What it would hold.
    pub kind: CompanionKind,
    /// What it is known by.
    pub name: String,
    /// Where it may be: the first that is there is it.
    pub paths: Vec<String>,
}

/// Another file that was found.
#[derive(Debug, Clone)]
pub struct CompanionFile {
    /// What it holds.
    pub kind: CompanionKind,
    /// What it is known by.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The tables of the stage, in parts that are written together.
#[derive(Debug, Clone)]
pub struct DebugIr {
    parts: Vec<Batch>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
    fingerprint: Fingerprint,
}

impl DebugIr {
    /// The tables. A large one has several batches, in the order of its key.
    pub fn tables(&self) -> Vec<&Batch> {
        self.parts.iter().chain([self.diagnostics.batch()]).collect()
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// What was not understood: which kind it is of, and what it is.
type Problem = (DiagnosticCode, String);

/// Reports what was not understood. All of it is placed where debug information begins in the file: what is compressed, or
/// stands in another file, has no better place.
struct Reports {
    collector: Collector,
    file_offset: u64,
}

impl Reports {
    fn new(file_offset: u64) -> Self {
        Self { collector: Collector::new(DiagnosticPass::Debug), file_offset }
    }

    fn error(&mut self, code: DiagnosticCode, message: &str) {
        self.collector.error(code, DiagnosticLocation::FileOffset(self.file_offset), message);
    }

    fn warning(&mut self, code: DiagnosticCode, message: &str) {
        self.collector.warning(code, DiagnosticLocation::FileOffset(self.file_offset), message);
    }
}

/// The other files that may hold debug information of a file at a path, when some were found. To be asked again until nothing
/// new is named: a file that was stripped off can name others.
pub fn companions(path: &str, file: &Bytes, found: &[CompanionFile]) -> Vec<Companion> {
    split::companions(path, file, found)
}

/// Reads debug information.
pub fn run(file: &Bytes, sections: &SectionsIr, found: &[CompanionFile]) -> DebugIr {
    let mut reports = Reports::new(0);
    let parts = match main_sections(file, found, &mut reports) {
        Some(main) => tables(&main, sections, found, &mut reports),
        None => Vec::new(),
    };
    let diagnostics = reports.collector.finish();
    let fingerprints: Vec<_> = parts.par_iter().map(Batch::fingerprint).collect();
    let fingerprint =
        Fingerprint::of_all(fingerprints.into_iter().chain([diagnostics.batch().fingerprint()]));
    DebugIr { parts, diagnostics, fingerprint }
}

/// The sections of a file, or of the one that they were stripped off to.
fn main_sections<'a>(
    file: &'a Bytes,
    found: &'a [CompanionFile],
    reports: &mut Reports,
) -> Option<DebugSections<'a>> {
    let own = DebugSections::load(file)?;
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
        separate.and_then(|separate| Some((separate, DebugSections::load(&separate.bytes)?)))
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

/// The tables, in parts.
fn tables(
    main: &DebugSections<'_>,
    sections: &SectionsIr,
    found: &[CompanionFile],
    reports: &mut Reports,
) -> Vec<Batch> {
    let split = SplitFiles::load(found, reports);
    let units = Units::find(main, &split, reports);
    // Beyond this point every unit has its split part, and all of them are known by their positions.
    let least_address = least_address(sections);
    let files = [main].into_iter().chain(split.iter());
    let budget = ListBudget::new(files, units.size(), least_address);
    let unit_rows = units::table(&units, &budget, reports);
    let programs = Programs::find(&units);
    let (lines, problems): (Vec<_>, Vec<_>) = programs.rows(&units, least_address).into_iter().unzip();
    problems.iter().flatten().for_each(|(code, message)| reports.error(*code, message));
    let entries: Vec<_> = units
        .all
        .par_iter()
        .map(|unit| entries::read(units.dwarf(unit), unit, budget.of(unit.size())))
        .collect();
    for (unit, entries) in units.all.iter().zip(&entries) {
        if let Some((offset, error)) = &entries.broken {
            let start = unit.inner.header.offset().0;
            let message =
                format!("the unit at {start:#x} cannot be read beyond {offset:#x} bytes of it: {error}");
            reports.error(DiagnosticCode::BrokenDebugUnit, &message);
        }
    }
    let index = Index::new(&units, entries);
    // Beyond this point nothing is read but text and the files that programs list.
    let architecture = sections.headers.columns().iter().find_map(|header| header.architecture);
    let share = NameShare::of(units.size());
    let make = |run: Range<usize>| {
        let size = units.all[run.clone()].iter().map(units::Unit::size).sum();
        let mut names = share.names(size);
        let functions = functions::rows(&index, &programs, run.clone(), &mut names).batch().clone();
        let variables = variables::rows(&index, architecture, run.clone(), &mut names).batch().clone();
        let types = types::rows(&index, run.clone(), &mut names).batch().clone();
        let members = types::members(&index, run, &mut names).batch().clone();
        ([functions, variables, types, members], names.problem())
    };
    let made: Vec<_> = runs(&units.all, RUN_SIZE, units::Unit::size).into_par_iter().map(make).collect();
    let mut parts = vec![unit_rows.batch().clone()];
    parts.extend(lines.iter().map(|rows| rows.batch().clone()));
    for (batches, problem) in made {
        parts.extend(batches);
        if let Some((code, message)) = problem {
            reports.error(code, &message);
        }
    }
    parts.retain(|part| part.rows() > 0);
    parts
}

/// The least address of code. Some linkers leave what they have discarded at 0; code is there only if a section says so.
fn least_address(sections: &SectionsIr) -> u64 {
    let mut columns = sections.sections.columns().iter();
    u64::from(!columns.any(|section| section.is_executable && section.address == 0 && section.size > 0))
}

/// Runs of items that are about as large as given together, or one alone.
fn runs<T>(items: &[T], size_max: u64, size: impl Fn(&T) -> u64) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut total) = (0, 0);
    for (position, item) in items.iter().enumerate() {
        let size = size(item);
        if position > start && total + size > size_max {
            runs.push(start..position);
            (start, total) = (position, 0);
        }
        total += size;
    }
    if start < items.len() {
        runs.push(start..items.len());
    }
    runs
}
