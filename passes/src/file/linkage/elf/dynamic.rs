//! `binary_loader_commands` and `binary_libraries` of an ELF file, from the dynamic section.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::elf::{DynamicSection, Elf, Header};
use binframe_ir::tables::{BinaryLibrary, BinaryLoaderCommand, DiagnosticCode, LibraryKind};
use object::elf::{self, machine_names};
use object::read::elf::Dyn;
use std::borrow::Cow;

pub(super) fn push<H: Header>(elf: &Elf<'_, H>, linkage: &mut LinkageBuilder) {
    let dynamic = match elf.dynamic() {
        Ok(Some(dynamic)) => dynamic,
        Ok(None) => return,
        Err(error) => {
            let message = format!("the dynamic section cannot be read: {error}");
            linkage.warning(DiagnosticCode::BrokenLoaderCommand, DiagnosticLocation::FileOffset(0), &message);
            return;
        }
    };
    let endian = elf.endian;
    let size = size_of::<H::Dyn>() as u64;
    let mut library_index = 0;
    for (command_index, entry) in (0..).zip(dynamic.entries) {
        let (tag, value) = (entry.tag(endian), entry.val(endian));
        let unnamed = format!("{:#x}", tag.0);
        let file_offset = dynamic.file_offset.saturating_add(size * u64::from(command_index));
        let text = entry.is_string(endian).then(|| text(&dynamic, value, file_offset, linkage));
        linkage.loader_commands.push(BinaryLoaderCommand {
            command_index,
            command: tag_name(elf.machine, tag).unwrap_or(&unnamed),
            file_offset,
            size,
            value: Some(value),
            text: text.as_deref(),
        });
        let kind = match tag {
            elf::DT_NEEDED => LibraryKind::Needed,
            elf::DT_SONAME => LibraryKind::OwnName,
            elf::DT_RPATH => LibraryKind::Rpath,
            elf::DT_RUNPATH => LibraryKind::Runpath,
            elf::DT_FILTER | elf::DT_AUXILIARY => LibraryKind::Filter,
            _ => continue,
        };
        let library_name = text.as_deref().unwrap_or_default();
        linkage.libraries.push(BinaryLibrary { library_index, kind, library_name, version: None });
        library_index += 1;
    }
}

/// The specification's name of a tag.
fn tag_name(machine: elf::Machine, tag: elf::DynamicTag) -> Option<&'static str> {
    const MIPS_XHASH: elf::DynamicTag = elf::DynamicTag(0x7000_0036);
    match (machine, tag) {
        // `DT_ENCODING` has the same number. It is no tag: it says how those above it are to be read.
        (_, elf::DT_PREINIT_ARRAY) => Some("DT_PREINIT_ARRAY"),
        (elf::EM_MIPS, MIPS_XHASH) => Some("DT_MIPS_XHASH"),
        _ => machine_names(machine).dt.name(tag),
    }
}

/// The string at an offset of the string table; empty if it cannot be read.
fn text<'a, H: Header>(
    dynamic: &DynamicSection<'a, H>,
    offset: u64,
    file_offset: u64,
    linkage: &mut LinkageBuilder,
) -> Cow<'a, str> {
    linkage.names.read(dynamic.strings, offset).unwrap_or_else(|error| {
        let message = format!("the text at {offset:#x} of the dynamic string table cannot be read: {error}");
        linkage.warning(
            DiagnosticCode::BrokenLoaderCommand,
            DiagnosticLocation::FileOffset(file_offset),
            &message,
        );
        Cow::Borrowed("")
    })
}
