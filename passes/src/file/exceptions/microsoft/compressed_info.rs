//! The data of `__CxxFrameHandler4`, which current compilers of Microsoft use for 64-bit code: what [`super::function_info`] reads from
//! tables, in numbers of as many bytes as they need. Addresses of code in it count from the start of the function.
//!
//! Source: `ehdata4_export.h` of Microsoft's C++ library.

use super::super::Sections;
use super::function_info::{FunctionInfo, Try};
use super::{Broken, Reader};
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use std::collections::HashMap;

/// Bits of the first byte of a `FuncInfo4`: what follows.
const IS_SEPARATED: u8 = 1 << 1;
const HAS_FLAGS: u8 = 1 << 2;
const HAS_CLEANUPS: u8 = 1 << 3;
const HAS_TRIES: u8 = 1 << 4;
const UNUSED: u8 = 1 << 7;

/// Bits of the first byte of a handler.
const HAS_ADJECTIVES: u8 = 1;
const HAS_TYPE: u8 = 1 << 1;
const HAS_OBJECT: u8 = 1 << 2;
const CONTINUES_AT_RVA: u8 = 1 << 3;
const CONTINUATIONS_SHIFT: u8 = 4;
const CONTINUATIONS_MAX: u8 = 2;

/// Reads one field after another.
struct Fields<'a, P> {
    places: &'a P,
    next: SectionOffset,
}

impl<P: ImageView> Fields<'_, P> {
    fn byte(&mut self) -> Result<u8, Broken> {
        let bytes = self.places.bytes_from(self.next).ok_or(Broken::Outside)?;
        self.next = self.next.plus(1);
        bytes.first().copied().ok_or(Broken::Outside)
    }

    /// A number whose lowest bits say in how many bytes it stands: none of them are set in one byte, one in two, up to four in five.
    fn number(&mut self) -> Result<u32, Broken> {
        const BYTES_MAX: usize = 5;
        let bytes = self.places.bytes_from(self.next).ok_or(Broken::Outside)?;
        let first = *bytes.first().ok_or(Broken::Outside)?;
        let size = first.trailing_ones() as usize + 1;
        let size = size.min(BYTES_MAX);
        let mut number = [0; 8];
        number[..size].copy_from_slice(bytes.get(..size).ok_or(Broken::Outside)?);
        self.next = self.next.plus(size as u32);
        // In five bytes, the whole first one tells the size.
        let unused = if size == BYTES_MAX { 8 } else { size };
        Ok((u64::from_le_bytes(number) >> unused) as u32)
    }

    /// Where the next four bytes stand, which are a place.
    fn place(&mut self) -> SectionOffset {
        let field = self.next;
        self.next = field.plus(4);
        field
    }
}

impl<P: ImageView> Reader<'_, '_, P> {
    /// What stands at a place about the function that begins at another.
    pub(super) fn read_compressed(
        &mut self,
        info: SectionOffset,
        function: SectionOffset,
        sections: &Sections<'_>,
    ) -> Result<FunctionInfo, Broken> {
        let mut fields = self.fields(info);
        let header = fields.byte()?;
        if header & UNUSED != 0 {
            return Err(Broken::Disordered);
        }
        if header & HAS_FLAGS != 0 {
            fields.number()?;
        }
        let cleanups = (header & HAS_CLEANUPS != 0).then(|| fields.place());
        let tries = (header & HAS_TRIES != 0).then(|| fields.place());
        let states = fields.place();
        let cleanups = cleanups.map_or(Ok(Vec::new()), |field| self.compressed_cleanups(field, sections))?;
        let tries = tries.map_or(Ok(Vec::new()), |field| self.compressed_tries(field, sections))?;
        let states = match header & IS_SEPARATED {
            0 => Some(states),
            _ => self.part(states, function)?,
        };
        let count = cleanups.len() as u32;
        let states = states.map_or(Ok(Vec::new()), |field| self.compressed_states(field, function, count))?;
        Ok(FunctionInfo { cleanups, tries, states })
    }

