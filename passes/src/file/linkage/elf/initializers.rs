//! `binary_initializers` of an ELF file, from the dynamic section and the arrays of functions.

use super::super::ir::LinkageBuilder;
use super::function_arrays::FunctionArray;
use super::relocations::{LoaderWrites, SymbolRows};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::number;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{DiagnosticCode, InitializerKind, SymbolDefinition};
use object::elf;
use object::read::elf::Dyn;

pub(super) fn push<H: Header>(
    elf: &Elf<'_, H>,
    sections: &SectionsIr,
    arrays: &[FunctionArray],
    writes: &LoaderWrites,
    linkage: &mut LinkageBuilder,
) {
    let endian = elf.endian;
    let mut rows = Vec::new();
    let direct = [(elf::DT_INIT, InitializerKind::Init), (elf::DT_FINI, InitializerKind::Fini)];
    if let Ok(Some(dynamic)) = elf.dynamic() {
        for entry in dynamic.entries {
            let kind = direct.iter().find(|(tag, _)| *tag == entry.tag(endian));
            rows.extend(kind.map(|(_, kind)| (*kind, None, Some(entry.val(endian)))));
        }
    }
    let pointer_size = if elf.header.is_type_64() { 8 } else { 4 };
    let symbols = SymbolRows::new(sections);
    // Arrays of a valid file do not overlap.
    let mut bytes_left = elf.file.len();
    for array in arrays {
        let size = array.addresses.end - array.addresses.start;
        let Some((bytes, _)) = elf.loaded(array.addresses.start, size) else { continue };
        let Some(rest) = bytes_left.checked_sub(bytes.len()) else {
            let message = "arrays of functions share bytes: the rest of them was left out";
            let location = DiagnosticLocation::Address(array.addresses.start);
            linkage.warning(DiagnosticCode::BrokenLinkage, location, message);
            break;
        };
        bytes_left = rest;
        let pointers = bytes.chunks_exact(pointer_size);
        for (slot, pointer) in array.addresses.clone().step_by(pointer_size).zip(pointers) {
            let Some(stored) = number(endian, pointer) else { continue };
            let function = match writes.array_pointers.get(&slot) {
                Some((addend, Some(symbol))) => {
                    symbol_address(&symbols, *symbol).map(|address| address.wrapping_add_signed(*addend))
                }
                Some((0, None)) | None => Some(stored),
                Some((addend, None)) => Some(*addend as u64),
            };
            // glibc terminates and pads arrays with 0 and -1.
            let is_called = function.is_none_or(|address| address != 0 && address != u64::MAX);
            rows.extend(is_called.then_some((array.kind, Some(slot), function)));
        }
    }
    linkage.push_initializers(rows);
}

/// Address of a symbol of the dynamic table; `None` if this file does not define it.
fn symbol_address(symbols: &SymbolRows<'_>, symbol_index: u32) -> Option<u64> {
    let row = symbols.find(true, symbol_index)?;
    let is_defined = symbols.columns.definition_kind.get(row) != SymbolDefinition::Undefined;
    is_defined.then(|| symbols.columns.symbol_address[row])
}
