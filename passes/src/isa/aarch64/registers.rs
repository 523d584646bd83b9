//! The register file of A64: the widest of the registers that overlap, by number.

use crate::isa::ops::{Part, Reg};
use fARM64::VectorArrangement;

/// The stack pointer, which follows `x0` to `x30`.
pub(super) const STACK_POINTER: Reg = Reg(31);
/// The frame pointer, `x29`.
pub(super) const FRAME_POINTER: Reg = Reg(29);
/// `v0` to `v31`, which overlap the scalable ones.
pub(super) const VECTORS: u8 = 32;

/// Width of a register in bits.
pub(super) fn width(register: Reg) -> u16 {
    if register.0 < VECTORS { 64 } else { 128 }
}

/// The name of a part of a register: as in assembly if it has one.
pub(super) fn part_name(register: Reg, part: Part) -> String {
    let Part { low, bits } = part;
    let (number, vector) = (register.0, register.0.wrapping_sub(VECTORS));
    match (low, bits) {
        (0, 64) if register == STACK_POINTER => "sp".to_owned(),
        (0, 32) if register == STACK_POINTER => "wsp".to_owned(),
        (0, 64) if number < VECTORS => format!("x{number}"),
        (0, 32) if number < VECTORS => format!("w{number}"),
        (0, 128) => format!("q{vector}"),
        (0, 64) => format!("d{vector}"),
        (0, 32) => format!("s{vector}"),
        (0, 16) if number >= VECTORS => format!("h{vector}"),
        (0, 8) if number >= VECTORS => format!("b{vector}"),
        _ if number < VECTORS => format!("x{number}[{low}..{}]", low + bits),
        _ => format!("v{vector}[{low}..{}]", low + bits),
    }
}

/// Size in bytes of a vector with an arrangement, or of one element of it; `None` if it depends on the processor.
pub(super) fn list_size(arrangement: VectorArrangement, is_element: bool) -> Option<u16> {
    let element = arrangement.element_bits() / 8;
    let count = if is_element { 1 } else { u16::from(arrangement.element_count()) };
    Some(element * count).filter(|size| *size > 0 && !arrangement.is_scalable())
}
