//! The symbolic state: the effect of micro-operations on expressions in registers, stack cells and branch bounds.
//!
//! Only what the recovery of jump tables needs is modelled; the result of every other operation is unknown.
//!
//! *Approximation.* Stack cells are tracked as if no pointer aliased them: neither a store through an unrelated pointer
//! nor a call changes them. That is unsound, but a compiler does not let the index or the base of a jump table escape.
//! Memory outside the stack is changed by every store and call; a change starts a new memory epoch, and loads of
//! different epochs differ. Each call makes the registers unknown that the ABI lets it change.
//!
//! Values as wide as an address are expressions without truncation, also in 32-bit code: additions and subtractions
//! need none, and the reader of an address truncates it. Narrower values are extended with zeros where they are read.

use super::comparison::Comparison;
use crate::domains::symbolic::{Bound, ExprArena, ExprId, Expression};
use crate::isa::Abi;
use crate::isa::ops::{
    Condition, Flag, FlagsOf, Op, Operand, Operation, Ops, OtherMemory, Part, Place, Reg, Rest,
};

/// Registers that are tracked: the first of the instruction set.
const REGISTERS: usize = 32;

/// Stack cells and bounds that are tracked at a time; the oldest is dropped first.
const CELLS_MAX: usize = 48;
const BOUNDS_MAX: usize = 16;

/// Constants below this are no addresses: operating systems map nothing there.
const ADDRESS_MIN: u64 = 0x1_0000;

/// Registers, and memory, that were merged at a join point: predecessors disagreed about them. One bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MergedRegisters(u64);

/// The symbolic state before an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SymbolicState {
    registers: [ExprId; REGISTERS],
    cells: Vec<SymbolicCell>,
    /// The comparison that set the flags; `None` if unknown.
    compared: Option<Comparison>,
    /// Bounds from the branch conditions on all paths to the instruction.
    pub(super) bounds: Vec<Bound>,
    /// The memory epoch: loads of the same address and epoch read the same value.
    epoch: u64,
}

/// A value stored on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SymbolicCell {
    address: ExprId,
    size: u8,
    value: ExprId,
}

/// The number of a fresh symbol that arises at an address.
fn symbol_number(address: u64, index: usize) -> u64 {
    address.wrapping_mul(SYMBOLS_PER_ADDRESS).wrapping_add(index as u64)
}

// Symbols of an address: those of registers, of the memory epoch, of registers that are not tracked, and of
// temporaries; then the same for block entries and join points.
const MEMORY: usize = REGISTERS;
const UNTRACKED: usize = MEMORY + 1;
const TEMPORARIES: usize = UNTRACKED + 128;
const ENTRY: usize = 512;
const SYMBOLS_PER_ADDRESS: u64 = 1024;

/// What the evaluation of one instruction needs besides the state.
pub(super) struct Evaluation<'a> {
    pub(super) arena: &'a mut ExprArena,
    pub(super) abi: &'a Abi,
    /// Values of the temporaries; reused.
    pub(super) temporaries: &'a mut Vec<ExprId>,
    /// Address of the instruction, and of the next.
    pub(super) address: u64,
    pub(super) next: u64,
}

impl SymbolicState {
    /// The entry state of a block with unknown predecessors: a fresh symbol for each register and for memory.
    pub(super) fn unknown(address: u64) -> Self {
        let register = |register| ExprId::unknown(symbol_number(address, ENTRY + register));
        Self {
            registers: std::array::from_fn(register),
            cells: Vec::new(),
            compared: None,
            bounds: Vec::new(),
            epoch: symbol_number(address, ENTRY + MEMORY),
        }
    }

    /// Whether the symbol with a number is that of a block entry, rather than one that an instruction made.
    pub(super) fn is_entry_symbol(number: u64) -> bool {
        number % SYMBOLS_PER_ADDRESS >= ENTRY as u64
    }

    /// Whether the symbol with a number is the stack pointer or the frame pointer of a block entry.
    pub(super) fn is_stack_symbol(number: u64, abi: &Abi) -> bool {
        let register = (number % SYMBOLS_PER_ADDRESS).wrapping_sub(ENTRY as u64);
        [abi.stack_pointer, abi.frame_pointer].iter().any(|own| u64::from(own.0) == register)
    }

