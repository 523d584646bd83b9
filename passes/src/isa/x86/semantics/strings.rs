//! String instructions: elements of memory at `rsi` and `rdi`, one or, with a prefix, as many as `rcx` says.

use super::super::registers::{general, width};
use super::emitter::{ARITHMETIC, Emitter, constant, flag, low, low_place};
use crate::isa::ops::{Comparison, Flag, FlagsOf, Operand, Operation, Place, Reg};

const SOURCE: Reg = general(6);
const DESTINATION: Reg = general(7);
const COUNTER: Reg = general(1);

/// What a string instruction works on.
struct Elements {
    /// Width of an element.
    bits: u16,
    /// Width of addresses and of the counter.
    address_bits: u16,
    /// How many at most; `None` without a prefix.
    count: Option<Operand>,
}

/// The elements of an instruction whose operand `memory` is at `rsi` or `rdi`.
fn elements(e: &Emitter<'_>, memory: u32) -> Elements {
    let address_bits = match e.instruction.op_kind(memory) {
        iced_x86::OpKind::MemorySegSI | iced_x86::OpKind::MemorySegDI | iced_x86::OpKind::MemoryESDI => 16,
        iced_x86::OpKind::MemorySegESI | iced_x86::OpKind::MemorySegEDI | iced_x86::OpKind::MemoryESEDI => 32,
        _ => 64,
    };
    let is_repeated = e.instruction.has_rep_prefix() || e.instruction.has_repne_prefix();
    Elements { bits: e.bits(memory), address_bits, count: is_repeated.then(|| low(COUNTER, address_bits)) }
}

/// Moves `rsi` or `rdi` by `count` elements in the direction of the flag.
fn advance(e: &mut Emitter<'_>, register: Reg, elements: &Elements, count: Option<Operand>) {
    let bits = elements.address_bits;
    let size = constant(u64::from(elements.bits / 8), bits);
    let size = match count {
        Some(count) => e.make(Operation::Multiply, bits, &[count, size]),
        None => size,
    };
    let back = e.make(Operation::Negate, bits, &[size]);
    let step = e.make(Operation::Select, bits, &[flag(Flag::Direction), back, size]);
    e.set(low_place(register, bits), Operation::Add, bits, &[low(register, bits), step]);
}

/// Subtracts the elements that are done from the counter. Nothing is written if there were none: a 32-bit counter keeps
/// its high half.
fn count_down(e: &mut Emitter<'_>, elements: &Elements, done: Operand) {
    let bits = elements.address_bits;
    e.set(low_place(COUNTER, bits), Operation::Subtract, bits, &[low(COUNTER, bits), done]);
}

/// Whether addresses are narrower than registers: then registers are written only if there are elements, which has no
/// form here.
fn is_narrow(e: &Emitter<'_>, elements: &Elements) -> bool {
    elements.address_bits != e.mode_bits() || elements.address_bits > width(SOURCE)
}

/// `movs`.
pub(super) fn copy(e: &mut Emitter<'_>) -> bool {
    let elements = elements(e, 0);
    if is_narrow(e, &elements) {
        return false;
    }
    let (to, from) = (e.address(0), e.address(1));
    match elements.count {
        Some(count) => {
            let inputs = [to, from, count, flag(Flag::Direction)];
            e.push(Operation::CopyElements, elements.bits, 1, Place::None, &inputs);
        }
        None => {
            let value = e.make(Operation::Load, elements.bits, &[from]);
            e.store(to, value, elements.bits);
        }
    }
    advance(e, SOURCE, &elements, elements.count);
    advance(e, DESTINATION, &elements, elements.count);
    if let Some(count) = elements.count {
        count_down(e, &elements, count);
    }
    true
}

/// `stos`.
pub(super) fn fill(e: &mut Emitter<'_>) -> bool {
    let elements = elements(e, 0);
    if is_narrow(e, &elements) {
        return false;
    }
    let (to, value) = (e.address(0), e.general(0, elements.bits));
    match elements.count {
        Some(count) => {
            let inputs = [to, value, count, flag(Flag::Direction)];
            e.push(Operation::FillElements, elements.bits, 1, Place::None, &inputs);
        }
        None => e.store(to, value, elements.bits),
    }
    advance(e, DESTINATION, &elements, elements.count);
    if let Some(count) = elements.count {
        count_down(e, &elements, count);
    }
    true
}

/// `lods` without a prefix.
pub(super) fn load(e: &mut Emitter<'_>) -> bool {
    let elements = elements(e, 1);
    if is_narrow(e, &elements) || elements.count.is_some() {
        return false;
    }
    let from = e.address(1);
    let value = e.make(Operation::Load, elements.bits, &[from]);
    e.set_general(0, value);
    advance(e, SOURCE, &elements, None);
    true
}

/// `cmps`, `scas`. Repeated, they end at the first pair that is unequal (`repe`) or equal (`repne`); the flags are those
/// of the last comparison.
pub(super) fn compare(e: &mut Emitter<'_>, is_scan: bool) -> bool {
    let memory = u32::from(is_scan);
    let elements = elements(e, memory);
    if is_narrow(e, &elements) {
        return false;
    }
    let bits = elements.bits;
    let (first, second) = match is_scan {
        true => (None, e.address(1)),
        false => (Some(e.address(0)), e.address(1)),
    };
    let accumulator = e.general(0, bits);
    let Some(count) = elements.count else {
        let a = match first {
            Some(address) => e.make(Operation::Load, bits, &[address]),
            None => accumulator,
        };
        let b = e.make(Operation::Load, bits, &[second]);
        e.flags(ARITHMETIC, FlagsOf::Subtract, bits, &[a, b]);
        if first.is_some() {
            advance(e, SOURCE, &elements, None);
        }
        advance(e, DESTINATION, &elements, None);
        return true;
    };
    let until_equal = e.instruction.has_repne_prefix();
    let wide = elements.address_bits;
    let done = match first {
        Some(first) => {
            let inputs = [first, second, count, flag(Flag::Direction)];
            e.make(Operation::CompareElements { until_equal }, bits, &inputs)
        }
        None => {
            let inputs = [second, accumulator, count, flag(Flag::Direction)];
            e.make(Operation::ScanElements { until_equal }, bits, &inputs)
        }
    };
    debug_assert_eq!(done.bits(), wide, "the number of elements has the width of the counter");
    let is_some = e.compare(Comparison::Unequal, done, constant(0, wide));
    // The last pair, once more.
    let before = e.make(Operation::Subtract, wide, &[done, constant(1, wide)]);
    let size = constant(u64::from(bits / 8), wide);
    let distance = e.make(Operation::Multiply, wide, &[before, size]);
    let back = e.make(Operation::Negate, wide, &[distance]);
    let step = e.make(Operation::Select, wide, &[flag(Flag::Direction), back, distance]);
    let last = |e: &mut Emitter<'_>, address: Operand| {
        let address = e.make(Operation::Add, wide, &[address, step]);
        let (value, place) = e.temporary(bits);
        e.guarded(is_some, |e| e.set(place, Operation::Load, bits, &[address]));
        value
    };
    let a = match first {
        Some(address) => last(e, address),
        None => accumulator,
    };
    let b = last(e, second);
    e.guarded(is_some, |e| e.flags(ARITHMETIC, FlagsOf::Subtract, bits, &[a, b]));
    if first.is_some() {
        advance(e, SOURCE, &elements, Some(done));
    }
    advance(e, DESTINATION, &elements, Some(done));
    count_down(e, &elements, done);
    true
}
