//! Moves of vectors and of parts of them, and of SSE's control register.

use super::super::super::decode::is_32;
use super::super::super::registers::{MXCSR, VECTORS, width};
use super::super::emitter::Emitter;
use crate::isa::ops::{Operand, Operation, Part, Place, Reg, Rest};

/// `movaps` and the like: whole vectors.
pub(super) fn whole(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let bits = e.bits(0);
    let value = e.lanes(1, lane_bits, bits)?;
    e.write_lanes(value, lane_bits)
}

/// `movd`, `movq`: the low bits, extended with zeros to a vector.
pub(super) fn low(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let value = e.low_bits(1, bits);
    e.write_lanes(value, bits)
}

/// `movss`, `movsd`: a scalar from memory is extended with zeros; from a register it keeps the rest of the first source.
pub(super) fn scalar(e: &mut Emitter<'_>, bits: u16) -> Option<()> {
    let last = e.last();
    if e.is_memory(0) || e.is_memory(last) {
        let value = e.lanes(last, bits, bits)?;
        return e.write_lanes(value, bits);
    }
    let value = e.low_bits(last, bits);
    // The destination, which may be this register too, becomes the other source first.
    let value = e.make(Operation::Copy, bits, &[value]);
    e.write_scalar(value, last - 1)
}

/// `movlps`, `movlpd`, `movhps`, `movhpd`: one half of 128 bits, from or to memory.
pub(super) fn half(e: &mut Emitter<'_>, is_high: bool) -> Option<()> {
    let last = e.last();
    let low = if is_high { 64 } else { 0 };
    if e.is_memory(0) {
        let value = e.read(last).part(low, 64);
        return e.write_lanes(value, 64);
    }
    let value = e.read(last);
    set_half(e, low, value)
}

/// `movlhps`, `movhlps`: a half of the second source in the other half.
pub(super) fn other_half(e: &mut Emitter<'_>, is_high: bool) -> Option<()> {
    let last = e.last();
    let low = if is_high { 64 } else { 0 };
    let value = e.read(last).part(64 - low, 64);
    set_half(e, low, value)
}

/// Writes a half of the destination. The other one is that of the first source.
fn set_half(e: &mut Emitter<'_>, low: u16, value: Operand) -> Option<()> {
    let place = e.place(0);
    let Place::Register(register, ..) = place else { return None };
    if e.is_legacy() {
        let place = Place::Register(register, Part { low, bits: 64 }, Rest::Kept);
        e.set(place, Operation::Copy, 64, &[value]);
        return Some(());
    }
    let other = e.read(1).part(64 - low, 64);
    let inputs = if low == 0 { [other, value] } else { [value, other] };
    e.set(place, Operation::Concatenate, 128, &inputs);
    Some(())
}

/// `movmskps`, `pmovmskb`: the highest bits of lanes.
pub(super) fn sign_bits(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let value = e.read(1);
    let bits = e.lanewise(Operation::SignBits, lane_bits, &[value]);
    e.write_lanes(bits, bits.bits())
}

/// `vmaskmov`, `vpmaskmov`: lanes that the highest bits of those of a vector select.
pub(super) fn masked(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let mask = e.read(1);
    let lanes = (mask.bits() / lane_bits) as u8;
    if e.is_memory(0) {
        let (address, value) = (e.address(0), e.read(2));
        e.push(Operation::StoreLanes, lane_bits, lanes, Place::None, &[address, value, mask]);
        return Some(());
    }
    let address = e.address(2);
    e.result_of(Operation::LoadLanes, lane_bits, lanes.into(), &[address, mask])
}

/// `ldmxcsr`, `stmxcsr`.
pub(super) fn control(e: &mut Emitter<'_>, is_load: bool) -> Option<()> {
    let part = Part { low: 0, bits: width(MXCSR) };
    if is_load {
        let value = e.read(0);
        e.set(Place::Register(MXCSR, part, Rest::Kept), Operation::Copy, part.bits, &[value]);
    } else {
        e.write(0, Operand::Register(MXCSR, part));
    }
    Some(())
}

/// `vzeroupper`, `vzeroall`: of the registers that AVX has in this mode, all but the low `kept` bits become 0.
pub(super) fn zero(e: &mut Emitter<'_>, kept: u16) -> Option<()> {
    let count = if is_32(e.instruction) { 8 } else { 16 };
    for register in (VECTORS..VECTORS + count).map(Reg) {
        let part = Part { low: 0, bits: 128 };
        let place = Place::Register(register, part, Rest::Zeroed);
        let value = if kept == 0 { Operand::Constant(0, 128) } else { Operand::Register(register, part) };
        e.set(place, Operation::Copy, part.bits, &[value]);
    }
    Some(())
}
