//! Instructions whose meaning is not written: what they read, and what they write.
//!
//! Memory operands are loaded before, and stored after, the opaque op, so that it only computes. What has no address
//! that a few ops compute, such as the elements of a gather, is other memory.

use super::super::registers::{
    EXTENSIONS, FS_BASE, GS_BASE, MXCSR, SYSTEM, X87_STACK, X87_STATUS, part_of, width,
};
use super::emitter::{Emitter, constant, low};
use crate::isa::ops::{Flag, FlagSet, Operand, Operation, OtherMemory, Part, Place, Reg, Rest};
use iced_x86::{
    CodeSize, CpuidFeature, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register,
    RflagsBits, UsedMemory, UsedRegister,
};

/// The flags by their bits in iced's sets.
const FLAGS: [(u32, Flag); 7] = [
    (RflagsBits::CF, Flag::Carry),
    (RflagsBits::PF, Flag::Parity),
    (RflagsBits::AF, Flag::Adjust),
    (RflagsBits::ZF, Flag::Zero),
    (RflagsBits::SF, Flag::Sign),
    (RflagsBits::OF, Flag::Overflow),
    (RflagsBits::DF, Flag::Direction),
];

fn reads(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Read
            | OpAccess::CondRead
            | OpAccess::ReadWrite
            | OpAccess::ReadCondWrite
            | OpAccess::CondWrite
    )
}

fn writes(access: OpAccess) -> bool {
    matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

/// Writes the ops of any valid instruction.
pub(super) fn lower(e: &mut Emitter<'_>, info: &mut InstructionInfoFactory) {
    let used = info.info(e.instruction);
    let mut inputs = Vec::new();
    let mut places = Vec::new();
    let mut stores = Vec::new();
    let mut memory = OtherMemory::None;
    for used in used.used_registers().iter().filter(|used| !is_only_in_address(e.instruction, **used)) {
        add_register(*used, &mut inputs, &mut places);
    }
    add_hidden(e.instruction, &mut inputs, &mut places);
    let read = e.instruction.rflags_read();
    inputs.extend(FLAGS.iter().filter(|(bit, _)| read & bit != 0).map(|(_, flag)| Operand::Flag(*flag)));
    for used in used.used_memory() {
        let bits = used.memory_size().size() as u16 * 8;
        if bits == 0 || used.index().is_vector_register() {
            let is_written = writes(used.access());
            memory = if is_written || memory == OtherMemory::ReadsAndWrites {
                OtherMemory::ReadsAndWrites
            } else {
                OtherMemory::Reads
            };
            inputs.extend(
                [used.base(), used.index()].iter().filter(|r| **r != Register::None).map(|r| e.register(*r)),
            );
            continue;
        }
        let address = address(e, used);
        if reads(used.access()) {
            inputs.push(e.make(Operation::Load, bits, &[address]));
        }
        if writes(used.access()) {
            // The registers of the address may be among what the op writes before the store.
            let address = match address {
                Operand::Register(..) => e.make(Operation::Copy, address.bits(), &[address]),
                _ => address,
            };
            let (value, place) = e.temporary(bits);
            places.push(place);
            stores.push((address, value, bits));
        }
    }
    let changed = flags(e.instruction.rflags_modified() & !e.instruction.rflags_undefined());
    if changed != FlagSet::default() {
        places.push(Place::Flags(changed));
    }
    let target = branch(e, &mut places);
    // Stores come before registers, so what the op computes for registers goes through it at once: it cannot fault.
    e.opaque(&inputs, &places, memory);
    for (address, value, bits) in stores {
        e.store(address, value, bits);
    }
    let undefined = flags(e.instruction.rflags_undefined());
    if undefined != FlagSet::default() {
        e.push(Operation::Undefined, 1, 1, Place::Flags(undefined), &[]);
    }
    if let Some((guard, target)) = target {
        let bits = e.mode_bits();
        let jump = |e: &mut Emitter<'_>| e.push(Operation::Jump, bits, 1, Place::None, &[target]);
        match guard {
            Some(guard) => e.guarded(guard, jump),
            None => jump(e),
        }
    }
}

/// Whether a register is read as a part of the address of the memory operand only: whoever accesses the memory reads it.
fn is_only_in_address(instruction: &Instruction, used: UsedRegister) -> bool {
    let is_it =
        |other: Register| other != Register::None && other.full_register() == used.register().full_register();
    let is_address = is_it(instruction.memory_base())
        || is_it(instruction.memory_index())
        || used.register().is_segment_register();
    let is_operand = (0..instruction.op_count()).any(|operand| is_it(instruction.op_register(operand)));
    used.access() == OpAccess::Read && is_address && !is_operand
}

/// Adds a register to what is read and written.
fn add_register(used: UsedRegister, inputs: &mut Vec<Operand>, places: &mut Vec<Place>) {
    if matches!(used.register(), Register::RIP | Register::EIP | Register::None) {
        return;
    }
    let (register, part) = part_of(used.register());
    if matches!(register, X87_STACK | SYSTEM | EXTENSIONS) {
        // Added whole.
        return;
    }
    if reads(used.access()) {
        inputs.push(Operand::Register(register, part));
    }
    if writes(used.access()) {
        // What is zeroed beyond a part is listed as the whole register.
        places.push(Place::Register(register, part, Rest::Kept));
    }
}

/// Adds state that iced does not list: that of x87, of SSE's control register, and of the system.
fn add_hidden(instruction: &Instruction, inputs: &mut Vec<Operand>, places: &mut Vec<Place>) {
    let whole = |register: Reg| Part { low: 0, bits: width(register) };
    let mut add = |register: Reg, is_written: bool| {
        inputs.push(Operand::Register(register, whole(register)));
        if is_written {
            places.push(Place::Register(register, whole(register), Rest::Kept));
        }
    };
    if instruction.mnemonic() == Mnemonic::Insertq {
        // Bits outside the inserted field are kept.
        add(part_of(instruction.op0_register()).0, false);
    }
    let features = instruction.cpuid_features();
    let has = |feature: CpuidFeature| features.contains(&feature);
    let operands = || (0..instruction.op_count()).map(|operand| instruction.op_register(operand));
    let is_x87 = [CpuidFeature::FPU, CpuidFeature::FPU287, CpuidFeature::FPU387, CpuidFeature::MMX]
        .into_iter()
        .any(has)
        || operands().any(|register| register.is_mm() || register.is_st());
    let saves_all =
        matches!(
            instruction.mnemonic(),
            Mnemonic::Fxsave | Mnemonic::Fxsave64 | Mnemonic::Fxrstor | Mnemonic::Fxrstor64
        ) || [CpuidFeature::XSAVE, CpuidFeature::XSAVEOPT, CpuidFeature::XSAVEC, CpuidFeature::XSAVES]
            .into_iter()
            .any(has);
    if is_x87 || saves_all {
        add(X87_STACK, true);
        add(X87_STATUS, true);
    }
    if saves_all {
        add(MXCSR, true);
    } else if operands().any(Register::is_vector_register) {
        add(MXCSR, false);
    }
    if instruction.is_privileged() || reads_system(instruction.mnemonic()) || saves_all {
        add(SYSTEM, instruction.is_privileged());
    }
    if operands().any(|register| matches!(part_of_register(register), Some(EXTENSIONS))) {
        add(EXTENSIONS, true);
    }
}

fn part_of_register(register: Register) -> Option<Reg> {
    (register != Register::None).then(|| part_of(register).0)
}

/// Whether a result depends on what a program does not control.
fn reads_system(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Cpuid
            | Mnemonic::Rdtsc
            | Mnemonic::Rdtscp
            | Mnemonic::Rdrand
            | Mnemonic::Rdseed
            | Mnemonic::Rdpid
            | Mnemonic::Xgetbv
            | Mnemonic::Rdpmc
            | Mnemonic::Sgdt
            | Mnemonic::Sidt
            | Mnemonic::Sldt
            | Mnemonic::Str
            | Mnemonic::Smsw
            | Mnemonic::Lar
            | Mnemonic::Lsl
            | Mnemonic::Verr
            | Mnemonic::Verw
            | Mnemonic::Rdpkru
            | Mnemonic::Xbegin
            | Mnemonic::Xtest
    )
}

