//! Collects what the analysis of one function finds: its stack frame, its call summary, and the memory that it
//! allocates and refers to.
//!
//! [`FrameCollector`] sees every instruction with its abstract state and records accesses to the stack and to the
//! binary's data, calls, and the state at exits. [`FrameCollector::finish`] derives the results from them.
//!
//! *Approximation.* `frame_size` is the larger of two depths: that of the lowest stack pointer seen relative to entry,
//! and for an aligned frame that of the lowest one relative to the aligned stack pointer, plus the most that the
//! alignment can take. Parameters in the summary over-approximate what the function reads, captures and writes
//! through.

use super::analysis_results::{Allocation, FunctionAnalysis, GlobalAccess, StackFrameFacts, ThreadStart};
use super::block_interpreter::InstructionContext;
use super::call_regions;
use super::callees::{Callee, Callees};
use super::exit_state::ExitState;
use super::function_record::{FunctionRecord, Position};
use super::interpreter::{InstructionOps, Interpreter, MemoryReference};
use super::library_models;
use super::program::Program;
use super::slots::{StackAccess, outgoing_size, stack_slots};
use super::stack_depth::{DeepestCall, StackDepth};
use crate::domains::{AbstractState, AbstractValue, Base, ParameterSet, Summary, frame_offset};
use crate::isa::ops::Reg;
use binframe_ir::tables::{Access, CallKind, EdgeEvidence, FrameStatus, StackDepthLimit, Terminator};

/// Collects the memory references, calls and exits of a function.
pub(super) struct FrameCollector<'f, 'a> {
    program: &'f Program<'a>,
    record: FunctionRecord,
    /// The current block: its index in the function, its row, and whether the entry reaches it.
    block: u32,
    row: usize,
    is_reached: bool,
    /// Frame offset of the stack pointer before the previous instruction of the block.
    previous_pointer: Option<i64>,
    /// Stack depth of every function: final for those that were analyzed.
    depths: &'f [StackDepth],
    exit: ExitState,
    read: ParameterSet,
    captured: ParameterSet,
    written: ParameterSet,
    writes_unknown_memory: bool,
    stack_accesses: Vec<StackAccess>,
    /// Frame offsets of the stack pointer at calls.
    call_offsets: Vec<i64>,
    /// The lowest stack pointer, relative to that at entry and to the aligned one.
    lowest: i64,
    lowest_aligned: i64,
    /// Offset of the stack pointer before it was aligned, and the alignment in bytes.
    alignment: Option<(i64, u32)>,
    uses_frame_pointer: bool,
    canary_offset: Option<i64>,
    red_zone_size: i64,
    status: FrameStatus,
    deepest: DeepestCall,
    allocations: Vec<Allocation>,
    threads: Vec<ThreadStart>,
    global_accesses: Vec<GlobalAccess>,
}

impl FrameCollector<'_, '_> {
    /// Begins a block: its index in the function, its row in `basic_blocks`, and whether the entry reaches it. Blocks
    /// come in any order, the instructions of a block in sequence.
    pub(super) fn block_start(&mut self, block: u32, row: usize, is_reached: bool) {
        (self.block, self.row, self.is_reached) = (block, row, is_reached);
        self.previous_pointer = None;
    }

    /// Adds an instruction of the current block.
    pub(super) fn instruction(
        &mut self,
        interpreter: &Interpreter<'_>,
        instruction: InstructionOps<'_>,
        context: InstructionContext<'_>,
    ) {
        let before = context.before;
        let address = instruction.facts.address;
        let offset = (address - self.program.blocks.address[self.row]) as u32;
        let position = Position { block: self.block, offset };
        for reference in interpreter.memory_references(instruction, before).into_iter().flatten() {
            self.record.add_reference(position, before, &reference);
            if self.is_reached {
                self.add_reference(instruction, before, &reference);
            }
        }
        if let Some(callee) = context.callee {
            self.record.add_call(position, before, self.program.abi.stack_pointer.0, &callee.summary);
        }
        if !self.is_reached {
            return;
        }
        self.read.add(instruction.parameters_read(before));
        self.note_stack_pointer(before);
        self.note_alignment(instruction, before);
        if let Some(callee) = context.callee {
            self.add_call(address, before, callee);
        }
        self.previous_pointer = frame_offset::of_address(self.program.stack_pointer(before));
    }

