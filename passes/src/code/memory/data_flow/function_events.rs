//! Collects the events of one function: visits every instruction with its abstract state.

use super::events::{CallOrReturn, CallOrReturnKind, DefSite, EventKind, ResourceEvent, StackEvent};
use crate::code::memory::block_interpreter::{BlockInterpreter, InstructionContext, InstructionVisitor};
use crate::code::memory::interpreter::{Interpreter, MemoryReference};
use crate::code::memory::objects::ObjectTable;
use crate::code::memory::program::Program;
use crate::domains::{AbstractState, AbstractValue, Base, Summary, frame_offset};
use crate::isa::x86::{Effects, Instruction, Resource, ResourceAccess, STACK_POINTER, each_resource};
use binframe_ir::tables::{
    Access, Confidence, DataUse, Definition, MemoryObjectColumns, ObjectKind, Terminator,
};
use std::ops::Range;

/// The events of a function.
pub(super) struct FunctionEvents<'g, 'a> {
    pub(super) program: &'g Program<'a>,
    objects: &'g ObjectTable,
    columns: MemoryObjectColumns<'g>,
    pub(super) address: u64,
    function: usize,
    /// The rows of the function's blocks.
    pub(super) rows: &'g [u32],
    /// The block visited last: its row and its index in the function.
    last_block: (usize, u32),
    /// All definitions; the first is that at function entry.
    pub(super) definitions: Vec<DefSite>,
    /// Uses and definitions of registers and flags.
    pub(super) events: Vec<ResourceEvent>,
    pub(super) stack_events: Vec<StackEvent>,
    pub(super) calls_and_returns: Vec<CallOrReturn>,
    /// For each register part and flag, whether an instruction of the function defines it.
    pub(super) is_defined: Vec<bool>,
    /// The rows of the requested blocks.
    pub(super) requested: Range<usize>,
    info: Effects,
}

impl InstructionVisitor for FunctionEvents<'_, '_> {
    fn needs_block(&self, row: usize, is_reached: bool) -> bool {
        is_reached || self.requested.contains(&row)
    }

    fn instruction(
        &mut self,
        row: usize,
        interpreter: &mut Interpreter<'_>,
        instruction: &Instruction,
        context: InstructionContext<'_>,
    ) {
        let block = self.block_of(row);
        let address = instruction.ip();
        for reference in interpreter.memory_references(context.before).into_iter().flatten() {
            self.add_reference(block, address, context.before, &reference);
        }
        let definition = self.definition(address, Definition::Instruction, Confidence::Certain);
        let (events, is_defined) = (&mut self.events, &mut self.is_defined);
        each_resource(instruction, &mut self.info, |resource, access| {
            let kind = match access {
                ResourceAccess::Read => EventKind::Use(DataUse::Value, Confidence::Certain),
                ResourceAccess::ReadAddress => EventKind::Use(DataUse::Address, Confidence::Certain),
                ResourceAccess::Write => EventKind::Define(definition),
                ResourceAccess::MayWrite => EventKind::MayDefine(definition),
            };
            is_defined[resource.0 as usize] |=
                matches!(access, ResourceAccess::Write | ResourceAccess::MayWrite);
            events.push(ResourceEvent { resource: resource.0, block, address, kind });
        });
        if let Some(callee) = context.callee {
            let kind = CallOrReturnKind::call(callee, true);
            self.calls_and_returns.push(CallOrReturn { block, address, kind });
            self.add_stack_arguments(block, address, context.before, &callee.summary);
        }
    }

    fn block_end(
        &mut self,
        blocks: &BlockInterpreter<'_, '_>,
        row: usize,
        last: &Instruction,
        _: &AbstractState,
    ) {
        let block = self.block_of(row);
        let address = last.ip();
        let kind = match self.program.blocks.terminator.get(row) {
            Terminator::Ret => Some(CallOrReturnKind::Return),
            Terminator::Jump | Terminator::CondJump | Terminator::IndirectJump => {
                blocks.call_at(address).map(|call| CallOrReturnKind::call(&blocks.callee(Some(call)), false))
            }
            _ => None,
        };
        self.calls_and_returns.extend(kind.map(|kind| CallOrReturn { block, address, kind }));
    }
}

impl<'g, 'a> FunctionEvents<'g, 'a> {
    /// No events yet of a function, of which the uses in some blocks are requested.
    pub(super) fn new(
        program: &'g Program<'a>,
        objects: &'g ObjectTable,
        function: usize,
        requested: Range<usize>,
    ) -> Self {
        let entry = DefSite { address: None, by: Definition::Entry, confidence: Confidence::Certain };
        Self {
            program,
            objects,
            columns: objects.rows.columns(),
            address: program.functions.address[function],
            function,
            rows: program.blocks_by_function.rows_of(function),
            last_block: (usize::MAX, 0),
            definitions: vec![entry],
            events: Vec::new(),
            stack_events: Vec::new(),
            calls_and_returns: Vec::new(),
            is_defined: vec![false; Resource::COUNT as usize],
            requested,
            info: Effects::new(),
        }
    }

