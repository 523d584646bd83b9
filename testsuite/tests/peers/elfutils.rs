//! Reads what `eu-readelf` prints about ELF files: sections, symbols with their versions, and the notes of core dumps.

use crate::File;
use crate::rows::{Row, hexadecimal, or_none};
use binframe::ir::Enumeration;
use binframe::ir::tables::{BinaryKind, SymbolDefinition, SymbolType};
use binframe_testsuite::elfutils::{self, Note, REGISTERS};

/// Whether the file has section headers; without them the tool prints neither sections nor symbols.
fn has_sections(file: &File) -> bool {
    file.dynamic_relocations.is_none()
}

pub(super) fn found_sections(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.sections.columns().iter().map(|row| {
        let cells = vec![
            ("section_name", row.section_name.to_owned()),
            ("address", hexadecimal(row.address)),
            ("file_offset", hexadecimal(row.file_offset)),
            ("size", hexadecimal(row.size)),
            ("entry_size", or_none(row.entry_size)),
            ("link", or_none(row.link)),
            ("info", or_none(row.info)),
            ("alignment", row.alignment.to_string()),
        ];
        Row { key: row.section_index.to_string(), cells }
    });
    Some(row.collect()).filter(|_| has_sections(file))
}

pub(super) fn expected_sections(file: &File) -> Option<Vec<Row>> {
    let printed = file.output("eu-readelf", &["-S"])?;
    Some(printed.lines().filter_map(section).collect()).filter(|_| has_sections(file))
}

/// `[ 1] .note.gnu.build-id   NOTE         0000000000000238 00000238 00000024  0 A      0   0  4`: number, name, type,
/// address, offset, size, size of an entry, flags, link, info and alignment. There may be no name and no flags.
fn section(line: &str) -> Option<Row> {
    let (index, rest) = line.strip_prefix('[')?.split_once(']')?;
    let index: u32 = index.trim().parse().ok()?;
    let words: Vec<_> = rest.split_whitespace().collect();
    let digits = |word: &str| {
        let is_number = [6, 8, 16].contains(&word.len());
        u64::from_str_radix(word, 16).ok().filter(|_| is_number)
    };
    let at = words.windows(3).rposition(|words| words.iter().all(|word| digits(word).is_some()))?;
    // A name may contain spaces, and ends with the type.
    let name = rest[..rest.rfind(&words[at..at + 3].join(" "))?].trim();
    // A type without a name is `<unknown>: 40000014`.
    let known = name.rsplit_once(' ').map_or("", |(name, _)| name);
    let name = name.split_once(" <unknown>: ").map_or(known, |(name, _)| name).trim_end();
    let [.., link, info, alignment] = words.as_slice() else { return None };
    let is_loaded = words.get(at + 4).is_some_and(|flags| flags.contains('A'));
    let cells = vec![
        ("section_name", name.to_owned()),
        // The table has no address of a section that is not loaded.
        ("address", hexadecimal(digits(words[at]).filter(|_| is_loaded).unwrap_or(0))),
        ("file_offset", hexadecimal(digits(words[at + 1])?)),
        ("size", hexadecimal(digits(words[at + 2])?)),
        ("entry_size", (*words.get(at + 3)?).to_owned()),
        ("link", (*link).to_owned()),
        ("info", (*info).to_owned()),
        ("alignment", (*alignment).to_owned()),
    ];
    Some(Row { key: index.to_string(), cells })
}

/// Symbols of sections are left out: the tool prints the names of sections as theirs.
pub(super) fn found_symbols(file: &File) -> Option<Vec<Row>> {
    let symbols = file.sections.symbols.columns();
    let row = symbols.iter().filter(|row| row.symbol_type != SymbolType::Section.name()).map(|row| {
        let section = match (row.definition_kind, row.section_index) {
            (SymbolDefinition::Undefined, _) => "UNDEF".to_owned(),
            (SymbolDefinition::Absolute, _) => "ABS".to_owned(),
            (SymbolDefinition::Common, _) => "COMMON".to_owned(),
            (_, section) => or_none(section),
        };
        let cells = vec![
            ("symbol_name", row.symbol_name.to_owned()),
            ("version", or_none(row.version)),
            ("is_default_version", or_none(row.is_default_version)),
            ("symbol_address", hexadecimal(row.symbol_address)),
            ("symbol_size", row.symbol_size.to_string()),
            ("binding", row.binding.name().to_owned()),
            ("visibility", row.visibility.name().to_owned()),
            ("section_index", section),
        ];
        Row { key: key(row.is_dynamic, row.symbol_index), cells }
    });
    Some(row.collect()).filter(|_| has_sections(file))
}

fn key(is_dynamic: bool, index: u32) -> String {
    format!("{} {index}", if is_dynamic { "dynamic" } else { "static" })
}

pub(super) fn expected_symbols(file: &File) -> Option<Vec<Row>> {
    let printed = file.output("eu-readelf", &["-s"])?;
    let mut rows = Vec::new();
    let mut is_dynamic = false;
    for line in printed.lines() {
        if line.starts_with("Symbol table [") {
            is_dynamic = line.contains("'.dynsym'");
        }
        rows.extend(symbol(line, is_dynamic));
    }
    Some(rows).filter(|_| has_sections(file))
}

