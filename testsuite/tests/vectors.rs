//! Ops of vector instructions that not every processor has, compared with what they follow from: under a mask, with the
//! same instruction without one; in the encoding of AVX-512, with that of AVX; and what only AVX-512 has, with its
//! definition. Every form obeys the rules of the language.

use binframe::passes::isa::Isa;
use binframe::passes::isa::ops::{Flag, Operation, Ops, Part, Reg};
use binframe_testsuite::random::Random;
use binframe_testsuite::semantics::{Outcome, State, evaluate, verify};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of the first vector register and of the first mask in ops.
const VECTORS: u8 = 32;
const MASKS: u8 = 64;

fn decode(bytes: &[u8]) -> Option<Instruction> {
    let instruction = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// Calls a function with every valid instruction that begins so, followed by an opcode and operands.
fn forms(prefix: &[u8], operands: &[u8], mut check: impl FnMut(&[u8], &Instruction)) {
    for opcode in 0..=255 {
        for operand in operands {
            for immediate in [0, 0x1b, 0xe6] {
                let bytes = [prefix, &[opcode, *operand], &[immediate; 6]].concat();
                let is_other = |size| immediate == 0 || size > prefix.len() + 2;
                if let Some(instruction) = decode(&bytes).filter(|instruction| is_other(instruction.len())) {
                    check(&bytes[..instruction.len()], &instruction);
                }
            }
        }
    }
}

/// The prefix of AVX-512 before map, `W`, second source (15 for none), `pp`, length, and mask.
fn evex(map: u8, w: u8, source: u8, pp: u8, length: u8, mask: u8) -> [u8; 4] {
    [0x62, 0xf0 | map, w << 7 | (!source & 15) << 3 | 4 | pp, length << 5 | 8 | mask]
}

/// Every combination of what selects an instruction: map, `W`, second source, `pp`, length.
fn encodings() -> impl Iterator<Item = (u8, u8, u8, u8, u8)> {
    (0..3 * 2 * 2 * 4 * 3).map(|index| {
        (1 + index % 3, index / 3 % 2, [0, 5][usize::from(index / 6 % 2)], index / 12 % 4, index / 48)
    })
}

/// A state with random registers. Lanes are often small, or alike.
fn random_state(random: &mut Random) -> State {
    let mut state = State::default();
    for vector in 0..32 {
        let words = [(); 8].map(|()| match random.below(4) {
            0 => random.number() & 0x0f0f_0f0f_0f0f_0f0f,
            1 => 0x3ff0_0000_4000_0000_u64.wrapping_add(random.number() & 0xffff_f000_00ff_f000),
            _ => random.number(),
        });
        state.set_words(Reg(VECTORS + vector), &words);
    }
    for register in (0..16).chain(MASKS..MASKS + 8) {
        state.set_number(Reg(register), random.number());
    }
    state
}

/// The exact ops of an instruction; `None` if they are opaque or access memory.
fn exact(bytes: &[u8]) -> Option<Ops> {
    let mut ops = Ops::default();
    Isa::X86_64.ops(bytes, 0x1000, &mut ops)?;
    (!ops.has_opaque()).then_some(ops)
}

/// The state after an instruction.
fn after(ops: &Ops, before: &State) -> State {
    let mut state = before.clone();
    assert_eq!(evaluate(ops, &mut state), Outcome::Next);
    state
}

fn lane(state: &State, register: u8, low: u16, bits: u16) -> u128 {
    state.register(Reg(register), Part { low, bits }).low()
}

/// Lanes of 32 bits of a vector.
fn words(state: &State, vector: u8) -> [u32; 16] {
    std::array::from_fn(|index| lane(state, VECTORS + vector, 32 * index as u16, 32) as u32)
}

#[test]
fn every_form_obeys_the_rules() {
    let mut prefixes = Vec::new();
    for mandatory in [&[][..], &[0x66], &[0xf3], &[0xf2]] {
        for rex in [&[][..], &[0x48], &[0x45]] {
            for map in [&[0x0f][..], &[0x0f, 0x38], &[0x0f, 0x3a]] {
                prefixes.push([mandatory, rex, map].concat());
            }
        }
    }
    for map in 1..=3 {
        prefixes.extend((0..=255).map(|last| vec![0xc4, 0xe0 | map, last]));
    }
    for map in 8..=10 {
        prefixes.extend((0..=255).map(|last| vec![0x8f, 0xe0 | map, last]));
    }
    for (map, w, source, pp, length) in encodings() {
        for last in [0x00, 0x02, 0x10, 0x12, 0x82, 0x92] {
            let mut prefix = evex(map, w, source, pp, length, 0);
            prefix[3] |= last;
            prefixes.push(prefix.to_vec());
        }
    }
    let (mut broken, mut mnemonics) = (Vec::new(), BTreeMap::new());
    let mut ops = Ops::default();
    for prefix in prefixes {
        forms(&prefix, &[0xc1, 0xd3, 0x08, 0x4c, 0x84], |bytes, instruction| {
            Isa::X86_64.ops(bytes, 0x1000, &mut ops).expect("it is valid");
            if let Err(rule) = verify(&ops) {
                broken.push(format!("{bytes:02x?}: {rule}"));
            }
            *mnemonics.entry(instruction.mnemonic() as usize).or_insert(false) |= !ops.has_opaque();
        });
    }
    broken.truncate(20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let exact = mnemonics.values().filter(|is_exact| **is_exact).count();
    assert!(exact > 600, "{exact} mnemonics are exact");
}

/// The widths of lanes for which a masked result follows from the one without a mask.
fn lane_widths(bytes: &[u8], plain: &Ops, is_scalar: bool, random: &mut Random) -> Vec<u16> {
    let merging = exact(bytes).expect("it is exact without a mask");
    let mut zeroing = bytes.to_vec();
    zeroing[3] |= 0x80;
    let zeroing = exact(&zeroing).filter(|_| decode(&zeroing).is_some());
    let destination = decode(bytes).expect("it is valid").op0_register();
    let number = destination.number() as u8;
    let mut widths = vec![8, 16, 32, 64];
    for _ in 0..3 {
        let before = random_state(random);
        let results = [Some(&merging), zeroing.as_ref()].map(|ops| ops.map(|ops| after(ops, &before)));
        let plain = after(plain, &before);
        let mask = before.number(Reg(MASKS + 2));
        if destination.is_k() {
            // A comparison: what the mask does not select is 0.
            let is_same = results[0].as_ref().is_some_and(|result| {
                result.number(Reg(MASKS + number)) == plain.number(Reg(MASKS + number)) & mask
            });
            widths.retain(|_| is_same);
            continue;
        }
        let register = VECTORS + number;
        // Lanes that are zeroed with the rest of the register are 0 with a mask too.
        let is_above = |low: u16| (low..512).step_by(8).all(|low| lane(&plain, register, low, 8) == 0);
        widths.retain(|bits| {
            (0..512 / bits).all(|index| {
                let low = index * bits;
                let of = |state: &State| lane(state, register, low, *bits);
                // The lanes above a scalar have nothing to do with the mask.
                let is_chosen = mask >> index & 1 == 1 || (is_scalar && index > 0);
                let expected = |other| if is_chosen { of(&plain) } else { other };
                results.iter().flatten().enumerate().all(|(kind, result)| {
                    let other = if kind == 0 { of(&before) } else { 0 };
                    of(result) == expected(other) || (of(result) == 0 && is_above(low))
                })
            })
        });
    }
    widths
}

/// Width of the lanes that a mask selects, as the name of an instruction says.
fn lane_bits(name: &str) -> u16 {
    match name {
        _ if name.contains("64x") || name.ends_with("ddup") => 64,
        _ if name.contains("32x") || name.ends_with("2dq") || name.ends_with("2udq") => 32,
        "Vpalignr" | "Vpunpcklbw" | "Vpunpckhbw" | "Vmovdqu8" => 8,
        _ if name.ends_with("2ph") => 16,
        "Vpunpcklwd" | "Vpunpckhwd" | "Vmovdqu16" => 16,
        "Vpunpckldq" | "Vpunpckhdq" => 32,
        _ if name.ends_with('q') || name.ends_with("pd") || name.ends_with("64") => 64,
        _ if name.ends_with("sd") && !name.starts_with("Vp") => 64,
        _ if name.ends_with('b') => 8,
        _ if name.ends_with('w') => 16,
        _ => 32,
    }
}

#[test]
fn masks_select_lanes() {
    let mut random = Random(1);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (map, w, source, pp, length) in encodings() {
        forms(&evex(map, w, source, pp, length, 2), &[0xc1], |bytes, instruction| {
            let mut plain = bytes.to_vec();
            plain[3] &= !7;
            let first = instruction.op0_register();
            let (Some(plain), Some(_)) = (exact(&plain), exact(bytes)) else { return };
            let name = format!("{:?}", instruction.mnemonic());
            // The blends of `vblendm` choose from the first source instead.
            if !(first.is_vector_register() || first.is_k()) || name.contains("blendm") {
                return;
            }
            let is_scalar = !instruction.memory_size().is_packed()
                && (name.ends_with("ss") || name.ends_with("sd"))
                && !name.starts_with("Vbroadcast");
            let widths = lane_widths(bytes, &plain, is_scalar, &mut random);
            count += 1;
            if widths.is_empty() || !(first.is_k() || widths.contains(&lane_bits(&name))) {
                wrong.push(format!("{name} {bytes:02x?}: lanes of {widths:?}"));
            }
        });
    }
    wrong.dedup_by_key(|text| text.split(' ').next().map(str::to_owned));
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn both_encodings_mean_the_same() {
    let mut random = Random(2);
    let mut mnemonics = BTreeSet::new();
    for (map, w, source, pp, length) in encodings().filter(|(.., length)| *length < 2) {
        let vex = [0xc4, 0xe0 | map, w << 7 | (!source & 15) << 3 | length << 2 | pp];
        forms(&vex, &[0xc1, 0xd3], |bytes, instruction| {
            for w in 0..2 {
                let other = [&evex(map, w, source, pp, length, 0), &bytes[3..]].concat();
                let Some(same) = decode(&other).filter(|same| same.mnemonic() == instruction.mnemonic())
                else {
                    continue;
                };
                let operands = |instruction: &Instruction| {
                    [0, 1, 2].map(|operand| instruction.op_register(operand.min(instruction.op_count() - 1)))
                };
                let (Some(ops), Some(wide)) = (exact(bytes), exact(&other)) else { continue };
                if operands(&same) != operands(instruction) {
                    continue;
                }
                let before = random_state(&mut random);
                let (a, b) = (after(&ops, &before), after(&wide, &before));
                for register in (0..16).chain(VECTORS..MASKS + 8).map(Reg) {
                    assert_eq!(
                        a.whole(register),
                        b.whole(register),
                        "{:?} {bytes:02x?}",
                        instruction.mnemonic()
                    );
                }
                mnemonics.insert(instruction.mnemonic() as usize);
            }
        });
    }
    assert!(mnemonics.len() > 200, "{} mnemonics", mnemonics.len());
}

/// Checks an instruction of `zmm0`, `zmm5` and `zmm1` against its definition on lanes of 32 bits.
fn check(
    mnemonic: Mnemonic,
    (map, w, pp, opcode): (u8, u8, u8, u8),
    immediate: &[u8],
    define: impl Fn([u32; 16], [u32; 16], [u32; 16]) -> [u32; 16],
) {
    let bytes = [&evex(map, w, 5, pp, 2, 0)[..], &[opcode, 0xc1], immediate].concat();
    let instruction = decode(&bytes).expect("it is valid");
    assert_eq!(instruction.mnemonic(), mnemonic);
    assert_eq!(instruction.op1_register(), Register::ZMM5);
    let ops = exact(&bytes).expect("it is exact");
    assert!(ops.as_slice().iter().all(|op| op.operation != Operation::Undefined));
    let mut random = Random(3);
    for _ in 0..20 {
        let before = random_state(&mut random);
        let expected = define(words(&before, 0), words(&before, 5), words(&before, 1));
        assert_eq!(words(&after(&ops, &before), 0), expected, "{mnemonic:?}");
    }
}

#[test]
fn instructions_of_avx_512_are_as_defined() {
    use std::array::from_fn;
    for table in [0x00, 0x96, 0xe8, 0xca, 0x1b, 0x5a, 0xff, 0x78, 0xd2] {
        check(Mnemonic::Vpternlogd, (3, 0, 1, 0x25), &[table], |a, b, c| {
            from_fn(|lane| {
                (0..32).fold(0, |word, bit| {
                    let index = (a[lane] >> bit & 1) << 2 | (b[lane] >> bit & 1) << 1 | (c[lane] >> bit & 1);
                    word | (u32::from(table) >> index & 1) << bit
                })
            })
        });
    }
    let both = |low: [u32; 16], high: [u32; 16], index: u32| {
        let index = index as usize % 32;
        if index < 16 { low[index] } else { high[index - 16] }
    };
    check(Mnemonic::Vpermt2d, (2, 0, 1, 0x7e), &[], |a, b, c| from_fn(|lane| both(a, c, b[lane])));
    check(Mnemonic::Vpermi2d, (2, 0, 1, 0x76), &[], |a, b, c| from_fn(|lane| both(b, c, a[lane])));
    check(Mnemonic::Vpermd, (2, 0, 1, 0x36), &[], |_, b, c| from_fn(|lane| c[b[lane] as usize % 16]));
    for count in [0, 3, 15, 17] {
        check(Mnemonic::Valignd, (3, 0, 1, 0x03), &[count], |_, b, c| {
            from_fn(|lane| both(c, b, lane as u32 + u32::from(count % 16)))
        });
    }
    for order in [0x00, 0x1b, 0xe4] {
        check(Mnemonic::Vshufi32x4, (3, 0, 1, 0x43), &[order], |_, b, c| {
            from_fn(|lane| {
                let piece = usize::from(order >> (lane / 4 * 2) & 3);
                if lane < 8 { b[4 * piece + lane % 4] } else { c[4 * piece + lane % 4] }
            })
        });
        check(Mnemonic::Vinserti32x4, (3, 0, 1, 0x38), &[order], |_, b, c| {
            from_fn(|lane| if lane / 4 == usize::from(order & 3) { c[lane % 4] } else { b[lane] })
        });
    }
    check(Mnemonic::Vprolvd, (2, 0, 1, 0x15), &[], |_, b, c| {
        from_fn(|lane| b[lane].rotate_left(c[lane] % 32))
    });
    check(Mnemonic::Vprorvd, (2, 0, 1, 0x14), &[], |_, b, c| {
        from_fn(|lane| b[lane].rotate_right(c[lane] % 32))
    });
    check(Mnemonic::Vpmadd52luq, (2, 1, 1, 0xb4), &[], |a, b, c| multiply_add_52(a, b, c, 0));
    check(Mnemonic::Vpmadd52huq, (2, 1, 1, 0xb5), &[], |a, b, c| multiply_add_52(a, b, c, 52));
}

/// Adds 52 bits, from the given one, of products of 52 bits to lanes of 64.
fn multiply_add_52(a: [u32; 16], b: [u32; 16], c: [u32; 16], low: u32) -> [u32; 16] {
    let quad =
        |words: [u32; 16], lane: usize| u64::from(words[2 * lane]) | u64::from(words[2 * lane + 1]) << 32;
    let factor = |words, lane| u128::from(quad(words, lane)) & ((1 << 52) - 1);
    std::array::from_fn(|index| {
        let lane = index / 2;
        let product = (factor(b, lane) * factor(c, lane)) >> low & ((1 << 52) - 1);
        (quad(a, lane).wrapping_add(product as u64) >> (32 * (index % 2))) as u32
    })
}

#[test]
fn masks_are_computed_as_defined() {
    type Case<'a> = (Mnemonic, &'a [u8], fn(u16, u16) -> u16);
    // Instructions of k1, k2 and k3, or of k1 and k2 with a constant.
    let cases: [Case<'_>; 9] = [
        (Mnemonic::Kandw, &[0xc5, 0xec, 0x41, 0xcb], |a, b| a & b),
        (Mnemonic::Kandnw, &[0xc5, 0xec, 0x42, 0xcb], |a, b| !a & b),
        (Mnemonic::Korw, &[0xc5, 0xec, 0x45, 0xcb], |a, b| a | b),
        (Mnemonic::Kxnorw, &[0xc5, 0xec, 0x46, 0xcb], |a, b| !(a ^ b)),
        (Mnemonic::Kaddw, &[0xc5, 0xec, 0x4a, 0xcb], u16::wrapping_add),
        (Mnemonic::Kunpckbw, &[0xc5, 0xed, 0x4b, 0xcb], |a, b| a << 8 | (b & 0xff)),
        (Mnemonic::Knotw, &[0xc5, 0xf8, 0x44, 0xca], |a, _| !a),
        (Mnemonic::Kshiftlw, &[0xc4, 0xe3, 0xf9, 0x32, 0xca, 3], |a, _| a << 3),
        (Mnemonic::Kshiftrw, &[0xc4, 0xe3, 0xf9, 0x30, 0xca, 16], |_, _| 0),
    ];
    let mut random = Random(4);
    for (mnemonic, bytes, define) in cases {
        assert_eq!(decode(bytes).map(|instruction| instruction.mnemonic()), Some(mnemonic));
        let before = random_state(&mut random);
        let [a, b] = [2, 3].map(|mask| before.number(Reg(MASKS + mask)) as u16);
        let after = after(&exact(bytes).expect("it is exact"), &before);
        assert_eq!(after.number(Reg(MASKS + 1)), u64::from(define(a, b)), "{mnemonic:?}");
    }
    // kortestw k1, k2; ktestw k1, k2
    for (a, b) in [(0, 0), (0xff00, 0xff), (0xff00, 0xff00), (0xff, 0xfffe)] {
        let mut before = State::default();
        before.set_number(Reg(MASKS + 1), a);
        before.set_number(Reg(MASKS + 2), b);
        let flags = |opcode| {
            let ops = exact(&[0xc5, 0xf8, opcode, 0xca]).expect("it is exact");
            [Flag::Zero, Flag::Carry].map(|flag| after(&ops, &before).flag(flag))
        };
        assert_eq!(flags(0x98), [Some(a | b == 0), Some(a | b == 0xffff)]);
        assert_eq!(flags(0x99), [Some(a & b == 0), Some(!a & b == 0)]);
    }
}
