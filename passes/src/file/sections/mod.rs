//! `(file) -> (binary_headers, binary_segments, binary_sections, binary_symbols, unwind_entries)`
//!
//! What a file says of itself, as it says it: its headers, segments, sections and symbols, and the ranges of code that are
//! described for unwinding. Bytes of sections are not copied; they lie in the mapped file. A container has a header
//! alone: its members are files of their own ([`members`]).
//!
//! Invariants: segments and sections stand in the order of their headers, symbols in the order of their tables, unwind
//! entries in the order of their addresses. Whatever an entry refers to lies within the file, or was left out and is reported.
//!
//! What can go wrong: a file of another format, or whose headers cannot be found, is [`Unsupported`]. Anything else that is
//! broken is a diagnostic: `no_section_table`, `section_out_of_bounds`, `section_too_large`, `segment_out_of_bounds`,
//! `broken_section_table`, `broken_name`, `broken_symbol_table`, `symbol_without_section`, `broken_note`, `broken_unwind`,
//! `broken_loader_command`, `opaque_member`, `broken_container`.

#[cfg(test)]
pub(crate) mod by_hand;
mod container;
mod contents;
mod elf;
mod macho;
mod unwind;

mod pe;
use crate::file::formats::{self, Headers, Unsupported};
use crate::file::names;
use binframe_ir::tables::{
    BinaryHeader, BinaryHeaders, BinaryKind, BinarySections, BinarySegments, BinarySymbols, Diagnostics,
    Format, UnwindEntries,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;
use rayon::prelude::*;

pub use container::members;

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct SectionsIr {
    /// One row: the file's header.
    pub headers: Rows<BinaryHeaders>,
    /// The segments.
    pub segments: Rows<BinarySegments>,
    /// The sections.
    pub sections: Rows<BinarySections>,
    /// The symbols. Their demangled names, which no pass reads, are made on demand by [`with_demangled_names`].
    pub symbols: Rows<BinarySymbols>,
    /// The ranges of code that are described for unwinding.
    pub unwind_entries: Rows<UnwindEntries>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
}

/// Reads the structure of a file, which may be a member of a container.
pub fn run(file: &Bytes, member_index: u32) -> Result<SectionsIr, Unsupported> {
    Ok(match Headers::find(file)? {
        Headers::Elf32(elf) => elf::run(&elf, member_index),
        Headers::Elf64(elf) => elf::run(&elf, member_index),
        Headers::MachO32(macho) => macho::run(&macho, member_index),
        Headers::MachO64(macho) => macho::run(&macho, member_index),
        Headers::Pe(pe) => pe::run(&pe, member_index),
        Headers::Coff(coff) => pe::run_object(&coff, member_index),
        Headers::CoffBig(coff) => pe::run_object(&coff, member_index),
        Headers::Archive => container::run(file, Format::Archive, member_index),
        Headers::Universal => container::run(file, Format::Universal, member_index),
    })
}

/// Whether a file begins as one that is lowered. Reads its headers alone.
pub fn is_recognised(file: &[u8]) -> bool {
    formats::kind(file).is_ok()
}

/// Symbols, or some of them, with their names as they were in source code.
pub fn with_demangled_names(symbols: &Rows<BinarySymbols>) -> Rows<BinarySymbols> {
    names::with_demangled_names(symbols)
}

impl SectionsIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 6] {
        [
            self.headers.batch(),
            self.segments.batch(),
            self.sections.batch(),
            self.symbols.batch(),
            self.unwind_entries.batch(),
            self.diagnostics.batch(),
        ]
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        let fingerprints: Vec<_> = self.tables().into_par_iter().map(Batch::fingerprint).collect();
        Fingerprint::of_all(fingerprints)
    }
}

/// The header of a file of which nothing more is known; what it is linked or run with does not apply to it.
fn plain_header(format: Format, kind: BinaryKind, file_size: usize, sha256: &str) -> BinaryHeader<'_> {
    BinaryHeader {
        member_index: 0,
        format,
        architecture: None,
        machine: None,
        bits: None,
        endianness: None,
        kind,
        flags: 0,
        entry_address: None,
        image_address: None,
        build_id: None,
        interpreter: None,
        is_position_independent: None,
        has_no_execute: None,
        relocation_read_only: None,
        has_stack_protector: None,
        has_branch_protection: None,
        has_return_protection: None,
        has_signature: None,
        file_size: file_size as u64,
        sha256,
    }
}

/// Permissions as tables show them.
fn permissions(is_readable: bool, is_writable: bool, is_executable: bool) -> &'static str {
    match (is_readable, is_writable, is_executable) {
        (false, false, false) => "---",
        (false, false, true) => "--x",
        (false, true, false) => "-w-",
        (false, true, true) => "-wx",
        (true, false, false) => "r--",
        (true, false, true) => "r-x",
        (true, true, false) => "rw-",
        (true, true, true) => "rwx",
    }
}