    /// Joins with the state from another predecessor of the block at `address`. A register on which they disagree
    /// becomes the entry symbol of that block, and is added to `merged`; the symbol is bounded if both values are.
    pub(super) fn join(&mut self, other: &Self, merged: &mut MergedRegisters, address: u64) {
        let bound_of = |bounds: &[Bound], value: ExprId| {
            bounds.iter().find(|bound| bound.value == value).map(|bound| bound.maximum)
        };
        let mut merged_bounds = Vec::new();
        for (register, (own, others)) in self.registers.iter_mut().zip(&other.registers).enumerate() {
            if own != others {
                merged.0 |= 1 << register;
                let maxima = bound_of(&self.bounds, *own).zip(bound_of(&other.bounds, *others));
                *own = ExprId::unknown(symbol_number(address, ENTRY + register));
                merged_bounds
                    .extend(maxima.map(|(one, other)| Bound { value: *own, maximum: one.max(other) }));
            }
        }
        if self.epoch != other.epoch {
            self.epoch = symbol_number(address, ENTRY + MEMORY);
            merged.0 |= 1 << MEMORY;
        }
        self.cells.retain(|cell| other.cells.contains(cell));
        self.bounds.retain(|bound| other.bounds.contains(bound));
        for bound in merged_bounds {
            self.add_bound(bound);
        }
        self.compared = self.compared.filter(|_| self.compared == other.compared);
    }

    /// Sets the registers that were ever merged at the block at `address` to its entry symbols.
    pub(super) fn forget_merged(&mut self, merged: MergedRegisters, address: u64) {
        for register in (0..REGISTERS).filter(|register| merged.0 >> register & 1 == 1) {
            let symbol = ExprId::unknown(symbol_number(address, ENTRY + register));
            let value = std::mem::replace(&mut self.registers[register], symbol);
            if let Some(bound) = self.bounds.iter().find(|bound| bound.value == value).copied() {
                self.add_bound(Bound { value: symbol, ..bound });
            }
        }
        if merged.0 >> MEMORY & 1 == 1 {
            self.epoch = symbol_number(address, ENTRY + MEMORY);
        }
    }

    /// Applies an instruction; the target, if it jumps, calls or returns.
    pub(super) fn step(&mut self, ops: &Ops, evaluation: &mut Evaluation<'_>) -> Option<ExprId> {
        let unknown = |index| ExprId::unknown(symbol_number(evaluation.address, TEMPORARIES + index));
        evaluation.temporaries.clear();
        evaluation.temporaries.extend((0..ops.temporaries().len()).map(unknown));
        let mut target = None;
        for op in ops.as_slice() {
            if matches!(op.operation, Operation::Jump | Operation::Call | Operation::Return) {
                target = Some(self.read(op.inputs[0], evaluation));
            }
            self.step_op(op, ops, evaluation);
        }
        target
    }

    fn step_op(&mut self, op: &Op, ops: &Ops, evaluation: &mut Evaluation<'_>) {
        let [a, b, c, _] = op.inputs;
        match op.operation {
            Operation::Flags(of) => {
                let is_difference = of == FlagsOf::Subtract && op.guard.is_none() && op.bits <= 64;
                let is_whole = matches!(op.place, Place::Flags(flags) if flags.contains(Flag::Carry));
                let (one, other) = (self.read(a, evaluation), self.read(b, evaluation));
                self.compared = match self.compared.filter(|_| is_difference && is_whole) {
                    _ if !is_difference || !is_whole => None,
                    _ if c == Operand::None => {
                        Some(Comparison { one, other, bits: op.bits as u8, high: None })
                    }
                    Some(low) if low.high.is_none() && u16::from(low.bits) == op.bits => {
                        Some(Comparison { high: Some((one, other)), ..low })
                    }
                    _ => None,
                };
                return;
            }
            Operation::Store | Operation::StoreLanes => return self.store_op(op, evaluation),
            Operation::Call => return self.call(a, evaluation),
            Operation::Service => return self.forget_register(evaluation.abi.result, evaluation.address),
            Operation::CopyElements | Operation::FillElements => {
                let (address, unknown) = (self.read(a, evaluation), Self::unknown_result(op, evaluation));
                self.store(evaluation, address, op.bits, unknown);
                return;
            }
            Operation::Atomic(_) | Operation::AtomicCompareExchange | Operation::StoreExclusive => {
                let (address, unknown) = (self.read(a, evaluation), Self::unknown_result(op, evaluation));
                self.store(evaluation, address, op.bits, unknown);
            }
            Operation::Opaque { memory: OtherMemory::ReadsAndWrites, .. } => {
                self.epoch = symbol_number(evaluation.address, MEMORY);
            }
            _ => {}
        }
        let value = match op.guard {
            None if op.lanes == 1 && op.bits <= 64 => self.value(op, evaluation),
            _ => None,
        };
        Self::note_small_number(op, evaluation);
        for (index, place) in ops.places(op).iter().enumerate() {
            let value = value.filter(|_| index == 0);
            self.write(*place, value, evaluation);
        }
    }

