//! `binary_attributes` of the entries of a PE image's debug directory: the fields of each type.
//!
//! Source: Microsoft's "PE Format", "Debug Directory (Image Only)"; for .NET's types, "PE-COFF.md" of .NET's runtime.

use super::super::ir::LinkageBuilder;
use crate::file::formats::hexadecimal;
use crate::file::formats::pe::{DebugDirectoryEntry, Pe, string};
use binframe_ir::tables::BinaryAttribute;
use object::LittleEndian as LE;
use object::pe;
use std::borrow::Cow;

/// Size of a GUID in bytes.
const GUID_SIZE: usize = 16;

/// Fields of `IMAGE_DEBUG_TYPE_VC_FEATURE`: numbers of functions or objects, by how they were compiled.
const VC_FEATURES: [&str; 5] = ["pre_vc11", "c_cpp", "gs", "sdl", "guard_n"];

/// Names of the bits of the extended DLL characteristics.
const EXTENDED_CHARACTERISTICS: [(u32, &str); 6] = [
    (0x01, "CET_COMPAT"),
    (0x02, "CET_COMPAT_STRICT_MODE"),
    (0x04, "CET_SET_CONTEXT_IP_VALIDATION_RELAXED_MODE"),
    (0x08, "CET_DYNAMIC_APIS_ALLOW_IN_PROC"),
    (0x40, "FORWARD_CFI_COMPAT"),
    (0x80, "HOTPATCH_COMPATIBLE"),
];

/// Adds the attributes of the entry that has a note.
pub(super) fn push(
    pe: &Pe<'_>,
    entry: &DebugDirectoryEntry<'_>,
    note_index: u32,
    source_name: &str,
    linkage: &mut LinkageBuilder,
) {
    let mut writer = Writer { pe, note_index, source_name, linkage };
    let header = entry.header;
    let (major, minor) = (header.major_version.get(LE), header.minor_version.get(LE));
    writer.number("timestamp", header.time_date_stamp.get(LE));
    let version = format!("{major}.{minor}");
    writer.add("version", Some(u64::from(major) << 16 | u64::from(minor)), Some(&version));
    // A content that ends too early has the attributes before.
    let _ = writer.content(header.typ.get(LE), entry.content);
}

struct Writer<'a, 'd> {
    pe: &'a Pe<'d>,
    note_index: u32,
    source_name: &'a str,
    linkage: &'a mut LinkageBuilder,
}

impl Writer<'_, '_> {
    fn push(&mut self, attribute: BinaryAttribute<'_>) {
        self.linkage.push_attribute(BinaryAttribute {
            note_index: Some(self.note_index),
            source_name: self.source_name,
            ..attribute
        });
    }

    fn add(&mut self, attribute_name: &str, value: Option<u64>, text: Option<&str>) {
        self.push(BinaryAttribute { attribute_name, value, text, ..BinaryAttribute::default() });
    }

    fn number(&mut self, name: &str, value: u32) {
        self.add(name, Some(value.into()), None);
    }

    fn text(&mut self, name: &str, text: impl AsRef<str>) {
        self.add(name, None, Some(text.as_ref()));
    }

    /// Adds the attributes of a content; `None` if it ends too early or has an unknown signature.
    fn content(&mut self, debug_type: pe::DebugType, content: &[u8]) -> Option<()> {
        match debug_type {
            pe::IMAGE_DEBUG_TYPE_CODEVIEW => self.codeview(content)?,
            pe::IMAGE_DEBUG_TYPE_FPO => self.frame_pointer_omissions(content),
            pe::IMAGE_DEBUG_TYPE_MISC => {
                // Type, size of the whole, whether the text is UTF-16, padding.
                self.number("data_type", number(content, 0)?);
                let (text, is_utf16) = (content.get(12..)?, *content.get(8)? != 0);
                self.text("image_name", if is_utf16 { utf16(text) } else { until_zero(text) });
            }
            pe::IMAGE_DEBUG_TYPE_VC_FEATURE => {
                for (index, name) in VC_FEATURES.into_iter().enumerate() {
                    self.number(name, number(content, 4 * index)?);
                }
            }
            pe::IMAGE_DEBUG_TYPE_POGO => self.section_parts(content)?,
            pe::IMAGE_DEBUG_TYPE_REPRO => {
                let size = number(content, 0)? as usize;
                self.text("hash", hexadecimal(content.get(4..)?.get(..size)?));
            }
            pe::IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS => {
                let flags = number(content, 0)?;
                self.add("flags", Some(flags.into()), Some(&extended_characteristics(flags)));
            }
            // Of .NET: an embedded PDB, the checksum of a PDB, a map of code that was compiled ahead of time.
            pe::DebugType(17) if content.starts_with(b"MPDB") => {
                self.number("uncompressed_size", number(content, 4)?);
            }
            pe::DebugType(19) => {
                let algorithm = string(content)?;
                self.text("algorithm", String::from_utf8_lossy(algorithm));
                self.text("checksum", hexadecimal(content.get(algorithm.len() + 1..)?));
            }
            pe::DebugType(21) if content.starts_with(b"R2RM") => {
                self.text("guid", guid(content.get(4..)?)?);
                self.number("format_version", number(content, 20)?);
                self.text("path", until_zero(content.get(24..)?));
            }
            _ => {}
        }
        Some(())
    }

