//! Abstract states: the contents of registers and of the stack before an instruction.
//!
//! *Elements.* A state maps each register to a value, and some stack bytes to values: a [`StackCell`] holds up to 8
//! bytes at a frame offset (`frame_offset`). Stack bytes without a cell are unknown, except in the caller's frame
//! (frame offset 0 and above): while [`StackArguments`] is not unknown, they have the content that the caller stored,
//! a value with base [`Base::Argument`]. Other memory has no contents: a load from it is unknown. A state also has the
//! operands of the last comparison, and the effects of the function on paths to this point: the parameters that it
//! captured or wrote through.
//!
//! *Escape.* A value escapes when it is stored or passed where it is no longer tracked. If it points into the frame,
//! unknown code may from then on modify the stack from that frame offset (`escaped_from`) upwards, and finds the
//! pointers that are stored there, which escape too. If it derives from a parameter, that parameter is captured.
//!
//! *Order, join, height.* See `state_join`.
//!
//! *Assumptions.* The following may be wrong for a program; a value that relies on the first has `assumes_in_bounds`.
//! - A store whose address has no useful bound changes only the function's own frame, at or above the byte at index 0
//!   ([`AbstractState::store`]). Index 0 is the offset `index_zero` of the address, presumably the start of the array.
//! - Unknown code changes the stack only at or above addresses that escaped. It does not change the slots in which the
//!   function saved registers for its caller. It does not change the caller's arguments either, unless an address of
//!   an argument escaped ([`AbstractState::forget_from`]).
//! - Pointers from parameters, allocations, thread-local storage and the binary's data, constant addresses, and the
//!   part of the stack allocated by an unknown amount ([`Base::Dynamic`]) do not overlap the tracked frame.

use super::abstract_value::{AbstractValue, Base, UNBOUNDED_HIGH, UNBOUNDED_LOW};
use super::frame_offset;
use super::summary::ParameterSet;
use binframe_ir::tables::UnknownReason;
use std::ops::Range;
use std::rc::Rc;

/// Number of general registers.
pub(super) const REGISTERS: usize = 16;

/// Stack cells that one state holds at most. Further values that are stored on the stack escape, and their bytes
/// become unknown (in the caller's frame: all stack arguments).
const CELLS_MAX: usize = 96;

/// The contents of registers and of the stack, and the part of the stack that has escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AbstractState {
    pub(super) registers: [AbstractValue; REGISTERS],
    /// Sorted by frame offset; not overlapping.
    pub(super) cells: Rc<Vec<StackCell>>,
    /// Unknown code may modify the stack from this frame offset on.
    pub(super) escaped_from: i64,
    pub(super) stack_arguments: StackArguments,
    /// The callee-saved registers of the calling convention; none in the unknown state.
    pub(super) preserved: u16,
    /// The last comparison; `None` if the flags do not come from one.
    pub(crate) comparison: Option<Comparison>,
    /// Whether the function has aligned the stack pointer on some path; false in the unknown state.
    pub(crate) is_aligned: bool,
    /// Parameters that may have been captured.
    pub(crate) captured: ParameterSet,
    /// Parameters through which memory may have been written.
    pub(crate) written: ParameterSet,
    /// Whether memory may have been written through an address of unknown origin.
    pub(crate) writes_unknown_memory: bool,
}

/// A value on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackCell {
    pub(super) frame_offset: i64,
    /// Size in bytes, from 1 to 8.
    pub(super) size: i64,
    pub(super) value: AbstractValue,
}

impl StackCell {
    /// Frame offset after the last byte.
    pub(super) fn end(&self) -> i64 {
        self.frame_offset.saturating_add(self.size)
    }
}

/// Location of an operand that was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperandLocation {
    Register(u8),
    /// A frame offset, and a size in bytes.
    Stack(i64, u8),
}

/// Operands of the instruction that set the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Location of the left operand.
    pub(crate) location: OperandLocation,
    pub(crate) left: AbstractValue,
    pub(crate) right: AbstractValue,
    /// Width of the comparison in bits.
    pub(crate) bits: u32,
    /// Whether `left` is the result of an arithmetic instruction. Its flags then only tell whether it is 0.
    pub(crate) is_result: bool,
}