    /// Notes the number of the symbol that a register gets in place of a small constant.
    fn note_small_number(op: &Op, evaluation: &mut Evaluation<'_>) {
        let (Operation::Copy, Operand::Constant(number, _), Place::Register(register, part, rest)) =
            (op.operation, op.inputs[0], op.place)
        else {
            return;
        };
        let is_whole = part.bits >= evaluation.abi.address_bits || rest == Rest::Zeroed;
        if op.guard.is_none() && part.low == 0 && is_whole && is_small(op.inputs[0]) {
            let symbol = ExprId::unknown(symbol_number(evaluation.address, usize::from(register.0)));
            evaluation.arena.set_symbol_number(symbol, number);
        }
    }

    /// The value of an operation that is modelled; `None` for others.
    fn value(&self, op: &Op, evaluation: &mut Evaluation<'_>) -> Option<ExprId> {
        let [a, b, c, _] = op.inputs;
        match op.operation {
            // Predecessors may still be missing, so a small constant must not be taken for the index: only constants
            // that can be addresses are kept.
            Operation::Copy if is_small(a) => None,
            Operation::Copy | Operation::ZeroExtend | Operation::Address => Some(self.read(a, evaluation)),
            Operation::SignExtend => {
                let value = self.read(a, evaluation);
                Some(evaluation.arena.sign_extended(value, a.bits() as u8))
            }
            // One bit.
            Operation::Condition(_) => {
                let unknown = Self::unknown_result(op, evaluation);
                Some(evaluation.arena.zero_extended(unknown, 1))
            }
            Operation::Add if c == Operand::None => {
                let (a, b) = (self.read(a, evaluation), self.read(b, evaluation));
                Some(evaluation.arena.sum(a, b))
            }
            Operation::Subtract if c == Operand::None => {
                let (a, b) = (self.read(a, evaluation), self.read(b, evaluation));
                match evaluation.arena.number(b) {
                    Some(number) => Some(evaluation.arena.offset(a, number.wrapping_neg())),
                    None => {
                        let negated = evaluation.arena.negated(b);
                        Some(evaluation.arena.sum(a, negated))
                    }
                }
            }
            Operation::AddScaled(shift) => {
                let (a, b) = (self.read(a, evaluation), self.read(b, evaluation));
                let scaled = evaluation.arena.scaled(b, shift);
                Some(evaluation.arena.sum(a, scaled))
            }
            Operation::ShiftLeft => {
                let (a, b) = (self.read(a, evaluation), self.read(b, evaluation));
                let shift = u8::try_from(evaluation.arena.number(b)?).ok()?;
                Some(evaluation.arena.scaled(a, shift))
            }
            Operation::ShiftRight | Operation::ShiftRightSigned => {
                let (value, count) = (self.read(a, evaluation), self.read(b, evaluation));
                let count = u8::try_from(evaluation.arena.number(count)?).ok()?;
                // The sign bit must be clear for copies of it to be zeros; the value must be no wider than the operation.
                let width = u16::from(evaluation.arena.width(value));
                let is_whole = width < op.bits || op.operation == Operation::ShiftRight && width == op.bits;
                is_whole.then(|| evaluation.arena.shifted_right(value, count))
            }
            Operation::And => {
                let (a, b) = (self.read(a, evaluation), self.read(b, evaluation));
                let (value, mask) = match (evaluation.arena.number(a), evaluation.arena.number(b)) {
                    (_, Some(mask)) => (a, mask),
                    (Some(mask), None) => (b, mask),
                    (None, None) => return None,
                };
                Some(evaluation.arena.masked(value, mask))
            }
            Operation::Load => {
                let address = self.read(a, evaluation);
                Some(self.load(evaluation.arena, address, op.bits))
            }
            _ => None,
        }
    }

