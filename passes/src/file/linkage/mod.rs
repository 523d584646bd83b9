//! `(file, binary_sections, binary_symbols) -> (binary_loader_commands, binary_libraries, binary_imports, binary_exports,`
//! `binary_relocations, binary_initializers, binary_notes, binary_attributes, binary_rich_entries, binary_threads,`
//! `binary_thread_registers, binary_mapped_files, binary_resources, clr_methods)`
//!
//! *Problem.* Read what a file states for linker and loader: required libraries, imported and exported symbols, fields
//! that are relocated, functions that are called at start and end. Notes and resources, which other tools read, are
//! part of it.
//!
//! *Algorithm.* The reader of the format adds rows to one set of builders (`ir.rs`): `elf` from the dynamic section,
//! relocation tables and notes; `macho` from load commands, fixups and the trie of exports; `pe` from the data
//! directories.
//!
//! *Invariants.* Rows of every table are in file order; indexes start at 0.
//!
//! *Not done here.* Applying relocations; resolving an import to a file that defines it.
//!
//! *Limits.* Tables of a broken file may overlap. Each reader therefore adds no more rows than fit in the file; text is
//! limited by `NameBudget`, notes by `CONTENT_PER_FILE_SIZE_MAX`. *Cost.* Linear in the file.
//!
//! *Diagnostics.* `broken_loader_command`, `broken_relocation`, `broken_linkage`, `broken_resource`, `broken_note`.

mod elf;
mod ir;
mod macho;
mod pe;
mod registers;

use crate::file::formats::Headers;
use crate::file::sections::SectionsIr;
use bytes::Bytes;
use ir::LinkageBuilder;

pub use ir::LinkageIr;

/// Reads what a file states for linker and loader.
pub fn run(file: &Bytes, sections: &SectionsIr) -> LinkageIr {
    let mut linkage = LinkageBuilder::new(file);
    match Headers::find(file) {
        Ok(Headers::Elf32(elf)) => elf::run(&elf, sections, &mut linkage),
        Ok(Headers::Elf64(elf)) => elf::run(&elf, sections, &mut linkage),
        Ok(Headers::MachO32(macho)) => macho::run(&macho, sections, &mut linkage),
        Ok(Headers::MachO64(macho)) => macho::run(&macho, sections, &mut linkage),
        Ok(Headers::Pe(pe)) => pe::run(&pe, &mut linkage),
        Ok(Headers::Coff(coff)) => pe::run_object(&coff, sections, &mut linkage),
        Ok(Headers::CoffBig(coff)) => pe::run_object(&coff, sections, &mut linkage),
        Ok(Headers::ShortImport(import)) => pe::run_short_import(&import, &mut linkage),
        Ok(Headers::Archive | Headers::Universal) | Err(_) => {}
    }
    linkage.finish()
}
