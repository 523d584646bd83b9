//! Instructions of SSE, AVX, AVX-512 and their relatives.
//!
//! What a mnemonic means is in the matches of this file, of `fused` and of `masks`; the mnemonics of the encodings before
//! and since AVX are on one line. Without a meaning here, and opaque: approximations (`rcpps`), string comparisons,
//! hashes, gathers and scatters, everything with a rounding mode of its own, what uses the MMX registers, and
//! `maskmovdqu` (processors differ in whether bytes that it does not store can fault). That unaligned operands fault in
//! some forms is not modelled.
#![expect(
    clippy::match_same_arms,
    clippy::too_many_lines,
    clippy::unnecessary_wraps,
    reason = "the matches are tables: a line for each mnemonic, and one type of all meanings"
)]

mod ciphers;
mod comparisons;
mod conversions;
mod floats;
mod fused;
mod lanes;
mod masks;
mod moves;
mod operands;
mod shifts;
mod shuffles;

use super::emitter::Emitter;
use crate::isa::ops::{Comparison as C, Operation as O};
use conversions::{TO_SIGNED, TO_SIGNED_TRUNCATED, TO_UNSIGNED, TO_UNSIGNED_TRUNCATED};
use iced_x86::{Mnemonic as M, RoundingControl};

/// Writes the ops of an instruction of vectors or masks; false if the form has no exact meaning here.
pub(super) fn lower(e: &mut Emitter<'_>) -> bool {
    let is_mm = |operand| e.instruction.op_register(operand).is_mm();
    if (0..e.instruction.op_count()).any(is_mm) || e.instruction.rounding_control() != RoundingControl::None {
        return false;
    }
    let lowered = moved(e)
        .or_else(|| arithmetic(e))
        .or_else(|| compared(e))
        .or_else(|| shifted(e))
        .or_else(|| shuffled(e))
        .or_else(|| floating(e))
        .or_else(|| converted(e))
        .or_else(|| fused::lower(e))
        .or_else(|| masks::lower(e))
        .or_else(|| enciphered(e));
    lowered.is_some()
}

/// Moves.
fn moved(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Movdqa | M::Movdqu | M::Lddqu | M::Movntdq | M::Movntdqa => moves::whole(e, 128),
        M::Vmovdqa | M::Vmovdqu | M::Vlddqu | M::Vmovntdq | M::Vmovntdqa => moves::whole(e, 128),
        M::Vmovdqu8 => moves::whole(e, 8),
        M::Vmovdqu16 => moves::whole(e, 16),
        M::Vmovdqu32 | M::Vmovdqa32 => moves::whole(e, 32),
        M::Vmovdqu64 | M::Vmovdqa64 => moves::whole(e, 64),
        M::Movaps | M::Vmovaps | M::Movups | M::Vmovups | M::Movntps | M::Vmovntps => moves::whole(e, 32),
        M::Movapd | M::Vmovapd | M::Movupd | M::Vmovupd | M::Movntpd | M::Vmovntpd => moves::whole(e, 64),
        M::Movd | M::Vmovd => moves::low(e, 32),
        M::Movq | M::Vmovq => moves::low(e, 64),
        M::Movss | M::Vmovss | M::Movntss => moves::scalar(e, 32),
        M::Movsd | M::Vmovsd | M::Movntsd => moves::scalar(e, 64),
        M::Movlps | M::Vmovlps | M::Movlpd | M::Vmovlpd => moves::half(e, false),
        M::Movhps | M::Vmovhps | M::Movhpd | M::Vmovhpd => moves::half(e, true),
        M::Movhlps | M::Vmovhlps => moves::other_half(e, false),
        M::Movlhps | M::Vmovlhps => moves::other_half(e, true),
        M::Pmovmskb | M::Vpmovmskb => moves::sign_bits(e, 8),
        M::Movmskps | M::Vmovmskps => moves::sign_bits(e, 32),
        M::Movmskpd | M::Vmovmskpd => moves::sign_bits(e, 64),
        M::Vmaskmovps | M::Vpmaskmovd => moves::masked(e, 32),
        M::Vmaskmovpd | M::Vpmaskmovq => moves::masked(e, 64),
        M::Ldmxcsr | M::Vldmxcsr => moves::control(e, true),
        M::Stmxcsr | M::Vstmxcsr => moves::control(e, false),
        M::Vzeroupper => moves::zero(e, 128),
        M::Vzeroall => moves::zero(e, 0),
        _ => None,
    }
}

