//! Floating-point numbers (IEEE 754) in lanes of 16, 32 and 64 bits.

use super::value::{mask, signed};
use binframe::passes::isa::ops::{Comparison, FloatRange, Operation, Rounding};
use rustc_apfloat::ieee::{Double, Half, Single};
use rustc_apfloat::{Category, Float, FloatConvert, Round, Status};
use std::cmp::Ordering;

/// What results depend on besides the inputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    pub(super) rounding: Rounding,
    pub(super) is_default_nan_negative: bool,
}

/// Whether an operation is on floating-point numbers, or converts them.
pub(super) fn is_float(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::FloatAdd
            | O::FloatSubtract
            | O::FloatMultiply
            | O::FloatDivide
            | O::FloatMultiplyAdd { .. }
            | O::FloatSquareRoot
            | O::FloatMinimum
            | O::FloatMaximum
            | O::FloatRound(_)
            | O::FloatConvert
            | O::FloatToSigned(..)
            | O::FloatToUnsigned(..)
            | O::SignedToFloat
            | O::UnsignedToFloat
    )
}

fn round(rounding: Rounding, current: Rounding) -> Round {
    match rounding {
        Rounding::Current if current != Rounding::Current => round(current, current),
        Rounding::Current | Rounding::Nearest => Round::NearestTiesToEven,
        Rounding::Down => Round::TowardNegative,
        Rounding::Up => Round::TowardPositive,
        Rounding::Zero => Round::TowardZero,
    }
}

/// An operation on a lane: of `bits`, from lanes of `from` bits.
pub(super) fn lane(operation: Operation, bits: u16, from: u16, inputs: [u128; 3], modes: Modes) -> u128 {
    use Operation as O;
    let current = round(modes.rounding, modes.rounding);
    match operation {
        O::SignedToFloat | O::UnsignedToFloat => {
            let number = match operation {
                O::SignedToFloat => signed(inputs[0], from),
                _ => inputs[0] as i128,
            };
            match bits {
                16 => Half::from_i128_r(number, current).value.to_bits(),
                32 => Single::from_i128_r(number, current).value.to_bits(),
                _ => Double::from_i128_r(number, current).value.to_bits(),
            }
        }
        O::FloatToSigned(rounding, range) | O::FloatToUnsigned(rounding, range) => {
            let is_signed = matches!(operation, O::FloatToSigned(..));
            let rounding = round(rounding, modes.rounding);
            match from {
                16 => to_integer(Half::from_bits(inputs[0]), bits, is_signed, rounding, range),
                32 => to_integer(Single::from_bits(inputs[0]), bits, is_signed, rounding, range),
                _ => to_integer(Double::from_bits(inputs[0]), bits, is_signed, rounding, range),
            }
        }
        O::FloatConvert => convert(bits, from, inputs[0], current),
        _ => match bits {
            16 => arithmetic::<Half>(operation, bits, inputs, modes),
            32 => arithmetic::<Single>(operation, bits, inputs, modes),
            _ => arithmetic::<Double>(operation, bits, inputs, modes),
        },
    }
}

/// Whether two numbers compare so.
pub(super) fn compare(comparison: Comparison, bits: u16, a: u128, b: u128) -> bool {
    let ordering = match bits {
        16 => Half::from_bits(a).partial_cmp(&Half::from_bits(b)),
        32 => Single::from_bits(a).partial_cmp(&Single::from_bits(b)),
        _ => Double::from_bits(a).partial_cmp(&Double::from_bits(b)),
    };
    match comparison {
        Comparison::FloatEqual => ordering == Some(Ordering::Equal),
        Comparison::FloatLess => ordering == Some(Ordering::Less),
        Comparison::FloatLessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        _ => ordering.is_none(),
    }
}

/// Bits of the fraction of a number of the given width.
fn fraction_bits(bits: u16) -> u16 {
    match bits {
        16 => 10,
        32 => 23,
        _ => 52,
    }
}

/// The highest bit of the fraction: it tells quiet from signalling.
fn quiet_bit(bits: u16) -> u128 {
    1 << (fraction_bits(bits) - 1)
}

/// The number whose exponent has ones only, quiet, with an empty payload.
fn default_nan(bits: u16, is_negative: bool) -> u128 {
    let fraction = fraction_bits(bits);
    let exponent = mask(bits - 1 - fraction) << fraction;
    u128::from(is_negative) << (bits - 1) | exponent | quiet_bit(bits)
}

