//! The values of operands and of operations.

use super::evaluation::{Interpreter, UNKNOWN};
use super::instruction::is_general;
use crate::domains::{AbstractState, AbstractValue, Base, OperandLocation, UNBOUNDED_HIGH, frame_offset};
use crate::isa::ops::{Flag, Op, Operand, Operation, Part};
use binframe_ir::tables::UnknownReason;

const LOADED: AbstractValue = AbstractValue::unknown(UnknownReason::Loaded);

/// The lowest number that is treated as an address: operating systems map nothing below it.
const ADDRESS_MIN: u64 = 0x1_0000;

impl Interpreter<'_> {
    fn is_address_wide(&self, bits: u16) -> bool {
        bits >= self.abi.address_bits
    }

    /// The low bits of a value, which may be wider: extended with zeros, unless they are as wide as an address.
    pub(super) fn low_bits(&self, value: AbstractValue, bits: u16) -> AbstractValue {
        match bits {
            64.. => value,
            bits if self.is_address_wide(bits) && value.base != Base::Number => value,
            bits => value.zero_extended(u32::from(bits)),
        }
    }

    /// The value of an operand.
    pub(super) fn read(&self, state: &AbstractState, operand: Operand) -> AbstractValue {
        let part_of = |whole: AbstractValue, part: Part| match part {
            Part { low: 0, bits } if self.is_address_wide(bits) => whole,
            Part { low: 0, bits } => whole.zero_extended(u32::from(bits)),
            Part { bits, .. } if bits < self.abi.address_bits => AbstractValue::unsigned(u32::from(bits)),
            _ => UNKNOWN,
        };
        match operand {
            Operand::Constant(number, bits) if self.is_address_wide(bits) && bits < 64 => {
                let unused = 64 - u32::from(bits);
                AbstractValue::number((number << unused) as i64 >> unused)
            }
            Operand::Constant(number, _) => AbstractValue::number(number as i64),
            Operand::Address(address, _) => AbstractValue::at(Base::Global(address), 0),
            Operand::Register(register, part) if is_general(register) => {
                let whole = part_of(state.register(register.0), part);
                // A number may be wider than an address.
                let is_narrow = whole.base == Base::Number && part.bits < self.abi.register_bits;
                if is_narrow { whole.zero_extended(u32::from(part.bits)) } else { whole }
            }
            Operand::Register(register, _) if self.abi.thread_bases.contains(register) => {
                AbstractValue::at(Base::Thread, 0)
            }
            Operand::Temporary(index, part) => part_of(self.temporaries[usize::from(index)].value, part),
            Operand::Flag(Flag::Direction) if !self.may_run_backwards => AbstractValue::number(0),
            Operand::Flag(_) => AbstractValue::between(0, 1),
            Operand::Register(..) | Operand::None => UNKNOWN,
        }
    }

    /// An operand that is an address.
    pub(super) fn read_address(&self, state: &AbstractState, operand: Operand) -> AbstractValue {
        let value = self.read(state, operand);
        let is_narrow = value.base == Base::Number && self.abi.address_bits < 64;
        if is_narrow { value.zero_extended(u32::from(self.abi.address_bits)) } else { value }
    }

    /// The value that an op computes in the state before the instruction.
    pub(super) fn value(&self, state: &AbstractState, op: &Op) -> AbstractValue {
        if op.lanes > 1 {
            return if op.operation == Operation::Load { LOADED } else { UNKNOWN };
        }
        let [a, b, c, _] = op.inputs;
        let read = |operand| self.read(state, operand);
        match op.operation {
            Operation::Copy | Operation::Address | Operation::ZeroExtend | Operation::Truncate => read(a),
            Operation::SignExtend => read(a).sign_extended(u32::from(a.bits())),
            Operation::Add if c == Operand::None => self.sum(read(a), read(b)),
            Operation::Subtract if c == Operand::None && a == b => AbstractValue::number(0),
            Operation::Subtract if c == Operand::None => read(a).difference(read(b)),
            Operation::AddScaled(shift) => self.sum(read(a), read(b).scaled(1 << shift)),
            Operation::And => self.conjunction(state, a, read(a), read(b), op.bits),
            Operation::Or | Operation::Xor => disjunction(op.operation, read(a), read(b), op.bits),
            Operation::Multiply => product(read(a), read(b), op.bits),
            Operation::ShiftLeft | Operation::ShiftRight | Operation::ShiftRightSigned => {
                match read(b).constant() {
                    Some(count) if (0..64).contains(&count) => shifted(op, read(a), count as u32),
                    _ => self.unsigned(op.bits),
                }
            }
            Operation::Select => match read(a).constant() {
                Some(0) => read(c),
                Some(_) => read(b),
                None => read(c).join(read(b)),
            },
            Operation::Compare(_) | Operation::Condition(_) | Operation::AddCarry => {
                AbstractValue::between(0, 1)
            }
            Operation::CountLeadingZeros | Operation::CountTrailingZeros | Operation::CountOnes => {
                AbstractValue::between(0, i64::from(op.bits))
            }
            Operation::Load => self.load(state, op),
            Operation::Atomic(_) | Operation::AtomicCompareExchange | Operation::LoadExclusive => {
                self.low_bits(LOADED, op.bits)
            }
            Operation::CompareElements { .. } | Operation::ScanElements { .. } => {
                AbstractValue::between(0, element_count(read(c)).high)
            }
            _ => self.unsigned(op.bits),
        }
    }

    /// An unknown value of the given width.
    fn unsigned(&self, bits: u16) -> AbstractValue {
        if self.is_address_wide(bits) { UNKNOWN } else { AbstractValue::unsigned(u32::from(bits)) }
    }

    fn load(&self, state: &AbstractState, op: &Op) -> AbstractValue {
        let address = self.read_address(state, op.inputs[0]);
        if self.is_canary(address) {
            return AbstractValue::at(Base::Canary, 0);
        }
        if address.address().is_some_and(|address| self.image.canaries.is_pointer(address)) {
            return AbstractValue::at(Base::CanaryAddress, 0);
        }
        match op.bits {
            8..=64 => self.low_bits(state.load(address, (op.bits / 8) as u8), op.bits),
            _ => LOADED,
        }
    }

    /// Whether the stack canary is at an address.
    fn is_canary(&self, address: AbstractValue) -> bool {
        match address.base {
            Base::Thread => {
                self.abi.canary_offset.is_some_and(|offset| address.exact_offset() == Some(offset))
            }
            Base::CanaryAddress => address.exact_offset() == Some(0),
            _ => address.address().is_some_and(|address| self.image.canaries.is_variable(address)),
        }
    }

    /// Where an op loads from, if a comparison with its result can refine that: up to 8 bytes at a known frame offset.
    pub(super) fn loaded_from(&self, state: &AbstractState, op: &Op) -> Option<OperandLocation> {
        let is_load = op.operation == Operation::Load && (8..=64).contains(&op.bits);
        let address = is_load.then(|| self.read_address(state, op.inputs[0]))?;
        frame_offset::of_address(address).map(|start| OperandLocation::Stack(start, (op.bits / 8) as u8))
    }

    /// A sum in an address computation. A constant that is an address of the binary becomes the base if an index is
    /// added to it. If the other operand is unknown, it is assumed to be an index within the array at that address. A
    /// sum with the base of thread-local storage stays there.
    fn sum(&self, one: AbstractValue, other: AbstractValue) -> AbstractValue {
        let global = |value: AbstractValue, index: AbstractValue| {
            let is_index =
                index.is_unknown() || (index.base == Base::Number && index.exact_offset().is_none());
            let address = value.constant().filter(|_| is_index)? as u64;
            let start =
                AbstractValue::at(Base::Global(address), 0).assuming_in_bounds(value.assumes_in_bounds);
            (address >= ADDRESS_MIN && self.image.is_fixed_address(address)).then(|| {
                match index.is_unknown() {
                    true => AbstractValue::unbounded(Base::Global(address), 0).assuming_in_bounds(true),
                    false => start.sum(index),
                }
            })
        };
        if one.base == Base::Thread && other.base != Base::Number {
            return AbstractValue::unbounded(Base::Thread, 0);
        }
        global(one, other).or_else(|| global(other, one)).unwrap_or_else(|| one.sum(other))
    }

    /// `a & b`. A mask that clears low bits of an address aligns it; any other result is not an address.
    fn conjunction(
        &self,
        state: &AbstractState,
        operand: Operand,
        a: AbstractValue,
        b: AbstractValue,
        bits: u16,
    ) -> AbstractValue {
        if a.is_unknown() || a.base == Base::Number {
            return masked(a, b, bits);
        }
        let Some(mask) = b.sign_extended(u32::from(bits)).constant() else { return UNKNOWN };
        let size = mask.unsigned_abs();
        if mask >= 0 {
            return AbstractValue::between(0, mask);
        }
        if !size.is_power_of_two() || size > 1 << 32 {
            return UNKNOWN;
        }
        // The first alignment of the stack pointer: the frame below is relative to the aligned stack pointer.
        let is_stack_pointer =
            matches!(operand, Operand::Register(register, _) if register == self.abi.stack_pointer);
        if is_stack_pointer && a.base == Base::Stack && !state.is_aligned && a.exact_offset().is_some() {
            return AbstractValue::at(Base::Aligned, 0);
        }
        a.sum(AbstractValue::between(-(size as i64 - 1), 0))
    }
}

