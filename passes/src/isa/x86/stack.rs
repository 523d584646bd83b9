//! What an instruction does to the stack pointer, and which memory it touches.
//!
//! Offsets count from the stack pointer at the function's entry, where the return address lies (System V ABI, x86-64
//! supplement, section 3.2.2; i386 supplement, section 2.2.2).

use super::operands::{MemoryOperand, access, is_memory};
use super::{address_size, displacement, immediate};
use binframe_ir::tables::Access;
use iced_x86::{
    Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register,
};

/// What is known of the registers that point into the stack; none is "not known".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StackState {
    /// Offset in `rsp` or `esp`.
    pub(crate) stack_pointer: Option<i64>,
    /// Offset in `rbp` or `ebp`.
    pub(crate) frame_pointer: Option<i64>,
}

impl StackState {
    /// At a function's entry.
    pub(crate) const ENTRY: Self = Self { stack_pointer: Some(0), frame_pointer: None };

    /// What holds on both of two ways.
    pub(crate) fn meet(self, other: Self) -> Self {
        let both = |a: Option<i64>, b: Option<i64>| a.filter(|_| a == b);
        Self {
            stack_pointer: both(self.stack_pointer, other.stack_pointer),
            frame_pointer: both(self.frame_pointer, other.frame_pointer),
        }
    }

    /// Follows one instruction.
    pub(crate) fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let full = |index: u32| match index < instruction.op_count()
            && instruction.op_kind(index) == OpKind::Register
        {
            true => instruction.op_register(index).full_register(),
            false => Register::None,
        };
        let (first, second) = (full(0), full(1));
        let pointers = [Register::RSP, Register::RBP];
        match instruction.mnemonic() {
            // A callee leaves both registers as they were, but for arguments that it pops: [`popped_by_callee`].
            Mnemonic::Call => return,
            Mnemonic::Leave => {
                let slot = i64::from(address_size(instruction));
                self.stack_pointer = self.frame_pointer.and_then(|offset| offset.checked_add(slot));
                self.frame_pointer = None;
                return;
            }
            Mnemonic::Enter => {
                *self = Self { stack_pointer: None, frame_pointer: None };
                return;
            }
            _ => {}
        }
        let increment = i64::from(instruction.stack_pointer_increment());
        if increment != 0 {
            self.stack_pointer = self.stack_pointer.and_then(|offset| offset.checked_add(increment));
        }
        if !pointers.contains(&first) && !pointers.contains(&second) {
            return;
        }
        let options = InstructionInfoOptions::NO_MEMORY_USAGE | InstructionInfoOptions::NO_REGISTER_USAGE;
        let accesses = info.info_options(instruction, options);
        let is_written = |register: Register| {
            let written = |index, operand| operand == register && writes(accesses.op_access(index));
            written(0, first) || written(1, second)
        };
        let value = self.value_of(instruction, second);
        for (register, own) in
            [(Register::RSP, &mut self.stack_pointer), (Register::RBP, &mut self.frame_pointer)]
        {
            if is_written(register) {
                *own = value.filter(|_| first == register);
            }
        }
    }

    /// The offset that the instruction puts into its first operand.
    fn value_of(self, instruction: &Instruction, second: Register) -> Option<i64> {
        let size = usize::from(address_size(instruction));
        if instruction.op0_register().size() != size {
            return None;
        }
        let old = self.offset_in(instruction.op0_register());
        match instruction.mnemonic() {
            Mnemonic::Mov => self.offset_in(second),
            Mnemonic::Lea if instruction.memory_index() == Register::None => self
                .offset_in(Some(instruction.memory_base()).filter(|base| base.size() == size)?)?
                .checked_add(displacement(instruction) as i64),
            Mnemonic::Add if is_immediate(instruction) => old?.checked_add(immediate(instruction, 1) as i64),
            Mnemonic::Sub if is_immediate(instruction) => old?.checked_sub(immediate(instruction, 1) as i64),
            _ => None,
        }
    }

    /// The offset that a register holds.
    pub(crate) fn offset_in(self, register: Register) -> Option<i64> {
        match register {
            Register::RSP | Register::ESP => self.stack_pointer,
            Register::RBP | Register::EBP => self.frame_pointer,
            _ => None,
        }
    }
}

