//! The Parquet encoding `DELTA_BINARY_PACKED` for integers.
//!
//! A block encodes 128 differences between consecutive values: the least difference, and by how much each exceeds it,
//! in four miniblocks of 32. Each miniblock is bit-packed with the width that its largest number needs. The last
//! miniblock is padded with zeros.
//!
//! Source: Parquet format, "Delta encoding (`DELTA_BINARY_PACKED`)".

/// Differences per block.
const BLOCK: usize = 128;
/// Differences per miniblock.
const MINIBLOCK: usize = 32;

/// Width of the integers of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// 32 bits; values are passed sign-extended.
    Bits32,
    /// 64 bits.
    Bits64,
}

/// Encodes values. Differences wrap at the width, so any value may follow any other.
pub(super) fn delta_binary_packed(values: &[u64], width: Width) -> Vec<u8> {
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
            *difference = if width == Width::Bits32 { i64::from(wide as i32) } else { wide };
        }
        push_block(&mut out, &differences[..count]);
    }
    out
}

fn push_block(out: &mut Vec<u8>, differences: &[i64]) {
    let least = differences.iter().copied().min().unwrap_or(0);
    let excess = |difference: &i64| difference.wrapping_sub(least).cast_unsigned();
    push_zigzag(out, least);
    let miniblocks = differences.chunks(MINIBLOCK);
    let mut widths = [0_u8; BLOCK / MINIBLOCK];
    for (width, miniblock) in widths.iter_mut().zip(miniblocks.clone()) {
        let bits = miniblock.iter().map(excess).fold(0, std::ops::BitOr::bitor);
        *width = (u64::BITS - bits.leading_zeros()) as u8;
    }
    out.extend_from_slice(&widths);
    for (width, miniblock) in widths.into_iter().zip(miniblocks) {
        let padding = std::iter::repeat_n(0, MINIBLOCK - miniblock.len());
        let numbers = miniblock.iter().map(excess).chain(padding);
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

/// Appends bit-packed numbers of at most 32 bits, least significant bit first. Their total size must be whole bytes.
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

/// Appends an unsigned number in groups of seven bits, least significant first (ULEB128).
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number in zigzag encoding, in which small numbers of either sign are short.
fn push_zigzag(out: &mut Vec<u8>, value: i64) {
    push_varint(out, (value << 1 ^ value >> 63).cast_unsigned());
}
