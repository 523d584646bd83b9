//! `(case) -> differences`: what the ops of an instruction say, and what the processor did.

use crate::forms;
use crate::inputs::Case;
use crate::native::{CODE, DATA, End, GS, Machine, PAGE, Processor};
use binframe::passes::isa::Isa;
use binframe::passes::isa::ops::{
    Flag, FlagSet, Op, Operand, Operation, Ops, OtherMemory, Part, Place, Reg, Rest, Rounding, TrapKind,
};
use binframe_testsuite::random::Random;
use binframe_testsuite::semantics::{Memory, Outcome, Region, State, Value, evaluate, flags_of_condition};
use iced_x86::{Mnemonic, RflagsBits};
use nix::libc;

/// What became of a case.
pub(crate) enum Verdict {
    /// The processor did what the ops say.
    Same,
    /// As above: the instruction raised a fault or trap.
    SameFault,
    /// Nothing can be said, for the given reason.
    Unknown(&'static str),
    /// What differs.
    Different(String),
}

/// Numbers of registers in ops; `registers_have_their_names` compares them with the names.
const GS_BASE: Reg = Reg(17);
const MXCSR: Reg = Reg(18);
const X87_STACK: Reg = Reg(19);
const X87_STATUS: Reg = Reg(20);
const OTHER_FLAGS: Reg = Reg(21);
const VECTORS: u8 = 32;

/// The flags at their bits.
const FLAGS: [(Flag, u64); 7] = [
    (Flag::Carry, 0),
    (Flag::Parity, 2),
    (Flag::Adjust, 4),
    (Flag::Zero, 6),
    (Flag::Sign, 7),
    (Flag::Direction, 10),
    (Flag::Overflow, 11),
];

/// The bit of a flag in iced's sets.
pub(crate) fn rflags_bit(flag: Flag) -> u32 {
    match flag {
        Flag::Carry => RflagsBits::CF,
        Flag::Parity => RflagsBits::PF,
        Flag::Adjust => RflagsBits::AF,
        Flag::Zero => RflagsBits::ZF,
        Flag::Sign => RflagsBits::SF,
        Flag::Overflow => RflagsBits::OF,
        Flag::Direction => RflagsBits::DF,
    }
}

/// Compares a case.
pub(crate) fn compare(processor: &mut Processor, case: &Case, ops: &Ops, is_32: bool, seed: u64) -> Verdict {
    let mut machine = case.machine.clone();
    let is_stepped = forms::is_branch(&case.instruction);
    let end = processor.run(&case.bytes, is_32, is_stepped, &mut machine);
    let mut state = state_of(&case.machine);
    let outcome = evaluate(ops, &mut state);
    let next = CODE + case.bytes.len() as u64;
    let has_fault = end.signal != libc::SIGTRAP;
    if end.signal == libc::SIGILL && outcome != Outcome::Trap(TrapKind::Undefined) {
        return Verdict::Unknown("this processor does not have it");
    }
    if end.signal == libc::SIGSEGV
        && end.code == SI_KERNEL
        && !matches!(outcome, Outcome::Fault(_))
        && is_wide(case)
    {
        return Verdict::Unknown("a vector in memory is not aligned");
    }
    let is_other_memory =
        |op: &Op| matches!(op.operation, Operation::Opaque { memory, .. } if memory != OtherMemory::None);
    if has_fault && outcome == Outcome::Next && ops.as_slice().iter().any(is_other_memory) {
        return Verdict::Unknown("it may access any memory");
    }
    if let Some(difference) = outcome_difference(outcome, end, next, is_32) {
        return Verdict::Different(difference);
    }
    let is_of_elements = ops.as_slice().iter().any(|op| {
        matches!(
            op.operation,
            Operation::CopyElements
                | Operation::FillElements
                | Operation::CompareElements { .. }
                | Operation::ScanElements { .. }
        )
    });
    // `enter` with nesting stores before it loads.
    if has_fault && (is_of_elements || case.instruction.mnemonic() == Mnemonic::Enter) {
        return Verdict::SameFault;
    }
    if !ops.has_opaque() && (!state.memory.is_all_defined() || has_unexplained_mark(ops, &state)) {
        return Verdict::Different("the ops compute something undefined without saying so".to_owned());
    }
    if let Some(difference) = state_difference(&machine, &state, is_32) {
        return Verdict::Different(difference);
    }
    if has_fault {
        return Verdict::SameFault;
    }
    if ops.has_opaque()
        && let Some(difference) = unread_difference(processor, case, ops, is_32, seed, &machine, end)
    {
        return Verdict::Different(difference);
    }
    Verdict::Same
}

/// The code of signals for exceptions that name no address.
const SI_KERNEL: i32 = 0x80;

/// Whether a memory operand must perhaps be aligned.
fn is_wide(case: &Case) -> bool {
    let size = case.instruction.memory_size().size();
    size >= 16 || size == 0
}

/// The state of ops that a machine is.
fn state_of(machine: &Machine) -> State {
    let mut state = State::default();
    for (number, value) in (0..).zip(machine.general) {
        state.set_number(Reg(number), value);
    }
    state.set_number(GS_BASE, GS);
    state.set_number(MXCSR, machine.mxcsr.into());
    state.set_number(OTHER_FLAGS, 0x202);
    for (number, vector) in (VECTORS..).zip(&machine.vectors) {
        state.set_words(Reg(number), vector);
    }
    state.set_words(X87_STACK, x87(machine).words());
    state.set_number(X87_STATUS, x87_status(machine));
    for (flag, bit) in FLAGS {
        state.set_flag(flag, Some(machine.flags >> bit & 1 == 1));
    }
    state.rounding = match machine.mxcsr >> 13 & 3 {
        0 => Rounding::Nearest,
        1 => Rounding::Down,
        2 => Rounding::Up,
        _ => Rounding::Zero,
    };
    state.memory = Memory::default();
    state.memory.regions.push(Region { address: DATA, bytes: machine.memory.clone() });
    state
}

fn x87(machine: &Machine) -> Value {
    Value::of_bytes(machine.x87.as_flattened())
}

fn x87_status(machine: &Machine) -> u64 {
    let [control, status, tags] = machine.x87_status.map(u64::from);
    control | status << 16 | tags << 32
}

/// Whether a register is undefined, though no op says that one is.
fn has_unexplained_mark(ops: &Ops, state: &State) -> bool {
    let is_said = |op: &Op| op.operation == Operation::Undefined && matches!(op.place, Place::Register(..));
    let is_marked = |number: u8| state.whole(Reg(number)).1.iter().any(|word| *word != 0);
    !ops.as_slice().iter().any(is_said) && (0..128).any(is_marked)
}

/// Compares where execution continues.
fn outcome_difference(outcome: Outcome, end: End, next: u64, is_32: bool) -> Option<String> {
    let at = |address: u64| end.signal == libc::SIGTRAP && end.rip == address;
    // A breakpoint is reported after it; a single step where it led.
    let is_at = |address: u64| {
        let address = if is_32 { address & 0xffff_ffff } else { address };
        if end.code == libc::TRAP_TRACE { at(address) } else { at(address + 1) }
    };
    let is_right = match outcome {
        Outcome::Next => is_at(next),
        Outcome::Jump(target) | Outcome::Call(target) | Outcome::Return(target) => is_at(target),
        Outcome::Undefined => end.signal == libc::SIGTRAP,
        Outcome::Fault(_) => matches!(end.signal, libc::SIGSEGV | libc::SIGBUS) && end.rip == CODE,
        Outcome::Trap(TrapKind::Undefined) => end.signal == libc::SIGILL && end.rip == CODE,
        Outcome::Trap(TrapKind::Division) => end.signal == libc::SIGFPE && end.rip == CODE,
        Outcome::Trap(TrapKind::Breakpoint | TrapKind::Interrupt(_)) => at(next),
        Outcome::Trap(TrapKind::Halt) | Outcome::Service => false,
    };
    (!is_right).then(|| format!("continues: {outcome:x?}, but the processor: {end:x?}"))
}

/// Compares registers, flags and memory, except for what is undefined.
fn state_difference(machine: &Machine, state: &State, is_32: bool) -> Option<String> {
    let count = if is_32 { 8 } else { 16 };
    let mask = if is_32 { 0xffff_ffff } else { u64::MAX };
    let different = |register: Reg, actual: &[u64], mask: u64| {
        let (expected, undefined) = state.whole(register);
        let zipped = actual.iter().zip(expected).zip(undefined);
        let is_different = zipped.clone().any(|((a, b), undefined)| (a ^ b) & !undefined & mask != 0);
        is_different.then(|| {
            let expected = &expected[..actual.len()];
            let part = Part { low: 0, bits: actual.len() as u16 * 64 };
            let name = Isa::X86_64.register_name(register, part);
            format!("{name}: ops {expected:x?}, processor {actual:x?}")
        })
    };
    for (number, value) in (0..count).zip(&machine.general) {
        if let Some(difference) = different(Reg(number), std::slice::from_ref(value), mask) {
            return Some(difference);
        }
    }
    for (number, vector) in (VECTORS..VECTORS + count).zip(&machine.vectors) {
        if let Some(difference) = different(Reg(number), vector, u64::MAX) {
            return Some(difference);
        }
    }
    for (flag, bit) in FLAGS {
        let actual = machine.flags >> bit & 1 == 1;
        if state.flag(flag).is_some_and(|expected| expected != actual) {
            return Some(format!("{flag:?}: ops {}, processor {actual}", !actual));
        }
    }
    // The flags of exceptions are not modelled.
    let mxcsr = u64::from(machine.mxcsr);
    let rest = different(MXCSR, &[mxcsr], !0x3f)
        .or_else(|| different(X87_STACK, x87(machine).words(), u64::MAX))
        .or_else(|| different(X87_STATUS, &[x87_status(machine)], u64::MAX));
    if rest.is_some() {
        return rest;
    }
    let expected = &state.memory.regions[0].bytes;
    if *expected == machine.memory {
        return None;
    }
    let differs = |offset: &usize| {
        let address = DATA + *offset as u64;
        expected[*offset] != machine.memory[*offset] && state.memory.is_defined(&(address..address + 1))
    };
    (0..PAGE).find(differs).map(|offset| {
        let range = offset..(offset + 16).min(PAGE);
        format!(
            "memory at {:#x}: ops {:02x?}, processor {:02x?}",
            DATA + offset as u64,
            &expected[range.clone()],
            &machine.memory[range]
        )
    })
}

/// What opaque ops read, and what they write, bit by bit.
struct Accesses {
    registers: Vec<[u64; 10]>,
    flags: FlagSet,
}

impl Accesses {
    fn add(&mut self, register: Reg, part: Part) {
        let mut whole = Value::of_words(&self.registers[usize::from(register.0)], 640);
        let ones = Value::of_words(&[u64::MAX; 10], part.bits);
        whole.insert(part.low, &ones);
        self.registers[usize::from(register.0)].copy_from_slice(whole.words());
    }
}

fn accesses(ops: &Ops) -> (Accesses, Accesses) {
    let empty = || Accesses { registers: vec![[0; 10]; 128], flags: FlagSet::default() };
    let (mut reads, mut writes) = (empty(), empty());
    for op in ops.as_slice() {
        for operand in ops.inputs(op).iter().chain(&op.guard) {
            match operand {
                Operand::Register(register, part) => reads.add(*register, *part),
                Operand::Flag(flag) => reads.flags = reads.flags.union(FlagSet::of(&[*flag])),
                _ => {}
            }
        }
        if let Operation::Condition(condition) = op.operation {
            reads.flags = reads.flags.union(flags_of_condition(condition));
        }
        for place in ops.places(op) {
            match place {
                Place::Register(register, part, rest) => {
                    writes.add(*register, *part);
                    if *rest == Rest::Zeroed {
                        writes.add(*register, Part { low: 0, bits: 640 });
                    }
                }
                Place::Flag(flag) => writes.flags = writes.flags.union(FlagSet::of(&[*flag])),
                Place::Flags(flags) if op.operation != Operation::Undefined => {
                    writes.flags = writes.flags.union(*flags);
                }
                Place::Flags(flags) => writes.flags = writes.flags.without(*flags),
                _ => {}
            }
        }
    }
    (reads, writes)
}

/// Runs the case once more with other values in whatever is not read: the results must be the same.
fn unread_difference(
    processor: &mut Processor,
    case: &Case,
    ops: &Ops,
    is_32: bool,
    seed: u64,
    first: &Machine,
    end: End,
) -> Option<String> {
    let (reads, writes) = accesses(ops);
    let mut random = Random(seed);
    let mut other = case.machine.clone();
    let count = if is_32 { 8 } else { 16 };
    for number in (0..count).filter(|number| *number != 4) {
        let mask = if is_32 { 0xffff_ffff } else { u64::MAX } & !reads.registers[number][0];
        other.general[number] ^= random.number() & mask;
        for (word, read) in
            other.vectors[number].iter_mut().zip(reads.registers[usize::from(VECTORS) + number])
        {
            *word ^= random.number() & !read;
        }
    }
    for (_, bit) in FLAGS.iter().filter(|(flag, _)| !reads.flags.contains(*flag)) {
        other.flags ^= (random.number() & 1) << bit;
    }
    let second_end = processor.run(&case.bytes, is_32, forms::is_branch(&case.instruction), &mut other);
    if end != second_end {
        return Some(format!("what is not read changes where it continues: {end:x?}, {second_end:x?}"));
    }
    let written = |register: usize, word: usize| writes.registers[register][word];
    for number in 0..count {
        if (first.general[number] ^ other.general[number]) & written(number, 0) != 0 {
            return Some(format!("what is not read changes register {number}"));
        }
        let vector = usize::from(VECTORS) + number;
        let words = first.vectors[number].iter().zip(&other.vectors[number]).enumerate();
        if words.into_iter().any(|(word, (a, b))| (a ^ b) & written(vector, word) != 0) {
            return Some(format!("what is not read changes vector register {number}"));
        }
    }
    for (flag, bit) in FLAGS.iter().filter(|(flag, _)| writes.flags.contains(*flag)) {
        if (first.flags ^ other.flags) >> bit & 1 != 0 {
            return Some(format!("what is not read changes {flag:?}"));
        }
    }
    if first.x87 != other.x87 || first.x87_status != other.x87_status {
        return Some("what is not read changes x87".to_owned());
    }
    (first.memory != other.memory).then(|| "what is not read changes memory".to_owned())
}

/// The registers, flags and vectors of a machine that are not 0, as text.
pub(crate) fn text(machine: &Machine) -> String {
    let mut text = String::new();
    for (number, value) in machine.general.iter().enumerate() {
        text.push_str(&format!("r{number}={value:x} "));
    }
    text.push_str(&format!("flags={:x} mxcsr={:x}", machine.flags, machine.mxcsr));
    text
}

#[test]
fn registers_have_their_names() {
    let whole = |bits| Part { low: 0, bits };
    for (register, bits, name) in [
        (Reg(0), 64, "rax"),
        (Reg(4), 64, "rsp"),
        (Reg(15), 64, "r15"),
        (GS_BASE, 64, "gs_base"),
        (MXCSR, 32, "mxcsr"),
        (X87_STACK, 640, "x87_stack"),
        (X87_STATUS, 64, "x87_status"),
        (OTHER_FLAGS, 32, "other_flags"),
        (Reg(VECTORS + 3), 256, "ymm3"),
    ] {
        assert_eq!(Isa::X86_64.register_name(register, whole(bits)), name);
    }
}