/// The bytes of arguments that a function pops which ends with an instruction; none where it is no return.
pub(crate) fn popped_by_callee(instruction: &Instruction) -> Option<i64> {
    let is_return = matches!(instruction.mnemonic(), Mnemonic::Ret | Mnemonic::Retf);
    is_return.then(|| match instruction.op_count() {
        0 => 0,
        _ => i64::from(instruction.immediate16()),
    })
}

fn writes(access: OpAccess) -> bool {
    !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
}

fn is_immediate(instruction: &Instruction) -> bool {
    instruction.op1_kind() != OpKind::Register && !is_memory(instruction.op1_kind())
}

/// The callee-saved register that an instruction pushes.
pub(crate) fn saved_register(instruction: &Instruction) -> Option<&'static str> {
    if instruction.mnemonic() != Mnemonic::Push || instruction.op0_kind() != OpKind::Register {
        return None;
    }
    Some(match instruction.op0_register() {
        Register::RBX => "rbx",
        Register::RBP => "rbp",
        Register::R12 => "r12",
        Register::R13 => "r13",
        Register::R14 => "r14",
        Register::R15 => "r15",
        Register::EBX => "ebx",
        Register::EBP => "ebp",
        Register::ESI => "esi",
        Register::EDI => "edi",
        _ => return None,
    })
}

/// Memory that an instruction touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryTouch {
    /// Whether no `mem_` operand names it.
    pub(crate) is_implicit: bool,
    /// Where it lies.
    pub(crate) place: Touched,
    /// Whether a register is added to the place.
    pub(crate) is_indexed: bool,
    /// Size in bytes; none where only the address is computed.
    pub(crate) size: Option<u16>,
    /// What is done.
    pub(crate) access: Access,
}

/// A place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touched {
    /// An offset from the stack pointer at the function's entry.
    Stack(i64),
    /// An address.
    Global(u64),
    /// Not known.
    Unknown,
}

/// The memory that an instruction touches, given the state before it: its memory operand first, then what it names
/// implicitly (the slot of a `push` or `pop`, the second operand of a string instruction).
pub(crate) fn touches(
    instruction: &Instruction,
    state: StackState,
    info: &mut InstructionInfoFactory,
) -> [Option<MemoryTouch>; 2] {
    let mut operands = (0..instruction.op_count()).filter(|index| is_memory(instruction.op_kind(*index)));
    let Some(first) = operands.next() else { return [None, implicit_slot(instruction, state)] };
    // A long `nop` names memory without touching it.
    if instruction.mnemonic() == Mnemonic::Nop {
        return [None, None];
    }
    let second = operands.next().map(|operand| touch(instruction, operand, true, state, info));
    let first = touch(instruction, first, false, state, info);
    [Some(first), second.or_else(|| implicit_slot(instruction, state))]
}

fn touch(
    instruction: &Instruction,
    operand: u32,
    is_implicit: bool,
    state: StackState,
    info: &mut InstructionInfoFactory,
) -> MemoryTouch {
    let memory = MemoryOperand::of(instruction, operand);
    let access = access(info, instruction, operand);
    let place = match memory.base {
        _ if memory.segment != Register::None => Touched::Unknown,
        Register::RIP | Register::EIP => Touched::Global(instruction.memory_displacement64()),
        Register::None => Touched::Global(memory.displacement as u64),
        // `pop` counts its memory operand's address from the stack pointer after it.
        Register::RSP | Register::ESP if instruction.mnemonic() == Mnemonic::Pop => Touched::Unknown,
        base => match state.offset_in(base).and_then(|offset| offset.checked_add(memory.displacement)) {
            Some(offset) => Touched::Stack(offset),
            None => Touched::Unknown,
        },
    };
    let size = (access != Access::Address).then_some(memory.size).filter(|size| *size > 0);
    MemoryTouch { is_implicit, place, is_indexed: memory.index != Register::None, size, access }
}

/// The stack slot that a `push` or `pop` moves.
fn implicit_slot(instruction: &Instruction, state: StackState) -> Option<MemoryTouch> {
    let increment = i64::from(instruction.stack_pointer_increment());
    let (offset, access) = match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => (increment, Access::Write),
        Mnemonic::Pop | Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => (0, Access::Read),
        _ => return None,
    };
    let place = match state.stack_pointer.and_then(|pointer| pointer.checked_add(offset)) {
        Some(offset) => Touched::Stack(offset),
        None => Touched::Unknown,
    };
    let size = u16::try_from(increment.unsigned_abs()).ok();
    Some(MemoryTouch { is_implicit: true, place, is_indexed: false, size, access })
}
