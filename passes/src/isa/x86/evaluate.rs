//! What an instruction does to values in registers and memory, as far as finding the targets of indirect jumps needs it.
//!
//! Memory on the stack is followed as if no pointer led there; other memory counts as changed by every write and call.
//!
//! In 32-bit mode only the low 32 bits of a value are meant: registers are followed as if they were wider, so that what is added
//! or subtracted needs no care, and who reads an address out of a value cuts it off.

use super::flow::ADDRESS_MIN;
use super::operands::is_memory;
use super::{Isa, address_size, displacement, immediate, is_32};
use crate::domains::symbolic::{Bound, Value, Values};
use iced_x86::{
    ConditionCode, Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind,
    Register,
};

const REGISTERS: usize = 16;

/// Values in memory and bounds that are followed at a time; the oldest is forgotten first.
const CELLS_MAX: usize = 48;
const BOUNDS_MAX: usize = 16;

/// Registers, and memory, that different ways to an address disagreed about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lost(u32);

/// What registers and memory hold before an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    registers: [Value; REGISTERS],
    cells: Vec<Cell>,
    /// What the flags compare, as numbers of so many bits.
    compared: Option<(Value, Value, u8)>,
    /// What comparisons said on the way.
    pub(crate) bounds: Vec<Bound>,
    /// Which memory loads see.
    epoch: u64,
}

/// What stands in memory on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    address: Value,
    size: u8,
    value: Value,
}

/// A number for what becomes unknown at an address: for a register, or for memory ([`MEMORY`]).
fn unknown_at(address: u64, place: usize) -> u64 {
    address.wrapping_mul(NUMBERS_PER_ADDRESS).wrapping_add(place as u64)
}

const NUMBERS_PER_ADDRESS: u64 = 64;

const MEMORY: usize = REGISTERS;
/// What is unknown where ways meet has other numbers than what an instruction leaves unknown.
const MEETING: usize = 32;

impl State {
    /// Nothing is known before an address.
    pub(crate) fn unknown(address: u64) -> Self {
        let register = |register| Value::unknown(unknown_at(address, MEETING + register));
        Self {
            registers: std::array::from_fn(register),
            cells: Vec::new(),
            compared: None,
            bounds: Vec::new(),
            epoch: unknown_at(address, MEETING + MEMORY),
        }
    }

    /// Whether the unknown value of a number was there before the instructions that were followed.
    pub(crate) fn is_from_before(number: u64) -> bool {
        number % NUMBERS_PER_ADDRESS >= MEETING as u64
    }

    /// Keeps what also holds on another way to an address. Registers that were ever lost there stay lost.
    pub(crate) fn meet(&mut self, other: &Self, lost: &mut Lost, address: u64) {
        for (register, (own, others)) in self.registers.iter_mut().zip(&other.registers).enumerate() {
            if own != others {
                lost.0 |= 1 << register;
                *own = Value::unknown(unknown_at(address, MEETING + register));
            }
        }
        if self.epoch != other.epoch {
            self.epoch = unknown_at(address, MEETING + MEMORY);
            lost.0 |= 1 << MEMORY;
        }
        self.cells.retain(|cell| other.cells.contains(cell));
        self.bounds.retain(|bound| other.bounds.contains(bound));
        self.compared = self.compared.filter(|_| self.compared == other.compared);
    }

    /// Loses what was lost at an address before.
    pub(crate) fn lose(&mut self, lost: Lost, address: u64) {
        for (register, own) in
            self.registers.iter_mut().enumerate().filter(|(register, _)| lost.0 >> register & 1 == 1)
        {
            *own = Value::unknown(unknown_at(address, MEETING + register));
        }
        if lost.0 >> MEMORY & 1 == 1 {
            self.epoch = unknown_at(address, MEETING + MEMORY);
        }
    }

