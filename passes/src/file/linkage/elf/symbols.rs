//! `binary_imports` and `binary_exports` of an ELF file, from the dynamic symbol table.

use super::super::ir::LinkageBuilder;
use super::relocations::LoaderWrites;
use crate::file::formats::elf::{Elf, Header};
use crate::file::formats::{elf_dynamic_tables, elf_versions};
use crate::file::sections::SectionsIr;
use binframe_ir::Enumeration;
use binframe_ir::tables::{
    BinaryExport, BinaryImport, SymbolBinding, SymbolDefinition, SymbolType, SymbolVisibility,
};
use object::SymbolIndex;

pub(super) fn push<H: Header>(
    elf: &Elf<'_, H>,
    sections: &SectionsIr,
    writes: &LoaderWrites,
    linkage: &mut LinkageBuilder,
) {
    let dynamic_headers = elf_dynamic_tables::headers(elf);
    // The pass `sections` reports versions that cannot be read.
    let versions = elf_versions::read(elf, &dynamic_headers).ok().flatten().unwrap_or_default();
    let library = |symbol_index: u32| {
        let version = versions.version_index(elf.endian, SymbolIndex(symbol_index as usize));
        versions.version(version.index()).ok()??.file()
    };
    let binds_later = !elf.binds_now();
    let (mut import_index, mut export_index) = (0, 0);
    let symbols = sections.symbols.columns();
    for symbol in symbols.iter().filter(|symbol| symbol.is_dynamic && !symbol.symbol_name.is_empty()) {
        let Some(name) = linkage.names.take(symbol.symbol_name) else { return };
        let is_local = symbol.binding == SymbolBinding::Local;
        let is_visible = matches!(symbol.visibility, SymbolVisibility::Default | SymbolVisibility::Protected);
        let is_undefined = symbol.definition_kind == SymbolDefinition::Undefined;
        // A variable that the loader copies is defined here, and is needed from another file all the same.
        if (is_undefined || writes.copied.contains(&symbol.symbol_index)) && !is_local {
            let slot = writes.import_slots.get(&symbol.symbol_index);
            let library_name = library(symbol.symbol_index).and_then(|name| linkage.names.read(name, 0).ok());
            linkage.imports.push(BinaryImport {
                import_index,
                library_name: library_name.as_deref(),
                import_name: Some(name),
                ordinal: None,
                version: symbol.version,
                slot_address: slot.map(|slot| slot.0),
                is_symbol_dynamic: Some(true),
                symbol_index: Some(symbol.symbol_index),
                is_weak: symbol.binding == SymbolBinding::Weak,
                is_delayed: binds_later && slot.is_some_and(|slot| slot.1),
            });
            import_index += 1;
        }
        if !is_undefined && !is_local && is_visible {
            let has_address = symbol.symbol_type != SymbolType::Tls.name();
            linkage.exports.push(BinaryExport {
                export_index,
                export_name: Some(name),
                ordinal: None,
                address: has_address.then_some(symbol.symbol_address),
                forwarded_to: None,
                version: symbol.version,
                is_symbol_dynamic: Some(true),
                symbol_index: Some(symbol.symbol_index),
            });
            export_index += 1;
        }
    }
}
