//! The tables of PE images and COFF objects.

mod function_table;
mod header;
pub(super) mod section_table;
mod symbols;

use super::ir::SectionsIr;
use super::unwind;
use super::unwind::frames::{self, FrameEncoding, FrameSources};
use crate::diagnostics::Collector;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe, architecture};
use crate::file::formats::pe_addresses::{FUNCTION_TABLE, UNWIND_INFO, base_name, relocations};
use crate::file::formats::short_import::ShortImport;
use crate::file::names::language;
use binframe_ir::tables::{
    BinarySymbol, BinarySymbolBuilder, DiagnosticPass, SymbolBinding, SymbolDefinition, SymbolType,
};
use binframe_ir::{Enumeration, Rows};
use object::Endianness;
use sha2::{Digest, Sha256};

/// The tables of an image.
pub(super) fn run(pe: &Pe<'_>, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    let sections = section_table::table(&pe.coff, &mut diagnostics);
    let (architecture, _) = architecture(pe.coff.machine);
    let encoding = FrameEncoding::new(architecture, Endianness::Little, pe.is_64);
    let decompressed = frames::decompressed(pe.coff.file, &sections, None);
    let sources = FrameSources { decompressed, ..FrameSources::default() };
    let (symbols, (mut unwind, sha256)) = rayon::join(
        || symbols::table(&pe.coff, &sections, &mut diagnostics),
        || rayon::join(|| frames::read(&sections, encoding, &sources), || Sha256::digest(pe.coff.file)),
    );
    unwind.report(&mut diagnostics);
    unwind.rows.extend(function_table::of_image(pe, &mut diagnostics));
    let unwind_entries = unwind::table(unwind.rows, &sections);
    let headers = header::table(pe, &sha256, member_index);
    let diagnostics = diagnostics.finish();
    SectionsIr { headers, segments: Rows::default(), sections, symbols, unwind_entries, diagnostics }
}

/// The tables of a short import object: its symbol, and that of the pointer to it which the linker makes.
pub(super) fn run_short_import(import: &ShortImport<'_>, member_index: u32) -> SectionsIr {
    let symbol = String::from_utf8_lossy(import.symbol);
    let pointer = format!("__imp_{symbol}");
    let mut symbols = BinarySymbolBuilder::default();
    let own_type = if import.is_function { SymbolType::Function } else { SymbolType::Variable };
    for (symbol_index, (name, symbol_type)) in
        (0..).zip([(&*symbol, own_type), (&pointer, SymbolType::Variable)])
    {
        symbols.push(BinarySymbol {
            symbol_name: name,
            symbol_type: symbol_type.name(),
            language: language(name.trim_start_matches("__imp_"), false),
            binding: SymbolBinding::Global,
            definition_kind: SymbolDefinition::Undefined,
            symbol_index,
            ..BinarySymbol::default()
        });
    }
    SectionsIr {
        headers: header::table_of_short_import(import, &Sha256::digest(import.file), member_index),
        segments: Rows::default(),
        sections: Rows::default(),
        symbols: symbols.finish(),
        unwind_entries: Rows::default(),
        diagnostics: Rows::default(),
    }
}

/// The tables of an object.
pub(super) fn run_object<H: ObjectHeader>(coff: &Coff<'_, H>, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    let sections = section_table::table(coff, &mut diagnostics);
    let (symbols, sha256) =
        rayon::join(|| symbols::table(coff, &sections, &mut diagnostics), || Sha256::digest(coff.file));
    let relocations = relocations(coff, &sections, |name| {
        [FUNCTION_TABLE, UNWIND_INFO].contains(&base_name(name)) || frames::source_of(name).is_some()
    });
    let headers = header::table_of_object(coff, &sha256, member_index);
    let (architecture, bits) = architecture(coff.machine);
    let encoding = FrameEncoding::new(architecture, Endianness::Little, bits == 64);
    let decompressed = frames::decompressed(coff.file, &sections, None);
    let sources = FrameSources { relocations: Some(relocations), decompressed, in_segment: None };
    let mut unwind = frames::read(&sections, encoding, &sources);
    unwind.report(&mut diagnostics);
    let relocations = sources.relocations.as_deref().unwrap_or_default();
    unwind.rows.extend(function_table::of_object(coff.machine, &sections, relocations, &mut diagnostics));
    let unwind_entries = unwind::table(unwind.rows, &sections);
    let diagnostics = diagnostics.finish();
    SectionsIr { headers, segments: Rows::default(), sections, symbols, unwind_entries, diagnostics }
}