/// Integer arithmetic and logic.
fn arithmetic(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Paddb | M::Vpaddb => lanes::binary(e, O::Add, 8),
        M::Paddw | M::Vpaddw => lanes::binary(e, O::Add, 16),
        M::Paddd | M::Vpaddd => lanes::binary(e, O::Add, 32),
        M::Paddq | M::Vpaddq => lanes::binary(e, O::Add, 64),
        M::Psubb | M::Vpsubb => lanes::binary(e, O::Subtract, 8),
        M::Psubw | M::Vpsubw => lanes::binary(e, O::Subtract, 16),
        M::Psubd | M::Vpsubd => lanes::binary(e, O::Subtract, 32),
        M::Psubq | M::Vpsubq => lanes::binary(e, O::Subtract, 64),
        M::Paddsb | M::Vpaddsb => lanes::binary(e, O::AddSaturatingSigned, 8),
        M::Paddsw | M::Vpaddsw => lanes::binary(e, O::AddSaturatingSigned, 16),
        M::Paddusb | M::Vpaddusb => lanes::binary(e, O::AddSaturatingUnsigned, 8),
        M::Paddusw | M::Vpaddusw => lanes::binary(e, O::AddSaturatingUnsigned, 16),
        M::Psubsb | M::Vpsubsb => lanes::binary(e, O::SubtractSaturatingSigned, 8),
        M::Psubsw | M::Vpsubsw => lanes::binary(e, O::SubtractSaturatingSigned, 16),
        M::Psubusb | M::Vpsubusb => lanes::binary(e, O::SubtractSaturatingUnsigned, 8),
        M::Psubusw | M::Vpsubusw => lanes::binary(e, O::SubtractSaturatingUnsigned, 16),
        M::Pmullw | M::Vpmullw => lanes::binary(e, O::Multiply, 16),
        M::Pmulld | M::Vpmulld => lanes::binary(e, O::Multiply, 32),
        M::Vpmullq => lanes::binary(e, O::Multiply, 64),
        M::Pmulhw | M::Vpmulhw => lanes::binary(e, O::MultiplyHighSigned, 16),
        M::Pmulhuw | M::Vpmulhuw => lanes::binary(e, O::MultiplyHighUnsigned, 16),
        M::Pmulhrsw | M::Vpmulhrsw => lanes::multiply_high_rounded(e),
        M::Pmuludq | M::Vpmuludq => lanes::multiply_low_halves(e, O::ZeroExtend),
        M::Pmuldq | M::Vpmuldq => lanes::multiply_low_halves(e, O::SignExtend),
        M::Pmaddwd | M::Vpmaddwd => lanes::binary(e, O::MultiplyAddPairs, 32),
        M::Pmaddubsw | M::Vpmaddubsw => lanes::multiply_add_bytes(e),
        M::Vpmadd52luq => lanes::multiply_add_52(e, false),
        M::Vpmadd52huq => lanes::multiply_add_52(e, true),
        M::Pclmulqdq | M::Vpclmulqdq => lanes::multiply_carryless(e),
        M::Psadbw | M::Vpsadbw => lanes::sum_differences(e),
        M::Pavgb | M::Vpavgb => lanes::binary(e, O::AverageUnsigned, 8),
        M::Pavgw | M::Vpavgw => lanes::binary(e, O::AverageUnsigned, 16),
        M::Pminsb | M::Vpminsb => lanes::binary(e, O::MinimumSigned, 8),
        M::Pminsw | M::Vpminsw => lanes::binary(e, O::MinimumSigned, 16),
        M::Pminsd | M::Vpminsd => lanes::binary(e, O::MinimumSigned, 32),
        M::Vpminsq => lanes::binary(e, O::MinimumSigned, 64),
        M::Pminub | M::Vpminub => lanes::binary(e, O::MinimumUnsigned, 8),
        M::Pminuw | M::Vpminuw => lanes::binary(e, O::MinimumUnsigned, 16),
        M::Pminud | M::Vpminud => lanes::binary(e, O::MinimumUnsigned, 32),
        M::Vpminuq => lanes::binary(e, O::MinimumUnsigned, 64),
        M::Pmaxsb | M::Vpmaxsb => lanes::binary(e, O::MaximumSigned, 8),
        M::Pmaxsw | M::Vpmaxsw => lanes::binary(e, O::MaximumSigned, 16),
        M::Pmaxsd | M::Vpmaxsd => lanes::binary(e, O::MaximumSigned, 32),
        M::Vpmaxsq => lanes::binary(e, O::MaximumSigned, 64),
        M::Pmaxub | M::Vpmaxub => lanes::binary(e, O::MaximumUnsigned, 8),
        M::Pmaxuw | M::Vpmaxuw => lanes::binary(e, O::MaximumUnsigned, 16),
        M::Pmaxud | M::Vpmaxud => lanes::binary(e, O::MaximumUnsigned, 32),
        M::Vpmaxuq => lanes::binary(e, O::MaximumUnsigned, 64),
        M::Pabsb | M::Vpabsb => lanes::unary(e, O::Absolute, 8),
        M::Pabsw | M::Vpabsw => lanes::unary(e, O::Absolute, 16),
        M::Pabsd | M::Vpabsd => lanes::unary(e, O::Absolute, 32),
        M::Vpabsq => lanes::unary(e, O::Absolute, 64),
        M::Psignb | M::Vpsignb => lanes::apply_sign(e, 8),
        M::Psignw | M::Vpsignw => lanes::apply_sign(e, 16),
        M::Psignd | M::Vpsignd => lanes::apply_sign(e, 32),
        M::Vplzcntd => lanes::unary(e, O::CountLeadingZeros, 32),
        M::Vplzcntq => lanes::unary(e, O::CountLeadingZeros, 64),
        M::Vpopcntb => lanes::unary(e, O::CountOnes, 8),
        M::Vpopcntw => lanes::unary(e, O::CountOnes, 16),
        M::Vpopcntd => lanes::unary(e, O::CountOnes, 32),
        M::Vpopcntq => lanes::unary(e, O::CountOnes, 64),
        M::Pand | M::Vpand | M::Vpandd | M::Andps | M::Vandps => lanes::binary(e, O::And, 32),
        M::Vpandq | M::Andpd | M::Vandpd => lanes::binary(e, O::And, 64),
        M::Por | M::Vpor | M::Vpord | M::Orps | M::Vorps => lanes::binary(e, O::Or, 32),
        M::Vporq | M::Orpd | M::Vorpd => lanes::binary(e, O::Or, 64),
        M::Pxor | M::Vpxor | M::Vpxord | M::Xorps | M::Vxorps => lanes::xor(e, 32),
        M::Vpxorq | M::Xorpd | M::Vxorpd => lanes::xor(e, 64),
        M::Pandn | M::Vpandn | M::Vpandnd | M::Andnps | M::Vandnps => lanes::and_not(e, 32),
        M::Vpandnq | M::Andnpd | M::Vandnpd => lanes::and_not(e, 64),
        M::Vpternlogd => lanes::ternary(e, 32),
        M::Vpternlogq => lanes::ternary(e, 64),
        M::Phaddw | M::Vphaddw => lanes::horizontal(e, O::Add, 16),
        M::Phaddd | M::Vphaddd => lanes::horizontal(e, O::Add, 32),
        M::Phaddsw | M::Vphaddsw => lanes::horizontal(e, O::AddSaturatingSigned, 16),
        M::Phsubw | M::Vphsubw => lanes::horizontal(e, O::Subtract, 16),
        M::Phsubd | M::Vphsubd => lanes::horizontal(e, O::Subtract, 32),
        M::Phsubsw | M::Vphsubsw => lanes::horizontal(e, O::SubtractSaturatingSigned, 16),
        _ => None,
    }
}

