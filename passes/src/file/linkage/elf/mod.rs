//! The linking metadata of an ELF file.

mod android_relocations;
mod core;
mod dynamic;
mod function_arrays;
mod initializers;
mod notes;
mod relocation_names;
mod relocation_tables;
mod relocations;
mod symbols;

use super::ir::LinkageBuilder;
use crate::file::formats::elf::{Elf, Header};
use crate::file::sections::SectionsIr;

pub(super) fn run<H: Header>(elf: &Elf<'_, H>, sections: &SectionsIr, linkage: &mut LinkageBuilder) {
    dynamic::push(elf, linkage);
    let arrays = function_arrays::find(elf);
    let writes = relocations::push(elf, sections, &arrays, linkage);
    symbols::push(elf, sections, &writes, linkage);
    initializers::push(elf, sections, &arrays, &writes, linkage);
    notes::push(elf, linkage);
}