    /// The unknown result of an op: the symbol of its temporary, or one of its own.
    fn unknown_result(op: &Op, evaluation: &Evaluation<'_>) -> ExprId {
        match op.place {
            Place::Temporary(index, _) => evaluation.temporaries[usize::from(index)],
            _ => ExprId::unknown(symbol_number(evaluation.address, UNTRACKED - 1)),
        }
    }

    /// An operand, extended with zeros; a constant as wide as an address, with its sign.
    fn read(&self, operand: Operand, evaluation: &mut Evaluation<'_>) -> ExprId {
        let arena = &mut *evaluation.arena;
        let address_bits = evaluation.abi.address_bits;
        let part_of = |arena: &mut ExprArena, whole: ExprId, part: Part, unknown: ExprId| match part {
            Part { low: 0, bits } if bits >= address_bits => whole,
            Part { low: 0, bits } => arena.zero_extended(whole, bits as u8),
            _ => unknown,
        };
        let untracked = |register: Reg| {
            ExprId::unknown(symbol_number(evaluation.address, UNTRACKED + usize::from(register.0)))
        };
        match operand {
            Operand::Constant(number, bits) if bits >= address_bits && bits < 64 => {
                let unused = 64 - u32::from(bits);
                arena.constant(((number << unused) as i64 >> unused) as u64)
            }
            Operand::Constant(number, _) | Operand::Address(number, _) => arena.constant(number),
            Operand::Register(register, part) => match self.registers.get(usize::from(register.0)) {
                Some(whole) => part_of(arena, *whole, part, untracked(register)),
                None => untracked(register),
            },
            Operand::Temporary(index, part) => {
                let whole = evaluation.temporaries[usize::from(index)];
                let other = symbol_number(evaluation.address, UNTRACKED + 127);
                part_of(arena, whole, part, ExprId::unknown(other))
            }
            Operand::Flag(_) | Operand::None => {
                ExprId::unknown(symbol_number(evaluation.address, UNTRACKED + 126))
            }
        }
    }

    /// Writes a value, or `None` for an unknown one.
    fn write(&mut self, place: Place, value: Option<ExprId>, evaluation: &mut Evaluation<'_>) {
        match place {
            Place::Temporary(index, _) => {
                if let Some(value) = value {
                    evaluation.temporaries[usize::from(index)] = value;
                }
            }
            Place::Register(register, part, rest) => {
                let index = usize::from(register.0);
                let Some(own) = self.registers.get_mut(index) else { return };
                let is_whole = part.bits >= evaluation.abi.address_bits;
                // The bits above a small part are zeros if they were.
                let is_small = evaluation.arena.known_number(*own).is_some_and(|number| number == 0);
                *own = match value {
                    Some(value) if part.low == 0 && is_whole => value,
                    Some(value) if part.low == 0 && (rest == Rest::Zeroed || is_small) => {
                        evaluation.arena.zero_extended(value, part.bits as u8)
                    }
                    Some(value) if part.low == 0 => evaluation.arena.low_bits(value, part.bits as u8),
                    _ => ExprId::unknown(symbol_number(evaluation.address, index)),
                };
            }
            Place::Flag(_) | Place::Flags(_) => self.compared = None,
            Place::None => {}
        }
    }

    fn forget_register(&mut self, register: Reg, address: u64) {
        let index = usize::from(register.0);
        if let Some(own) = self.registers.get_mut(index) {
            *own = ExprId::unknown(symbol_number(address, index));
        }
    }

    /// Applies a call: the callee preserves stack cells of its caller and callee-saved registers, and removes its return address. A
    /// call of the next instruction only pushes its address.
    fn call(&mut self, target: Operand, evaluation: &mut Evaluation<'_>) {
        if matches!(target, Operand::Address(target, _) if target == evaluation.next) {
            return;
        }
        for register in evaluation.abi.clobbered.iter() {
            self.forget_register(register, evaluation.address);
        }
        let stack_pointer = usize::from(evaluation.abi.stack_pointer.0);
        if evaluation.abi.is_return_address_pushed {
            let size = u64::from(evaluation.abi.address_bits / 8);
            self.registers[stack_pointer] = evaluation.arena.offset(self.registers[stack_pointer], size);
        }
        // What is below the stack pointer is the callee's, as the return address was.
        let arena = &*evaluation.arena;
        let (base, end) = base_and_offset(arena, self.registers[stack_pointer]);
        self.cells.retain(|cell| {
            let (own, offset) = base_and_offset(arena, cell.address);
            own != base || offset.wrapping_sub(end) as i64 >= 0
        });
        self.epoch = symbol_number(evaluation.address, MEMORY);
        self.compared = None;
    }

