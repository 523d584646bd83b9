//! Parts of rows that several formats share.

use binframe_ir::tables::{BinaryHeader, BinaryKind, BinarySection, BinarySegment, Format, SectionKind};

/// The header row of a file without an architecture; the columns on linking and protection are null.
pub(super) fn plain_header(
    format: Format,
    kind: BinaryKind,
    file_size: usize,
    sha256: &str,
) -> BinaryHeader<'_> {
    BinaryHeader {
        member_index: 0,
        format,
        architecture: None,
        machine: None,
        bits: None,
        endianness: None,
        kind,
        flags: 0,
        entry_address: None,
        image_address: None,
        build_id: None,
        interpreter: None,
        is_position_independent: None,
        has_no_execute: None,
        relocation_read_only: None,
        has_stack_protector: None,
        has_branch_protection: None,
        has_return_protection: None,
        has_signature: None,
        file_size: file_size as u64,
        sha256,
    }
}

/// The section row of a segment, in a file without section headers.
pub(super) fn segment_as_section<'a>(
    section_index: u32,
    segment: &BinarySegment<'a>,
    content: &'a [u8],
) -> BinarySection<'a> {
    let may = |access| segment.permissions.0.contains(access);
    BinarySection {
        section_name: segment.segment_name.unwrap_or_default(),
        address: segment.address,
        size: segment.size,
        content,
        permissions: segment.permissions.0,
        is_executable: may('x'),
        is_writable: may('w'),
        is_readable: may('r'),
        section_index,
        file_offset: segment.file_offset,
        file_size: segment.file_size,
        alignment: segment.alignment,
        kind: if may('x') { SectionKind::Code } else { SectionKind::Data },
        flags: 0,
        section_type: None,
        link: None,
        info: None,
        entry_size: None,
    }
}

/// Permissions in the form `rwx`, with `-` for those that are missing.
pub(super) fn permissions(is_readable: bool, is_writable: bool, is_executable: bool) -> &'static str {
    match (is_readable, is_writable, is_executable) {
        (false, false, false) => "---",
        (false, false, true) => "--x",
        (false, true, false) => "-w-",
        (false, true, true) => "-wx",
        (true, false, false) => "r--",
        (true, false, true) => "r-x",
        (true, true, false) => "rw-",
        (true, true, true) => "rwx",
    }
}