    /// Follows an instruction.
    pub(crate) fn step(
        &mut self,
        values: &mut Values,
        instruction: &Instruction,
        info: &mut InstructionInfoFactory,
    ) {
        if instruction.rflags_modified() != 0 {
            self.compared = None;
        }
        match instruction.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd | Mnemonic::Lea => {
                self.step_move(values, instruction);
            }
            Mnemonic::Cdqe => self.registers[0] = values.sign_extended(self.registers[0], 32),
            Mnemonic::Cwde => {
                let value = values.sign_extended(self.registers[0], 16);
                self.registers[0] = values.zero_extended(value, 32);
            }
            Mnemonic::Add | Mnemonic::Inc | Mnemonic::Dec | Mnemonic::Sub | Mnemonic::Cmp | Mnemonic::And => {
                self.step_arithmetic(values, instruction);
            }
            Mnemonic::Shl | Mnemonic::Sal if instruction.op1_kind() == OpKind::Immediate8 => {
                let old = self.read(values, instruction, 0);
                let bits = if operand_size(instruction, 0) == 8 { 63 } else { 31 };
                let value = values.scaled(old, instruction.immediate8() & bits);
                self.write(values, instruction, 0, value);
            }
            Mnemonic::Push | Mnemonic::Leave | Mnemonic::Call => self.step_stack(values, instruction),
            Mnemonic::Pop if instruction.op0_kind() == OpKind::Register => {
                self.step_stack(values, instruction);
            }
            Mnemonic::Nop | Mnemonic::Test | Mnemonic::Endbr64 | Mnemonic::Endbr32 => {}
            _ => self.forget_written(values, instruction, info),
        }
    }

    fn step_move(&mut self, values: &mut Values, instruction: &Instruction) {
        let value = match instruction.mnemonic() {
            // What is known before all ways to a jump are is no constant index: only numbers that may be addresses are kept.
            Mnemonic::Mov if is_small(instruction) => Value::unknown(unknown_at(instruction.ip(), 0)),
            Mnemonic::Lea => self.address(values, instruction),
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let value = self.read(values, instruction, 1);
                values.sign_extended(value, operand_size(instruction, 1) * 8)
            }
            _ => self.read(values, instruction, 1),
        };
        self.write(values, instruction, 0, value);
    }

    fn step_arithmetic(&mut self, values: &mut Values, instruction: &Instruction) {
        let old = self.read(values, instruction, 0);
        let unknown = Value::unknown(unknown_at(instruction.ip(), 0));
        let value = match instruction.mnemonic() {
            Mnemonic::Inc => values.offset(old, 1),
            Mnemonic::Dec => values.offset(old, u64::MAX),
            mnemonic => {
                let other = self.read(values, instruction, 1);
                if matches!(mnemonic, Mnemonic::Sub | Mnemonic::Cmp) {
                    self.compared = Some((old, other, operand_size(instruction, 0) * 8));
                }
                match (mnemonic, values.number(other)) {
                    (Mnemonic::Cmp, _) => return,
                    (Mnemonic::Add, _) => values.sum(old, other),
                    (Mnemonic::Sub, Some(number)) => values.offset(old, number.wrapping_neg()),
                    (Mnemonic::And, Some(mask)) => values.masked(old, mask),
                    _ => unknown,
                }
            }
        };
        // Writing forgets nothing of what the flags compare.
        self.write(values, instruction, 0, value);
    }

    fn step_stack(&mut self, values: &mut Values, instruction: &Instruction) {
        match instruction.mnemonic() {
            Mnemonic::Push => {
                let value = self.read(values, instruction, 0);
                let increment = i64::from(instruction.stack_pointer_increment());
                let pointer = values.offset(self.registers[STACK_POINTER], increment as u64);
                self.registers[STACK_POINTER] = pointer;
                self.store(values, pointer, increment.unsigned_abs() as u8, value, instruction.ip());
            }
            Mnemonic::Pop => {
                let increment = instruction.stack_pointer_increment();
                let pointer = self.registers[STACK_POINTER];
                let value = self.load(values, pointer, increment.unsigned_abs() as u8);
                self.registers[STACK_POINTER] = values.offset(pointer, i64::from(increment) as u64);
                self.write(values, instruction, 0, value);
            }
            Mnemonic::Leave => {
                let frame = self.registers[FRAME_POINTER];
                let size = address_size(instruction);
                self.registers[FRAME_POINTER] = self.load(values, frame, size);
                self.registers[STACK_POINTER] = values.offset(frame, u64::from(size));
            }
            // A call of what follows only pushes an address.
            Mnemonic::Call if instruction.near_branch_target() == instruction.next_ip() => {
                let size = address_size(instruction);
                let pointer = values.offset(self.registers[STACK_POINTER], u64::from(size).wrapping_neg());
                self.registers[STACK_POINTER] = pointer;
                let next = values.constant(instruction.next_ip());
                self.store(values, pointer, size, next, instruction.ip());
            }
            _ => self.call(instruction),
        }
    }

    /// A callee leaves the stack and the registers that it has to keep.
    fn call(&mut self, instruction: &Instruction) {
        let address = instruction.ip();
        // rax, rcx, rdx, rsi, rdi, r8 to r11: the System V ABI's, of which Windows keeps two more, as does 32-bit code.
        let lost: &[usize] = if is_32(instruction) { &[0, 1, 2] } else { &[0, 1, 2, 6, 7, 8, 9, 10, 11] };
        for register in lost.iter().copied() {
            self.registers[register] = Value::unknown(unknown_at(address, register));
        }
        self.epoch = unknown_at(address, MEMORY);
        self.compared = None;
    }

    fn forget_written(
        &mut self,
        values: &mut Values,
        instruction: &Instruction,
        info: &mut InstructionInfoFactory,
    ) {
        let used = info.info_options(instruction, InstructionInfoOptions::NONE);
        let is_written = |access: OpAccess| {
            !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
        };
        for used in used.used_registers().iter().filter(|used| is_written(used.access())) {
            if let Some(register) = number(used.register()) {
                self.registers[register] = match register {
                    STACK_POINTER if instruction.stack_pointer_increment() != 0 => values.offset(
                        self.registers[register],
                        i64::from(instruction.stack_pointer_increment()) as u64,
                    ),
                    _ => Value::unknown(unknown_at(instruction.ip(), register)),
                };
            }
        }
        for used in used.used_memory().iter().filter(|used| is_written(used.access())) {
            let is_plain = used.index() == Register::None && used.base() != Register::None;
            let base = Some(used.base()).filter(|_| is_plain).and_then(number);
            let added = if is_32(instruction) {
                super::sign_extended(used.displacement())
            } else {
                used.displacement()
            };
            let address = base.map(|base| values.offset(self.registers[base], added));
            let size = used.memory_size().size().min(64) as u8;
            let value = Value::unknown(unknown_at(instruction.ip(), MEMORY + 1));
            match address {
                Some(address) => self.store(values, address, size, value, instruction.ip()),
                None => self.epoch = unknown_at(instruction.ip(), MEMORY),
            }
        }
    }

    /// Puts the address of the next instruction into a register.
    pub(crate) fn take_next_address(
        &mut self,
        values: &mut Values,
        instruction: &Instruction,
        register: usize,
    ) {
        self.registers[register] = values.constant(instruction.next_ip());
    }

    /// Takes one way out of a conditional jump.
    pub(crate) fn branch(&mut self, values: &Values, instruction: &Instruction, is_taken: bool) {
        let Some((value, other, bits)) = self.compared else { return };
        let Some(number) = values.number(other) else { return };
        let maximum = match (instruction.condition_code(), is_taken) {
            (ConditionCode::a | ConditionCode::ne, false) | (ConditionCode::be | ConditionCode::e, true) => {
                number
            }
            (ConditionCode::ae, false) | (ConditionCode::b, true) if number > 0 => number - 1,
            // A number that is at most so much, with its sign, and has none.
            (ConditionCode::g, false) | (ConditionCode::le, true) if values.width(value) < bits => number,
            (ConditionCode::ge, false) | (ConditionCode::l, true)
                if values.width(value) < bits && number > 0 =>
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

    /// Where an indirect jump or call goes.
    pub(crate) fn target(&self, values: &mut Values, instruction: &Instruction) -> Value {
        self.read(values, instruction, 0)
    }

    /// The value of a memory operand's address.
    fn address(&self, values: &mut Values, instruction: &Instruction) -> Value {
        if matches!(instruction.memory_base(), Register::RIP | Register::EIP) {
            return values.constant(instruction.memory_displacement64());
        }
        let mut sum = values.constant(displacement(instruction));
        if let Some(base) = number(instruction.memory_base()) {
            sum = values.sum(self.registers[base], sum);
        }
        if let Some(index) = number(instruction.memory_index()) {
            let scaled =
                values.scaled(self.registers[index], instruction.memory_index_scale().trailing_zeros() as u8);
            sum = values.sum(sum, scaled);
        }
        let bits = match instruction.memory_base().size().max(instruction.memory_index().size()) {
            4 if !is_32(instruction) => 32,
            _ => return sum,
        };
        values.zero_extended(sum, bits)
    }

    /// An operand as a number without sign; a constant with its sign.
    fn read(&self, values: &mut Values, instruction: &Instruction, operand: u32) -> Value {
        let kind = instruction.op_kind(operand);
        match kind {
            OpKind::Register => {
                let register = instruction.op_register(operand);
                match number(register) {
                    Some(index) if is_32(instruction) && register.size() == 4 => self.registers[index],
                    Some(index) if !is_high_byte(register) => {
                        values.zero_extended(self.registers[index], (register.size() * 8) as u8)
                    }
                    _ => Value::unknown(unknown_at(instruction.ip(), MEMORY + 2 + operand as usize)),
                }
            }
            kind if is_memory(kind) => {
                let size = operand_size(instruction, operand);
                match instruction.segment_prefix() {
                    Register::FS | Register::GS => {
                        Value::unknown(unknown_at(instruction.ip(), MEMORY + 2 + operand as usize))
                    }
                    _ => {
                        let address = self.address(values, instruction);
                        self.load(values, address, size)
                    }
                }
            }
            _ => {
                let number = values.constant(immediate(instruction, operand));
                let bits = operand_size(instruction, 0) * 8;
                // Comparisons and masks are of the first operand's size.
                match instruction.mnemonic() {
                    Mnemonic::Cmp | Mnemonic::And if bits > 0 => values.zero_extended(number, bits),
                    _ => number,
                }
            }
        }
    }

    fn load(&self, values: &mut Values, address: Value, size: u8) -> Value {
        match self.cells.iter().find(|cell| cell.address == address && cell.size >= size) {
            Some(cell) if size <= 8 && size > 0 => values.zero_extended(cell.value, size * 8),
            _ => values.load(address, size, self.epoch),
        }
    }

    fn write(&mut self, values: &mut Values, instruction: &Instruction, operand: u32, value: Value) {
        let kind = instruction.op_kind(operand);
        if kind == OpKind::Register {
            let register = instruction.op_register(operand);
            let Some(index) = number(register) else { return };
            self.registers[index] = match register.size() {
                8 => value,
                4 if is_32(instruction) => value,
                4 => values.zero_extended(value, 32),
                _ if is_high_byte(register) => Value::unknown(unknown_at(instruction.ip(), index)),
                size => values.low(value, (size * 8) as u8),
            };
        } else if is_memory(kind) {
            let address = self.address(values, instruction);
            let size = operand_size(instruction, operand);
            self.store(values, address, size, value, instruction.ip());
        }
    }

    fn store(&mut self, values: &mut Values, address: Value, size: u8, value: Value, at: u64) {
        let base = stack_offset(values, self, address);
        if base.is_none() {
            self.epoch = unknown_at(at, MEMORY);
            return;
        }
        self.cells.retain(|cell| {
            let (own, new) = (offset_of(values, cell.address), offset_of(values, address));
            own.0 != new.0
                || own.1.wrapping_sub(new.1) as i64 >= i64::from(size)
                || new.1.wrapping_sub(own.1) as i64 >= i64::from(cell.size)
        });
        if self.cells.len() == CELLS_MAX {
            self.cells.remove(0);
        }
        if size <= 8 && size > 0 {
            let value = values.zero_extended(value, size * 8);
            self.cells.push(Cell { address, size, value });
        }
    }
}

const STACK_POINTER: usize = 4;
const FRAME_POINTER: usize = 5;

/// The offset of an address from what the stack or frame pointer is an offset of.
fn stack_offset(values: &Values, state: &State, address: Value) -> Option<u64> {
    let (base, offset) = offset_of(values, address);
    let is_base = |register: usize| offset_of(values, state.registers[register]).0 == base;
    (is_base(STACK_POINTER) || is_base(FRAME_POINTER)).then_some(offset)
}

fn offset_of(values: &Values, value: Value) -> (Value, u64) {
    match values.get(value) {
        crate::domains::symbolic::Expression::Offset(base, offset) => (base, offset),
        _ => (value, 0),
    }
}

/// Whether an instruction moves a number that is too small for an address.
fn is_small(instruction: &Instruction) -> bool {
    let kind = instruction.op1_kind();
    kind != OpKind::Register && !is_memory(kind) && instruction.immediate(1) < ADDRESS_MIN
}

/// Number of a general register, of any size.
fn number(register: Register) -> Option<usize> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number())
}

fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

fn operand_size(instruction: &Instruction, operand: u32) -> u8 {
    match instruction.op_kind(operand) {
        OpKind::Register => instruction.op_register(operand).size() as u8,
        kind if is_memory(kind) => instruction.memory_size().size().min(64) as u8,
        _ => 0,
    }
}

/// The register that a function puts its return address into, if that is all that it does: `mov ebx, [esp]; ret`. Code that runs
/// at any address has no other way to know its own in 32-bit mode.
pub(crate) fn address_getter(isa: Isa, code: &[u8]) -> Option<usize> {
    match code {
        [0x8b, operands, 0x24, 0xc3, ..] if isa == Isa::X86 && operands & 0b1100_0111 == 0b100 => {
            Some(usize::from(operands >> 3 & 0b111))
        }
        _ => None,
    }
}
