//! The tables of an ELF file.

mod frame_relocations;
mod frames;
mod header;
pub(super) mod section_table;
mod segments;
mod symbols;

use super::ir::SectionsIr;
use super::unwind;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::elf::{Elf, Header};
use binframe_ir::tables::{DiagnosticCode, DiagnosticPass};
use sha2::{Digest, Sha256};

pub(super) fn run<H: Header>(elf: &Elf<'_, H>, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    if let Some((file_offset, problem)) = &elf.broken {
        let location = DiagnosticLocation::FileOffset(*file_offset);
        diagnostics.warning(DiagnosticCode::BrokenSectionTable, location, problem);
    }
    let segments = segments::table(elf, &mut diagnostics);
    let sections = match elf.section_headers.is_empty() {
        true => section_table::from_segments(elf, &segments, &mut diagnostics),
        false => section_table::table(elf, &mut diagnostics),
    };
    let (symbols, (unwind, sha256)) = rayon::join(
        || symbols::table(elf, &sections, &mut diagnostics),
        || rayon::join(|| frames::read(elf, &sections), || Sha256::digest(elf.file)),
    );
    unwind.report(&mut diagnostics);
    let unwind_entries = unwind::table(unwind.rows, &sections);
    let headers = header::table(elf, &symbols, &sha256, member_index);
    SectionsIr { headers, segments, sections, symbols, unwind_entries, diagnostics: diagnostics.finish() }
}
