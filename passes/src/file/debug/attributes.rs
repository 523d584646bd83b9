//! The attributes of an entry that tables show, read in one pass over all of its attributes.
//!
//! Source: DWARF 5, chapter 7.5.

use crate::file::formats::EndianReader;
use gimli::{
    AttributeValue, DebuggingInformationEntry, Dwarf, RangeListsOffset, Section, Unit, UnitOffset, constants,
};

/// Size of the longest name, in bytes; longer ones are truncated.
const NAME_SIZE_MAX: usize = 16 << 10;

/// A reference to another entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryReference {
    /// Offset in the same unit.
    Unit(u32),
    /// Offset in `.debug_info`.
    Section(u64),
    /// Offset in `.debug_info` of the supplementary file.
    Supplement(u64),
    /// Signature of a type unit.
    Signature(u64),
}

/// The start of a zero-terminated string. The terminator is searched only when the text is used, since all entries of a
/// broken file can have the same long name.
#[derive(Debug, Clone, Copy)]
pub(super) struct DwarfString<'a>(&'a [u8]);

impl<'a> DwarfString<'a> {
    /// The text of an attribute.
    pub(super) fn of(
        dwarf: &Dwarf<EndianReader<'a>>,
        unit: &Unit<EndianReader<'a>>,
        value: &AttributeValue<EndianReader<'a>>,
    ) -> Option<Self> {
        let (section, offset) = match value {
            AttributeValue::String(text) => (text, 0),
            AttributeValue::DebugStrRef(offset) => (dwarf.debug_str.reader(), offset.0),
            AttributeValue::DebugStrRefSup(offset) => (dwarf.sup()?.debug_str.reader(), offset.0),
            AttributeValue::DebugLineStrRef(offset) => (dwarf.debug_line_str.reader(), offset.0),
            AttributeValue::DebugStrOffsetsIndex(index) => {
                (dwarf.debug_str.reader(), dwarf.string_offset(unit, *index).ok()?.0)
            }
            _ => return None,
        };
        section.slice().get(offset..).map(Self::new)
    }

    /// The string at the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(&bytes[..bytes.len().min(NAME_SIZE_MAX)])
    }

    /// The characters before the terminator.
    pub(super) fn bytes(self) -> &'a [u8] {
        // The search for the terminator of a C string examines several bytes at a time.
        std::ffi::CStr::from_bytes_until_nul(self.0).map_or(self.0, std::ffi::CStr::to_bytes)
    }
}

/// The attributes of an entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes<'a> {
    pub(super) name: Option<DwarfString<'a>>,
    pub(super) linkage_name: Option<DwarfString<'a>>,
    pub(super) type_: Option<EntryReference>,
    /// The entry that this one completes, or is a copy of.
    pub(super) origin: Option<EntryReference>,
    pub(super) low: Option<u64>,
    pub(super) high: Option<u64>,
    pub(super) ranges: Option<RangeListsOffset<usize>>,
    pub(super) location: Option<AttributeValue<EndianReader<'a>>>,
    pub(super) frame_base: Option<AttributeValue<EndianReader<'a>>>,
    pub(super) member_location: Option<AttributeValue<EndianReader<'a>>>,
    pub(super) constant: Option<AttributeValue<EndianReader<'a>>>,
    pub(super) call_file: Option<u64>,
    pub(super) call_line: Option<u64>,
    pub(super) call_column: Option<u64>,
    pub(super) declaration_file: Option<u64>,
    pub(super) declaration_line: Option<u64>,
    pub(super) byte_size: Option<u64>,
    pub(super) bit_size: Option<u64>,
    pub(super) bit_offset: Option<u64>,
    /// DWARF 2 and 3: bit offset from the most significant bit of the storage unit.
    pub(super) storage_bit_offset: Option<i64>,
    pub(super) alignment: Option<u64>,
    pub(super) encoding: Option<u64>,
    pub(super) count: Option<u64>,
    pub(super) lower_bound: Option<i64>,
    pub(super) upper_bound: Option<i64>,
    pub(super) discriminant: Option<i64>,
    pub(super) discriminant_entry: Option<EntryReference>,
    pub(super) is_declaration: bool,
    pub(super) is_external: bool,
}

