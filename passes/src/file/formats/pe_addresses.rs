//! References between tables of PE images and COFF objects.
//!
//! A table of an image refers to other bytes by RVAs. In an object, the same fields are relocated. [`ImageView`] lets
//! one reader serve both.

use super::field_relocations::{self, FieldRelocation};
use super::pe::{Coff, ObjectHeader, Pe};
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySectionColumns, BinarySections};
use object::LittleEndian as LE;
use object::pe::{self, ImageRelocation, Machine, RelocationType};
use object::read::coff::Symbol;

/// Name of the sections of function tables.
pub(crate) const FUNCTION_TABLE: &str = ".pdata";

/// Name of the sections of unwind information, which function tables refer to.
pub(crate) const UNWIND_INFO: &str = ".xdata";

/// The name of a section without the suffix (`$…`) by which linkers sort sections of one name.
pub(crate) fn base_name(section_name: &str) -> &str {
    section_name.split('$').next().unwrap_or(section_name)
}

/// The location of a table's field: in an object, an offset in a section; in an image, an RVA and section 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SectionOffset {
    pub(crate) section: u32,
    pub(crate) offset: u32,
}

impl SectionOffset {
    pub(crate) fn plus(self, offset: u32) -> Self {
        Self { offset: self.offset.wrapping_add(offset), ..self }
    }
}

/// An image or an object, for readers of its tables.
pub(crate) trait ImageView {
    /// The bytes from a location to the end of its section.
    fn bytes_from(&self, at: SectionOffset) -> Option<&[u8]>;
    /// The location that the four-byte field at `field` refers to.
    fn target(&self, field: SectionOffset) -> Option<SectionOffset>;
    /// The location of an address; in an object, `address` is an offset in the section.
    fn locate(&self, address: u64, section_index: u32) -> Option<SectionOffset>;
    /// The address of a location; in an object, its offset in the section.
    fn address(&self, at: SectionOffset) -> u64;
    /// Index of the section that contains a location.
    fn section_index(&self, at: SectionOffset) -> Option<u32>;

    /// The four-byte integer at a location.
    fn number(&self, at: SectionOffset) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes_from(at)?.first_chunk()?))
    }
}

impl ImageView for Pe<'_> {
    fn bytes_from(&self, at: SectionOffset) -> Option<&[u8]> {
        Some(Pe::bytes_from(self, at.offset)?.0)
    }

    fn target(&self, field: SectionOffset) -> Option<SectionOffset> {
        Some(SectionOffset { section: 0, offset: self.number(field)? })
    }

    fn locate(&self, address: u64, _: u32) -> Option<SectionOffset> {
        Some(SectionOffset { section: 0, offset: self.rva(address)? })
    }

    fn address(&self, at: SectionOffset) -> u64 {
        Pe::address(self, at.offset)
    }

    fn section_index(&self, at: SectionOffset) -> Option<u32> {
        Pe::section_index(self, at.offset)
    }
}

/// An object, whose relocations say what fields refer to.
pub(crate) struct ObjectView<'a> {
    pub(crate) sections: BinarySectionColumns<'a>,
    /// Sorted by section and offset.
    pub(crate) relocations: &'a [FieldRelocation],
}

impl ImageView for ObjectView<'_> {
    fn bytes_from(&self, at: SectionOffset) -> Option<&[u8]> {
        let row = (at.section as usize).checked_sub(1).filter(|row| *row < self.sections.len())?;
        self.sections.content.value(row).get(at.offset as usize..)
    }

    fn target(&self, field: SectionOffset) -> Option<SectionOffset> {
        let of_field = field_relocations::of_field(self.relocations, field.section, field.offset.into());
        let relocation = of_field.first()?;
        let section = relocation.section_index.unwrap_or(0);
        Some(SectionOffset { section, offset: relocation.value as u32 }.plus(self.number(field)?))
    }

    fn locate(&self, address: u64, section_index: u32) -> Option<SectionOffset> {
        Some(SectionOffset { section: section_index, offset: u32::try_from(address).ok()? })
    }

    fn address(&self, at: SectionOffset) -> u64 {
        at.offset.into()
    }

    fn section_index(&self, at: SectionOffset) -> Option<u32> {
        (at.section != 0).then_some(at.section)
    }
}

/// The relocations of an object's sections whose name is wanted, sorted by section and offset.
pub(crate) fn relocations<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &Rows<BinarySections>,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<FieldRelocation> {
    // Sections of a broken file may share one table: no more relocations are read than fit in the file.
    let mut relocations_left = coff.file.len() / size_of::<ImageRelocation>();
    let mut found = Vec::new();
    let Ok(symbols) = coff.symbols() else { return found };
    for (section, header) in sections.columns().iter().zip(coff.section_headers) {
        if !is_wanted(section.section_name) {
            continue;
        }
        let relocations = header.coff_relocations(coff.file.as_ref()).unwrap_or_default();
        for relocation in relocations.iter().take(relocations_left) {
            let Ok(symbol) = symbols.symbol(relocation.symbol()) else { continue };
            let offset = relocation.virtual_address.get(LE).wrapping_sub(header.virtual_address.get(LE));
            let bias = end_relative_bias(coff.machine, relocation.typ.get(LE));
            found.push(FieldRelocation {
                field_section_index: section.section_index,
                offset: offset.into(),
                symbol_index: relocation.symbol().0 as u32,
                section_index: u32::try_from(symbol.section_number().0)
                    .ok()
                    .filter(|index| (1..=sections.columns().len()).contains(&(*index as usize))),
                value: i64::from(symbol.value().wrapping_sub(bias).cast_signed()) as u64,
                adds_stored: true,
                is_subtracted: false,
            });
        }
        relocations_left = relocations_left.saturating_sub(relocations.len());
    }
    found.sort_by_key(|relocation| (relocation.field_section_index, relocation.offset));
    found
}

/// Size of the field for relocations that are relative to the end of the field, whose stored value compensates for it;
/// 0 for others.
fn end_relative_bias(machine: Machine, relocation_type: RelocationType) -> u32 {
    match (machine, relocation_type) {
        (pe::IMAGE_FILE_MACHINE_AMD64, pe::IMAGE_REL_AMD64_REL32)
        | (pe::IMAGE_FILE_MACHINE_I386, pe::IMAGE_REL_I386_REL32) => 4,
        _ => 0,
    }
}
