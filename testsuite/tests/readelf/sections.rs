//! Compares `binary_sections` with `readelf -S`.

use crate::{Lowered, Outcome, hexadecimal, same};
use binframe::ir::tables::BinarySection;

/// A section as `readelf` prints it.
#[derive(Debug, PartialEq)]
struct Section {
    index: u32,
    name: String,
    kind: String,
    address: u64,
    file_offset: u64,
    size: u64,
    entry_size: u64,
    flags: String,
    link: u32,
    info: u32,
    alignment: u64,
}

pub(super) fn compare(lowered: &Lowered, text: &str) -> Outcome {
    let expected: Vec<Section> = text.lines().filter_map(parse).collect();
    let columns = lowered.sections.sections.columns();
    if expected.is_empty() {
        return Ok(0);
    }
    for row in columns.iter() {
        let has_bytes = !matches!(row.section_type, Some("SHT_NOBITS" | "SHT_NULL"));
        let size = if has_bytes { row.size } else { 0 };
        if (row.file_size, row.content.len() as u64) != (size, size) {
            return Err(format!("section {} has {} bytes", row.section_index, row.content.len()));
        }
    }
    let mut found: Vec<_> = columns.iter().map(|row| section(&row)).collect();
    for ((found, row), expected) in found.iter_mut().zip(columns.iter()).zip(&expected) {
        normalize(found, &row, expected);
    }
    same(&found, &expected)
}

/// A row in the notation of `readelf`.
fn section(row: &BinarySection<'_>) -> Section {
    let name = row.section_type.unwrap_or_default();
    let name = name.strip_prefix("SHT_").unwrap_or(name);
    // Of the GNU types, `readelf` prints only those of symbol versions without `GNU_`.
    let name = name.strip_prefix("GNU_").filter(|name| name.starts_with("VER")).unwrap_or(name);
    Section {
        index: row.section_index,
        name: row.section_name.to_owned(),
        kind: name.to_owned(),
        address: row.address,
        file_offset: row.file_offset,
        size: row.size,
        entry_size: row.entry_size.unwrap_or_default(),
        flags: String::new(),
        link: row.link.unwrap_or_default(),
        info: row.info.unwrap_or_default(),
        alignment: row.alignment,
    }
}

/// Normalizes known differences.
fn normalize(found: &mut Section, row: &BinarySection<'_>, expected: &Section) {
    // Types that only one of both has a name for.
    const BASES: [(&str, u64); 3] = [("LOOS", 0x6000_0000), ("LOPROC", 0x7000_0000), ("LOUSER", 0x8000_0000)];
    const UNNAMED: [(&str, &str); 5] = [
        ("0x7000002a", "MIPS_ABIFLAGS"),
        ("LLVM_ADDRSIG", "LOOS+0xfff4c03"),
        ("ANDROID_REL", "LOOS+0x1"),
        ("ANDROID_RELA", "LOOS+0x2"),
        ("ANDROID_RELR", "LOOS+0xfffff00"),
    ];
    // Of other types without a name it prints the number, which is read as the end of the name.
    const UNKNOWN: (&str, &str) = ("CREL", "40000014:");
    let is_unknown = expected.kind == "<unknown>"
        && found.kind == UNKNOWN.0
        && expected.name.strip_suffix(UNKNOWN.1).is_some_and(|name| name.trim_end() == found.name);
    if is_unknown {
        found.kind.clone_from(&expected.kind);
        found.name.clone_from(&expected.name);
    }
    let number = expected.kind.split_once('+').and_then(|(base, rest)| {
        let base = BASES.iter().find(|(name, _)| *name == base)?.1;
        Some(format!("{:#x}", hexadecimal(rest)?.checked_add(base)?))
    });
    if number.as_ref() == Some(&found.kind)
        || UNNAMED.contains(&(found.kind.as_str(), expected.kind.as_str()))
    {
        found.kind.clone_from(&expected.kind);
    }
    // `readelf` prints the address in the header even if the section is not loaded; the table has none.
    if !row.is_readable {
        found.address = expected.address;
    }
    found.flags = flags(row.flags, &expected.flags);
}

/// Letters of flags in the order of `readelf`. Letters for OS- and processor-specific flags (`o`, `p`, `x`) are not
/// compared, since they depend on the target.
fn flags(flags: u64, expected: &str) -> String {
    const LETTERS: [(u64, char); 11] = [
        (1, 'W'),
        (2, 'A'),
        (4, 'X'),
        (0x10, 'M'),
        (0x20, 'S'),
        (0x40, 'I'),
        (0x80, 'L'),
        (0x100, 'O'),
        (0x200, 'G'),
        (0x400, 'T'),
        (0x800, 'C'),
    ];
    let known = LETTERS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, letter)| *letter);
    let others = expected.chars().filter(|letter| LETTERS.iter().all(|(_, known)| known != letter));
    known.chain(others).collect()
}

/// `  [ 1] .text PROGBITS 0000000000401000 001000 0000d9 00  AX  0   0 16`; name and flags may be empty.
fn parse(line: &str) -> Option<Section> {
    let (index, rest) = line.trim_start().strip_prefix('[')?.split_once("] ")?;
    let index = index.trim().parse().ok()?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let is_address = |word: &str| matches!(word.len(), 8 | 16) && hexadecimal(word).is_some();
    // From the end: alignment, info, link, flags (optional), entry size, size, offset, address, type.
    let address = [8, 7].iter().filter_map(|distance| words.len().checked_sub(*distance));
    let address = address.into_iter().find(|at| *at > 0 && is_address(words[*at]))?;
    let flags = if words.len() - address == 8 { words[address + 4] } else { "" };
    let [link, info, alignment] = words[words.len() - 3..] else { return None };
    let end_of_name = rest.find(&format!(" {} ", words[address]))?;
    let name = rest[..end_of_name].trim_end().strip_suffix(words[address - 1])?.trim_end();
    Some(Section {
        index,
        name: name.to_owned(),
        kind: words[address - 1].to_owned(),
        address: hexadecimal(words[address])?,
        file_offset: hexadecimal(words[address + 1])?,
        size: hexadecimal(words[address + 2])?,
        entry_size: hexadecimal(words[address + 3])?,
        flags: flags.to_owned(),
        link: link.parse().ok()?,
        info: info.parse().ok()?,
        alignment: alignment.parse().ok()?,
    })
}
