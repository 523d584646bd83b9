//! Lanes in another order, from one source or two, and blends. Most instructions do so within each 128 bits by itself.

use super::super::emitter::Emitter;
use super::operands::pieces;
use crate::isa::ops::{Operand, Operation};

/// The most lanes of both sources of [`Operation::Shuffle`].
const LANES_MAX: u16 = 16;

/// Lanes of `a` and `b`, by a function from the piece of 128 bits and the lane in it to the lane within the same piece of
/// `a`, counted on into `b`.
pub(super) fn shuffle(
    e: &mut Emitter<'_>,
    (a, b): (Operand, Operand),
    lane_bits: u16,
    source: impl Fn(u16, u16) -> u16,
) -> Operand {
    let (in_piece, all) = (128 / lane_bits, a.bits() / lane_bits);
    let is_one = all * 2 <= LANES_MAX || (a == b && all <= LANES_MAX);
    if is_one {
        return shuffle_all(e, (a, b), lane_bits, |lane| {
            let (piece, lane) = (lane / in_piece, lane % in_piece);
            match source(piece, lane) {
                // The index of a lane of the second source may be too large, if that is the first as well.
                lane if lane < in_piece || a == b => piece * in_piece + lane % in_piece,
                lane => all + piece * in_piece + lane - in_piece,
            }
        });
    }
    let shuffled: Vec<Operand> = (0..a.bits() / 128)
        .map(|piece| {
            let sources = (a.part(piece * 128, 128), b.part(piece * 128, 128));
            shuffle_all(e, sources, lane_bits, |lane| source(piece, lane))
        })
        .collect();
    e.concatenate(&shuffled)
}

/// Lanes of `a`, counted on into `b`, by a function from a lane of the result. The second source counts only if the
/// sources have at most 16 lanes together.
fn shuffle_all(
    e: &mut Emitter<'_>,
    (a, b): (Operand, Operand),
    lane_bits: u16,
    source: impl Fn(u16) -> u16,
) -> Operand {
    let lanes = a.bits() / lane_bits;
    let indices = (0..lanes).fold(0, |indices, lane| indices | u64::from(source(lane)) << (4 * lane));
    e.lanewise(Operation::Shuffle, lane_bits, &[a, b, Operand::Constant(indices, 4 * lanes)])
}

/// One source shuffled within each 128 bits.
pub(super) fn one(e: &mut Emitter<'_>, lane_bits: u16, source: impl Fn(u16, u16) -> u16) -> Option<()> {
    let (last, bits) = (e.last(), e.bits(0));
    let value = e.low_bits(last, bits);
    let value = shuffle(e, (value, value), lane_bits, source);
    e.write_lanes(value, lane_bits)
}

/// Two sources shuffled within each 128 bits.
pub(super) fn two(e: &mut Emitter<'_>, lane_bits: u16, source: impl Fn(u16, u16) -> u16) -> Option<()> {
    let sources = e.whole_pair();
    let value = shuffle(e, sources, lane_bits, source);
    e.write_lanes(value, lane_bits)
}

/// `pshufd`, `vpermilps` by an immediate: two bits for each lane.
pub(super) fn by_pairs_of_bits(e: &mut Emitter<'_>) -> Option<()> {
    let order = e.immediate();
    one(e, 32, |_, lane| order >> (2 * lane) & 3)
}

/// `pshuflw`, `pshufhw`: the low or high four words of each 128 bits.
pub(super) fn words(e: &mut Emitter<'_>, is_high: bool) -> Option<()> {
    let order = e.immediate();
    let first = if is_high { 4 } else { 0 };
    one(e, 16, |_, lane| match lane.wrapping_sub(first) {
        within @ 0..4 => first + (order >> (2 * within) & 3),
        _ => lane,
    })
}

/// `shufps`: the low two lanes from the first source, the high two from the second.
pub(super) fn shuffle_singles(e: &mut Emitter<'_>) -> Option<()> {
    let order = e.immediate();
    two(e, 32, |_, lane| (order >> (2 * lane) & 3) + if lane < 2 { 0 } else { 4 })
}

