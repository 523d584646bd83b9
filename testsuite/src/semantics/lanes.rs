//! Operations without effects, on all lanes: widths, permutations, and what is done to each lane.

use super::aes;
use super::float::{self, Modes};
use super::integer;
use super::value::{Value, mask, signed};
use binframe::passes::isa::ops::{Comparison, Op, Operation};

/// The result of an operation, of `width` bits, on inputs that are defined. `None` if it traps.
#[expect(clippy::too_many_lines, reason = "a line or a few for each operation")]
pub(super) fn compute(op: &Op, width: u16, inputs: &[Value], modes: Modes) -> Option<Value> {
    use Operation as O;
    let (bits, lanes) = (op.bits, u16::from(op.lanes));
    let a = &inputs[0];
    let b = inputs.get(1).unwrap_or(a);
    let each = |lane: &dyn Fn(u16) -> u128| {
        let mut result = Value::zero(width);
        (0..lanes).for_each(|index| result.set(index * bits, bits, lane(index)));
        result
    };
    // Width of a lane of the first input, which may differ from that of the result.
    let from = a.bits() / lanes;
    Some(match op.operation {
        O::Copy => *a,
        O::ZeroExtend | O::Truncate | O::Address => each(&|index| a.lane(index, from)),
        O::SignExtend => each(&|index| signed(a.lane(index, from), from) as u128),
        O::Concatenate => {
            let mut result = b.resized(width);
            result.insert(b.bits(), a);
            result
        }
        O::Broadcast if bits > 128 => {
            let mut result = Value::zero(width);
            (0..lanes).for_each(|index| result.insert(index * bits, a));
            result
        }
        O::Broadcast => each(&|_| a.low()),
        O::Select => *if a.is_true() { b } else { &inputs[2] },
        O::SelectBits => {
            let chosen = a.map(b, |a, b| a & b);
            let others = a.map(&inputs[2], |a, c| !a & c);
            chosen.map(&others, |a, b| a | b)
        }
        O::MultiplyCarryless => each(&|index| {
            let (x, y) = (a.lane(index, from), b.lane(index, from));
            (0..from).filter(|bit| y >> bit & 1 == 1).fold(0, |sum, bit| sum ^ x << bit)
        }),
        O::And => a.map(b, |a, b| a & b),
        O::Or => a.map(b, |a, b| a | b),
        O::Xor => a.map(b, |a, b| a ^ b),
        O::Not => a.map(a, |a, _| !a),
        O::ShiftLeft if bits > 128 && lanes == 1 => a.shifted_left(b.low().min(u128::from(bits)) as u16),
        O::ShiftRight if bits > 128 && lanes == 1 => a.shifted_right(b.low().min(u128::from(bits)) as u16),
        O::ShiftLeft | O::ShiftRight | O::ShiftRightSigned | O::RotateLeft | O::RotateRight => {
            let is_one = b.bits() <= bits || lanes == 1;
            let count = |index| if is_one { b.low() } else { b.lane(index, bits) };
            each(&|index| integer::lane(op.operation, bits, a.lane(index, bits), count(index)))
        }
        O::Add | O::Subtract if inputs.len() > 2 => {
            let partial = integer::lane(op.operation, bits, a.low(), b.low());
            Value::of(integer::lane(op.operation, bits, partial, inputs[2].low()), bits)
        }
        O::AddCarry => {
            let carry = inputs.get(2).map_or(0, Value::low);
            Value::of(u128::from(integer::carry(bits, a.low(), b.low(), carry)), 1)
        }
        O::DivideSigned | O::DivideUnsigned | O::RemainderSigned | O::RemainderUnsigned => {
            Value::of(integer::divide(op.operation, bits, a.low(), b.low())?, bits)
        }
        O::Compare(Comparison::Equal) => Value::of(u128::from(a == b), 1),
        O::Compare(Comparison::Unequal) => Value::of(u128::from(a != b), 1),
        O::Compare(comparison) => Value::of(u128::from(compare(comparison, bits, a.low(), b.low())), 1),
        O::CompareLanes(comparison) => each(&|index| {
            let is_so = compare(comparison, bits, a.lane(index, bits), b.lane(index, bits));
            if is_so { u128::MAX } else { 0 }
        }),
        O::Interleave { high } => each(&|index| {
            let source = if index % 2 == 0 { a } else { b };
            source.lane(index / 2 + if high { lanes / 2 } else { 0 }, bits)
        }),
        O::Shuffle => each(&|index| {
            let number = inputs[2].get(index * 4, 4) as u16;
            if number < lanes { a.lane(number, bits) } else { b.lane(number - lanes, bits) }
        }),
        O::Permute => each(&|index| {
            let number = b.lane(index, bits) % u128::from(a.bits() / bits);
            a.lane(number as u16, bits)
        }),
        O::LanesOfBits => each(&|index| if a.get(index, 1) == 1 { u128::MAX } else { 0 }),
        O::ShuffleBytes => each(&|index| {
            let number = b.lane(index, 8);
            if number & 0x80 != 0 { 0 } else { a.lane(number as u16 % lanes, 8) }
        }),
        O::PackSigned | O::PackUnsigned => each(&|index| {
            let half = lanes / 2;
            let source = if index < half { a } else { b };
            let number = signed(source.lane(index % half, bits * 2), bits * 2);
            let greatest = (mask(bits) >> 1) as i128;
            match op.operation {
                O::PackSigned => number.clamp(-greatest - 1, greatest) as u128,
                _ => number.clamp(0, mask(bits) as i128) as u128,
            }
        }),
        O::SignBits => {
            let mut result = Value::zero(width);
            (0..lanes).for_each(|index| result.set(index, 1, a.lane(index, bits) >> (bits - 1)));
            result
        }
        O::SumAbsoluteDifferences => {
            let of_lane = |index: u16| {
                let bytes = index * bits / 8..(index + 1) * bits / 8;
                bytes.map(|byte| a.lane(byte, 8).abs_diff(b.lane(byte, 8))).sum()
            };
            each(&of_lane)
        }
        O::AesSubstituteBytes { is_inverse } => {
            each(&|index| aes::substituted(a.lane(index, 8) as u8, is_inverse).into())
        }
        O::AesMixColumns { is_inverse } => {
            each(&|index| aes::mixed(a.lane(index, 32) as u32, is_inverse).into())
        }
        O::MultiplyAddPairs => each(&|index| {
            let half = bits / 2;
            let product = |index| signed(a.lane(index, half), half) * signed(b.lane(index, half), half);
            (product(2 * index) + product(2 * index + 1)) as u128
        }),
        _ if float::is_float(op.operation) => each(&|index| {
            let of = |input: &Value| input.lane(index, input.bits() / lanes);
            let c = inputs.get(2).map_or(0, of);
            float::lane(op.operation, bits, from, [of(a), of(b), c], modes)
        }),
        _ => each(&|index| integer::lane(op.operation, bits, a.lane(index, bits), b.lane(index, bits))),
    })
}

