//! `(code, cfg, image, memory_objects, function_effects) -> memory_accesses`
//!
//! The table is large, and is made on demand for any run of blocks.

use super::MemoryIr;
use super::context::Context;
use super::follow::{Follower, Runner, Step, Visitor};
use super::objects::{Found, Objects};
use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use crate::domains::{AbstractState, AbstractValue, Base, UNBOUNDED_HIGH, UNBOUNDED_LOW, frame_offset};
use crate::isa::{AbstractInterpreter, Instruction, MemoryReference};
use binframe_ir::tables::{
    AccessRegion, Confidence, MemoryAccess, MemoryAccessBuilder, MemoryAccesses, MemoryObjectColumns,
    UnknownReason,
};
use binframe_ir::{Rows, Term};
use std::ops::Range;

/// The accesses of a run of blocks.
pub fn accesses(code: &Code, cfg: &CfgIr, memory: &MemoryIr, blocks: Range<usize>) -> Rows<MemoryAccesses> {
    let surroundings = &*memory.surroundings;
    let context = Context::new(code, cfg, &surroundings.image, &surroundings.by_function);
    let is_loaded = |address: u64| context.image.is_fixed_address(address);
    let mut follower = Follower::new(&context, &surroundings.summaries, &is_loaded);
    let columns = surroundings.objects.rows.columns();
    let mut rows = MemoryAccessBuilder::default();
    let mut accesses = Vec::new();
    for (function, together) in context.functions_of(blocks) {
        let function_address = context.functions.address[function];
        let mut writer = Writer {
            context: &context,
            objects: &surroundings.objects,
            columns,
            function,
            function_address,
            blocks: together,
            accesses: std::mem::take(&mut accesses),
        };
        follower.follow(function, &mut writer);
        accesses = writer.accesses;
        accesses.sort_unstable_by_key(|access| (access.instruction_address, access.is_implicit));
        rows.extend(accesses.drain(..));
    }
    rows.finish()
}

/// Writes the accesses of one function.
struct Writer<'w, 'a> {
    context: &'w Context<'a>,
    objects: &'w Objects,
    columns: MemoryObjectColumns<'w>,
    function: usize,
    function_address: u64,
    /// The rows of blocks whose accesses are wanted.
    blocks: Range<usize>,
    accesses: Vec<MemoryAccess<'static>>,
}

/// What an address leads to.
struct Place {
    region: AccessRegion,
    found: Option<Found>,
    /// What is added to an offset from the base to count like the bounds of what was found.
    shift: i64,
    reason: Option<UnknownReason>,
}

impl Visitor for Writer<'_, '_> {
    fn wants(&self, row: usize, _: bool) -> bool {
        self.blocks.contains(&row)
    }

    fn instruction(
        &mut self,
        row: usize,
        interpreter: &mut AbstractInterpreter<'_>,
        instruction: &Instruction,
        step: Step<'_>,
    ) {
        for touch in interpreter.memory_references(step.before, instruction).into_iter().flatten() {
            self.push(instruction.ip(), self.context.blocks.address[row], &touch);
        }
    }

    fn leave(&mut self, _: &Runner<'_, '_>, _: usize, _: &Instruction, _: &AbstractState) {}
}

impl Writer<'_, '_> {
    fn push(&mut self, instruction_address: u64, block_address: u64, touch: &MemoryReference) {
        let address = touch.address;
        let mut place = self.place(address);
        let size = touch.size.map_or(1, i64::from);
        let confidence = confidence(address, size, &place);
        // Where no bound is known, what lies beyond the next object may be touched too, unless the linker says how large this one is.
        if confidence != Confidence::Certain {
            place.found = place.found.filter(|found| found.is_stated);
        }
        let is_known = place.region != AccessRegion::Unknown;
        let is_global = place.region == AccessRegion::Global;
        let is_bounded = is_known && address.is_bounded();
        let first = if is_bounded { address.low } else { address.index_zero };
        let extent =
            is_bounded.then(|| address.high.abs_diff(address.low) + u64::from(touch.size.unwrap_or(0)));
        let is_varied = is_known
            && address.exact_offset().is_none()
            && (address.stride > 1 || i64::from(address.stride) == size);
        let parameter = match address.base {
            Base::Register(register) => Some(Term(self.context.convention.register_name(register))),
            Base::Argument(offset) => Some(Term(argument_name(offset))),
            _ => None,
        };
        let call_address = match address.base {
            Base::Heap(call) | Base::Returned(call) => Some(call),
            _ => None,
        };
        self.accesses.push(MemoryAccess {
            instruction_address,
            is_implicit: touch.is_implicit,
            block_address,
            function_address: self.function_address,
            region: place.region,
            object_id: place.found.map(|found| found.object_id),
            parameter,
            call_address,
            offset: (is_known && !is_global).then_some(first),
            global_address: is_global.then(|| (first as u64).wrapping_add_signed(place.shift)),
            extent,
            stride: is_varied.then_some(address.stride),
            is_indexed: touch.is_indexed,
            size: touch.size,
            access: touch.access,
            confidence,
            reason: place.reason,
        });
    }

