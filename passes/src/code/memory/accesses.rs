//! `(code, cfg, memory) -> memory_accesses`
//!
//! The memory that each instruction reads or writes, or whose address it computes. The table is large; its rows are made
//! on demand, for any range of blocks. Each memory reference that the analysis of a function recorded
//! (`function_record`) is a row, here with the object that it refers to. In a recursive component the analysis assumes
//! the summary of the calling convention. Unreached blocks are interpreted from the unknown state; frames and slots
//! ignore them.
//!
//! *Confidence.* A row states a region, and a range of bytes relative to it.
//! - `guess`: the address assumes accesses in bounds (`AbstractValue`), or that an unknown number is an index into the
//!   array at a constant address.
//! - `likely`: the range is infinite, or exceeds the object at index 0.
//! - `certain`: any other row. The range is finite and inside the object at index 0, if there is one; an allocation of
//!   unknown size is taken to be large enough. If `span_size` is null (2 GiB and more), the row states only the region.
//!   Also every row of region `unknown`, which claims nothing.
//!
//! The object is the one at index 0. If the row is not `certain`, the instruction may access the objects beside
//! it, so that only an object whose size is stated, by a symbol or an allocation, is named.

use super::function_record::RecordedReference;
use super::ir::MemoryIr;
use super::objects::{ObjectBounds, ObjectTable};
use super::program::Program;
use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use crate::domains::{AbstractValue, Base, frame_offset};
use binframe_ir::tables::{
    AccessRegion, Confidence, MemoryAccess, MemoryAccessBuilder, MemoryAccesses, MemoryObjectColumns,
    UnknownReason,
};
use binframe_ir::{Rows, Term};
use std::ops::Range;

/// Number of memory accesses of a range of blocks.
pub fn access_count(code: &Code, cfg: &CfgIr, memory: &MemoryIr, blocks: Range<usize>) -> usize {
    if !Program::is_analyzed(code) {
        return 0;
    }
    let facts = &memory.facts;
    let program = Program::new(code, cfg, &facts.image, &facts.blocks_by_function);
    let counts = program.functions_of(blocks).map(|(function, own_blocks)| {
        let own = facts.blocks_by_function.indexes_of(function, own_blocks);
        facts.records[function].reference_count(own)
    });
    counts.sum()
}

/// The memory accesses of a range of blocks.
pub fn accesses(code: &Code, cfg: &CfgIr, memory: &MemoryIr, blocks: Range<usize>) -> Rows<MemoryAccesses> {
    if !Program::is_analyzed(code) {
        return Rows::default();
    }
    let facts = &memory.facts;
    let program = Program::new(code, cfg, &facts.image, &facts.blocks_by_function);
    let columns = facts.objects.rows.columns();
    let mut rows = MemoryAccessBuilder::default();
    let mut accesses = Vec::new();
    for (function, own_blocks) in program.functions_of(blocks) {
        let writer = AccessWriter { program: &program, objects: &facts.objects, columns, function };
        let own = facts.blocks_by_function.indexes_of(function, own_blocks);
        accesses.extend(facts.records[function].references_in(own).map(|own| writer.access(&own)));
        accesses.sort_unstable_by_key(|access| (access.instruction_address, access.is_implicit));
        rows.extend(accesses.drain(..));
    }
    rows.finish()
}

/// Makes the accesses of one function.
struct AccessWriter<'w, 'a> {
    program: &'w Program<'a>,
    objects: &'w ObjectTable,
    columns: MemoryObjectColumns<'w>,
    function: usize,
}

/// The region of an address, and the object at index 0.
struct ResolvedAddress {
    region: AccessRegion,
    object: Option<ObjectBounds>,
    /// Start of the address' base, in the units of the object's start: offsets from the base plus this can be compared
    /// with its bounds.
    base_start: i64,
    /// Why the region is unknown; `None` if it is known.
    reason: Option<UnknownReason>,
}

