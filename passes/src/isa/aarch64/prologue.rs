//! Recognizes starts and ends of functions.

use super::abi::LINK;
use super::decode::{Decoder, WORD_SIZE};
use super::flow::classify;
use crate::isa::instruction_set::Decoder as _;
use binframe_ir::tables::Flow;
use fARM64::{Instruction, MemIndexMode, Mnemonic, OpAccess, Operand, RegClass, Register, instruction_info};

/// Instructions that are examined at the start of a function.
const INSTRUCTIONS_MAX: usize = 16;

/// Whether the first instruction sets up a stack frame, signs the return address, or marks a target of indirect calls.
pub(super) fn is_prologue(bytes: &[u8]) -> bool {
    instructions(bytes).next().is_some_and(|first| {
        stack_change(&first) < 0
            || matches!(first.mnemonic(), Mnemonic::Bti | Mnemonic::Paciasp | Mnemonic::Pacibsp)
    })
}

/// Whether code saves a callee-saved register, the frame pointer or the link register first, after it marks a target of
/// indirect calls and signs the return address.
pub(super) fn saves_register(bytes: &[u8]) -> bool {
    let is_mark = |instruction: &Instruction| {
        matches!(instruction.mnemonic(), Mnemonic::Bti | Mnemonic::Paciasp | Mnemonic::Pacibsp)
    };
    let first = instructions(bytes).find(|instruction| !is_mark(instruction));
    first.is_some_and(|first| {
        is_store_to_stack(&first)
            && matches!(first.op(0), Operand::Reg { reg, .. }
                if reg.class() == RegClass::Gp && (19..=LINK).contains(&reg.number()))
    })
}

/// Whether code ends with its stack frame removed: no later instruction moves the stack pointer.
pub(super) fn ends_in_epilogue(bytes: &[u8]) -> bool {
    let changes = instructions(bytes).map(|instruction| stack_change(&instruction));
    changes.filter(|change| *change != 0).last().is_some_and(|change| change > 0)
}

/// Whether the instructions up to the first branch read nothing that a caller does not pass: no flags, no register but
/// argument registers (except to save it). Nor do they free more of the stack than they took.
pub(super) fn may_begin_function(bytes: &[u8]) -> bool {
    let (mut written, mut has_flags, mut depth) = (0_u32, false, 0_i64);
    let mut is_first = true;
    for position in (0..bytes.len()).step_by(WORD_SIZE).take(INSTRUCTIONS_MAX) {
        let mut instruction = Instruction::default();
        if !Decoder::new(&bytes[position..], 0).decode(&mut instruction) {
            return false;
        }
        let info = instruction_info(&instruction);
        if info.flags_read() && !has_flags {
            return false;
        }
        depth = depth.saturating_add(stack_change(&instruction));
        if depth > 0 {
            return false;
        }
        let is_saved = is_store_to_stack(&instruction);
        let general = |register: Register| {
            let is_numbered = register.class() == RegClass::Gp && register.number() <= LINK;
            is_numbered.then(|| 1_u32 << register.number())
        };
        for used in info.used_registers() {
            let Some(bit) = general(used.register) else { continue };
            let is_read = !matches!(used.access, OpAccess::Write | OpAccess::CondWrite | OpAccess::None);
            if is_read && NOT_PASSED & bit != 0 && written & bit == 0 && !is_saved {
                return false;
            }
        }
        match classify(&instruction) {
            Flow::Next => {}
            Flow::Trap => return !is_first,
            _ => return true,
        }
        for used in info.used_registers().iter().filter(|used| used.access != OpAccess::Read) {
            written |= general(used.register).unwrap_or(0);
        }
        has_flags |= info.flags_written();
        is_first = false;
    }
    true
}

/// Registers in which callers pass nothing: the temporaries `x9` to `x15`, and the callee-saved `x19` to `x29`. Swift
/// passes values in `x20` to `x22`.
const NOT_PASSED: u32 = 0b111_1111 << 9 | 1 << 19 | 0b111_1111 << 23;

/// The valid instructions at the start of some code.
fn instructions(bytes: &[u8]) -> impl Iterator<Item = Instruction> {
    let mut decoder = Decoder::new(bytes, 0);
    std::iter::from_fn(move || {
        let mut instruction = Instruction::default();
        decoder.decode(&mut instruction).then_some(instruction)
    })
}

/// Bytes that an instruction adds to the stack pointer.
fn stack_change(instruction: &Instruction) -> i64 {
    let is_pointer =
        |operand: usize| matches!(instruction.op(operand), Operand::Reg { reg: Register::Sp, .. });
    let constant = || match (is_pointer(0) && is_pointer(1), instruction.op(2)) {
        (true, Operand::ImmShiftedMove { imm, lsl }) => i64::from(imm) << lsl,
        _ => 0,
    };
    match instruction.mnemonic() {
        Mnemonic::Add => constant(),
        Mnemonic::Sub => constant().saturating_neg(),
        _ => (0..instruction.op_count())
            .find_map(|operand| match instruction.op(operand) {
                Operand::MemImm {
                    base: Register::Sp,
                    imm,
                    mode: MemIndexMode::PreIndex | MemIndexMode::PostImm,
                } => Some(imm),
                _ => None,
            })
            .unwrap_or(0),
    }
}

/// Whether an instruction stores registers to the stack.
fn is_store_to_stack(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Stp | Mnemonic::Str | Mnemonic::Stur)
        && instruction.memory_base() == Register::Sp
}
