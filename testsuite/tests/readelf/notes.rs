//! `binary_notes` and `readelf -n`.

use crate::{Lowered, Outcome, hexadecimal, same};

/// Section, owner, size of the content, type, and in a build id, its digits.
type Note = (String, String, u64, String, Option<String>);

pub(super) fn compare(lowered: &Lowered, text: &str) -> Outcome {
    let expected = parse(text);
    let mut found = notes(lowered);
    for (found, expected) in found.iter_mut().zip(&expected) {
        // What types mean is their owner's to say; `readelf` has two names for those of owners that it does not know.
        if matches!((found.3.as_str(), expected.3.as_str()), ("0x1", "NT_VERSION") | ("0x2", "NT_ARCH")) {
            found.3.clone_from(&expected.3);
        }
    }
    same(&found, &expected)
}

fn notes(lowered: &Lowered) -> Vec<Note> {
    let sections = lowered.sections.sections.columns();
    let notes = lowered.linkage.notes.columns();
    let note = notes.iter().map(|row| {
        let section = row.section_index.map_or("", |index| sections.section_name.value(index as usize));
        let is_build_id = row.note_type == "NT_GNU_BUILD_ID";
        let build_id = row.text.filter(|_| is_build_id).map(str::to_owned);
        let (owner, note_type) = (row.owner.to_owned(), row.note_type.to_owned());
        (section.to_owned(), owner, row.content.len() as u64, note_type, build_id)
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
            note.4 = Some(digits.trim().to_owned());
        }
    }
    notes
}

/// `  GNU                  0x00000014\tNT_GNU_BUILD_ID (unique build ID bitstring)\t    Build ID: 2a20aed1…`
fn parse_line(line: &str, section: &str) -> Option<Note> {
    let (head, description) = line.strip_prefix("  ")?.split_once('\t')?;
    let (owner, size) = head.trim_end().rsplit_once(' ').unwrap_or(("", head));
    let size = size.strip_prefix("0x").and_then(hexadecimal)?;
    let note_type = match description.strip_prefix("Unknown note type: (") {
        Some(number) => format!("{:#x}", hexadecimal(number.split(')').next()?)?),
        None => description.split_whitespace().next()?.to_owned(),
    };
    Some((section.to_owned(), owner.trim().to_owned(), size, note_type, None))
}
