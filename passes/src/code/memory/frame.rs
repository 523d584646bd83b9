//! What one function does with its stack frame, what calls of it do, and what it allocates: all that is found by following it.

use super::context::Context;
use super::follow::{Callee, Follower, Runner, Step, Visitor};
use super::left::Left;
use super::slots::{Slot, Use, outgoing_size, slots};
use crate::domains::{AbstractState, AbstractValue, Base, ParameterSet, Summary, frame_offset};
use crate::isa::{
    AbstractInterpreter, FRAME_POINTER, Instruction, MemoryReference, STACK_POINTER, is_whole_move,
    popped_by_callee, stack_alignment, stored_register,
};
use binframe_ir::tables::{
    Access, CallEdge, CallKind, EdgeEvidence, FrameStatus, StackDepthLimit, Terminator,
};

/// What is found of one function.
#[derive(Debug)]
pub(super) struct FunctionMemory {
    pub(super) frame: Frame,
    pub(super) depth: Depth,
    pub(super) summary: Summary,
    pub(super) slots: Vec<Slot>,
    pub(super) allocations: Vec<Allocation>,
    /// Calls that begin a thread, and the functions with which those begin.
    pub(super) threads: Vec<(u64, u64)>,
    /// What is done with the file's data: where, how many bytes (0 where only the address is computed), and whether an index is added.
    pub(super) data: Vec<(u64, u16, bool)>,
    pub(super) is_too_complex: bool,
}

/// How a function uses the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) size: u64,
    pub(super) uses_frame_pointer: bool,
    pub(super) canary_offset: Option<i64>,
    pub(super) alignment: Option<u32>,
    pub(super) red_zone_size: u64,
    pub(super) outgoing_argument_size: u64,
    pub(super) status: FrameStatus,
}

/// How deep the stack gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    /// Bytes below the return address; none where they are not bounded.
    pub(super) bytes: Option<u64>,
    pub(super) limit: StackDepthLimit,
    /// The function that is called there.
    pub(super) callee: Option<u32>,
}

/// A call that asks for memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allocation {
    pub(super) call_address: u64,
    /// Size in bytes, if it is known.
    pub(super) size: Option<u64>,
}

/// Gathers what is found of a function, instruction by instruction.
struct Gathering<'f, 'a> {
    context: &'f Context<'a>,
    /// How deep functions get that were followed before.
    depths: &'f [Depth],
    left: Left,
    /// ParameterSet that may be read or be kept by others, and that memory was written through, and whether other memory was written.
    read: ParameterSet,
    kept: ParameterSet,
    written: ParameterSet,
    writes_elsewhere: bool,
    uses: Vec<Use>,
    /// Where the stack pointer is at calls.
    calls: Vec<i64>,
    /// The lowest stack pointer, as counted from the entry and from where it was aligned.
    lowest: i64,
    lowest_aligned: i64,
    /// Where the stack pointer was before it was aligned, and to what.
    alignment: Option<(i64, u32)>,
    uses_frame_pointer: bool,
    canary_offset: Option<i64>,
    red_zone_size: i64,
    status: FrameStatus,
    depth: Deepest,
    allocations: Vec<Allocation>,
    threads: Vec<(u64, u64)>,
    data: Vec<(u64, u16, bool)>,
}

/// The deepest call so far.
struct Deepest {
    bytes: u64,
    callee: Option<u32>,
    /// Why there is no bound, and the function that is called there.
    limit: Option<(StackDepthLimit, Option<u32>)>,
}

/// Follows a function, given what is known of how deep others get.
pub(super) fn gather(follower: &mut Follower<'_, '_>, function: usize, depths: &[Depth]) -> FunctionMemory {
    let mut gathering = Gathering::new(follower.context, depths);
    follower.follow(function, &mut gathering);
    gathering.finish(function, follower.is_too_complex)
}

impl Visitor for Gathering<'_, '_> {
    fn wants(&self, _: usize, is_reached: bool) -> bool {
        is_reached
    }

