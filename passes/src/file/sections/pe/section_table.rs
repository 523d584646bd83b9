//! `binary_sections` of a PE image or COFF object, from the section headers.

use super::super::contents::SectionContents;
use super::super::rows::permissions;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::pe::{Coff, ObjectHeader};
use crate::file::formats::pe_addresses::base_name;
use crate::file::text_budget::NameBudget;
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySection, BinarySectionBuilder, BinarySections, DiagnosticCode, SectionKind};
use object::LittleEndian as LE;
use object::pe::{self, SectionFlags};

pub(in crate::file::sections) fn table<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    diagnostics: &mut Collector,
) -> Rows<BinarySections> {
    let mut names = NameBudget::of_file(coff.file);
    let mut contents = SectionContents::new(coff.file, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(coff.file);
    for (section_index, header) in (1..).zip(coff.section_headers) {
        let name = match header.name_offset() {
            // Long names are in the string table.
            Ok(Some(offset)) => names.read(coff.strings(), offset.into()),
            Ok(None) => names.read(&header.name, 0),
            Err(_) => Err("what stands for it is no number"),
        };
        let name = name.unwrap_or_else(|error| {
            let location = DiagnosticLocation::FileOffset(coff.section_header_offset(section_index));
            let message = format!("section {section_index} has no name: {error}");
            contents.diagnostics.warning(DiagnosticCode::BrokenName, location, &message);
            "".into()
        });
        let flags = header.characteristics.get(LE);
        let [is_readable, is_writable, is_executable] =
            [pe::IMAGE_SCN_MEM_READ, pe::IMAGE_SCN_MEM_WRITE, pe::IMAGE_SCN_MEM_EXECUTE]
                .map(|flag| flags.contains(flag));
        let (file_offset, file_size) = coff.file_range(header);
        let size = match header.virtual_size.get(LE) {
            // Objects and old linkers state only the size in the file.
            0 => header.size_of_raw_data.get(LE),
            size => size,
        };
        rows.push(BinarySection {
            section_name: &name,
            address: coff.address(header),
            size: size.into(),
            content: contents.take(section_index, file_offset, file_size),
            permissions: permissions(is_readable, is_writable, is_executable),
            is_executable,
            is_writable,
            is_readable,
            section_index,
            file_offset,
            file_size,
            alignment: coff
                .image
                .map_or_else(|| header.coff_alignment(), |image| image.section_alignment.into()),
            kind: kind(flags, &name),
            flags: flags.0.into(),
            section_type: None,
            link: None,
            info: None,
            entry_size: None,
        });
    }
    if coff.is_one_section() {
        rows.push(whole_file(coff, &mut contents));
    }
    rows.finish()
}

/// An image without sections, which the loader maps as it is.
fn whole_file<'a, H: ObjectHeader>(
    coff: &Coff<'a, H>,
    contents: &mut SectionContents<'a, '_>,
) -> BinarySection<'a> {
    let size = coff.file.len() as u64;
    let location = DiagnosticLocation::FileOffset(coff.section_header_offset(1));
    let message = "no section headers: the whole file stands for a section, as the loader maps it";
    contents.diagnostics.note(DiagnosticCode::NoSectionTable, location, message);
    BinarySection {
        section_name: "",
        address: coff.image.map_or(0, |image| image.base),
        size,
        content: contents.take(1, 0, size),
        permissions: permissions(true, true, true),
        is_executable: true,
        is_writable: true,
        is_readable: true,
        section_index: 1,
        file_offset: 0,
        file_size: size,
        alignment: coff.image.map_or(0, |image| image.section_alignment.into()),
        kind: SectionKind::Code,
        flags: 0,
        section_type: None,
        link: None,
        info: None,
        entry_size: None,
    }
}

fn kind(flags: SectionFlags, name: &str) -> SectionKind {
    let name = base_name(name);
    match name {
        _ if flags.intersects(pe::IMAGE_SCN_CNT_CODE | pe::IMAGE_SCN_MEM_EXECUTE) => SectionKind::Code,
        _ if flags.contains(pe::IMAGE_SCN_CNT_UNINITIALIZED_DATA) => SectionKind::Uninitialized,
        _ if [".debug", ".zdebug", ".stab"].iter().any(|prefix| name.starts_with(prefix)) => {
            SectionKind::Debug
        }
        ".pdata" | ".xdata" | ".eh_frame" | ".gcc_except_table" => SectionKind::Unwind,
        ".tls" => SectionKind::ThreadLocal,
        ".reloc" => SectionKind::Relocations,
        ".idata" | ".didat" | ".edata" => SectionKind::Dynamic,
        _ if flags.contains(pe::IMAGE_SCN_CNT_INITIALIZED_DATA) => SectionKind::Data,
        _ => SectionKind::Other,
    }
}
