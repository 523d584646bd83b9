//! The data of `__CxxFrameHandler3` and its predecessors: where a `FuncInfo` stands, which a function has in common with those
//! that its `catch` blocks are made to. It says by tables in which state the code is from each address on; for each state, the
//! state outside of it and what cleans up on the way there; and for each `try` block, its states and what catches.
//!
//! Source: `ehdata.h` of Microsoft's C++ library; `WinException` of LLVM.

use super::super::{Described, Sections};
use super::{Broken, Kind, Reader};
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use binframe_ir::tables::ExceptionCallSite;
use object::pe;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// The versions of a `FuncInfo`. Its three highest bits are another field.
const MAGIC: RangeInclusive<u32> = 0x1993_0520..=0x1993_0522;
const MAGIC_BITS: u32 = 0x1fff_ffff;

/// Sizes of an entry of the tables: of states, `try` blocks, what catches, and addresses.
const STATE_SIZE: u32 = 8;
const TRY_SIZE: u32 = 20;
const CATCH_SIZE: u32 = 20;
const ADDRESS_SIZE: u32 = 8;

/// Those that were read, by where they stand and, where they count from the start of a function, by that.
pub(super) type FunctionInfos =
    BTreeMap<(SectionOffset, Option<SectionOffset>), Result<Rc<FunctionInfo>, Broken>>;

/// What a `FuncInfo` says.
pub(super) struct FunctionInfo {
    /// For each state, what cleans up first.
    pub(super) cleanups: Vec<Option<SectionOffset>>,
    pub(super) tries: Vec<Try>,
    /// In order; the state that code is in from there on, if it is in one.
    pub(super) states: Vec<(SectionOffset, Option<u32>)>,
}

/// A `try` block.
pub(super) struct Try {
    pub(super) states: RangeInclusive<u32>,
    pub(super) catches: Vec<SectionOffset>,
}

/// A table: its place and how many entries it has.
#[derive(Clone, Copy)]
struct Entries {
    place: SectionOffset,
    count: u32,
    size: u32,
}

impl Entries {
    fn places(self) -> impl Iterator<Item = SectionOffset> {
        (0..self.count).map(move |index| self.place.plus(index * self.size))
    }
}

impl<P: ImageView> Reader<'_, '_, P> {
    /// The rows of a range of code. Where code is in a state, each handler that may catch there has one, and what cleans up first.
    pub(super) fn states(
        &mut self,
        kind: Kind,
        one: &Described,
        sections: &Sections<'_>,
    ) -> Result<Vec<ExceptionCallSite>, Broken> {
        let (data, start) = self.spots(one)?;
        let is_compressed = kind == Kind::CompressedStates;
        let info = self.info(data, is_compressed.then_some(start), sections)?;
        let end = start.plus(u32::try_from(one.function_size).map_err(|_| Broken::Elsewhere)?);
        let next = info.states.partition_point(|(ip, _)| *ip <= start);
        let first = next.checked_sub(1).filter(|index| info.states[*index].0.section == start.section);
        let mut rows = Vec::new();
        for (index, (ip, state)) in info.states.iter().enumerate().skip(first.unwrap_or(next)) {
            let (ip, behind) =
                ((*ip).max(start), info.states.get(index + 1).map_or(end, |next| next.0.min(end)));
            if ip >= end {
                break;
            }
            self.spend(1)?;
            let Some(state) = state.filter(|_| ip < behind) else { continue };
            self.spend(info.tries.len())?;
            let before = rows.len();
            let mut push = |landing_pad: SectionOffset, action| {
                rows.push(ExceptionCallSite {
                    address: self.places.address(ip),
                    size: u64::from(behind.offset - ip.offset),
                    section_index: self.places.section_index(ip),
                    landing_pad_address: Some(self.places.address(landing_pad)),
                    landing_pad_section_index: self.places.section_index(landing_pad),
                    action,
                    function_address: one.function_address,
                    lsda_address: one.lsda_address,
                    lsda_section_index: one.lsda_section_index.unwrap_or_default(),
                    call_site_index: (rows.len() - before) as u32,
                });
            };
            // Handlers are numbered through all blocks of the function.
            let mut first_action = 1;
            for block in &info.tries {
                if block.states.contains(&state) {
                    (first_action..).zip(&block.catches).for_each(|(action, catch)| push(*catch, action));
                }
                first_action += block.catches.len() as u64;
            }
            if let Some(cleanup) = info.cleanups[state as usize] {
                push(cleanup, 0);
            }
            self.spend(rows.len() - before)?;
        }
        Ok(rows)
    }