    fn instruction(
        &mut self,
        _: usize,
        interpreter: &mut AbstractInterpreter<'_>,
        instruction: &Instruction,
        step: Step<'_>,
    ) {
        for touch in interpreter.memory_references(step.before, instruction).into_iter().flatten() {
            self.touch(instruction, step.before, &touch);
        }
        self.read.add(interpreter.parameters_read(step.before, instruction, self.read));
        self.step(instruction, &step);
    }

    fn leave(&mut self, runner: &Runner<'_, '_>, row: usize, last: &Instruction, state: &AbstractState) {
        let context = self.context;
        self.end_of_instruction(state);
        self.kept.add(state.captured);
        self.written.add(state.written);
        self.writes_elsewhere |= state.writes_unknown_memory;
        match context.blocks.terminator.get(row) {
            Terminator::Ret => {
                self.check_pointer(state.register(STACK_POINTER));
                self.left.add(context, state, popped_by_callee(last).unwrap_or(0));
            }
            Terminator::Jump | Terminator::CondJump | Terminator::IndirectJump => {
                if let Some(call) = runner.call_at(last.ip()) {
                    let callee = runner.callee(Some(call));
                    self.tail_call(state, call, &callee);
                    self.left.add_tail_call(context, state.clone(), last.ip(), &callee);
                } else if context.blocks.terminator.get(row) == Terminator::IndirectJump
                    && is_unresolved(context, row)
                {
                    self.depth.limit(StackDepthLimit::Indirect, None);
                    self.left.add_unknown(context);
                }
            }
            _ => {}
        }
    }
}

/// Whether a block ends with a jump to an address that is not known.
fn is_unresolved(context: &Context<'_>, row: usize) -> bool {
    let source = context.blocks.address[row];
    let first = context.edges.source_address.partition_point(|address| *address < source);
    let mut own =
        (first..context.edges.len()).take_while(|edge| context.edges.source_address[*edge] == source);
    own.any(|edge| context.edges.evidence.get(edge) == EdgeEvidence::Unresolved)
}

impl<'f, 'a> Gathering<'f, 'a> {
    fn new(context: &'f Context<'a>, depths: &'f [Depth]) -> Self {
        Self {
            context,
            depths,
            left: Left::default(),
            read: ParameterSet::default(),
            kept: ParameterSet::default(),
            written: ParameterSet::default(),
            writes_elsewhere: false,
            uses: Vec::new(),
            calls: Vec::new(),
            lowest: 0,
            lowest_aligned: 0,
            alignment: None,
            uses_frame_pointer: false,
            canary_offset: None,
            red_zone_size: 0,
            status: FrameStatus::Exact,
            depth: Deepest { bytes: 0, callee: None, limit: None },
            allocations: Vec::new(),
            threads: Vec::new(),
            data: Vec::new(),
        }
    }

