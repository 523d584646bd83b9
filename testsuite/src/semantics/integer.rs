//! Integers: operations on one lane of at most 128 bits.

use super::value::{mask, signed};
use binframe::passes::isa::ops::{Comparison, Operation};

/// The carry out of `a + b + c`.
pub(super) fn carry(bits: u16, a: u128, b: u128, carry: u128) -> bool {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(carry);
    first || second || sum > mask(bits)
}

/// Whether two integers compare so.
pub(super) fn compare(comparison: Comparison, bits: u16, a: u128, b: u128) -> bool {
    let signed = |number| signed(number, bits);
    match comparison {
        Comparison::Equal => a == b,
        Comparison::Unequal => a != b,
        Comparison::LessSigned => signed(a) < signed(b),
        Comparison::LessOrEqualSigned => signed(a) <= signed(b),
        Comparison::LessUnsigned => a < b,
        Comparison::LessOrEqualUnsigned => a <= b,
        _ => unreachable!("comparisons of floating-point numbers are elsewhere"),
    }
}

/// The quotient or remainder; `None` if the division traps.
pub(super) fn divide(operation: Operation, bits: u16, a: u128, b: u128) -> Option<u128> {
    let (x, y) = (signed(a, bits), signed(b, bits));
    let fits = |quotient: i128| signed(quotient as u128, bits) == quotient;
    let number = match operation {
        Operation::DivideUnsigned => a.checked_div(b)?,
        Operation::RemainderUnsigned => a.checked_rem(b)?,
        Operation::DivideSigned => x.checked_div(y).filter(|quotient| fits(*quotient))? as u128,
        _ => x.checked_div(y).filter(|quotient| fits(*quotient)).map(|quotient| x - y * quotient)? as u128,
    };
    Some(number & mask(bits))
}

/// The nearest number from `least` to `greatest`.
fn clamped(number: i128, least: i128, greatest: i128) -> u128 {
    number.clamp(least, greatest) as u128
}

/// An operation on a lane of at most 128 bits.
pub(super) fn lane(operation: Operation, bits: u16, a: u128, b: u128) -> u128 {
    use Operation as O;
    let (x, y) = (signed(a, bits), signed(b, bits));
    // The extremes of signed and unsigned numbers, for lanes of at most 64 bits.
    let greatest = (mask(bits) >> 1) as i128;
    let least = -greatest - 1;
    let all = mask(bits) as i128;
    let number = match operation {
        O::Copy | O::Address => a,
        O::Add => a.wrapping_add(b),
        O::Subtract => a.wrapping_sub(b),
        O::Multiply => a.wrapping_mul(b),
        O::MultiplyHighSigned => ((x * y) >> bits) as u128,
        O::MultiplyHighUnsigned => (a * b) >> bits,
        O::Negate => a.wrapping_neg(),
        O::AddScaled(shift) => a.wrapping_add(b << shift),
        O::MinimumSigned => x.min(y) as u128,
        O::MinimumUnsigned => a.min(b),
        O::MaximumSigned => x.max(y) as u128,
        O::MaximumUnsigned => a.max(b),
        O::AddSaturatingSigned => clamped(x + y, least, greatest),
        O::AddSaturatingUnsigned => (a + b).min(mask(bits)),
        O::SubtractSaturatingSigned => clamped(x - y, least, greatest),
        O::SubtractSaturatingUnsigned => clamped(a as i128 - b as i128, 0, all),
        O::AverageUnsigned => (a + b).div_ceil(2),
        O::Absolute => x.unsigned_abs(),
        O::And => a & b,
        O::Or => a | b,
        O::Xor => a ^ b,
        O::Not => !a,
        O::ShiftLeft | O::ShiftRight if b >= u128::from(bits) => 0,
        O::ShiftLeft => a << b,
        O::ShiftRight => a >> b,
        O::ShiftRightSigned => (x >> b.min(u128::from(bits) - 1)) as u128,
        O::RotateLeft => rotated_left(bits, a, b),
        O::RotateRight => rotated_left(bits, a, u128::from(bits) - b % u128::from(bits)),
        O::CountLeadingZeros => u128::from(a.leading_zeros() - (128 - u32::from(bits))),
        O::CountTrailingZeros => u128::from(a.trailing_zeros()).min(u128::from(bits)),
        O::CountOnes => u128::from(a.count_ones()),
        O::ReverseBytes => a.swap_bytes() >> (128 - bits),
        O::ReverseBits => a.reverse_bits() >> (128 - bits),
        O::DepositBits => {
            let ones = (0..bits).filter(|bit| b >> bit & 1 == 1);
            ones.enumerate().fold(0, |sum, (index, bit)| sum | (a >> index & 1) << bit)
        }
        O::ExtractBits => {
            let ones = (0..bits).filter(|bit| b >> bit & 1 == 1);
            ones.enumerate().fold(0, |sum, (index, bit)| sum | (a >> bit & 1) << index)
        }
        _ => unreachable!("{operation:?} is no operation on a lane"),
    };
    number & mask(bits)
}

