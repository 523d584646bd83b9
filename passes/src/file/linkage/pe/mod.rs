//! The linking metadata of a PE image or COFF object.

mod directories;
mod exports;
mod imports;
mod initializers;
mod notes;
mod relocations;
mod resources;

use super::ir::LinkageBuilder;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe};
use crate::file::sections::SectionsIr;

/// Reads the data directories of an image.
pub(super) fn run(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    directories::push(pe, linkage);
    let library_index = exports::push(pe, linkage);
    imports::push(pe, library_index, linkage);
    relocations::push(pe, linkage);
    initializers::push(pe, linkage);
    notes::push(pe, linkage);
    resources::push(pe, linkage);
}

/// Reads the relocations of an object.
pub(super) fn run_object<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &SectionsIr,
    linkage: &mut LinkageBuilder,
) {
    relocations::push_object(coff, sections, linkage);
}