/// `    6: 0000000000001109     11 FUNC    GLOBAL DEFAULT       10 main@@V_1`
fn symbol(line: &str, is_dynamic: bool) -> Option<Row> {
    let (index, rest) = line.split_once(':')?;
    let index: u32 = index.trim().parse().ok()?;
    let mut rest = rest.trim_start();
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let [address, size, kind, binding, visibility, section] = std::array::from_fn(|_| word());
    if kind == "SECTION" || index == 0 {
        return None;
    }
    // The number of the version follows one that is needed.
    let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
    let default = name.split_once("@@").map(|(name, version)| (name, version, true));
    let versioned = default.or_else(|| name.split_once('@').map(|(name, version)| (name, version, false)));
    let versioned = versioned.filter(|_| is_dynamic);
    let cells = vec![
        ("symbol_name", versioned.map_or(name, |(name, ..)| name).to_owned()),
        ("version", or_none(versioned.map(|(_, version, _)| version))),
        ("is_default_version", or_none(versioned.map(|(.., is_default)| is_default))),
        ("symbol_address", hexadecimal(u64::from_str_radix(address, 16).ok()?)),
        ("symbol_size", size.to_owned()),
        ("binding", binding.to_lowercase()),
        ("visibility", visibility.to_lowercase()),
        ("section_index", section.to_owned()),
    ];
    Some(Row { key: key(is_dynamic, index), cells })
}

/// The notes of a core dump; `None` for other files.
fn core_notes(file: &File) -> Option<Vec<Note>> {
    let is_core = file.sections.headers.columns().row(0).kind == BinaryKind::CoreDump;
    if is_core { elfutils::notes(&file.path) } else { None }
}

pub(super) fn found_registers(file: &File) -> Option<Vec<Row>> {
    let rows = file.linkage.thread_registers.columns();
    let row = rows.iter().map(|row| register(row.thread_index as usize, row.register_name, row.value));
    Some(row.collect())
}

fn register(thread: usize, name: &str, value: u64) -> Row {
    Row { key: format!("thread {thread} {name}"), cells: vec![("value", hexadecimal(value))] }
}

/// Fields of a thread's state that are no registers.
const NOT_REGISTERS: [&str; 10] =
    ["cursig", "pid", "ppid", "pgrp", "sid", "utime", "stime", "cutime", "cstime", "fpvalid"];

pub(super) fn expected_registers(file: &File) -> Option<Vec<Row>> {
    let notes = core_notes(file)?;
    let states = notes.iter().filter(|note| note.kind == "PRSTATUS").enumerate();
    let mut rows = Vec::new();
    for (thread, note) in states {
        for (name, value) in note.numbers() {
            if !NOT_REGISTERS.contains(&name) && !name.starts_with("info.") {
                let own = REGISTERS.iter().find(|(printed, _)| *printed == name);
                rows.push(register(thread, own.map_or(name, |(_, own)| own), value));
            }
        }
    }
    Some(rows)
}

/// The entries of the auxiliary vector.
pub(super) fn found_fields(file: &File) -> Option<Vec<Row>> {
    let rows = file.linkage.attributes.columns();
    let vector = rows.iter().filter(|row| row.source_name == "NT_AUXV").enumerate();
    let row = vector.map(|(index, row)| entry(index, row.value.or(row.address).unwrap_or_default()));
    Some(row.collect())
}

fn entry(index: usize, value: u64) -> Row {
    Row { key: format!("entry {index}"), cells: vec![("value", hexadecimal(value))] }
}

pub(super) fn expected_fields(file: &File) -> Option<Vec<Row>> {
    let notes = core_notes(file)?;
    let vector = notes.iter().filter(|note| note.kind == "AUXV").flat_map(Note::numbers);
    Some(vector.enumerate().map(|(index, (_, value))| entry(index, value)).collect())
}

pub(super) fn found_mapped_files(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.mapped_files.columns().iter().map(|row| {
        let (start, end) = (row.address, row.address + row.size);
        mapped_file([start, end, row.mapped_offset], row.mapped_path.to_owned())
    });
    Some(row.collect())
}

fn mapped_file([start, end, offset]: [u64; 3], path: String) -> Row {
    let cells = vec![
        ("size", hexadecimal(end.saturating_sub(start))),
        ("mapped_offset", hexadecimal(offset)),
        ("mapped_path", path),
    ];
    Row { key: hexadecimal(start), cells }
}

/// `00401000-00402000 00001000 4096                /tmp/threads/threads`: start, end, offset, size, path.
pub(super) fn expected_mapped_files(file: &File) -> Option<Vec<Row>> {
    let notes = core_notes(file)?;
    let lines = notes.iter().filter(|note| note.kind == "FILE").flat_map(|note| &note.lines);
    let row = |line: &String| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (start, end) = words[0].split_once('-')?;
        let numbers = [start, end, words[1]].map(|digits| u64::from_str_radix(digits, 16).ok());
        let [Some(start), Some(end), Some(offset)] = numbers else { return None };
        Some(mapped_file([start, end, offset], words[3..].join(" ")))
    };
    Some(lines.filter_map(row).collect())
}
