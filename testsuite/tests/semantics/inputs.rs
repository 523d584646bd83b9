//! `(encoding, seed) -> (code, machine)`: a state for an instruction, in which its operands are special numbers or random
//! ones, and its memory operands are in the page of data, with a few at its edges and beyond.

use crate::forms;
use crate::native::{CODE, DATA, GS, Machine, PAGE};
use binframe_testsuite::random::Random;
use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
    UsedMemory,
};

/// An instruction at [`CODE`], and the state before it.
pub(crate) struct Case {
    pub(crate) bytes: Vec<u8>,
    pub(crate) instruction: Instruction,
    pub(crate) machine: Machine,
}

/// An encoding of the form: one of those of the programs, or such a one with a few bits changed.
pub(crate) fn encoding(
    encodings: &[Vec<u8>],
    form: &str,
    is_32: bool,
    random: &mut Random,
) -> (Vec<u8>, Instruction) {
    let mut bytes = random.pick(encodings).clone();
    while let Some(prefix) = fs_prefix(&bytes).filter(|_| !is_32) {
        // The other segment has a base of ours.
        bytes[prefix] = 0x65;
    }
    let decoded = |bytes: &[u8]| forms::decode(bytes, CODE, is_32);
    let original = decoded(&bytes).expect("encodings are valid");
    let name = if form.contains("fs:") { forms::name(&original) } else { form.to_owned() };
    for _ in 0..random.below(6) {
        let mut other = bytes.clone();
        for _ in 0..=random.below(4) {
            let bit = random.below(other.len() * 8);
            other[bit / 8] ^= 1 << (bit % 8);
        }
        let is_same = |instruction: &Instruction| {
            instruction.len() == other.len()
                && forms::name(instruction) == name
                && (is_32 || fs_prefix(&other).is_none())
                && !is_shortened_branch(instruction, &other)
        };
        if let Some(instruction) = decoded(&other).filter(is_same) {
            return (other, instruction);
        }
    }
    (bytes, original)
}

/// Whether a branch has a prefix for operands of 16 bits, which AMD honours in 64-bit mode and Intel ignores.
fn is_shortened_branch(instruction: &Instruction, bytes: &[u8]) -> bool {
    forms::is_branch(instruction) && bytes[..bytes.len() - 1].contains(&0x66)
}

fn fs_prefix(bytes: &[u8]) -> Option<usize> {
    let prefixes = bytes.iter().take_while(|byte| {
        matches!(
            byte,
            0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64 | 0x65 | 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3
        )
    });
    prefixes.enumerate().find(|(_, byte)| **byte == 0x64).map(|(index, _)| index)
}

