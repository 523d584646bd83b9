//! Reads `binary_symbols`.

use crate::File;
use crate::rows::{Row, hexadecimal, list, name, number, or_none};
use binframe::ir::Enumeration;
use binframe::ir::tables::{SymbolDefinition, SymbolType};
use serde_json::Value;

const EM_ALPHA: u64 = 0x9026;

/// In some section. Without section headers, the sections of the table are the segments.
const DEFINED: &str = "defined";

pub(super) fn found(file: &File) -> Option<Vec<Row>> {
    // The tool finds the versions of symbols by section headers.
    let has_sections = file.dynamic_relocations.is_none();
    let row = file.sections.symbols.columns().iter().map(|row| {
        let section = match (row.definition_kind, row.section_index) {
            (SymbolDefinition::Section, Some(section)) if has_sections => section.to_string(),
            (SymbolDefinition::Section | SymbolDefinition::Other, _) if !has_sections => DEFINED.to_owned(),
            (kind, _) => kind.name().to_owned(),
        };
        let cells = vec![
            ("symbol_name", row.symbol_name.to_owned()),
            ("version", or_none(row.version.filter(|_| has_sections))),
            ("is_default_version", or_none(row.is_default_version.filter(|_| has_sections))),
            ("symbol_address", hexadecimal(row.symbol_address)),
            ("symbol_size", hexadecimal(row.symbol_size)),
            ("symbol_type", row.symbol_type.to_owned()),
            ("binding", row.binding.name().to_owned()),
            ("visibility", row.visibility.name().to_owned()),
            ("section_index", section),
        ];
        Row { key: key(row.is_dynamic, row.symbol_index as usize), cells }
    });
    Some(row.collect())
}

pub(super) fn expected(file: &File) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for (table, is_dynamic) in [("Symbols", false), ("DynamicSymbols", true)] {
        // The first symbol is the null symbol.
        let symbols = list(&file.printed, table, "Symbol").enumerate().skip(1);
        rows.extend(symbols.map(|(index, symbol)| row(file, symbol, is_dynamic, index)));
    }
    // Alpha's `DT_HASH` has 64-bit entries, of which the tool reads the number of dynamic symbols as 0.
    let is_alpha = number(&file.printed["ElfHeader"], "Machine") == EM_ALPHA;
    if is_alpha && list(&file.printed, "DynamicSymbols", "Symbol").next().is_none() {
        return None;
    }
    // Without section headers, the tool knows the number of symbols only if the file has `DT_HASH`.
    let is_known = file.dynamic_relocations.is_none() || !rows.is_empty();
    is_known.then_some(rows)
}

fn key(is_dynamic: bool, index: usize) -> String {
    format!("{} {index}", if is_dynamic { "dynamic" } else { "static" })
}

fn row(file: &File, symbol: &Value, is_dynamic: bool, index: usize) -> Row {
    let symbol_type = match name(symbol, "Type") {
        "None" => SymbolType::Unknown.name().to_owned(),
        "Object" | "Common" => SymbolType::Variable.name().to_owned(),
        "GNU_IFunc" => SymbolType::IndirectFunction.name().to_owned(),
        other => other.to_lowercase(),
    };
    // A section symbol has no name of its own; the tool prints that of the section.
    let is_unnamed = symbol_type == SymbolType::Section.name() && number(symbol, "Name") == 0;
    let text = if is_unnamed { "" } else { name(symbol, "Name") };
    let (text, version, is_default) = if is_dynamic { versioned(text) } else { (text, None, None) };
    let section = match number(symbol, "Section") {
        0 => SymbolDefinition::Undefined.name().to_owned(),
        0xfff1 => SymbolDefinition::Absolute.name().to_owned(),
        0xfff2 => SymbolDefinition::Common.name().to_owned(),
        _ if file.dynamic_relocations.is_some() => DEFINED.to_owned(),
        section => section.to_string(),
    };
    let visibilities = ["default", "internal", "hidden", "protected"];
    let cells = vec![
        ("symbol_name", text.to_owned()),
        ("version", or_none(version)),
        ("is_default_version", or_none(is_default)),
        ("symbol_address", hexadecimal(number(symbol, "Value"))),
        ("symbol_size", hexadecimal(number(symbol, "Size"))),
        ("symbol_type", symbol_type),
        ("binding", name(symbol, "Binding").to_lowercase()),
        ("visibility", visibilities[(number(symbol, "Other") & 3) as usize].to_owned()),
        ("section_index", section),
    ];
    Row { key: key(is_dynamic, index), cells }
}

/// Splits `getenv@GLIBC_2.2.5` and `run@@V_1`, the default version.
fn versioned(name: &str) -> (&str, Option<&str>, Option<bool>) {
    if let Some((name, version)) = name.split_once("@@") {
        return (name, Some(version), Some(true));
    }
    match name.split_once('@') {
        Some((name, version)) => (name, Some(version), Some(false)),
        None => (name, None, None),
    }
}