/// Comparisons and tests.
fn compared(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Pcmpeqb | M::Vpcmpeqb => comparisons::integers(e, C::Equal, 8, false),
        M::Pcmpeqw | M::Vpcmpeqw => comparisons::integers(e, C::Equal, 16, false),
        M::Pcmpeqd | M::Vpcmpeqd => comparisons::integers(e, C::Equal, 32, false),
        M::Pcmpeqq | M::Vpcmpeqq => comparisons::integers(e, C::Equal, 64, false),
        M::Pcmpgtb | M::Vpcmpgtb => comparisons::integers(e, C::LessSigned, 8, true),
        M::Pcmpgtw | M::Vpcmpgtw => comparisons::integers(e, C::LessSigned, 16, true),
        M::Pcmpgtd | M::Vpcmpgtd => comparisons::integers(e, C::LessSigned, 32, true),
        M::Pcmpgtq | M::Vpcmpgtq => comparisons::integers(e, C::LessSigned, 64, true),
        M::Vpcmpb => comparisons::integers_by_predicate(e, 8, true),
        M::Vpcmpw => comparisons::integers_by_predicate(e, 16, true),
        M::Vpcmpd => comparisons::integers_by_predicate(e, 32, true),
        M::Vpcmpq => comparisons::integers_by_predicate(e, 64, true),
        M::Vpcmpub => comparisons::integers_by_predicate(e, 8, false),
        M::Vpcmpuw => comparisons::integers_by_predicate(e, 16, false),
        M::Vpcmpud => comparisons::integers_by_predicate(e, 32, false),
        M::Vpcmpuq => comparisons::integers_by_predicate(e, 64, false),
        M::Vptestmb => comparisons::test(e, C::Unequal, 8),
        M::Vptestmw => comparisons::test(e, C::Unequal, 16),
        M::Vptestmd => comparisons::test(e, C::Unequal, 32),
        M::Vptestmq => comparisons::test(e, C::Unequal, 64),
        M::Vptestnmb => comparisons::test(e, C::Equal, 8),
        M::Vptestnmw => comparisons::test(e, C::Equal, 16),
        M::Vptestnmd => comparisons::test(e, C::Equal, 32),
        M::Vptestnmq => comparisons::test(e, C::Equal, 64),
        M::Cmpps | M::Vcmpps => comparisons::floats(e, 32),
        M::Cmppd | M::Vcmppd => comparisons::floats(e, 64),
        M::Cmpss | M::Vcmpss => comparisons::scalars(e, 32),
        M::Cmpsd | M::Vcmpsd => comparisons::scalars(e, 64),
        M::Ucomiss | M::Vucomiss | M::Comiss | M::Vcomiss => floats::compare(e, 32),
        M::Ucomisd | M::Vucomisd | M::Comisd | M::Vcomisd => floats::compare(e, 64),
        M::Ptest | M::Vptest => comparisons::test_bits(e, None),
        M::Vtestps => comparisons::test_bits(e, Some(32)),
        M::Vtestpd => comparisons::test_bits(e, Some(64)),
        _ => None,
    }
}