/// `shufpd`: a bit of the immediate for each lane.
pub(super) fn shuffle_doubles(e: &mut Emitter<'_>) -> Option<()> {
    let order = e.immediate();
    two(e, 64, |piece, lane| (order >> (2 * piece + lane) & 1) + 2 * lane)
}

/// `movddup`: of memory for 128 bits, only 64 are read.
pub(super) fn duplicate_doubles(e: &mut Emitter<'_>) -> Option<()> {
    match e.bits(0) {
        128 => broadcast(e, 64, 64),
        _ => one(e, 64, |_, _| 0),
    }
}

/// `vpermilpd` by an immediate, or by bit 1 of each lane of the last source.
pub(super) fn permute_doubles(e: &mut Emitter<'_>) -> Option<()> {
    if has_immediate(e) {
        let order = e.immediate();
        return one(e, 64, |piece, lane| order >> (2 * piece + lane) & 1);
    }
    let (a, b) = e.whole_pair();
    let b = e.lanewise(Operation::ShiftRight, 64, &[b, Operand::Constant(1, 8)]);
    permute_pieces(e, a, b, 64)
}

/// `vpermilps`.
pub(super) fn permute_singles(e: &mut Emitter<'_>) -> Option<()> {
    if has_immediate(e) {
        return by_pairs_of_bits(e);
    }
    let (a, b) = e.whole_pair();
    permute_pieces(e, a, b, 32)
}

fn permute_pieces(e: &mut Emitter<'_>, a: Operand, b: Operand, lane_bits: u16) -> Option<()> {
    let permuted: Vec<Operand> =
        pieces(a).zip(pieces(b)).map(|(a, b)| e.lanewise(Operation::Permute, lane_bits, &[a, b])).collect();
    let value = e.concatenate(&permuted);
    e.write_lanes(value, lane_bits)
}

fn has_immediate(e: &Emitter<'_>) -> bool {
    e.last() + 1 < e.instruction.op_count()
}

/// `pshufb`.
pub(super) fn bytes(e: &mut Emitter<'_>) -> Option<()> {
    by_pieces(e, 8, |e, a, b| e.lanewise(Operation::ShuffleBytes, 8, &[a, b]))
}

/// `punpck` and `unpck`: lanes of the low or high halves of both sources in turn.
pub(super) fn interleave(e: &mut Emitter<'_>, lane_bits: u16, high: bool) -> Option<()> {
    by_pieces(e, lane_bits, |e, a, b| e.lanewise(Operation::Interleave { high }, lane_bits, &[a, b]))
}

/// `pack`: lanes of both sources as lanes of `lane_bits`, half as wide.
pub(super) fn pack(e: &mut Emitter<'_>, operation: Operation, lane_bits: u16) -> Option<()> {
    by_pieces(e, lane_bits, |e, a, b| e.lanewise(operation, lane_bits, &[a, b]))
}