    /// Ends the current block, given its last instruction and the state after it.
    pub(super) fn block_end(
        &mut self,
        callees: &Callees<'_, '_>,
        last: InstructionOps<'_>,
        after: &AbstractState,
    ) {
        if !self.is_reached {
            return;
        }
        let (program, row, last_address) = (self.program, self.row, last.facts.address);
        self.note_stack_pointer(after);
        self.captured.add(after.captured);
        self.written.add(after.written);
        self.writes_unknown_memory |= after.writes_unknown_memory;
        match program.blocks.terminator.get(row) {
            Terminator::Ret => {
                self.check_stack_pointer(self.program.stack_pointer(after));
                self.exit.add_return(program, after, last.facts.popped_bytes.unwrap_or(0));
            }
            Terminator::Jump | Terminator::CondJump | Terminator::IndirectJump => {
                if let Some(call) = callees.call_at(last_address) {
                    let callee = callees.of(Some(call));
                    self.add_tail_call(after, &callee);
                    self.exit.add_tail_call(program, after.clone(), last_address, &callee);
                } else if program.blocks.terminator.get(row) == Terminator::IndirectJump
                    && is_unresolved(program, row)
                {
                    self.deepest.make_unbounded(StackDepthLimit::Indirect, None);
                    self.exit.add_unknown(program);
                }
            }
            _ => {}
        }
    }
}

/// Whether a block ends with a jump to an unknown address.
fn is_unresolved(program: &Program<'_>, row: usize) -> bool {
    let source = program.blocks.address[row];
    let first = program.edges.source_address.partition_point(|address| *address < source);
    let mut own =
        (first..program.edges.len()).take_while(|edge| program.edges.source_address[*edge] == source);
    own.any(|edge| program.edges.evidence.get(edge) == EdgeEvidence::Unresolved)
}

impl<'f, 'a> FrameCollector<'f, 'a> {
    /// Nothing yet of a function, given the stack depths of functions.
    pub(super) fn new(program: &'f Program<'a>, function: usize, depths: &'f [StackDepth]) -> Self {
        let rows = program.blocks_by_function.rows_of(function);
        let instructions =
            rows.iter().map(|row| program.blocks.instruction_count[*row as usize] as usize).sum();
        Self {
            program,
            record: FunctionRecord::with_capacity(instructions),
            block: 0,
            row: 0,
            is_reached: false,
            previous_pointer: None,
            depths,
            exit: ExitState::default(),
            read: ParameterSet::default(),
            captured: ParameterSet::default(),
            written: ParameterSet::default(),
            writes_unknown_memory: false,
            stack_accesses: Vec::new(),
            call_offsets: Vec::new(),
            lowest: 0,
            lowest_aligned: 0,
            alignment: None,
            uses_frame_pointer: false,
            canary_offset: None,
            red_zone_size: 0,
            status: FrameStatus::Exact,
            deepest: DeepestCall::NONE,
            allocations: Vec::new(),
            threads: Vec::new(),
            global_accesses: Vec::new(),
        }
    }

    /// Records a memory reference to the binary's data or to the stack.
    fn add_reference(
        &mut self,
        instruction: InstructionOps<'_>,
        before: &AbstractState,
        reference: &MemoryReference,
    ) {
        let value = reference.address;
        let is_exact = value.exact_offset().is_some();
        match value.base {
            Base::Global(start) => {
                let address = start.wrapping_add_signed(value.index_zero);
                if self.program.image.is_data(address) {
                    let size = reference.size.unwrap_or(0);
                    self.global_accesses.push(GlobalAccess { address, size, is_inexact: !is_exact });
                }
            }
            Base::Number if is_exact => {
                let address = value.index_zero as u64;
                if self.program.image.is_fixed_address(address) && self.program.image.is_data(address) {
                    let size = reference.size.unwrap_or(0);
                    self.global_accesses.push(GlobalAccess { address, size, is_inexact: false });
                }
            }
            _ => {
                let at_index_zero = AbstractValue::at(value.base, value.index_zero);
                if let Some(start) = frame_offset::of_address(at_index_zero) {
                    self.add_stack_reference(instruction, before, reference, start);
                }
            }
        }
    }

