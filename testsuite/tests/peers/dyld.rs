//! Reads what `llvm-objdump --macho` prints about linked Mach-O files: load commands, libraries, pointers that the loader
//! changes, imports, exports and compact unwind information.

use crate::File;
use crate::blocks::parts;
use crate::rows::{Row, hexadecimal, or_none};
use binframe::ir::tables::{LibraryKind, UnwindSource};
use std::collections::{BTreeMap, BTreeSet};

/// Fields of libraries, and what the tool calls them.
const LIBRARY_FIELDS: [(&str, &str); 3] = [
    ("timestamp", "time stamp"),
    ("current_version", "current version"),
    ("compatibility_version", "compatibility version"),
];

/// Load commands, as keys and values of their lines.
fn commands(file: &File) -> Option<Vec<BTreeMap<String, String>>> {
    let printed = file.output("llvm-objdump", &["--macho", "--private-headers"])?;
    let mut commands: Vec<BTreeMap<String, String>> = Vec::new();
    for line in printed.lines().map(str::trim) {
        if line.starts_with("Load command ") {
            commands.push(BTreeMap::new());
        } else if let Some(command) = commands.last_mut() {
            // Keys of several words are those of libraries.
            let key = LIBRARY_FIELDS.iter().map(|(_, key)| *key).find(|key| line.starts_with(key));
            let key = key.or_else(|| line.split(' ').next()).unwrap_or_default();
            let value = line[key.len()..].trim().to_owned();
            command.entry(key.to_owned()).or_insert(value);
        }
    }
    Some(commands)
}

