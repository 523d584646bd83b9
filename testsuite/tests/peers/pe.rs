//! Reads the header, sections, libraries, imports, exports and relocations of PE files.

use crate::File;
use crate::blocks::{all, number, parts, text};
use crate::rows::{Positions, Row, hexadecimal, or_none};
use binframe::ir::Enumeration;
use binframe::ir::tables::LibraryKind;

/// Magic number of the optional header of 64-bit files.
const MAGIC_64: u64 = 0x20b;

const IMAGE_FILE_DLL: u64 = 0x2000;

pub(super) fn found_header(file: &File) -> Option<Vec<Row>> {
    let header = file.sections.headers.columns().iter().next()?;
    let cells = vec![
        ("machine", hexadecimal(header.machine.unwrap_or_default().into())),
        ("bits", or_none(header.bits)),
        ("flags", hexadecimal(header.flags)),
        ("entry_address", or_none(header.entry_address.map(hexadecimal))),
        ("image_address", or_none(header.image_address.map(hexadecimal))),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

pub(super) fn expected_header(file: &File) -> Option<Vec<Row>> {
    let (header, optional) = (&file.printed["ImageFileHeader"][0], &file.printed["ImageOptionalHeader"][0]);
    let flags = number(header, "Characteristics");
    let entry = number(optional, "AddressOfEntryPoint");
    // A library without entry point has 0; the entry point of a program may be its first byte.
    let entry = (entry != 0 || flags & IMAGE_FILE_DLL == 0).then(|| base(file) + entry);
    let bits = if number(optional, "Magic") == MAGIC_64 { 64 } else { 32 };
    let cells = vec![
        ("machine", hexadecimal(number(header, "Machine"))),
        ("bits", bits.to_string()),
        ("flags", hexadecimal(flags)),
        ("entry_address", or_none(entry.map(hexadecimal))),
        ("image_address", hexadecimal(base(file))),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

pub(super) fn found_libraries(file: &File) -> Option<Vec<Row>> {
    let libraries = file.linkage.libraries.columns();
    let used = libraries.iter().filter(|row| row.kind != LibraryKind::OwnName);
    let mut positions = Positions::default();
    Some(used.map(|row| library(row.kind, row.library_name, &mut positions)).collect())
}

pub(super) fn expected_libraries(file: &File) -> Option<Vec<Row>> {
    let kinds = [("Import", LibraryKind::Needed), ("DelayImport", LibraryKind::Delayed)];
    let mut positions = Positions::default();
    let mut rows = Vec::new();
    for (head, kind) in kinds {
        let nodes = all(&file.printed, head);
        rows.extend(nodes.map(|node| library(kind, text(node, "Name"), &mut positions)));
    }
    Some(rows)
}

/// A library; a file may import from one several times.
fn library(kind: LibraryKind, name: &str, positions: &mut Positions) -> Row {
    Row {
        key: positions.next(&format!("{} {name}", kind.name())),
        cells: vec![("row", "present".to_owned())],
    }
}

pub(super) fn found_sections(file: &File) -> Option<Vec<Row>> {
    let row = file.sections.sections.columns().iter().map(|row| {
        let cells = vec![
            ("section_name", row.section_name.to_owned()),
            ("address", hexadecimal(row.address)),
            ("size", hexadecimal(row.size)),
            ("file_offset", hexadecimal(row.file_offset)),
            ("flags", hexadecimal(row.flags)),
        ];
        Row { key: row.section_index.to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_sections(file: &File) -> Option<Vec<Row>> {
    let sections = all(&file.printed["Sections"][0], "Section");
    let row = sections.map(|section| {
        // Without a size in memory, the loader uses the size in the file.
        let sizes = [number(section, "VirtualSize"), number(section, "RawDataSize")];
        let size = sizes.into_iter().find(|size| *size != 0).unwrap_or_default();
        // The bytes of the name follow in parentheses.
        let name = text(section, "Name").rsplit_once(" (").map_or("", |(name, _)| name);
        let cells = vec![
            ("section_name", name.to_owned()),
            ("address", hexadecimal(base(file) + number(section, "VirtualAddress"))),
            ("size", hexadecimal(size)),
            ("file_offset", hexadecimal(number(section, "PointerToRawData"))),
            ("flags", hexadecimal(number(section, "Characteristics"))),
        ];
        Row { key: number(section, "Number").to_string(), cells }
    });
    Some(row.collect())
}

pub(super) fn found_imports(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.imports.columns().iter().map(|row| {
        let cells = vec![
            ("library_name", or_none(row.library_name)),
            ("import_name", row.import_name.unwrap_or_default().to_owned()),
            ("ordinal", or_none(row.ordinal)),
            ("is_delayed", row.is_delayed.to_string()),
        ];
        Row { key: format!("slot {}", or_none(row.slot_address.map(hexadecimal))), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_imports(file: &File) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    let is_64 = number(&file.printed["ImageOptionalHeader"][0], "Magic") == MAGIC_64;
    let width = if is_64 { 8 } else { 4 };
    let heads = [("Import", "ImportAddressTableRVA", false), ("DelayImport", "ImportAddressTable", true)];
    for (head, table, is_delayed) in heads {
        for library in all(&file.printed, head) {
            let mut slot = base(file) + number(library, table);
            // Each delayed import is a node of its own.
            let delayed = all(library, "Import").flat_map(|import| all(import, "Symbol"));
            for symbol in all(library, "Symbol").chain(delayed) {
                let (name, ordinal) = parts(symbol.as_str().unwrap_or_default());
                let cells = vec![
                    ("library_name", text(library, "Name").to_owned()),
                    ("import_name", name.to_owned()),
                    ("ordinal", or_none(ordinal)),
                    ("is_delayed", is_delayed.to_string()),
                ];
                rows.push(Row { key: format!("slot {}", hexadecimal(slot)), cells });
                slot += width;
            }
        }
    }
    Some(rows)
}

pub(super) fn found_exports(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.exports.columns().iter().map(|row| {
        let target = row.address.map_or_else(|| or_none(row.forwarded_to), hexadecimal);
        let cells =
            vec![("export_name", row.export_name.unwrap_or_default().to_owned()), ("address", target)];
        Row { key: format!("ordinal {}", or_none(row.ordinal)), cells }
    });
    Some(row.collect())
}

pub(super) fn expected_exports(file: &File) -> Option<Vec<Row>> {
    // An ordinal between those of exports has neither name nor address.
    let exports = all(&file.printed, "Export");
    let exports = exports.filter(|export| {
        !text(export, "Name").is_empty()
            || !text(export, "ForwardedTo").is_empty()
            || number(export, "RVA") != 0
    });
    let row = exports.map(|export| {
        let forwarded_to = text(export, "ForwardedTo");
        let address = hexadecimal(base(file) + number(export, "RVA"));
        let target = if forwarded_to.is_empty() { address } else { forwarded_to.to_owned() };
        let cells = vec![("export_name", text(export, "Name").to_owned()), ("address", target)];
        Row { key: format!("ordinal {}", text(export, "Ordinal")), cells }
    });
    Some(row.collect())
}

pub(super) fn found_relocations(file: &File) -> Option<Vec<Row>> {
    let row = file.linkage.relocations.columns().iter().map(|row| Row {
        key: row.relocation_index.to_string(),
        cells: vec![
            ("relocation_type", row.relocation_type.to_owned()),
            ("address", hexadecimal(row.address)),
        ],
    });
    Some(row.collect())
}

pub(super) fn expected_relocations(file: &File) -> Option<Vec<Row>> {
    let entries = all(&file.printed["BaseReloc"][0], "Entry");
    // Entries of type `ABSOLUTE` are padding.
    let entries = entries.filter(|entry| text(entry, "Type") != "ABSOLUTE");
    let row = entries.enumerate().map(|(index, entry)| Row {
        key: index.to_string(),
        cells: vec![
            ("relocation_type", format!("IMAGE_REL_BASED_{}", text(entry, "Type"))),
            ("address", hexadecimal(base(file) + number(entry, "Address"))),
        ],
    });
    Some(row.collect())
}

/// Address of the image, to which the tool's addresses are relative.
fn base(file: &File) -> u64 {
    number(&file.printed["ImageOptionalHeader"][0], "ImageBase")
}
