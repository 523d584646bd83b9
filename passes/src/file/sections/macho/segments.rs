//! `binary_segments` of a Mach-O file, from `LC_SEGMENT` and `LC_SEGMENT_64`.

use super::super::rows::permissions;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::bytes_at;
use crate::file::formats::macho::{Header, MachO};
use binframe_ir::tables::{BinarySegment, BinarySegmentBuilder, BinarySegments, DiagnosticCode};
use binframe_ir::{Rows, Term};
use object::macho::{self, VM_PROT_EXECUTE, VM_PROT_READ, VM_PROT_WRITE, VmProt};
use object::read::macho::{Section, Segment};

pub(super) fn table<H: Header>(macho: &MachO<'_, H>, diagnostics: &mut Collector) -> Rows<BinarySegments> {
    let endian = macho.endian;
    let mut rows = BinarySegmentBuilder::default();
    for (segment_index, segment) in (0..).zip(&macho.segments) {
        let (file_offset, file_size) = segment.header.file_range(endian);
        if let (content, false) = bytes_at(macho.file, file_offset, file_size) {
            let message = format!(
                "segment {segment_index} has {file_size} bytes, of which {} are there",
                content.len()
            );
            let code = DiagnosticCode::SegmentOutOfBounds;
            diagnostics.error(code, DiagnosticLocation::FileOffset(file_offset), &message);
        }
        let sections = segment.sections.iter();
        let alignment = match macho.is_relocatable() {
            true => sections.map(|section| alignment(section.align(endian))).max().unwrap_or(1),
            false => page_size(macho.cpu_type),
        };
        let [is_readable, is_writable, is_executable] = access(segment.header.initprot(endian));
        rows.push(BinarySegment {
            segment_index,
            segment_type: None,
            segment_name: Some(&String::from_utf8_lossy(segment.header.name())),
            address: segment.header.vmaddr(endian).into(),
            size: segment.header.vmsize(endian).into(),
            file_offset,
            file_size,
            alignment,
            permissions: Term(permissions(is_readable, is_writable, is_executable)),
        });
    }
    rows.finish()
}

/// An alignment in bytes, given its binary logarithm.
pub(super) fn alignment(exponent: u32) -> u64 {
    1_u64.checked_shl(exponent).unwrap_or(0)
}

/// Alignment of segments, in bytes: the page size, since load commands state none.
pub(super) fn page_size(cpu_type: macho::CpuType) -> u64 {
    match cpu_type {
        macho::CPU_TYPE_ARM | macho::CPU_TYPE_ARM64 | macho::CPU_TYPE_ARM64_32 => 0x4000,
        _ => 0x1000,
    }
}

/// Whether memory is readable, writable and executable.
pub(super) fn access(protection: VmProt) -> [bool; 3] {
    [VM_PROT_READ, VM_PROT_WRITE, VM_PROT_EXECUTE].map(|flag| protection.contains(flag))
}
