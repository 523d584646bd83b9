//! Integers as packed differences.
//!
//! Source: Parquet format, "Delta encoding (`DELTA_BINARY_PACKED`)". A block is 128 differences to the value before, less
//! the least of them, in four miniblocks of 32; a miniblock's numbers have as many bits as its greatest needs.

const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// How many bits a column's integers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// 32, of which values are the sign-extended form.
    Narrow,
    /// 64.
    Wide,
}

/// Encodes values. Differences wrap at the width, so that any values can follow each other.
pub(super) fn packed_differences(values: &[u64], width: Width) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len() * 2);
    push_varint(&mut out, BLOCK as u64);
    push_varint(&mut out, (BLOCK / MINIBLOCK) as u64);
    push_varint(&mut out, values.len() as u64);
    push_zigzag(&mut out, values.first().map_or(0, |first| first.cast_signed()));
    let mut differences = [0_i64; BLOCK];
    for start in (1..values.len()).step_by(BLOCK) {
        let block = &values[start - 1..values.len().min(start + BLOCK)];
        let count = block.len() - 1;
        for (difference, pair) in differences.iter_mut().zip(block.windows(2)) {
            let wide = pair[1].wrapping_sub(pair[0]).cast_signed();
            *difference = if width == Width::Narrow { i64::from(wide as i32) } else { wide };
        }
        push_block(&mut out, &differences[..count]);
    }
    out
}

fn push_block(out: &mut Vec<u8>, differences: &[i64]) {
    let least = differences.iter().copied().min().unwrap_or(0);
    let above = |difference: &i64| difference.wrapping_sub(least).cast_unsigned();
    push_zigzag(out, least);
    let miniblocks = differences.chunks(MINIBLOCK);
    let mut widths = [0_u8; BLOCK / MINIBLOCK];
    for (width, miniblock) in widths.iter_mut().zip(miniblocks.clone()) {
        let bits = miniblock.iter().map(above).fold(0, std::ops::BitOr::bitor);
        *width = (u64::BITS - bits.leading_zeros()) as u8;
    }
    out.extend_from_slice(&widths);
    for (width, miniblock) in widths.into_iter().zip(miniblocks) {
        // A miniblock that is not full is filled with zeros.
        let padding = std::iter::repeat_n(0, MINIBLOCK - miniblock.len());
        let numbers = miniblock.iter().map(above).chain(padding);
        match u32::from(width) {
            0 => {}
            width @ 1..=32 => push_bits(out, numbers, width),
            width => {
                let mut bits = (0_u128, 0);
                for number in numbers {
                    bits = (bits.0 | u128::from(number) << bits.1, bits.1 + width);
                    while bits.1 >= 32 {
                        out.extend_from_slice(&(bits.0 as u32).to_le_bytes());
                        bits = (bits.0 >> 32, bits.1 - 32);
                    }
                }
            }
        }
    }
}

/// Appends numbers of at most 32 bits, the least significant bit first. Together they fill whole bytes.
pub(super) fn push_bits(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, width: u32) {
    let (mut bits, mut count) = (0_u64, 0);
    for number in numbers {
        bits |= number << count;
        count += width;
        if count >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            count -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..(count / 8) as usize]);
}

/// Appends a number in groups of seven bits, the least significant first.
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number so that small ones of either sign stay short.
fn push_zigzag(out: &mut Vec<u8>, value: i64) {
    push_varint(out, (value << 1 ^ value >> 63).cast_unsigned());
}
