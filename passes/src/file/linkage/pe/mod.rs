//! What a PE file or a COFF object tells linker and loader.

mod directories;
mod exports;
mod imports;
mod initializers;
mod notes;
mod relocations;
mod resources;

use super::Linkage;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe};

/// A linked file.
pub(super) fn run(pe: &Pe<'_>, linkage: &mut Linkage) {
    directories::push(pe, linkage);
    let library_index = exports::push(pe, linkage);
    imports::push(pe, library_index, linkage);
    relocations::push(pe, linkage);
    initializers::push(pe, linkage);
    notes::push(pe, linkage);
    resources::push(pe, linkage);
}

/// An object.
pub(super) fn run_object<H: ObjectHeader>(coff: &Coff<'_, H>, linkage: &mut Linkage) {
    relocations::push_object(coff, linkage);
}
