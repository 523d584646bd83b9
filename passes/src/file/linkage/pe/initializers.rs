//! `binary_initializers` of a PE image: its thread-local storage callbacks, which the loader calls when a thread starts
//! or ends.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::{DiagnosticCode, InitializerKind};
use object::pe::IMAGE_DIRECTORY_ENTRY_TLS;

/// Position of the address of the callback table among the fields of the directory, which are address-sized.
const CALLBACKS_POSITION: usize = 3;

pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    let Some((rva, _)) = pe.directory(IMAGE_DIRECTORY_ENTRY_TLS) else { return };
    let location = DiagnosticLocation::Address(pe.address(rva));
    let Some((_, callbacks)) = pe.numbers(rva).nth(CALLBACKS_POSITION) else {
        let message = "the directory of thread-local storage does not lie in the file";
        return linkage.warning(DiagnosticCode::BrokenLoaderCommand, location, message);
    };
    if callbacks == 0 {
        return;
    }
    let mut slots = pe.rva(callbacks).into_iter().flat_map(|rva| pe.numbers(rva));
    let mut rows = Vec::new();
    loop {
        match slots.next() {
            Some((_, 0)) => break,
            Some((rva, address)) => {
                rows.push((InitializerKind::ThreadLocal, Some(pe.address(rva)), Some(address)));
            }
            None => {
                let message = "the table of thread-local callbacks does not end in the file";
                linkage.warning(DiagnosticCode::BrokenLoaderCommand, location, message);
                break;
            }
        }
    }
    linkage.push_initializers(rows);
}
