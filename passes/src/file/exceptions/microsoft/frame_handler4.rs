//! Reads the `FuncInfo4` of `__CxxFrameHandler4`, which current compilers of Microsoft use for 64-bit code.
//!
//! It contains what `FuncInfo` does (`frame_handler3.rs`), with integers of variable size. Code addresses are relative
//! to the function.
//!
//! Source: `ehdata4_export.h` of Microsoft's C++ library.

use super::super::lsda::{LsdaError, SectionLookup};
use super::function_info::{FunctionInfo, TryBlock};
use super::reader::HandlerDataReader;
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use std::collections::HashMap;

/// Bits of the first byte of a `FuncInfo4`: the fields that follow.
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

/// Reads consecutive fields.
struct FieldReader<'a, V> {
    view: &'a V,
    next: SectionOffset,
}

impl<V: ImageView> FieldReader<'_, V> {
    fn byte(&mut self) -> Result<u8, LsdaError> {
        let bytes = self.view.bytes_from(self.next).ok_or(LsdaError::OutOfBounds)?;
        self.next = self.next.plus(1);
        bytes.first().copied().ok_or(LsdaError::OutOfBounds)
    }

    /// An integer of one to five bytes. The number of one bits at the low end of the first byte is the number of bytes
    /// that follow it.
    fn number(&mut self) -> Result<u32, LsdaError> {
        const BYTES_MAX: usize = 5;
        let bytes = self.view.bytes_from(self.next).ok_or(LsdaError::OutOfBounds)?;
        let first = *bytes.first().ok_or(LsdaError::OutOfBounds)?;
        let size = first.trailing_ones() as usize + 1;
        let size = size.min(BYTES_MAX);
        let mut number = [0; 8];
        number[..size].copy_from_slice(bytes.get(..size).ok_or(LsdaError::OutOfBounds)?);
        self.next = self.next.plus(size as u32);
        // Of five bytes, the whole first one states the size.
        let size_bits = if size == BYTES_MAX { 8 } else { size };
        Ok((u64::from_le_bytes(number) >> size_bits) as u32)
    }

    /// The location of the next field, a four-byte reference.
    fn reference(&mut self) -> SectionOffset {
        let field = self.next;
        self.next = field.plus(4);
        field
    }
}

impl<V: ImageView> HandlerDataReader<'_, '_, V> {
    /// Reads the `FuncInfo4` at a location, for the function at another.
    pub(super) fn read_info4(
        &mut self,
        info: SectionOffset,
        function: SectionOffset,
        sections: &SectionLookup<'_>,
    ) -> Result<FunctionInfo, LsdaError> {
        let mut fields = self.fields(info);
        let header = fields.byte()?;
        if header & UNUSED != 0 {
            return Err(LsdaError::NotSorted);
        }
        if header & HAS_FLAGS != 0 {
            fields.number()?;
        }
        let cleanups = (header & HAS_CLEANUPS != 0).then(|| fields.reference());
        let tries = (header & HAS_TRIES != 0).then(|| fields.reference());
        let states = fields.reference();
        let cleanups = cleanups.map_or(Ok(Vec::new()), |field| self.compressed_cleanups(field, sections))?;
        let tries = tries.map_or(Ok(Vec::new()), |field| self.compressed_tries(field, sections))?;
        let states = match header & IS_SEPARATED {
            0 => Some(states),
            _ => self.states_of_fragment(states, function)?,
        };
        let count = cleanups.len() as u32;
        let states = states.map_or(Ok(Vec::new()), |field| self.compressed_states(field, function, count))?;
        Ok(FunctionInfo { cleanups, tries, states })
    }

