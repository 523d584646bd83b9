//! `binary_headers` of a container, and the members that are binaries of their own.

use super::ir::SectionsIr;
use super::rows::plain_header;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::container::{self, Member};
use crate::file::formats::hexadecimal;
use binframe_ir::Rows;
use binframe_ir::tables::{
    BinaryHeader, BinaryHeaderBuilder, BinaryKind, DiagnosticCode, DiagnosticPass, Endianness, Format,
};
use bytes::Bytes;
use object::archive::THIN_MAGIC;
use sha2::{Digest, Sha256};

/// The members of a container that are binaries of their own, sorted by file offset; a file of another format has none.
pub fn members(file: &Bytes) -> Vec<Member> {
    container::read(file).members
}

/// The paths, relative to the archive's directory, of the members of a thin archive; none for other files.
pub fn thin_members(file: &Bytes) -> Vec<String> {
    // Other archives, whose members are all examined, need not be read for this.
    if file.starts_with(&THIN_MAGIC) { container::read(file).thin } else { Vec::new() }
}

pub(super) fn run(file: &Bytes, format: Format, member_index: u32) -> SectionsIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Sections);
    let container = container::read(file);
    for (member, reason) in &container.opaque {
        let message = format!("member `{}`: {reason}", member.name);
        let location = DiagnosticLocation::FileOffset(member.range.start);
        diagnostics.note(DiagnosticCode::OpaqueMember, location, &message);
    }
    for path in &container.thin {
        let message = format!("member `{path}` is a file of its own");
        diagnostics.note(DiagnosticCode::OpaqueMember, DiagnosticLocation::FileOffset(0), &message);
    }
    if let Some(error) = container.broken {
        let message = format!("members were left out: {error}");
        diagnostics.error(DiagnosticCode::BrokenContainer, DiagnosticLocation::FileOffset(0), &message);
    }
    let mut headers = BinaryHeaderBuilder::default();
    let sha256 = hexadecimal(&Sha256::digest(file));
    headers.push(BinaryHeader {
        member_index,
        endianness: (format == Format::Universal).then_some(Endianness::Big),
        ..plain_header(format, BinaryKind::Container, file.len(), &sha256)
    });
    SectionsIr {
        headers: headers.finish(),
        segments: Rows::default(),
        sections: Rows::default(),
        symbols: Rows::default(),
        unwind_entries: Rows::default(),
        diagnostics: diagnostics.finish(),
    }
}
