//! `binary_segments`, from the program headers.

use super::{ENDIAN, Elf, bytes_at, permissions};
use crate::diagnostics::{Collector, Place};
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySegment, BinarySegmentBuilder, BinarySegments, DiagnosticCode, Severity};
use object::elf::{PF_R, PF_W, PF_X};
use object::read::elf::ProgramHeader;

pub(super) fn table(elf: &Elf<'_>, diagnostics: &mut Collector) -> Rows<BinarySegments> {
    let mut rows = BinarySegmentBuilder::default();
    for (segment_index, header) in (0..).zip(elf.program_headers) {
        let segment_type = header.p_type(ENDIAN);
        let unnamed = format!("{:#x}", segment_type.0);
        let flags = header.p_flags(ENDIAN);
        let (file_offset, file_size) = (header.p_offset(ENDIAN), header.p_filesz(ENDIAN));
        if let (content, false) = bytes_at(elf.file, file_offset, file_size) {
            let message = format!(
                "segment {segment_index} has {file_size} bytes, of which {} are there",
                content.len()
            );
            let code = DiagnosticCode::SegmentOutOfBounds;
            diagnostics.report(Severity::Error, code, Place::FileOffset(file_offset), &message);
        }
        rows.push(BinarySegment {
            segment_index,
            segment_type: segment_type.name().unwrap_or(&unnamed),
            address: header.p_vaddr(ENDIAN),
            size: header.p_memsz(ENDIAN),
            file_offset,
            file_size,
            alignment: header.p_align(ENDIAN),
            permissions: permissions(flags.contains(PF_R), flags.contains(PF_W), flags.contains(PF_X)),
        });
    }
    rows.finish()
}
