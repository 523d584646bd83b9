//! Symbolic transfer functions of x86: the effect of an instruction on expressions in registers, stack cells and branch
//! bounds.
//!
//! Only what the recovery of jump tables needs is modelled; every other instruction makes the registers that it writes
//! unknown.
//!
//! *Approximation.* Stack cells are tracked as if no pointer aliased them: neither a store through an unrelated pointer
//! nor a call changes them. That is unsound, but a compiler does not let the index or the base of a jump table escape.
//! Memory outside the stack is changed by every store and call; a change starts a new memory epoch, and loads of
//! different epochs differ. Each call makes the registers unknown that System V lets it change; of these, Windows
//! preserves two, so that fewer values are known there than could be.
//!
//! In 32-bit mode only the low 32 bits of an expression are meaningful: registers are tracked as if they were wider, so
//! that additions and subtractions need no truncation, and the reader of an address truncates it.

use super::decoder::{address_size, displacement, immediate, is_32, sign_extended};
use super::flow::ADDRESS_MIN;
use super::instruction_facts::{general_register, is_high_byte, operand_size};
use super::operands::is_memory;
use crate::domains::symbolic::{Bound, ExprArena, ExprId, Expression};
use crate::isa::instruction_set::Isa;
use iced_x86::{
    ConditionCode, Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind,
    Register,
};

const REGISTERS: usize = 16;

/// Stack cells and bounds that are tracked at a time; the oldest is dropped first.
const CELLS_MAX: usize = 48;
const BOUNDS_MAX: usize = 16;

/// Registers, and memory, that were merged at a join point: predecessors disagreed about them. One bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MergedRegisters(u32);

/// The symbolic state before an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SymbolicState {
    registers: [ExprId; REGISTERS],
    cells: Vec<SymbolicCell>,
    /// The operands whose comparison set the flags, and their width in bits; `None` if unknown.
    compared: Option<(ExprId, ExprId, u8)>,
    /// Bounds from the branch conditions on all paths to the instruction.
    pub(crate) bounds: Vec<Bound>,
    /// The memory epoch: loads of the same address and epoch read the same value.
    epoch: u64,
}

/// A value stored on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SymbolicCell {
    address: ExprId,
    size: u8,
    value: ExprId,
}

/// The number of a fresh symbol, for a register or for memory ([`MEMORY`]) at an address.
fn symbol_number(address: u64, index: usize) -> u64 {
    address.wrapping_mul(SYMBOLS_PER_ADDRESS).wrapping_add(index as u64)
}

const SYMBOLS_PER_ADDRESS: u64 = 64;

const MEMORY: usize = REGISTERS;
/// Offset of the symbols of block entries and join points, which differ from those that an instruction makes.
const ENTRY: usize = 32;

impl SymbolicState {
    /// The entry state of a block with unknown predecessors: a fresh symbol for each register and for memory.
    pub(crate) fn unknown(address: u64) -> Self {
        let register = |register| ExprId::unknown(symbol_number(address, ENTRY + register));
        Self {
            registers: std::array::from_fn(register),
            cells: Vec::new(),
            compared: None,
            bounds: Vec::new(),
            epoch: symbol_number(address, ENTRY + MEMORY),
        }
    }

    /// Whether the symbol with a number is that of a block entry, rather than one that an instruction made.
    pub(crate) fn is_entry_symbol(number: u64) -> bool {
        number % SYMBOLS_PER_ADDRESS >= ENTRY as u64
    }

    /// Joins with the state from another predecessor of the block at `address`. A register on which they disagree
    /// becomes the entry symbol of that block, and is added to `merged`.
    pub(crate) fn join(&mut self, other: &Self, merged: &mut MergedRegisters, address: u64) {
        for (register, (own, others)) in self.registers.iter_mut().zip(&other.registers).enumerate() {
            if own != others {
                merged.0 |= 1 << register;
                *own = ExprId::unknown(symbol_number(address, ENTRY + register));
            }
        }
        if self.epoch != other.epoch {
            self.epoch = symbol_number(address, ENTRY + MEMORY);
            merged.0 |= 1 << MEMORY;
        }
        self.cells.retain(|cell| other.cells.contains(cell));
        self.bounds.retain(|bound| other.bounds.contains(bound));
        self.compared = self.compared.filter(|_| self.compared == other.compared);
    }

