//! Straight-line code: the constants that it leaves in registers and on the stack, and what a callee does with its
//! return address.
//!
//! *Problem.* Some branches do something else than their encoding says, because of the few instructions before them: a
//! system call with the number of `exit`, a call of `error` with a status, a callee that pops its return address.
//!
//! *Notation.* A value is a constant, an address relative to the stack pointer at the start, what was on the stack at
//! the start, or unknown. Constants and addresses are as wide as addresses, without truncation.
//!
//! *Algorithm.* Constant propagation over the ops of the instructions in sequence.
//!
//! *Cost.* Linear in the instructions; a load costs the number of stores before it, of which a few dozen bytes of code
//! have a few.
//!
//! *Approximation.* Stack cells are tracked as if no pointer aliased them, and a branch in the code is not taken.

use crate::code::regions::Code;
use crate::isa::ops::{Op, Operand, Operation, Ops, Part, Place, Reg, Rest};
use crate::isa::{Abi, Buffers, Decoder, InstructionSet, Isa, with_instruction_set};
use binframe_ir::tables::Flow;

/// Bytes of a callee that are examined.
const CALLEE_MAX: u64 = 96;

/// Instructions of a callee that are examined.
const INSTRUCTIONS_MAX: usize = 24;

/// Registers that are tracked: the first of the instruction set.
const REGISTERS: usize = 32;

/// What a callee does with its return address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReturnAddressUse {
    /// It returns there, if nothing else is known.
    Kept,
    /// It pops the address and does not return: the call is a jump that passes the address after it.
    Taken,
    /// It overwrites the address, and returns to another one by the instruction at this offset.
    Replaced(usize),
}

/// Whether code ends with a system call that ends the process.
pub(crate) fn ends_process(isa: Isa, code: &[u8]) -> bool {
    with_instruction_set!(isa, S => {
        before_last::<S>(isa, code).is_some_and(|(state, last)| {
            let number = state.registers[usize::from(state.abi.service_number.0)].constant();
            number.is_some_and(|number| S::exit_calls(&last).contains(&(number as u32)))
        })
    })
}

/// The constant that code which ends with a call passes as its first argument, in the convention of System V; `None` if
/// it is not known.
pub(crate) fn first_argument(isa: Isa, code: &[u8]) -> Option<u32> {
    let state = with_instruction_set!(isa, S => before_last::<S>(isa, code).map(|(state, _)| state))?;
    let argument = match isa.calling_convention(false).parameters.first() {
        Some(register) => state.registers[usize::from(register.0)],
        None => state.load(state.stack_pointer(), 4),
    };
    argument.constant().map(|number| number as u32)
}

/// What the callee at an address does with its return address, as far as its straight-line code says. It does nothing
/// with it if its first instruction does nothing with it.
pub(crate) fn return_address_use(code: &Code, callee: u64) -> ReturnAddressUse {
    let Some((region, _)) = code.locate(callee) else { return ReturnAddressUse::Kept };
    let isa = code.regions[region].isa;
    let bytes = code.bytes(callee, CALLEE_MAX);
    with_instruction_set!(isa, S => return_address_use_as::<S>(isa, bytes))
}

fn return_address_use_as<S: InstructionSet>(isa: Isa, code: &[u8]) -> ReturnAddressUse {
    let mut decoder = S::decoder(isa, code, 0);
    let mut instruction = S::Instruction::default();
    let mut state = State::new(isa);
    for index in 0..INSTRUCTIONS_MAX {
        if !decoder.decode(&mut instruction) {
            return ReturnAddressUse::Kept;
        }
        let flow = S::classify(&instruction);
        let Value::Stack(popped) = state.stack_pointer() else { return ReturnAddressUse::Kept };
        let target = state.step::<S>(&instruction);
        match flow {
            Flow::Next if index > 0 || state.has_touched_return_address() => {}
            Flow::Ret if popped == 0 && target != Value::Initial(0) => {
                return ReturnAddressUse::Replaced(S::address(&instruction) as usize);
            }
            Flow::IndirectJump if target == Value::Initial(0) => return ReturnAddressUse::Kept,
            _ if popped > 0 => return ReturnAddressUse::Taken,
            _ => return ReturnAddressUse::Kept,
        }
    }
    match state.stack_pointer() {
        Value::Stack(1..) => ReturnAddressUse::Taken,
        _ => ReturnAddressUse::Kept,
    }
}

