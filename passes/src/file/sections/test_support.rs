//! Tables of synthetic files, for tests.

use super::ir::SectionsIr;
use super::rows::{permissions, plain_header};
use super::unwind;
use binframe_ir::Rows;
use binframe_ir::tables::{
    BinaryHeader, BinaryHeaderBuilder, BinaryKind, BinarySection, BinarySectionBuilder, BinarySections,
    BinaryUnwindEntry, Endianness, Format, SectionKind,
};

/// Readable sections, given name, address and content of each. `.text` is code, others are data.
pub(crate) fn sections(contents: &[(&str, u64, &[u8])]) -> Rows<BinarySections> {
    let mut rows = BinarySectionBuilder::default();
    rows.extend((0..).zip(contents).map(|(section_index, (section_name, address, content))| BinarySection {
        section_name,
        address: *address,
        size: content.len() as u64,
        content,
        permissions: permissions(true, false, *section_name == ".text"),
        is_executable: *section_name == ".text",
        is_writable: false,
        is_readable: true,
        section_index,
        file_offset: *address,
        file_size: content.len() as u64,
        alignment: 1,
        kind: if *section_name == ".text" { SectionKind::Code } else { SectionKind::Data },
        flags: 0,
        section_type: Some("SHT_PROGBITS"),
        link: None,
        info: None,
        entry_size: None,
    }));
    rows.finish()
}

/// The tables of a little-endian 64-bit ELF file.
pub(crate) fn file(
    file_size: u64,
    sections: Rows<BinarySections>,
    unwind_entries: Vec<BinaryUnwindEntry>,
) -> SectionsIr {
    let mut headers = BinaryHeaderBuilder::default();
    headers.push(BinaryHeader {
        bits: Some(64),
        endianness: Some(Endianness::Little),
        ..plain_header(Format::Elf, BinaryKind::Executable, file_size as usize, "")
    });
    SectionsIr {
        headers: headers.finish(),
        segments: Rows::default(),
        unwind_entries: unwind::table(unwind_entries, &sections),
        sections,
        symbols: Rows::default(),
        diagnostics: Rows::default(),
    }
}