    /// The index of a block in the function.
    fn block_of(&mut self, row: usize) -> u32 {
        if self.last_block.0 != row {
            let index = self.rows.partition_point(|other| (*other as usize) < row);
            self.last_block = (row, index as u32);
        }
        self.last_block.1
    }

    /// The number of a definition, which is added if it is not the one added last.
    pub(super) fn definition(&mut self, address: u64, by: Definition, confidence: Confidence) -> u32 {
        let definition = DefSite { address: Some(address), by, confidence };
        let last = self.definitions.len() as u32 - 1;
        if self.definitions[last as usize] == definition {
            return last;
        }
        self.definitions.push(definition);
        last + 1
    }

    /// The offset of the object at a frame offset.
    pub(super) fn object_offset_at(&self, frame_offset: i64) -> Option<i64> {
        let slot = self.objects.slot_at(self.columns, self.function, frame_offset);
        slot.map(|slot| self.columns.object_offset[slot.row])
    }

    /// Adds the events of a memory reference, if it is to the stack. A read whose first byte has escaped is only
    /// `likely` to find one of the definitions.
    fn add_reference(
        &mut self,
        block: u32,
        address: u64,
        before: &AbstractState,
        reference: &MemoryReference,
    ) {
        let Some(size) = reference.size else { return };
        let Some((low, high)) = self.stack_range(reference.address, i64::from(size)) else { return };
        let is_exact = reference.address.exact_offset().is_some();
        let is_unbounded = !reference.address.is_bounded();
        let is_certain = is_exact && !reference.address.assumes_in_bounds;
        let confidence = |is_certain| if is_certain { Confidence::Certain } else { Confidence::Likely };
        let event = |kind| StackEvent { block, address, low, high, is_exact, is_unbounded, kind };
        if matches!(reference.access, Access::Read | Access::ReadWrite) {
            let confidence = confidence(is_certain && !before.has_escaped(low));
            self.stack_events.push(event(EventKind::Use(DataUse::Value, confidence)));
        }
        if matches!(reference.access, Access::Write | Access::ReadWrite) {
            let definition = self.definition(address, Definition::Instruction, confidence(is_certain));
            self.stack_events.push(event(match is_exact {
                true => EventKind::Define(definition),
                false => EventKind::MayDefine(definition),
            }));
        }
    }

    /// Frame offsets of the bytes that an access of `size` bytes may access; those of the slot at index 0 if it has no
    /// bound. `None` if the address does not point into the frame; also if it has no bound and no slot is at index 0.
    fn stack_range(&self, address: AbstractValue, size: i64) -> Option<(i64, i64)> {
        let is_aligned = match address.base {
            Base::Stack => false,
            Base::Aligned => true,
            _ => return None,
        };
        let from = |offset: i64| frame_offset::from_offset(offset, is_aligned);
        if address.is_bounded() {
            return Some((from(address.low), from(address.high).saturating_add(size)));
        }
        let slot = self.objects.slot_at(self.columns, self.function, from(address.index_zero))?;
        Some((slot.start, slot.start.saturating_add(slot.size)))
    }

    /// Adds the uses and definitions of a callee through the stack addresses that it receives, and of its arguments on
    /// the stack.
    fn add_stack_arguments(&mut self, block: u32, address: u64, before: &AbstractState, callee: &Summary) {
        for (parameter, value) in before.tracked_arguments(callee, STACK_POINTER) {
            let anywhere = AbstractValue::unbounded(value.base, value.index_zero);
            let Some((low, high)) = self.stack_range(anywhere, 1) else { continue };
            let event =
                |kind| StackEvent { block, address, low, high, is_exact: false, is_unbounded: true, kind };
            if callee.read.has(parameter) {
                self.stack_events.push(event(EventKind::Use(DataUse::Argument, Confidence::Likely)));
            }
            if callee.written.has(parameter) {
                let definition = self.definition(address, Definition::Call, Confidence::Likely);
                self.stack_events.push(event(EventKind::MayDefine(definition)));
            }
        }
        self.add_outgoing_arguments(block, address, before);
    }

    /// Adds the uses of the outgoing arguments: the contiguous slots of that kind from the stack pointer on, after the
    /// home space.
    fn add_outgoing_arguments(&mut self, block: u32, address: u64, before: &AbstractState) {
        let convention = self.program.convention;
        let pointer = before.register(STACK_POINTER).plus(convention.home_size);
        let Some(mut next) = frame_offset::of_address(pointer) else { return };
        while let Some(slot) = self.objects.slot_at(self.columns, self.function, next)
            && self.columns.kind.get(slot.row) == ObjectKind::OutgoingArgument
        {
            let (low, high) = (slot.start, slot.start.saturating_add(slot.size));
            let kind = EventKind::Use(DataUse::Argument, Confidence::Likely);
            let (is_exact, is_unbounded) = (false, false);
            self.stack_events.push(StackEvent { block, address, low, high, is_exact, is_unbounded, kind });
            next = high.max(slot.start.saturating_add(i64::from(convention.address_size)));
        }
    }
}
