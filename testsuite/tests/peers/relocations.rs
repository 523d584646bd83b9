//! Reads `binary_relocations`.

use crate::File;
use crate::rows::{Positions, Row, hexadecimal, list, name, name_or_number, number, or_none};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Types of sections with packed relative relocations. The table calls their relocations `RELR`, the tool by the name
/// of the architecture's relative relocation.
const PACKED_RELATIVE: [&str; 2] = ["SHT_RELR", "SHT_ANDROID_RELR"];

const EM_MIPS: u64 = 8;

const RELR: &str = "RELR";

/// Relocations are identified by their section and position. Without section headers they are identified by their
/// address, since the tool prints them in another order.
pub(super) fn found(file: &File) -> Option<Vec<Row>> {
    let has_sections = file.dynamic_relocations.is_none();
    let mut positions = Positions::default();
    let section_names = section_names(file);
    let row = file.linkage.relocations.columns().iter().map(|row| {
        let group = match has_sections {
            true => format!("section {}", or_none(row.table_section_index)),
            false => format!("address {}", hexadecimal(row.address)),
        };
        let symbol = row.is_symbol_dynamic.zip(row.symbol_index);
        let section_name = symbol.and_then(|symbol| section_names.get(&symbol).copied());
        let name = section_name.or(row.symbol_name).unwrap_or_default();
        let mut cells =
            vec![("relocation_type", row.relocation_type.to_owned()), ("symbol_name", name.to_owned())];
        if has_sections {
            cells.push(("address", hexadecimal(row.address)));
            cells.push(("symbol_index", row.symbol_index.unwrap_or_default().to_string()));
            cells.push(("addend", or_none(row.addend)));
        }
        Row { key: positions.next(&group), cells }
    });
    Some(row.collect())
}

/// The names of sections, by their symbols that have no name of their own. The tool prints them instead.
fn section_names(file: &File) -> BTreeMap<(bool, u32), &str> {
    let symbols = file.sections.symbols.columns();
    let unnamed = symbols.iter().filter(|row| row.symbol_type == "section" && row.symbol_name.is_empty());
    unnamed.filter_map(|row| Some(((row.is_dynamic, row.symbol_index), row.section_name?))).collect()
}

pub(super) fn expected(file: &File) -> Option<Vec<Row>> {
    let mut positions = Positions::default();
    let mut rows = Vec::new();
    if let Some(text) = &file.dynamic_relocations {
        // The tool then does not read packed relocations of Android.
        let mut entries = file.printed["DynamicSection"].as_array().into_iter().flatten();
        if entries.any(|entry| entry["Type"].as_str().is_some_and(|name| name.starts_with("ANDROID_"))) {
            return None;
        }
        // It prints those of the PLT twice if `DT_RELA` contains them.
        let mut seen = BTreeSet::new();
        let lines = text.lines().filter(|line| seen.insert(*line));
        rows.extend(lines.filter_map(|line| parse(line, &mut positions)));
        return Some(rows);
    }
    let types: BTreeMap<_, _> = list(&file.printed, "Sections", "Section")
        .map(|section| (number(section, "Index"), name(section, "Type")))
        .collect();
    let header = &file.printed["ElfHeader"];
    let is_32 = name(&header["Ident"], "Class") == "32-bit";
    // The tool misreads packed relocations of little-endian 64-bit MIPS, whose parts are in another order.
    let is_misread = !is_32
        && number(header, "Machine") == EM_MIPS
        && name(&header["Ident"], "DataEncoding") == "LittleEndian"
        && types.values().any(|kind| *kind == "SHT_ANDROID_REL");
    if is_misread {
        return None;
    }
    for table in file.printed["Relocations"].as_array().into_iter().flatten() {
        let index = number(table, "SectionIndex");
        let is_packed = types.get(&index).is_some_and(|kind| PACKED_RELATIVE.contains(kind));
        for relocation in list(table, "Relocs", "Relocation") {
            let key = positions.next(&format!("section {index}"));
            rows.push(Row { key, cells: cells(relocation, is_packed, is_32) });
        }
    }
    Some(rows)
}

fn cells(relocation: &Value, is_packed: bool, is_32: bool) -> Vec<(&'static str, String)> {
    let relocation_type = match is_packed {
        true => RELR.to_owned(),
        false => without_none(&name_or_number(relocation, "Type", "R_")).to_owned(),
    };
    // The tool prints addends without sign, in the width of the file.
    let addend = relocation["Addend"].as_u64();
    let addend = addend.map(|addend| if is_32 { addend as i32 as i64 } else { addend as i64 });
    vec![
        ("relocation_type", relocation_type),
        ("symbol_name", unversioned(name(relocation, "Symbol")).to_owned()),
        ("address", hexadecimal(number(relocation, "Offset"))),
        ("symbol_index", number(relocation, "Symbol").to_string()),
        ("addend", or_none(addend)),
    ]
}

/// `  0x3FE8 R_X86_64_JUMP_SLOT overridable 0x0`; `-` stands for no symbol.
fn parse(line: &str, positions: &mut Positions) -> Option<Row> {
    let mut words = line.strip_prefix("  0x")?.split(' ');
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let cells = vec![
        ("relocation_type", without_none(words.next()?).to_owned()),
        ("symbol_name", unversioned(words.next()?).to_owned()),
    ];
    Some(Row { key: positions.next(&format!("address {}", hexadecimal(address))), cells })
}

/// A relocation of 64-bit MIPS has three types; the table omits the last ones that are `R_MIPS_NONE`.
fn without_none(relocation_type: &str) -> &str {
    let mut rest = relocation_type;
    while let Some(shorter) = rest.strip_suffix("/R_MIPS_NONE") {
        rest = shorter;
    }
    rest
}

/// The name of a symbol without its version; empty for a text that is no symbol.
fn unversioned(name: &str) -> &str {
    if matches!(name, "-" | "<null>") { "" } else { name.split('@').next().unwrap_or_default() }
}
