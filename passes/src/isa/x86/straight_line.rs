//! What straight-line code does: the constants that it leaves in registers and on the stack, and what a callee does
//! with its return address.

use super::decode::{Decoder, is_32};
use super::flow::classify;
use super::rows::is_memory;
use crate::isa::instruction_set::{Decoder as _, Isa, ReturnAddressUse};
use binframe_ir::tables::Flow;
use iced_x86::{
    Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register,
};

/// Instructions of a callee that are examined.
const INSTRUCTIONS_MAX: usize = 24;

/// Whether code ends with a system call of Linux that ends the process: `exit` or `exit_group`. x32 marks the numbers
/// of x86-64 with a bit.
///
/// Source: Linux, `arch/x86/entry/syscalls/syscall_64.tbl` and `syscall_32.tbl`.
pub(super) fn ends_process(isa: Isa, code: &[u8]) -> bool {
    const X32_BIT: u32 = 0x4000_0000;
    let Some((constants, last)) = Constants::before_last(isa, code) else { return false };
    let Some(number) = constants.registers[Register::RAX.number()] else { return false };
    match last.mnemonic() {
        Mnemonic::Syscall => matches!(number & !X32_BIT, 60 | 231),
        Mnemonic::Sysenter | Mnemonic::Int => matches!(number, 1 | 252),
        _ => false,
    }
}

/// Whether code adds a variable to the frame pointer, moves the result into the stack pointer, and then at most pops, as
/// `__builtin_eh_return` does: `lea rcx, [rbp + rcx + 8]; …; mov rsp, rcx; pop rcx`.
pub(super) fn moves_stack_by_variable(isa: Isa, code: &[u8]) -> bool {
    /// Bytes of the move of the stack pointer and what is after it.
    const END_MAX: usize = 8;
    let end = &code[code.len().saturating_sub(END_MAX)..];
    // Without a prefix `mov rsp, r`, which few functions have.
    if !end.array_windows().any(|[opcode, operands]| *opcode == 0x89 && operands & 0b1100_0111 == 0b1100_0100)
    {
        return false;
    }
    let mut decoder = Decoder::new(isa, code, 0);
    let mut info = InstructionInfoFactory::new();
    let mut instruction = Instruction::default();
    // The registers with the frame pointer and a variable, as bits.
    let (mut sums, mut is_moved, mut position) = (0_u32, false, 0);
    while position < code.len() && decoder.decode(&mut instruction) {
        position += instruction.len();
        let own = instruction.op0_register().full_register();
        let is_move = instruction.mnemonic() == Mnemonic::Mov && instruction.op1_kind() == OpKind::Register;
        if is_move && own == Register::RSP {
            is_moved = sums >> instruction.op1_register().number() & 1 == 1;
            continue;
        }
        let is_sum = instruction.mnemonic() == Mnemonic::Lea
            && instruction.memory_base().full_register() == Register::RBP
            && instruction.memory_index() != Register::None;
        let is_pop = instruction.mnemonic() == Mnemonic::Pop;
        each_written(&instruction, &mut info, |register| {
            if register == Register::RSP {
                is_moved &= is_pop;
            } else if register.is_gpr64() {
                sums &= !(1 << register.number());
            }
        });
        if is_sum && own.is_gpr64() {
            sums |= 1 << own.number();
        }
    }
    is_moved
}

/// The constant that code which ends with a call passes as its first argument, in the convention of System V; `None` if
/// it is not known.
pub(super) fn first_argument(isa: Isa, code: &[u8]) -> Option<u32> {
    let (constants, _) = Constants::before_last(isa, code)?;
    match isa {
        Isa::X86 => *constants.stack.last()?,
        _ => constants.registers[Register::RDI.number()],
    }
}

/// The 32-bit constants that straight-line code leaves.
#[derive(Default)]
struct Constants {
    registers: [Option<u32>; 16],
    /// What was pushed, as far as it is known; empty below.
    stack: Vec<Option<u32>>,
}

