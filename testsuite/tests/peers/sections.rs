//! Reads `binary_sections`. A file without section headers has none to compare.

use crate::File;
use crate::rows::{Row, hexadecimal, list, name, name_or_number, number, or_none};

/// Flag of a section that is loaded.
const SHF_ALLOC: u64 = 2;

pub(super) fn found(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.sections.columns().iter().map(|row| {
        let cells = vec![
            ("section_name", row.section_name.to_owned()),
            ("section_type", or_none(row.section_type)),
            ("flags", hexadecimal(row.flags)),
            ("address", hexadecimal(row.address)),
            ("file_offset", hexadecimal(row.file_offset)),
            ("size", hexadecimal(row.size)),
            ("link", or_none(row.link)),
            ("info", or_none(row.info)),
            ("alignment", row.alignment.to_string()),
            ("entry_size", or_none(row.entry_size)),
        ];
        Row { key: row.section_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected(file: &File) -> Option<Vec<Row>> {
    let row = list(&file.printed, "Sections", "Section").map(|section| {
        let flags = number(section, "Flags");
        // The table has no address of a section that is not loaded.
        let address = if flags & SHF_ALLOC == 0 { 0 } else { number(section, "Address") };
        let cells = vec![
            ("section_name", name(section, "Name").to_owned()),
            ("section_type", name_or_number(section, "Type", "SHT_")),
            ("flags", hexadecimal(flags)),
            ("address", hexadecimal(address)),
            ("file_offset", hexadecimal(number(section, "Offset"))),
            ("size", hexadecimal(number(section, "Size"))),
            ("link", number(section, "Link").to_string()),
            ("info", number(section, "Info").to_string()),
            ("alignment", number(section, "AddressAlignment").to_string()),
            ("entry_size", number(section, "EntrySize").to_string()),
        ];
        Row { key: number(section, "Index").to_string(), cells }
    });
    Some(row.collect()).filter(|rows: &Vec<_>| !rows.is_empty())
}
