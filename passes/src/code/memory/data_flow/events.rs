//! What the instructions of a function do with registers, flags and the stack, one by one.

use crate::code::memory::context::Context;
use crate::code::memory::follow::{Callee, Runner, Step, Visitor};
use crate::code::memory::objects::Objects;
use crate::domains::{AbstractState, AbstractValue, Base, Summary, frame_offset};
use crate::isa::{
    AbstractInterpreter, Instruction, MemoryReference, Resource, ResourceAccess, STACK_POINTER,
};
use binframe_ir::tables::{
    Access, Confidence, DataUse, Definition, MemoryObjectColumns, ObjectKind, Terminator,
};
use std::ops::Range;

/// What defines something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Defined {
    pub(super) address: Option<u64>,
    pub(super) by: Definition,
    pub(super) confidence: Confidence,
}

/// What an instruction does with something.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Use(DataUse, Confidence),
    /// Another definition may still hold behind it.
    MayDefine(u32),
    Define(u32),
}

/// What an instruction does with a part of a register, a flag, or a piece of the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// That of a [`Resource`]; pieces of the stack have numbers behind those.
    pub(super) number: u32,
    pub(super) block: u32,
    pub(super) address: u64,
    pub(super) what: What,
}

/// What an instruction does with bytes of the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct StackUse {
    pub(super) block: u32,
    pub(super) address: u64,
    /// The first place, and the one behind the last.
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) is_exact: bool,
    /// Whether no bound is known, so that what lies above may be meant too.
    pub(super) is_unbounded: bool,
    pub(super) what: What,
}

/// A call, or the end of a function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site {
    pub(super) block: u32,
    pub(super) address: u64,
    pub(super) kind: SiteKind,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum SiteKind {
    /// A call, with what is known of the callee; it returns, unless it is a jump.
    Call {
        summary: Summary,
        is_known: bool,
        returns: bool,
    },
    Return,
}

impl SiteKind {
    fn call(callee: &Callee<'_>, returns: bool) -> Self {
        Self::Call { summary: callee.summary, is_known: callee.function.is_some(), returns }
    }
}

impl What {
    /// Instructions use what they find before they define it.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Use(..) => 0,
            Self::MayDefine(_) => 1,
            Self::Define(_) => 2,
        }
    }
}

/// What the instructions of a function do.
pub(super) struct Function<'g, 'a> {
    pub(super) context: &'g Context<'a>,
    objects: &'g Objects,
    columns: MemoryObjectColumns<'g>,
    pub(super) address: u64,
    row: usize,
    /// The rows of the function's blocks, and the one that was looked at last with its position.
    pub(super) rows: &'g [u32],
    last: (usize, u32),
    pub(super) definitions: Vec<Defined>,
    pub(super) events: Vec<Event>,
    pub(super) stack: Vec<StackUse>,
    pub(super) sites: Vec<Site>,
    /// Registers that instructions define.
    pub(super) defined: Vec<bool>,
    /// The rows of blocks whose uses are wanted.
    pub(super) wanted: Range<usize>,
}

impl Visitor for Function<'_, '_> {
    fn wants(&self, row: usize, is_reached: bool) -> bool {
        is_reached || self.wanted.contains(&row)
    }

    fn instruction(
        &mut self,
        row: usize,
        interpreter: &mut AbstractInterpreter<'_>,
        instruction: &Instruction,
        step: Step<'_>,
    ) {
        let block = self.block(row);
        let address = instruction.ip();
        for touch in interpreter.memory_references(step.before, instruction).into_iter().flatten() {
            self.touch(block, address, step.before, &touch);
        }
        let definition = self.definition(address, Definition::Instruction, Confidence::Certain);
        let (events, defined) = (&mut self.events, &mut self.defined);
        interpreter.each_resource(instruction, |resource, usage| {
            let what = match usage {
                ResourceAccess::Read => What::Use(DataUse::Value, Confidence::Certain),
                ResourceAccess::ReadAddress => What::Use(DataUse::Address, Confidence::Certain),
                ResourceAccess::Write => What::Define(definition),
                ResourceAccess::MayWrite => What::MayDefine(definition),
            };
            defined[resource.0 as usize] |= matches!(usage, ResourceAccess::Write | ResourceAccess::MayWrite);
            events.push(Event { number: resource.0, block, address, what });
        });
        if let Some(callee) = step.callee {
            self.sites.push(Site { block, address, kind: SiteKind::call(callee, true) });
            self.pass(block, address, step.before, &callee.summary);
        }
    }

    fn leave(&mut self, runner: &Runner<'_, '_>, row: usize, last: &Instruction, _: &AbstractState) {
        let block = self.block(row);
        let address = last.ip();
        match self.context.blocks.terminator.get(row) {
            Terminator::Ret => self.sites.push(Site { block, address, kind: SiteKind::Return }),
            Terminator::Jump | Terminator::CondJump | Terminator::IndirectJump => {
                if let Some(call) = runner.call_at(address) {
                    let kind = SiteKind::call(&runner.callee(Some(call)), false);
                    self.sites.push(Site { block, address, kind });
                }
            }
            _ => {}
        }
    }
}