/// An operation on both sources, in each 128 bits by itself.
fn by_pieces(
    e: &mut Emitter<'_>,
    lane_bits: u16,
    operation: impl Fn(&mut Emitter<'_>, Operand, Operand) -> Operand,
) -> Option<()> {
    let (a, b) = e.whole_pair();
    let results: Vec<Operand> = pieces(a).zip(pieces(b)).map(|(a, b)| operation(e, a, b)).collect();
    let value = e.concatenate(&results);
    e.write_lanes(value, lane_bits)
}

/// `vpermq`, `vpermpd`: lanes of 64 bits within each 256, by an immediate, or anywhere, by the first source.
pub(super) fn permute_quads(e: &mut Emitter<'_>) -> Option<()> {
    if !has_immediate(e) {
        return permute(e, 64);
    }
    let (last, bits, order) = (e.last(), e.bits(0), e.immediate());
    let value = e.low_bits(last, bits);
    let value = shuffle_all(e, (value, value), 64, |lane| (lane & !3) + (order >> (2 * (lane & 3)) & 3));
    e.write_lanes(value, 64)
}

/// `vpermd` and the like: the lanes of the last source that the lanes of the first name.
pub(super) fn permute(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (indices, table) = e.whole_pair();
    e.result(Operation::Permute, lane_bits, &[table, indices])
}

/// `vpermi2`, `vpermt2`: lanes of two tables. The indices are in the destination, or in the first source and the first
/// table is in the destination.
pub(super) fn permute_two(e: &mut Emitter<'_>, lane_bits: u16, has_table_first: bool) -> Option<()> {
    let (middle, high) = e.whole_pair();
    let first = e.read(0);
    let (low, indices) = if has_table_first { (first, middle) } else { (middle, first) };
    let table = e.make(Operation::Concatenate, high.bits() * 2, &[high, low]);
    e.result_of(Operation::Permute, lane_bits, high.bits() / lane_bits, &[table, indices])
}

/// `vperm2f128`: pieces of 128 bits of both sources, or 0.
pub(super) fn permute_halves(e: &mut Emitter<'_>) -> Option<()> {
    let ((a, b), choice) = (e.whole_pair(), e.immediate());
    let half = |choice: u16| match choice & 8 {
        0 => (if choice & 2 == 0 { a } else { b }).part(128 * (choice & 1), 128),
        _ => Operand::Constant(0, 128),
    };
    let halves = [half(choice), half(choice >> 4)];
    let value = e.concatenate(&halves);
    e.write_lanes(value, 128)
}

/// `vshuff32x4` and the like: pieces of 128 bits, of the low half of the result from the first source, of the high half
/// from the second.
pub(super) fn shuffle_pieces(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let ((a, b), order) = (e.whole_pair(), e.immediate());
    let count = a.bits() / 128;
    let width = count.trailing_zeros() as u16;
    let chosen: Vec<Operand> = (0..count)
        .map(|piece| {
            let source = if piece < count / 2 { a } else { b };
            source.part(128 * (order >> (width * piece) & (count - 1)), 128)
        })
        .collect();
    let value = e.concatenate(&chosen);
    e.write_lanes(value, lane_bits)
}

/// `vinserti128` and the like: the first source with a part replaced by the second.
pub(super) fn insert_piece(e: &mut Emitter<'_>, piece_bits: u16, lane_bits: u16) -> Option<()> {
    let (last, bits) = (e.last(), e.bits(0));
    let (a, piece) = (e.low_bits(last - 1, bits), e.low_bits(last, piece_bits));
    let count = bits / piece_bits;
    let position = e.immediate() & (count - 1);
    let chosen: Vec<Operand> = (0..count)
        .map(|index| if index == position { piece } else { a.part(index * piece_bits, piece_bits) })
        .collect();
    let value = e.concatenate(&chosen);
    e.write_lanes(value, lane_bits)
}

/// `vextracti128` and the like: a part of the source.
pub(super) fn extract_piece(e: &mut Emitter<'_>, piece_bits: u16, lane_bits: u16) -> Option<()> {
    let source = e.read(1);
    let position = e.immediate() & (source.bits() / piece_bits - 1);
    e.write_lanes(source.part(position * piece_bits, piece_bits), lane_bits)
}

/// `vbroadcast`, `vpbroadcast`: one lane, or several as one, in every place. A mask selects lanes of `lane_bits`.
pub(super) fn broadcast(e: &mut Emitter<'_>, value_bits: u16, lane_bits: u16) -> Option<()> {
    if e.has_mask() && e.is_memory(1) {
        return None;
    }
    let bits = e.bits(0);
    let value = e.low_bits(1, value_bits);
    if value_bits == lane_bits {
        return e.result_of(Operation::Broadcast, value_bits, bits / value_bits, &[value]);
    }
    let value = e.make_lanes(Operation::Broadcast, value_bits, (bits / value_bits) as u8, &[value]);
    e.write_lanes(value, lane_bits)
}

/// `vpbroadcastmb2q`, `vpbroadcastmw2d`: a mask as a number in every lane.
pub(super) fn broadcast_mask(e: &mut Emitter<'_>, mask_bits: u16, lane_bits: u16) -> Option<()> {
    let bits = e.bits(0);
    let mask = e.read(1).part(0, mask_bits);
    let number = e.make(Operation::ZeroExtend, lane_bits, &[mask]);
    e.result_of(Operation::Broadcast, lane_bits, bits / lane_bits, &[number])
}

/// `blendps` and the like: lanes of the second source where the immediate has ones.
pub(super) fn blend(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let choice = e.immediate();
    let in_piece = 128 / lane_bits;
    // The immediate of `vpblendw` counts for each 128 bits.
    let bit = |piece, lane| (piece * in_piece + lane) % 8;
    two(e, lane_bits, |piece, lane| lane + in_piece * (choice >> bit(piece, lane) & 1))
}

/// `blendvps` and the like: lanes of the second source where the highest bits of those of the mask are 1.
pub(super) fn blend_by_sign(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let bits = e.bits(0);
    let (first, mask) = match e.is_legacy() {
        true => (0, e.register(iced_x86::Register::XMM0)),
        false => (1, e.read(3)),
    };
    let (a, b) = (e.low_bits(first, bits), e.low_bits(first + 1, bits));
    let count = Operand::Constant(u64::from(lane_bits) - 1, 8);
    let mask = e.lanewise(Operation::ShiftRightSigned, lane_bits, &[mask, count]);
    e.result(Operation::SelectBits, lane_bits, &[mask, b, a])
}

/// `vblendm`, `vpblendm`: lanes of the second source where the mask has ones; else those of the first, or 0.
pub(super) fn blend_by_mask(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let (a, b) = e.pair(lane_bits)?;
    let bits = a.bits();
    let place = e.place(0);
    if !e.has_mask() {
        e.set(place, Operation::Copy, bits, &[b]);
        return Some(());
    }
    let mask = e.mask(lane_bits, bits);
    match e.instruction.zeroing_masking() {
        true => e.set(place, Operation::And, bits, &[mask, b]),
        false => e.set(place, Operation::SelectBits, bits, &[mask, b, a]),
    }
    Some(())
}

/// `insertps`: a lane of the second source, or the one in memory, in a lane of the first; then some lanes become 0.
pub(super) fn insert_single(e: &mut Emitter<'_>) -> Option<()> {
    let (last, choice) = (e.last(), e.immediate());
    let (b, from) = match e.is_memory(last) {
        true => {
            let value = e.read(last);
            (e.make(Operation::ZeroExtend, 128, &[value]), 0)
        }
        false => (e.read(last), choice >> 6),
    };
    let a = e.low_bits(last - 1, 128);
    let to = choice >> 4 & 3;
    let value = shuffle_all(e, (a, b), 32, |lane| if lane == to { 4 + from } else { lane });
    let zero = Operand::Constant(0, 128);
    let value = shuffle_all(e, (value, zero), 32, |lane| if choice >> lane & 1 == 1 { 4 } else { lane });
    e.write_lanes(value, 32)
}

/// `pinsr`: a lane from a general register or memory.
pub(super) fn insert_lane(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    use crate::isa::ops::{Part, Place, Rest};
    let last = e.last();
    let value = e.low_bits(last, lane_bits);
    let low = lane_bits * (e.immediate() & (128 / lane_bits - 1));
    let place = e.place(0);
    let Place::Register(register, ..) = place else { return None };
    if !e.is_legacy() {
        let first = e.read(last - 1);
        e.set(place, Operation::Copy, 128, &[first]);
    }
    let place = Place::Register(register, Part { low, bits: lane_bits }, Rest::Kept);
    e.set(place, Operation::Copy, lane_bits, &[value]);
    Some(())
}

/// `pextr`, `extractps`: a lane to a general register, extended with zeros, or to memory.
pub(super) fn extract_lane(e: &mut Emitter<'_>, lane_bits: u16) -> Option<()> {
    let low = lane_bits * (e.immediate() & (128 / lane_bits - 1));
    let value = e.read(1).part(low, lane_bits);
    e.write_lanes(value, lane_bits)
}