    fn place(&self, address: AbstractValue) -> Place {
        let known = |region, found, shift| Place { region, found, shift, reason: None };
        let unknown =
            |reason| Place { region: AccessRegion::Unknown, found: None, shift: 0, reason: Some(reason) };
        match address.base {
            Base::Stack | Base::Aligned => {
                let start = frame_offset::from_offset(0, address.base == Base::Aligned);
                let found = self.objects.slot_at(
                    self.columns,
                    self.function,
                    start.saturating_add(address.index_zero),
                );
                known(AccessRegion::Stack, found, start)
            }
            Base::Dynamic(_) => known(AccessRegion::Stack, None, 0),
            Base::Register(_) | Base::Argument(_) => known(AccessRegion::Parameter, None, 0),
            Base::Returned(_) => known(AccessRegion::Returned, None, 0),
            Base::Heap(call) => {
                known(AccessRegion::Heap, self.objects.allocated_by(self.columns, self.function, call), 0)
            }
            Base::Thread => known(AccessRegion::ThreadLocal, None, 0),
            Base::Global(anchor) => {
                let found =
                    self.objects.global_at(self.columns, anchor.wrapping_add_signed(address.index_zero));
                known(AccessRegion::Global, found, anchor as i64)
            }
            Base::Number => {
                match address.address().filter(|address| self.context.image.section_at(*address).is_some()) {
                    Some(number) => {
                        known(AccessRegion::Global, self.objects.global_at(self.columns, number), 0)
                    }
                    None => unknown(UnknownReason::Number),
                }
            }
            Base::Canary => unknown(UnknownReason::Computed),
            Base::Unknown(reason) => unknown(reason),
        }
    }
}

/// How sure it is that all that may be touched lies in what was found.
fn confidence(address: AbstractValue, size: i64, place: &Place) -> Confidence {
    if address.assumes_in_bounds {
        return Confidence::Guess;
    }
    if place.reason.is_some() {
        return Confidence::Certain;
    }
    let is_bounded = address.low != UNBOUNDED_LOW && address.high != UNBOUNDED_HIGH;
    let is_inside = match place.found {
        _ if !is_bounded => false,
        None => true,
        // An allocation has room for what programs do with it.
        Some(Found { size: 0, .. }) => address.is_bounded(),
        Some(found) => {
            let (low, high) =
                (address.low.saturating_add(place.shift), address.high.saturating_add(place.shift));
            low >= found.start && high.saturating_add(size) <= found.start.saturating_add(found.size)
        }
    };
    if is_inside { Confidence::Certain } else { Confidence::Likely }
}

/// Names of the places on the stack where arguments are; those further up are not told apart.
fn argument_name(offset: i32) -> &'static str {
    const NAMES: [&str; 33] = [
        "stack",
        "stack+4",
        "stack+8",
        "stack+12",
        "stack+16",
        "stack+20",
        "stack+24",
        "stack+28",
        "stack+32",
        "stack+36",
        "stack+40",
        "stack+44",
        "stack+48",
        "stack+52",
        "stack+56",
        "stack+60",
        "stack+64",
        "stack+68",
        "stack+72",
        "stack+76",
        "stack+80",
        "stack+84",
        "stack+88",
        "stack+92",
        "stack+96",
        "stack+100",
        "stack+104",
        "stack+108",
        "stack+112",
        "stack+116",
        "stack+120",
        "stack+124",
        "stack+128",
    ];
    usize::try_from(offset)
        .ok()
        .filter(|offset| offset % 4 == 0)
        .and_then(|offset| NAMES.get(offset / 4))
        .copied()
        .unwrap_or("stack")
}
