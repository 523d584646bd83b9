//! The tables of a Mach-O file.

mod compact_unwind;
mod header;
pub(super) mod section_table;
mod segments;
mod symbols;

use super::ir::SectionsIr;
use super::unwind;
use super::unwind::frames::{self, FrameEncoding, FrameSources};
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::macho::{Header, MachO};
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySections, BinaryUnwindEntry, DiagnosticCode, DiagnosticPass};
use sha2::{Digest, Sha256};

pub(super) fn run<H: Header>(macho: &MachO<'_, H>, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    if let Some((file_offset, error)) = macho.broken {
        let message = format!("the rest of the load commands was left out: {error}");
        let code = DiagnosticCode::BrokenLoaderCommand;
        diagnostics.error(code, DiagnosticLocation::FileOffset(file_offset), &message);
    }
    let segments = segments::table(macho, &mut diagnostics);
    let sections = section_table::table(macho, &segments, &mut diagnostics);
    let architecture = header::architecture(macho.cpu_type);
    let encoding = FrameEncoding::new(architecture, macho.endian, macho.header.is_type_64());
    let sources = FrameSources {
        decompressed: frames::decompressed(macho.file, &sections, None),
        ..FrameSources::default()
    };
    let (symbols, (unwind, sha256)) = rayon::join(
        || symbols::table(macho, &sections, &mut diagnostics),
        || rayon::join(|| frames::read(&sections, encoding, &sources), || Sha256::digest(macho.file)),
    );
    unwind.report(&mut diagnostics);
    let mut entries = unwind.rows;
    entries.extend(compact_unwind::read(macho, &sections, &symbols, &mut diagnostics));
    set_sections(&mut entries, &sections, macho.is_relocatable());
    let unwind_entries = unwind::table(entries, &sections);
    let headers = header::table(macho, &symbols, &sha256, member_index);
    SectionsIr { headers, segments, sections, symbols, unwind_entries, diagnostics: diagnostics.finish() }
}

/// Sets the section of the code that each entry describes. The sections of an object have consecutive addresses; there,
/// the address of an entry becomes an offset in its section, and columns whose values only relocations state become
/// null.
fn set_sections(entries: &mut [BinaryUnwindEntry], sections: &Rows<BinarySections>, is_relocatable: bool) {
    let code = SectionsByAddress::of(sections, |section| section.is_readable);
    let columns = sections.columns();
    for entry in entries {
        let row = code.holding(entry.address);
        entry.section_index = row.map(|row| columns.section_index[row]);
        if is_relocatable {
            entry.address -= row.map_or(0, |row| columns.address[row]);
            entry.personality_address = None;
            entry.is_personality_indirect = None;
            entry.lsda_address = None;
        }
    }
}
