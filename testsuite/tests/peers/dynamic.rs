//! Reads `binary_loader_commands`, and the needed libraries of `binary_libraries`.

use crate::File;
use crate::rows::{Row, hexadecimal, number, or_none};
use binframe::ir::tables::LibraryKind;
use serde_json::Value;

/// Fields in which the tool prints the string that the value of an entry refers to.
const TEXTS: [&str; 3] = ["Library", "Name", "Path"];

pub(super) fn found_commands(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.loader_commands.columns().iter().map(|row| {
        let cells = vec![
            ("command", row.command.to_owned()),
            ("value", or_none(row.value.map(hexadecimal))),
            ("text", or_none(row.text)),
        ];
        Row { key: row.command_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_commands(file: &File) -> Option<Vec<Row>> {
    let entries = file.printed["DynamicSection"].as_array().into_iter().flatten();
    let entries = entries.take_while(|entry| number(entry, "Tag") != 0);
    Some(entries.enumerate().map(|(index, entry)| command(index, entry)).collect())
}

fn command(index: usize, entry: &Value) -> Row {
    let name = entry["Type"].as_str().unwrap_or_default();
    let is_unknown = name.starts_with("<unknown:>");
    let text = TEXTS.iter().find_map(|field| match &entry[*field] {
        // The folders of a search path.
        Value::Array(parts) => Some(parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(":")),
        text => text.as_str().map(str::to_owned),
    });
    let cells = vec![
        ("command", if is_unknown { hexadecimal(number(entry, "Tag")) } else { format!("DT_{name}") }),
        ("value", hexadecimal(number(entry, "Value"))),
        ("text", or_none(text)),
    ];
    Row { key: index.to_string(), cells }
}

/// In alphabetical order, as the tool prints them.
pub(super) fn found_libraries(file: &File) -> Option<Vec<Row>> {
    let libraries = file.linkage.libraries.columns();
    let needed = libraries.iter().filter(|row| row.kind == LibraryKind::Needed);
    let mut names: Vec<_> = needed.map(|row| row.library_name).collect();
    names.sort_unstable();
    Some(libraries_of(&names))
}

pub(super) fn expected_libraries(file: &File) -> Option<Vec<Row>> {
    let names = file.printed["NeededLibraries"].as_array().into_iter().flatten();
    Some(libraries_of(&names.filter_map(Value::as_str).collect::<Vec<_>>()))
}

fn libraries_of(names: &[&str]) -> Vec<Row> {
    let row = |(index, name): (usize, &&str)| Row {
        key: format!("needed {index}"),
        cells: vec![("library_name", (*name).to_owned())],
    };
    names.iter().enumerate().map(row).collect()
}
