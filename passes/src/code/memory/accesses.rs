//! `(code, cfg, memory) -> memory_accesses`
//!
//! The memory that each instruction reads or writes, or whose address it computes. The table is large and computed on
//! demand, for any range of blocks. The functions of the blocks are analyzed again with the final summaries
//! (`fixpoint`); each memory reference is a row. In a recursive component the final summaries may differ from those
//! that the first analysis assumed, and are mostly more precise, so values may differ from those that slots were made
//! of. Unreached blocks are interpreted from the unknown state; frames and slots ignore them.
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

use super::block_interpreter::{BlockInterpreter, InstructionContext, InstructionVisitor};
use super::fixpoint::FunctionAnalyzer;
use super::interpreter::{Interpreter, MemoryReference};
use super::ir::MemoryIr;
use super::objects::{ObjectBounds, ObjectTable};
use super::program::Program;
use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use crate::domains::{AbstractState, AbstractValue, Base, frame_offset};
use crate::isa::x86::Instruction;
use binframe_ir::tables::{
    AccessRegion, Confidence, MemoryAccess, MemoryAccessBuilder, MemoryAccesses, MemoryObjectColumns,
    UnknownReason,
};
use binframe_ir::{Rows, Term};
use std::ops::Range;

/// The memory accesses of a range of blocks.
pub fn accesses(code: &Code, cfg: &CfgIr, memory: &MemoryIr, blocks: Range<usize>) -> Rows<MemoryAccesses> {
    if !Program::is_analyzed(code) {
        return Rows::default();
    }
    let facts = &memory.facts;
    let program = Program::new(code, cfg, &facts.image, &facts.blocks_by_function);
    let is_fixed_address = |address: u64| program.image.is_fixed_address(address);
    let mut analyzer = FunctionAnalyzer::new(&program, &facts.summaries, &is_fixed_address);
    let columns = facts.objects.rows.columns();
    let mut rows = MemoryAccessBuilder::default();
    let mut accesses = Vec::new();
    for (function, own_blocks) in program.functions_of(blocks) {
        let mut writer = AccessWriter {
            program: &program,
            objects: &facts.objects,
            columns,
            function,
            function_address: program.functions.address[function],
            blocks: own_blocks,
            accesses: std::mem::take(&mut accesses),
        };
        analyzer.analyze(function, &mut writer);
        accesses = writer.accesses;
        accesses.sort_unstable_by_key(|access| (access.instruction_address, access.is_implicit));
        rows.extend(accesses.drain(..));
    }
    rows.finish()
}

/// Writes the accesses of one function.
struct AccessWriter<'w, 'a> {
    program: &'w Program<'a>,
    objects: &'w ObjectTable,
    columns: MemoryObjectColumns<'w>,
    function: usize,
    function_address: u64,
    /// The rows of the requested blocks.
    blocks: Range<usize>,
    accesses: Vec<MemoryAccess<'static>>,
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

impl InstructionVisitor for AccessWriter<'_, '_> {
    fn needs_block(&self, row: usize, _: bool) -> bool {
        self.blocks.contains(&row)
    }

    fn instruction(
        &mut self,
        row: usize,
        interpreter: &mut Interpreter<'_>,
        instruction: &Instruction,
        context: InstructionContext<'_>,
    ) {
        for reference in interpreter.memory_references(context.before).into_iter().flatten() {
            self.push(instruction.ip(), self.program.blocks.address[row], &reference);
        }
    }

    fn block_end(&mut self, _: &BlockInterpreter<'_, '_>, _: usize, _: &Instruction, _: &AbstractState) {}
}

impl AccessWriter<'_, '_> {
    fn push(&mut self, instruction_address: u64, block_address: u64, reference: &MemoryReference) {
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
            Base::Register(register) => (Some(Term(self.program.convention.register_name(register))), None),
            Base::Argument(offset) => (None, Some(i64::from(offset))),
            _ => (None, None),
        };
        let call_address = match address.base {
            Base::Heap(call) | Base::Returned(call) => Some(call),
            _ => None,
        };
        self.accesses.push(MemoryAccess {
            instruction_address,
            is_implicit: reference.is_implicit,
            block_address,
            function_address: self.function_address,
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
        });
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
