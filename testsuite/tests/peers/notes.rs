//! Reads `binary_notes`.

use crate::File;
use crate::rows::{NONE, Row, hexadecimal, list, number, or_none};
use serde_json::Value;

const BUILD_ID: &str = "NT_GNU_BUILD_ID";

pub(super) fn found(file: &File) -> Option<Vec<Row>> {
    let sections = file.sections.sections.columns();
    let row = file.linkage.notes.columns().iter().enumerate().map(|(index, row)| {
        let section = row.section_index.filter(|_| file.dynamic_relocations.is_none());
        let section = section.map(|index| sections.section_name.value(index as usize));
        let cells = vec![
            ("section_index", or_none(section)),
            ("owner", row.owner.to_owned()),
            ("note_type", row.note_type.to_owned()),
            ("size", row.content.len().to_string()),
            ("text", or_none(row.text.filter(|_| row.note_type == BUILD_ID))),
        ];
        Row { key: index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected(file: &File) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for section in list(&file.printed, "NoteSections", "NoteSection") {
        // Without section headers, the tool prints the notes of segments.
        let name = section["Name"].as_str().filter(|name| *name != "<?>").unwrap_or(NONE);
        for note in section["Notes"].as_array().into_iter().flatten() {
            rows.push(row(rows.len(), name, note));
        }
    }
    Some(rows)
}

/// A number without leading zeros.
fn unpadded(number: &str) -> String {
    u64::from_str_radix(number.trim_start_matches("0x"), 16).map_or_else(|_| number.to_owned(), hexadecimal)
}

fn row(index: usize, section: &str, note: &Value) -> Row {
    let text = note["Type"].as_str().unwrap_or_default();
    let note_type = match text.strip_prefix("Unknown (") {
        Some(number) => unpadded(number.trim_end_matches(')')),
        None => text.split(' ').next().unwrap_or_default().to_owned(),
    };
    let build_id = note["Build ID"].as_str().filter(|_| note_type == BUILD_ID);
    let cells = vec![
        ("section_index", section.to_owned()),
        // The tool prints all zeros at the end.
        ("owner", note["Owner"].as_str().unwrap_or_default().trim_end_matches('\0').to_owned()),
        ("note_type", note_type),
        ("size", number(note, "Data size").to_string()),
        ("text", or_none(build_id)),
    ];
    Row { key: index.to_string(), cells }
}
