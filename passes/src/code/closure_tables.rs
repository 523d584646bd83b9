//! The info tables of GHC, which are in code: each is right before the code of a closure, a constructor or a return
//! address, and the pointer to the code is also that to the table.
//!
//! A table ends with 16 bytes: how many pointers and other words the closure has (or which words of a stack frame are
//! pointers), the type of the closure, and the offset of its static references (or the number of the constructor).
//! Before them, a constructor has the offset of its name, and a function the kind of its arguments and their number;
//! if the kind says so, before that also the offset of code that applies it, and which arguments are pointers. Compare `InfoTables.h` and `ClosureTypes.h` of GHC's runtime. All
//! other programs together hardly have bytes of this form after an instruction that does not fall through, so that
//! several tables show that a program is one of GHC.

use super::regions::CodeRegion;
use std::ops::Range;

/// What code has an info table before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClosureCode {
    /// The entry of a function, thunk, constructor or object of the runtime.
    Entry,
    /// A return address, inside a function.
    Return,
}

/// Fewer tables do not show that a program is one of GHC.
pub(crate) const TABLES_MIN: usize = 64;

/// Bytes of a table without the fields that only some have.
const SIZE: usize = 16;

/// The unit of tables, and the alignment of code after them.
const WORD: usize = 8;

/// The most words of fields before a table.
const FIELDS_MAX: usize = 3;

/// The first kind of arguments without a description of them.
const SIMPLE_ARGUMENTS: u32 = 3;

/// The greatest kind and number of arguments that is believed.
const ARGUMENTS_MAX: u32 = 1 << 8;

/// The greatest number of pointers or words of a closure, and of constructors of a type, that is believed.
const COUNT_MAX: u32 = 1 << 16;

/// What the code at a position is, if the bytes before it are an info table.
pub(crate) fn code_at(region: &CodeRegion, position: usize) -> Option<ClosureCode> {
    let address = region.address.wrapping_add(position as u64);
    if region.isa.bits() != 64 || !address.is_multiple_of(WORD as u64) || position >= region.bytes.len() {
        return None;
    }
    let table = region.bytes.get(position.checked_sub(SIZE)?..position)?;
    let word = |index: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| table[index * 4 + byte]));
    let (pointers, others, kind, last) = (word(0), word(1), word(2), word(3));
    match kind {
        // Constructors, with their number.
        1..=7 => {
            (pointers < COUNT_MAX && others < COUNT_MAX && last < COUNT_MAX).then_some(ClosureCode::Entry)
        }
        // Stack frames.
        29..=36 => Some(ClosureCode::Return),
        8..=64 => (pointers < COUNT_MAX && others < COUNT_MAX).then_some(ClosureCode::Entry),
        _ => None,
    }
}

/// The number of words of fields before the table of the code at a position; `None` if they have another form.
fn fields(region: &CodeRegion, position: usize) -> Option<usize> {
    let word = |from: usize| Some(u32::from_le_bytes(*region.bytes.get(from..)?.first_chunk()?));
    let before = position.checked_sub(SIZE + WORD)?;
    let (first, second) = (word(before)?, word(before + 4)?);
    match word(position - WORD)? {
        1..=7 => (second == 0).then_some(1),
        8..=14 => {
            let is_function = first < ARGUMENTS_MAX && (1..ARGUMENTS_MAX).contains(&second);
            is_function.then_some(if first < SIMPLE_ARGUMENTS { FIELDS_MAX } else { 1 })
        }
        _ => Some(0),
    }
}

/// The position after the instructions without effect at a position.
fn padding_end(region: &CodeRegion, position: usize) -> usize {
    let mut end = position;
    while let Some(bytes) =
        region.bytes.get(end..).filter(|bytes| bytes.first().is_some_and(|byte| *byte != 0))
    {
        let size = region.isa.instruction_size(bytes, region.address.wrapping_add(end as u64)).unwrap_or(0);
        if size == 0
            || end + size > position + SIZE
            || !region.isa.is_padding(&bytes[..size.min(bytes.len())])
        {
            break;
        }
        end += size;
    }
    end
}

