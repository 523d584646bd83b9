//! `binary_notes` of a PE image: its Rich header (`rich.rs`), and the entries of its debug directory with their
//! attributes (`debug_entries.rs`).

use super::super::ir::LinkageBuilder;
use super::{debug_entries, rich};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::CONTENT_PER_FILE_SIZE_MAX;
use crate::file::formats::pe::{DebugDirectoryEntry, Pe, string};
use binframe_ir::tables::{BinaryNote, DiagnosticCode};
use object::LittleEndian as LE;
use object::pe;
use std::borrow::Cow;

pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    let file = pe.coff.file;
    let first = rich::push(pe, linkage);
    let location = DiagnosticLocation::FileOffset(pe.headers_offset);
    let Some(entries) = pe.debug_entries() else {
        let message = "the debug directory does not lie in the file";
        return linkage.warning(DiagnosticCode::BrokenNote, location, message);
    };
    // Entries of a valid file do not overlap.
    let mut bytes_left = file.len().saturating_mul(CONTENT_PER_FILE_SIZE_MAX);
    for (note_index, entry) in (first..).zip(entries) {
        let Some(rest) = bytes_left.checked_sub(entry.content.len()) else {
            let message = "the rest of the debug directory has more bytes than the file";
            return linkage.warning(DiagnosticCode::BrokenNote, location, message);
        };
        bytes_left = rest;
        push_entry(pe, &entry, note_index, linkage);
    }
}

fn push_entry(pe: &Pe<'_>, entry: &DebugDirectoryEntry<'_>, note_index: u32, linkage: &mut LinkageBuilder) {
    let debug_type = entry.header.typ.get(LE);
    let note_type = type_name(debug_type);
    // Data that is not loaded is in no section.
    let rva = entry.header.address_of_raw_data.get(LE);
    let section_index = if rva == 0 { None } else { pe.section_index(rva) };
    linkage.notes.push(BinaryNote {
        note_index,
        section_index,
        file_offset: entry.file_offset,
        size: entry.content.len() as u64,
        owner: rich::OWNER,
        note_type: &note_type,
        content: entry.content,
        text: text(debug_type, entry.content).and_then(|text| linkage.names.take(text)).as_deref(),
    });
    debug_entries::push(pe, entry, note_index, &note_type, linkage);
}

/// The name of a type, or its number in hexadecimal.
fn type_name(debug_type: pe::DebugType) -> Cow<'static, str> {
    let name = match debug_type.0 {
        // .NET's types, which `object` has no names for.
        17 => Some("IMAGE_DEBUG_TYPE_EMBEDDED_PORTABLE_PDB"),
        19 => Some("IMAGE_DEBUG_TYPE_PDB_CHECKSUM"),
        21 => Some("IMAGE_DEBUG_TYPE_PERFMAP"),
        _ => debug_type.name(),
    };
    name.map_or_else(|| format!("{:#x}", debug_type.0).into(), Cow::from)
}

/// A readable form of an entry's content; `None` for types that have none.
fn text(debug_type: pe::DebugType, content: &[u8]) -> Option<String> {
    match debug_type {
        pe::IMAGE_DEBUG_TYPE_CODEVIEW => {
            // The path of the PDB follows signature, GUID and age; in old files, signature, offset, time and age.
            let header_size = match content.first_chunk()? {
                b"RSDS" => 24,
                b"NB10" => 16,
                _ => return None,
            };
            let path = content.get(header_size..)?;
            Some(String::from_utf8_lossy(string(path).unwrap_or_default()).into_owned())
        }
        pe::IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS => {
            Some(debug_entries::extended_characteristics(u32::from_le_bytes(*content.first_chunk()?)))
        }
        _ => None,
    }
}