    /// Records a memory reference to the stack, given the frame offset at index 0 (`slots`).
    fn add_stack_reference(
        &mut self,
        instruction: InstructionOps<'_>,
        before: &AbstractState,
        reference: &MemoryReference,
        start: i64,
    ) {
        let address = reference.address;
        if self.is_stack_probe(instruction, before, address) {
            return;
        }
        let is_exact = address.exact_offset().is_some();
        let is_read = matches!(reference.access, Access::Read | Access::ReadWrite);
        let is_written = matches!(reference.access, Access::Write | Access::ReadWrite);
        let stored = instruction
            .facts
            .stored_register
            .filter(|_| is_written)
            .map(|register| before.register(register));
        // An instruction that computes with a stack argument in memory reads that parameter; a load into a register
        // does not yet.
        if is_read && is_exact && !instruction.facts.is_whole_move {
            let size = reference.size.map_or(0, |size| size.min(8)) as u8;
            self.read.add(ParameterSet::of_base(before.load(address, size).base));
        }
        let is_canary = stored.is_some_and(|value| value.base == Base::Canary);
        if is_canary && address.base == Base::Stack && is_exact {
            self.canary_offset = self.canary_offset.or(address.exact_offset());
        }
        if is_written && !reference.is_implicit {
            self.note_red_zone(before, address);
        }
        let size = reference.size.map_or(0, i64::from);
        self.stack_accesses.push(StackAccess {
            frame_offset: start,
            size,
            contiguous_extent: contiguous_extent(address, size),
            is_read,
            is_written,
            is_inexact: !is_exact,
            is_whole_move: instruction.facts.is_whole_move && reference.size.is_some(),
            saved_register: stored.and_then(|value| self.saved_register(value)),
            is_canary,
        });
    }

    /// Whether an instruction accesses the stack only to make sure that there is memory: it writes back what it reads, or
    /// stores 0 at a stack pointer that the previous instruction lowered by a page.
    fn is_stack_probe(
        &self,
        instruction: InstructionOps<'_>,
        before: &AbstractState,
        address: AbstractValue,
    ) -> bool {
        let pointer = self.program.stack_pointer(before);
        let lowered = self.previous_pointer.zip(frame_offset::of_address(pointer));
        let is_on_new_page = lowered.is_some_and(|(before, now)| before.checked_sub(now) == Some(PAGE_SIZE));
        instruction.facts.keeps_memory
            || instruction.facts.only_stores_zero && address == pointer && is_on_new_page
    }

    /// The callee-saved register whose content at function entry a stored value is.
    fn saved_register(&self, stored: AbstractValue) -> Option<u8> {
        let Base::Register(register) = stored.base else { return None };
        let is_preserved = self.program.convention.preserved.contains(Reg(register));
        (is_preserved && stored.exact_offset() == Some(0)).then_some(register)
    }

    /// Records how far below the stack pointer an instruction writes, if both addresses are exact.
    fn note_red_zone(&mut self, before: &AbstractState, address: AbstractValue) {
        let pointer = self.program.stack_pointer(before);
        if let (Some(own), Some(pointer)) =
            (address.exact_offset(), pointer.exact_offset().filter(|_| pointer.base == address.base))
        {
            self.red_zone_size = self.red_zone_size.max(pointer.saturating_sub(own));
        }
    }

    /// Records a call.
    fn add_call(&mut self, call_address: u64, before: &AbstractState, callee: &Callee<'_>) {
        let pointer = self.program.stack_pointer(before);
        self.check_stack_pointer(pointer);
        self.call_offsets.extend(frame_offset::of_address(pointer));
        let pushed = i64::from(self.program.convention.address_size);
        self.add_call_depth(pointer.plus(-pushed), callee);
        self.add_parameters_read(before, callee);
        self.allocations.extend(call_regions::allocation(self.program, before, call_address, callee));
        self.threads.extend(call_regions::thread_start(self.program, before, callee.call));
    }

    fn add_tail_call(&mut self, after: &AbstractState, callee: &Callee<'_>) {
        let pointer = self.program.stack_pointer(after);
        self.check_stack_pointer(pointer);
        self.add_call_depth(pointer, callee);
        self.add_parameters_read(after, callee);
    }

