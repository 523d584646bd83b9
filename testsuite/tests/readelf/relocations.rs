//! Compares `binary_relocations` with `readelf -r`.

use crate::{Lowered, Outcome, hexadecimal, same};

/// A relocation as `readelf` prints it.
#[derive(Debug, PartialEq)]
struct Relocation {
    table: String,
    address: u64,
    kind: String,
    symbol_index: Option<u32>,
    addend: Option<i64>,
}

pub(super) fn compare(lowered: &Lowered, text: &str) -> Outcome {
    if !lowered.has_sections() {
        return Ok(0);
    }
    let is_64 = lowered.sections.headers.columns().iter().any(|header| header.bits == Some(64));
    let mut found = relocations(lowered);
    let expected = parse(text, is_64);
    for (found, expected) in found.iter_mut().zip(&expected) {
        // 64-bit MIPS applies up to three types; the tool prints the others on lines of their own.
        if let Some((first, _)) = found.kind.split_once('/') {
            found.kind = first.to_owned();
        }
        if RENAMED.contains(&(found.kind.as_str(), expected.kind.as_str())) {
            found.kind.clone_from(&expected.kind);
        }
    }
    same(&found, &expected)
}

/// Types with two names: ours and that of `readelf`.
const RENAMED: [(&str, &str); 6] = [
    // Binutils knows these from 2.41 on.
    ("R_RISCV_SET_ULEB128", "unrecognized:"),
    ("R_RISCV_SUB_ULEB128", "unrecognized:"),
    ("R_386_JMP_SLOT", "R_386_JUMP_SLOT"),
    ("R_AARCH64_TLS_DTPMOD", "R_AARCH64_TLS_DTPMOD64"),
    ("R_AARCH64_TLS_DTPREL", "R_AARCH64_TLS_DTPREL64"),
    ("R_AARCH64_TLS_TPREL", "R_AARCH64_TLS_TPREL64"),
];

/// Types of sections whose relocations the tool does not know.
const UNKNOWN: [&str; 4] = ["SHT_CREL", "SHT_ANDROID_REL", "SHT_ANDROID_RELA", "SHT_ANDROID_RELR"];

fn relocations(lowered: &Lowered) -> Vec<Relocation> {
    let sections = lowered.sections.sections.columns();
    let relocations = lowered.linkage.relocations.columns();
    let is_known = |index: Option<u32>| {
        let kind = index.and_then(|index| sections.iter().nth(index as usize)?.section_type);
        kind.is_none_or(|kind| !UNKNOWN.contains(&kind))
    };
    let relocations = relocations.iter().filter(|row| is_known(row.table_section_index));
    let relocation = relocations.map(|row| Relocation {
        table: row
            .table_section_index
            .map_or_else(String::new, |index| sections.section_name.value(index as usize).to_owned()),
        address: row.address,
        kind: row.relocation_type.to_owned(),
        symbol_index: row.symbol_index,
        addend: row.addend,
    });
    relocation.collect()
}

fn parse(text: &str, is_64: bool) -> Vec<Relocation> {
    let mut table = String::new();
    let mut has_addend = false;
    let mut relocations = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Relocation section '") {
            rest.split_once('\'').map_or("", |(name, _)| name).clone_into(&mut table);
        }
        if line.trim_start().starts_with("Offset ") {
            has_addend = line.ends_with("+ Addend");
        }
        relocations.extend(parse_line(line, &table, is_64, has_addend));
    }
    relocations
}

/// `0000000000003fd8  0000000200000006 R_X86_64_GLOB_DAT      0000000000000000 exit@GLIBC_2.2.5 + 0`. Without a
/// symbol, only the addend is printed; a RELR table has only addresses.
fn parse_line(line: &str, table: &str, is_64: bool, has_addend: bool) -> Option<Relocation> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let width = if is_64 { 16 } else { 8 };
    let address = words.first().filter(|word| word.len() == width)?;
    let address = hexadecimal(address)?;
    let table = table.to_owned();
    let Some(info) = words.get(1) else {
        let kind = "RELR".to_owned();
        return Some(Relocation { table, address, kind, symbol_index: None, addend: None });
    };
    let info = hexadecimal(info)?;
    let symbol_index = (info >> if is_64 { 32 } else { 8 }) as u32;
    let addend = || {
        let (sign, digits) = match line.rsplit_once(" - ") {
            Some((_, digits)) => (-1, digits),
            None => (1, words[words.len() - 1]),
        };
        hexadecimal(digits.trim()).map(|addend| (addend as i64).wrapping_mul(sign))
    };
    Some(Relocation {
        table,
        address,
        kind: (*words.get(2)?).to_owned(),
        symbol_index: (symbol_index > 0).then_some(symbol_index),
        addend: if has_addend { addend() } else { None },
    })
}
