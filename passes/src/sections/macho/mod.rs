//! The tables of a Mach-O file.

mod compact_unwind;
mod header;
mod section_table;
mod segments;
mod symbols;

use super::{SectionsIr, unwind};
use crate::diagnostics::{Collector, Place};
use crate::formats::macho::{Header, MachO};
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySections, DiagnosticCode, DiagnosticPass, Severity, UnwindEntry};
use object::macho::CPU_TYPE_ARM64;
use sha2::{Digest, Sha256};

pub(super) fn run<H: Header>(macho: &MachO<'_, H>, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    if let Some((file_offset, error)) = macho.broken {
        let message = format!("the rest of the load commands was left out: {error}");
        let (severity, code) = (Severity::Error, DiagnosticCode::BrokenLoaderCommand);
        diagnostics.report(severity, code, Place::FileOffset(file_offset), &message);
    }
    let segments = segments::table(macho, &mut diagnostics);
    let sections = section_table::table(macho, &mut diagnostics);
    let is_aarch64 = macho.cpu_type == CPU_TYPE_ARM64;
    let layout = unwind::Layout::new(macho.endian, macho.header.is_type_64(), is_aarch64);
    let (symbols, (unwind, sha256)) = rayon::join(
        || symbols::table(macho, &sections, &mut diagnostics),
        || rayon::join(|| unwind::read(&sections, layout), || Sha256::digest(macho.file)),
    );
    let mut unwind = unwind;
    unwind.rows.extend(compact_unwind::read(macho, &sections, &symbols, &mut diagnostics));
    set_sections(&mut unwind.rows, &sections, macho.is_relocatable());
    let unwind_entries = unwind::table(unwind, &mut diagnostics);
    let headers = header::table(macho, &symbols, &sha256, member_index);
    SectionsIr { headers, segments, sections, symbols, unwind_entries, diagnostics: diagnostics.finish() }
}

/// Finds the sections that the described code lies in. The sections of an object have addresses too, one behind the other; there,
/// code gets its offset in its section instead.
fn set_sections(entries: &mut [UnwindEntry], sections: &Rows<BinarySections>, is_relocatable: bool) {
    let columns = sections.columns();
    let loaded = columns.iter().filter(|section| section.is_readable && section.size > 0);
    let mut loaded: Vec<_> =
        loaded.map(|section| (section.address, section.size, section.section_index)).collect();
    loaded.sort_unstable();
    for entry in entries {
        let next = loaded.partition_point(|section| section.0 <= entry.address);
        let before = next.checked_sub(1).map(|index| loaded[index]);
        let Some((address, _, index)) = before.filter(|(address, size, _)| entry.address - address < *size)
        else {
            continue;
        };
        entry.section_index = Some(index);
        if is_relocatable {
            entry.address -= address;
        }
    }
}