/// Shifts and rotations.
fn shifted(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Psllw | M::Vpsllw => shifts::uniform(e, O::ShiftLeft, 16),
        M::Pslld | M::Vpslld => shifts::uniform(e, O::ShiftLeft, 32),
        M::Psllq | M::Vpsllq => shifts::uniform(e, O::ShiftLeft, 64),
        M::Psrlw | M::Vpsrlw => shifts::uniform(e, O::ShiftRight, 16),
        M::Psrld | M::Vpsrld => shifts::uniform(e, O::ShiftRight, 32),
        M::Psrlq | M::Vpsrlq => shifts::uniform(e, O::ShiftRight, 64),
        M::Psraw | M::Vpsraw => shifts::uniform(e, O::ShiftRightSigned, 16),
        M::Psrad | M::Vpsrad => shifts::uniform(e, O::ShiftRightSigned, 32),
        M::Vpsraq => shifts::uniform(e, O::ShiftRightSigned, 64),
        M::Vprold => shifts::uniform(e, O::RotateLeft, 32),
        M::Vprolq => shifts::uniform(e, O::RotateLeft, 64),
        M::Vprord => shifts::uniform(e, O::RotateRight, 32),
        M::Vprorq => shifts::uniform(e, O::RotateRight, 64),
        M::Vprotb => shifts::rotate_signed(e, 8),
        M::Vprotw => shifts::rotate_signed(e, 16),
        M::Vprotd => shifts::rotate_signed(e, 32),
        M::Vprotq => shifts::rotate_signed(e, 64),
        M::Vpsllvw => lanes::binary(e, O::ShiftLeft, 16),
        M::Vpsllvd => lanes::binary(e, O::ShiftLeft, 32),
        M::Vpsllvq => lanes::binary(e, O::ShiftLeft, 64),
        M::Vpsrlvw => lanes::binary(e, O::ShiftRight, 16),
        M::Vpsrlvd => lanes::binary(e, O::ShiftRight, 32),
        M::Vpsrlvq => lanes::binary(e, O::ShiftRight, 64),
        M::Vpsravw => lanes::binary(e, O::ShiftRightSigned, 16),
        M::Vpsravd => lanes::binary(e, O::ShiftRightSigned, 32),
        M::Vpsravq => lanes::binary(e, O::ShiftRightSigned, 64),
        M::Vprolvd => lanes::binary(e, O::RotateLeft, 32),
        M::Vprolvq => lanes::binary(e, O::RotateLeft, 64),
        M::Vprorvd => lanes::binary(e, O::RotateRight, 32),
        M::Vprorvq => lanes::binary(e, O::RotateRight, 64),
        M::Pslldq | M::Vpslldq => shifts::bytes(e, O::ShiftLeft),
        M::Psrldq | M::Vpsrldq => shifts::bytes(e, O::ShiftRight),
        M::Palignr | M::Vpalignr => shifts::align_bytes(e),
        M::Valignd => shifts::align_lanes(e, 32),
        M::Valignq => shifts::align_lanes(e, 64),
        _ => None,
    }
}

