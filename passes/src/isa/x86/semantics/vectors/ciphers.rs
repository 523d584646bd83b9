//! The Advanced Encryption Standard, one round at a time.

use super::super::emitter::Emitter;
use super::operands::pieces;
use super::shuffles::shuffle;
use crate::isa::ops::{Operand, Operation};

/// `ShiftRows` of FIPS 197, section 5.1.2: the byte that each byte becomes. Row r of column c is byte 4c + r.
const SHIFTED_ROWS: u128 = 0x0b06_010c_0702_0d08_030e_0904_0f0a_0500;
/// `InvShiftRows`, section 5.3.1.
const SHIFTED_ROWS_INVERSE: u128 = 0x0306_090c_0f02_0508_0b0e_0104_070a_0d00;

/// `aesenc`, `aesdec` and the like: a round on each 128 bits of the first source, with the second as its key. The last
/// round mixes no columns.
pub(super) fn round(e: &mut Emitter<'_>, is_inverse: bool, is_mixed: bool) -> Option<()> {
    let (state, key) = e.whole_pair();
    let order = if is_inverse { SHIFTED_ROWS_INVERSE } else { SHIFTED_ROWS };
    let order = [order as u64, (order >> 64) as u64].map(|half| Operand::Constant(half, 64));
    let order = e.concatenate(&order);
    let shifted: Vec<Operand> =
        pieces(state).map(|piece| e.lanewise(Operation::ShuffleBytes, 8, &[piece, order])).collect();
    let shifted = e.concatenate(&shifted);
    let mut value = e.lanewise(Operation::AesSubstituteBytes { is_inverse }, 8, &[shifted]);
    if is_mixed {
        value = e.lanewise(Operation::AesMixColumns { is_inverse }, 32, &[value]);
    }
    e.result(Operation::Xor, 128, &[value, key])
}

/// `aeskeygenassist`: columns 1 and 3 of the source, substituted; above each the same rotated by a byte, with a constant.
pub(super) fn assist_key(e: &mut Emitter<'_>) -> Option<()> {
    let source = e.read(1);
    let substitute = Operation::AesSubstituteBytes { is_inverse: false };
    let substituted = e.lanewise(substitute, 8, &[source]);
    let columns = shuffle(e, (substituted, substituted), 32, |_, lane| lane | 1);
    let rotated = e.lanewise(Operation::RotateRight, 32, &[columns, Operand::Constant(8, 8)]);
    let constant = e.splat(e.immediate().into(), 32, 128);
    let rotated = e.lanewise(Operation::Xor, 32, &[rotated, constant]);
    let value = shuffle(e, (columns, rotated), 32, |_, lane| lane + 4 * (lane & 1));
    e.write_lanes(value, 32)
}