    fn touch(&mut self, instruction: &Instruction, before: &AbstractState, touch: &MemoryReference) {
        let address = touch.address;
        if let Base::Global(anchor) = address.base {
            let place = anchor.wrapping_add_signed(address.index_zero);
            let size = touch.size.unwrap_or(0);
            if self.context.image.is_data(place) {
                self.data.push((place, size, address.exact_offset().is_none()));
            }
            return;
        }
        if address.base == Base::Number && address.exact_offset().is_some() {
            let place = address.index_zero as u64;
            if self.context.image.is_fixed_address(place) && self.context.image.is_data(place) {
                self.data.push((place, touch.size.unwrap_or(0), false));
            }
            return;
        }
        let is_exact = address.exact_offset().is_some();
        let size = touch.size.map_or(0, i64::from);
        let Some(place) = frame_offset::of_address(AbstractValue {
            low: address.index_zero,
            high: address.index_zero,
            ..address
        }) else {
            return;
        };
        let (is_read, is_written) = match touch.access {
            Access::Read => (true, false),
            Access::Write => (false, true),
            Access::ReadWrite => (true, true),
            Access::Address => (false, false),
        };
        let stored =
            stored_register(instruction).filter(|_| is_written).map(|register| before.register(register));
        let saved = stored.and_then(|value| match value.base {
            Base::Register(register) => {
                let is_preserved = self.context.convention.preserved >> register & 1 == 1;
                Some(register).filter(|_| is_preserved && value.exact_offset() == Some(0))
            }
            _ => None,
        });
        // What is computed from an argument where it lies is computed from the argument.
        if is_read && is_exact && !is_whole_move(instruction) {
            let size = touch.size.map_or(0, |size| size.min(8)) as u8;
            self.read.add(ParameterSet::of_base(before.load(address, size).base));
        }
        let is_canary = stored.is_some_and(|value| value.base == Base::Canary);
        if is_canary && address.base == Base::Stack && is_exact {
            self.canary_offset = self.canary_offset.or(address.exact_offset());
        }
        let pointer = before.register(STACK_POINTER);
        if let (true, false, Some(own), Some(pointer)) = (
            is_written,
            touch.is_implicit,
            address.exact_offset(),
            pointer.exact_offset().filter(|_| pointer.base == address.base),
        ) {
            self.red_zone_size = self.red_zone_size.max(pointer.saturating_sub(own));
        }
        self.uses.push(Use {
            place,
            size,
            extent: extent(address, size),
            is_read,
            is_written,
            is_indexed: !is_exact,
            is_whole_move: is_whole_move(instruction) && touch.size.is_some(),
            saved,
            is_canary,
        });
    }

    fn step(&mut self, instruction: &Instruction, step: &Step<'_>) {
        self.end_of_instruction(step.before);
        if let Some(alignment) = stack_alignment(instruction) {
            let pointer = step.before.register(STACK_POINTER);
            if let (Base::Stack, Some(offset)) = (pointer.base, pointer.exact_offset()) {
                self.alignment = Some(self.alignment.map_or((offset, alignment), |(lowest, largest)| {
                    (lowest.min(offset), largest.max(alignment))
                }));
            }
        }
        let Some(callee) = step.callee else { return };
        let state = step.before;
        let pointer = state.register(STACK_POINTER);
        self.check_pointer(pointer);
        self.calls.extend(frame_offset::of_address(pointer));
        let slot = i64::from(self.context.convention.address_size);
        let call = callee.call;
        self.call(pointer, slot, call, callee);
        self.pass(state, callee);
        if matches!(callee.summary.returned.base, Base::Heap(_)) {
            let size = self.allocated_size(state, call, callee);
            self.allocations.push(Allocation { call_address: instruction.ip(), size });
        }
        self.find_thread(state, call);
    }

    /// Notes where the stack pointer is.
    fn end_of_instruction(&mut self, state: &AbstractState) {
        let pointer = state.register(STACK_POINTER);
        match (pointer.base, pointer.exact_offset()) {
            (Base::Stack, Some(offset)) => self.lowest = self.lowest.min(offset),
            (Base::Aligned, Some(offset)) => self.lowest_aligned = self.lowest_aligned.min(offset),
            (Base::Dynamic(_), _) => self.lose_pointer(FrameStatus::Dynamic),
            _ => {}
        }
        let frame = state.register(FRAME_POINTER);
        self.uses_frame_pointer |=
            frame.exact_offset().is_some() && matches!(frame.base, Base::Stack | Base::Aligned);
    }

    /// Less is known of the stack pointer than was thought.
    fn lose_pointer(&mut self, status: FrameStatus) {
        if self.status != FrameStatus::Conflicting {
            self.status = status;
        }
    }

    fn check_pointer(&mut self, pointer: AbstractValue) {
        match (pointer.base, pointer.exact_offset()) {
            (Base::Stack | Base::Aligned, Some(_)) => {}
            (Base::Dynamic(_), _) => self.lose_pointer(FrameStatus::Dynamic),
            _ => self.lose_pointer(FrameStatus::Conflicting),
        }
    }