/// The case of an encoding.
pub(crate) fn case(
    mut bytes: Vec<u8>,
    instruction: Instruction,
    is_32: bool,
    facts: &mut InstructionInfoFactory,
    random: &mut Random,
) -> Case {
    let mut machine = Machine::zero();
    if instruction.mnemonic() == Mnemonic::Enter {
        // The frame is within the page.
        let at = bytes.len() - 2;
        bytes[at] = 0;
    }
    for register in &mut machine.general {
        *register = number(random);
    }
    machine.flags = 0x202 | random.number() & 0xcd5;
    let kind = random.below(6);
    for vector in &mut machine.vectors {
        *vector = [(); 4].map(|()| lanes(kind, random));
    }
    machine.mxcsr = 0x1f80 | (random.below(4) as u32) << 13;
    prepare_x87(&instruction, &mut machine, random);
    let mut filler = Random(random.number());
    for chunk in machine.memory.chunks_exact_mut(8) {
        chunk.copy_from_slice(&filler.number().to_le_bytes());
    }
    prepare_operands(&instruction, &mut machine, random);
    let used: Vec<UsedMemory> = facts.info(&instruction).used_memory().to_vec();
    let mut fixed = Vec::new();
    machine.general[4] = DATA + 2048 + 8 * random.below(16) as u64;
    for memory in &used {
        place(&mut bytes, &instruction, memory, is_32, &mut machine, &mut fixed, random);
    }
    if forms::is_branch(&instruction) {
        // Targets are addresses that exist.
        for chunk in machine.memory.chunks_exact_mut(8) {
            chunk[6..].fill(0);
            chunk[5] &= 0x7f;
        }
        if instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Register {
            let register = &mut machine.general[instruction.op0_register().full_register().number()];
            *register &= 0x7fff_ffff_ffff;
        }
    }
    if is_32 {
        // What 32-bit code cannot see is lost when it is left.
        machine.general.iter_mut().for_each(|register| *register &= 0xffff_ffff);
    }
    let instruction = forms::decode(&bytes, CODE, is_32).expect("it was valid");
    if forms::is_branch(&instruction)
        && instruction.op_count() > 0
        && instruction.op0_kind() == OpKind::Memory
    {
        let base_of = |register: Register, _: usize, _: usize| match register {
            Register::GS => Some(GS),
            _ if register.is_segment_register() => Some(0),
            _ => Some(machine.general[register.full_register().number()]),
        };
        let address = instruction.virtual_address(0, 0, base_of).unwrap_or(0);
        if let Some(target) =
            machine.memory.get_mut(address.wrapping_sub(DATA) as usize..).and_then(|at| at.get_mut(..8))
        {
            target[5..].fill(0);
        }
    }
    Case { bytes, instruction, machine }
}

/// Numbers of which one bit decides something.
fn number(random: &mut Random) -> u64 {
    const SPECIAL: [u64; 12] = [
        0,
        1,
        u64::MAX,
        0x80,
        0x8000,
        0x8000_0000,
        1 << 63,
        0x7f,
        0x7fff,
        0x7fff_ffff,
        i64::MAX as u64,
        0xffff_ffff,
    ];
    let any = random.number();
    match random.below(8) {
        0 | 1 => *random.pick(&SPECIAL),
        2 => any % 70,
        3 => 1 << (any % 64),
        4 => (1_u64 << (any % 64)).wrapping_sub(any >> 63),
        5 => any & 0xffff_ffff,
        _ => any,
    }
}

/// Numbers for a lane of 64 bits, of one kind for all lanes.
fn lanes(kind: usize, random: &mut Random) -> u64 {
    const SINGLE: [u32; 22] = [
        0,
        0x8000_0000,
        1,
        0x8000_0001,
        0x007f_ffff,
        0x0080_0000,
        0x3f80_0000,
        0xbf80_0000,
        0x3f00_0000,
        0x3fc0_0000,
        0x4020_0000,
        0xc020_0000,
        0x7f7f_ffff,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0x7f80_0001,
        0xffc1_2345,
        0x4f00_0000,
        0xcf00_0000,
        0x5f00_0000,
        0x3eaa_aaab,
    ];
    const DOUBLE: [u64; 22] = [
        0,
        1 << 63,
        1,
        0x800f_ffff_ffff_ffff,
        0x0010_0000_0000_0000,
        0x3ff0_0000_0000_0000,
        0xbff0_0000_0000_0000,
        0x3fe0_0000_0000_0000,
        0x3ff8_0000_0000_0000,
        0xc004_0000_0000_0000,
        0x7fef_ffff_ffff_ffff,
        0x7ff0_0000_0000_0000,
        0xfff0_0000_0000_0000,
        0x7ff8_0000_0000_0000,
        0x7ff0_0000_0000_0001,
        0xfff8_0000_1234_5678,
        0x41e0_0000_0000_0000,
        0xc1e0_0000_0020_0000,
        0x43e0_0000_0000_0000,
        0x3fd5_5555_5555_5555,
        0x36a0_0000_0000_0000,
        0x47ef_ffff_f000_0000,
    ];
    let any = random.number();
    let kind = if kind == 5 { random.below(5) } else { kind };
    match kind {
        0 => number(random),
        1 => {
            let mut single = || match random.below(3) {
                // Numbers of similar size, whose sums are not trivial.
                0 => 0x3e00_0000 | random.number() as u32 & 0x83ff_ffff,
                1 => random.number() as u32,
                _ => *random.pick(&SINGLE),
            };
            u64::from(single()) | u64::from(single()) << 32
        }
        2 => match random.below(3) {
            0 => 0x3fc0_0000_0000_0000 | any & 0x807f_ffff_ffff_ffff,
            1 => any,
            _ => *random.pick(&DOUBLE),
        },
        3 => {
            // Small numbers in bytes and words.
            any & 0x0f0f_0f0f_0f0f_0f0f | (any >> 3) & 0x8080_8080_8080_8080
        }
        _ => any,
    }
}

