//! `clr_methods`, the methods that the metadata of a .NET file declares, and `binary_attributes` of its CLI header.
//!
//! Source: ECMA-335, partition II, 24.2.1 and 25.3.3.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::clr::Clr;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::{BinaryAttribute, ClrMethod, DiagnosticCode};
use object::LittleEndian as LE;
use object::pe::ImageCor20Header;

/// The kind of table in the upper byte of a token.
const METHOD_TOKEN: u32 = 0x0600_0000;

/// Names of the flags of the CLI header.
const FLAGS: [(u32, &str); 7] = [
    (0x1, "ILONLY"),
    (0x2, "32BITREQUIRED"),
    (0x4, "IL_LIBRARY"),
    (0x8, "STRONGNAMESIGNED"),
    (0x10, "NATIVE_ENTRYPOINT"),
    (0x1_0000, "TRACKDEBUGDATA"),
    (0x2_0000, "32BITPREFERRED"),
];

/// Longest version of the metadata, in bytes.
const VERSION_SIZE_MAX: u32 = 255;

/// Adds the fields of the CLI header that a loader command locates. A header that is cut off has none.
pub(super) fn push_header(
    pe: &Pe<'_>,
    rva: u32,
    command_index: u32,
    source_name: &str,
    linkage: &mut LinkageBuilder,
) {
    let Some(header) = pe.read::<ImageCor20Header>(rva) else { return };
    let mut add = |attribute_name, value: Option<u32>, text: Option<&str>| {
        linkage.push_attribute(BinaryAttribute {
            command_index: Some(command_index),
            source_name,
            attribute_name,
            value: value.map(u64::from),
            text,
            ..BinaryAttribute::default()
        });
    };
    let (major, minor) = (header.major_runtime_version.get(LE), header.minor_runtime_version.get(LE));
    add("runtime_version", None, Some(&format!("{major}.{minor}")));
    let flags = header.flags.get(LE).0;
    let names = FLAGS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name);
    add("flags", Some(flags), Some(&names.collect::<Vec<_>>().join(", ")));
    // A token of metadata or, with the flag `NATIVE_ENTRYPOINT`, the RVA of code.
    add("entry_point", Some(header.entry_point_token_or_rva.get(LE)), None);
    let (metadata, _) = header.meta_data.address_range();
    // Signature, version, a reserved number and the size of the text precede the version.
    let size = pe.bytes(metadata, 16).filter(|root| root.starts_with(b"BSJB"));
    let size = size.map(|root| u32::from_le_bytes(root[12..].try_into().expect("four bytes")));
    let version = size.and_then(|size| pe.bytes(metadata.checked_add(16)?, size.min(VERSION_SIZE_MAX)));
    if let Some(version) = version {
        let version = version.split(|byte| *byte == 0).next().unwrap_or_default();
        add("metadata_version", None, Some(&String::from_utf8_lossy(version)));
    }
}

pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    let clr = match Clr::find(pe) {
        None => return,
        Some(Ok(clr)) => clr,
        Some(Err(error)) => {
            let message = format!("the methods of .NET were left out: {error}");
            let location = DiagnosticLocation::FileOffset(pe.headers_offset);
            return linkage.warning(DiagnosticCode::BrokenLinkage, location, &message);
        }
    };
    for method in clr.methods() {
        let type_name = (method.type_number > 0).then(|| clr.type_name(method.type_number));
        let names = &mut linkage.names;
        let type_name = type_name.map(|name| names.take(name));
        let (Some(type_name), Some(method_name)) = (
            type_name.map_or(Some(None), |name| name.map(Some)),
            names.take(String::from_utf8_lossy(method.name)),
        ) else {
            return;
        };
        linkage.clr_methods.push(ClrMethod {
            method_token: METHOD_TOKEN + method.number,
            type_name: type_name.as_deref(),
            method_name: &method_name,
            address: method.body.as_ref().map(|body| pe.address(body.rva)),
            code_size: method.body.as_ref().map(|body| body.size),
            max_stack: method.body.as_ref().map(|body| body.max_stack),
            attributes: method.attributes,
            implementation: method.implementation,
        });
    }
}