    fn fields(&self, next: SectionOffset) -> FieldReader<'_, V> {
        FieldReader { view: self.view, next }
    }

    /// The array that a field refers to: the location of its first entry, and the number of entries.
    fn array(&mut self, field: SectionOffset) -> Result<(SectionOffset, u32), LsdaError> {
        let start = self.reference(field)?.map_err(|_| LsdaError::OutOfBounds)?;
        let mut fields = self.fields(start);
        let count = fields.number()?;
        let next = fields.next;
        self.count_records(count as usize)?;
        Ok((next, count))
    }

    /// The field that refers to the states of one fragment of a function; `None` if the fragment is not listed.
    fn states_of_fragment(
        &mut self,
        field: SectionOffset,
        function: SectionOffset,
    ) -> Result<Option<SectionOffset>, LsdaError> {
        const ENTRY_SIZE: u32 = 8;
        let (first, count) = self.array(field)?;
        for entry in (0..count).map(|index| first.plus(index.wrapping_mul(ENTRY_SIZE))) {
            if self.reference(entry)? == Ok(function) {
                return Ok(Some(entry.plus(4)));
            }
        }
        Ok(None)
    }

    /// The first cleanup of each state: its own or, if it has none, that of the innermost enclosing state with one.
    fn compressed_cleanups(
        &mut self,
        field: SectionOffset,
        sections: &SectionLookup<'_>,
    ) -> Result<Vec<Option<SectionOffset>>, LsdaError> {
        const KIND_BITS: u32 = 2;
        const NO_ACTION: u32 = 0;
        const WITHOUT_OBJECT: u32 = 3;
        let (first, count) = self.array(field)?;
        let (mut next, mut cleanups) = (first, Vec::new());
        let mut states: HashMap<u32, usize> = HashMap::new();
        for state in 0..count as usize {
            let mut fields = self.fields(next);
            let number = fields.number()?;
            let (kind, back) = (number & ((1 << KIND_BITS) - 1), number >> KIND_BITS);
            let mut own = None;
            if kind != NO_ACTION {
                let action = fields.reference();
                if kind != WITHOUT_OBJECT {
                    fields.number()?;
                }
                own = Some(action);
            }
            let after = fields.next;
            let own = own.map_or(Ok(None), |action| self.code(action, sections))?;
            // The enclosing state is `back` bytes before this one; before the first state if there is none.
            let enclosing = next.offset.checked_sub(back).ok_or(LsdaError::NotSorted)?;
            let enclosing = match enclosing < first.offset {
                true => None,
                false => Some(*states.get(&enclosing).ok_or(LsdaError::NotSorted)?),
            };
            states.insert(next.offset, state);
            cleanups.push(own.or_else(|| cleanups[enclosing?]));
            next = after;
        }
        Ok(cleanups)
    }

    fn compressed_tries(
        &mut self,
        field: SectionOffset,
        sections: &SectionLookup<'_>,
    ) -> Result<Vec<TryBlock>, LsdaError> {
        let (mut next, count) = self.array(field)?;
        let mut tries = Vec::new();
        for _ in 0..count {
            let mut fields = self.fields(next);
            let (low, high) = (fields.number()?, fields.number()?);
            // The last state of its `catch` blocks.
            fields.number()?;
            let handlers = fields.reference();
            next = fields.next;
            tries
                .push(TryBlock { states: low..=high, catches: self.compressed_catches(handlers, sections)? });
        }
        Ok(tries)
    }

    fn compressed_catches(
        &mut self,
        field: SectionOffset,
        sections: &SectionLookup<'_>,
    ) -> Result<Vec<SectionOffset>, LsdaError> {
        let (mut next, count) = self.array(field)?;
        let mut catches = Vec::new();
        for _ in 0..count {
            let mut fields = self.fields(next);
            let header = fields.byte()?;
            if header & HAS_ADJECTIVES != 0 {
                fields.number()?;
            }
            if header & HAS_TYPE != 0 {
                fields.reference();
            }
            if header & HAS_OBJECT != 0 {
                fields.number()?;
            }
            let handler = fields.reference();
            let continuations = header >> CONTINUATIONS_SHIFT;
            if continuations > CONTINUATIONS_MAX {
                return Err(LsdaError::NotSorted);
            }
            for _ in 0..continuations {
                match header & CONTINUES_AT_RVA {
                    0 => _ = fields.number()?,
                    _ => _ = fields.reference(),
                }
            }
            next = fields.next;
            catches.push(self.code(handler, sections)?.ok_or(LsdaError::NotCode)?);
        }
        Ok(catches)
    }

    /// The locations from which on code is in a state; states are below `state_count`.
    fn compressed_states(
        &mut self,
        field: SectionOffset,
        function: SectionOffset,
        state_count: u32,
    ) -> Result<Vec<(SectionOffset, Option<u32>)>, LsdaError> {
        let (next, count) = self.array(field)?;
        let mut fields = self.fields(next);
        let (mut ip, mut states) = (function, Vec::new());
        for _ in 0..count {
            let offset = ip.offset.checked_add(fields.number()?).ok_or(LsdaError::NotSorted)?;
            ip.offset = offset;
            // Number 0 means no state; state 0 has number 1.
            let state = fields.number()?.checked_sub(1);
            if state.is_some_and(|state| state >= state_count) {
                return Err(LsdaError::NotSorted);
            }
            states.push((ip, state));
        }
        Ok(states)
    }
}

#[cfg(test)]
mod tests {
    use super::FieldReader;
    use crate::file::formats::pe_addresses::{ImageView, SectionOffset};

    /// Bytes without references.
    struct PlainBytes(Vec<u8>);

    impl ImageView for PlainBytes {
        fn bytes_from(&self, at: SectionOffset) -> Option<&[u8]> {
            self.0.get(at.offset as usize..)
        }

        fn target(&self, _: SectionOffset) -> Option<SectionOffset> {
            None
        }

        fn locate(&self, _: u64, _: u32) -> Option<SectionOffset> {
            None
        }

        fn address(&self, at: SectionOffset) -> u64 {
            at.offset.into()
        }

        fn section_index(&self, _: SectionOffset) -> Option<u32> {
            None
        }
    }

    #[test]
    fn the_first_byte_of_an_integer_states_its_size() {
        let cases: [(&[u8], u32); 7] = [
            (&[0], 0),
            (&[0xfe], 127),
            (&[0x01, 0x02], 128),
            (&[0xfd, 0xff], (1 << 14) - 1),
            (&[0x03, 0x00, 0x02], 1 << 14),
            (&[0x07, 0x00, 0x00, 0x02], 1 << 21),
            (&[0x0f, 0xff, 0xff, 0xff, 0xff], u32::MAX),
        ];
        let plain = PlainBytes(cases.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect());
        let mut fields = FieldReader { view: &plain, next: SectionOffset { section: 0, offset: 0 } };
        for (bytes, number) in cases {
            let before = fields.next.offset;
            assert_eq!(fields.number().ok(), Some(number));
            assert_eq!((fields.next.offset - before) as usize, bytes.len());
        }
        assert!(fields.number().is_err());
        let truncated = PlainBytes(vec![0x0f, 1, 2]);
        assert!(
            FieldReader { view: &truncated, next: SectionOffset { section: 0, offset: 0 } }.number().is_err()
        );
    }
}
