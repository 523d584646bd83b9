//! Reads `binary_segments`.

use crate::File;
use crate::rows::{Row, hexadecimal, list, name_or_number, number, or_none};

/// Bits of the permissions, in the order in which they are written.
const PERMISSIONS: [(u64, char); 3] = [(4, 'r'), (2, 'w'), (1, 'x')];

pub(super) fn found(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.segments.columns().iter().map(|row| {
        let cells = vec![
            ("segment_type", or_none(row.segment_type)),
            ("address", hexadecimal(row.address)),
            ("size", hexadecimal(row.size)),
            ("file_offset", hexadecimal(row.file_offset)),
            ("file_size", hexadecimal(row.file_size)),
            ("alignment", hexadecimal(row.alignment)),
            ("permissions", row.permissions.0.to_owned()),
        ];
        Row { key: row.segment_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected(file: &File) -> Option<Vec<Row>> {
    let row = list(&file.printed, "ProgramHeaders", "ProgramHeader").enumerate().map(|(index, header)| {
        let flags = number(header, "Flags");
        let permissions = PERMISSIONS.map(|(bit, letter)| if flags & bit == 0 { '-' } else { letter });
        let cells = vec![
            ("segment_type", name_or_number(header, "Type", "PT_")),
            ("address", hexadecimal(number(header, "VirtualAddress"))),
            ("size", hexadecimal(number(header, "MemSize"))),
            ("file_offset", hexadecimal(number(header, "Offset"))),
            ("file_size", hexadecimal(number(header, "FileSize"))),
            ("alignment", hexadecimal(number(header, "Alignment"))),
            ("permissions", permissions.iter().collect()),
        ];
        Row { key: index.to_string(), cells }
    });
    Some(row.collect())
}