/// The state before the last instruction of code, and that instruction; `None` if there is an invalid one.
fn before_last<S: InstructionSet>(isa: Isa, code: &[u8]) -> Option<(State, S::Instruction)> {
    let mut decoder = S::decoder(isa, code, 0);
    let mut instruction = S::Instruction::default();
    let (mut state, mut position) = (State::new(isa), 0);
    while decoder.decode(&mut instruction) {
        position += S::size(&instruction);
        if position >= code.len() {
            return Some((state, instruction));
        }
        state.step::<S>(&instruction);
    }
    None
}

/// What a register or a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Unknown,
    /// A number.
    Constant(u64),
    /// The stack pointer at the start, plus an offset.
    Stack(i64),
    /// What was at the start at an offset from the stack pointer.
    Initial(i64),
}

impl Value {
    fn constant(self) -> Option<u64> {
        match self {
            Self::Constant(number) => Some(number),
            _ => None,
        }
    }

    fn plus(self, added: u64) -> Self {
        match self {
            Self::Constant(number) => Self::Constant(number.wrapping_add(added)),
            Self::Stack(offset) => Self::Stack(offset.wrapping_add_unsigned(added)),
            Self::Unknown | Self::Initial(_) => Self::Unknown,
        }
    }
}

/// A value that was stored on the stack.
struct Cell {
    offset: i64,
    size: i64,
    value: Value,
}

/// The state of straight-line code.
struct State {
    abi: Abi,
    registers: [Value; REGISTERS],
    cells: Vec<Cell>,
    buffers: Buffers,
    ops: Ops,
    temporaries: Vec<Value>,
}

impl State {
    fn new(isa: Isa) -> Self {
        let abi = isa.abi();
        let mut registers = [Value::Unknown; REGISTERS];
        registers[usize::from(abi.stack_pointer.0)] = Value::Stack(0);
        let (buffers, ops) = (Buffers::default(), Ops::default());
        Self { abi, registers, cells: Vec::new(), buffers, ops, temporaries: Vec::new() }
    }

    fn stack_pointer(&self) -> Value {
        self.registers[usize::from(self.abi.stack_pointer.0)]
    }

    /// Whether the return address was removed or overwritten. The stack pointer points to it at the start.
    fn has_touched_return_address(&self) -> bool {
        let is_removed = matches!(self.stack_pointer(), Value::Stack(1..));
        is_removed || self.load(Value::Stack(0), self.abi.address_bits / 8) != Value::Initial(0)
    }

    /// Applies an instruction; where it jumps, calls or returns.
    fn step<S: InstructionSet>(&mut self, instruction: &S::Instruction) -> Value {
        let mut ops = std::mem::take(&mut self.ops);
        ops.clear();
        S::lower(instruction, &mut self.buffers, &mut ops);
        self.temporaries.clear();
        self.temporaries.resize(ops.temporaries().len(), Value::Unknown);
        let mut target = Value::Unknown;
        for op in ops.as_slice() {
            let value = match op.guard {
                None if op.lanes == 1 => self.value(op),
                _ => Value::Unknown,
            };
            match op.operation {
                Operation::Jump | Operation::Call | Operation::Return => target = self.read(op.inputs[0]),
                Operation::Store => self.store(op),
                _ => {}
            }
            for (index, place) in ops.places(op).iter().enumerate() {
                self.write(*place, if index == 0 { value } else { Value::Unknown });
            }
        }
        self.ops = ops;
        target
    }

