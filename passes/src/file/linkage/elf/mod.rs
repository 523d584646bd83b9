//! What an ELF file tells linker and loader.

mod dynamic;
mod initializers;
mod notes;
mod relocations;
mod symbols;

use super::Linkage;
use crate::file::formats::elf::{Elf, Header};
use crate::file::sections::SectionsIr;

pub(super) fn run<H: Header>(elf: &Elf<'_, H>, sections: &SectionsIr, linkage: &mut Linkage) {
    dynamic::push(elf, linkage);
    let arrays = initializers::arrays(elf);
    let relocated = relocations::push(elf, sections, &arrays, linkage);
    symbols::push(elf, sections, &relocated, linkage);
    initializers::push(elf, sections, &arrays, &relocated, linkage);
    notes::push(elf, linkage);
}
