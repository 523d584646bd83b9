//! Steps of the Advanced Encryption Standard (FIPS 197).

/// The product of two elements of the field (section 4.2).
fn multiply(a: u8, b: u8) -> u8 {
    let doubled = |a: u8| a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
    let powers = (0..8).scan(a, |power, _| Some(std::mem::replace(power, doubled(*power))));
    powers.enumerate().filter(|(bit, _)| b >> bit & 1 == 1).fold(0, |sum, (_, power)| sum ^ power)
}

/// A byte by the table of `SubBytes` (section 5.1.1): its inverse in the field, and an affine map.
fn substitute(byte: u8) -> u8 {
    let inverse = (1..=255).find(|other| multiply(byte, *other) == 1).unwrap_or(0);
    (1..5).fold(inverse ^ 0x63, |sum, count| sum ^ inverse.rotate_left(count))
}

/// A byte by the table of `SubBytes`, or by its inverse.
pub(super) fn substituted(byte: u8, is_inverse: bool) -> u8 {
    match is_inverse {
        false => substitute(byte),
        true => (0..=255).find(|other| substitute(*other) == byte).expect("the table is a permutation"),
    }
}

/// A column by the matrix of `MixColumns` (section 5.1.3), or of its inverse (section 5.3.3).
pub(super) fn mixed(column: u32, is_inverse: bool) -> u32 {
    let row: [u8; 4] = if is_inverse { [14, 11, 13, 9] } else { [2, 3, 1, 1] };
    let bytes = column.to_le_bytes();
    u32::from_le_bytes([0, 1, 2, 3].map(|place: usize| {
        (0..4).fold(0, |sum, index| sum ^ multiply(bytes[index], row[(index + 4 - place) % 4]))
    }))
}
