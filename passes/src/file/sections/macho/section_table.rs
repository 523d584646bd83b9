//! `binary_sections` of a Mach-O file: from the section headers or, if there are none, from the segments.

use super::super::contents::SectionContents;
use super::super::rows::{permissions, segment_as_section};
use super::segments::{access, alignment, page_size};
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::macho::{Header, MachO};
use binframe_ir::Rows;
use binframe_ir::tables::{
    BinarySection, BinarySectionBuilder, BinarySections, BinarySegment, BinarySegments, DiagnosticCode,
    SectionKind,
};
use object::macho::{self, SectionFlags, SectionType};
use object::read::macho::{Section, Segment as _};

const DEBUG_SEGMENT: &[u8] = b"__DWARF";

pub(super) fn table<H: Header>(
    macho: &MachO<'_, H>,
    segments: &Rows<BinarySegments>,
    diagnostics: &mut Collector,
) -> Rows<BinarySections> {
    for segment in &macho.segments {
        if let Some(error) = segment.broken {
            let message = format!("the sections of a segment were left out: {error}");
            let location = DiagnosticLocation::FileOffset(segment.command_offset);
            diagnostics.error(DiagnosticCode::BrokenSectionTable, location, &message);
        }
    }
    match macho.sections().next() {
        Some(_) => from_headers(macho, diagnostics),
        None => from_segments(macho, segments, diagnostics),
    }
}

pub(in crate::file::sections) fn from_headers<H: Header>(
    macho: &MachO<'_, H>,
    diagnostics: &mut Collector,
) -> Rows<BinarySections> {
    let endian = macho.endian;
    let mut contents = SectionContents::new(macho.file, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(macho.file);
    for (section_index, segment, header, offset) in macho.sections() {
        let [segment_name, name] = [header.segment_name(), header.name()].map(String::from_utf8_lossy);
        let flags = header.flags(endian);
        let unnamed = format!("{:#x}", flags.typ().0);
        // A dSYM file has headers of sections that are in another file. Their offset is 0, that of the Mach-O header.
        let file_size = header.file_size(endian).filter(|_| offset != 0).unwrap_or(0);
        let is_loaded = !is_debug(header.segment_name(), flags);
        let [is_readable, is_writable, may_execute] = match macho.is_relocatable() {
            // The only segment of an object contains the sections of all segments.
            true => [true, header.segment_name() != macho::SEG_TEXT.as_bytes(), true],
            false => access(segment.initprot(endian)),
        }
        .map(|is_allowed| is_loaded && is_allowed);
        let is_executable = may_execute && has_instructions(flags);
        rows.push(BinarySection {
            section_name: &format!("{segment_name},{name}"),
            address: if is_loaded { header.addr(endian).into() } else { 0 },
            size: header.size(endian).into(),
            content: contents.take(section_index, offset, file_size),
            permissions: permissions(is_readable, is_writable, is_executable),
            is_executable,
            is_writable,
            is_readable,
            section_index,
            file_offset: offset,
            file_size,
            alignment: alignment(header.align(endian)),
            kind: kind(header.segment_name(), &name, flags),
            flags: flags.0.into(),
            section_type: Some(SectionType::NAMES.name(flags.typ()).unwrap_or(&unnamed)),
            link: None,
            info: Some(header.reserved1(endian)),
            entry_size: Some(header.reserved2(endian).into()),
        });
    }
    rows.finish()
}

fn from_segments<H: Header>(
    macho: &MachO<'_, H>,
    segments: &Rows<BinarySegments>,
    diagnostics: &mut Collector,
) -> Rows<BinarySections> {
    if !macho.segments.is_empty() {
        let message = "no section headers: segments stand for sections";
        let location = DiagnosticLocation::FileOffset(0);
        diagnostics.note(DiagnosticCode::NoSectionTable, location, message);
    }
    let mut contents = SectionContents::new(macho.file, diagnostics);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(macho.file);
    for (section_index, segment) in (1..).zip(segments.columns().iter()) {
        let content = contents.take(section_index, segment.file_offset, segment.file_size);
        let segment = BinarySegment { alignment: page_size(macho.cpu_type), ..segment };
        rows.push(segment_as_section(section_index, &segment, content));
    }
    rows.finish()
}

/// Whether a section is not loaded: only debuggers or linkers read it.
fn is_debug(segment_name: &[u8], flags: SectionFlags) -> bool {
    flags.contains(macho::S_ATTR_DEBUG) || segment_name == DEBUG_SEGMENT
}

/// Whether a section contains instructions. Constants may be in the same executable segment.
fn has_instructions(flags: SectionFlags) -> bool {
    flags.contains(macho::S_ATTR_PURE_INSTRUCTIONS) || flags.contains(macho::S_ATTR_SOME_INSTRUCTIONS)
}

fn kind(segment_name: &[u8], name: &str, flags: SectionFlags) -> SectionKind {
    const STUBS: [&str; 3] = ["__stub_helper", "__auth_stubs", "__objc_stubs"];
    const UNWIND: [&str; 4] = ["__unwind_info", "__eh_frame", "__compact_unwind", "__gcc_except_tab"];
    match flags.typ() {
        macho::S_SYMBOL_STUBS => SectionKind::Plt,
        macho::S_ZEROFILL | macho::S_GB_ZEROFILL => SectionKind::Uninitialized,
        macho::S_THREAD_LOCAL_REGULAR | macho::S_THREAD_LOCAL_ZEROFILL => SectionKind::ThreadLocal,
        _ if UNWIND.contains(&name) => SectionKind::Unwind,
        _ if is_debug(segment_name, flags) => SectionKind::Debug,
        _ if has_instructions(flags) && STUBS.contains(&name) => SectionKind::Plt,
        _ if has_instructions(flags) => SectionKind::Code,
        _ => SectionKind::Data,
    }
}
