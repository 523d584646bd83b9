//! `binary_initializers`: the functions that are called when a thread begins or ends, and the program with its first.

use super::Linkage;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::{BinaryInitializer, DiagnosticCode, InitializerKind};
use object::pe::IMAGE_DIRECTORY_ENTRY_TLS;

/// Position of the address of the callbacks' table among the numbers of the directory.
const CALLBACKS_POSITION: usize = 3;

pub(super) fn push(pe: &Pe<'_>, linkage: &mut Linkage) {
    let Some((rva, _)) = pe.directory(IMAGE_DIRECTORY_ENTRY_TLS) else { return };
    let location = DiagnosticLocation::Address(pe.address(rva));
    let Some((_, callbacks)) = pe.numbers(rva).nth(CALLBACKS_POSITION) else {
        let message = "the directory of thread-local storage does not lie in the file";
        return linkage.report(DiagnosticCode::BrokenLoaderCommand, location, message);
    };
    if callbacks == 0 {
        return;
    }
    let mut slots = pe.rva(callbacks).into_iter().flat_map(|rva| pe.numbers(rva));
    for initializer_index in 0.. {
        match slots.next() {
            Some((_, 0)) => return,
            Some((rva, address)) => linkage.initializers.push(BinaryInitializer {
                initializer_index,
                kind: InitializerKind::ThreadLocal,
                slot_address: Some(pe.address(rva)),
                function_address: Some(address),
            }),
            None => {
                let message = "the table of thread-local callbacks does not end in the file";
                return linkage.report(DiagnosticCode::BrokenLoaderCommand, location, message);
            }
        }
    }
}
