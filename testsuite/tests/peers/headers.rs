//! Reads `binary_headers`.

use crate::File;
use crate::rows::{Row, hexadecimal, name, number, or_none};
use binframe::ir::Enumeration;

/// Architecture whose older ABI has function descriptors; the lowest bits of the file's flags are the version.
const EM_PPC64: u64 = 21;
const EF_PPC64_ABI: u64 = 3;

pub(super) fn found(file: &File) -> Option<Vec<Row>> {
    let header = file.sections.headers.columns().iter().next()?;
    let machine = header.machine.map(u64::from).unwrap_or_default();
    let entry_address = header.entry_address.unwrap_or_default();
    let cells = vec![
        ("bits", or_none(header.bits)),
        ("endianness", or_none(header.endianness.map(Enumeration::name))),
        ("machine", or_none(header.machine)),
        ("kind", header.kind.name().to_owned()),
        ("flags", hexadecimal(header.flags)),
        // The tool prints 0 for a file without entry point.
        ("entry_address", entry(machine, header.flags, entry_address)),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

pub(super) fn expected(file: &File) -> Option<Vec<Row>> {
    let header = &file.printed["ElfHeader"];
    let identification = &header["Ident"];
    let bits = name(identification, "Class").trim_end_matches("-bit").to_owned();
    let endianness = name(identification, "DataEncoding").trim_end_matches("Endian").to_lowercase();
    let kind = match header["Type"].as_str()?.rsplit_once(" (")?.1 {
        "0x1)" => "relocatable",
        "0x2)" => "executable",
        "0x3)" => "dynamic",
        "0x4)" => "core_dump",
        _ => "other",
    };
    let cells = vec![
        ("bits", bits),
        ("endianness", endianness),
        ("machine", number(header, "Machine").to_string()),
        ("kind", kind.to_owned()),
        ("flags", hexadecimal(number(header, "Flags"))),
        ("entry_address", entry(number(header, "Machine"), number(header, "Flags"), number(header, "Entry"))),
    ];
    Some(vec![Row { key: "file".to_owned(), cells }])
}

/// The entry point. If it is stored as the address of a function descriptor, the table has the function instead, and
/// the two are not compared.
fn entry(machine: u64, flags: u64, address: u64) -> String {
    match machine == EM_PPC64 && flags & EF_PPC64_ABI < 2 {
        true => "in a descriptor".to_owned(),
        false => hexadecimal(address),
    }
}
