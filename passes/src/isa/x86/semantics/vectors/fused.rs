//! Fused multiplications and additions: FMA, whose operands have three orders, and FMA4.

use super::super::emitter::Emitter;
use super::floats::alternate;
use crate::isa::ops::{Operand, Operation};
use iced_x86::Mnemonic as M;

/// Writes the ops of a fused multiplication.
pub(super) fn lower(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Vfmadd132ps => vectors(e, Order::O132, ADD, 32),
        M::Vfmadd132pd => vectors(e, Order::O132, ADD, 64),
        M::Vfmadd132ss => scalars(e, Order::O132, ADD, 32),
        M::Vfmadd132sd => scalars(e, Order::O132, ADD, 64),
        M::Vfmadd213ps => vectors(e, Order::O213, ADD, 32),
        M::Vfmadd213pd => vectors(e, Order::O213, ADD, 64),
        M::Vfmadd213ss => scalars(e, Order::O213, ADD, 32),
        M::Vfmadd213sd => scalars(e, Order::O213, ADD, 64),
        M::Vfmadd231ps => vectors(e, Order::O231, ADD, 32),
        M::Vfmadd231pd => vectors(e, Order::O231, ADD, 64),
        M::Vfmadd231ss => scalars(e, Order::O231, ADD, 32),
        M::Vfmadd231sd => scalars(e, Order::O231, ADD, 64),
        M::Vfmaddps => vectors(e, Order::O4, ADD, 32),
        M::Vfmaddpd => vectors(e, Order::O4, ADD, 64),
        M::Vfmaddss => scalars(e, Order::O4, ADD, 32),
        M::Vfmaddsd => scalars(e, Order::O4, ADD, 64),
        M::Vfmsub132ps => vectors(e, Order::O132, SUBTRACT, 32),
        M::Vfmsub132pd => vectors(e, Order::O132, SUBTRACT, 64),
        M::Vfmsub132ss => scalars(e, Order::O132, SUBTRACT, 32),
        M::Vfmsub132sd => scalars(e, Order::O132, SUBTRACT, 64),
        M::Vfmsub213ps => vectors(e, Order::O213, SUBTRACT, 32),
        M::Vfmsub213pd => vectors(e, Order::O213, SUBTRACT, 64),
        M::Vfmsub213ss => scalars(e, Order::O213, SUBTRACT, 32),
        M::Vfmsub213sd => scalars(e, Order::O213, SUBTRACT, 64),
        M::Vfmsub231ps => vectors(e, Order::O231, SUBTRACT, 32),
        M::Vfmsub231pd => vectors(e, Order::O231, SUBTRACT, 64),
        M::Vfmsub231ss => scalars(e, Order::O231, SUBTRACT, 32),
        M::Vfmsub231sd => scalars(e, Order::O231, SUBTRACT, 64),
        M::Vfmsubps => vectors(e, Order::O4, SUBTRACT, 32),
        M::Vfmsubpd => vectors(e, Order::O4, SUBTRACT, 64),
        M::Vfmsubss => scalars(e, Order::O4, SUBTRACT, 32),
        M::Vfmsubsd => scalars(e, Order::O4, SUBTRACT, 64),
        M::Vfnmadd132ps => vectors(e, Order::O132, NEGATED_ADD, 32),
        M::Vfnmadd132pd => vectors(e, Order::O132, NEGATED_ADD, 64),
        M::Vfnmadd132ss => scalars(e, Order::O132, NEGATED_ADD, 32),
        M::Vfnmadd132sd => scalars(e, Order::O132, NEGATED_ADD, 64),
        M::Vfnmadd213ps => vectors(e, Order::O213, NEGATED_ADD, 32),
        M::Vfnmadd213pd => vectors(e, Order::O213, NEGATED_ADD, 64),
        M::Vfnmadd213ss => scalars(e, Order::O213, NEGATED_ADD, 32),
        M::Vfnmadd213sd => scalars(e, Order::O213, NEGATED_ADD, 64),
        M::Vfnmadd231ps => vectors(e, Order::O231, NEGATED_ADD, 32),
        M::Vfnmadd231pd => vectors(e, Order::O231, NEGATED_ADD, 64),
        M::Vfnmadd231ss => scalars(e, Order::O231, NEGATED_ADD, 32),
        M::Vfnmadd231sd => scalars(e, Order::O231, NEGATED_ADD, 64),
        M::Vfnmaddps => vectors(e, Order::O4, NEGATED_ADD, 32),
        M::Vfnmaddpd => vectors(e, Order::O4, NEGATED_ADD, 64),
        M::Vfnmaddss => scalars(e, Order::O4, NEGATED_ADD, 32),
        M::Vfnmaddsd => scalars(e, Order::O4, NEGATED_ADD, 64),
        M::Vfnmsub132ps => vectors(e, Order::O132, NEGATED_SUBTRACT, 32),
        M::Vfnmsub132pd => vectors(e, Order::O132, NEGATED_SUBTRACT, 64),
        M::Vfnmsub132ss => scalars(e, Order::O132, NEGATED_SUBTRACT, 32),
        M::Vfnmsub132sd => scalars(e, Order::O132, NEGATED_SUBTRACT, 64),
        M::Vfnmsub213ps => vectors(e, Order::O213, NEGATED_SUBTRACT, 32),
        M::Vfnmsub213pd => vectors(e, Order::O213, NEGATED_SUBTRACT, 64),
        M::Vfnmsub213ss => scalars(e, Order::O213, NEGATED_SUBTRACT, 32),
        M::Vfnmsub213sd => scalars(e, Order::O213, NEGATED_SUBTRACT, 64),
        M::Vfnmsub231ps => vectors(e, Order::O231, NEGATED_SUBTRACT, 32),
        M::Vfnmsub231pd => vectors(e, Order::O231, NEGATED_SUBTRACT, 64),
        M::Vfnmsub231ss => scalars(e, Order::O231, NEGATED_SUBTRACT, 32),
        M::Vfnmsub231sd => scalars(e, Order::O231, NEGATED_SUBTRACT, 64),
        M::Vfnmsubps => vectors(e, Order::O4, NEGATED_SUBTRACT, 32),
        M::Vfnmsubpd => vectors(e, Order::O4, NEGATED_SUBTRACT, 64),
        M::Vfnmsubss => scalars(e, Order::O4, NEGATED_SUBTRACT, 32),
        M::Vfnmsubsd => scalars(e, Order::O4, NEGATED_SUBTRACT, 64),
        M::Vfmaddsub132ps => alternating(e, Order::O132, true, 32),
        M::Vfmaddsub132pd => alternating(e, Order::O132, true, 64),
        M::Vfmaddsub213ps => alternating(e, Order::O213, true, 32),
        M::Vfmaddsub213pd => alternating(e, Order::O213, true, 64),
        M::Vfmaddsub231ps => alternating(e, Order::O231, true, 32),
        M::Vfmaddsub231pd => alternating(e, Order::O231, true, 64),
        M::Vfmaddsubps => alternating(e, Order::O4, true, 32),
        M::Vfmaddsubpd => alternating(e, Order::O4, true, 64),
        M::Vfmsubadd132ps => alternating(e, Order::O132, false, 32),
        M::Vfmsubadd132pd => alternating(e, Order::O132, false, 64),
        M::Vfmsubadd213ps => alternating(e, Order::O213, false, 32),
        M::Vfmsubadd213pd => alternating(e, Order::O213, false, 64),
        M::Vfmsubadd231ps => alternating(e, Order::O231, false, 32),
        M::Vfmsubadd231pd => alternating(e, Order::O231, false, 64),
        M::Vfmsubaddps => alternating(e, Order::O4, false, 32),
        M::Vfmsubaddpd => alternating(e, Order::O4, false, 64),
        _ => None,
    }
}

