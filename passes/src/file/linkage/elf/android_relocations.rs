//! Android's packed relocations: numbers in signed LEB128 that state what changes from one relocation to the next.
//!
//! After `APS2` follow the number of relocations, the address that the first is relative to, and groups. A group states its
//! size and what its relocations share: the distance of addresses, symbol and type, the distance of addends.
//!
//! *Termination.* A group may take no bytes for its relocations; who reads them limits their number.
//!
//! Source: Android's dynamic linker, `linker_reloc_iterators.h`; LLVM, `ELFFile::android_relas`.

use gimli::{EndianSlice, LittleEndian, Reader};
use object::elf::RelocationType;
use object::read::elf::Crel;

/// Flags of a group.
const SHARES_INFO: i64 = 1;
const SHARES_OFFSET_DELTA: i64 = 2;
const SHARES_ADDEND: i64 = 4;
const HAS_ADDENDS: i64 = 8;

/// The relocations of a table, until one cannot be read.
pub(super) struct AndroidRelocations<'a> {
    numbers: EndianSlice<'a, LittleEndian>,
    is_64: bool,
    /// Relocations that follow.
    left: u64,
    group: Group,
    offset: i64,
    addend: i64,
}

/// A group of relocations; `None` where each of them states a value of its own.
#[derive(Default)]
struct Group {
    /// Relocations of the group that follow.
    left: u64,
    offset_delta: Option<i64>,
    info: Option<i64>,
    has_addend_deltas: bool,
}

impl<'a> AndroidRelocations<'a> {
    pub(super) fn new(table: &'a [u8], is_64: bool) -> Result<Self, String> {
        let numbers = table.strip_prefix(b"APS2").ok_or("the table does not start with `APS2`")?;
        let numbers = EndianSlice::new(numbers, LittleEndian);
        let mut relocations = Self { numbers, is_64, left: 0, group: Group::default(), offset: 0, addend: 0 };
        relocations.left = relocations.read_count()?;
        relocations.offset = relocations.number()?;
        Ok(relocations)
    }

    fn number(&mut self) -> Result<i64, String> {
        self.numbers.read_sleb128().map_err(|error| error.to_string())
    }

    fn read_count(&mut self) -> Result<u64, String> {
        let number = self.number()?;
        u64::try_from(number).map_err(|_| format!("the number of relocations is {number}"))
    }

    fn read_group(&mut self) -> Result<(), String> {
        let left = self.read_count()?;
        let flags = self.number()?;
        let offset_delta = (flags & SHARES_OFFSET_DELTA != 0).then(|| self.number()).transpose()?;
        let info = (flags & SHARES_INFO != 0).then(|| self.number()).transpose()?;
        let has_addends = flags & HAS_ADDENDS != 0;
        let shares_addend = flags & SHARES_ADDEND != 0;
        if !has_addends {
            self.addend = 0;
        } else if shares_addend {
            self.addend = self.addend.wrapping_add(self.number()?);
        }
        self.group = Group { left, offset_delta, info, has_addend_deltas: has_addends && !shares_addend };
        Ok(())
    }

    fn read(&mut self) -> Result<Crel, String> {
        while self.group.left == 0 {
            self.read_group()?;
        }
        self.group.left -= 1;
        let delta = self.group.offset_delta.map_or_else(|| self.number(), Ok)?;
        self.offset = self.offset.wrapping_add(delta);
        let info = self.group.info.map_or_else(|| self.number(), Ok)? as u64;
        if self.group.has_addend_deltas {
            self.addend = self.addend.wrapping_add(self.number()?);
        }
        let (r_offset, r_sym, r_type) = match self.is_64 {
            true => (self.offset as u64, (info >> 32) as u32, info as u32),
            false => (u64::from(self.offset as u32), info as u32 >> 8, info as u32 & 0xff),
        };
        let r_addend = if self.is_64 { self.addend } else { i64::from(self.addend as i32) };
        Ok(Crel { r_offset, r_sym, r_type: RelocationType(r_type), r_addend })
    }
}

impl Iterator for AndroidRelocations<'_> {
    type Item = Result<Crel, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let relocation = self.read();
        if relocation.is_err() {
            self.left = 0;
        }
        Some(relocation)
    }
}