/// Lanes in another order, blends, packs, broadcasts.
fn shuffled(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Pshufd | M::Vpshufd => shuffles::by_pairs_of_bits(e),
        M::Pshuflw | M::Vpshuflw => shuffles::words(e, false),
        M::Pshufhw | M::Vpshufhw => shuffles::words(e, true),
        M::Pshufb | M::Vpshufb => shuffles::bytes(e),
        M::Shufps | M::Vshufps => shuffles::shuffle_singles(e),
        M::Shufpd | M::Vshufpd => shuffles::shuffle_doubles(e),
        M::Movddup | M::Vmovddup => shuffles::duplicate_doubles(e),
        M::Movsldup | M::Vmovsldup => shuffles::one(e, 32, |_, lane| lane & 2),
        M::Movshdup | M::Vmovshdup => shuffles::one(e, 32, |_, lane| lane | 1),
        M::Punpcklbw | M::Vpunpcklbw => shuffles::interleave(e, 8, false),
        M::Punpcklwd | M::Vpunpcklwd => shuffles::interleave(e, 16, false),
        M::Punpckldq | M::Vpunpckldq | M::Unpcklps | M::Vunpcklps => shuffles::interleave(e, 32, false),
        M::Punpcklqdq | M::Vpunpcklqdq | M::Unpcklpd | M::Vunpcklpd => shuffles::interleave(e, 64, false),
        M::Punpckhbw | M::Vpunpckhbw => shuffles::interleave(e, 8, true),
        M::Punpckhwd | M::Vpunpckhwd => shuffles::interleave(e, 16, true),
        M::Punpckhdq | M::Vpunpckhdq | M::Unpckhps | M::Vunpckhps => shuffles::interleave(e, 32, true),
        M::Punpckhqdq | M::Vpunpckhqdq | M::Unpckhpd | M::Vunpckhpd => shuffles::interleave(e, 64, true),
        M::Packsswb | M::Vpacksswb => shuffles::pack(e, O::PackSigned, 8),
        M::Packssdw | M::Vpackssdw => shuffles::pack(e, O::PackSigned, 16),
        M::Packuswb | M::Vpackuswb => shuffles::pack(e, O::PackUnsigned, 8),
        M::Packusdw | M::Vpackusdw => shuffles::pack(e, O::PackUnsigned, 16),
        M::Vpermilps => shuffles::permute_singles(e),
        M::Vpermilpd => shuffles::permute_doubles(e),
        M::Vpermq | M::Vpermpd => shuffles::permute_quads(e),
        M::Vpermd | M::Vpermps => shuffles::permute(e, 32),
        M::Vpermw => shuffles::permute(e, 16),
        M::Vpermb => shuffles::permute(e, 8),
        M::Vpermt2b => shuffles::permute_two(e, 8, true),
        M::Vpermt2w => shuffles::permute_two(e, 16, true),
        M::Vpermt2d | M::Vpermt2ps => shuffles::permute_two(e, 32, true),
        M::Vpermt2q | M::Vpermt2pd => shuffles::permute_two(e, 64, true),
        M::Vpermi2b => shuffles::permute_two(e, 8, false),
        M::Vpermi2w => shuffles::permute_two(e, 16, false),
        M::Vpermi2d | M::Vpermi2ps => shuffles::permute_two(e, 32, false),
        M::Vpermi2q | M::Vpermi2pd => shuffles::permute_two(e, 64, false),
        M::Vperm2f128 | M::Vperm2i128 => shuffles::permute_halves(e),
        M::Vshuff32x4 | M::Vshufi32x4 => shuffles::shuffle_pieces(e, 32),
        M::Vshuff64x2 | M::Vshufi64x2 => shuffles::shuffle_pieces(e, 64),
        M::Vinsertf128 | M::Vinserti128 => shuffles::insert_piece(e, 128, 128),
        M::Vinsertf32x4 | M::Vinserti32x4 => shuffles::insert_piece(e, 128, 32),
        M::Vinsertf64x2 | M::Vinserti64x2 => shuffles::insert_piece(e, 128, 64),
        M::Vinsertf32x8 | M::Vinserti32x8 => shuffles::insert_piece(e, 256, 32),
        M::Vinsertf64x4 | M::Vinserti64x4 => shuffles::insert_piece(e, 256, 64),
        M::Vextractf128 | M::Vextracti128 => shuffles::extract_piece(e, 128, 128),
        M::Vextractf32x4 | M::Vextracti32x4 => shuffles::extract_piece(e, 128, 32),
        M::Vextractf64x2 | M::Vextracti64x2 => shuffles::extract_piece(e, 128, 64),
        M::Vextractf32x8 | M::Vextracti32x8 => shuffles::extract_piece(e, 256, 32),
        M::Vextractf64x4 | M::Vextracti64x4 => shuffles::extract_piece(e, 256, 64),
        M::Vpbroadcastb => shuffles::broadcast(e, 8, 8),
        M::Vpbroadcastw => shuffles::broadcast(e, 16, 16),
        M::Vpbroadcastd | M::Vbroadcastss => shuffles::broadcast(e, 32, 32),
        M::Vpbroadcastq | M::Vbroadcastsd => shuffles::broadcast(e, 64, 64),
        M::Vbroadcastf128 | M::Vbroadcasti128 => shuffles::broadcast(e, 128, 128),
        M::Vbroadcastf32x2 | M::Vbroadcasti32x2 => shuffles::broadcast(e, 64, 32),
        M::Vbroadcastf32x4 | M::Vbroadcasti32x4 => shuffles::broadcast(e, 128, 32),
        M::Vbroadcastf64x2 | M::Vbroadcasti64x2 => shuffles::broadcast(e, 128, 64),
        M::Vbroadcastf32x8 | M::Vbroadcasti32x8 => shuffles::broadcast(e, 256, 32),
        M::Vbroadcastf64x4 | M::Vbroadcasti64x4 => shuffles::broadcast(e, 256, 64),
        M::Blendps | M::Vblendps | M::Vpblendd => shuffles::blend(e, 32),
        M::Blendpd | M::Vblendpd => shuffles::blend(e, 64),
        M::Pblendw | M::Vpblendw => shuffles::blend(e, 16),
        M::Pblendvb | M::Vpblendvb => shuffles::blend_by_sign(e, 8),
        M::Blendvps | M::Vblendvps => shuffles::blend_by_sign(e, 32),
        M::Blendvpd | M::Vblendvpd => shuffles::blend_by_sign(e, 64),
        M::Vpblendmb => shuffles::blend_by_mask(e, 8),
        M::Vpblendmw => shuffles::blend_by_mask(e, 16),
        M::Vpblendmd | M::Vblendmps => shuffles::blend_by_mask(e, 32),
        M::Vpblendmq | M::Vblendmpd => shuffles::blend_by_mask(e, 64),
        M::Insertps | M::Vinsertps => shuffles::insert_single(e),
        M::Pinsrb | M::Vpinsrb => shuffles::insert_lane(e, 8),
        M::Pinsrw | M::Vpinsrw => shuffles::insert_lane(e, 16),
        M::Pinsrd | M::Vpinsrd => shuffles::insert_lane(e, 32),
        M::Pinsrq | M::Vpinsrq => shuffles::insert_lane(e, 64),
        M::Pextrb | M::Vpextrb => shuffles::extract_lane(e, 8),
        M::Pextrw | M::Vpextrw => shuffles::extract_lane(e, 16),
        M::Pextrd | M::Vpextrd | M::Extractps | M::Vextractps => shuffles::extract_lane(e, 32),
        M::Pextrq | M::Vpextrq => shuffles::extract_lane(e, 64),
        _ => None,
    }
}

