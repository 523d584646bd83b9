//! Text of floating-point literals, as C's `printf` writes them with `%a`.

/// The text of a literal of the type `kind` (`f`, `d` or `e`), whose bits are hexadecimal digits.
pub(super) fn float_text(kind: u8, digits: &str) -> String {
    let Ok(bits) = u128::from_str_radix(digits, 16) else { return String::new() };
    match kind {
        // `printf` takes a `double`, where the small values of `float` have a leading digit 1.
        b'f' => interchange_text(f64::from(f32::from_bits(bits as u32)).to_bits().into(), 11, 52) + "f",
        b'd' => interchange_text(bits, 11, 52),
        // `long double` of x86, which clang pads to 128 bits.
        _ if bits >> 80 == 0 => extended_text(bits) + "L",
        _ => interchange_text(bits, 15, 112) + "L",
    }
}

/// A format of IEEE 754: the sign, the exponent, and a fraction without its integer bit.
fn interchange_text(bits: u128, exponent_bits: u32, fraction_bits: u32) -> String {
    let exponent_max = (1 << exponent_bits) - 1;
    let biased_exponent = (bits >> fraction_bits) as i32 & exponent_max;
    let fraction = bits & ((1 << fraction_bits) - 1);
    let is_negative = bits >> (exponent_bits + fraction_bits) & 1 == 1;
    let is_zero = biased_exponent == 0 && fraction == 0;
    let exponent = if is_zero { 0 } else { biased_exponent.max(1) - exponent_max / 2 };
    let integer = u128::from(biased_exponent > 0);
    let is_special = biased_exponent == exponent_max;
    text(is_negative, is_special, integer, fraction, fraction_bits, exponent)
}

/// The 80-bit format of x86: the significand has 64 bits, the first four of which are the digit before the point.
fn extended_text(bits: u128) -> String {
    let biased_exponent = (bits >> 64) as i32 & 0x7fff;
    let significand = bits & u128::from(u64::MAX);
    let exponent = if significand == 0 { 0 } else { biased_exponent.max(1) - 0x3fff - 3 };
    let is_special = biased_exponent == 0x7fff;
    let integer = significand >> 60;
    // The integer bit is set in an infinity, too.
    let fraction = significand & if is_special { (1 << 63) - 1 } else { (1 << 60) - 1 };
    text(bits >> 79 & 1 == 1, is_special, integer, fraction, 60, exponent)
}

fn text(
    is_negative: bool,
    is_special: bool,
    integer: u128,
    fraction: u128,
    fraction_bits: u32,
    exponent: i32,
) -> String {
    let sign = if is_negative { "-" } else { "" };
    if is_special {
        return format!("{sign}{}", if fraction == 0 { "inf" } else { "nan" });
    }
    let digits = fraction_bits as usize / 4;
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:0digits$x}") };
    format!("{sign}0x{integer:x}{}p{exponent:+}", fraction.trim_end_matches('0'))
}