    /// Sets the registers that were ever merged at the block at `address` to its entry symbols.
    pub(crate) fn forget_merged(&mut self, merged: MergedRegisters, address: u64) {
        for (register, own) in
            self.registers.iter_mut().enumerate().filter(|(register, _)| merged.0 >> register & 1 == 1)
        {
            *own = ExprId::unknown(symbol_number(address, ENTRY + register));
        }
        if merged.0 >> MEMORY & 1 == 1 {
            self.epoch = symbol_number(address, ENTRY + MEMORY);
        }
    }

    /// Applies an instruction.
    pub(crate) fn step(
        &mut self,
        arena: &mut ExprArena,
        instruction: &Instruction,
        info: &mut InstructionInfoFactory,
    ) {
        if instruction.rflags_modified() != 0 {
            self.compared = None;
        }
        match instruction.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd | Mnemonic::Lea => {
                self.step_move(arena, instruction);
            }
            Mnemonic::Cdqe => self.registers[0] = arena.sign_extended(self.registers[0], 32),
            Mnemonic::Cwde => {
                let value = arena.sign_extended(self.registers[0], 16);
                self.registers[0] = arena.zero_extended(value, 32);
            }
            Mnemonic::Add | Mnemonic::Inc | Mnemonic::Dec | Mnemonic::Sub | Mnemonic::Cmp | Mnemonic::And => {
                self.step_arithmetic(arena, instruction);
            }
            Mnemonic::Shl | Mnemonic::Sal if instruction.op1_kind() == OpKind::Immediate8 => {
                let old = self.read(arena, instruction, 0);
                let bits = if operand_size(instruction, 0) == 8 { 63 } else { 31 };
                let value = arena.scaled(old, instruction.immediate8() & bits);
                self.write(arena, instruction, 0, value);
            }
            Mnemonic::Push | Mnemonic::Leave | Mnemonic::Call => self.step_stack(arena, instruction),
            Mnemonic::Pop if instruction.op0_kind() == OpKind::Register => {
                self.step_stack(arena, instruction);
            }
            Mnemonic::Nop | Mnemonic::Test | Mnemonic::Endbr64 | Mnemonic::Endbr32 => {}
            _ => self.forget_written(arena, instruction, info),
        }
    }

    fn step_move(&mut self, arena: &mut ExprArena, instruction: &Instruction) {
        let value = match instruction.mnemonic() {
            // Predecessors may still be missing, so a small constant must not be taken for the index: only constants
            // that can be addresses are kept.
            Mnemonic::Mov if is_small(instruction) => ExprId::unknown(symbol_number(instruction.ip(), 0)),
            Mnemonic::Lea => self.address(arena, instruction),
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let value = self.read(arena, instruction, 1);
                arena.sign_extended(value, operand_size(instruction, 1) * 8)
            }
            _ => self.read(arena, instruction, 1),
        };
        self.write(arena, instruction, 0, value);
    }

    fn step_arithmetic(&mut self, arena: &mut ExprArena, instruction: &Instruction) {
        let old = self.read(arena, instruction, 0);
        let unknown = ExprId::unknown(symbol_number(instruction.ip(), 0));
        let value = match instruction.mnemonic() {
            Mnemonic::Inc => arena.offset(old, 1),
            Mnemonic::Dec => arena.offset(old, u64::MAX),
            mnemonic => {
                let other = self.read(arena, instruction, 1);
                if matches!(mnemonic, Mnemonic::Sub | Mnemonic::Cmp) {
                    self.compared = Some((old, other, operand_size(instruction, 0) * 8));
                }
                match (mnemonic, arena.number(other)) {
                    (Mnemonic::Cmp, _) => return,
                    (Mnemonic::Add, _) => arena.sum(old, other),
                    (Mnemonic::Sub, Some(number)) => arena.offset(old, number.wrapping_neg()),
                    (Mnemonic::And, Some(mask)) => arena.masked(old, mask),
                    _ => unknown,
                }
            }
        };
        // The write does not change the compared operands, which are expressions.
        self.write(arena, instruction, 0, value);
    }

    fn step_stack(&mut self, arena: &mut ExprArena, instruction: &Instruction) {
        match instruction.mnemonic() {
            Mnemonic::Push => {
                let value = self.read(arena, instruction, 0);
                let increment = i64::from(instruction.stack_pointer_increment());
                let pointer = arena.offset(self.registers[STACK_POINTER], increment as u64);
                self.registers[STACK_POINTER] = pointer;
                self.store(arena, pointer, increment.unsigned_abs() as u8, value, instruction.ip());
            }
            Mnemonic::Pop => {
                let increment = instruction.stack_pointer_increment();
                let pointer = self.registers[STACK_POINTER];
                let value = self.load(arena, pointer, increment.unsigned_abs() as u8);
                self.registers[STACK_POINTER] = arena.offset(pointer, i64::from(increment) as u64);
                self.write(arena, instruction, 0, value);
            }
            Mnemonic::Leave => {
                let frame = self.registers[FRAME_POINTER];
                let size = address_size(instruction);
                self.registers[FRAME_POINTER] = self.load(arena, frame, size);
                self.registers[STACK_POINTER] = arena.offset(frame, u64::from(size));
            }
            // A call of the next instruction only pushes its address.
            Mnemonic::Call if instruction.near_branch_target() == instruction.next_ip() => {
                let size = address_size(instruction);
                let pointer = arena.offset(self.registers[STACK_POINTER], u64::from(size).wrapping_neg());
                self.registers[STACK_POINTER] = pointer;
                let next = arena.constant(instruction.next_ip());
                self.store(arena, pointer, size, next, instruction.ip());
            }
            _ => self.call(instruction),
        }
    }

    /// Applies a call: the callee preserves stack cells and callee-saved registers.
    fn call(&mut self, instruction: &Instruction) {
        let address = instruction.ip();
        // rax, rcx, rdx, rsi, rdi, r8 to r11 in the System V ABI; Windows and 32-bit conventions preserve rsi and rdi.
        let clobbered: &[usize] =
            if is_32(instruction) { &[0, 1, 2] } else { &[0, 1, 2, 6, 7, 8, 9, 10, 11] };
        for register in clobbered.iter().copied() {
            self.registers[register] = ExprId::unknown(symbol_number(address, register));
        }
        self.epoch = symbol_number(address, MEMORY);
        self.compared = None;
    }

    /// Makes the registers and memory that an instruction writes unknown.
    fn forget_written(
        &mut self,
        arena: &mut ExprArena,
        instruction: &Instruction,
        info: &mut InstructionInfoFactory,
    ) {
        let used = info.info_options(instruction, InstructionInfoOptions::NONE);
        let is_written = |access: OpAccess| {
            !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
        };
        for used in used.used_registers().iter().filter(|used| is_written(used.access())) {
            if let Some(register) = register_index(used.register()) {
                self.registers[register] = match register {
                    STACK_POINTER if instruction.stack_pointer_increment() != 0 => arena.offset(
                        self.registers[register],
                        i64::from(instruction.stack_pointer_increment()) as u64,
                    ),
                    _ => ExprId::unknown(symbol_number(instruction.ip(), register)),
                };
            }
        }
        for used in used.used_memory().iter().filter(|used| is_written(used.access())) {
            let is_plain = used.index() == Register::None && used.base() != Register::None;
            let base = Some(used.base()).filter(|_| is_plain).and_then(register_index);
            let added = match is_32(instruction) {
                true => sign_extended(used.displacement()),
                false => used.displacement(),
            };
            let address = base.map(|base| arena.offset(self.registers[base], added));
            let size = used.memory_size().size().min(64) as u8;
            let value = ExprId::unknown(symbol_number(instruction.ip(), MEMORY + 1));
            match address {
                Some(address) => self.store(arena, address, size, value, instruction.ip()),
                None => self.epoch = symbol_number(instruction.ip(), MEMORY),
            }
        }
    }

    /// Sets a register to the address of the next instruction.
    pub(crate) fn set_next_address(
        &mut self,
        arena: &mut ExprArena,
        instruction: &Instruction,
        register: usize,
    ) {
        self.registers[register] = arena.constant(instruction.next_ip());
    }

    /// Assumes that a conditional jump is or is not taken: adds the bound that follows from its condition.
    pub(crate) fn assume_branch(&mut self, arena: &ExprArena, instruction: &Instruction, is_taken: bool) {
        let Some((value, other, bits)) = self.compared else { return };
        let Some(number) = arena.number(other) else { return };
        let maximum = match (instruction.condition_code(), is_taken) {
            (ConditionCode::a | ConditionCode::ne, false) | (ConditionCode::be | ConditionCode::e, true) => {
                number
            }
            (ConditionCode::ae, false) | (ConditionCode::b, true) if number > 0 => number - 1,
            // A signed bound of a value whose sign bit is clear.
            (ConditionCode::g, false) | (ConditionCode::le, true) if arena.width(value) < bits => number,
            (ConditionCode::ge, false) | (ConditionCode::l, true)
                if arena.width(value) < bits && number > 0 =>
            {
                number - 1
            }
            _ => return,
        };
        if self.bounds.len() == BOUNDS_MAX {
            self.bounds.remove(0);
        }
        self.bounds.retain(|bound| bound.value != value);
        self.bounds.push(Bound { value, maximum });
    }

    /// The target of an indirect jump or call.
    pub(crate) fn target(&self, arena: &mut ExprArena, instruction: &Instruction) -> ExprId {
        self.read(arena, instruction, 0)
    }

    /// The address of a memory operand.
    fn address(&self, arena: &mut ExprArena, instruction: &Instruction) -> ExprId {
        if matches!(instruction.memory_base(), Register::RIP | Register::EIP) {
            return arena.constant(instruction.memory_displacement64());
        }
        let mut sum = arena.constant(displacement(instruction));
        if let Some(base) = register_index(instruction.memory_base()) {
            sum = arena.sum(self.registers[base], sum);
        }
        if let Some(index) = register_index(instruction.memory_index()) {
            let scaled =
                arena.scaled(self.registers[index], instruction.memory_index_scale().trailing_zeros() as u8);
            sum = arena.sum(sum, scaled);
        }
        let bits = match instruction.memory_base().size().max(instruction.memory_index().size()) {
            4 if !is_32(instruction) => 32,
            _ => return sum,
        };
        arena.zero_extended(sum, bits)
    }

    /// An operand, zero-extended; an immediate, sign-extended.
    fn read(&self, arena: &mut ExprArena, instruction: &Instruction, operand: u32) -> ExprId {
        let kind = instruction.op_kind(operand);
        match kind {
            OpKind::Register => {
                let register = instruction.op_register(operand);
                match register_index(register) {
                    Some(index) if is_32(instruction) && register.size() == 4 => self.registers[index],
                    Some(index) if !is_high_byte(register) => {
                        arena.zero_extended(self.registers[index], (register.size() * 8) as u8)
                    }
                    _ => ExprId::unknown(symbol_number(instruction.ip(), MEMORY + 2 + operand as usize)),
                }
            }
            kind if is_memory(kind) => {
                let size = operand_size(instruction, operand);
                match instruction.segment_prefix() {
                    Register::FS | Register::GS => {
                        ExprId::unknown(symbol_number(instruction.ip(), MEMORY + 2 + operand as usize))
                    }
                    _ => {
                        let address = self.address(arena, instruction);
                        self.load(arena, address, size)
                    }
                }
            }
            _ => {
                let number = arena.constant(immediate(instruction, operand));
                let bits = operand_size(instruction, 0) * 8;
                // An immediate that is compared or used as a mask has the size of the first operand.
                match instruction.mnemonic() {
                    Mnemonic::Cmp | Mnemonic::And if bits > 0 => arena.zero_extended(number, bits),
                    _ => number,
                }
            }
        }
    }

    fn load(&self, arena: &mut ExprArena, address: ExprId, size: u8) -> ExprId {
        match self.cells.iter().find(|cell| cell.address == address && cell.size >= size) {
            Some(cell) if size <= 8 && size > 0 => arena.zero_extended(cell.value, size * 8),
            _ => arena.load(address, size, self.epoch),
        }
    }

    fn write(&mut self, arena: &mut ExprArena, instruction: &Instruction, operand: u32, value: ExprId) {
        let kind = instruction.op_kind(operand);
        if kind == OpKind::Register {
            let register = instruction.op_register(operand);
            let Some(index) = register_index(register) else { return };
            self.registers[index] = match register.size() {
                8 => value,
                4 if is_32(instruction) => value,
                4 => arena.zero_extended(value, 32),
                _ if is_high_byte(register) => ExprId::unknown(symbol_number(instruction.ip(), index)),
                size => arena.low_bits(value, (size * 8) as u8),
            };
        } else if is_memory(kind) {
            let address = self.address(arena, instruction);
            let size = operand_size(instruction, operand);
            self.store(arena, address, size, value, instruction.ip());
        }
    }

    fn store(&mut self, arena: &mut ExprArena, address: ExprId, size: u8, value: ExprId, at: u64) {
        let base = stack_offset(arena, self, address);
        if base.is_none() {
            self.epoch = symbol_number(at, MEMORY);
            return;
        }
        self.cells.retain(|cell| {
            let (own, new) = (base_and_offset(arena, cell.address), base_and_offset(arena, address));
            own.0 != new.0
                || own.1.wrapping_sub(new.1) as i64 >= i64::from(size)
                || new.1.wrapping_sub(own.1) as i64 >= i64::from(cell.size)
        });
        if self.cells.len() == CELLS_MAX {
            self.cells.remove(0);
        }
        if size <= 8 && size > 0 {
            let value = arena.zero_extended(value, size * 8);
            self.cells.push(SymbolicCell { address, size, value });
        }
    }
}