    /// Sets a register to a known address.
    pub(super) fn set_register(&mut self, arena: &mut ExprArena, register: Reg, address: u64) {
        self.registers[usize::from(register.0)] = arena.constant(address);
    }

    /// Sets the registers that hold a value to a known address.
    pub(super) fn set_value(&mut self, arena: &mut ExprArena, value: ExprId, address: u64) {
        let address = arena.constant(address);
        self.registers.iter_mut().filter(|own| **own == value).for_each(|own| *own = address);
    }

    /// Assumes that a conditional jump is or is not taken: adds the bound that follows from its condition.
    pub(super) fn assume_branch(&mut self, arena: &ExprArena, condition: Condition, is_taken: bool) {
        let Some(compared) = self.compared else { return };
        let is_true = is_taken != condition.is_negated;
        let Some(bound) = compared.bound(arena, condition.predicate, is_true) else { return };
        self.add_bound(bound);
    }

    /// Adds a bound, in place of another of the same value.
    fn add_bound(&mut self, bound: Bound) {
        self.bounds.retain(|other| other.value != bound.value);
        if self.bounds.len() == BOUNDS_MAX {
            self.bounds.remove(0);
        }
        self.bounds.push(bound);
    }

    fn load(&self, arena: &mut ExprArena, address: ExprId, bits: u16) -> ExprId {
        let size = (bits / 8).min(64) as u8;
        match self.cells.iter().find(|cell| cell.address == address && cell.size >= size) {
            Some(cell) if size <= 8 && size > 0 => arena.zero_extended(cell.value, size * 8),
            _ => arena.load(address, size, self.epoch),
        }
    }

    fn store_op(&mut self, op: &Op, evaluation: &mut Evaluation<'_>) {
        let address = self.read(op.inputs[0], evaluation);
        let value = match is_small(op.inputs[1]) {
            true => Self::unknown_result(op, evaluation),
            false => self.read(op.inputs[1], evaluation),
        };
        self.store(evaluation, address, op.width(), value);
    }

    fn store(&mut self, evaluation: &mut Evaluation<'_>, address: ExprId, bits: u16, value: ExprId) {
        let arena = &mut *evaluation.arena;
        if !self.is_on_stack(arena, evaluation.abi, address) {
            self.epoch = symbol_number(evaluation.address, MEMORY);
            return;
        }
        let size = (bits / 8).min(64) as u8;
        self.cells.retain(|cell| {
            let (own, new) = (base_and_offset(arena, cell.address), base_and_offset(arena, address));
            own.0 != new.0
                || own.1.wrapping_sub(new.1) as i64 >= i64::from(size)
                || new.1.wrapping_sub(own.1) as i64 >= i64::from(cell.size)
        });
        if self.cells.len() == CELLS_MAX {
            self.cells.remove(0);
        }
        if size <= 8 && size > 0 {
            let value = arena.zero_extended(value, size * 8);
            self.cells.push(SymbolicCell { address, size, value });
        }
    }

    /// Whether an address is an offset from what the stack or frame pointer is an offset from.
    fn is_on_stack(&self, arena: &ExprArena, abi: &Abi, address: ExprId) -> bool {
        let (base, _) = base_and_offset(arena, address);
        [abi.stack_pointer, abi.frame_pointer]
            .iter()
            .any(|register| base_and_offset(arena, self.registers[usize::from(register.0)]).0 == base)
    }
}

/// An expression as a base and an offset.
fn base_and_offset(arena: &ExprArena, value: ExprId) -> (ExprId, u64) {
    match arena.get(value) {
        Expression::Offset(base, offset) => (base, offset),
        _ => (value, 0),
    }
}

/// Whether an operand is a constant that is too small for an address.
fn is_small(operand: Operand) -> bool {
    matches!(operand, Operand::Constant(number, _) if number < ADDRESS_MIN)
}