    /// Records the stack pointer before or after an instruction.
    fn note_stack_pointer(&mut self, state: &AbstractState) {
        let pointer = self.program.stack_pointer(state);
        match (pointer.base, pointer.exact_offset()) {
            (Base::Stack, Some(offset)) => self.lowest = self.lowest.min(offset),
            (Base::Aligned, Some(offset)) => self.lowest_aligned = self.lowest_aligned.min(offset),
            (Base::Dynamic(_), _) => self.downgrade_status(FrameStatus::Dynamic),
            _ => {}
        }
        let frame = state.register(self.program.abi.frame_pointer.0);
        self.uses_frame_pointer |=
            frame.exact_offset().is_some() && matches!(frame.base, Base::Stack | Base::Aligned);
    }

    /// Records that an instruction aligns the stack pointer.
    fn note_alignment(&mut self, instruction: InstructionOps<'_>, before: &AbstractState) {
        let Some(alignment) = instruction.facts.stack_alignment else { return };
        let pointer = self.program.stack_pointer(before);
        if let (Base::Stack, Some(offset)) = (pointer.base, pointer.exact_offset()) {
            self.alignment = Some(self.alignment.map_or((offset, alignment), |(lowest, largest)| {
                (lowest.min(offset), largest.max(alignment))
            }));
        }
    }

    /// Records that the stack pointer is not exact. `Conflicting` is final.
    fn downgrade_status(&mut self, status: FrameStatus) {
        if self.status != FrameStatus::Conflicting {
            self.status = status;
        }
    }

    /// Checks the stack pointer at a call or an exit.
    fn check_stack_pointer(&mut self, pointer: AbstractValue) {
        match (pointer.base, pointer.exact_offset()) {
            (Base::Stack | Base::Aligned, Some(_)) => {}
            (Base::Dynamic(_), _) => self.downgrade_status(FrameStatus::Dynamic),
            // No join of paths through code with constant frames is that wide.
            (Base::Stack | Base::Aligned, None) if !pointer.is_bounded() || pointer.is_type_range => {
                self.downgrade_status(FrameStatus::Dynamic);
            }
            _ => self.downgrade_status(FrameStatus::Conflicting),
        }
    }

    /// The most that the stack pointer can be below the return address, in bytes; `None` if unbounded.
    fn depth_of(&self, pointer: AbstractValue) -> Option<u64> {
        let depth = match (pointer.base, pointer.exact_offset()?, self.alignment) {
            (Base::Stack, offset, _) => -offset,
            (Base::Aligned, offset, Some((before, alignment))) => -before + i64::from(alignment) - 1 - offset,
            _ => return None,
        };
        Some(u64::try_from(depth).unwrap_or(0))
    }

    /// Records the stack depth of a callee, given the stack pointer at its entry.
    fn add_call_depth(&mut self, pointer: AbstractValue, callee: &Callee<'_>) {
        let Some(own) = self.depth_of(pointer) else {
            self.deepest.make_unbounded(StackDepthLimit::Dynamic, None);
            return;
        };
        if callee.summary.lowered_by.is_some() {
            let callee = callee.function.map(|row| row as u32);
            self.deepest.reach(own.saturating_add(PROBE_STACK_SIZE_MAX), callee);
            return;
        }
        match (callee.call.map(|call| call.kind), callee.function) {
            (_, Some(row)) => self.deepest.add_call(own, row as u32, self.depths[row]),
            (Some(CallKind::Indirect) | None, None) => {
                self.deepest.make_unbounded(StackDepthLimit::Indirect, None);
            }
            (Some(_), None) => self.deepest.make_unbounded(StackDepthLimit::External, None),
        }
    }

    /// Records the parameters that are passed on to a callee that reads them.
    fn add_parameters_read(&mut self, state: &AbstractState, callee: &Callee<'_>) {
        let arguments = state.tracked_arguments(&callee.summary, self.program.abi.stack_pointer.0);
        for (_, value) in arguments.filter(|(parameter, _)| callee.summary.read.has(*parameter)) {
            self.read.add(ParameterSet::of_base(value.base));
        }
    }