const STACK_POINTER: usize = 4;
const FRAME_POINTER: usize = 5;

/// The offset of an address from the base that the stack or frame pointer is an offset from; `None` for other
/// addresses.
fn stack_offset(arena: &ExprArena, state: &SymbolicState, address: ExprId) -> Option<u64> {
    let (base, offset) = base_and_offset(arena, address);
    let is_base = |register: usize| base_and_offset(arena, state.registers[register]).0 == base;
    (is_base(STACK_POINTER) || is_base(FRAME_POINTER)).then_some(offset)
}

/// An expression as a base and an offset.
fn base_and_offset(arena: &ExprArena, value: ExprId) -> (ExprId, u64) {
    match arena.get(value) {
        Expression::Offset(base, offset) => (base, offset),
        _ => (value, 0),
    }
}

/// Whether an instruction moves an immediate that is too small for an address.
fn is_small(instruction: &Instruction) -> bool {
    let kind = instruction.op1_kind();
    kind != OpKind::Register && !is_memory(kind) && instruction.immediate(1) < ADDRESS_MIN
}

/// Index of the general register that a register is or is part of; `None` for other registers.
fn register_index(register: Register) -> Option<usize> {
    general_register(register).map(usize::from)
}

/// The register into which a function loads its return address, if it does nothing else: `mov ebx, [esp]; ret`.
/// Position-independent 32-bit code calls such a function to learn its own address.
pub(crate) fn address_getter(isa: Isa, code: &[u8]) -> Option<usize> {
    match code {
        [0x8b, operands, 0x24, 0xc3, ..] if isa == Isa::X86 && operands & 0b1100_0111 == 0b100 => {
            Some(usize::from(operands >> 3 & 0b111))
        }
        _ => None,
    }
}