/// State of the stack bytes that the caller set: the arguments on the stack. Ordered from the most precise to unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StackArguments {
    /// Unchanged, except where there are cells.
    Intact,
    /// Unchanged if stores without a bound stayed in the function's own frame.
    MaybeOverwritten,
    Unknown,
}

impl AbstractState {
    /// The state at function entry, given the stack pointer and the callee-saved registers.
    pub(crate) fn entry(stack_pointer: u8, preserved: u16) -> Self {
        let mut registers =
            std::array::from_fn(|register| AbstractValue::at(Base::Register(register as u8), 0));
        registers[usize::from(stack_pointer)] = AbstractValue::at(Base::Stack, 0);
        Self {
            registers,
            cells: Rc::default(),
            escaped_from: i64::MAX,
            stack_arguments: StackArguments::Intact,
            preserved,
            comparison: None,
            is_aligned: false,
            captured: ParameterSet::default(),
            written: ParameterSet::default(),
            writes_unknown_memory: false,
        }
    }

    /// The state in which nothing is known, for a reason. It is the top element except that `is_aligned` is false.
    /// `preserved` is 0.
    pub(crate) fn unknown(reason: UnknownReason) -> Self {
        Self {
            registers: [AbstractValue::unknown(reason); REGISTERS],
            escaped_from: UNBOUNDED_LOW,
            stack_arguments: StackArguments::Unknown,
            captured: ParameterSet::ALL,
            written: ParameterSet::ALL,
            writes_unknown_memory: true,
            ..Self::entry(0, 0)
        }
    }

    /// The numbers of the registers whose values a state holds.
    pub(crate) const REGISTERS: Range<u8> = 0..REGISTERS as u8;

    /// Makes the registers of a set unknown, which has a bit for each.
    pub(crate) fn clobber(&mut self, registers: u16) {
        for register in Self::REGISTERS.filter(|register| registers >> register & 1 == 1) {
            self.set_register(register, AbstractValue::unknown(UnknownReason::Clobbered));
        }
    }

    /// Whether a state holds the value of the register with a number.
    pub(crate) fn tracks(register: u8) -> bool {
        usize::from(register) < REGISTERS
    }

    pub(crate) fn register(&self, register: u8) -> AbstractValue {
        self.registers[usize::from(register)]
    }

    pub(crate) fn set_register(&mut self, register: u8, value: AbstractValue) {
        if let Some(Comparison { location: OperandLocation::Register(compared), .. }) = self.comparison
            && compared == register
        {
            self.comparison = None;
        }
        self.registers[usize::from(register)] = value;
    }

    /// Replaces the value of a compared operand by a more precise one. The comparison stays valid.
    pub(crate) fn refine(&mut self, location: OperandLocation, value: AbstractValue) {
        match location {
            OperandLocation::Register(register) => self.registers[usize::from(register)] = value,
            OperandLocation::Stack(frame_offset, size) => {
                self.store_at(frame_offset, i64::from(size), value);
            }
        }
    }

    /// Value of the `size` bytes at an address. Unknown unless a cell that starts there covers them, or the caller set
    /// them. Of a part of a cell, the low bits, zero-extended.
    pub(crate) fn load(&self, address: AbstractValue, size: u8) -> AbstractValue {
        let unknown = AbstractValue::unknown(UnknownReason::Loaded);
        let Some(start) = frame_offset::of_address(address) else { return unknown };
        let size = i64::from(size);
        let index = self.cells.partition_point(|cell| cell.end() <= start);
        match self.cells.get(index) {
            Some(cell) if cell.frame_offset == start && cell.size >= size => {
                let is_whole = cell.size == size;
                let value = if is_whole { cell.value } else { cell.value.zero_extended(size as u32 * 8) };
                value.assuming_in_bounds(address.assumes_in_bounds)
            }
            Some(cell) if cell.frame_offset < start.saturating_add(size) => unknown,
            _ if address.base == Base::Stack
                && start >= 0
                && self.stack_arguments != StackArguments::Unknown =>
            {
                let assumes_in_bounds =
                    address.assumes_in_bounds || self.stack_arguments == StackArguments::MaybeOverwritten;
                match i32::try_from(start) {
                    Ok(offset) => {
                        AbstractValue::at(Base::Argument(offset), 0).assuming_in_bounds(assumes_in_bounds)
                    }
                    Err(_) => unknown,
                }
            }
            _ => unknown,
        }
    }

