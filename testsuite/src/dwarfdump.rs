//! Parser for the output of `llvm-dwarfdump`.

use crate::tools;
use binframe::ir::tables::LocationClass;
use std::collections::BTreeMap;
use std::path::Path;

/// A debugging information entry (DIE).
#[derive(Debug, Default)]
pub struct Entry {
    /// Tag without prefix, such as `variable`.
    pub tag: String,
    /// Offset of the parent entry.
    pub parent: Option<u64>,
    /// Attributes: name, and value without parentheses and line breaks.
    pub attributes: BTreeMap<String, String>,
}

impl Entry {
    /// Value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// String value of an attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// Numeric value of an attribute, decimal or hexadecimal with `0x`.
    pub fn number(&self, name: &str) -> Option<u64> {
        number(self.get(name)?)
    }

    /// Entry that an attribute refers to: `0x00000054 "int"`.
    pub fn reference(&self, name: &str) -> Option<u64> {
        number(self.get(name)?.split(' ').next()?)
    }

    /// Code ranges, without ranges that are empty or start below the lowest address of code, which the linker discarded.
    pub fn ranges(&self, lowest: u64) -> Vec<(u64, u64)> {
        let is_kept = |range: &(u64, u64)| lowest <= range.0 && range.0 < range.1 && range.0 < u64::MAX - 1;
        if let Some(list) = self.get("ranges") {
            return ranges(list).into_iter().map(|(range, _)| range).filter(is_kept).collect();
        }
        let range = self.number("low_pc").zip(self.number("high_pc"));
        range.filter(is_kept).into_iter().collect()
    }
}

/// Parses `0x0000000c [0x119d, 0x11a0): DW_OP_reg5 RDI [0x…` to ranges, each with the text after it.
pub fn ranges(list: &str) -> Vec<((u64, u64), &str)> {
    list.split('[').filter_map(range).collect()
}

fn range(part: &str) -> Option<((u64, u64), &str)> {
    let (start, rest) = part.split_once(", ")?;
    let (end, rest) = rest.split_once(')')?;
    Some(((number(start)?, number(end)?), rest.trim_start_matches(':').trim()))
}

/// Parses a decimal number, or a hexadecimal one with `0x`.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse().ok().map(i64::cast_unsigned)),
    }
}

/// Entries of `.debug_info` by offset. `None`, with a message, if the tool is not installed.
pub fn entries(file: &Path) -> Option<BTreeMap<u64, Entry>> {
    Some(parse_entries(&tools::print(&tools::find("llvm-dwarfdump")?, &["--debug-info"], file)?))
}

/// Parses the output of `llvm-dwarfdump --debug-info` to entries by offset.
pub fn parse_entries(text: &str) -> BTreeMap<u64, Entry> {
    let mut entries = BTreeMap::new();
    let mut current: Option<(u64, Entry)> = None;
    let mut last = String::new();
    let mut around: Vec<(usize, u64)> = Vec::new();
    for line in text.lines() {
        let header =
            line.split_once(": ").filter(|(offset, _)| offset.starts_with("0x") && offset.len() == 10);
        if let Some((offset, rest)) = header {
            if let Some((offset, entry)) = current.take() {
                entries.insert(offset, entry);
            }
            let tag = rest.trim_start();
            let depth = rest.len() - tag.len();
            around.retain(|(outer, _)| *outer < depth);
            let parent = around.last().map(|(_, offset)| *offset);
            if let Some(tag) = tag.strip_prefix("DW_TAG_") {
                let entry = Entry { tag: tag.trim().to_owned(), parent, ..Entry::default() };
                let offset = number(offset).expect("an offset");
                around.push((depth, offset));
                current = Some((offset, entry));
            }
            continue;
        }
        let Some((_, entry)) = &mut current else { continue };
        let line = line.trim();
        match line.strip_prefix("DW_AT_").and_then(|line| line.split_once('\t')) {
            Some((name, value)) => {
                name.clone_into(&mut last);
                entry.attributes.insert(last.clone(), value.strip_prefix('(').unwrap_or(value).to_owned());
            }
            None => {
                if let Some(value) = entry.attributes.get_mut(&last) {
                    value.push(' ');
                    value.push_str(line);
                }
            }
        }
    }
    entries.extend(current);
    for entry in entries.values_mut() {
        for value in entry.attributes.values_mut() {
            let trimmed = value.trim();
            *value = trimmed.strip_suffix(')').unwrap_or(trimmed).trim().replace("\\\"", "\"");
        }
    }
    entries
}