pub(super) fn found_commands(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.loader_commands.columns().iter().map(|row| {
        let cells = vec![("command", row.command.to_owned()), ("size", row.size.to_string())];
        Row { key: row.command_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_commands(file: &File) -> Option<Vec<Row>> {
    let found = file.linkage.loader_commands.columns();
    let row = commands(file)?.into_iter().enumerate().map(|(index, command)| {
        // The tool does not know the names of new commands.
        let is_unknown = command["cmd"].starts_with('?') && index < found.len();
        let name = if is_unknown { found.command.value(index) } else { &command["cmd"] };
        let size = command["cmdsize"].split(' ').next().unwrap_or_default();
        let cells = vec![("command", name.to_owned()), ("size", size.to_owned())];
        Row { key: index.to_string(), cells }
    });
    Some(row.collect())
}

/// Keys of what is not a field in the table, but in a column of the command or a number of rows.
const NO_FIELDS: [&str; 8] = ["cmd", "cmdsize", "name", "path", "uuid", "ntools", "tool", "count"];

/// The fields of load commands that are attributes.
pub(super) fn found_fields(file: &File) -> Option<Vec<Row>> {
    let fields = file.linkage.attributes.columns();
    let fields = fields.iter().filter(|row| row.value.is_some() && row.address.is_none());
    let row = fields.map(|row| {
        let name = match row.attribute_name.strip_prefix("TOOL_") {
            Some(tool) => format!("tool {}", tool.to_lowercase()),
            None => row.attribute_name.to_owned(),
        };
        let text = match (row.attribute_name, row.text) {
            ("platform", Some(text)) => text.trim_start_matches("PLATFORM_").to_lowercase(),
            // The tool shortens some versions.
            (_, Some(text)) => text.trim_end_matches(".0").to_owned(),
            (_, None) => or_none(row.value),
        };
        let key = format!("{} {}", or_none(row.command_index), name);
        Row { key, cells: vec![("value", text)] }
    });
    Some(row.collect())
}

pub(super) fn expected_fields(file: &File) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for (index, command) in commands(file)?.into_iter().enumerate() {
        let name = command["cmd"].as_str();
        // Segments and threads have tables.
        if ["LC_SEGMENT", "LC_SEGMENT_64", "LC_THREAD", "LC_UNIXTHREAD", "LC_LINKER_OPTION"].contains(&name) {
            continue;
        }
        let tool = command.get("tool").map(|tool| format!("tool {tool}"));
        for (key, value) in &command {
            if NO_FIELDS.contains(&key.as_str()) {
                continue;
            }
            let field = LIBRARY_FIELDS.iter().find(|(_, printed)| printed == key);
            let field = field.map_or(key.as_str(), |(field, _)| *field);
            // A command of the matrix has at most one tool.
            let field = tool.as_deref().filter(|_| key == "version").unwrap_or(field);
            // A date follows a time stamp.
            let value = value.split(' ').next().unwrap_or_default();
            let value = match value {
                "n/a" => "0",
                _ if value.contains('.') => value.trim_end_matches(".0"),
                _ => value,
            };
            rows.push(Row { key: format!("{index} {field}"), cells: vec![("value", value.to_owned())] });
        }
    }
    Some(rows)
}

/// The command of each kind of library.
const LIBRARIES: [(LibraryKind, &str); 6] = [
    (LibraryKind::Needed, "LC_LOAD_DYLIB"),
    (LibraryKind::Weak, "LC_LOAD_WEAK_DYLIB"),
    (LibraryKind::Reexported, "LC_REEXPORT_DYLIB"),
    (LibraryKind::Upward, "LC_LOAD_UPWARD_DYLIB"),
    (LibraryKind::OwnName, "LC_ID_DYLIB"),
    (LibraryKind::Rpath, "LC_RPATH"),
];

pub(super) fn found_libraries(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.libraries.columns().iter().map(|row| {
        let command = LIBRARIES.iter().find(|(kind, _)| *kind == row.kind).map(|(_, command)| command);
        let cells = vec![
            ("kind", or_none(command)),
            ("library_name", row.library_name.to_owned()),
            ("version", or_none(row.version)),
        ];
        Row { key: row.library_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_libraries(file: &File) -> Option<Vec<Row>> {
    let mut commands = commands(file)?;
    commands.retain(|command| LIBRARIES.iter().any(|(_, name)| command["cmd"] == *name));
    let row = commands.iter().enumerate().map(|(index, command)| {
        let name = command.get("name").or_else(|| command.get("path")).map_or("", String::as_str);
        let cells = vec![
            ("kind", command["cmd"].clone()),
            ("library_name", name.rsplit_once(" (offset ").map_or(name, |(name, _)| name).to_owned()),
            ("version", or_none(command.get("current version"))),
        ];
        Row { key: index.to_string(), cells }
    });
    Some(row.collect())
}

/// A pointer that the loader changes: its address, and the symbol or none. The table may state it twice: an operation
/// relocates it, and another one binds it.
fn pointer((address, symbol): (u64, Option<String>)) -> Row {
    let key = format!("{} {}", hexadecimal(address), or_none(symbol));
    Row { key, cells: vec![("row", "present".to_owned())] }
}

pub(super) fn found_pointers(file: &File) -> Option<Vec<Row>> {
    let relocations = file.linkage.relocations.columns();
    let dynamic = relocations.iter().filter(|row| row.is_dynamic);
    let rows: BTreeSet<_> = dynamic.map(|row| (row.address, row.symbol_name.map(str::to_owned))).collect();
    Some(rows.into_iter().map(pointer).collect())
}

/// The lines of the tables of operations, with the words of a line; or those of chains.
fn pointer_lines(file: &File) -> Option<Vec<Vec<String>>> {
    let has = |name: &str| file.linkage.loader_commands.columns().iter().any(|row| row.command == name);
    let options: &[&str] = match () {
        () if has("LC_DYLD_CHAINED_FIXUPS") => &["--macho", "--dyld-info"],
        () if has("LC_DYLD_INFO") || has("LC_DYLD_INFO_ONLY") => {
            &["--macho", "--rebase", "--bind", "--lazy-bind", "--weak-bind"]
        }
        () => return None,
    };
    let printed = file.output("llvm-objdump", options)?;
    let mut is_rebase = false;
    let mut rows = Vec::new();
    for line in printed.lines() {
        if line.ends_with(" table:") {
            is_rebase = line.starts_with("Rebase");
        }
        let line = line.replace(" (weak import)", "");
        let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        if words.iter().any(|word| word.starts_with("0x")) && !words[0].starts_with('/') {
            if is_rebase {
                words.push("rebase".to_owned());
            }
            rows.push(words);
        }
    }
    Some(rows)
}

pub(super) fn expected_pointers(file: &File) -> Option<Vec<Row>> {
    let rows: BTreeSet<_> = pointer_lines(file)?
        .into_iter()
        .filter_map(|words| {
            let address = words.iter().find_map(|word| word.starts_with("0x").then(|| parts(word).1))??;
            let is_rebase = words.iter().any(|word| word == "rebase");
            let name = words.iter().rfind(|word| !word.starts_with('('));
            Some((address, name.filter(|_| !is_rebase).cloned()))
        })
        .collect();
    Some(rows.into_iter().map(pointer).collect())
}

fn import(name: &str) -> Row {
    Row { key: name.to_owned(), cells: vec![("row", "present".to_owned())] }
}

/// Names of the imports that a pointer is bound to.
pub(super) fn found_imports(file: &File) -> Option<Vec<Row>> {
    let imports = file.linkage.imports.columns();
    let names: BTreeSet<_> = imports.iter().filter_map(|row| row.import_name).collect();
    let expected = bound(file)?;
    // Some are called without a pointer of their own: the symbol table has them, but no table of the loader.
    Some(names.into_iter().filter(|name| expected.contains(*name)).map(import).collect())
}

fn bound(file: &File) -> Option<BTreeSet<String>> {
    let lines = pointer_lines(file)?.into_iter();
    let bound = lines.filter(|words| !words.iter().any(|word| word == "rebase"));
    Some(bound.filter_map(|words| words.iter().rfind(|word| !word.starts_with('(')).cloned()).collect())
}

pub(super) fn expected_imports(file: &File) -> Option<Vec<Row>> {
    // A weak definition of the file itself is bound, too, and is no import.
    let exports = file.linkage.exports.columns();
    let own: BTreeSet<_> = exports.iter().filter_map(|row| row.export_name).collect();
    let names = bound(file)?.into_iter().filter(|name| !own.contains(name.as_str()));
    Some(names.map(|name| import(&name)).collect())
}

pub(super) fn found_exports(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.exports.columns().iter().map(|row| {
        let address = or_none(row.address.map(hexadecimal));
        Row { key: or_none(row.export_name), cells: vec![("address", address)] }
    });
    Some(row.collect())
}

/// `0x1234  _name [per-thread]` or `[re-export]  _name (from library)`.
pub(super) fn expected_exports(file: &File) -> Option<Vec<Row>> {
    let printed = file.output("llvm-objdump", &["--macho", "--exports-trie"])?;
    let has_trie = file
        .linkage
        .loader_commands
        .columns()
        .iter()
        .any(|row| ["LC_DYLD_INFO", "LC_DYLD_INFO_ONLY", "LC_DYLD_EXPORTS_TRIE"].contains(&row.command));
    let mut rows = Vec::new();
    for line in printed.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let address = first.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let (Some(name), true) = (words.next(), address.is_some() || first == "[re-export]") else {
            continue;
        };
        // The address of a thread-local variable is that of its descriptor, and the table has none.
        let address = address.filter(|_| !line.contains("[per-thread]"));
        let cells = vec![("address", or_none(address.map(hexadecimal)))];
        rows.push(Row { key: name.to_owned(), cells });
    }
    has_trie.then_some(rows)
}

/// The entries of the linker, some of which describe several functions in the table. The address of an entry is relative
/// to the image.
pub(super) fn found_compact_unwind(file: &File) -> Option<Vec<Row>> {
    let image = file.sections.headers.columns().iter().next()?.image_address?;
    let mut entries: BTreeMap<(u32, u64), (u64, u64)> = BTreeMap::new();
    for row in file.sections.unwind_entries.columns().iter() {
        if row.unwind_kind == UnwindSource::CompactUnwind {
            let (start, end) = (row.address - image, row.address + row.size - image);
            let range = entries.entry((row.entry_section_index, row.entry_offset)).or_insert((start, end));
            *range = (range.0.min(start), range.1.max(end));
        }
    }
    Some(entries.into_values().map(compact_unwind_row).collect())
}

pub(super) fn expected_compact_unwind(file: &File) -> Option<Vec<Row>> {
    file.sections.headers.columns().iter().next()?.image_address?;
    let printed = file.output("llvm-objdump", &["--macho", "--unwind-info"])?;
    let mut starts = Vec::new();
    let mut end = 0;
    for line in printed.lines().filter(|line| line.contains("function offset=")) {
        let after = |key: &str| parts(line.split_once(key)?.1.split([',', ' ']).next()?).1;
        let offset = after("function offset=")?;
        match line.rsplit_once('=').filter(|(before, _)| before.contains(" encoding")) {
            Some((_, encoding)) => starts.push((offset, parts(encoding).1?)),
            None if line.contains("page offset=0x00000000") => end = offset,
            None => {}
        }
    }
    let ends: Vec<_> = starts.iter().skip(1).map(|start| start.0).chain([end]).collect();
    // An encoding of zero describes nothing.
    let entries = starts.into_iter().zip(ends).filter(|((_, encoding), _)| *encoding != 0);
    Some(entries.map(|((start, _), end)| compact_unwind_row((start, end))).collect())
}

fn compact_unwind_row((start, end): (u64, u64)) -> Row {
    Row { key: format!("start {}", hexadecimal(start)), cells: vec![("size", (end - start).to_string())] }
}