    /// Writes `size` bytes at an address.
    pub(crate) fn store(&mut self, address: AbstractValue, size: u16, value: AbstractValue) {
        if let Some(Comparison { location: OperandLocation::Stack(..), .. }) = self.comparison {
            self.comparison = None;
        }
        let size = i64::from(size);
        match address.base {
            Base::Stack | Base::Aligned => match frame_offset::of_address(address) {
                Some(start) => self.store_at(start, size, value),
                None => {
                    self.store_in_range(address, size);
                    self.escape(value);
                }
            },
            Base::Register(_) | Base::Argument(_) => {
                self.written.add(ParameterSet::of_base(address.base));
                self.escape(value);
            }
            Base::Dynamic(_) | Base::Heap(_) | Base::Global(_) | Base::Thread | Base::CanaryAddress => {
                self.escape(value);
            }
            Base::Number if address.exact_offset().is_some() => self.escape(value),
            Base::Unknown(_) | Base::Number | Base::Returned(_) | Base::Canary => {
                self.writes_unknown_memory = true;
                self.escape(value);
                self.forget_from(self.escaped_from);
            }
        }
    }

    /// Writes `size` bytes at a frame offset. The value escapes if it is not tracked there.
    fn store_at(&mut self, start: i64, size: i64, value: AbstractValue) {
        let end = start.saturating_add(size);
        let first = self.cells.partition_point(|cell| cell.end() <= start);
        let last = self.cells.partition_point(|cell| cell.frame_offset < end);
        // In the caller's frame, a cell of unknown value says that the argument was overwritten.
        let needs_cell = size <= 8 && size > 0 && (!value.is_unknown() || start >= 0);
        let has_capacity = self.cells.len() - (last - first) < CELLS_MAX;
        if start >= self.escaped_from || (needs_cell && !has_capacity) {
            self.escape(value);
        }
        if needs_cell && has_capacity {
            let cell = StackCell { frame_offset: start, size, value };
            Rc::make_mut(&mut self.cells).splice(first..last, [cell]);
            return;
        }
        if start < i64::MAX && end > 0 {
            self.stack_arguments = StackArguments::Unknown;
        }
        if first < last {
            Rc::make_mut(&mut self.cells).drain(first..last);
        }
    }

    /// Writes `size` bytes somewhere in the range of an address.
    ///
    /// If the address is bounded, all cells in the range become unknown. If not, the store is assumed to stay in the
    /// variable at index 0. Its end is not known, so all cells of the frame at or above index 0 become unknown, which
    /// are more than the variable; cells below index 0 and the caller's frame are kept, but assume accesses in bounds
    /// from now on.
    fn store_in_range(&mut self, address: AbstractValue, size: i64) {
        let bound = |offset: i64| frame_offset::of_base(address.base, offset).unwrap_or(offset);
        let (low, index_zero) = (bound(address.low), bound(address.index_zero));
        let high = if address.high == UNBOUNDED_HIGH {
            UNBOUNDED_HIGH
        } else {
            bound(address.high).saturating_add(size)
        };
        let is_bounded = address.is_bounded();
        let mut overwritten = Vec::new();
        if self.cells.iter().any(|cell| cell.frame_offset < high && cell.end() > low) {
            Rc::make_mut(&mut self.cells).retain_mut(|cell| {
                let is_in_range = cell.frame_offset < high && cell.end() > low;
                let is_assumed = (cell.end() > index_zero && cell.frame_offset < 0) || is_bounded;
                if is_in_range && is_assumed {
                    overwritten.push(cell.value);
                    return false;
                }
                cell.value = cell.value.assuming_in_bounds(is_in_range);
                true
            });
        }
        if high > 0 {
            self.stack_arguments = self.stack_arguments.max(match is_bounded {
                true => StackArguments::Unknown,
                false => StackArguments::MaybeOverwritten,
            });
        }
        for value in overwritten {
            self.escape(value);
        }
    }

