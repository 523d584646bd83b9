//! Compares `binary_notes` with `readelf -n`.

use crate::{Lowered, Outcome, hexadecimal, same};

/// A note as `readelf` prints it.
#[derive(Debug, PartialEq)]
struct Note {
    section: String,
    owner: String,
    size: u64,
    kind: String,
    /// Build id in hexadecimal.
    build_id: Option<String>,
}

pub(super) fn compare(lowered: &Lowered, text: &str) -> Outcome {
    let expected = parse(text);
    let mut found = notes(lowered);
    for (found, expected) in found.iter_mut().zip(&expected) {
        normalize(found, expected);
    }
    same(&found, &expected)
}

/// Normalizes known differences.
fn normalize(found: &mut Note, expected: &Note) {
    let Note { owner, kind, .. } = found;
    // The owner defines the meaning of note types. `readelf` uses names for numbers of unknown owners, shorter names
    // for others, and one name of two words, whose first is listed here.
    let names = [("0x1", "NT_VERSION"), ("0x2", "NT_ARCH"), ("NT_GO_BUILD_ID", "GO")];
    let prefixes = ["NT_", "NT_GNU_BUILD_ATTRIBUTE_"];
    let is_shorter = |prefix: &&str| {
        kind.strip_prefix(*prefix).is_some_and(|rest| rest.eq_ignore_ascii_case(&expected.kind))
    };
    if names.contains(&(kind.as_str(), expected.kind.as_str())) || prefixes.iter().any(is_shorter) {
        kind.clone_from(&expected.kind);
    }
    // `readelf` decodes the owner of build attributes.
    if owner.starts_with("GA") && expected.owner.starts_with("GA") {
        owner.clone_from(&expected.owner);
    }
}

fn notes(lowered: &Lowered) -> Vec<Note> {
    let sections = lowered.sections.sections.columns();
    let notes = lowered.linkage.notes.columns();
    let note = notes.iter().map(|row| {
        let section = row.section_index.map_or("", |index| sections.section_name.value(index as usize));
        let is_build_id = row.note_type == "NT_GNU_BUILD_ID";
        Note {
            section: section.to_owned(),
            owner: row.owner.to_owned(),
            size: row.content.len() as u64,
            kind: row.note_type.to_owned(),
            build_id: row.text.filter(|_| is_build_id).map(str::to_owned),
        }
    });
    note.collect()
}

fn parse(text: &str) -> Vec<Note> {
    let mut section = String::new();
    let mut notes: Vec<Note> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Displaying notes found in: ") {
            name.clone_into(&mut section);
        }
        notes.extend(parse_line(line, &section));
        if let (Some(note), Some((_, digits))) = (notes.last_mut(), line.split_once("Build ID: ")) {
            note.build_id = Some(digits.trim().to_owned());
        }
    }
    notes
}

/// `  GNU                  0x00000014\tNT_GNU_BUILD_ID (unique build ID bitstring)\t    Build ID: 2a20aed1…`
fn parse_line(line: &str, section: &str) -> Option<Note> {
    let (head, description) = line.strip_prefix("  ")?.split_once('\t')?;
    let (owner, size) = head.trim_end().rsplit_once(' ').unwrap_or(("", head));
    let size = size.strip_prefix("0x").and_then(hexadecimal)?;
    let kind = match description.strip_prefix("Unknown note type: (") {
        Some(number) => format!("{:#x}", hexadecimal(number.split(')').next()?)?),
        None => description.split_whitespace().next()?.to_owned(),
    };
    Some(Note { section: section.to_owned(), owner: owner.trim().to_owned(), size, kind, build_id: None })
}