    /// The PDB that has the debug information.
    fn codeview(&mut self, content: &[u8]) -> Option<()> {
        match content.first_chunk()? {
            b"RSDS" => {
                self.text("guid", guid(content.get(4..)?)?);
                self.number("age", number(content, 20)?);
                self.text("path", until_zero(content.get(24..)?));
            }
            b"NB10" => {
                self.number("signature", number(content, 8)?);
                self.number("age", number(content, 12)?);
                self.text("path", until_zero(content.get(16..)?));
            }
            _ => {}
        }
        Some(())
    }

    /// Functions without frame pointer (`FPO_DATA`): start, size, dwords of locals, words of parameters, and bits.
    fn frame_pointer_omissions(&mut self, content: &[u8]) {
        for entry in content.as_chunks::<16>().0 {
            let word = |at| number(entry, at).expect("16 bytes");
            let bits = word(12) >> 16;
            let text = format!(
                "locals {}, parameters {}, prolog {}, registers {}, frame type {}",
                u64::from(word(8)) * 4,
                (word(12) & 0xffff) * 4,
                bits & 0xff,
                bits >> 8 & 7,
                bits >> 14,
            );
            self.push(BinaryAttribute {
                attribute_name: "function",
                address: Some(self.pe.address(word(0))),
                size: Some(word(4).into()),
                text: Some(&text),
                ..BinaryAttribute::default()
            });
        }
    }

    /// The parts of sections that the linker merged or that were optimized with a profile: RVA, size, name, padding.
    fn section_parts(&mut self, content: &[u8]) -> Option<()> {
        let signature = number(content, 0)?;
        let kind = match signature {
            0x4c54_4347 => "LTCG",
            0x5047_4900 => "PGI",
            0x5047_4f00 => "PGO",
            0x5047_5500 => "PGU",
            _ => "none",
        };
        self.add("signature", Some(signature.into()), Some(kind));
        let mut rest = content.get(4..)?;
        while let (Some(rva), Some(size)) = (number(rest, 0), number(rest, 4)) {
            // Zeros after the last part are padding.
            if rva == 0 && size == 0 {
                break;
            }
            let name = string(&rest[8..])?;
            self.push(BinaryAttribute {
                attribute_name: "section_part",
                address: Some(self.pe.address(rva)),
                size: Some(size.into()),
                text: Some(&String::from_utf8_lossy(name)),
                ..BinaryAttribute::default()
            });
            rest = rest.get((8 + name.len() + 1).next_multiple_of(4)..)?;
        }
        Some(())
    }
}

/// The names of the bits of extended DLL characteristics.
pub(super) fn extended_characteristics(flags: u32) -> String {
    let named = EXTENDED_CHARACTERISTICS.iter().filter(|(flag, _)| flags & flag != 0);
    named.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

/// The number at an offset.
fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The text up to a zero byte or the end.
fn until_zero(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn utf16(bytes: &[u8]) -> Cow<'_, str> {
    let units = bytes.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let units = units.take_while(|unit| *unit != 0);
    char::decode_utf16(units)
        .map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>()
        .into()
}

/// A GUID as it is usually written; its first three parts are numbers.
fn guid(bytes: &[u8]) -> Option<String> {
    let guid: &[u8; GUID_SIZE] = bytes.first_chunk()?;
    let reversed = |part: &[u8]| hexadecimal(&part.iter().rev().copied().collect::<Vec<_>>());
    Some(format!(
        "{}-{}-{}-{}-{}",
        reversed(&guid[..4]),
        reversed(&guid[4..6]),
        reversed(&guid[6..8]),
        hexadecimal(&guid[8..10]),
        hexadecimal(&guid[10..])
    ))
}
