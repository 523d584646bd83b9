//! `binary_attributes` of a PE image's load configuration: code for two processors (ARM64EC, ARM64X, CHPE).
//!
//! Source: `IMAGE_LOAD_CONFIG_DIRECTORY` of `winnt.h`.

use super::super::ir::LinkageBuilder;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::BinaryAttribute;
use object::pe;
use std::mem::offset_of;

/// Adds the attributes of the load configuration that a loader command locates.
pub(super) fn push(
    pe: &Pe<'_>,
    rva: u32,
    command_index: u32,
    source_name: &str,
    linkage: &mut LinkageBuilder,
) {
    let Some(metadata) = hybrid_metadata(pe, rva) else { return };
    // The file header has the machine that the image is loaded for.
    let hybrid_machine = match pe.coff.machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => "ARM64EC",
        pe::IMAGE_FILE_MACHINE_ARM64 => "ARM64X",
        _ => "CHPE",
    };
    linkage.push_attribute(BinaryAttribute {
        command_index: Some(command_index),
        source_name,
        attribute_name: "hybrid_machine",
        address: Some(metadata),
        text: Some(hybrid_machine),
        ..BinaryAttribute::default()
    });
}

/// Address of the metadata of code for two processors; `None` if there is no such code. The size of the load
/// configuration says which fields it has.
fn hybrid_metadata(pe: &Pe<'_>, rva: u32) -> Option<u64> {
    let offset = match pe.is_64 {
        true => offset_of!(pe::ImageLoadConfigDirectory64, chpe_metadata_pointer),
        false => offset_of!(pe::ImageLoadConfigDirectory32, chpe_metadata_pointer),
    };
    let (bytes, _) = pe.bytes_from(rva)?;
    let own_size = u32::from_le_bytes(*bytes.first_chunk()?);
    let bytes = &bytes[..bytes.len().min(own_size as usize)];
    let field = bytes.get(offset..offset + pe.address_size())?;
    let address = field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    (address != 0).then_some(address)
}
