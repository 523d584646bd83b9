//! Collects the events of one function, from its instructions and from the record of its analysis.

use super::events::{CallOrReturn, CallOrReturnKind, DefSite, EventKind, ResourceEvent, StackEvent};
use super::register_uses::{RegisterUses, ResourceAccess};
use super::resources::Resource;
use crate::code::memory::callees::Callees;
use crate::code::memory::facts::MemoryFacts;
use crate::code::memory::function_record::{PassedAddress, Position, RecordedCall, RecordedReference};
use crate::code::memory::objects::ObjectTable;
use crate::code::memory::program::Program;
use crate::code::regions::CodeRegion;
use crate::domains::{AbstractValue, Base, frame_offset};
use crate::isa::{Decoder as _, InstructionSet, with_instruction_set};
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
}

impl<'g, 'a> FunctionEvents<'g, 'a> {
    /// The events of a function, of which the uses in some blocks are requested.
    pub(super) fn new(
        program: &'g Program<'a>,
        facts: &'g MemoryFacts,
        function: usize,
        requested: Range<usize>,
    ) -> Self {
        let entry = DefSite { address: None, by: Definition::Entry, confidence: Confidence::Certain };
        let rows = facts.blocks_by_function.rows_of(function);
        let mut events = Self {
            program,
            objects: &facts.objects,
            columns: facts.objects.rows.columns(),
            address: program.functions.address[function],
            function,
            rows,
            definitions: vec![entry],
            events: Vec::new(),
            stack_events: Vec::new(),
            calls_and_returns: Vec::new(),
            is_defined: vec![false; Resource::COUNT as usize],
            requested,
        };
        let mut callees = Callees::new(program, &facts.summaries);
        callees.prepare(rows);
        events.add_instructions(&callees, rows);
        let record = &facts.records[function];
        for reference in record.references_in(0..rows.len() as u32) {
            events.add_reference(&reference);
        }
        for call in record.calls() {
            events.add_call(&callees, call, record.passed_to(call));
        }
        events
    }

    /// The address of an instruction.
    fn address_of(&self, position: Position) -> u64 {
        self.program.blocks.address[self.rows[position.block as usize] as usize] + u64::from(position.offset)
    }

    /// Adds the events of registers and flags, and of jumps and returns that leave the function.
    fn add_instructions(&mut self, callees: &Callees<'_, '_>, rows: &[u32]) {
        let mut uses = RegisterUses::new(self.program.isa);
        for (block, row) in (0..).zip(rows) {
            let row = *row as usize;
            let Some((region, positions)) = self.program.code_of(row) else { continue };
            let last = with_instruction_set!(region.isa, S => {
                self.add_block::<S>(&mut uses, block, region, positions)
            });
            if let Some(last) = last {
                self.add_exit(callees, block, row, last);
            }
        }
    }

    /// Adds the events of registers and flags of a block. Returns the address of its last instruction.
    fn add_block<S: InstructionSet>(
        &mut self,
        uses: &mut RegisterUses,
        block: u32,
        region: &CodeRegion,
        positions: Range<usize>,
    ) -> Option<u64> {
        let mut decoder =
            S::decoder(region.isa, &region.bytes[positions.clone()], region.address + positions.start as u64);
        let mut instruction = S::Instruction::default();
        let mut last = None;
        while decoder.decode(&mut instruction) {
            let address = S::address(&instruction);
            last = Some(address);
            let definition = self.definition(address, Definition::Instruction, Confidence::Certain);
            for (resource, access) in uses.of::<S>(&instruction) {
                let kind = match access {
                    ResourceAccess::Read => EventKind::Use(DataUse::Value, Confidence::Certain),
                    ResourceAccess::ReadAddress => EventKind::Use(DataUse::Address, Confidence::Certain),
                    ResourceAccess::Write => EventKind::Define(definition),
                    ResourceAccess::MayWrite => EventKind::MayDefine(definition),
                };
                self.is_defined[resource.0 as usize] |=
                    matches!(access, ResourceAccess::Write | ResourceAccess::MayWrite);
                self.events.push(ResourceEvent { resource: resource.0, block, address, kind });
            }
        }
        last
    }