/// A row of a line number program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Address of the first byte.
    pub address: u64,
    /// Distance to the next row.
    pub size: u64,
    /// Path of the source file.
    pub file: String,
    /// Line; 0 for none.
    pub number: u32,
    /// Column; 0 for none.
    pub column: u32,
    /// Distinguishes blocks on the same line.
    pub discriminator: u32,
    /// `is_stmt`, `prologue_end`, `epilogue_begin`.
    pub flags: [bool; 3],
}

/// Rows of the line number programs, by offset of the program. `None`, with a message, if the tool is not installed.
pub fn lines(file: &Path) -> Option<BTreeMap<u64, Vec<Line>>> {
    Some(parse_lines(&tools::print(&tools::find("llvm-dwarfdump")?, &["--debug-line"], file)?, 1))
}

/// Parses the output of `llvm-dwarfdump --debug-line`. Sequences below the lowest address of code are left out, which the
/// linker discarded.
pub fn parse_lines(text: &str, lowest: u64) -> BTreeMap<u64, Vec<Line>> {
    let mut programs: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
    let (mut offset, mut version) = (0, 0);
    let (mut directories, mut files) = (BTreeMap::new(), BTreeMap::new());
    let (mut file_index, mut is_open, mut is_discarded) = (0, false, false);
    let quoted = |text: &str| text.trim().trim_matches('"').to_owned();
    let bracketed = |text: &str| number(text.split(']').next()?.trim());
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(rest) = trimmed.strip_prefix("debug_line[") {
            offset = bracketed(rest).expect("an offset");
            programs.insert(offset, Vec::new());
            (directories, files, is_open) = (BTreeMap::new(), BTreeMap::new(), false);
        } else if let Some(rest) = trimmed.strip_prefix("version: ") {
            version = number(rest).expect("a version");
        } else if let Some(rest) = trimmed.strip_prefix("include_directories[") {
            let directory = quoted(rest.split_once('=').expect("a directory").1);
            directories.insert(bracketed(rest).expect("an index"), directory);
        } else if let Some(rest) = trimmed.strip_prefix("file_names[") {
            file_index = bracketed(rest).expect("an index");
        } else if let Some(rest) = trimmed.strip_prefix("name: ") {
            files.insert(file_index, (quoted(rest), 0));
        } else if let Some(rest) = trimmed.strip_prefix("dir_index: ") {
            let directory = number(rest).expect("an index");
            files.entry(file_index).and_modify(|file: &mut (String, u64)| file.1 = directory);
        } else if trimmed.starts_with("0x") {
            let program = programs.get_mut(&offset).expect("a program");
            let (row, is_end) = row(trimmed, &path(version, &directories, &files));
            if let Some(last) = program.last_mut().filter(|_| is_open) {
                last.size = row.address - last.address;
            }
            is_discarded = !is_end && (is_discarded || !is_open && row.address < lowest);
            is_open = !is_end && !is_discarded;
            program.extend(is_open.then_some(row));
        }
    }
    programs
}

/// `0x1190     10     35      1   0             0  is_stmt`
fn row(text: &str, path: &dyn Fn(u64) -> String) -> (Line, bool) {
    let words: Vec<_> = text.split_whitespace().collect();
    let numbers: Vec<_> = words.iter().map_while(|word| number(word)).collect();
    let has = |flag: &str| words.contains(&flag);
    let row = Line {
        address: numbers[0],
        size: 0,
        file: path(numbers[3]),
        number: numbers[1] as u32,
        column: numbers[2] as u32,
        discriminator: numbers[5] as u32,
        flags: ["is_stmt", "prologue_end", "epilogue_begin"].map(has),
    };
    (row, has("end_sequence"))
}

