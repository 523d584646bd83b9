//! The tables of PE files and COFF objects.

mod function_table;
mod header;
mod section_table;
mod symbols;

use super::{SectionsIr, unwind};
use crate::diagnostics::Collector;
use crate::formats::pe::{Coff, ObjectHeader, Pe};
use binframe_ir::Rows;
use binframe_ir::tables::DiagnosticPass;
use object::Endianness;
use object::pe::IMAGE_FILE_MACHINE_ARM64;
use sha2::{Digest, Sha256};

/// A linked file.
pub(super) fn run(pe: &Pe<'_>, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    let sections = section_table::table(&pe.coff, &mut diagnostics);
    let is_aarch64 = pe.coff.machine == IMAGE_FILE_MACHINE_ARM64;
    let layout = unwind::Layout::new(Endianness::Little, pe.is_64, is_aarch64);
    let (symbols, (mut unwind, sha256)) = rayon::join(
        || symbols::table(&pe.coff, &sections, &mut diagnostics),
        || rayon::join(|| unwind::read(&sections, layout), || Sha256::digest(pe.coff.file)),
    );
    unwind.add(function_table::of_image(pe, &mut diagnostics));
    let unwind_entries = unwind::table(unwind, &mut diagnostics);
    let headers = header::table(pe, &sha256, member_index, &mut diagnostics);
    let diagnostics = diagnostics.finish();
    SectionsIr { headers, segments: Rows::default(), sections, symbols, unwind_entries, diagnostics }
}

/// An object.
pub(super) fn run_object<H: ObjectHeader>(coff: &Coff<'_, H>, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    let sections = section_table::table(coff, &mut diagnostics);
    let (symbols, sha256) =
        rayon::join(|| symbols::table(coff, &sections, &mut diagnostics), || Sha256::digest(coff.file));
    let mut unwind = unwind::Entries::default();
    unwind.add(function_table::of_object(coff, &sections, &mut diagnostics));
    let unwind_entries = unwind::table(unwind, &mut diagnostics);
    let headers = header::table_of_object(coff, &sha256, member_index);
    let diagnostics = diagnostics.finish();
    SectionsIr { headers, segments: Rows::default(), sections, symbols, unwind_entries, diagnostics }
}
