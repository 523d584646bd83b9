//! Encoded pointers (`DW_EH_PE_*`) of call frame information and language-specific data.
//!
//! Source: Linux Standard Base, Core specification, section 10.5.1 (DWARF exception header encoding), and `unwind-pe.h`
//! of GCC.

use super::formats::EndianReader;
use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use gimli::{DwEhPe, EndianSlice, Error, Reader as _, RunTimeEndian, constants};

/// The base addresses of pointers in a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PointerBases<'a> {
    /// The section that contains the pointers.
    pub(crate) section: EndianReader<'a>,
    /// Address of the section.
    pub(crate) address: u64,
    /// Size of an address in bytes.
    pub(crate) address_size: u8,
    /// Address of the code section; `None` if the file has none.
    pub(crate) text: Option<u64>,
    /// Address of the global offset table; `None` if the file has none.
    pub(crate) data: Option<u64>,
    /// Address of the function that is described; `None` if it is not known yet.
    pub(crate) function: Option<u64>,
}

/// A pointer and the value that is stored for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// The stored value, before a base is added; 0 is the null pointer, whatever the encoding.
    pub(crate) stored: u64,
    /// The address that it points to.
    pub(crate) address: u64,
    /// Whether that address holds the pointer that is meant.
    pub(crate) is_indirect: bool,
}

impl<'a> PointerBases<'a> {
    /// The bases of a file, without a section and a function.
    pub(crate) fn of(sections: &Rows<BinarySections>, endian: RunTimeEndian, address_size: u8) -> Self {
        let columns = sections.columns();
        let address_of = |names: &[&str]| {
            let found = |name: &&str| columns.iter().find(|section| section.section_name == *name);
            names.iter().find_map(found).map(|section| section.address)
        };
        Self {
            section: EndianSlice::new(&[], endian),
            address: 0,
            address_size,
            text: address_of(&[".text", "__TEXT,__text"]),
            // If the table has two parts, its symbol and `DT_PLTGOT` refer to the second.
            data: address_of(&[".got.plt", ".got"]),
            function: None,
        }
    }

    /// Reads a pointer. `DW_EH_PE_omit` is an error.
    pub(crate) fn read(&self, encoding: DwEhPe, input: &mut EndianReader<'a>) -> gimli::Result<Pointer> {
        if encoding.is_absent() || !encoding.is_valid_encoding() {
            return Err(Error::UnknownPointerEncoding(encoding));
        }
        let field_address = self.address.wrapping_add(input.offset_from(self.section) as u64);
        let base = match encoding.application() {
            constants::DW_EH_PE_pcrel => field_address,
            constants::DW_EH_PE_textrel => {
                self.text.ok_or(Error::TextRelativePointerButTextBaseIsUndefined)?
            }
            constants::DW_EH_PE_datarel => {
                self.data.ok_or(Error::DataRelativePointerButDataBaseIsUndefined)?
            }
            constants::DW_EH_PE_funcrel => self.function.ok_or(Error::FuncRelativePointerInBadContext)?,
            constants::DW_EH_PE_aligned => {
                let misalignment = field_address % u64::from(self.address_size.max(1));
                let padding = u64::from(self.address_size).wrapping_sub(misalignment)
                    % u64::from(self.address_size.max(1));
                input.skip(padding as usize)?;
                0
            }
            _ => 0,
        };
        let stored = self.read_number(encoding, input)?;
        let address = self.within_address_size(base.wrapping_add(stored));
        Ok(Pointer { stored, address, is_indirect: encoding.is_indirect() })
    }

    /// Reads an integer in the format of an encoding, without adding a base.
    pub(crate) fn read_number(&self, encoding: DwEhPe, input: &mut EndianReader<'a>) -> gimli::Result<u64> {
        match encoding.format() {
            constants::DW_EH_PE_absptr => input.read_address(self.address_size),
            constants::DW_EH_PE_uleb128 => input.read_uleb128(),
            constants::DW_EH_PE_udata2 => input.read_u16().map(u64::from),
            constants::DW_EH_PE_udata4 => input.read_u32().map(u64::from),
            constants::DW_EH_PE_udata8 => input.read_u64(),
            constants::DW_EH_PE_sleb128 => input.read_sleb128().map(|number| number as u64),
            constants::DW_EH_PE_sdata2 => input.read_i16().map(|number| number as u64),
            constants::DW_EH_PE_sdata4 => input.read_i32().map(|number| number as u64),
            constants::DW_EH_PE_sdata8 => input.read_i64().map(|number| number as u64),
            _ => Err(Error::UnknownPointerEncoding(encoding)),
        }
    }

    /// The address modulo the size of the address space.
    pub(crate) fn within_address_size(&self, address: u64) -> u64 {
        match self.address_size {
            0..8 => address & ((1 << (8 * self.address_size)) - 1),
            _ => address,
        }
    }
}
