//! `binary_segments` of an ELF file, from the program headers.

use super::super::rows::permissions;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::bytes_at;
use crate::file::formats::elf::{Elf, Header};
use binframe_ir::tables::{BinarySegment, BinarySegmentBuilder, BinarySegments, DiagnosticCode};
use binframe_ir::{Rows, Term};
use object::elf::{PF_R, PF_W, PF_X, machine_names};
use object::read::elf::ProgramHeader;

pub(super) fn table<H: Header>(elf: &Elf<'_, H>, diagnostics: &mut Collector) -> Rows<BinarySegments> {
    let endian = elf.endian;
    let names = machine_names(elf.machine).pt;
    let mut rows = BinarySegmentBuilder::default();
    for (segment_index, header) in (0..).zip(elf.program_headers) {
        let segment_type = header.p_type(endian);
        let unnamed = format!("{:#x}", segment_type.0);
        let flags = header.p_flags(endian);
        let (file_offset, file_size) = (header.p_offset(endian).into(), header.p_filesz(endian).into());
        if let (content, false) = bytes_at(elf.file, file_offset, file_size) {
            let message = format!(
                "segment {segment_index} has {file_size} bytes, of which {} are there",
                content.len()
            );
            let code = DiagnosticCode::SegmentOutOfBounds;
            diagnostics.error(code, DiagnosticLocation::FileOffset(file_offset), &message);
        }
        rows.push(BinarySegment {
            segment_index,
            segment_type: Some(
                names.name(segment_type).or_else(|| other_name(segment_type.0)).unwrap_or(&unnamed),
            ),
            segment_name: None,
            address: header.p_vaddr(endian).into(),
            size: header.p_memsz(endian).into(),
            file_offset,
            file_size,
            alignment: header.p_align(endian).into(),
            permissions: Term(permissions(flags.contains(PF_R), flags.contains(PF_W), flags.contains(PF_X))),
        });
    }
    rows.finish()
}

/// The name of a segment type that `object` has no name for.
///
/// Source: `sys/exec_elf.h` of OpenBSD.
fn other_name(segment_type: u32) -> Option<&'static str> {
    Some(match segment_type {
        0x65a3_dbe5 => "PT_OPENBSD_MUTABLE",
        0x65a3_dbe6 => "PT_OPENBSD_RANDOMIZE",
        0x65a3_dbe7 => "PT_OPENBSD_WXNEEDED",
        0x65a3_dbe8 => "PT_OPENBSD_NOBTCFI",
        0x65a3_dbe9 => "PT_OPENBSD_SYSCALLS",
        0x65a4_1be6 => "PT_OPENBSD_BOOTDATA",
        _ => return None,
    })
}