    /// Adds the return or the tail call at the end of a block, if there is one.
    fn add_exit(&mut self, callees: &Callees<'_, '_>, block: u32, row: usize, address: u64) {
        let kind = match self.program.blocks.terminator.get(row) {
            Terminator::Ret => Some(CallOrReturnKind::Return),
            Terminator::Jump | Terminator::CondJump | Terminator::IndirectJump => {
                callees.call_at(address).map(|call| CallOrReturnKind::call(&callees.of(Some(call)), false))
            }
            _ => None,
        };
        self.calls_and_returns.extend(kind.map(|kind| CallOrReturn { block, address, kind }));
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
    fn add_reference(&mut self, recorded: &RecordedReference) {
        let RecordedReference { position, reference, has_escaped } = recorded;
        let Some(size) = reference.size else { return };
        let Some((low, high)) = self.stack_range(reference.address, i64::from(size)) else { return };
        let (block, address) = (position.block, self.address_of(*position));
        let is_exact = reference.address.exact_offset().is_some();
        let is_unbounded = !reference.address.is_bounded();
        let is_certain = is_exact && !reference.address.assumes_in_bounds;
        let confidence = |is_certain| if is_certain { Confidence::Certain } else { Confidence::Likely };
        let event = |kind| StackEvent { block, address, low, high, is_exact, is_unbounded, kind };
        if matches!(reference.access, Access::Read | Access::ReadWrite) {
            let confidence = confidence(is_certain && !has_escaped);
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
        Some(slot.range())
    }

    /// Adds a call, the uses and definitions of the callee through the stack addresses that it is passed, and the uses
    /// of its arguments on the stack.
    fn add_call(&mut self, callees: &Callees<'_, '_>, call: &RecordedCall, passed: &[PassedAddress]) {
        let (block, address) = (call.position.block, self.address_of(call.position));
        let callee = callees.of(callees.call_at(address));
        let kind = CallOrReturnKind::call(&callee, true);
        self.calls_and_returns.push(CallOrReturn { block, address, kind });
        let (is_exact, is_unbounded) = (false, true);
        for PassedAddress { frame_offset, parameter } in passed {
            let slot = self.objects.slot_at(self.columns, self.function, *frame_offset);
            let Some((low, high)) = slot.map(|slot| slot.range()) else { continue };
            let event = |kind| StackEvent { block, address, low, high, is_exact, is_unbounded, kind };
            if callee.summary.read.has(*parameter) {
                self.stack_events.push(event(EventKind::Use(DataUse::Argument, Confidence::Likely)));
            }
            if callee.summary.written.has(*parameter) {
                let definition = self.definition(address, Definition::Call, Confidence::Likely);
                self.stack_events.push(event(EventKind::MayDefine(definition)));
            }
        }
        self.add_outgoing_arguments(call, address);
    }

    /// Adds the uses of the outgoing arguments: the contiguous slots of that kind from the stack pointer on, after the
    /// home space.
    fn add_outgoing_arguments(&mut self, call: &RecordedCall, address: u64) {
        let convention = self.program.convention;
        let block = call.position.block;
        let Some(mut next) = call.stack_pointer.map(|pointer| pointer.saturating_add(convention.home_size))
        else {
            return;
        };
        while let Some(slot) = self.objects.slot_at(self.columns, self.function, next)
            && self.columns.kind.get(slot.row) == ObjectKind::OutgoingArgument
        {
            let (low, high) = slot.range();
            let kind = EventKind::Use(DataUse::Argument, Confidence::Likely);
            let (is_exact, is_unbounded) = (false, false);
            self.stack_events.push(StackEvent { block, address, low, high, is_exact, is_unbounded, kind });
            next = high.max(low.saturating_add(i64::from(convention.address_size)));
        }
    }
}