    /// Drops the cells from a frame offset on, since unknown code may have written there. Saved registers are assumed
    /// to be intact, and so is the address of the stack arguments, from which an aligned frame restores the stack
    /// pointer. The forgotten values escape, since they may still be there. Stack arguments without a cell become
    /// unknown only if the frame offset is above 0.
    pub(super) fn forget_from(&mut self, from: i64) {
        if self.cells.last().is_some_and(|cell| cell.end() > from) {
            let preserved = self.preserved;
            let is_aligned = self.is_aligned;
            let is_intact = |cell: &StackCell| {
                cell.end() <= from
                    || is_saved_register(preserved, cell.value)
                    || is_aligned && is_argument_address(cell.value)
            };
            let forgotten: Vec<_> =
                self.cells.iter().filter(|cell| !is_intact(cell)).map(|cell| cell.value).collect();
            Rc::make_mut(&mut self.cells).retain(is_intact);
            for value in forgotten {
                self.escape(value);
            }
        }
        // A frame offset above 0 is inside the arguments. From a lower one, arguments without a cell are assumed to be
        // out of reach.
        if from < i64::MAX && from > 0 {
            self.stack_arguments = StackArguments::Unknown;
        }
    }

    /// Drops the cells below a frame offset: the stack pointer, below which a call may write.
    pub(super) fn forget_below(&mut self, end: i64) {
        if self.cells.first().is_some_and(|cell| cell.frame_offset < end) {
            Rc::make_mut(&mut self.cells).retain(|cell| cell.frame_offset >= end);
        }
    }

    /// Whether unknown code may modify the stack at a frame offset.
    pub(crate) fn has_escaped(&self, frame_offset: i64) -> bool {
        frame_offset >= self.escaped_from
    }

    /// Marks a value as escaped: it is stored or used where it is not tracked.
    pub(crate) fn escape(&mut self, value: AbstractValue) {
        if !value.base.escape_matters() {
            return;
        }
        self.captured.add(ParameterSet::of_base(value.base));
        if let Some(start) = frame_offset::of_base(value.base, value.low) {
            self.mark_escaped_from(start);
        }
    }

    /// Marks the stack from a frame offset on as escaped, and the values stored there, transitively.
    pub(super) fn mark_escaped_from(&mut self, start: i64) {
        let mut start = start;
        while start < self.escaped_from {
            let end = self.escaped_from;
            self.escaped_from = start;
            let reachable: Vec<_> = self
                .cells
                .iter()
                .filter(|cell| {
                    cell.frame_offset >= start && cell.frame_offset < end && cell.value.base.escape_matters()
                })
                .map(|cell| cell.value)
                .collect();
            let mut lowest = start;
            for value in reachable.into_iter().filter(|value| !is_saved_register(self.preserved, *value)) {
                self.captured.add(ParameterSet::of_base(value.base));
                lowest = lowest.min(frame_offset::of_base(value.base, value.low).unwrap_or(lowest));
            }
            start = lowest;
        }
    }
}

/// Whether a value is the address after the return address, which is 4 or 8 bytes large.
fn is_argument_address(value: AbstractValue) -> bool {
    value.base == Base::Stack && matches!(value.exact_offset(), Some(4 | 8))
}

/// Whether a value is the content of a callee-saved register at function entry. A slot that holds it saves the
/// register for the caller.
pub(super) fn is_saved_register(preserved: u16, value: AbstractValue) -> bool {
    matches!(value.base, Base::Register(register) if preserved >> register & 1 == 1)
        && value.exact_offset() == Some(0)
}
