//! `(section .llvm_bb_addr_map) -> functions, blocks, successors`, for version 2 of the format as described in LLVM's
//! `Extensions.rst`.
//!
//! Clang writes the section with `-fbasic-block-address-map`, and successors with `-pgo-analysis-map=br-prob`.

use std::collections::BTreeMap;

/// Bits of the feature byte: which optional fields are present.
const ENTRY_COUNT: u8 = 1;
const FREQUENCIES: u8 = 2;
const PROBABILITIES: u8 = 4;
const SEVERAL_RANGES: u8 = 8;

/// Bits of the block metadata.
const RETURNS: u64 = 1;
const TAIL_CALLS: u64 = 2;
const IS_PAD: u64 = 4;
const FALLS_THROUGH: u64 = 8;
const JUMPS_INDIRECTLY: u64 = 16;

/// A machine basic block of LLVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Address of the first byte.
    pub(crate) start: u64,
    /// Address after the last byte.
    pub(crate) end: u64,
    flags: u64,
    /// Start addresses of successors, except landing pads.
    pub(crate) successors: Vec<u64>,
}

impl Block {
    /// Whether it is a landing pad.
    pub(crate) fn is_pad(&self) -> bool {
        self.flags & IS_PAD != 0
    }

    /// Whether it may fall through to the next block.
    pub(crate) fn falls_through(&self) -> bool {
        self.flags & FALLS_THROUGH != 0
    }

    /// Whether it ends with a return or a tail call.
    pub(crate) fn exits(&self) -> bool {
        self.flags & (RETURNS | TAIL_CALLS) != 0
    }

    /// Whether it ends with an indirect jump to other blocks.
    pub(crate) fn jumps_indirectly(&self) -> bool {
        self.flags & JUMPS_INDIRECTLY != 0 && self.flags & TAIL_CALLS == 0
    }
}

/// Blocks of each function, with addresses of `address_size` bytes; `None` if the section is invalid or has no successors.
pub(crate) fn read(section: &[u8], address_size: usize) -> Option<Vec<Vec<Block>>> {
    let mut bytes = Bytes { rest: section, address_size };
    let mut functions = Vec::new();
    while !bytes.rest.is_empty() {
        functions.push(function(&mut bytes)?);
    }
    Some(functions)
}

fn function(bytes: &mut Bytes<'_>) -> Option<Vec<Block>> {
    let (version, features) = (bytes.byte()?, bytes.byte()?);
    if version != 2 || features & PROBABILITIES == 0 {
        return None;
    }
    let ranges = if features & SEVERAL_RANGES == 0 { 1 } else { bytes.number()? };
    let mut blocks = Vec::new();
    let mut starts = BTreeMap::new();
    for _ in 0..ranges {
        let mut end = bytes.address()?;
        for _ in 0..bytes.number()? {
            let identifier = bytes.number()?;
            let start = end.checked_add(bytes.number()?)?;
            end = start.checked_add(bytes.number()?)?;
            let flags = bytes.number()?;
            starts.insert(identifier, (start, flags));
            blocks.push(Block { start, end, flags, successors: Vec::new() });
        }
    }
    if features & ENTRY_COUNT != 0 {
        bytes.number()?;
    }
    for block in &mut blocks {
        if features & FREQUENCIES != 0 {
            bytes.number()?;
        }
        for _ in 0..bytes.number()? {
            let (start, flags) = *starts.get(&bytes.number()?)?;
            block.successors.extend((flags & IS_PAD == 0).then_some(start));
            bytes.number()?;
        }
    }
    Some(blocks)
}

struct Bytes<'a> {
    rest: &'a [u8],
    /// 4 or 8.
    address_size: usize,
}

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn address(&mut self) -> Option<u64> {
        let (address, rest) = self.rest.split_at_checked(self.address_size)?;
        self.rest = rest;
        Some(address.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A LEB128 number.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[test]
fn blocks_and_successors_are_read() {
    let header = [2, PROBABILITIES, 0x00, 0x10, 0, 0, 0, 0, 0, 0, 2];
    let blocks = [0, 0, 5, 8, 1, 0x83, 1, 0x81, 1, 4];
    let successors = [2, 1, 0x80, 0x80, 1, 0, 0, 0];
    let section: Vec<u8> = header.into_iter().chain(blocks).chain(successors).collect();
    let [first, second] = read(&section, 8).expect("a map").remove(0).try_into().expect("two blocks");
    assert_eq!((first.start, first.end, first.successors), (0x1000, 0x1005, vec![0x1000]));
    assert_eq!((second.start, second.end, second.is_pad()), (0x1088, 0x1109, true));
}
