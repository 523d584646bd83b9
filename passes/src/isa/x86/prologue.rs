//! Recognizes starts and ends of functions.

use super::decode::{Decoder, first};
use super::flow::classify;
use super::rows::is_memory;
use crate::isa::instruction_set::{Decoder as _, Isa};
use crate::isa::ops::Reg;
use binframe_ir::tables::Flow;
use iced_x86::{
    Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register,
};

/// Instructions that are examined at the start of a function.
const INSTRUCTIONS_MAX: usize = 16;

/// Whether the first instruction sets up a stack frame, or marks a target of indirect calls.
pub(super) fn is_prologue(isa: Isa, bytes: &[u8]) -> bool {
    let Some(instruction) = first(isa, bytes) else { return false };
    matches!(instruction.mnemonic(), Mnemonic::Endbr64 | Mnemonic::Endbr32 | Mnemonic::Push)
        || stack_change(&instruction) < 0
}

/// Whether code starts with `mov edi, edi; push ebp; mov ebp, esp`, by which Windows marks functions that can be patched
/// while they run.
pub(super) fn is_hot_patch_point(isa: Isa, bytes: &[u8]) -> bool {
    let is_frame = |rest: &[u8]| rest.starts_with(&[0x8b, 0xec]) || rest.starts_with(&[0x89, 0xe5]);
    isa == Isa::X86 && bytes.strip_prefix(&[0x8b, 0xff, 0x55]).is_some_and(is_frame)
}

/// Whether the first instruction saves a callee-saved register.
pub(super) fn saves_register(isa: Isa, bytes: &[u8]) -> bool {
    let Some(instruction) = first(isa, bytes) else { return false };
    let is_push = instruction.mnemonic() == Mnemonic::Push && instruction.op0_kind() == OpKind::Register;
    is_push && CALLEE_SAVED >> instruction.op0_register().number() & 1 == 1
}

/// Whether code ends with its stack frame removed: no later instruction moves the stack pointer.
pub(super) fn ends_in_epilogue(isa: Isa, bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(isa, bytes, 0);
    let mut instruction = Instruction::default();
    let (mut is_removed, mut position) = (false, 0);
    while position < bytes.len() && decoder.decode(&mut instruction) {
        position += instruction.len();
        let change = stack_change(&instruction);
        is_removed = change > 0 || instruction.mnemonic() == Mnemonic::Leave || is_removed && change == 0;
    }
    is_removed
}