/// Floating-point arithmetic.
fn floating(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Addps | M::Vaddps => lanes::binary(e, O::FloatAdd, 32),
        M::Addpd | M::Vaddpd => lanes::binary(e, O::FloatAdd, 64),
        M::Addss | M::Vaddss => floats::scalar(e, O::FloatAdd, 32),
        M::Addsd | M::Vaddsd => floats::scalar(e, O::FloatAdd, 64),
        M::Subps | M::Vsubps => lanes::binary(e, O::FloatSubtract, 32),
        M::Subpd | M::Vsubpd => lanes::binary(e, O::FloatSubtract, 64),
        M::Subss | M::Vsubss => floats::scalar(e, O::FloatSubtract, 32),
        M::Subsd | M::Vsubsd => floats::scalar(e, O::FloatSubtract, 64),
        M::Mulps | M::Vmulps => lanes::binary(e, O::FloatMultiply, 32),
        M::Mulpd | M::Vmulpd => lanes::binary(e, O::FloatMultiply, 64),
        M::Mulss | M::Vmulss => floats::scalar(e, O::FloatMultiply, 32),
        M::Mulsd | M::Vmulsd => floats::scalar(e, O::FloatMultiply, 64),
        M::Divps | M::Vdivps => lanes::binary(e, O::FloatDivide, 32),
        M::Divpd | M::Vdivpd => lanes::binary(e, O::FloatDivide, 64),
        M::Divss | M::Vdivss => floats::scalar(e, O::FloatDivide, 32),
        M::Divsd | M::Vdivsd => floats::scalar(e, O::FloatDivide, 64),
        M::Minps | M::Vminps => lanes::binary(e, O::FloatMinimum, 32),
        M::Minpd | M::Vminpd => lanes::binary(e, O::FloatMinimum, 64),
        M::Minss | M::Vminss => floats::scalar(e, O::FloatMinimum, 32),
        M::Minsd | M::Vminsd => floats::scalar(e, O::FloatMinimum, 64),
        M::Maxps | M::Vmaxps => lanes::binary(e, O::FloatMaximum, 32),
        M::Maxpd | M::Vmaxpd => lanes::binary(e, O::FloatMaximum, 64),
        M::Maxss | M::Vmaxss => floats::scalar(e, O::FloatMaximum, 32),
        M::Maxsd | M::Vmaxsd => floats::scalar(e, O::FloatMaximum, 64),
        M::Sqrtps | M::Vsqrtps => lanes::unary(e, O::FloatSquareRoot, 32),
        M::Sqrtpd | M::Vsqrtpd => lanes::unary(e, O::FloatSquareRoot, 64),
        M::Sqrtss | M::Vsqrtss => floats::scalar_of_one(e, O::FloatSquareRoot, 32),
        M::Sqrtsd | M::Vsqrtsd => floats::scalar_of_one(e, O::FloatSquareRoot, 64),
        M::Roundps | M::Vroundps | M::Vrndscaleps => floats::round(e, 32),
        M::Roundpd | M::Vroundpd | M::Vrndscalepd => floats::round(e, 64),
        M::Roundss | M::Vroundss | M::Vrndscaless => floats::round_scalar(e, 32),
        M::Roundsd | M::Vroundsd | M::Vrndscalesd => floats::round_scalar(e, 64),
        M::Addsubps | M::Vaddsubps => floats::add_and_subtract(e, 32),
        M::Addsubpd | M::Vaddsubpd => floats::add_and_subtract(e, 64),
        M::Haddps | M::Vhaddps => lanes::horizontal(e, O::FloatAdd, 32),
        M::Haddpd | M::Vhaddpd => lanes::horizontal(e, O::FloatAdd, 64),
        M::Hsubps | M::Vhsubps => lanes::horizontal(e, O::FloatSubtract, 32),
        M::Hsubpd | M::Vhsubpd => lanes::horizontal(e, O::FloatSubtract, 64),
        _ => None,
    }
}

