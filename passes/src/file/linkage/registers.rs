//! Registers of a thread, as core dumps and load commands store them.
//!
//! A layout is a list of names, separated by blanks, in the order of the stored registers. `x0..30` is a sequence of
//! names, `:4` the size of each register in bytes if it is not that of a word, and `_:8` are eight bytes without a
//! register.

use super::ir::LinkageBuilder;
use binframe_ir::tables::BinaryThreadRegister;
use object::Endianness;

/// Registers, program counter, stack pointer.
pub(super) type Names = (&'static str, &'static str, &'static str);

/// The layout of a thread's registers.
pub(super) struct Layout {
    names: Names,
    /// Size of a register in bytes.
    word: usize,
}

/// A register in the stored state.
struct Register {
    name: String,
    offset: usize,
    size: usize,
}

impl Layout {
    /// A layout with words of four or eight bytes.
    pub(super) fn new(names: Names, is_wide: bool) -> Self {
        Self { names, word: if is_wide { 8 } else { 4 } }
    }

    /// Size of the stored state in bytes.
    pub(super) fn size(&self) -> usize {
        let items = self.names.0.split_whitespace().map(|item| self.item(item));
        items.map(|(_, numbers, size)| numbers.map_or(1, |(first, last)| last - first + 1) * size).sum()
    }

    /// Adds the registers of a thread. Returns program counter and stack pointer.
    pub(super) fn push(
        &self,
        thread_index: u32,
        stored: &[u8],
        endian: Endianness,
        linkage: &mut LinkageBuilder,
    ) -> (Option<u64>, Option<u64>) {
        let (_, program_counter, stack_pointer) = self.names;
        let mut found = (None, None);
        for (register_index, register) in (0..).zip(self.registers()) {
            let bytes = stored.get(register.offset..register.offset + register.size);
            let Some(value) = bytes.map(|bytes| integer(bytes, endian)) else { break };
            let register_name = &*register.name;
            if register_name == program_counter {
                found.0 = Some(value);
            } else if register_name == stack_pointer {
                found.1 = Some(value);
            }
            let row = BinaryThreadRegister { thread_index, register_index, register_name, value };
            linkage.thread_registers.push(row);
        }
        found
    }

    /// The registers, in the order in which they are stored.
    fn registers(&self) -> Vec<Register> {
        let mut registers = Vec::new();
        let mut offset = 0;
        for (stem, numbers, size) in self.names.0.split_whitespace().map(|item| self.item(item)) {
            let mut push = |name| {
                registers.push(Register { name, offset, size });
                offset += size;
            };
            match numbers {
                Some((first, last)) => (first..=last).for_each(|number| push(format!("{stem}{number}"))),
                None => push(stem.to_owned()),
            }
        }
        registers.retain(|register| register.name != "_");
        registers
    }

    /// Name of an item or of a sequence without its numbers, the first and last number, and the size of each register.
    fn item<'i>(&self, item: &'i str) -> (&'i str, Option<(usize, usize)>, usize) {
        let number = |text: &str| text.parse::<usize>().expect("a layout has numbers here");
        let (name, size) =
            item.split_once(':').map_or((item, self.word), |(name, size)| (name, number(size)));
        match name.split_once("..") {
            Some((first, last)) => {
                let stem = first.trim_end_matches(|digit: char| digit.is_ascii_digit());
                (stem, Some((number(&first[stem.len()..]), number(last))), size)
            }
            None => (name, None, size),
        }
    }
}

/// An unsigned number of at most eight bytes.
pub(super) fn integer(bytes: &[u8], endian: Endianness) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    match endian {
        Endianness::Little => bytes.iter().rev().fold(0, add),
        Endianness::Big => bytes.iter().fold(0, add),
    }
}
