//! Parser for the output of `llvm-dwarfdump`.

use binframe_testsuite::tools;
use std::collections::BTreeMap;
use std::path::Path;

/// A debugging information entry (DIE).
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Tag without prefix, such as `variable`.
    pub(crate) tag: String,
    /// Offset of the parent entry.
    pub(crate) parent: Option<u64>,
    /// Attributes: name, and value without parentheses and line breaks.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Entry {
    /// Value of an attribute.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// String value of an attribute.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// Numeric value of an attribute, decimal or hexadecimal with `0x`.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(self.get(name)?)
    }

    /// Entry that an attribute refers to: `0x00000054 "int"`.
    pub(crate) fn reference(&self, name: &str) -> Option<u64> {
        number(self.get(name)?.split(' ').next()?)
    }

    /// Code ranges, without ranges that are empty or start at 0, which the linker discarded.
    pub(crate) fn ranges(&self) -> Vec<(u64, u64)> {
        if let Some(list) = self.get("ranges") {
            return ranges(list)
                .into_iter()
                .map(|(range, _)| range)
                .filter(|range| 0 < range.0 && range.0 < range.1)
                .collect();
        }
        let range = self.number("low_pc").zip(self.number("high_pc"));
        range.filter(|(start, end)| *start > 0 && start < end && *start < u64::MAX - 1).into_iter().collect()
    }
}

/// Parses `0x0000000c [0x119d, 0x11a0): DW_OP_reg5 RDI [0x…` to ranges, each with the text after it.
pub(crate) fn ranges(list: &str) -> Vec<((u64, u64), &str)> {
    list.split('[').filter_map(range).collect()
}

fn range(part: &str) -> Option<((u64, u64), &str)> {
    let (start, rest) = part.split_once(", ")?;
    let (end, rest) = rest.split_once(')')?;
    Some(((number(start)?, number(end)?), rest.trim_start_matches(':').trim()))
}

pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse().ok().map(i64::cast_unsigned)),
    }
}

/// Entries of `.debug_info` by offset.
pub(crate) fn entries(file: &Path) -> Option<BTreeMap<u64, Entry>> {
    let text = tools::print(&tools::find("llvm-dwarfdump")?, &["--debug-info"], file)?;
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
    Some(entries)
}

/// A row of a line number program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) file: String,
    pub(crate) number: u32,
    pub(crate) column: u32,
    pub(crate) discriminator: u32,
    pub(crate) flags: [bool; 3],
}

/// Rows of the line number programs, by offset of the program.
pub(crate) fn lines(file: &Path) -> Option<BTreeMap<u64, Vec<Line>>> {
    let text = tools::print(&tools::find("llvm-dwarfdump")?, &["--debug-line"], file)?;
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
            // Sequences at address 0 were discarded by the linker.
            is_discarded = !is_end && (is_discarded || !is_open && row.address == 0);
            is_open = !is_end && !is_discarded;
            program.extend(is_open.then_some(row));
        }
    }
    Some(programs)
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
