//! Reads the `FuncInfo` of `__CxxFrameHandler3` and its predecessors.
//!
//! The LSDA of a function refers to a `FuncInfo`, which it shares with the functions of its `catch` blocks. Three
//! tables describe it: for each state, the enclosing state and a cleanup function; for each `try` block, its states and
//! `catch` blocks; sorted by address, the state of the code from there on.
//!
//! Source: `ehdata.h` of Microsoft's C++ library; `WinException` of LLVM.

use super::super::lsda::{LsdaError, SectionLookup};
use super::function_info::{FunctionInfo, TryBlock};
use super::reader::HandlerDataReader;
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use object::pe;
use std::ops::RangeInclusive;

/// The versions of a `FuncInfo`. The three highest bits of the field are flags.
const MAGIC: RangeInclusive<u32> = 0x1993_0520..=0x1993_0522;
const MAGIC_BITS: u32 = 0x1fff_ffff;

/// Sizes of records in bytes: a state, a `try` block, a `catch` block, an address.
const STATE_SIZE: u32 = 8;
const TRY_SIZE: u32 = 20;
const CATCH_SIZE: u32 = 20;
const ADDRESS_SIZE: u32 = 8;

/// An array of records.
#[derive(Clone, Copy)]
struct RecordArray {
    start: SectionOffset,
    count: u32,
    record_size: u32,
}

impl RecordArray {
    /// Locations of the records.
    fn records(self) -> impl Iterator<Item = SectionOffset> {
        (0..self.count).map(move |index| self.start.plus(index * self.record_size))
    }
}

impl<V: ImageView> HandlerDataReader<'_, '_, V> {
    /// Reads the `FuncInfo` at a location.
    pub(super) fn read_info3(
        &mut self,
        info: SectionOffset,
        sections: &SectionLookup<'_>,
    ) -> Result<FunctionInfo, LsdaError> {
        // On 32-bit Arm, records have other sizes.
        let is_supported = self.machine != pe::IMAGE_FILE_MACHINE_ARMNT;
        let magic = self.number(info)? & MAGIC_BITS;
        if !is_supported || !MAGIC.contains(&magic) {
            return Err(LsdaError::NotSorted);
        }
        let cleanups = self.records(info.plus(4), STATE_SIZE)?;
        let cleanups = self.cleanups(cleanups, sections)?;
        let mut tries = Vec::new();
        for entry in self.records(info.plus(12), TRY_SIZE)?.records() {
            let states = self.number(entry)?..=self.number(entry.plus(4))?;
            let entries = self.records(entry.plus(12), CATCH_SIZE)?;
            let catch = |entry: SectionOffset| self.code(entry.plus(12), sections)?.ok_or(LsdaError::NotCode);
            tries.push(TryBlock { states, catches: entries.records().map(catch).collect::<Result<_, _>>()? });
        }
        let mut states = Vec::new();
        for entry in self.records(info.plus(20), ADDRESS_SIZE)?.records() {
            let ip = self.reference(entry)?.map_err(|_| LsdaError::NotCode)?;
            let state = self.state(entry.plus(4), cleanups.len() as u32)?;
            // Fragments of a function may be in several sections of an object.
            if states
                .last()
                .is_some_and(|(last, _): &(SectionOffset, _)| last.section == ip.section && *last > ip)
            {
                return Err(LsdaError::NotSorted);
            }
            states.push((ip, state));
        }
        states.sort_by_key(|(ip, _)| *ip);
        Ok(FunctionInfo { cleanups, tries, states })
    }

    /// The array whose number of records is at a location, followed by a reference to the first.
    fn records(&mut self, field: SectionOffset, record_size: u32) -> Result<RecordArray, LsdaError> {
        let count = self.number(field)?;
        if count == 0 {
            return Ok(RecordArray { start: field, count, record_size });
        }
        let start = self.reference(field.plus(4))?.map_err(|_| LsdaError::OutOfBounds)?;
        let bytes = self.view.bytes_from(start).ok_or(LsdaError::OutOfBounds)?;
        if u64::from(count) * u64::from(record_size) > bytes.len() as u64 {
            return Err(LsdaError::OutOfBounds);
        }
        self.count_records(count as usize)?;
        Ok(RecordArray { start, count, record_size })
    }

    /// The first cleanup of each state: its own or, if it has none, that of the innermost enclosing state with one.
    fn cleanups(
        &self,
        states: RecordArray,
        sections: &SectionLookup<'_>,
    ) -> Result<Vec<Option<SectionOffset>>, LsdaError> {
        let mut cleanups: Vec<Option<SectionOffset>> = Vec::new();
        for entry in states.records() {
            let enclosing = self.state(entry, cleanups.len() as u32)?;
            let own = self.code(entry.plus(4), sections)?;
            cleanups.push(own.or_else(|| cleanups[enclosing? as usize]));
        }
        Ok(cleanups)
    }

    /// The state in a field, below `count`; `None` for code that is in no state.
    fn state(&self, field: SectionOffset, count: u32) -> Result<Option<u32>, LsdaError> {
        match self.number(field)? {
            u32::MAX => Ok(None),
            state if state < count => Ok(Some(state)),
            _ => Err(LsdaError::NotSorted),
        }
    }
}
