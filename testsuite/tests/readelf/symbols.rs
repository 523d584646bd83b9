//! Compares `binary_symbols` with `readelf -s`.

use crate::{Lowered, Outcome, same};
use binframe::ir::Enumeration;
use binframe::ir::tables::{SymbolDefinition, SymbolType};

/// A symbol as `readelf` prints it.
#[derive(Debug, PartialEq)]
struct Symbol {
    is_dynamic: bool,
    index: u32,
    name: String,
    version: Option<String>,
    is_default_version: Option<bool>,
    address: u64,
    size: u64,
    /// Type, binding, visibility.
    kinds: [String; 3],
    /// `UND`, `ABS`, or a section index.
    section: String,
}

pub(super) fn compare(lowered: &Lowered, text: &str) -> Outcome {
    if !lowered.has_sections() {
        return Ok(0);
    }
    let expected = parse(text);
    let mut found = symbols(lowered);
    for (found, expected) in found.iter_mut().zip(&expected) {
        normalize(found, expected);
    }
    same(&found, &expected)
}

fn symbols(lowered: &Lowered) -> Vec<Symbol> {
    let symbols = lowered.sections.symbols.columns();
    let symbol = symbols.iter().map(|row| Symbol {
        is_dynamic: row.is_dynamic,
        index: row.symbol_index,
        name: row.symbol_name.to_owned(),
        version: row.version.map(str::to_owned),
        is_default_version: row.is_default_version,
        address: row.symbol_address,
        size: row.symbol_size,
        kinds: [row.symbol_type, row.binding.name(), row.visibility.name()].map(str::to_owned),
        section: match (row.definition_kind, row.section_index) {
            (SymbolDefinition::Undefined, _) => "UND".to_owned(),
            (SymbolDefinition::Absolute, _) => "ABS".to_owned(),
            (SymbolDefinition::Common, _) => "COM".to_owned(),
            (_, Some(section)) => section.to_string(),
            (other, None) => other.name().to_owned(),
        },
    });
    symbol.collect()
}

/// Normalizes known differences.
fn normalize(found: &mut Symbol, expected: &Symbol) {
    // `readelf` prints the section name for section symbols.
    if found.kinds[0] == SymbolType::Section.name() && found.name.is_empty() {
        found.name.clone_from(&expected.name);
    }
    // `readelf` omits the version of the symbol that defines a version.
    if found.version.as_ref() == Some(&found.name) && expected.version.is_none() {
        (found.version, found.is_default_version) = (None, None);
    }
}

/// All symbols except the null symbol of each table, those of the dynamic table last.
fn parse(text: &str) -> Vec<Symbol> {
    let mut is_dynamic = false;
    let mut symbols = Vec::new();
    for line in text.lines() {
        if let Some(table) = line.strip_prefix("Symbol table ") {
            is_dynamic = table.starts_with("'.dynsym'");
        }
        // `readelf` does not decode `STB_GNU_UNIQUE` if the file does not declare Linux or GNU.
        symbols.extend(parse_line(&line.replacen("<OS specific>: 10", "UNIQUE", 1), is_dynamic));
    }
    symbols.sort_by_key(|symbol| (symbol.is_dynamic, symbol.index));
    symbols
}

/// `     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND getenv@GLIBC_2.2.5 (2)`
fn parse_line(line: &str, is_dynamic: bool) -> Option<Symbol> {
    let (index, rest) = line.trim_start().split_once(": ")?;
    let index = index.parse::<u32>().ok().filter(|index| *index > 0)?;
    let (address, rest) = word(rest)?;
    let (size, rest) = word(rest)?;
    let (symbol_type, rest) = word(rest)?;
    let (binding, rest) = word(rest)?;
    let (visibility, rest) = word(rest)?;
    // Processor-specific flags are in brackets: `[VARIANT_PCS]`, `[<localentry>: 8]`.
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.1,
        None => rest,
    };
    let (section, name) = match rest.trim_start().strip_prefix("bad section index[") {
        // The section was stripped.
        Some(rest) => ("other", rest.split_once("] ")?.1),
        None => word(rest)?,
    };
    let (name, version, is_default_version) = if is_dynamic { versioned(name) } else { (name, None, None) };
    let symbol_type = match symbol_type {
        "FUNC" => "function".to_owned(),
        "OBJECT" | "COMMON" => "variable".to_owned(),
        "IFUNC" => "indirect_function".to_owned(),
        "NOTYPE" => "unknown".to_owned(),
        other => other.to_lowercase(),
    };
    Some(Symbol {
        is_dynamic,
        index,
        name: name.to_owned(),
        version,
        is_default_version,
        address: u64::from_str_radix(address, 16).ok()?,
        size: match size.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok()?,
            None => size.parse().ok()?,
        },
        kinds: [symbol_type, binding.to_lowercase(), visibility.to_lowercase()],
        section: section.to_owned(),
    })
}

/// The first word, and the text after the next space.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(' ').unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text.get(end + 1..).unwrap_or_default()))
}

/// `getenv@GLIBC_2.2.5 (2)`, `__libc_start_main@@GLIBC_2.34`, `main`.
fn versioned(name: &str) -> (&str, Option<String>, Option<bool>) {
    let without_number = name.rsplit_once(" (").map_or(name, |(name, _)| name);
    if let Some((name, version)) = without_number.split_once("@@") {
        return (name, Some(version.to_owned()), Some(true));
    }
    match without_number.split_once('@') {
        Some((name, version)) => (name, Some(version.to_owned()), Some(false)),
        None => (name, None, None),
    }
}
