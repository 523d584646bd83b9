//! The linking metadata of a Mach-O file.

mod attributes;
mod binds;
mod chains;
mod commands;
mod exports;
mod fields;
mod fixups;
mod imports;
mod initializers;
mod pointers;
mod relocations;
mod threads;

use super::ir::LinkageBuilder;
use crate::file::formats::macho::{Header, MachO};
use crate::file::sections::SectionsIr;

pub(super) fn run<H: Header>(macho: &MachO<'_, H>, sections: &SectionsIr, linkage: &mut LinkageBuilder) {
    let libraries = commands::push(macho, linkage);
    attributes::push(macho, linkage);
    threads::push(macho, linkage);
    let arrays = initializers::arrays(macho);
    let mut writer = relocations::RelocationWriter::new(macho, sections, linkage);
    writer.push_all();
    let addresses = imports::AddressRanges::new(arrays.iter().map(|array| array.addresses.clone()));
    let imports = imports::Imports::new(macho, sections);
    let pointers = pointers::ArrayPointers::new();
    let mut fixups = pointers::Fixups { writer: &mut writer, imports, arrays: &addresses, pointers };
    fixups.push();
    let pointers::Fixups { imports, pointers, .. } = fixups;
    imports.push(macho, sections, &libraries, linkage);
    exports::push(macho, sections, &libraries, linkage);
    initializers::push(macho, &arrays, &pointers, linkage);
}