fn arithmetic<F: Float>(operation: Operation, bits: u16, inputs: [u128; 3], modes: Modes) -> u128 {
    use Operation as O;
    let [a, b, c] = inputs.map(F::from_bits);
    match operation {
        O::FloatMinimum => return if a < b { inputs[0] } else { inputs[1] },
        O::FloatMaximum => return if a > b { inputs[0] } else { inputs[1] },
        _ => {}
    }
    let count = match operation {
        O::FloatMultiplyAdd { .. } => 3,
        O::FloatSquareRoot | O::FloatRound(_) => 1,
        _ => 2,
    };
    if let Some(input) = inputs[..count].iter().find(|input| F::from_bits(**input).is_nan()) {
        return input | quiet_bit(bits);
    }
    let current = round(modes.rounding, modes.rounding);
    let result = match operation {
        O::FloatAdd => a.add_r(b, current).value,
        O::FloatSubtract => a.sub_r(b, current).value,
        O::FloatMultiply => a.mul_r(b, current).value,
        O::FloatDivide => a.div_r(b, current).value,
        O::FloatMultiplyAdd { negates_product, negates_addend } => {
            let negated = |number: F, is_negated: bool| if is_negated { -number } else { number };
            negated(a, negates_product).mul_add_r(b, negated(c, negates_addend), current).value
        }
        O::FloatRound(rounding) => a.round_to_integral(round(rounding, modes.rounding)).value,
        _ => square_root(a, bits, current),
    };
    if result.is_nan() { default_nan(bits, modes.is_default_nan_negative) } else { result.to_bits() }
}

/// The square root of what is a number.
fn square_root<F: Float>(number: F, bits: u16, rounding: Round) -> F {
    if number.is_zero() {
        return number;
    }
    if number.is_negative() {
        return F::NAN;
    }
    if number.category() == Category::Infinity {
        return number;
    }
    // number = significand * 2^exponent, with an integer significand of the precision and an even exponent.
    let precision = i32::from(fraction_bits(bits)) + 1;
    let mut exponent = number.ilogb() - (precision - 1);
    let significand = number.scalbn(-exponent).to_u128(usize::from(bits)).value;
    // The root has two bits more than the precision; a third says whether something is left.
    let mut shift = precision + 4;
    if (exponent - shift) % 2 != 0 {
        shift += 1;
    }
    exponent -= shift;
    let radicand = significand << shift;
    let root = radicand.isqrt();
    let rest = u128::from(root * root != radicand);
    F::from_u128_r(root << 1 | rest, rounding).value.scalbn(exponent / 2 - 1)
}

fn to_integer<F: Float>(number: F, bits: u16, is_signed: bool, rounding: Round, range: FloatRange) -> u128 {
    let mut is_exact = false;
    let width = usize::from(bits);
    let (status, result) = if is_signed {
        let result = number.to_i128_r(width, rounding, &mut is_exact);
        (result.status, result.value as u128)
    } else {
        let result = number.to_u128_r(width, rounding, &mut is_exact);
        (result.status, result.value)
    };
    let result = match (status.contains(Status::INVALID_OP), range) {
        (false, _) => result,
        (true, FloatRange::Indefinite) if is_signed => 1 << (bits - 1),
        (true, FloatRange::Indefinite) => u128::MAX,
        (true, FloatRange::Saturated) => match (number.is_nan(), number.is_negative(), is_signed) {
            (true, _, _) | (false, true, false) => 0,
            (false, true, true) => 1 << (bits - 1),
            (false, false, true) => mask(bits - 1),
            (false, false, false) => mask(bits),
        },
    };
    result & mask(bits)
}

/// A number of another width. What is not a number keeps its sign and the highest bits of its payload.
fn convert(bits: u16, from: u16, number: u128, rounding: Round) -> u128 {
    let is_nan = compare(Comparison::FloatUnordered, from, number, number);
    if is_nan {
        let sign = number >> (from - 1);
        let payload = number & mask(fraction_bits(from));
        let payload = match fraction_bits(bits).checked_sub(fraction_bits(from)) {
            Some(wider) => payload << wider,
            None => payload >> (fraction_bits(from) - fraction_bits(bits)),
        };
        return default_nan(bits, sign == 1) | payload;
    }
    match from {
        16 => converted(Half::from_bits(number), bits, rounding),
        32 => converted(Single::from_bits(number), bits, rounding),
        _ => converted(Double::from_bits(number), bits, rounding),
    }
}