/// Whether two lanes compare so.
fn compare(comparison: Comparison, bits: u16, a: u128, b: u128) -> bool {
    match comparison {
        Comparison::FloatEqual
        | Comparison::FloatLess
        | Comparison::FloatLessOrEqual
        | Comparison::FloatUnordered => float::compare(comparison, bits, a, b),
        _ => integer::compare(comparison, bits, a, b),
    }
}

#[cfg(test)]
mod tests {
    use super::{Modes, Value, compute};
    use binframe::passes::isa::ops::{INPUTS_MAX, Op, Operand, Operation as O, Place, Rounding};

    #[test]
    fn operations_on_lanes() {
        let (a, b) = (0x0807_0605_0403_0201_u128, 0xf8f7_f6f5_f4f3_f2f1_u128);
        for (operation, bits, lanes, b, expected) in [
            (O::Interleave { high: false }, 8, 8, b, 0xf404_f303_f202_f101),
            (O::Interleave { high: true }, 8, 8, b, 0xf808_f707_f606_f505),
            (O::ShuffleBytes, 8, 8, 0x8000_0102_0304_0507, 0x0001_0203_0405_0608),
            (O::PackSigned, 8, 8, 0x7fff_8000_0001_ffff, 0x7f80_01ff_7f7f_7f7f),
            (O::PackUnsigned, 8, 8, 0x7fff_8000_0001_ffff, 0xff00_0100_ffff_ffff),
            (O::SumAbsoluteDifferences, 64, 1, 0, 36),
            (O::MultiplyAddPairs, 16, 4, 0xff02_ff02_ff02_ff02, 0x0006_0004_0002_0000),
            (O::ShiftLeft, 16, 4, 4, 0x8070_6050_4030_2010),
            (O::ShiftRight, 32, 2, 0x0000_0004_0000_0008, 0x0080_7060_0004_0302),
        ] {
            let op = Op {
                operation,
                bits,
                lanes,
                place: Place::None,
                inputs: [Operand::None; INPUTS_MAX],
                guard: None,
            };
            let b = Value::of(b, if b == 4 { 16 } else { 64 });
            let modes = Modes { rounding: Rounding::Nearest, is_default_nan_negative: true };
            let result = compute(&op, 64, &[Value::of(a, 64), b], modes).expect("it does not trap");
            assert_eq!(result.low(), expected, "{operation:?}");
        }
    }
}