    fn value(&self, op: &Op) -> Value {
        let [a, b, c, _] = op.inputs;
        let both = |of: fn(u64, u64) -> u64| match (self.read(a), self.read(b)) {
            (Value::Constant(a), Value::Constant(b)) => Value::Constant(of(a, b)),
            _ => Value::Unknown,
        };
        match op.operation {
            Operation::Copy | Operation::ZeroExtend | Operation::Address => self.read(a),
            Operation::SignExtend => {
                let unused = 64 - u32::from(a.bits().clamp(1, 64));
                let number = self.read(a).constant();
                let extended = |number| Value::Constant(((number << unused) as i64 >> unused) as u64);
                number.map_or(Value::Unknown, extended)
            }
            Operation::Add if c == Operand::None => match (self.read(a), self.read(b)) {
                (value, Value::Constant(added)) | (Value::Constant(added), value) => value.plus(added),
                _ => Value::Unknown,
            },
            Operation::Subtract | Operation::Xor if a == b && c == Operand::None => Value::Constant(0),
            Operation::Subtract if c == Operand::None => match self.read(b) {
                Value::Constant(number) => self.read(a).plus(number.wrapping_neg()),
                _ => Value::Unknown,
            },
            Operation::Xor => both(|a, b| a ^ b),
            Operation::And => both(|a, b| a & b),
            Operation::Or => match (self.read(a), self.read(b)) {
                (_, Value::Constant(u64::MAX)) => Value::Constant(u64::MAX),
                (_, Value::Constant(ones)) if ones == low_mask(op.bits) => Value::Constant(ones),
                _ => both(|a, b| a | b),
            },
            Operation::Load => self.load(self.read(a), op.bits / 8),
            _ => Value::Unknown,
        }
    }

    fn read(&self, operand: Operand) -> Value {
        let part_of = |whole: Value, part: Part| match whole {
            Value::Constant(number) => {
                Value::Constant(number.checked_shr(u32::from(part.low)).unwrap_or(0) & low_mask(part.bits))
            }
            _ if part.low == 0 && part.bits >= self.abi.address_bits => whole,
            _ => Value::Unknown,
        };
        match operand {
            Operand::Constant(number, _) | Operand::Address(number, _) => Value::Constant(number),
            Operand::Register(register, part) => match self.registers.get(usize::from(register.0)) {
                Some(whole) => part_of(*whole, part),
                None => Value::Unknown,
            },
            Operand::Temporary(index, part) => part_of(self.temporaries[usize::from(index)], part),
            Operand::Flag(_) | Operand::None => Value::Unknown,
        }
    }

    fn write(&mut self, place: Place, value: Value) {
        match place {
            Place::Temporary(index, _) => self.temporaries[usize::from(index)] = value,
            Place::Register(Reg(index), part, rest) => {
                let Some(own) = self.registers.get_mut(usize::from(index)) else { return };
                *own = match (value, *own) {
                    (value, _) if part.low == 0 && part.bits >= self.abi.address_bits => value,
                    (Value::Constant(number), _) if part.low == 0 && rest == Rest::Zeroed => {
                        Value::Constant(number & low_mask(part.bits))
                    }
                    (Value::Constant(number), Value::Constant(whole)) => {
                        let mask = low_mask(part.bits) << part.low;
                        Value::Constant(whole & !mask | number << part.low & mask)
                    }
                    _ => Value::Unknown,
                };
            }
            Place::Flag(_) | Place::Flags(_) | Place::None => {}
        }
    }

    /// What is at an address, of a size in bytes.
    fn load(&self, address: Value, size: u16) -> Value {
        let Value::Stack(offset) = address else { return Value::Unknown };
        let size = i64::from(size);
        let overlaps = |cell: &&Cell| cell.offset < offset + size && offset < cell.offset + cell.size;
        match self.cells.iter().rev().find(overlaps) {
            None if offset >= 0 => Value::Initial(offset),
            Some(cell) if cell.offset == offset && cell.size == size => cell.value,
            _ => Value::Unknown,
        }
    }

    fn store(&mut self, op: &Op) {
        let Value::Stack(offset) = self.read(op.inputs[0]) else { return };
        let value = match op.guard {
            None if op.lanes == 1 => self.read(op.inputs[1]),
            _ => Value::Unknown,
        };
        self.cells.push(Cell { offset, size: i64::from(op.width() / 8), value });
    }
}

/// The number whose given low bits are 1.
fn low_mask(bits: u16) -> u64 {
    u64::MAX >> (64 - u32::from(bits.clamp(1, 64)))
}