/// How many elements a string instruction accesses, given its counter.
pub(super) fn element_count(counter: AbstractValue) -> AbstractValue {
    match counter.base {
        Base::Number if counter.low >= 0 => counter,
        _ => AbstractValue::between(0, UNBOUNDED_HIGH),
    }
}

fn product(one: AbstractValue, other: AbstractValue, bits: u16) -> AbstractValue {
    match (one.constant(), other.sign_extended(u32::from(bits)).constant()) {
        (_, Some(factor)) => one.scaled(factor),
        (Some(factor), _) => other.scaled(factor),
        _ => AbstractValue::unbounded(Base::Number, 0),
    }
}

fn shifted(op: &Op, old: AbstractValue, count: u32) -> AbstractValue {
    let bits = u32::from(op.bits);
    let is_positive = old.base == Base::Number && old.low >= 0;
    match op.operation {
        Operation::ShiftLeft if count < 63 => old.scaled(1 << count),
        Operation::ShiftRight if is_positive && old.high != UNBOUNDED_HIGH => {
            AbstractValue::between(old.low >> count, old.high >> count)
        }
        Operation::ShiftRight => AbstractValue::unsigned(bits.saturating_sub(count)),
        Operation::ShiftRightSigned if old.base == Base::Number => {
            let signed = old.sign_extended(bits);
            match signed.is_bounded() {
                true => AbstractValue::between(signed.low >> count, signed.high >> count),
                false => AbstractValue::unbounded(Base::Number, 0),
            }
        }
        _ => AbstractValue::unbounded(Base::Number, 0),
    }
}