fn converted<F>(number: F, bits: u16, rounding: Round) -> u128
where
    F: Float + FloatConvert<Half> + FloatConvert<Single> + FloatConvert<Double>,
{
    let mut loses_information = false;
    match bits {
        16 => {
            let half: Half = number.convert_r(rounding, &mut loses_information).value;
            half.to_bits()
        }
        32 => {
            let single: Single = number.convert_r(rounding, &mut loses_information).value;
            single.to_bits()
        }
        _ => {
            let double: Double = number.convert_r(rounding, &mut loses_information).value;
            double.to_bits()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Modes, lane};
    use binframe::passes::isa::ops::{FloatRange, Operation as O, Rounding};

    const MODES: Modes = Modes { rounding: Rounding::Nearest, is_default_nan_negative: true };

    fn fused(negates_product: bool, negates_addend: bool) -> O {
        O::FloatMultiplyAdd { negates_product, negates_addend }
    }

    /// The processor's own results, which round to nearest.
    #[test]
    fn results_are_those_of_the_standard_library() {
        let numbers = [
            0.0_f64,
            -0.0,
            1.0,
            -1.5,
            2.0,
            0.1,
            1e-310,
            5e-324,
            1e308,
            f64::MAX,
            f64::INFINITY,
            3.0,
            7.25,
            1e-200,
        ];
        for a in numbers {
            let bits = |number: f64| u128::from(number.to_bits());
            let root = lane(O::FloatSquareRoot, 64, 64, [bits(a), 0, 0], MODES);
            if a >= 0.0 {
                assert_eq!(root, bits(a.sqrt()), "the root of {a}");
            }
            let single = u128::from((a as f32).to_bits());
            assert_eq!(lane(O::FloatConvert, 32, 64, [bits(a), 0, 0], MODES), single);
            if a >= 0.0 {
                let root = lane(O::FloatSquareRoot, 32, 32, [single, 0, 0], MODES);
                assert_eq!(root, u128::from((a as f32).sqrt().to_bits()), "the root of {a}");
            }
            for b in numbers {
                for (operation, expected) in [
                    (O::FloatAdd, a + b),
                    (O::FloatSubtract, a - b),
                    (O::FloatMultiply, a * b),
                    (O::FloatDivide, a / b),
                    (fused(false, false), a.mul_add(b, 0.3)),
                    (fused(true, true), (-a).mul_add(b, -0.3)),
                ] {
                    let result = lane(operation, 64, 64, [bits(a), bits(b), bits(0.3)], MODES);
                    let is_same = result == bits(expected) || expected.is_nan();
                    assert!(is_same, "{operation:?} of {a} and {b}: {result:#x}");
                }
            }
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_as_the_range_says() {
        let bits = |number: f64| [u128::from(number.to_bits()), 0, 0];
        for (range, a, signed, unsigned) in [
            (FloatRange::Indefinite, 1e30, 0x8000_0000, 0xffff_ffff),
            (FloatRange::Saturated, 1e30, 0x7fff_ffff, 0xffff_ffff),
            (FloatRange::Saturated, -1e30, 0x8000_0000, 0),
            (FloatRange::Saturated, f64::NAN, 0, 0),
            (FloatRange::Indefinite, 2.5, 2, 2),
        ] {
            let result = lane(O::FloatToSigned(Rounding::Current, range), 32, 64, bits(a), MODES);
            assert_eq!(result, signed, "{range:?} of {a}");
            let result = lane(O::FloatToUnsigned(Rounding::Current, range), 32, 64, bits(a), MODES);
            assert_eq!(result, unsigned, "{range:?} of {a}");
        }
        assert_eq!(lane(O::FloatRound(Rounding::Up), 64, 64, bits(-0.5), MODES), bits(-0.0)[0]);
        assert_eq!(lane(O::SignedToFloat, 64, 8, [0xff, 0, 0], MODES), bits(-1.0)[0]);
        assert_eq!(lane(O::UnsignedToFloat, 64, 8, [0xff, 0, 0], MODES), bits(255.0)[0]);
    }
}