/// The address of memory that an instruction uses.
fn address(e: &mut Emitter<'_>, used: &UsedMemory) -> Operand {
    let bits = match used.address_size() {
        CodeSize::Code16 => 16,
        CodeSize::Code32 => 32,
        CodeSize::Code64 | CodeSize::Unknown => 64,
    };
    let mut sum: Option<Operand> = None;
    if !matches!(used.base(), Register::None | Register::RIP | Register::EIP) {
        sum = Some(e.register(used.base()));
    }
    if used.index() != Register::None {
        let index = e.register(used.index());
        let scale = Operation::AddScaled(used.scale().trailing_zeros() as u8);
        sum = Some(e.make(scale, bits, &[sum.unwrap_or(constant(0, bits)), index]));
    }
    let address = match (sum, used.displacement()) {
        (None, displacement) if used.base() == Register::None => constant(displacement, bits),
        (None, displacement) => super::emitter::address(displacement, bits),
        (Some(sum), 0) => sum,
        (Some(sum), displacement) => {
            e.make(Operation::Add, sum.bits(), &[sum, constant(displacement, sum.bits())])
        }
    };
    let base = match used.segment() {
        Register::FS => FS_BASE,
        Register::GS => GS_BASE,
        _ => return address,
    };
    let bits = e.mode_bits();
    let address = match address.bits() < bits {
        true => e.make(Operation::ZeroExtend, bits, &[address]),
        false => address,
    };
    e.make(Operation::Add, bits, &[low(base, bits), address])
}

/// The flags with the given bits.
fn flags(bits: u32) -> FlagSet {
    let named: Vec<Flag> = FLAGS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, flag)| *flag).collect();
    FlagSet::of(&named)
}

/// Where an opaque instruction goes if not to the next: an unknown target, under an unknown condition for a
/// conditional branch.
fn branch(e: &mut Emitter<'_>, places: &mut Vec<Place>) -> Option<(Option<Operand>, Operand)> {
    let bits = e.mode_bits();
    let mut unknown = |e: &mut Emitter<'_>, bits: u16| {
        let (value, place) = e.temporary(bits);
        places.push(place);
        value
    };
    match e.instruction.flow_control() {
        FlowControl::ConditionalBranch => {
            let condition = unknown(e, 1);
            Some((Some(condition), e.read(0)))
        }
        FlowControl::XbeginXabortXend if e.instruction.mnemonic() == Mnemonic::Xbegin => {
            let condition = unknown(e, 1);
            Some((Some(condition), e.read(0)))
        }
        FlowControl::UnconditionalBranch | FlowControl::IndirectBranch | FlowControl::Return => {
            Some((None, unknown(e, bits)))
        }
        FlowControl::Call | FlowControl::IndirectCall if e.instruction.mnemonic() == Mnemonic::Call => {
            Some((None, unknown(e, bits)))
        }
        _ => None,
    }
}