    /// The results, once everything is collected.
    pub(super) fn finish(mut self, function: usize, is_too_complex: bool) -> FunctionAnalysis {
        let convention = self.program.convention;
        self.call_offsets.sort_unstable();
        self.call_offsets.dedup();
        self.allocations.sort_unstable_by_key(|allocation| allocation.call_address);
        self.threads.sort_unstable();
        let address_size = i64::from(convention.address_size);
        let slots = stack_slots(&mut self.stack_accesses, &self.call_offsets, address_size);
        let aligned = self.depth_of(AbstractValue::at(Base::Aligned, self.lowest_aligned)).unwrap_or(0);
        let size = self.lowest.unsigned_abs().max(aligned);
        let summary = self.summary(function, is_too_complex);
        if summary.lowered_by.is_some() {
            self.status = FrameStatus::Dynamic;
        }
        if is_too_complex {
            self.downgrade_status(FrameStatus::Conflicting);
        }
        if self.status != FrameStatus::Exact {
            self.deepest.make_unbounded(StackDepthLimit::Dynamic, None);
        }
        let red_zone_size = self.red_zone_size.min(convention.red_zone_size).unsigned_abs();
        let outgoing = outgoing_size(&slots, &self.call_offsets);
        let home = if self.call_offsets.is_empty() { 0 } else { convention.home_size.unsigned_abs() };
        FunctionAnalysis {
            frame: StackFrameFacts {
                size,
                uses_frame_pointer: self.uses_frame_pointer,
                canary_offset: self.canary_offset,
                alignment: self.alignment.map(|(_, alignment)| alignment),
                red_zone_size,
                outgoing_argument_size: outgoing.max(home),
                status: self.status,
            },
            depth: self.deepest.depth(size + red_zone_size),
            summary,
            slots,
            allocations: self.allocations,
            threads: self.threads,
            global_accesses: self.global_accesses,
            record: self.record.finish(),
            is_too_complex,
        }
    }

    /// See [`Summary::lowered_by`].
    fn lowered_by(&self) -> Option<u8> {
        let register = self.program.convention.allocation_size?.0;
        let is_probe = self.exit.computes_stack_pointer
            && self.exit.popped_bytes.is_none()
            && self.call_offsets.is_empty()
            && self.read.has(ParameterSet::register(register))
            && self.lowest.unsigned_abs() <= PROBE_STACK_SIZE_MAX;
        is_probe.then_some(register)
    }

    /// The summary of the function. One that is too complex is assumed to follow the calling convention; one with the
    /// name of an allocator returns new memory.
    fn summary(&self, function: usize, is_too_complex: bool) -> Summary {
        let assumed = self.program.convention.summary();
        let returned = self.exit.returned.unwrap_or(assumed.returned);
        let mut read = self.read;
        for part in [self.captured, self.written, ParameterSet::of_base(returned.base)] {
            read.add(part);
        }
        let summary = if is_too_complex {
            assumed
        } else {
            Summary {
                popped_bytes: if self.exit.returns { self.exit.popped_bytes } else { Some(0) },
                lowered_by: self.lowered_by(),
                clobbered: if self.exit.returns { self.exit.clobbered } else { assumed.clobbered },
                read,
                captured: self.captured,
                written: self.written,
                writes_unknown_memory: self.writes_unknown_memory,
                returned,
            }
        };
        let name = self.program.functions.function_name.get(function);
        match name.is_some_and(library_models::allocates) {
            true => Summary { returned: AbstractValue::at(Base::Heap(0), 0), ..summary },
            false => summary,
        }
    }
}

/// Size of a page, by which stack probes lower the stack pointer at once.
const PAGE_SIZE: i64 = 4096;

/// Bytes below its return address that a function uses which lowers the stack pointer of its caller, at most, besides
/// those that it allocates.
const PROBE_STACK_SIZE_MAX: u64 = 16;

/// Bytes that an instruction accesses without gaps, from index 0 on; 0 if the range is not known or has gaps, as a
/// choice between two variables has.
fn contiguous_extent(address: AbstractValue, size: i64) -> i64 {
    let is_known = address.is_bounded() && !address.assumes_in_bounds && !address.is_type_range;
    let is_contiguous = address.low == address.index_zero && i64::from(address.stride) <= size;
    if is_known && is_contiguous { address.high - address.low + size } else { 0 }
}
