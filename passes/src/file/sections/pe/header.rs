//! `binary_headers` of a PE image or COFF object, from its headers, load configuration and debug directory.

use super::super::rows::plain_header;
use crate::file::formats::hexadecimal;
use crate::file::formats::pe::{Coff, ObjectHeader, Pe, architecture};
use crate::file::formats::short_import::ShortImport;
use binframe_ir::Rows;
use binframe_ir::tables::{BinaryHeader, BinaryHeaderBuilder, BinaryHeaders, BinaryKind, Endianness, Format};
use object::LittleEndian as LE;
use object::pe::{self, Machine};
use std::mem::offset_of;

/// Signature of a reference to a PDB, which GUID and age of the PDB follow.
const PDB_MAGIC: &[u8] = b"RSDS";

/// Bit of the extended DLL characteristics: compatible with a shadow stack.
const CET_COMPAT: u8 = 1;

pub(super) fn table(pe: &Pe<'_>, sha256: &[u8], member_index: u32) -> Rows<BinaryHeaders> {
    let flags = pe.coff.header.characteristics.get(LE);
    // Windows moves no image without relocations, except those of .NET.
    let is_fixed = flags.contains(pe::IMAGE_FILE_RELOCS_STRIPPED)
        && pe.directory(pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR).is_none();
    let is_relocatable = pe.dll_flags.contains(pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE) && !is_fixed;
    let is_dynamic = is_relocatable || flags.contains(pe::IMAGE_FILE_DLL);
    // The pass `linkage` reports a directory that cannot be read.
    let debug_entries = pe.debug_entries().unwrap_or_default();
    let mut contents = debug_entries.iter().map(|entry| (entry.header.typ.get(LE), entry.content));
    let build_id = contents.clone().find_map(|(debug_type, content)| match debug_type {
        pe::IMAGE_DEBUG_TYPE_CODEVIEW => content.strip_prefix(PDB_MAGIC)?.get(..20).map(hexadecimal),
        _ => None,
    });
    let has_return_protection = contents.any(|(debug_type, content)| {
        debug_type == pe::IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS
            && content.first().is_some_and(|flags| flags & CET_COMPAT != 0)
    });
    let mut rows = BinaryHeaderBuilder::default();
    rows.push(BinaryHeader {
        bits: Some(if pe.is_64 { 64 } else { 32 }),
        kind: if is_dynamic { BinaryKind::Dynamic } else { BinaryKind::Executable },
        // A library need not have an entry; that of a program without one is its first byte.
        entry_address: (pe.entry_rva != 0 || !flags.contains(pe::IMAGE_FILE_DLL))
            .then(|| pe.address(pe.entry_rva)),
        image_address: Some(pe.image_base),
        build_id: build_id.as_deref(),
        is_position_independent: Some(is_relocatable),
        has_no_execute: Some(pe.dll_flags.contains(pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT)),
        has_stack_protector: Some(has_security_cookie(pe)),
        has_branch_protection: Some(pe.dll_flags.contains(pe::IMAGE_DLLCHARACTERISTICS_GUARD_CF)),
        has_return_protection: Some(has_return_protection),
        has_signature: Some(pe.directory(pe::IMAGE_DIRECTORY_ENTRY_SECURITY).is_some()),
        ..header(&pe.coff, Format::Pe, &hexadecimal(sha256), member_index)
    });
    rows.finish()
}

pub(super) fn table_of_object<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sha256: &[u8],
    member_index: u32,
) -> Rows<BinaryHeaders> {
    let mut rows = BinaryHeaderBuilder::default();
    rows.push(header(coff, Format::Coff, &hexadecimal(sha256), member_index));
    rows.finish()
}

pub(super) fn table_of_short_import(
    import: &ShortImport<'_>,
    sha256: &[u8],
    member_index: u32,
) -> Rows<BinaryHeaders> {
    let sha256 = hexadecimal(sha256);
    let plain = plain_header(Format::Coff, BinaryKind::ShortImport, import.file.len(), &sha256);
    let mut rows = BinaryHeaderBuilder::default();
    rows.push(BinaryHeader { member_index, ..with_machine(plain, import.machine) });
    rows.finish()
}

/// The columns that images and objects share.
fn header<'s, H: ObjectHeader>(
    coff: &Coff<'_, H>,
    format: Format,
    sha256: &'s str,
    member_index: u32,
) -> BinaryHeader<'s> {
    let plain = plain_header(format, BinaryKind::Relocatable, coff.file.len(), sha256);
    let flags = coff.header.characteristics().0.into();
    BinaryHeader { member_index, flags, ..with_machine(plain, coff.machine) }
}

fn with_machine(header: BinaryHeader<'_>, machine: Machine) -> BinaryHeader<'_> {
    let (architecture, bits) = architecture(machine);
    let is_big_endian = machine == pe::IMAGE_FILE_MACHINE_POWERPCBE;
    BinaryHeader {
        architecture: Some(architecture),
        machine: Some(machine.0.into()),
        bits: Some(bits),
        endianness: Some(if is_big_endian { Endianness::Big } else { Endianness::Little }),
        ..header
    }
}

/// Whether the load configuration states the address of a stack protector cookie. Its size says which fields it has.
fn has_security_cookie(pe: &Pe<'_>) -> bool {
    let (offset, size) = match pe.is_64 {
        true => (offset_of!(pe::ImageLoadConfigDirectory64, security_cookie), 8),
        false => (offset_of!(pe::ImageLoadConfigDirectory32, security_cookie), 4),
    };
    let Some((rva, _)) = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG) else { return false };
    let Some((bytes, _)) = pe.bytes_from(rva) else { return false };
    let own_size = bytes.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    let bytes = &bytes[..bytes.len().min(own_size as usize)];
    bytes.get(offset..offset + size).is_some_and(|cookie| cookie.iter().any(|byte| *byte != 0))
}
