//! The info tables of GHC, which are in code: each is right before the code of a closure, a constructor or a return
//! address, and the pointer to the code is also that to the table.
//!
//! A table ends with 16 bytes: how many pointers and other words the closure has (or which words of a stack frame are
//! pointers), the type of the closure, and the offset of its static references (or the number of the constructor).
//! Functions and constructors have fields before. Compare `InfoTables.h` and `ClosureTypes.h` of GHC's runtime. All
//! other programs together hardly have bytes of this form after an instruction that does not fall through, so that
//! several tables show that a program is one of GHC.

use super::regions::CodeRegion;

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

/// The end of the info table at a position, alignment before it included; `None` if there is none.
pub(crate) fn table_end(region: &CodeRegion, position: usize) -> Option<usize> {
    let address = region.address.wrapping_add(position as u64);
    let start = position + (address.wrapping_neg() % WORD as u64) as usize;
    let mut ends = (0..=FIELDS_MAX).map(|fields| start + fields * WORD + SIZE);
    // The fields of a function and the first half of its table have the form of a table too.
    ends.find(|end| code_at(region, *end).is_some() && code_at(region, end + WORD).is_none())
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
        let thunk = region(&[2, 0, 16, 0]);
        assert_eq!((table_end(&thunk, 0), code_at(&thunk, 16)), (Some(16), Some(ClosureCode::Entry)));
        let frame = region(&[0x1c2, 0, 30, 0]);
        assert_eq!(code_at(&frame, 16), Some(ClosureCode::Return));
    }

    #[test]
    fn other_bytes_are_no_tables() {
        assert_eq!(table_end(&region(&[0, 0, 0, 0, 0, 0]), 0), None);
        assert_eq!(table_end(&region(&[0x9090_9090; 6]), 0), None);
    }
}
