//! Reads the sections, symbols and relocations of COFF objects.

use crate::File;
use crate::blocks::{all, number, parts, text};
use crate::rows::{Positions, Row, hexadecimal, or_none};
use binframe::ir::Enumeration;

const IMAGE_SYM_CLASS_EXTERNAL: u64 = 2;
const IMAGE_SYM_CLASS_FILE: u64 = 103;
const IMAGE_SYM_CLASS_WEAK_EXTERNAL: u64 = 105;

pub(super) fn found_header(file: &File) -> Option<Vec<Row>> {
    let header = file.sections.headers.columns().iter().next()?;
    let cells = vec![
        ("machine", hexadecimal(header.machine.unwrap_or_default().into())),
        ("flags", hexadecimal(header.flags)),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

pub(super) fn expected_header(file: &File) -> Option<Vec<Row>> {
    let header = &file.printed["ImageFileHeader"][0];
    let cells = vec![
        ("machine", hexadecimal(number(header, "Machine"))),
        ("flags", hexadecimal(number(header, "Characteristics"))),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

pub(super) fn found_sections(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.sections.columns().iter().map(|row| {
        let cells = vec![
            ("section_name", row.section_name.to_owned()),
            ("size", row.size.to_string()),
            ("file_offset", hexadecimal(row.file_offset)),
            ("flags", hexadecimal(row.flags)),
        ];
        Row { key: row.section_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_sections(file: &File) -> Option<Vec<Row>> {
    let row = all(&file.printed["Sections"][0], "Section").map(|section| {
        let name = text(section, "Name").rsplit_once(" (").map_or("", |(name, _)| name);
        let cells = vec![
            ("section_name", name.to_owned()),
            ("size", number(section, "RawDataSize").to_string()),
            ("file_offset", hexadecimal(number(section, "PointerToRawData"))),
            ("flags", hexadecimal(number(section, "Characteristics"))),
        ];
        Row { key: number(section, "Number").to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn found_symbols(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.symbols.columns().iter().map(|row| {
        let cells = vec![
            ("symbol_name", row.symbol_name.to_owned()),
            ("symbol_address", hexadecimal(row.symbol_address)),
            ("section_index", row.section_index.unwrap_or_default().to_string()),
            ("binding", row.binding.name().to_owned()),
        ];
        Row { key: row.symbol_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_symbols(file: &File) -> Option<Vec<Row>> {
    let sections = file.sections.sections.columns();
    let mut index = 0;
    let row = all(&file.printed["Symbols"][0], "Symbol").map(|symbol| {
        let key = index.to_string();
        index += 1 + number(symbol, "AuxSymbolCount");
        let class = number(symbol, "StorageClass");
        // Absolute symbols and those for debuggers have the negative numbers -1 and -2.
        let section = parts(text(symbol, "Section")).1.filter(|section| *section <= sections.len() as u64);
        let section = section.unwrap_or_default();
        // The value is relative to the section; an image has an address instead.
        let base = match section {
            0 => 0,
            section => sections.address[section as usize - 1],
        };
        let name = match class {
            // The name of a source file is in the auxiliary record.
            IMAGE_SYM_CLASS_FILE => text(&symbol["AuxFileRecord"][0], "FileName"),
            _ => text(symbol, "Name"),
        };
        let binding = match class {
            IMAGE_SYM_CLASS_EXTERNAL => "global",
            IMAGE_SYM_CLASS_WEAK_EXTERNAL => "weak",
            _ => "local",
        };
        let cells = vec![
            ("symbol_name", name.to_owned()),
            ("symbol_address", hexadecimal(base + number(symbol, "Value"))),
            ("section_index", section.to_string()),
            ("binding", binding.to_owned()),
        ];
        Row { key, cells }
    });
    Some(row.collect())
}

/// Relocations, by the index of the section that they modify, and position.
pub(super) fn found_relocations(file: &File) -> Option<Vec<Row>> {
    let mut positions = Positions::default();
    let row = file.linkage.relocations.columns().iter().map(|row| {
        let cells = vec![
            ("address", hexadecimal(row.address)),
            ("relocation_type", row.relocation_type.to_owned()),
            ("symbol_index", or_none(row.symbol_index)),
            ("symbol_name", or_none(row.symbol_name)),
        ];
        Row { key: positions.next(&or_none(row.section_index)), cells }
    });
    Some(row.collect())
}

/// `0x2C IMAGE_REL_AMD64_SECREL name (8)` below `Section (10) .debug$S {`.
pub(super) fn expected_relocations(file: &File) -> Option<Vec<Row>> {
    let printed = file.output("llvm-readobj", &["--relocations"])?;
    let mut positions = Positions::default();
    let mut rows = Vec::new();
    let mut section = "";
    for line in printed.lines() {
        let line = line.trim();
        if let Some((index, _)) = line.strip_prefix("Section (").and_then(|line| line.split_once(") ")) {
            section = index;
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let (Some(Some(address)), Some(kind), Some(symbol)) =
            (words.next().map(|word| parts(word).1), words.next(), words.next())
        else {
            continue;
        };
        let (name, index) = parts(symbol);
        let cells = vec![
            ("address", hexadecimal(address)),
            ("relocation_type", kind.to_owned()),
            ("symbol_index", or_none(index)),
            ("symbol_name", name.to_owned()),
        ];
        rows.push(Row { key: positions.next(section), cells });
    }
    Some(rows)
}
