//! `(file) -> (binary_headers, binary_segments, binary_sections, binary_symbols, unwind_entries)`
//!
//! What an ELF file of 64-bit x86 says of itself, as it says it: headers, program headers, section headers, the static and
//! the dynamic symbol table, and the ranges that `.eh_frame` describes. Bytes of sections are not copied; they lie in the
//! mapped file.
//!
//! Invariants: sections stand in the order of their headers, symbols in the order of their tables, unwind entries in the
//! order of their addresses, one for each. Whatever an entry refers to lies within the file, or was left out and is reported.
//!
//! What can go wrong: a file that is no such executable, or whose header, program headers or section headers cannot be
//! found, is [`Unsupported`]. Anything else that is broken is a diagnostic: `no_section_table`, `section_out_of_bounds`,
//! `section_too_large`, `segment_out_of_bounds`, `broken_section_table`, `broken_name`, `broken_symbol_table`,
//! `symbol_without_section`, `broken_note`, `broken_unwind`, `duplicate_unwind`.

mod header;
mod section_table;
mod segments;
mod symbols;
mod unwind;

pub use header::Unsupported;

use crate::diagnostics::Collector;
use binframe_ir::tables::{
    BinaryHeaders, BinarySections, BinarySegments, BinarySymbols, DiagnosticPass, Diagnostics, UnwindEntries,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;
use object::Endianness;
use object::elf::{FileHeader64, ProgramHeader64, SectionHeader64};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// The tables of the stage.
#[derive(Debug, Clone)]
pub struct SectionsIr {
    /// One row: the file's header.
    pub headers: Rows<BinaryHeaders>,
    /// The program headers.
    pub segments: Rows<BinarySegments>,
    /// The sections.
    pub sections: Rows<BinarySections>,
    /// The symbols.
    pub symbols: Rows<BinarySymbols>,
    /// The ranges of code that are described for unwinding.
    pub unwind_entries: Rows<UnwindEntries>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
}

/// What the parts of the pass read.
struct Elf<'a> {
    file: &'a Bytes,
    header: &'a FileHeader64<Endianness>,
    program_headers: &'a [ProgramHeader64<Endianness>],
    section_headers: &'a [SectionHeader64<Endianness>],
}

/// Byte order of every file that is supported.
const ENDIAN: Endianness = Endianness::Little;

/// Reads the structure of an executable.
pub fn run(file: &Bytes) -> Result<SectionsIr, Unsupported> {
    let elf = header::read(file)?;
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    let segments = segments::table(&elf, &mut diagnostics);
    let sections = match elf.section_headers.is_empty() {
        true => section_table::from_segments(&elf, &mut diagnostics),
        false => section_table::table(&elf, &mut diagnostics),
    };
    let (symbols, (unwind, sha256)) = rayon::join(
        || symbols::table(&elf, &sections, &mut diagnostics),
        || rayon::join(|| unwind::read(&sections), || Sha256::digest(file)),
    );
    let unwind_entries = unwind::table(unwind, &mut diagnostics);
    let headers = header::table(&elf, &sha256, &mut diagnostics);
    Ok(SectionsIr { headers, segments, sections, symbols, unwind_entries, diagnostics: diagnostics.finish() })
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

/// `length` bytes from an offset of the file on, as far as they lie in it, and whether they all do.
fn bytes_at(file: &Bytes, offset: u64, length: u64) -> (&[u8], bool) {
    let start = usize::try_from(offset).map_or(file.len(), |offset| offset.min(file.len()));
    let rest = &file[start..];
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => (&rest[..length], true),
        _ => (rest, false),
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