/// The state of x87; that of MMX instructions has its stack at the bottom.
fn prepare_x87(instruction: &Instruction, machine: &mut Machine, random: &mut Random) {
    let is_mmx = (0..instruction.op_count()).any(|operand| instruction.op_register(operand).is_mm());
    for register in &mut machine.x87 {
        let kind = random.below(5);
        let number = lanes(kind, random);
        register[..8].copy_from_slice(&number.to_le_bytes());
        register[7] |= if is_mmx { 0 } else { 0x80 };
        let exponent =
            if random.chance(70) { 0x3fff + random.below(64) as u16 } else { random.number() as u16 };
        register[8..].copy_from_slice(&(exponent | (number as u16) << 15).to_le_bytes());
    }
    let control = 0x33f | (random.below(16) as u16) << 8 & 0xf00;
    let top = if is_mmx { 0 } else { random.below(8) as u16 };
    let tags = if random.chance(60) { 0xff } else { random.number() as u16 & 0xff };
    machine.x87_status = [control | 0x40, top << 11 | random.number() as u16 & 0x4700, tags];
}

/// Makes the interesting results of some instructions likely.
fn prepare_operands(instruction: &Instruction, machine: &mut Machine, random: &mut Random) {
    use Mnemonic as M;
    let general = |operand: u32| {
        let register = instruction.op_register(operand);
        register.is_gpr().then(|| register.full_register().number())
    };
    if instruction.has_rep_prefix() || instruction.has_repne_prefix() {
        machine.general[1] = if random.chance(95) { random.below(20) as u64 } else { random.number() };
        if random.chance(50) {
            machine.memory.fill(random.number() as u8 & 1);
            machine.general[0] &= 0x0101_0101_0101_0101;
        }
    }
    match instruction.mnemonic() {
        M::Cmpxchg if random.chance(50) => match general(0) {
            Some(number) => machine.general[0] = machine.general[number],
            None => {
                let word = machine.general[0].to_le_bytes();
                machine.memory.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&word));
            }
        },
        M::Div | M::Idiv if random.chance(75) => {
            machine.general[2] = match random.below(3) {
                0 => 0,
                1 => u64::MAX,
                _ => random.below(4) as u64,
            };
            machine.general[0] &= 0xffff_ffff_ffff_0000 | random.number() & 0x03ff;
        }
        M::Bt | M::Bts | M::Btr | M::Btc if random.chance(75) => {
            if let (OpKind::Memory, Some(number)) = (instruction.op0_kind(), general(1)) {
                machine.general[number] = (random.below(8192) as u64).wrapping_sub(4096);
            }
        }
        M::Loop | M::Loope | M::Loopne | M::Jrcxz | M::Jecxz | M::Jcxz if random.chance(50) => {
            machine.general[1] = random.below(3) as u64;
        }
        _ => {}
    }
    let index = instruction.memory_index();
    if index.is_vector_register() {
        for word in &mut machine.vectors[index.number()] {
            *word &= 0x0000_003f_0000_003f;
        }
        // Lanes of 64 bits are small, too.
        if random.chance(50) {
            machine.vectors[index.number()].iter_mut().for_each(|word| *word &= 0xff);
        }
    }
}