impl Constants {
    /// The constants before the last instruction of code, and that instruction; `None` if there is an invalid one.
    fn before_last(isa: Isa, code: &[u8]) -> Option<(Self, Instruction)> {
        let mut decoder = Decoder::new(isa, code, 0);
        let mut info = InstructionInfoFactory::new();
        let mut instruction = Instruction::default();
        let (mut constants, mut position) = (Self::default(), 0);
        while decoder.decode(&mut instruction) {
            position += instruction.len();
            if position >= code.len() {
                return Some((constants, instruction));
            }
            constants.apply(&instruction, &mut info);
        }
        None
    }

    fn apply(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let number = |register: Register| register.full_register().number();
        let own = instruction.op0_register();
        let is_general = instruction.op0_kind() == OpKind::Register && own.is_gpr();
        let source = self.operand(instruction, 1);
        let size = own.size();
        let known = is_general.then(|| self.registers[number(own)]).flatten();
        match instruction.mnemonic() {
            Mnemonic::Mov if is_general && size >= 4 => self.registers[number(own)] = source,
            Mnemonic::Mov if is_general && (Register::AL..=Register::BL).contains(&own) => {
                let low = |known| Some(known & !0xff | source? & 0xff);
                self.registers[number(own)] = known.and_then(low);
            }
            Mnemonic::Xor | Mnemonic::Sub if is_general && size >= 4 && instruction.op1_register() == own => {
                self.registers[number(own)] = Some(0);
            }
            Mnemonic::Or if is_general && size >= 4 => {
                let either = |source| if source == u32::MAX { Some(source) } else { Some(known? | source) };
                self.registers[number(own)] = source.and_then(either);
            }
            Mnemonic::Inc if is_general && size >= 4 => {
                self.registers[number(own)] = known.map(|known| known.wrapping_add(1));
            }
            Mnemonic::Push => self.stack.push(self.operand(instruction, 0)),
            Mnemonic::Pop if is_general && size >= 4 => {
                self.registers[number(own)] = self.stack.pop().flatten();
            }
            Mnemonic::Mov if stack_offset(instruction) == Some(0) => {
                self.stack.pop();
                self.stack.push(source);
            }
            _ => each_written(instruction, info, |register| match register {
                Register::RSP => self.stack.clear(),
                full if full.is_gpr64() => self.registers[full.number()] = None,
                _ => {}
            }),
        }
    }

    /// The constant in an operand; `None` if it is not known.
    fn operand(&self, instruction: &Instruction, operand: u32) -> Option<u32> {
        if operand >= instruction.op_count() {
            return None;
        }
        match instruction.op_kind(operand) {
            OpKind::Register => {
                let register = instruction.op_register(operand);
                let is_whole = register.is_gpr32() || register.is_gpr64();
                is_whole.then(|| self.registers[register.full_register().number()]).flatten()
            }
            OpKind::Memory | OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => None,
            _ => instruction.try_immediate(operand).ok().map(|immediate| immediate as u32),
        }
    }
}

/// The offset from the stack pointer of a memory operand that is written; `None` if the first operand is no such one.
fn stack_offset(instruction: &Instruction) -> Option<i64> {
    let is_on_stack = is_memory(instruction.op0_kind())
        && instruction.memory_base().full_register() == Register::RSP
        && instruction.memory_index() == Register::None;
    is_on_stack.then(|| i64::from(instruction.memory_displacement64() as i32))
}

/// What a callee does with its return address, as far as its straight-line code says.
pub(super) fn return_address_use(isa: Isa, code: &[u8]) -> ReturnAddressUse {
    let mut decoder = Decoder::new(isa, code, 0);
    let mut instruction = Instruction::default();
    if !decoder.decode(&mut instruction) || !may_take_return_address(&instruction) {
        return ReturnAddressUse::Kept;
    }
    let mut info = InstructionInfoFactory::new();
    let mut state = ReturnAddress { popped: 0, is_in_place: true, holder: Register::None };
    for _ in 0..INSTRUCTIONS_MAX {
        let is_to_holder = instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().full_register() == state.holder;
        match classify(&instruction) {
            Flow::Next => {}
            Flow::Ret if state.popped == 0 && !state.is_in_place => {
                return ReturnAddressUse::Replaced(instruction.ip() as usize);
            }
            Flow::IndirectJump if is_to_holder => return ReturnAddressUse::Kept,
            _ if state.popped > 0 => return ReturnAddressUse::Taken,
            _ => return ReturnAddressUse::Kept,
        }
        if !state.apply(&instruction, &mut info) || !decoder.decode(&mut instruction) {
            return ReturnAddressUse::Kept;
        }
    }
    if state.popped > 0 { ReturnAddressUse::Taken } else { ReturnAddressUse::Kept }
}