impl AccessWriter<'_, '_> {
    fn access(&self, recorded: &RecordedReference) -> MemoryAccess<'static> {
        let RecordedReference { position, reference, .. } = recorded;
        let row = self.program.blocks_by_function.rows_of(self.function)[position.block as usize];
        let block_address = self.program.blocks.address[row as usize];
        let instruction_address = block_address + u64::from(position.offset);
        let address = reference.address;
        let mut resolved = self.resolve(address);
        let size = reference.size.map_or(1, i64::from);
        let confidence = confidence(address, size, &resolved);
        if confidence != Confidence::Certain {
            resolved.object = resolved.object.filter(|object| object.is_stated);
        }
        let is_known = resolved.region != AccessRegion::Unknown;
        let is_global = resolved.region == AccessRegion::Global;
        let is_bounded = is_known && address.is_bounded();
        let first = if is_bounded { address.low } else { address.index_zero };
        let span_size =
            is_bounded.then(|| address.high.abs_diff(address.low) + u64::from(reference.size.unwrap_or(0)));
        // A stride of 1 is only known if single bytes are accessed: it is also the stride of an unknown index.
        let has_stride = is_known
            && address.exact_offset().is_none()
            && (address.stride > 1 || i64::from(address.stride) == size);
        let (parameter_register, parameter_stack_offset) = match address.base {
            Base::Register(register) => (Some(Term(self.program.isa.general_register_name(register))), None),
            Base::Argument(offset) => (None, Some(i64::from(offset))),
            _ => (None, None),
        };
        let call_address = match address.base {
            Base::Heap(call) | Base::Returned(call) => Some(call),
            _ => None,
        };
        MemoryAccess {
            instruction_address,
            is_implicit: reference.is_implicit,
            block_address,
            function_address: self.program.functions.address[self.function],
            region: resolved.region,
            object_address: resolved.object.map(|object| self.columns.object_address[object.row]),
            object_offset: resolved.object.map(|object| self.columns.object_offset[object.row]),
            parameter_register,
            parameter_stack_offset,
            call_address,
            byte_offset: (is_known && !is_global).then_some(first),
            global_address: is_global.then(|| (first as u64).wrapping_add_signed(resolved.base_start)),
            span_size,
            stride: has_stride.then_some(address.stride),
            is_indexed: reference.is_indexed,
            size: reference.size,
            access: reference.access,
            confidence,
            reason: resolved.reason,
        }
    }

    fn resolve(&self, address: AbstractValue) -> ResolvedAddress {
        let known = |region, object, base_start| ResolvedAddress { region, object, base_start, reason: None };
        let unknown = |reason| ResolvedAddress {
            region: AccessRegion::Unknown,
            object: None,
            base_start: 0,
            reason: Some(reason),
        };
        let (columns, function) = (self.columns, self.function);
        match address.base {
            Base::Stack | Base::Aligned => {
                let is_aligned = address.base == Base::Aligned;
                let start = frame_offset::from_offset(0, is_aligned);
                let index_zero = start.saturating_add(address.index_zero);
                let region = if is_aligned { AccessRegion::AlignedStack } else { AccessRegion::Stack };
                known(region, self.objects.slot_at(columns, function, index_zero), start)
            }
            Base::Dynamic(_) => known(AccessRegion::DynamicStack, None, 0),
            Base::Register(_) | Base::Argument(_) => known(AccessRegion::Parameter, None, 0),
            Base::Returned(_) => known(AccessRegion::Returned, None, 0),
            Base::Heap(call) => known(AccessRegion::Heap, self.objects.allocation_at(columns, call), 0),
            Base::Thread => known(AccessRegion::ThreadLocal, None, 0),
            Base::Global(start) => {
                let index_zero = start.wrapping_add_signed(address.index_zero);
                known(AccessRegion::Global, self.objects.global_at(columns, index_zero), start as i64)
            }
            Base::Number => {
                let number = address.address();
                match number.filter(|number| self.program.image.section_at(*number).is_some()) {
                    Some(number) => known(AccessRegion::Global, self.objects.global_at(columns, number), 0),
                    None => unknown(UnknownReason::Number),
                }
            }
            Base::Canary => unknown(UnknownReason::Computed),
            Base::CanaryAddress => unknown(UnknownReason::Loaded),
            Base::Unknown(reason) => unknown(reason),
        }
    }
}

/// Confidence of an access of `size` bytes.
fn confidence(address: AbstractValue, size: i64, resolved: &ResolvedAddress) -> Confidence {
    if address.assumes_in_bounds {
        return Confidence::Guess;
    }
    if resolved.reason.is_some() {
        return Confidence::Certain;
    }
    let is_inside = match resolved.object {
        _ if !address.is_finite() => false,
        None => true,
        Some(ObjectBounds { size: 0, .. }) => address.is_bounded(),
        Some(object) => {
            let low = address.low.saturating_add(resolved.base_start);
            let high = address.high.saturating_add(resolved.base_start);
            low >= object.start && high.saturating_add(size) <= object.start.saturating_add(object.size)
        }
    };
    if is_inside { Confidence::Certain } else { Confidence::Likely }
}