    /// How far below the return address the stack pointer is at most.
    fn depth_of(&self, pointer: AbstractValue) -> Option<u64> {
        let depth = match (pointer.base, pointer.exact_offset()?, self.alignment) {
            (Base::Stack, offset, _) => -offset,
            (Base::Aligned, offset, Some((before, alignment))) => -before + i64::from(alignment) - 1 - offset,
            _ => return None,
        };
        Some(u64::try_from(depth).unwrap_or(0))
    }

    /// Counts what a call needs of the stack. A real call pushes `pushed` bytes.
    fn call(&mut self, pointer: AbstractValue, pushed: i64, call: Option<CallEdge<'_>>, callee: &Callee<'_>) {
        let function = callee.function.map(|function| function as u32);
        let Some(own) = self.depth_of(pointer.plus(-pushed)) else {
            self.depth.limit(StackDepthLimit::Dynamic, None);
            return;
        };
        match (call.map(|call| call.kind), callee.function) {
            (_, Some(row)) => match self.depths[row] {
                Depth { bytes: Some(bytes), .. } => self.depth.reach(own.saturating_add(bytes), function),
                Depth { limit, .. } => self.depth.limit(limit, function),
            },
            (Some(CallKind::Indirect) | None, None) => self.depth.limit(StackDepthLimit::Indirect, None),
            (Some(_), None) => self.depth.limit(StackDepthLimit::External, None),
        }
    }

    fn tail_call(&mut self, state: &AbstractState, call: CallEdge<'_>, callee: &Callee<'_>) {
        let pointer = state.register(STACK_POINTER);
        self.check_pointer(pointer);
        self.call(pointer, 0, Some(call), callee);
        self.pass(state, callee);
    }

    /// Notes the parameters that a callee may read.
    fn pass(&mut self, state: &AbstractState, callee: &Callee<'_>) {
        let passed = state.tracked_arguments(&callee.summary, STACK_POINTER);
        for (_, value) in passed.filter(|(parameter, _)| callee.summary.read.has(*parameter)) {
            self.read.add(ParameterSet::of_base(value.base));
        }
    }

    /// Size of the memory that a call asks for, if all that says so is constant.
    fn allocated_size(
        &self,
        state: &AbstractState,
        call: Option<CallEdge<'_>>,
        callee: &Callee<'_>,
    ) -> Option<u64> {
        let name = call.and_then(|call| call.import_name);
        let name = name.or_else(|| callee.function.and_then(|row| self.context.functions.name.get(row)))?;
        let mut factors = self.context.imports.size_parameters(name).peekable();
        factors.peek()?;
        let factor =
            |parameter| self.argument(state, parameter).constant().and_then(|size| u64::try_from(size).ok());
        factors.try_fold(1_u64, |size, parameter| size.checked_mul(factor(parameter)?))
    }

    /// What is passed in a parameter of a call.
    fn argument(&self, state: &AbstractState, parameter: usize) -> AbstractValue {
        let convention = self.context.convention;
        let slot = convention.address_size;
        match convention.parameters.get(parameter) {
            Some(register) => state.register(*register),
            None => {
                let above = (parameter - convention.parameters.len()) as i64 * i64::from(slot);
                state.load(state.register(STACK_POINTER).plus(above + convention.home_size), slot)
            }
        }
    }

    /// Notes the function with which a thread begins, where a call begins one.
    fn find_thread(&mut self, state: &AbstractState, call: Option<CallEdge<'_>>) {
        /// Functions that begin a thread, and their parameter that says with which function.
        const STARTERS: [(&str, usize); 6] = [
            ("pthread_create", 2),
            ("_pthread_create", 2),
            ("thrd_create", 1),
            ("CreateThread", 2),
            ("_beginthreadex", 2),
            ("_beginthread", 0),
        ];
        let Some(call) = call else { return };
        let Some(name) = call.import_name.and_then(|name| name.split('@').next()) else { return };
        let Some((_, parameter)) = STARTERS.iter().find(|(starter, _)| *starter == name) else { return };
        let start = self.argument(state, *parameter).address();
        if let Some(start) = start.filter(|start| self.context.function_at(*start).is_some()) {
            self.threads.push((call.call_address, start));
        }
    }