/// Conversions.
fn converted(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Cvtdq2ps | M::Vcvtdq2ps => conversions::lanes(e, O::SignedToFloat, 32, 32),
        M::Cvtdq2pd | M::Vcvtdq2pd => conversions::lanes(e, O::SignedToFloat, 32, 64),
        M::Vcvtudq2ps => conversions::lanes(e, O::UnsignedToFloat, 32, 32),
        M::Vcvtudq2pd => conversions::lanes(e, O::UnsignedToFloat, 32, 64),
        M::Vcvtqq2ps => conversions::lanes(e, O::SignedToFloat, 64, 32),
        M::Vcvtqq2pd => conversions::lanes(e, O::SignedToFloat, 64, 64),
        M::Vcvtuqq2ps => conversions::lanes(e, O::UnsignedToFloat, 64, 32),
        M::Vcvtuqq2pd => conversions::lanes(e, O::UnsignedToFloat, 64, 64),
        M::Cvtps2dq | M::Vcvtps2dq => conversions::lanes(e, TO_SIGNED, 32, 32),
        M::Cvtpd2dq | M::Vcvtpd2dq => conversions::lanes(e, TO_SIGNED, 64, 32),
        M::Vcvtps2qq => conversions::lanes(e, TO_SIGNED, 32, 64),
        M::Vcvtpd2qq => conversions::lanes(e, TO_SIGNED, 64, 64),
        M::Vcvtps2udq => conversions::lanes(e, TO_UNSIGNED, 32, 32),
        M::Vcvtpd2udq => conversions::lanes(e, TO_UNSIGNED, 64, 32),
        M::Vcvtps2uqq => conversions::lanes(e, TO_UNSIGNED, 32, 64),
        M::Vcvtpd2uqq => conversions::lanes(e, TO_UNSIGNED, 64, 64),
        M::Cvtss2si | M::Vcvtss2si => conversions::to_integer(e, TO_SIGNED, 32),
        M::Cvtsd2si | M::Vcvtsd2si => conversions::to_integer(e, TO_SIGNED, 64),
        M::Vcvtss2usi => conversions::to_integer(e, TO_UNSIGNED, 32),
        M::Vcvtsd2usi => conversions::to_integer(e, TO_UNSIGNED, 64),
        M::Cvttps2dq | M::Vcvttps2dq => conversions::lanes(e, TO_SIGNED_TRUNCATED, 32, 32),
        M::Cvttpd2dq | M::Vcvttpd2dq => conversions::lanes(e, TO_SIGNED_TRUNCATED, 64, 32),
        M::Vcvttps2qq => conversions::lanes(e, TO_SIGNED_TRUNCATED, 32, 64),
        M::Vcvttpd2qq => conversions::lanes(e, TO_SIGNED_TRUNCATED, 64, 64),
        M::Vcvttps2udq => conversions::lanes(e, TO_UNSIGNED_TRUNCATED, 32, 32),
        M::Vcvttpd2udq => conversions::lanes(e, TO_UNSIGNED_TRUNCATED, 64, 32),
        M::Vcvttps2uqq => conversions::lanes(e, TO_UNSIGNED_TRUNCATED, 32, 64),
        M::Vcvttpd2uqq => conversions::lanes(e, TO_UNSIGNED_TRUNCATED, 64, 64),
        M::Cvttss2si | M::Vcvttss2si => conversions::to_integer(e, TO_SIGNED_TRUNCATED, 32),
        M::Cvttsd2si | M::Vcvttsd2si => conversions::to_integer(e, TO_SIGNED_TRUNCATED, 64),
        M::Vcvttss2usi => conversions::to_integer(e, TO_UNSIGNED_TRUNCATED, 32),
        M::Vcvttsd2usi => conversions::to_integer(e, TO_UNSIGNED_TRUNCATED, 64),
        M::Cvtsi2ss | M::Vcvtsi2ss => conversions::from_integer(e, O::SignedToFloat, 32),
        M::Cvtsi2sd | M::Vcvtsi2sd => conversions::from_integer(e, O::SignedToFloat, 64),
        M::Vcvtusi2ss => conversions::from_integer(e, O::UnsignedToFloat, 32),
        M::Vcvtusi2sd => conversions::from_integer(e, O::UnsignedToFloat, 64),
        M::Cvtps2pd | M::Vcvtps2pd => conversions::lanes(e, O::FloatConvert, 32, 64),
        M::Cvtpd2ps | M::Vcvtpd2ps => conversions::lanes(e, O::FloatConvert, 64, 32),
        M::Cvtss2sd | M::Vcvtss2sd => conversions::scalar(e, 32, 64),
        M::Cvtsd2ss | M::Vcvtsd2ss => conversions::scalar(e, 64, 32),
        M::Vcvtph2ps => conversions::lanes(e, O::FloatConvert, 16, 32),
        M::Vcvtps2ph => conversions::to_half(e),
        M::Pmovzxbw | M::Vpmovzxbw => conversions::extend(e, O::ZeroExtend, 8, 16),
        M::Pmovsxbw | M::Vpmovsxbw => conversions::extend(e, O::SignExtend, 8, 16),
        M::Pmovzxbd | M::Vpmovzxbd => conversions::extend(e, O::ZeroExtend, 8, 32),
        M::Pmovsxbd | M::Vpmovsxbd => conversions::extend(e, O::SignExtend, 8, 32),
        M::Pmovzxbq | M::Vpmovzxbq => conversions::extend(e, O::ZeroExtend, 8, 64),
        M::Pmovsxbq | M::Vpmovsxbq => conversions::extend(e, O::SignExtend, 8, 64),
        M::Pmovzxwd | M::Vpmovzxwd => conversions::extend(e, O::ZeroExtend, 16, 32),
        M::Pmovsxwd | M::Vpmovsxwd => conversions::extend(e, O::SignExtend, 16, 32),
        M::Pmovzxwq | M::Vpmovzxwq => conversions::extend(e, O::ZeroExtend, 16, 64),
        M::Pmovsxwq | M::Vpmovsxwq => conversions::extend(e, O::SignExtend, 16, 64),
        M::Pmovzxdq | M::Vpmovzxdq => conversions::extend(e, O::ZeroExtend, 32, 64),
        M::Pmovsxdq | M::Vpmovsxdq => conversions::extend(e, O::SignExtend, 32, 64),
        M::Vpmovwb => conversions::truncate(e, 16, 8),
        M::Vpmovdb => conversions::truncate(e, 32, 8),
        M::Vpmovdw => conversions::truncate(e, 32, 16),
        M::Vpmovqb => conversions::truncate(e, 64, 8),
        M::Vpmovqw => conversions::truncate(e, 64, 16),
        M::Vpmovqd => conversions::truncate(e, 64, 32),
        _ => None,
    }
}

/// Steps of ciphers.
fn enciphered(e: &mut Emitter<'_>) -> Option<()> {
    match e.instruction.mnemonic() {
        M::Aesenc | M::Vaesenc => ciphers::round(e, false, true),
        M::Aesenclast | M::Vaesenclast => ciphers::round(e, false, false),
        M::Aesdec | M::Vaesdec => ciphers::round(e, true, true),
        M::Aesdeclast | M::Vaesdeclast => ciphers::round(e, true, false),
        M::Aesimc | M::Vaesimc => lanes::unary(e, O::AesMixColumns { is_inverse: true }, 32),
        M::Aeskeygenassist | M::Vaeskeygenassist => ciphers::assist_key(e),
        _ => None,
    }
}