impl<'a> Attributes<'a> {
    /// Reads the attributes of an entry.
    pub(super) fn read(
        dwarf: &Dwarf<EndianReader<'a>>,
        unit: &Unit<EndianReader<'a>>,
        entry: &DebuggingInformationEntry<EndianReader<'a>>,
    ) -> Self {
        let mut attributes = Self::default();
        let mut high_is_size = false;
        for attribute in entry.attrs() {
            let value = attribute.value();
            let text = || DwarfString::of(dwarf, unit, &value);
            let address = || dwarf.attr_address(unit, value).ok().flatten();
            match attribute.name() {
                constants::DW_AT_name => attributes.name = text(),
                constants::DW_AT_linkage_name | constants::DW_AT_MIPS_linkage_name => {
                    attributes.linkage_name = text();
                }
                constants::DW_AT_type => attributes.type_ = reference(&value),
                constants::DW_AT_abstract_origin
                | constants::DW_AT_specification
                | constants::DW_AT_signature => attributes.origin = reference(&value),
                constants::DW_AT_low_pc => attributes.low = address(),
                constants::DW_AT_high_pc => match value.udata_value() {
                    Some(size) => (attributes.high, high_is_size) = (Some(size), true),
                    None => attributes.high = address(),
                },
                constants::DW_AT_ranges => {
                    attributes.ranges = dwarf.attr_ranges_offset(unit, value).ok().flatten();
                }
                constants::DW_AT_location => attributes.location = Some(value),
                constants::DW_AT_frame_base => attributes.frame_base = Some(value),
                constants::DW_AT_data_member_location => attributes.member_location = Some(value),
                constants::DW_AT_const_value => attributes.constant = Some(value),
                constants::DW_AT_declaration => {
                    attributes.is_declaration = value == AttributeValue::Flag(true);
                }
                constants::DW_AT_external => attributes.is_external = value == AttributeValue::Flag(true),
                name => attributes.read_number(name, &value),
            }
        }
        if high_is_size {
            attributes.high =
                attributes.low.zip(attributes.high).and_then(|(low, size)| low.checked_add(size));
        }
        attributes
    }

    fn read_number(&mut self, name: constants::DwAt, value: &AttributeValue<EndianReader<'a>>) {
        let unsigned = match value {
            AttributeValue::FileIndex(index) => Some(*index),
            AttributeValue::Encoding(encoding) => Some(u64::from(encoding.0)),
            value => value.udata_value(),
        };
        match name {
            constants::DW_AT_call_file => self.call_file = unsigned,
            constants::DW_AT_call_line => self.call_line = unsigned,
            constants::DW_AT_call_column => self.call_column = unsigned,
            constants::DW_AT_decl_file => self.declaration_file = unsigned,
            constants::DW_AT_decl_line => self.declaration_line = unsigned,
            constants::DW_AT_byte_size => self.byte_size = unsigned,
            constants::DW_AT_bit_size => self.bit_size = unsigned,
            constants::DW_AT_data_bit_offset => self.bit_offset = unsigned,
            constants::DW_AT_bit_offset => self.storage_bit_offset = signed(value),
            constants::DW_AT_alignment => self.alignment = unsigned,
            constants::DW_AT_encoding => self.encoding = unsigned,
            constants::DW_AT_count => self.count = unsigned,
            constants::DW_AT_lower_bound => self.lower_bound = number(value),
            constants::DW_AT_upper_bound => self.upper_bound = number(value),
            constants::DW_AT_discr_value => self.discriminant = number(value),
            constants::DW_AT_discr => self.discriminant_entry = reference(value),
            _ => {}
        }
    }
}

/// An integer. A form that does not state its signedness is unsigned.
pub(super) fn number(value: &AttributeValue<EndianReader<'_>>) -> Option<i64> {
    match value {
        AttributeValue::Sdata(number) => Some(*number),
        value => value.udata_value().map(u64::cast_signed),
    }
}

/// A signed integer, whatever its form.
fn signed(value: &AttributeValue<EndianReader<'_>>) -> Option<i64> {
    match value {
        AttributeValue::Data1(number) => Some(number.cast_signed().into()),
        AttributeValue::Data2(number) => Some(number.cast_signed().into()),
        AttributeValue::Data4(number) => Some(number.cast_signed().into()),
        value => number(value),
    }
}

fn reference(value: &AttributeValue<EndianReader<'_>>) -> Option<EntryReference> {
    match value {
        AttributeValue::UnitRef(UnitOffset(offset)) => u32::try_from(*offset).ok().map(EntryReference::Unit),
        AttributeValue::DebugInfoRef(offset) => Some(EntryReference::Section(offset.0 as u64)),
        AttributeValue::DebugInfoRefSup(offset) => Some(EntryReference::Supplement(offset.0 as u64)),
        AttributeValue::DebugTypesRef(signature) => Some(EntryReference::Signature(signature.0)),
        _ => None,
    }
}
