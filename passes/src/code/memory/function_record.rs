//! What the analysis of a function found at its instructions: the memory that each refers to, and what calls are passed.
//!
//! The rows of `memory_accesses` and `data_flow_edges` are made from it on demand. Instructions are named by their block
//! and their offset in it.

use super::interpreter::MemoryReference;
use crate::domains::{AbstractState, AbstractValue, Base, ParameterSet, Summary, frame_offset};
use binframe_ir::tables::Access;
use binframe_ir::{Enumeration, Fingerprint};
use std::ops::Range;

/// The record of one function.
#[derive(Debug, Clone, Default)]
pub(super) struct FunctionRecord {
    /// Sorted by instruction.
    references: Vec<CompactReference>,
    /// Addresses that are not exact.
    ranges: Vec<AbstractValue>,
    /// Sorted by instruction.
    calls: Vec<RecordedCall>,
    passed: Vec<PassedAddress>,
}

/// An instruction: the index of its block in the function, and its offset in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) block: u32,
    pub(super) offset: u32,
}

/// A memory reference.
#[derive(Debug, Clone, Copy)]
struct CompactReference {
    base: Base,
    /// The offset of an exact address; else an index into the ranges.
    offset: i64,
    position: Position,
    /// 0 if it has none.
    size: u16,
    access: Access,
    flags: u8,
}

const IS_IMPLICIT: u8 = 1;
const IS_INDEXED: u8 = 2;
const IS_EXACT: u8 = 4;
const ASSUMES_IN_BOUNDS: u8 = 8;
const HAS_ESCAPED: u8 = 16;
const _: () = assert!(size_of::<CompactReference>() == 40);

/// A memory reference with the instruction that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordedReference {
    pub(super) position: Position,
    pub(super) reference: MemoryReference,
    /// Whether the address is exact and in the frame, and unknown code may modify the stack there.
    pub(super) has_escaped: bool,
}

/// The state at a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordedCall {
    pub(super) position: Position,
    /// Frame offset of the stack pointer.
    pub(super) stack_pointer: Option<i64>,
    /// Index of the first address that it is passed.
    first_passed: u32,
    passed_count: u32,
}

/// An address in the frame that a call is passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassedAddress {
    /// Frame offset at index 0.
    pub(super) frame_offset: i64,
    /// The callee's parameter that it is passed in.
    pub(super) parameter: ParameterSet,
}

impl FunctionRecord {
    /// An empty record of a function with some number of instructions, half of which may refer to memory.
    pub(super) fn with_capacity(instructions: usize) -> Self {
        Self { references: Vec::with_capacity(instructions / 2 + 1), ..Self::default() }
    }

    /// Adds a memory reference, given the state before its instruction.
    pub(super) fn add_reference(
        &mut self,
        position: Position,
        before: &AbstractState,
        reference: &MemoryReference,
    ) {
        let MemoryReference { is_implicit, address, is_indexed, size, access } = *reference;
        let has_escaped = frame_offset::of_address(address).is_some_and(|start| before.has_escaped(start));
        let offset = address.exact_offset().unwrap_or(self.ranges.len() as i64);
        if address.exact_offset().is_none() {
            self.ranges.push(address);
        }
        let flags = [
            (is_implicit, IS_IMPLICIT),
            (is_indexed, IS_INDEXED),
            (address.exact_offset().is_some(), IS_EXACT),
            (address.assumes_in_bounds, ASSUMES_IN_BOUNDS),
            (has_escaped, HAS_ESCAPED),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag);
        let (base, size) = (address.base, size.unwrap_or(0));
        self.references.push(CompactReference { base, offset, position, size, access, flags });
    }

    /// Adds a call, given the state before it.
    pub(super) fn add_call(
        &mut self,
        position: Position,
        before: &AbstractState,
        stack_pointer: u8,
        callee: &Summary,
    ) {
        let first = self.passed.len();
        let passed = before.tracked_arguments(callee, stack_pointer).filter_map(|(parameter, value)| {
            let frame_offset = frame_offset::of_address(AbstractValue::at(value.base, value.index_zero))?;
            Some(PassedAddress { frame_offset, parameter })
        });
        self.passed.extend(passed);
        self.calls.push(RecordedCall {
            position,
            stack_pointer: frame_offset::of_address(before.register(stack_pointer)),
            first_passed: first as u32,
            passed_count: (self.passed.len() - first) as u32,
        });
    }

    /// The record without spare capacity, once everything is added.
    pub(super) fn finish(mut self) -> Self {
        self.references.sort_unstable_by_key(|own| (own.position, own.flags & IS_IMPLICIT));
        self.calls.sort_unstable_by_key(|call| call.position);
        self.clone()
    }

    /// Number of references of some blocks.
    pub(super) fn reference_count(&self, blocks: Range<u32>) -> usize {
        let before = |block: u32| self.references.partition_point(|own| own.position.block < block);
        before(blocks.end).saturating_sub(before(blocks.start))
    }

    /// The references of some blocks, in order.
    pub(super) fn references_in(&self, blocks: Range<u32>) -> impl Iterator<Item = RecordedReference> {
        let first = self.references.partition_point(|own| own.position.block < blocks.start);
        let own = self.references[first..].iter().take_while(move |own| own.position.block < blocks.end);
        own.map(|own| self.unpack(own))
    }

    /// The calls, in order.
    pub(super) fn calls(&self) -> &[RecordedCall] {
        &self.calls
    }

    /// The addresses in the frame that a call is passed.
    pub(super) fn passed_to(&self, call: &RecordedCall) -> &[PassedAddress] {
        &self.passed[call.first_passed as usize..][..call.passed_count as usize]
    }

    fn unpack(&self, own: &CompactReference) -> RecordedReference {
        let has = |flag: u8| own.flags & flag != 0;
        let address = match has(IS_EXACT) {
            true => AbstractValue {
                assumes_in_bounds: has(ASSUMES_IN_BOUNDS),
                ..AbstractValue::at(own.base, own.offset)
            },
            false => self.ranges[own.offset as usize],
        };
        let reference = MemoryReference {
            is_implicit: has(IS_IMPLICIT),
            address,
            is_indexed: has(IS_INDEXED),
            size: (own.size > 0).then_some(own.size),
            access: own.access,
        };
        RecordedReference { position: own.position, reference, has_escaped: has(HAS_ESCAPED) }
    }

    /// Hash of the content.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let position = |position: Position| u64::from(position.block) << 32 | u64::from(position.offset);
        let references = self.references.iter().flat_map(|own| {
            let (base, of_base) = own.base.words();
            let rest = u64::from(own.size) << 16 | u64::from(own.access.code()) << 8 | u64::from(own.flags);
            [position(own.position), base, of_base, own.offset as u64, rest]
        });
        let ranges = self.ranges.iter().flat_map(AbstractValue::words);
        let calls = self.calls.iter().flat_map(|call| {
            let pointer = call.stack_pointer;
            let count = u64::from(call.passed_count);
            [position(call.position), u64::from(pointer.is_some()), pointer.unwrap_or(0) as u64, count]
        });
        let passed = self.passed.iter();
        let passed = passed.flat_map(|passed| [passed.frame_offset as u64, u64::from(passed.parameter.0)]);
        Fingerprint::of_numbers(&references.chain(ranges).chain(calls).chain(passed).collect::<Vec<_>>())
    }
}
