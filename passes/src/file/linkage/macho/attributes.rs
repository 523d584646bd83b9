//! `binary_attributes` of a Mach-O file: the fields of load commands (`fields.rs`), and their parts that are lists.
//!
//! Source: `mach-o/loader.h` of Apple's XNU; for hints, `mach-o/arm64/reloc.h` and the linker of LLVM.

use super::super::ir::LinkageBuilder;
use super::fields;
use crate::file::formats::macho::{Header, MachO};
use binframe_ir::tables::BinaryAttribute;
use object::Endianness;
use object::macho::{self, DataInCodeEntry};
use object::pod;
use object::read::macho::LoadCommandVariant;

/// Kinds of linker optimization hints, from 1.
const HINTS: [&str; 8] = [
    "LOH_ARM64_ADRP_ADRP",
    "LOH_ARM64_ADRP_LDR",
    "LOH_ARM64_ADRP_ADD_LDR",
    "LOH_ARM64_ADRP_LDR_GOT_LDR",
    "LOH_ARM64_ADRP_ADD_STR",
    "LOH_ARM64_ADRP_LDR_GOT_STR",
    "LOH_ARM64_ADRP_ADD",
    "LOH_ARM64_ADRP_LDR_GOT",
];

/// Adds the attributes of all commands, which have their position as index.
pub(super) fn push<H: Header>(macho: &MachO<'_, H>, linkage: &mut LinkageBuilder) {
    // Data of commands of a valid file does not overlap.
    let mut bytes_left = macho.file.len();
    for (command_index, command) in (0..).zip(&macho.commands) {
        let Some(source_name) = command.cmd().name() else { continue };
        let Ok(variant) = command.variant() else { continue };
        let mut writer = Writer { command_index, source_name, linkage };
        for field in fields::fields(&variant, macho.endian) {
            writer.push(BinaryAttribute {
                attribute_name: field.name,
                value: Some(field.value),
                text: field.text.as_deref(),
                ..BinaryAttribute::default()
            });
        }
        match variant {
            LoadCommandVariant::BuildVersion(version, tools) => {
                for tool in version.tools(macho.endian, tools).unwrap_or_default() {
                    let (kind, version) = (tool.tool.get(macho.endian), tool.version.get(macho.endian));
                    writer.push(BinaryAttribute {
                        attribute_name: &fields::tool_name(kind),
                        value: Some(version.0.into()),
                        text: Some(&version.to_string()),
                        ..BinaryAttribute::default()
                    });
                }
            }
            LoadCommandVariant::LinkerOption(_) => {
                for option in super::commands::linker_options(command) {
                    writer.push(BinaryAttribute {
                        attribute_name: "option",
                        text: Some(&String::from_utf8_lossy(option)),
                        ..BinaryAttribute::default()
                    });
                }
            }
            LoadCommandVariant::LinkeditData(located) => {
                let Ok(data) = located.data(macho.endian, macho.file.as_ref()) else { continue };
                let is_list =
                    [macho::LC_DATA_IN_CODE, macho::LC_LINKER_OPTIMIZATION_HINT].contains(&command.cmd());
                let Some(rest) = bytes_left.checked_sub(data.len()).filter(|_| is_list) else { continue };
                bytes_left = rest;
                if command.cmd() == macho::LC_DATA_IN_CODE {
                    writer.data_in_code(data, macho.endian, macho.image_address().unwrap_or(0));
                } else {
                    let _ = writer.hints(data);
                }
            }
            _ => {}
        }
    }
}

struct Writer<'l> {
    command_index: u32,
    source_name: &'static str,
    linkage: &'l mut LinkageBuilder,
}

impl Writer<'_> {
    fn push(&mut self, attribute: BinaryAttribute<'_>) {
        self.linkage.push_attribute(BinaryAttribute {
            command_index: Some(self.command_index),
            source_name: self.source_name,
            ..attribute
        });
    }

    /// Ranges of data in code, with offsets from the header.
    fn data_in_code(&mut self, data: &[u8], endian: Endianness, image_address: u64) {
        let count = data.len() / size_of::<DataInCodeEntry<Endianness>>();
        let entries = pod::slice_from_bytes::<DataInCodeEntry<Endianness>>(data, count);
        for entry in entries.map_or(&[][..], |(entries, _)| entries) {
            let kind = entry.kind.get(endian);
            let unnamed = format!("{:#x}", kind.0);
            self.push(BinaryAttribute {
                attribute_name: kind.name().unwrap_or(&unnamed),
                address: Some(image_address.wrapping_add(entry.offset.get(endian).into())),
                size: Some(entry.length.get(endian).into()),
                ..BinaryAttribute::default()
            });
        }
    }

    /// Instructions that the linker may shorten together: kind, number of addresses, addresses, all as ULEB128. A row is
    /// an address, with the number of its hint as value. `None` if the data is cut off.
    fn hints(&mut self, mut data: &[u8]) -> Option<()> {
        let mut hint = 0;
        while !data.is_empty() {
            let kind = unsigned(&mut data)?;
            // Zeros after the last hint are padding.
            if kind == 0 {
                break;
            }
            let unnamed = format!("{kind:#x}");
            let name = usize::try_from(kind - 1).ok().and_then(|kind| HINTS.get(kind));
            for _ in 0..unsigned(&mut data)? {
                let address = unsigned(&mut data)?;
                self.push(BinaryAttribute {
                    attribute_name: name.copied().unwrap_or(&unnamed),
                    address: Some(address),
                    value: Some(hint),
                    ..BinaryAttribute::default()
                });
            }
            hint += 1;
        }
        Some(())
    }
}

/// An unsigned number as ULEB128, of at most 64 bits.
fn unsigned(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
