//! Reads the header, segments, sections, symbols and relocations of Mach-O files and objects.

use crate::File;
use crate::blocks::{all, number, parts, text};
use crate::rows::{Positions, Row, hexadecimal, or_none};
use binframe::ir::Enumeration;
use binframe::ir::tables::{SymbolBinding, SymbolDefinition, SymbolVisibility};
use serde_json::Value;
use std::collections::BTreeMap;

/// Bits of a symbol's type that only debuggers read.
const N_STAB: u64 = 0xe0;

/// The flag of programs that can be loaded at any address.
const MH_PIE: u64 = 0x20_0000;

/// Relocations that belong to the one before or after them and have no row of their own.
const PARTS: [&str; 2] = ["GENERIC_RELOC_PAIR", "ARM64_RELOC_ADDEND"];

pub(super) fn found_header(file: &File) -> Option<Vec<Row>> {
    let header = file.sections.headers.columns().iter().next()?;
    let cells = vec![
        ("bits", or_none(header.bits)),
        ("machine", hexadecimal(header.machine.unwrap_or_default().into())),
        ("kind", header.kind.name().to_owned()),
        ("flags", hexadecimal(header.flags)),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

pub(super) fn expected_header(file: &File) -> Option<Vec<Row>> {
    let header = &file.printed["MachHeader"][0];
    let flags = number(header, "Flags");
    let kind = match number(header, "FileType") {
        1 => "relocatable",
        2 | 5 if flags & MH_PIE == 0 => "executable",
        2 | 6..=8 => "dynamic",
        _ => "other",
    };
    let bits = if text(header, "Magic").starts_with("Magic64") { 64 } else { 32 };
    let cells = vec![
        ("bits", bits.to_string()),
        ("machine", hexadecimal(number(header, "CpuType"))),
        ("kind", kind.to_owned()),
        ("flags", hexadecimal(flags)),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

pub(super) fn found_segments(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.segments.columns().iter().map(|row| {
        let cells = vec![
            ("segment_name", or_none(row.segment_name)),
            ("address", hexadecimal(row.address)),
            ("size", hexadecimal(row.size)),
            ("file_offset", row.file_offset.to_string()),
            ("file_size", row.file_size.to_string()),
            ("permissions", row.permissions.0.to_owned()),
        ];
        Row { key: row.segment_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_segments(file: &File) -> Option<Vec<Row>> {
    let row = all(&file.printed, "Segment").enumerate().map(|(index, segment)| {
        let cells = vec![
            ("segment_name", text(segment, "Name").to_owned()),
            ("address", hexadecimal(number(segment, "vmaddr"))),
            ("size", hexadecimal(number(segment, "vmsize"))),
            ("file_offset", number(segment, "fileoff").to_string()),
            ("file_size", number(segment, "filesize").to_string()),
            ("permissions", text(segment, "initprot").to_owned()),
        ];
        Row { key: index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn found_sections(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.sections.columns().iter().map(|row| {
        let address = if row.is_readable { hexadecimal(row.address) } else { "not loaded".to_owned() };
        let cells = vec![
            ("section_name", row.section_name.to_owned()),
            ("address", address),
            ("size", hexadecimal(row.size)),
            ("file_offset", row.file_offset.to_string()),
            ("alignment", row.alignment.to_string()),
            ("flags", hexadecimal(row.flags)),
            ("info", or_none(row.info)),
            ("entry_size", or_none(row.entry_size)),
        ];
        Row { key: row.section_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_sections(file: &File) -> Option<Vec<Row>> {
    let found = file.sections.sections.columns();
    let row = all(&file.printed["Sections"][0], "Section").enumerate().map(|(index, section)| {
        let is_loaded = index < found.len() && found.row(index).is_readable;
        let address = hexadecimal(number(section, "Address"));
        let alignment = 1_u64.checked_shl(number(section, "Alignment") as u32).unwrap_or_default();
        let name = format!("{},{}", without_bytes(section, "Segment"), without_bytes(section, "Name"));
        let cells = vec![
            ("section_name", name),
            ("address", if is_loaded { address } else { "not loaded".to_owned() }),
            ("size", hexadecimal(number(section, "Size"))),
            ("file_offset", number(section, "Offset").to_string()),
            ("alignment", alignment.to_string()),
            ("flags", hexadecimal(number(section, "Attributes") << 8 | number(section, "Type"))),
            ("info", number(section, "Reserved1").to_string()),
            ("entry_size", number(section, "Reserved2").to_string()),
        ];
        Row { key: (number(section, "Index") + 1).to_string(), cells }
    });
    Some(row.collect()).filter(|rows: &Vec<_>| !rows.is_empty())
}

/// A name whose bytes follow in parentheses.
fn without_bytes<'a>(node: &'a Value, name: &str) -> &'a str {
    text(node, name).rsplit_once(" (").map_or("", |(name, _)| name)
}

pub(super) fn found_symbols(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.symbols.columns().iter().map(|row| {
        let is_debug = row.definition_kind == SymbolDefinition::Debug;
        let of_linker = |text: String| if is_debug { "for debuggers".to_owned() } else { text };
        let is_local = row.binding == SymbolBinding::Local;
        let is_hidden = row.visibility == SymbolVisibility::Hidden;
        let cells = vec![
            ("symbol_name", row.symbol_name.to_owned()),
            ("symbol_address", hexadecimal(row.symbol_address)),
            ("section_index", of_linker(row.section_index.unwrap_or(0).to_string())),
            ("binding", of_linker(if is_local { "local" } else { "external" }.to_owned())),
            ("visibility", of_linker(if is_hidden { "hidden" } else { "default" }.to_owned())),
        ];
        Row { key: row.symbol_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_symbols(file: &File) -> Option<Vec<Row>> {
    let symbols = all(&file.printed["Symbols"][0], "Symbol").enumerate();
    let row = symbols.map(|(index, symbol)| {
        let is_debug = number(symbol, "Type") & N_STAB != 0 || text(symbol, "Type").starts_with("SymDebug");
        let of_linker = |text: String| if is_debug { "for debuggers".to_owned() } else { text };
        // A bit of the type has a line only if it is set.
        let is_set = |bit: &str| !symbol[bit].is_null();
        let cells = vec![
            ("symbol_name", without_bytes(symbol, "Name").to_owned()),
            ("symbol_address", hexadecimal(number(symbol, "Value"))),
            ("section_index", of_linker(number(symbol, "Section").to_string())),
            ("binding", of_linker(if is_set("Extern") { "external" } else { "local" }.to_owned())),
            ("visibility", of_linker(if is_set("PrivateExtern") { "hidden" } else { "default" }.to_owned())),
        ];
        Row { key: index.to_string(), cells }
    });
    Some(row.collect())
}

/// Relocations of an object, by section and position.
pub(super) fn found_relocations(file: &File) -> Option<Vec<Row>> {
    let sections = file.sections.sections.columns();
    let names: BTreeMap<_, _> = sections.iter().map(|row| (row.section_index, row.section_name)).collect();
    let mut positions = Positions::default();
    let relocations = file.linkage.relocations.columns();
    let of_object = relocations.iter().filter(|row| !row.is_dynamic && !PARTS.contains(&row.relocation_type));
    let row = of_object.map(|row| {
        let section = row.section_index.and_then(|index| names.get(&index)).copied().unwrap_or_default();
        let section = section.split(',').next_back().unwrap_or_default();
        let cells = vec![
            ("address", hexadecimal(row.address)),
            ("relocation_type", row.relocation_type.to_owned()),
            ("symbol_name", or_none(row.symbol_name)),
        ];
        Row { key: positions.next(section), cells }
    });
    Some(row.collect())
}

/// `0x40 0 2 1 ARM64_RELOC_BRANCH26 0 _name`: offset, whether it is relative, size, whether it refers to a symbol, type,
/// whether it is scattered, symbol or section.
pub(super) fn expected_relocations(file: &File) -> Option<Vec<Row>> {
    let printed = file.output("llvm-readobj", &["--relocations"])?;
    let mut positions = Positions::default();
    let mut rows = Vec::new();
    let mut section = "";
    for line in printed.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Section ").and_then(|line| line.strip_suffix(" {")) {
            section = name;
            continue;
        }
        let mut words = line.splitn(7, ' ');
        let (Some(Some(address)), Some(kind)) = (words.next().map(|word| parts(word).1), words.nth(2)) else {
            continue;
        };
        let (Some(relocation_type), Some(name)) = (words.next(), words.nth(1)) else { continue };
        if PARTS.contains(&relocation_type) {
            continue;
        }
        let symbol = (kind == "1").then_some(name);
        let cells = vec![
            ("address", hexadecimal(address)),
            ("relocation_type", relocation_type.to_owned()),
            ("symbol_name", or_none(symbol)),
        ];
        rows.push(Row { key: positions.next(section), cells });
    }
    Some(rows)
}