    fn fields(&self, next: SectionOffset) -> Fields<'_, P> {
        Fields { places: self.places, next }
    }

    /// The place that a field says, and the number that stands there: of entries.
    fn counted(&mut self, field: SectionOffset) -> Result<(SectionOffset, u32), Broken> {
        let place = self.reference(field)?.map_err(|_| Broken::Outside)?;
        let mut fields = self.fields(place);
        let count = fields.number()?;
        let next = fields.next;
        self.spend(count as usize)?;
        Ok((next, count))
    }

    /// The field that says where the states of one part of a function are, whose parts lie apart.
    fn part(
        &mut self,
        field: SectionOffset,
        function: SectionOffset,
    ) -> Result<Option<SectionOffset>, Broken> {
        const PART_SIZE: u32 = 8;
        let (first, count) = self.counted(field)?;
        for entry in (0..count).map(|index| first.plus(index.wrapping_mul(PART_SIZE))) {
            if self.reference(entry)? == Ok(function) {
                return Ok(Some(entry.plus(4)));
            }
        }
        Ok(None)
    }

    /// What cleans up first in each state.
    fn compressed_cleanups(
        &mut self,
        field: SectionOffset,
        sections: &Sections<'_>,
    ) -> Result<Vec<Option<SectionOffset>>, Broken> {
        const KIND_BITS: u32 = 2;
        const NOTHING: u32 = 0;
        const WITHOUT_OBJECT: u32 = 3;
        let (first, count) = self.counted(field)?;
        let (mut next, mut cleanups) = (first, Vec::new());
        let mut states: HashMap<u32, usize> = HashMap::new();
        for state in 0..count as usize {
            let mut fields = self.fields(next);
            let number = fields.number()?;
            let (kind, back) = (number & ((1 << KIND_BITS) - 1), number >> KIND_BITS);
            let mut own = None;
            if kind != NOTHING {
                let action = fields.place();
                if kind != WITHOUT_OBJECT {
                    fields.number()?;
                }
                own = Some(action);
            }
            let behind = fields.next;
            let own = own.map_or(Ok(None), |action| self.code(action, sections))?;
            // The state outside is as many bytes before; that of code in no state would stand before the first.
            let outside = next.offset.checked_sub(back).ok_or(Broken::Disordered)?;
            let outside = match outside < first.offset {
                true => None,
                false => Some(*states.get(&outside).ok_or(Broken::Disordered)?),
            };
            states.insert(next.offset, state);
            cleanups.push(own.or_else(|| cleanups[outside?]));
            next = behind;
        }
        Ok(cleanups)
    }

    fn compressed_tries(
        &mut self,
        field: SectionOffset,
        sections: &Sections<'_>,
    ) -> Result<Vec<Try>, Broken> {
        let (mut next, count) = self.counted(field)?;
        let mut tries = Vec::new();
        for _ in 0..count {
            let mut fields = self.fields(next);
            let (low, high) = (fields.number()?, fields.number()?);
            // The last state of its handlers.
            fields.number()?;
            let handlers = fields.place();
            next = fields.next;
            tries.push(Try { states: low..=high, catches: self.compressed_catches(handlers, sections)? });
        }
        Ok(tries)
    }

    fn compressed_catches(
        &mut self,
        field: SectionOffset,
        sections: &Sections<'_>,
    ) -> Result<Vec<SectionOffset>, Broken> {
        let (mut next, count) = self.counted(field)?;
        let mut catches = Vec::new();
        for _ in 0..count {
            let mut fields = self.fields(next);
            let header = fields.byte()?;
            if header & HAS_ADJECTIVES != 0 {
                fields.number()?;
            }
            if header & HAS_TYPE != 0 {
                fields.place();
            }
            if header & HAS_OBJECT != 0 {
                fields.number()?;
            }
            let handler = fields.place();
            let continuations = header >> CONTINUATIONS_SHIFT;
            if continuations > CONTINUATIONS_MAX {
                return Err(Broken::Disordered);
            }
            for _ in 0..continuations {
                match header & CONTINUES_AT_RVA {
                    0 => _ = fields.number()?,
                    _ => _ = fields.place(),
                }
            }
            next = fields.next;
            catches.push(self.code(handler, sections)?.ok_or(Broken::Elsewhere)?);
        }
        Ok(catches)
    }

    /// From where on code is in which state, of which there are so many.
    fn compressed_states(
        &mut self,
        field: SectionOffset,
        function: SectionOffset,
        state_count: u32,
    ) -> Result<Vec<(SectionOffset, Option<u32>)>, Broken> {
        let (next, count) = self.counted(field)?;
        let mut fields = self.fields(next);
        let (mut ip, mut states) = (function, Vec::new());
        for _ in 0..count {
            let offset = ip.offset.checked_add(fields.number()?).ok_or(Broken::Disordered)?;
            ip.offset = offset;
            // Code that is in no state is in number 0.
            let state = fields.number()?.checked_sub(1);
            if state.is_some_and(|state| state >= state_count) {
                return Err(Broken::Disordered);
            }
            states.push((ip, state));
        }
        Ok(states)
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use crate::file::formats::pe_addresses::{ImageView, SectionOffset};

    /// Bytes that refer to nothing.
    struct Plain(Vec<u8>);

    impl ImageView for Plain {
        fn bytes_from(&self, spot: SectionOffset) -> Option<&[u8]> {
            self.0.get(spot.offset as usize..)
        }

        fn target(&self, _: SectionOffset) -> Option<SectionOffset> {
            None
        }

        fn locate(&self, _: u64, _: u32) -> Option<SectionOffset> {
            None
        }

        fn address(&self, spot: SectionOffset) -> u64 {
            spot.offset.into()
        }

        fn section_index(&self, _: SectionOffset) -> Option<u32> {
            None
        }
    }

    #[test]
    fn numbers_take_as_many_bytes_as_they_say() {
        let cases: [(&[u8], u32); 7] = [
            (&[0], 0),
            (&[0xfe], 127),
            (&[0x01, 0x02], 128),
            (&[0xfd, 0xff], (1 << 14) - 1),
            (&[0x03, 0x00, 0x02], 1 << 14),
            (&[0x07, 0x00, 0x00, 0x02], 1 << 21),
            (&[0x0f, 0xff, 0xff, 0xff, 0xff], u32::MAX),
        ];
        let plain = Plain(cases.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect());
        let mut fields = Fields { places: &plain, next: SectionOffset { section: 0, offset: 0 } };
        for (bytes, number) in cases {
            let before = fields.next.offset;
            assert_eq!(fields.number().ok(), Some(number));
            assert_eq!((fields.next.offset - before) as usize, bytes.len());
        }
        assert!(fields.number().is_err());
        let cut_short = Plain(vec![0x0f, 1, 2]);
        assert!(
            Fields { places: &cut_short, next: SectionOffset { section: 0, offset: 0 } }.number().is_err()
        );
    }
}
