//! Places that tables of PE files and COFF objects refer to: by their RVAs or, before they are linked, by relocations.

use super::pe::{Coff, ObjectHeader, Pe};
use super::relocations::{self, Relocation};
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySectionColumns, BinarySections};
use object::LittleEndian as LE;
use object::pe::{self, ImageRelocation, Machine, RelocationType};
use object::read::coff::Symbol;

/// What sections of objects are named that hold function tables.
pub(crate) const FUNCTION_TABLE: &str = ".pdata";

/// What sections of objects are named that function tables refer to.
pub(crate) const UNWIND_INFO: &str = ".xdata";

/// The name without what linkers put sections of one name in order by.
pub(crate) fn group(section_name: &str) -> &str {
    section_name.split('$').next().unwrap_or(section_name)
}

/// Where something lies: an offset in a section of an object, or the RVA (and section 0) in a linked file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) section: u32,
    pub(crate) offset: u32,
}

impl Spot {
    pub(crate) fn plus(self, offset: u32) -> Self {
        Self { offset: self.offset.wrapping_add(offset), ..self }
    }
}

/// A file whose tables refer to places in it.
pub(crate) trait Places {
    /// The bytes from a place on, up to the end of its section.
    fn bytes_from(&self, spot: Spot) -> Option<&[u8]>;
    /// The place that the four bytes at a place refer to.
    fn target(&self, field: Spot) -> Option<Spot>;
    /// The place of an address or, in an object, of an offset in a section.
    fn spot(&self, address: u64, section_index: u32) -> Option<Spot>;
    /// Address, or offset in a section of an object.
    fn address(&self, spot: Spot) -> u64;
    fn section_index(&self, spot: Spot) -> Option<u32>;

    fn number(&self, spot: Spot) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes_from(spot)?.first_chunk()?))
    }
}

impl Places for Pe<'_> {
    fn bytes_from(&self, spot: Spot) -> Option<&[u8]> {
        Some(Pe::bytes_from(self, spot.offset)?.0)
    }

    fn target(&self, field: Spot) -> Option<Spot> {
        Some(Spot { section: 0, offset: self.number(field)? })
    }

    fn spot(&self, address: u64, _: u32) -> Option<Spot> {
        Some(Spot { section: 0, offset: self.rva(address)? })
    }

    fn address(&self, spot: Spot) -> u64 {
        Pe::address(self, spot.offset)
    }

    fn section_index(&self, spot: Spot) -> Option<u32> {
        Pe::section_index(self, spot.offset)
    }
}

/// An object: what its tables refer to is said by relocations.
pub(crate) struct Relocated<'a> {
    pub(crate) sections: BinarySectionColumns<'a>,
    /// Sorted by section and offset.
    pub(crate) relocations: &'a [Relocation],
}

impl Places for Relocated<'_> {
    fn bytes_from(&self, spot: Spot) -> Option<&[u8]> {
        let row = (spot.section as usize).checked_sub(1).filter(|row| *row < self.sections.len())?;
        self.sections.content.value(row).get(spot.offset as usize..)
    }

    fn target(&self, field: Spot) -> Option<Spot> {
        let relocation = relocations::at(self.relocations, field.section, field.offset.into()).first()?;
        let target = Spot { section: relocation.section_index.unwrap_or(0), offset: relocation.value as u32 };
        Some(target.plus(self.number(field)?))
    }

    fn spot(&self, address: u64, section_index: u32) -> Option<Spot> {
        Some(Spot { section: section_index, offset: u32::try_from(address).ok()? })
    }

    fn address(&self, spot: Spot) -> u64 {
        spot.offset.into()
    }

    fn section_index(&self, spot: Spot) -> Option<u32> {
        (spot.section != 0).then_some(spot.section)
    }
}

/// What the linker will write to the sections of an object whose names are wanted, sorted by section and offset.
pub(crate) fn relocations<H: ObjectHeader>(
    coff: &Coff<'_, H>,
    sections: &Rows<BinarySections>,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Relocation> {
    // Tables of sections may share bytes: there cannot be more relocations than fit in the file.
    let mut left = coff.file.len() / size_of::<ImageRelocation>();
    let mut found = Vec::new();
    let Ok(symbols) = coff.symbols() else { return found };
    for (section, header) in sections.columns().iter().zip(coff.section_headers) {
        if !is_wanted(section.section_name) {
            continue;
        }
        let relocations = header.coff_relocations(coff.file.as_ref()).unwrap_or_default();
        for relocation in relocations.iter().take(left) {
            let Ok(symbol) = symbols.symbol(relocation.symbol()) else { continue };
            let offset = relocation.virtual_address.get(LE).wrapping_sub(header.virtual_address.get(LE));
            let value = symbol.value().wrapping_sub(counted_from_end(coff.machine, relocation.typ.get(LE)));
            found.push(Relocation {
                field_section_index: section.section_index,
                offset: offset.into(),
                symbol_index: relocation.symbol().0 as u32,
                section_index: u32::try_from(symbol.section_number().0)
                    .ok()
                    .filter(|index| (1..=sections.columns().len()).contains(&(*index as usize))),
                value: i64::from(value.cast_signed()) as u64,
                adds_stored: true,
                is_subtracted: false,
            });
        }
        left = left.saturating_sub(relocations.len());
    }
    found.sort_by_key(|relocation| (relocation.field_section_index, relocation.offset));
    found
}

/// Size of the field where the distance to its end is written, and not to its start: what is stored in it makes up for that.
fn counted_from_end(machine: Machine, relocation_type: RelocationType) -> u32 {
    match (machine, relocation_type) {
        (pe::IMAGE_FILE_MACHINE_AMD64, pe::IMAGE_REL_AMD64_REL32)
        | (pe::IMAGE_FILE_MACHINE_I386, pe::IMAGE_REL_I386_REL32) => 4,
        _ => 0,
    }
}