/// Path of a file, joined with its directory if the program states one.
fn path<'a>(
    version: u64,
    directories: &'a BTreeMap<u64, String>,
    files: &'a BTreeMap<u64, (String, u64)>,
) -> impl Fn(u64) -> String + 'a {
    move |index| {
        let Some((name, directory)) = files.get(&index) else { return String::new() };
        let known = directories.get(directory).filter(|_| !name.starts_with('/'));
        match known {
            Some(known) if version >= 5 && *directory > 0 && !known.starts_with('/') => {
                format!("{}/{known}/{name}", directories[&0])
            }
            Some(known) => format!("{known}/{name}"),
            None => name.clone(),
        }
    }
}

/// The innermost function or inlined call with code at or above the address `lowest` that is or contains an entry.
pub fn function_at(entries: &BTreeMap<u64, Entry>, offset: u64, lowest: u64) -> Option<u64> {
    let (mut offset, mut entry) = (offset, &entries[&offset]);
    loop {
        let is_inlined = entry.tag == "inlined_subroutine";
        if is_inlined || entry.tag == "subprogram" {
            match entry.ranges(lowest).is_empty() {
                false => return Some(offset),
                true if is_inlined => {}
                true => return None,
            }
        }
        offset = entry.parent?;
        entry = &entries[&offset];
    }
}

/// Value of an attribute of an entry, or of the entry it refers to by `abstract_origin` or `specification`.
pub fn inherited<'e, T>(
    entries: &'e BTreeMap<u64, Entry>,
    offset: u64,
    get: impl Fn(&'e Entry) -> Option<T>,
) -> Option<T> {
    let mut entry = entries.get(&offset)?;
    loop {
        if let Some(value) = get(entry) {
            return Some(value);
        }
        let origin = entry.reference("abstract_origin").or_else(|| entry.reference("specification"))?;
        entry = entries.get(&origin)?;
    }
}

/// Parses a location such as `DW_OP_fbreg -20`: class, and offset, address or register.
pub fn location(text: &str) -> (LocationClass, Option<u64>) {
    let operations: Vec<_> = text.split(", ").collect();
    let words: Vec<_> = operations[0].split_whitespace().collect();
    let operation = words[0].trim_start_matches("DW_OP_");
    let value = words.get(1).and_then(|word| number(word));
    match (operation, operations.get(1), operations.len()) {
        ("fbreg", None, _) => (LocationClass::FrameOffset, value),
        ("addr", None, _) => (LocationClass::Global, value),
        // dwarfdump does not print the address.
        ("addrx", None, _) => (LocationClass::Global, None),
        ("addr", Some(plus), 2) if plus.starts_with("DW_OP_plus_uconst") => {
            let plus = number(plus.split(' ').next_back().expect("a word")).expect("a number");
            (LocationClass::Global, value.map(|value| value + plus))
        }
        ("constx", Some(next), 2) if next.contains("tls_address") => (LocationClass::ThreadLocal, None),
        (_, Some(next), 2) if next.contains("tls_address") => (LocationClass::ThreadLocal, value),
        ("implicit_value", None, _) => (LocationClass::Constant, None),
        (constant, Some(&"DW_OP_stack_value"), 2) if constant.starts_with("lit") => {
            (LocationClass::Constant, number(&constant[3..]))
        }
        (constant, Some(&"DW_OP_stack_value"), 2) if constant.starts_with("const") => {
            (LocationClass::Constant, value)
        }
        (register, None, _) if register.starts_with("reg") => {
            (LocationClass::Register, number(register.trim_start_matches("regx").trim_start_matches("reg")))
        }
        (register, None, _) if register.starts_with("breg") => {
            let offset = words.last().and_then(|word| word.find(['+', '-']).map(|at| &word[at..]));
            let offset = offset.and_then(|offset| number(offset.trim_start_matches('+')));
            (LocationClass::RegisterOffset, offset)
        }
        _ => (LocationClass::Complex, None),
    }
}