fn rotated_left(bits: u16, a: u128, count: u128) -> u128 {
    let count = count % u128::from(bits);
    match count {
        0 => a,
        _ => a << count | a >> (u128::from(bits) - count),
    }
}

#[cfg(test)]
mod tests {
    use super::{divide, lane};
    use binframe::passes::isa::ops::Operation as O;

    #[test]
    fn operations_on_one_lane() {
        for (operation, bits, a, b, expected) in [
            (O::Add, 8, 0xff, 2, 1),
            (O::Subtract, 16, 0, 1, 0xffff),
            (O::Multiply, 8, 0x10, 0x11, 0x10),
            (O::MultiplyHighSigned, 8, 0xff, 2, 0xff),
            (O::MultiplyHighUnsigned, 8, 0xff, 2, 1),
            (O::Negate, 32, 1, 0, 0xffff_ffff),
            (O::AddScaled(3), 16, 1, 0x2001, 9),
            (O::MinimumSigned, 8, 0x80, 1, 0x80),
            (O::MinimumUnsigned, 8, 0x80, 1, 1),
            (O::MaximumSigned, 8, 0x80, 1, 1),
            (O::MaximumUnsigned, 8, 0x80, 1, 0x80),
            (O::AddSaturatingSigned, 8, 0x7f, 1, 0x7f),
            (O::AddSaturatingSigned, 8, 0x80, 0xff, 0x80),
            (O::AddSaturatingUnsigned, 8, 0xff, 1, 0xff),
            (O::SubtractSaturatingSigned, 8, 0x80, 1, 0x80),
            (O::SubtractSaturatingUnsigned, 8, 1, 2, 0),
            (O::AverageUnsigned, 8, 0xff, 0xfe, 0xff),
            (O::Absolute, 8, 0x80, 0, 0x80),
            (O::Absolute, 8, 0xff, 0, 1),
            (O::ShiftLeft, 8, 1, 8, 0),
            (O::ShiftRight, 8, 0x80, 7, 1),
            (O::ShiftRightSigned, 8, 0x80, 200, 0xff),
            (O::RotateLeft, 8, 0x81, 9, 3),
            (O::RotateRight, 8, 0x81, 1, 0xc0),
            (O::RotateRight, 8, 0x81, 8, 0x81),
            (O::CountLeadingZeros, 16, 1, 0, 15),
            (O::CountLeadingZeros, 16, 0, 0, 16),
            (O::CountTrailingZeros, 16, 0, 0, 16),
            (O::CountTrailingZeros, 16, 8, 0, 3),
            (O::CountOnes, 8, 0xf1, 0, 5),
            (O::ReverseBytes, 32, 0x0102_0304, 0, 0x0403_0201),
            (O::ReverseBits, 8, 0x12, 0, 0x48),
            (O::DepositBits, 16, 0b101, 0x1110, 0x1010),
            (O::ExtractBits, 16, 0x1010, 0x1110, 0b101),
        ] {
            assert_eq!(lane(operation, bits, a, b), expected, "{operation:?} of {a:#x} and {b:#x}");
        }
    }

    #[test]
    fn divisions_round_to_zero_or_trap() {
        for (operation, a, b, expected) in [
            (O::DivideSigned, 0xf9, 2, Some(0xfd)),
            (O::RemainderSigned, 0xf9, 2, Some(0xff)),
            (O::DivideSigned, 0x80, 0xff, None),
            (O::RemainderSigned, 0x80, 0xff, None),
            (O::DivideUnsigned, 0xf9, 2, Some(0x7c)),
            (O::RemainderUnsigned, 0xf9, 2, Some(1)),
            (O::DivideUnsigned, 1, 0, None),
        ] {
            assert_eq!(divide(operation, 8, a, b), expected, "{operation:?} of {a:#x} and {b:#x}");
        }
        let least = 1 << 127;
        assert_eq!(divide(O::DivideSigned, 128, least, u128::MAX), None);
        assert_eq!(divide(O::DivideSigned, 128, least, 2), Some(3 << 126));
    }
}
