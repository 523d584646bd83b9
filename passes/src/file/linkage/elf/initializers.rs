//! `binary_initializers`, from the dynamic section and the arrays of functions.

use super::Linkage;
use super::relocations::{Relocated, SymbolRows};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::number;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{BinaryInitializer, DiagnosticCode, InitializerKind, SymbolDefinition};
use object::elf;
use object::read::elf::{Dyn, SectionHeader};
use std::ops::Range;

/// Pointers to functions, one after the other.
pub(super) struct Array {
    kind: InitializerKind,
    /// Where they are loaded.
    pub(super) addresses: Range<u64>,
}

/// The arrays that the dynamic section names or, in a file that has none, the sections of their types.
pub(super) fn arrays<H: Header>(elf: &Elf<'_, H>) -> Vec<Array> {
    let endian = elf.endian;
    if elf.header.e_type(endian) == elf::ET_REL {
        return Vec::new();
    }
    let array =
        |kind, address: u64, size: u64| Array { kind, addresses: address..address.saturating_add(size) };
    if let Ok(Some(dynamic)) = elf.dynamic() {
        let value = |tag| {
            dynamic.entries.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian))
        };
        let named = [
            (InitializerKind::PreInit, elf::DT_PREINIT_ARRAY, elf::DT_PREINIT_ARRAYSZ),
            (InitializerKind::Init, elf::DT_INIT_ARRAY, elf::DT_INIT_ARRAYSZ),
            (InitializerKind::Fini, elf::DT_FINI_ARRAY, elf::DT_FINI_ARRAYSZ),
        ];
        let named = named.into_iter();
        return named
            .filter_map(|(kind, address, size)| Some(array(kind, value(address)?, value(size)?)))
            .collect();
    }
    let of_section = |header: &H::SectionHeader| {
        let kind = match header.sh_type(endian) {
            elf::SHT_PREINIT_ARRAY => InitializerKind::PreInit,
            elf::SHT_INIT_ARRAY => InitializerKind::Init,
            elf::SHT_FINI_ARRAY => InitializerKind::Fini,
            _ => return None,
        };
        Some(array(kind, header.sh_addr(endian).into(), header.sh_size(endian).into()))
    };
    elf.section_headers.iter().filter_map(of_section).collect()
}

pub(super) fn push<H: Header>(
    elf: &Elf<'_, H>,
    sections: &SectionsIr,
    arrays: &[Array],
    relocated: &Relocated,
    linkage: &mut Linkage,
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
    // Arrays of an honest file share no bytes.
    let mut left = elf.file.len();
    for array in arrays {
        let size = array.addresses.end - array.addresses.start;
        let Some((bytes, _)) = elf.loaded(array.addresses.start, size) else { continue };
        let Some(rest) = left.checked_sub(bytes.len()) else {
            let message = "arrays of functions share bytes: the rest of them was left out";
            linkage.report(
                DiagnosticCode::BrokenLinkage,
                DiagnosticLocation::Address(array.addresses.start),
                message,
            );
            break;
        };
        left = rest;
        let pointers = bytes.chunks_exact(pointer_size);
        for (slot, pointer) in array.addresses.clone().step_by(pointer_size).zip(pointers) {
            let Some(stored) = number(endian, pointer) else { continue };
            let function = match relocated.pointers.get(&slot) {
                Some((addend, Some(symbol))) => {
                    symbol_address(&symbols, *symbol).map(|address| address.wrapping_add_signed(*addend))
                }
                Some((0, None)) | None => Some(stored),
                Some((addend, None)) => Some(*addend as u64),
            };
            // glibc ends and fills arrays with 0 and -1.
            let is_called = function.is_none_or(|address| address != 0 && address != u64::MAX);
            rows.extend(is_called.then_some((array.kind, Some(slot), function)));
        }
    }
    for (initializer_index, (kind, slot_address, function_address)) in (0..).zip(rows) {
        linkage.initializers.push(BinaryInitializer {
            initializer_index,
            kind,
            slot_address,
            function_address,
        });
    }
}

/// The address of a symbol of the dynamic table, if this file has it.
fn symbol_address(symbols: &SymbolRows<'_>, symbol_index: u32) -> Option<u64> {
    let row = symbols.find(true, symbol_index)?;
    let is_here = symbols.columns.definition.get(row) != SymbolDefinition::Undefined;
    is_here.then(|| symbols.columns.symbol_address[row])
}