    fn info(
        &mut self,
        data: SectionOffset,
        function: Option<SectionOffset>,
        sections: &Sections<'_>,
    ) -> Result<Rc<FunctionInfo>, Broken> {
        let place = self.reference(data)?.map_err(|_| Broken::Outside)?;
        if let Some(read) = self.infos.get(&(place, function)) {
            return read.clone();
        }
        let read = match function {
            Some(function) => self.read_compressed(place, function, sections),
            None => self.read_info(place, sections),
        };
        let read = read.map(Rc::new);
        self.infos.insert((place, function), read.clone());
        read
    }

    fn read_info(&mut self, info: SectionOffset, sections: &Sections<'_>) -> Result<FunctionInfo, Broken> {
        // On 32-bit Arm, entries have other sizes.
        let is_known = self.machine != pe::IMAGE_FILE_MACHINE_ARMNT;
        let magic = self.places.number(info).ok_or(Broken::Outside)? & MAGIC_BITS;
        if !is_known || !MAGIC.contains(&magic) {
            return Err(Broken::Disordered);
        }
        let cleanups = self.entries(info.plus(4), STATE_SIZE)?;
        let cleanups = self.cleanups(cleanups, sections)?;
        let mut tries = Vec::new();
        for entry in self.entries(info.plus(12), TRY_SIZE)?.places() {
            let [low, high] = [entry, entry.plus(4)].map(|field| self.places.number(field));
            let states = low.ok_or(Broken::Outside)?..=high.ok_or(Broken::Outside)?;
            let entries = self.entries(entry.plus(12), CATCH_SIZE)?;
            let catch = |entry: SectionOffset| self.code(entry.plus(12), sections)?.ok_or(Broken::Elsewhere);
            tries.push(Try { states, catches: entries.places().map(catch).collect::<Result<_, _>>()? });
        }
        let mut states = Vec::new();
        for entry in self.entries(info.plus(20), ADDRESS_SIZE)?.places() {
            let ip = self.reference(entry)?.map_err(|_| Broken::Elsewhere)?;
            let state = self.state(entry.plus(4), cleanups.len() as u32)?;
            // Parts of a function may lie in several sections of an object.
            if states
                .last()
                .is_some_and(|(last, _): &(SectionOffset, _)| last.section == ip.section && *last > ip)
            {
                return Err(Broken::Disordered);
            }
            states.push((ip, state));
        }
        states.sort_by_key(|(ip, _)| *ip);
        Ok(FunctionInfo { cleanups, tries, states })
    }

    /// A table of which the number of entries stands at a place, and behind it where it is.
    fn entries(&mut self, field: SectionOffset, size: u32) -> Result<Entries, Broken> {
        let count = self.places.number(field).ok_or(Broken::Outside)?;
        if count == 0 {
            return Ok(Entries { place: field, count, size });
        }
        let place = self.reference(field.plus(4))?.map_err(|_| Broken::Outside)?;
        let bytes = self.places.bytes_from(place).ok_or(Broken::Outside)?;
        if u64::from(count) * u64::from(size) > bytes.len() as u64 {
            return Err(Broken::Outside);
        }
        self.spend(count as usize)?;
        Ok(Entries { place, count, size })
    }

    /// What cleans up first in each state: its own function, or that of the next state outside which has one.
    fn cleanups(
        &self,
        states: Entries,
        sections: &Sections<'_>,
    ) -> Result<Vec<Option<SectionOffset>>, Broken> {
        let mut cleanups: Vec<Option<SectionOffset>> = Vec::new();
        for entry in states.places() {
            let outside = self.state(entry, cleanups.len() as u32)?;
            let own = self.code(entry.plus(4), sections)?;
            cleanups.push(own.or_else(|| cleanups[outside? as usize]));
        }
        Ok(cleanups)
    }

    /// The state that a field says, of which there are so many; none for code that is in no state.
    fn state(&self, field: SectionOffset, count: u32) -> Result<Option<u32>, Broken> {
        match self.places.number(field).ok_or(Broken::Outside)? {
            u32::MAX => Ok(None),
            state if state < count => Ok(Some(state)),
            _ => Err(Broken::Disordered),
        }
    }
}