/// Where the return address of a callee is.
struct ReturnAddress {
    /// Bytes that were popped, less those that were pushed.
    popped: i64,
    /// Whether it is still in its place.
    is_in_place: bool,
    /// The register that it was popped into; `Register::None` if there is none.
    holder: Register,
}

impl ReturnAddress {
    /// Applies an instruction; false if the stack pointer is lost.
    fn apply(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) -> bool {
        let address_size = if is_32(instruction) { 4 } else { 8 };
        let own = instruction.op0_register().full_register();
        let is_register = instruction.op0_kind() == OpKind::Register;
        let is_held =
            |register: Register| self.holder != Register::None && register.full_register() == self.holder;
        match instruction.mnemonic() {
            Mnemonic::Pop if is_register && own != Register::RSP => {
                if self.popped == 0 && self.is_in_place {
                    self.holder = own;
                } else if is_held(own) {
                    self.holder = Register::None;
                }
                self.popped += address_size;
            }
            Mnemonic::Push => {
                let is_held = is_register && is_held(own);
                self.popped -= address_size;
                if self.popped == 0 {
                    self.is_in_place = is_held;
                }
            }
            Mnemonic::Mov if stack_offset(instruction).is_some() => {
                if stack_offset(instruction).is_some_and(|offset| offset + self.popped == 0) {
                    self.is_in_place = is_held(instruction.op1_register());
                }
            }
            Mnemonic::Add | Mnemonic::Sub if is_register && own == Register::RSP => {
                let Ok(number) = instruction.try_immediate(1) else { return false };
                let number = i64::from(number as i32);
                self.popped += if instruction.mnemonic() == Mnemonic::Add { number } else { -number };
            }
            Mnemonic::Lea if is_register && own == Register::RSP => {
                self.popped += i64::from(instruction.memory_displacement64() as i32);
                return instruction.memory_base().full_register() == Register::RSP
                    && instruction.memory_index() == Register::None;
            }
            _ => {
                let mut is_lost = false;
                each_written(instruction, info, |register| {
                    is_lost |= register == Register::RSP;
                    if register == self.holder {
                        self.holder = Register::None;
                    }
                });
                return !is_lost;
            }
        }
        true
    }
}

/// Calls `each` with the whole register of every register that an instruction writes.
fn each_written(
    instruction: &Instruction,
    info: &mut InstructionInfoFactory,
    mut each: impl FnMut(Register),
) {
    let used = info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
    for used in used.used_registers() {
        let is_read = matches!(
            used.access(),
            OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
        );
        if !is_read {
            each(used.register().full_register());
        }
    }
}

/// Whether the first instruction of a callee removes or overwrites its return address.
fn may_take_return_address(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Pop => instruction.op0_kind() == OpKind::Register,
        Mnemonic::Add | Mnemonic::Lea => {
            instruction.op0_kind() == OpKind::Register
                && instruction.op0_register().full_register() == Register::RSP
        }
        Mnemonic::Mov => stack_offset(instruction) == Some(0),
        _ => false,
    }
}

/// The address that the last instruction of code pushes, if it pushes a constant of 32 bits; `None` otherwise.
#[inline]
pub(super) fn pushed_address(code: &[u8]) -> Option<u64> {
    match code {
        [.., 0x68, a, b, c, d] => Some(i64::from(i32::from_le_bytes([*a, *b, *c, *d])) as u64),
        _ => None,
    }
}
