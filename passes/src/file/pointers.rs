//! Pointers as unwinding information and tables of landing pads encode them.
//!
//! Source: Linux Standard Base, Core specification, section 10.5.1 (DWARF exception header encoding), and `unwind-pe.h` of GCC.

use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use gimli::{DwEhPe, EndianSlice, Error, Reader as _, RunTimeEndian, constants};

/// Bytes with an order.
pub(crate) type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// What pointers in a section are relative to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bases<'a> {
    /// The section.
    pub(crate) section: Reader<'a>,
    /// Its address.
    pub(crate) address: u64,
    /// Size of an address in bytes.
    pub(crate) address_size: u8,
    /// Address of the code, of the global offset table, and of the function that is described, where there are such.
    pub(crate) text: Option<u64>,
    pub(crate) data: Option<u64>,
    pub(crate) function: Option<u64>,
}

/// A pointer as it stands in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// The number that is stored; 0 stands for no pointer, where there need not be one.
    pub(crate) stored: u64,
    /// Where it points.
    pub(crate) address: u64,
    /// Whether another pointer, which is meant, stands there.
    pub(crate) is_indirect: bool,
}

impl<'a> Bases<'a> {
    /// Those of a file, without a section.
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
            // Where the table has two parts, its symbol and `DT_PLTGOT` are at the second.
            data: address_of(&[".got.plt", ".got"]),
            function: None,
        }
    }

    /// Reads a pointer, whose encoding is not `DW_EH_PE_omit`.
    pub(crate) fn read(&self, encoding: DwEhPe, input: &mut Reader<'a>) -> gimli::Result<Pointer> {
        if encoding.is_absent() || !encoding.is_valid_encoding() {
            return Err(Error::UnknownPointerEncoding(encoding));
        }
        let place = self.address.wrapping_add(input.offset_from(self.section) as u64);
        let base = match encoding.application() {
            constants::DW_EH_PE_pcrel => place,
            constants::DW_EH_PE_textrel => {
                self.text.ok_or(Error::TextRelativePointerButTextBaseIsUndefined)?
            }
            constants::DW_EH_PE_datarel => {
                self.data.ok_or(Error::DataRelativePointerButDataBaseIsUndefined)?
            }
            constants::DW_EH_PE_funcrel => self.function.ok_or(Error::FuncRelativePointerInBadContext)?,
            constants::DW_EH_PE_aligned => {
                let misalignment = place % u64::from(self.address_size.max(1));
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

    /// Reads a number of the width that pointers of an encoding have.
    pub(crate) fn read_number(&self, encoding: DwEhPe, input: &mut Reader<'a>) -> gimli::Result<u64> {
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

    /// An address as arithmetic on addresses of its size leaves it.
    pub(crate) fn within_address_size(&self, address: u64) -> u64 {
        match self.address_size {
            0..8 => address & ((1 << (8 * self.address_size)) - 1),
            _ => address,
        }
    }
}