impl<'g, 'a> Function<'g, 'a> {
    /// Nothing yet of a function, of which the uses in some blocks are wanted.
    pub(super) fn new(
        context: &'g Context<'a>,
        objects: &'g Objects,
        function: usize,
        wanted: Range<usize>,
    ) -> Self {
        let entry = Defined { address: None, by: Definition::Entry, confidence: Confidence::Certain };
        Self {
            context,
            objects,
            columns: objects.rows.columns(),
            address: context.functions.address[function],
            row: function,
            rows: context.by_function.rows_of(function),
            last: (usize::MAX, 0),
            definitions: vec![entry],
            events: Vec::new(),
            stack: Vec::new(),
            sites: Vec::new(),
            defined: vec![false; Resource::COUNT as usize],
            wanted,
        }
    }

    /// The position of a block among those of the function.
    fn block(&mut self, row: usize) -> u32 {
        if self.last.0 != row {
            self.last = (row, self.rows.partition_point(|other| (*other as usize) < row) as u32);
        }
        self.last.1
    }

    /// The number of a definition.
    pub(super) fn definition(&mut self, address: u64, by: Definition, confidence: Confidence) -> u32 {
        let definition = Defined { address: Some(address), by, confidence };
        let last = self.definitions.len() as u32 - 1;
        if self.definitions[last as usize] == definition {
            return last;
        }
        self.definitions.push(definition);
        last + 1
    }

    /// The slot that a place of the stack lies in.
    pub(super) fn slot_at(&self, place: i64) -> Option<u64> {
        let slot = self.objects.slot_at(self.columns, self.row, place);
        slot.map(|slot| slot.object_id)
    }

    fn touch(&mut self, block: u32, address: u64, before: &AbstractState, touch: &MemoryReference) {
        let Some(size) = touch.size else { return };
        let Some((low, high)) = self.bytes(touch.address, i64::from(size)) else { return };
        let is_exact = touch.address.exact_offset().is_some();
        let is_unbounded = !touch.address.is_bounded();
        let is_sure = is_exact && !touch.address.assumes_in_bounds;
        let confidence = |is_sure| if is_sure { Confidence::Certain } else { Confidence::Likely };
        let stack_use = |what| StackUse { block, address, low, high, is_exact, is_unbounded, what };
        if matches!(touch.access, Access::Read | Access::ReadWrite) {
            self.stack
                .push(stack_use(What::Use(DataUse::Value, confidence(is_sure && !before.has_escaped(low)))));
        }
        if matches!(touch.access, Access::Write | Access::ReadWrite) {
            let definition = self.definition(address, Definition::Instruction, confidence(is_sure));
            let define = if is_exact { What::Define(definition) } else { What::MayDefine(definition) };
            self.stack.push(stack_use(define));
        }
    }

    /// The bytes of the stack at an address. Where no bound is known, they are those of the slot in which indices begin.
    fn bytes(&self, address: AbstractValue, size: i64) -> Option<(i64, i64)> {
        let is_aligned = match address.base {
            Base::Stack => false,
            Base::Aligned => true,
            _ => return None,
        };
        let place = |offset: i64| frame_offset::from_offset(offset, is_aligned);
        if address.is_bounded() {
            return Some((place(address.low), place(address.high).saturating_add(size)));
        }
        let found = self.objects.slot_at(self.columns, self.row, place(address.index_zero))?;
        Some((found.start, found.start.saturating_add(found.size)))
    }

    /// Notes the slots whose addresses are given to a callee.
    fn pass(&mut self, block: u32, address: u64, before: &AbstractState, summary: &Summary) {
        for (parameter, value) in before.tracked_arguments(summary, STACK_POINTER) {
            let inside = AbstractValue::unbounded(value.base, value.index_zero);
            let Some((low, high)) = self.bytes(inside, 1) else { continue };
            let (is_exact, is_unbounded) = (false, true);
            let stack_use = |what| StackUse { block, address, low, high, is_exact, is_unbounded, what };
            if summary.read.has(parameter) {
                self.stack.push(stack_use(What::Use(DataUse::Argument, Confidence::Likely)));
            }
            if summary.written.has(parameter) {
                let definition = self.definition(address, Definition::Call, Confidence::Likely);
                self.stack.push(stack_use(What::MayDefine(definition)));
            }
        }
        self.pass_on_stack(block, address, before);
    }

    /// Notes the arguments on the stack that a callee may read: what is put where the stack pointer is, and nowhere read.
    fn pass_on_stack(&mut self, block: u32, address: u64, before: &AbstractState) {
        let pointer = before.register(STACK_POINTER).plus(self.context.convention.home_size);
        let Some(mut place) = frame_offset::of_address(pointer) else { return };
        while let Some(slot) = self.objects.slot_at(self.columns, self.row, place)
            && self.columns.kind.get(slot.object_id as usize) == ObjectKind::OutgoingArgument
        {
            let (low, high) = (slot.start, slot.start.saturating_add(slot.size));
            let what = What::Use(DataUse::Argument, Confidence::Likely);
            let (is_exact, is_unbounded) = (false, false);
            self.stack.push(StackUse { block, address, low, high, is_exact, is_unbounded, what });
            place = high.max(slot.start.saturating_add(i64::from(self.context.convention.address_size)));
        }
    }
}