/// The code that applies the function at a position to its arguments, if its table says where.
pub(crate) fn slow_entry(region: &CodeRegion, position: usize) -> Option<usize> {
    if fields(region, position)? < FIELDS_MAX {
        return None;
    }
    let before = position.checked_sub(SIZE + FIELDS_MAX * WORD)?;
    let offset = i32::from_le_bytes(*region.bytes.get(before..)?.first_chunk()?);
    position.checked_add_signed(offset as isize).filter(|entry| *entry < region.bytes.len())
}

/// The code at a position or after padding there, if the padding aligns it as GHC aligns procedures: those without a
/// table too.
pub(crate) fn aligned_code(region: &CodeRegion, position: usize) -> Option<usize> {
    let end = padding_end(region, position);
    let address = region.address.wrapping_add(end as u64);
    let is_aligned = address.is_multiple_of(WORD as u64) && (1..WORD).contains(&(end - position));
    (is_aligned && end < region.bytes.len()).then_some(end)
}

/// The end of the info table at a position, padding before it included; `None` if there is none.
pub(crate) fn table_end(region: &CodeRegion, position: usize) -> Option<usize> {
    let address = region.address.wrapping_add(position as u64);
    let first = position + (address.wrapping_neg() % WORD as u64) as usize;
    // The fields of a function and the first half of its table have the form of a table too.
    let is_end = |end: usize| code_at(region, end).is_some() && code_at(region, end + WORD).is_none();
    // Padding may end one word later.
    let mut ends = (0..=FIELDS_MAX + 1).map(|words| first + words * WORD + SIZE);
    ends.find(|end| {
        is_end(*end)
            && fields(region, *end).and_then(|count| (end - SIZE).checked_sub(count * WORD)).is_some_and(
                |start| (first..=first + WORD).contains(&start) && is_padded(region, position..start),
            )
    })
}

/// Whether a range consists of instructions without effect, and then of zeros.
fn is_padded(region: &CodeRegion, range: Range<usize>) -> bool {
    let end = padding_end(region, range.start);
    end <= range.end && region.bytes[end..range.end].iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn region(words: &[u32]) -> CodeRegion {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain([0xc3]).collect();
        CodeRegion {
            isa: Isa::X86_64,
            address: 0x1000,
            section_index: 1,
            is_plt: false,
            pointer_table: None,
            bytes: bytes.into(),
        }
    }

    #[test]
    fn tables_of_functions_thunks_and_frames_are_read() {
        // Type and arity, layout, type and references of a function with two arguments.
        let function = region(&[5, 2, 1, 0, 14, 0x1234]);
        assert_eq!(table_end(&function, 0), Some(24));
        assert_eq!(code_at(&function, 24), Some(ClosureCode::Entry));
        let constructor = region(&[0x9_8765, 0, 1, 1, 2, 3]);
        assert_eq!(table_end(&constructor, 0), Some(24));
        // Code before, without a table of its own.
        let thunk = region(&[0x6600_65ff, 0x9090_9090, 2, 0, 16, 0]);
        assert_eq!((table_end(&thunk, 8), code_at(&thunk, 24)), (Some(24), Some(ClosureCode::Entry)));
        assert_eq!(table_end(&thunk, 1), None);
        let frame = region(&[0x9090_9090, 0x9090_9090, 0x1c2, 0, 30, 0]);
        assert_eq!((table_end(&frame, 1), code_at(&frame, 24)), (Some(24), Some(ClosureCode::Return)));
    }

    #[test]
    fn other_bytes_are_no_tables() {
        assert_eq!(table_end(&region(&[0, 0, 0, 0, 0, 0]), 0), None);
        assert_eq!(table_end(&region(&[0x9090_9090; 6]), 0), None);
    }
}
