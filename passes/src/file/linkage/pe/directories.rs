//! `binary_loader_commands` of a PE image: its data directories, and `binary_attributes` of some of them.

use super::super::ir::LinkageBuilder;
use super::{clr, load_configuration};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::bytes_at;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::{BinaryLoaderCommand, DiagnosticCode};
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR, IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, IMAGE_DIRECTORY_ENTRY_SECURITY,
    NAMES_DIRECTORY_ENTRY,
};

pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    let mut command_index = 0;
    for index in 0..pe.directories.len() {
        let Some((rva, size)) = pe.directory(index) else { continue };
        // Certificates are not loaded: their directory states a file offset instead of an RVA.
        let is_loaded = index != IMAGE_DIRECTORY_ENTRY_SECURITY;
        let unnamed = format!("{index:#x}");
        let name = NAMES_DIRECTORY_ENTRY.name(index).unwrap_or(&unnamed);
        let found = match is_loaded {
            true => pe.bytes_from(rva),
            false => Some((bytes_at(pe.coff.file, rva.into(), size.into()).0, rva.into())),
        };
        let Some((bytes, file_offset)) = found else {
            let message = format!("{size} bytes at RVA {rva:#x} of {name} are not in the file");
            linkage.warning(
                DiagnosticCode::BrokenLoaderCommand,
                DiagnosticLocation::Address(pe.address(rva)),
                &message,
            );
            continue;
        };
        linkage.loader_commands.push(BinaryLoaderCommand {
            command_index,
            command: name,
            file_offset,
            size: (bytes.len() as u64).min(size.into()),
            value: is_loaded.then(|| pe.address(rva)),
            text: None,
        });
        match index {
            IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG => {
                load_configuration::push(pe, rva, command_index, name, linkage);
            }
            IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR => clr::push_header(pe, rva, command_index, name, linkage),
            _ => {}
        }
        command_index += 1;
    }
}