/// Whether code adds a variable to the frame pointer, moves the result into the stack pointer, and then at most pops, as
/// `__builtin_eh_return` does: `lea rcx, [rbp + rcx + 8]; …; mov rsp, rcx; pop rcx`.
pub(super) fn moves_stack_by_variable(isa: Isa, code: &[u8]) -> bool {
    /// Bytes of the move of the stack pointer and what is after it.
    const END_MAX: usize = 8;
    // `mov rsp, r` without a prefix, which few functions have.
    let is_move = |bytes: &[u8; 2]| bytes[0] == 0x89 && bytes[1] & 0b1100_0111 == 0b1100_0100;
    if !code[code.len().saturating_sub(END_MAX)..].array_windows().any(is_move) {
        return false;
    }
    let mut decoder = Decoder::new(isa, code, 0);
    let mut info = InstructionInfoFactory::new();
    let mut instruction = Instruction::default();
    // The registers that hold the sum of the frame pointer and a variable, as bits.
    let (mut sums, mut is_moved, mut position) = (0_u32, false, 0);
    while position < code.len() && decoder.decode(&mut instruction) {
        position += instruction.len();
        let own = instruction.op0_register().full_register();
        let is_copy = instruction.mnemonic() == Mnemonic::Mov && instruction.op1_kind() == OpKind::Register;
        if is_copy && own == Register::RSP {
            is_moved = sums >> instruction.op1_register().number() & 1 == 1;
            continue;
        }
        let used = info.info_options(&instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        for used in used.used_registers().iter().filter(|used| writes(used.access())) {
            match used.register().full_register() {
                Register::RSP => is_moved &= instruction.mnemonic() == Mnemonic::Pop,
                full if full.is_gpr64() => sums &= !(1 << full.number()),
                _ => {}
            }
        }
        let is_sum = instruction.mnemonic() == Mnemonic::Lea
            && instruction.memory_base().full_register() == Register::RBP
            && instruction.memory_index() != Register::None;
        if is_sum && own.is_gpr64() {
            sums |= 1 << own.number();
        }
    }
    is_moved
}

/// Whether the instructions up to the first branch read nothing that a caller does not pass: no flags, no register but
/// argument registers (except to save it). Nor do they pop more than they pushed.
pub(super) fn may_begin_function(isa: Isa, bytes: &[u8]) -> bool {
    may_begin_without(isa, bytes, NOT_PASSED)
}

/// The same of code to which a pointer leads, in any calling convention: Borland's passes arguments in eax, Go's in rax,
/// rbx and r14. Only rbp holds the frame of a function in all of them.
pub(super) fn may_begin_pointed_function(isa: Isa, bytes: &[u8]) -> bool {
    may_begin_without(isa, bytes, 1 << 5)
}

/// Whether code may begin a function whose callers pass nothing in some registers.
fn may_begin_without(isa: Isa, bytes: &[u8], not_passed: u32) -> bool {
    let mut decoder = Decoder::new(isa, bytes, 0);
    let mut info = InstructionInfoFactory::new();
    let mut instruction = Instruction::default();
    let (mut written, mut has_flags, mut depth, mut position) = (0_u32, false, 0_i64, 0);
    for is_first in std::iter::once(true).chain(std::iter::repeat(false)).take(INSTRUCTIONS_MAX) {
        if position >= bytes.len() {
            return true;
        }
        if !decoder.decode(&mut instruction) {
            return false;
        }
        position += instruction.len();
        if instruction.rflags_read() & !iced_x86::RflagsBits::DF != 0 && !has_flags {
            return false;
        }
        depth += stack_change(&instruction);
        let has_frame = written >> Register::RBP.number() & 1 == 1;
        if depth > 0 || instruction.mnemonic() == Mnemonic::Leave && !has_frame {
            return false;
        }
        match classify(&instruction) {
            Flow::Next => {}
            // No compiler starts a function with one of these.
            Flow::Trap | Flow::CondJump => return !is_first,
            _ => return true,
        }
        let used = info.info_options(&instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        let registers = used.used_registers().iter();
        let number = |register: Register| {
            Some(register.full_register()).filter(|full| full.is_gpr64()).map(Register::number)
        };
        for used in registers.clone().filter(|used| reads(used.access())) {
            let Some(number) = number(used.register()) else { continue };
            if not_passed >> number & 1 == 1
                && written >> number & 1 == 0
                && !saves(&instruction, used.register())
            {
                return false;
            }
        }
        for used in registers.filter(|used| writes(used.access())) {
            written |= number(used.register()).map_or(0, |number| 1 << number);
        }
        has_flags |= instruction.rflags_modified() != 0;
    }
    true
}

/// Registers in which callers pass nothing: rax, rbx, rbp, and r11 to r15.
const NOT_PASSED: u32 = 1 << 0 | 1 << 3 | 1 << 5 | 0b1_1111 << 11;

/// Registers that are callee-saved in every convention: rbx, rbp, r12 to r15.
const CALLEE_SAVED: u32 = 1 << 3 | 1 << 5 | 0b1111 << 12;

/// Bytes that an instruction adds to the stack pointer.
fn stack_change(instruction: &Instruction) -> i64 {
    let is_pointer = instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().full_register() == Register::RSP;
    let is_constant = is_pointer && !matches!(instruction.op1_kind(), OpKind::Register | OpKind::Memory);
    match instruction.mnemonic() {
        Mnemonic::Add if is_constant => instruction.immediate(1) as i64,
        Mnemonic::Sub if is_constant => (instruction.immediate(1) as i64).saturating_neg(),
        // Free Pascal moves the stack pointer so.
        Mnemonic::Lea
            if is_pointer
                && instruction.memory_base() == instruction.op0_register()
                && instruction.memory_index() == Register::None =>
        {
            instruction.memory_displacement64() as i64
        }
        // A return removes only the return address and arguments.
        Mnemonic::Ret => 0,
        _ => i64::from(instruction.stack_pointer_increment()),
    }
}

/// Whether an instruction reads a register only to save it, or to test how many vector registers hold arguments.
fn saves(instruction: &Instruction, register: Register) -> bool {
    match instruction.mnemonic() {
        // Long `nop`s have operands.
        Mnemonic::Push | Mnemonic::Nop => true,
        Mnemonic::Mov => {
            is_memory(instruction.op0_kind())
                && instruction.op1_kind() == OpKind::Register
                && instruction.op1_register() == register
                && matches!(instruction.memory_base().full_register(), Register::RSP | Register::RBP)
        }
        Mnemonic::Test => {
            register.full_register() == Register::RAX && instruction.op0_register() == Register::AL
        }
        _ => false,
    }
}

fn reads(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

fn writes(access: OpAccess) -> bool {
    !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
}

/// The register into which a function loads its return address, if it does nothing else: `mov ebx, [esp]; ret`.
/// Position-independent 32-bit code calls such a function to learn its own address.
pub(super) fn address_getter(isa: Isa, code: &[u8]) -> Option<Reg> {
    match code {
        [0x8b, operands, 0x24, 0xc3, ..] if isa == Isa::X86 && operands & 0b1100_0111 == 0b100 => {
            Some(Reg(operands >> 3 & 0b111))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Isa, is_prologue, may_begin_function};

    #[test]
    fn prologues_may_begin_functions() {
        // push rbp; mov rbp, rsp; push rbx; sub rsp, 8; ret
        assert!(may_begin_function(Isa::X86_64, &[0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 8, 0xc3]));
        // xor eax, eax; ret
        assert!(may_begin_function(Isa::X86_64, &[0x31, 0xc0, 0xc3]));
        // lea rsp, [rsp - 8]; ret
        assert!(may_begin_function(Isa::X86_64, &[0x48, 0x8d, 0x64, 0x24, 0xf8, 0xc3]));
        assert!(is_prologue(Isa::X86_64, &[0x48, 0x8d, 0x64, 0x24, 0xf8]));
        // test al, al; ret
        assert!(may_begin_function(Isa::X86_64, &[0x84, 0xc0, 0xc3]));
    }

    #[test]
    fn code_that_continues_a_function_may_not() {
        // mov rbx, rax; ret: a landing pad
        assert!(!may_begin_function(Isa::X86_64, &[0x48, 0x89, 0xc3, 0xc3]));
        // mov eax, [rbp-4]; ret
        assert!(!may_begin_function(Isa::X86_64, &[0x8b, 0x45, 0xfc, 0xc3]));
        // pop rbx; ret
        assert!(!may_begin_function(Isa::X86_64, &[0x5b, 0xc3]));
        // add rsp, 8; ret
        assert!(!may_begin_function(Isa::X86_64, &[0x48, 0x83, 0xc4, 8, 0xc3]));
        // lea rsp, [rsp + 8]; ret
        assert!(!may_begin_function(Isa::X86_64, &[0x48, 0x8d, 0x64, 0x24, 8, 0xc3]));
        // je
        assert!(!may_begin_function(Isa::X86_64, &[0x74, 0, 0xc3]));
    }
}