    fn finish(mut self, function: usize, is_too_complex: bool) -> FunctionMemory {
        let context = self.context;
        let left = std::mem::take(&mut self.left);
        self.calls.sort_unstable();
        self.allocations.sort_unstable_by_key(|allocation| allocation.call_address);
        self.threads.sort_unstable();
        self.calls.dedup();
        let slots = slots(&mut self.uses, &self.calls, i64::from(context.convention.address_size));
        let aligned = self.depth_of(AbstractValue::at(Base::Aligned, self.lowest_aligned)).unwrap_or(0);
        let size = self.lowest.unsigned_abs().max(aligned);
        if is_too_complex {
            self.lose_pointer(FrameStatus::Conflicting);
        }
        let status = self.status;
        let red_zone_size = self.red_zone_size.min(context.convention.red_zone_size).unsigned_abs();
        let outgoing = outgoing_size(&slots, &self.calls);
        let home = if self.calls.is_empty() { 0 } else { context.convention.home_size.unsigned_abs() };
        let own = size + red_zone_size;
        if status != FrameStatus::Exact {
            self.depth.limit(StackDepthLimit::Dynamic, None);
        }
        let depth = match self.depth.limit {
            Some((limit, callee)) => Depth { bytes: None, limit, callee },
            None if self.depth.bytes > own => Depth {
                bytes: Some(self.depth.bytes),
                limit: StackDepthLimit::Bounded,
                callee: self.depth.callee,
            },
            None => Depth { bytes: Some(own), limit: StackDepthLimit::Bounded, callee: None },
        };
        let expected = context.convention.summary();
        let returned = left.returned.unwrap_or(expected.returned);
        for part in [self.kept, self.written, ParameterSet::of_base(returned.base)] {
            self.read.add(part);
        }
        let summary = if is_too_complex {
            expected
        } else {
            Summary {
                popped_bytes: if left.returns { left.popped } else { Some(0) },
                clobbered: if left.returns { left.changed } else { expected.clobbered },
                read: self.read,
                captured: self.kept,
                written: self.written,
                writes_unknown_memory: self.writes_elsewhere,
                returned,
            }
        };
        let name = context.functions.name.get(function);
        let summary = match name.is_some_and(|name| context.imports.allocates(name)) {
            true => Summary { returned: AbstractValue::at(Base::Heap(0), 0), ..summary },
            false => summary,
        };
        FunctionMemory {
            frame: Frame {
                size,
                uses_frame_pointer: self.uses_frame_pointer,
                canary_offset: self.canary_offset,
                alignment: self.alignment.map(|(_, alignment)| alignment),
                red_zone_size,
                outgoing_argument_size: outgoing.max(home),
                status,
            },
            depth,
            summary,
            slots,
            allocations: self.allocations,
            threads: self.threads,
            data: self.data,
            is_too_complex,
        }
    }
}

/// Bytes that an instruction touches one after another, from where its indices begin on. What lies apart may be two variables, of
/// which one is chosen.
fn extent(address: AbstractValue, size: i64) -> i64 {
    let is_sure = address.is_bounded() && !address.assumes_in_bounds && !address.is_type_range;
    let is_run = address.low == address.index_zero && i64::from(address.stride) <= size;
    if is_sure && is_run { address.high - address.low + size } else { 0 }
}

impl Deepest {
    fn reach(&mut self, bytes: u64, callee: Option<u32>) {
        if bytes > self.bytes {
            (self.bytes, self.callee) = (bytes, callee);
        }
    }

    /// There is no bound; of several reasons, the first of the list counts.
    fn limit(&mut self, limit: StackDepthLimit, callee: Option<u32>) {
        let is_first = self.limit.is_none_or(|(known, _)| rank(limit) < rank(known));
        if is_first {
            self.limit = Some((limit, callee));
        }
    }
}

fn rank(limit: StackDepthLimit) -> u8 {
    binframe_ir::Enumeration::code(limit)
}