/// Where memory of the given size is: mostly within the page.
fn target(size: u64, random: &mut Random) -> u64 {
    let end = DATA + PAGE as u64;
    match random.below(100) {
        0..4 => end - size,
        4..7 => end - random.below(size as usize + 1) as u64,
        7..9 => DATA - random.below(size as usize + 1) as u64,
        9 => end + random.below(64) as u64,
        _ => {
            let any = DATA + 512 + random.below(2560) as u64;
            if size >= 16 && random.chance(90) || random.chance(50) { any & !63 } else { any }
        }
    }
}

/// Makes the address of a memory operand one of [`target`]: by its registers, or by its displacement if it has none.
fn place(
    bytes: &mut [u8],
    instruction: &Instruction,
    memory: &UsedMemory,
    is_32: bool,
    machine: &mut Machine,
    fixed: &mut Vec<usize>,
    random: &mut Random,
) {
    let size = (memory.memory_size().size() as u64).max(1);
    let mut target = target(size, random);
    if forms::is_branch(instruction) {
        target &= !7;
    }
    if memory.access() == OpAccess::NoMemAccess || instruction.mnemonic() == Mnemonic::Lea {
        return;
    }
    if matches!(memory.segment(), Register::GS) {
        target = target.wrapping_sub(GS);
    }
    let (base, index) = (memory.base(), memory.index());
    let displacement = memory.displacement();
    let scale = u64::from(memory.scale() as u8);
    let number = |register: Register| register.full_register().number();
    let is_narrow = memory.address_size() as usize == 2;
    let mut set = |machine: &mut Machine, register: usize, value: u64| {
        if !fixed.contains(&register) {
            fixed.push(register);
            let above = if is_narrow && random.chance(50) { random.number() << 32 } else { 0 };
            machine.general[register] = if is_narrow || is_32 { value & 0xffff_ffff | above } else { value };
        }
    };
    let is_constant = matches!(base, Register::None | Register::RIP | Register::EIP);
    match (is_constant, index) {
        (true, Register::None) => patch(bytes, target, is_32),
        (true, _) if index.is_gpr() => {
            let distance = target.wrapping_sub(displacement);
            let distance = if is_32 || is_narrow { distance & 0xffff_ffff } else { distance };
            set(machine, number(index), distance / scale);
        }
        (false, Register::None) => set(machine, number(base), target.wrapping_sub(displacement)),
        (false, Register::AL) => {
            let byte = machine.general[0] & 0xff;
            set(machine, number(base), target.wrapping_sub(byte));
        }
        (false, _) if index.is_gpr() && number(index) == number(base) => {
            set(machine, number(base), target.wrapping_sub(displacement) / (1 + scale));
        }
        (false, _) if index.is_gpr() => {
            let of_index = machine.general[number(index)].wrapping_mul(scale);
            set(machine, number(base), target.wrapping_sub(displacement).wrapping_sub(of_index));
        }
        (false, _) => set(machine, number(base), target.wrapping_sub(displacement)),
        _ => {}
    }
}

/// Replaces the displacement of an instruction, so that its address is the target.
fn patch(bytes: &mut [u8], target: u64, is_32: bool) {
    let bits = if is_32 { 32 } else { 64 };
    let (offsets, is_relative) = {
        let mut decoder = Decoder::with_ip(bits, bytes, CODE, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (decoder.get_constant_offsets(&instruction), instruction.is_ip_rel_memory_operand())
    };
    let next = CODE + bytes.len() as u64;
    let displacement = if is_relative { target.wrapping_sub(next) } else { target };
    let (start, size) = (offsets.displacement_offset(), offsets.displacement_size());
    if size >= 4 {
        bytes[start..start + size].copy_from_slice(&displacement.to_le_bytes()[..size]);
    }
}
