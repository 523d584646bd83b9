//! File formats: how a file is recognized, the options that print its tables, and the tables.

use crate::rows::Row;
use crate::{
    File, blocks, coff, dyld, dynamic, elfutils, headers, macho, notes, pe, relocations, sections, segments,
    symbols, unwind,
};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

/// Reads the rows of a table; `None` if the tool cannot print the table of this file.
pub(super) type Read = fn(&File) -> Option<Vec<Row>>;

/// A file format, with the options that print its tables.
pub(super) struct Format {
    /// The first bytes of a file.
    magic: &'static [&'static [u8]],
    pub(super) options: &'static [&'static str],
    /// Reads the output of the tool.
    pub(super) parse: fn(String) -> Result<Value, String>,
    /// Tables, each with the functions that read it from binframe and from the tool.
    pub(super) tables: &'static [(&'static str, Read, Read)],
}

/// What a file is.
pub(super) enum Kind {
    File(Format),
    /// An archive or a universal file.
    Container,
}

pub(super) const ELF: Format = Format {
    magic: &[b"\x7fELF"],
    options: &[
        "--elf-output-style=JSON",
        "--file-headers",
        "--sections",
        "--program-headers",
        "--symbols",
        "--dyn-symbols",
        "--relocations",
        "--dynamic-table",
        "--needed-libs",
        "--notes",
    ],
    parse: json,
    tables: &[
        ("binary_headers", headers::found, headers::expected),
        ("binary_sections", sections::found, sections::expected),
        ("binary_segments", segments::found, segments::expected),
        ("binary_symbols", symbols::found, symbols::expected),
        ("binary_relocations", relocations::found, relocations::expected),
        ("binary_loader_commands", dynamic::found_commands, dynamic::expected_commands),
        ("binary_libraries", dynamic::found_libraries, dynamic::expected_libraries),
        ("binary_notes", notes::found, notes::expected),
        ("binary_unwind_entries", unwind::found_frames, unwind::expected_frames),
        ("binary_sections", elfutils::found_sections, elfutils::expected_sections),
        ("binary_symbols", elfutils::found_symbols, elfutils::expected_symbols),
        ("binary_thread_registers", elfutils::found_registers, elfutils::expected_registers),
        ("binary_attributes", elfutils::found_fields, elfutils::expected_fields),
        ("binary_mapped_files", elfutils::found_mapped_files, elfutils::expected_mapped_files),
    ],
};

const PE: Format = Format {
    magic: &[b"MZ"],
    options: &[
        "--file-headers",
        "--sections",
        "--symbols",
        "--coff-imports",
        "--coff-exports",
        "--coff-basereloc",
    ],
    parse: |text| Ok(blocks::parse(&text)),
    tables: &[
        ("binary_headers", pe::found_header, pe::expected_header),
        ("binary_sections", pe::found_sections, pe::expected_sections),
        ("binary_symbols", coff::found_symbols, coff::expected_symbols),
        ("binary_libraries", pe::found_libraries, pe::expected_libraries),
        ("binary_imports", pe::found_imports, pe::expected_imports),
        ("binary_exports", pe::found_exports, pe::expected_exports),
        ("binary_relocations", pe::found_relocations, pe::expected_relocations),
        ("binary_unwind_entries", unwind::found_functions, unwind::expected_functions),
    ],
};

const COFF: Format = Format {
    // x86, x64, ARM64, 32-bit Arm; and objects with many sections, of any machine.
    magic: &[b"\x4c\x01", b"\x64\x86", b"\x64\xaa", b"\xc4\x01", b"\0\0\xff\xff\x02\0"],
    options: &["--file-headers", "--sections", "--symbols"],
    parse: |text| Ok(blocks::parse(&text)),
    tables: &[
        ("binary_headers", coff::found_header, coff::expected_header),
        ("binary_sections", coff::found_sections, coff::expected_sections),
        ("binary_symbols", coff::found_symbols, coff::expected_symbols),
        ("binary_relocations", coff::found_relocations, coff::expected_relocations),
    ],
};

const MACHO: Format = Format {
    magic: &[b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce"],
    options: &["--file-headers", "--sections", "--symbols", "--macho-segment"],
    parse: |text| Ok(blocks::parse(&text)),
    tables: &[
        ("binary_headers", macho::found_header, macho::expected_header),
        ("binary_segments", macho::found_segments, macho::expected_segments),
        ("binary_sections", macho::found_sections, macho::expected_sections),
        ("binary_symbols", macho::found_symbols, macho::expected_symbols),
        ("binary_relocations", macho::found_relocations, macho::expected_relocations),
        ("binary_relocations", dyld::found_pointers, dyld::expected_pointers),
        ("binary_loader_commands", dyld::found_commands, dyld::expected_commands),
        ("binary_attributes", dyld::found_fields, dyld::expected_fields),
        ("binary_libraries", dyld::found_libraries, dyld::expected_libraries),
        ("binary_imports", dyld::found_imports, dyld::expected_imports),
        ("binary_exports", dyld::found_exports, dyld::expected_exports),
        ("binary_unwind_entries", dyld::found_compact_unwind, dyld::expected_compact_unwind),
        ("binary_unwind_entries", unwind::found_frames, unwind::expected_frames),
    ],
};

/// The first bytes of archives and of universal files.
const CONTAINERS: [&[u8]; 3] = [b"!<arch>\n", b"\xca\xfe\xba\xbe\0\0\0", b"\xca\xfe\xba\xbf\0\0\0"];

impl Kind {
    /// What a file is, by its first bytes.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let mut start = [0; 8];
        std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).ok()?;
        if CONTAINERS.iter().any(|magic| start.starts_with(magic)) {
            return Some(Self::Container);
        }
        let has = |format: &Format| format.magic.iter().any(|magic| start.starts_with(magic));
        [ELF, PE, COFF, MACHO].into_iter().find(has).map(Self::File)
    }
}

/// The only file of the JSON that the tool prints.
fn json(text: String) -> Result<Value, String> {
    let mut files: Value = serde_json::from_str(&repaired(text)).map_err(|error| error.to_string())?;
    Ok(files[0].take())
}

/// The tool does not print a machine that it does not know as JSON, but as `Machine: 0x9026` on a line.
fn repaired(text: String) -> String {
    let Some((before, rest)) = text.split_once("Machine: 0x") else { return text };
    let Some((digits, after)) = rest.split_once('\n') else { return text };
    match u32::from_str_radix(digits, 16) {
        Ok(machine) => format!("{before},\"Machine\":{{\"Value\":{machine}}}{after}"),
        Err(_) => text,
    }
}
