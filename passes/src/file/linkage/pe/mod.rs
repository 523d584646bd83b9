//! The linking metadata of a PE image or COFF object.

mod clr;
mod debug_entries;
mod directories;
mod exports;
mod imports;
mod initializers;
mod load_configuration;
mod notes;
mod relocations;
mod resources;
mod rich;

use super::ir::LinkageBuilder;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe};
use crate::file::formats::short_import::ShortImport;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{BinaryImport, BinaryLibrary, LibraryKind};

/// Reads the data directories of an image.
pub(super) fn run(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    directories::push(pe, linkage);
    let library_index = exports::push(pe, linkage);
    imports::push(pe, library_index, linkage);
    relocations::push(pe, linkage);
    initializers::push(pe, linkage);
    notes::push(pe, linkage);
    resources::push(pe, linkage);
    clr::push(pe, linkage);
}

/// The library and the import that a short import object names.
pub(super) fn run_short_import(import: &ShortImport<'_>, linkage: &mut LinkageBuilder) {
    let names = &mut linkage.names;
    let Some(library_name) = names.take(String::from_utf8_lossy(import.library)) else { return };
    let Some(import_name) = names.take(import.name.map_or("".into(), String::from_utf8_lossy)) else {
        return;
    };
    linkage.libraries.push(BinaryLibrary {
        library_index: 0,
        kind: LibraryKind::Needed,
        library_name: &library_name,
        version: None,
    });
    linkage.imports.push(BinaryImport {
        import_index: 0,
        library_name: Some(&library_name),
        import_name: import.name.is_some().then_some(&import_name),
        ordinal: Some(import.ordinal_or_hint.into()),
        is_symbol_dynamic: Some(false),
        symbol_index: Some(0),
        ..BinaryImport::default()
    });
}

/// Reads the relocations of an object.
pub(super) fn run_object<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &SectionsIr,
    linkage: &mut LinkageBuilder,
) {
    relocations::push_object(coff, sections, linkage);
}