/// The bounds of a number that has some.
fn bounded(value: AbstractValue) -> Option<AbstractValue> {
    Some(value).filter(|value| value.base == Base::Number && value.low >= 0 && value.high != UNBOUNDED_HIGH)
}

/// `a & b` of numbers of `bits` bits.
fn masked(a: AbstractValue, b: AbstractValue, bits: u16) -> AbstractValue {
    let highest = [a, b].into_iter().filter_map(bounded).map(|value| value.high).min();
    let mask = b.constant().or_else(|| a.constant());
    let Some(high) = highest else { return AbstractValue::unsigned(u32::from(bits)) };
    let stride = mask.filter(|mask| *mask > 0).map_or(1, |mask| 1_u32 << mask.trailing_zeros().min(30));
    let high = mask.filter(|mask| *mask >= 0).map_or(high, |mask| mask & all_ones(high));
    match high {
        0 => AbstractValue::number(0),
        high => AbstractValue { stride, ..AbstractValue::between(0, high) },
    }
}

/// `a | b` or `a ^ b` of numbers of `bits` bits.
fn disjunction(operation: Operation, a: AbstractValue, b: AbstractValue, bits: u16) -> AbstractValue {
    if operation == Operation::Or && b.sign_extended(u32::from(bits)).constant() == Some(-1) {
        return AbstractValue::number(-1).zero_extended(u32::from(bits));
    }
    if operation == Operation::Xor && (is_mixed_canary(a, b) || is_mixed_canary(b, a)) {
        return AbstractValue::at(Base::Canary, 0);
    }
    match (bounded(a), bounded(b)) {
        (Some(a), Some(b)) => AbstractValue::between(0, all_ones(a.high | b.high)),
        _ => AbstractValue::unsigned(u32::from(bits)),
    }
}

/// Whether the exclusive or of two values is a canary: Microsoft's compiler mixes a number in memory with the stack
/// pointer or frame pointer, which is done for nothing else.
fn is_mixed_canary(number: AbstractValue, pointer: AbstractValue) -> bool {
    let is_pointer = matches!(pointer.base, Base::Stack | Base::Aligned | Base::Dynamic(_));
    let is_number = matches!(number.base, Base::Canary | Base::Unknown(UnknownReason::Loaded));
    is_pointer && is_number && pointer.exact_offset().is_some()
}

/// The number with all bits set up to the highest one set in `number`; 0 if that is not positive.
fn all_ones(number: i64) -> i64 {
    match number {
        ..1 => 0,
        number => i64::MAX >> (number.leading_zeros() - 1),
    }
}