/// The order of the operands of a fused multiplication: which are multiplied, and which is added.
#[derive(Clone, Copy)]
enum Order {
    /// The first and the third; the second.
    O132,
    /// The second and the first; the third.
    O213,
    /// The second and the third; the first.
    O231,
    /// The second and the third; the fourth, as in FMA4, whose first is only written.
    O4,
}

/// Signs of a fused multiplication.
#[derive(Clone, Copy)]
struct Signs {
    negates_product: bool,
    negates_addend: bool,
}

const ADD: Signs = Signs { negates_product: false, negates_addend: false };
const SUBTRACT: Signs = Signs { negates_product: false, negates_addend: true };
const NEGATED_ADD: Signs = Signs { negates_product: true, negates_addend: false };
const NEGATED_SUBTRACT: Signs = Signs { negates_product: true, negates_addend: true };

impl Signs {
    fn operation(self) -> Operation {
        let Self { negates_product, negates_addend } = self;
        Operation::FloatMultiplyAdd { negates_product, negates_addend }
    }
}

/// The factors and the addend, `bits` wide.
fn sources(e: &mut Emitter<'_>, order: Order, lane_bits: u16, bits: u16) -> Option<[Operand; 3]> {
    let operands = match order {
        Order::O132 => [0, 2, 1],
        Order::O213 => [1, 0, 2],
        Order::O231 => [1, 2, 0],
        Order::O4 => [1, 2, 3],
    };
    let mut inputs = [Operand::None; 3];
    for (input, operand) in inputs.iter_mut().zip(operands) {
        *input = e.lanes(operand, lane_bits, bits)?;
    }
    Some(inputs)
}

/// `vfmadd` and the like of vectors.
fn vectors(e: &mut Emitter<'_>, order: Order, signs: Signs, lane_bits: u16) -> Option<()> {
    let bits = e.bits(0);
    let inputs = sources(e, order, lane_bits, bits)?;
    e.result(signs.operation(), lane_bits, &inputs)
}

/// `vfmadd` and the like of scalars. FMA4 zeroes the rest.
fn scalars(e: &mut Emitter<'_>, order: Order, signs: Signs, bits: u16) -> Option<()> {
    let inputs = sources(e, order, bits, bits)?;
    let value = e.make(signs.operation(), bits, &inputs);
    match order {
        Order::O4 => e.write_lanes(value, bits),
        _ => e.write_scalar(value, 0),
    }
}

/// `vfmaddsub`, `vfmsubadd`: in even lanes the addend is subtracted, or added, and in odd lanes it is the other way.
fn alternating(e: &mut Emitter<'_>, order: Order, subtracts_even: bool, lane_bits: u16) -> Option<()> {
    let bits = e.bits(0);
    let inputs = sources(e, order, lane_bits, bits)?;
    let [even, odd] = [subtracts_even, !subtracts_even].map(|negates_addend| {
        let signs = Signs { negates_product: false, negates_addend };
        e.lanewise(signs.operation(), lane_bits, &inputs)
    });
    let value = alternate(e, even, odd, lane_bits);
    e.write_lanes(value, lane_bits)
}
