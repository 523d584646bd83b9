//! `(file) -> (binary_headers, binary_segments, binary_sections, binary_symbols, binary_unwind_entries)`
//!
//! *Problem.* Read the structure that a file declares: its header, segments, sections, symbols, and the code ranges
//! that unwind information describes. Section bytes are slices of the mapped file, not copies. A container has a header
//! only; its members are binaries of their own ([`members`]).
//!
//! *Algorithm.* Find the headers (`formats`), then read each table in the folder of the format: `elf`, `pe`, `macho`.
//! Unwind information of all formats is read by `unwind` (DWARF call frames) and by the format's own reader.
//!
//! *Invariants.* Segments and sections are in the order of their headers, symbols in the order of their tables, unwind
//! entries sorted by address. Every reference between rows is valid; an invalid reference becomes null and is reported.
//!
//! *Not done here.* Relocations, imports and exports (`linkage`); debug information (`debug`).
//!
//! *Limits.* `CONTENT_PER_FILE_SIZE_MAX`, `NAMES_PER_FILE_SIZE_MAX`, and those of the readers. *Cost.* Linear in the
//! file.
//!
//! *Errors.* [`Unsupported`] if the format is unknown or the headers cannot be found. *Diagnostics.*
//! `no_section_table`, `section_out_of_bounds`, `section_too_large`, `segment_out_of_bounds`, `broken_section_table`,
//! `broken_name`, `broken_symbol_table`, `symbol_without_section`, `broken_note`, `broken_unwind`,
//! `broken_loader_command`, `opaque_member`, `broken_container`.

mod container;
mod contents;
mod elf;
mod ir;
mod macho;
mod pe;
mod rows;
#[cfg(test)]
pub(crate) mod test_support;
mod unwind;

use crate::diagnostics::Collector;
use crate::file::formats::{self, Headers, Unsupported};
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySections, DiagnosticPass, Format};
use bytes::Bytes;

pub use crate::file::names::with_demangled_names;
pub use container::{members, thin_members};
pub use ir::SectionsIr;

/// Reads the structure of a file. `member_index` is its position in its container; 0 if it is in none.
pub fn run(file: &Bytes, member_index: u32) -> Result<SectionsIr, Unsupported> {
    Ok(match Headers::find(file)? {
        Headers::Elf32(elf) => elf::run(&elf, member_index),
        Headers::Elf64(elf) => elf::run(&elf, member_index),
        Headers::MachO32(macho) => macho::run(&macho, member_index),
        Headers::MachO64(macho) => macho::run(&macho, member_index),
        Headers::Pe(pe) => pe::run(&pe, member_index),
        Headers::Coff(coff) => pe::run_object(&coff, member_index),
        Headers::CoffBig(coff) => pe::run_object(&coff, member_index),
        Headers::ShortImport(import) => pe::run_short_import(&import, member_index),
        Headers::Archive => container::run(file, Format::Archive, member_index),
        Headers::Universal => container::run(file, Format::Universal, member_index),
    })
}

/// The sections that a file declares, without other tables and diagnostics; none for one that declares none.
pub(crate) fn declared(headers: &Headers<'_>) -> Rows<BinarySections> {
    let diagnostics = &mut Collector::new(DiagnosticPass::Sections);
    match headers {
        Headers::Elf32(file) => elf::section_table::table(file, diagnostics),
        Headers::Elf64(file) => elf::section_table::table(file, diagnostics),
        Headers::MachO32(file) => macho::section_table::from_headers(file, diagnostics),
        Headers::MachO64(file) => macho::section_table::from_headers(file, diagnostics),
        Headers::Pe(file) => pe::section_table::table(&file.coff, diagnostics),
        Headers::Coff(file) => pe::section_table::table(file, diagnostics),
        Headers::CoffBig(file) => pe::section_table::table(file, diagnostics),
        Headers::ShortImport(_) | Headers::Archive | Headers::Universal => Rows::default(),
    }
}

/// Whether the first bytes of a file are those of a supported format.
pub fn is_recognised(file: &[u8]) -> bool {
    formats::file_kind(file).is_ok()
}
