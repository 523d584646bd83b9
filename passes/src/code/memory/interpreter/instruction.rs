//! The ops of one instruction, and the facts that depend on them alone and on no state.

use super::comparison_source::ComparisonSource;
use crate::domains::{AbstractState, ParameterSet};
use crate::isa::Abi;
use crate::isa::ops::{AtomicOperation, Condition, Op, Operand, Operation, Ops, OtherMemory, Place, Reg};

/// One instruction.
#[derive(Clone, Copy)]
pub(in crate::code::memory) struct InstructionOps<'a> {
    /// The buffer that the ops are in.
    pub(super) buffer: &'a Ops,
    pub(super) ops: &'a [Op],
    pub(super) temporaries: &'a [TemporaryFacts],
    pub(in crate::code::memory) facts: &'a InstructionFacts,
}

/// Facts about an instruction that depend on its ops alone.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::code::memory) struct InstructionFacts {
    pub(in crate::code::memory) address: u64,
    /// Address of the next instruction.
    pub(in crate::code::memory) next_address: u64,
    /// Whether it calls a function. A call of the next instruction only pushes its address.
    pub(in crate::code::memory) is_call: bool,
    /// The bytes of arguments that it pops, if it is a return.
    pub(in crate::code::memory) popped_bytes: Option<i64>,
    /// The condition of a conditional jump; `None` if flags do not decide it.
    pub(in crate::code::memory) condition: Option<Condition>,
    /// Whether it only copies values to or from memory or other registers.
    pub(in crate::code::memory) is_whole_move: bool,
    /// The general register that it stores whole to memory, if it does nothing else.
    pub(in crate::code::memory) stored_register: Option<u8>,
    /// The power of two that it aligns the stack pointer to.
    pub(in crate::code::memory) stack_alignment: Option<u32>,
    /// Whether it writes back what it reads, as `or [rsp], 0`, which only makes sure that there is memory.
    pub(in crate::code::memory) keeps_memory: bool,
    /// Whether it stores the number 0 and does nothing else.
    pub(in crate::code::memory) only_stores_zero: bool,
    pub(super) is_return: bool,
    /// Whether it stores or loads a return address.
    pub(super) is_call_or_return: bool,
    pub(super) has_memory: bool,
    /// The general registers that it computes with, uses in an address, or moves a part of: a bit for each.
    pub(super) computed_with: u16,
    /// If it writes the stack pointer, the operand that is copied there, or no operand.
    pub(super) new_stack_pointer: Option<Operand>,
    /// What the flags come from; `None` if they are kept.
    pub(super) comparison: Option<ComparisonSource>,
}

/// Facts about a temporary that depend on the ops alone.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::code::memory) struct TemporaryFacts {
    /// Whether it is a sum with an index.
    pub(super) is_indexed: bool,
    /// Whether it is the result of arithmetic.
    pub(super) is_arithmetic: bool,
    /// Whether anything but an address is computed from it.
    pub(in crate::code::memory) is_data: bool,
}

impl InstructionFacts {
    /// The facts of an instruction. `temporaries` has an element for each of its temporaries, which are written.
    pub(in crate::code::memory) fn of(
        (address, next_address): (u64, u64),
        buffer: &Ops,
        ops: &[Op],
        temporaries: &mut [TemporaryFacts],
        abi: &Abi,
    ) -> Self {
        find_data(buffer, ops, temporaries);
        let mut facts = Self {
            address,
            next_address,
            is_call: false,
            popped_bytes: None,
            condition: None,
            is_whole_move: false,
            stored_register: None,
            stack_alignment: None,
            keeps_memory: ops.iter().any(|op| keeps_memory(ops, op)),
            only_stores_zero: only_stores_zero(ops),
            is_return: false,
            is_call_or_return: false,
            has_memory: false,
            computed_with: 0,
            new_stack_pointer: None,
            comparison: ComparisonSource::of(buffer, ops),
        };
        for op in ops {
            facts.add(buffer, op, abi);
            if let Place::Temporary(index, _) = op.place {
                let is_indexed = is_sum_with_index(op, temporaries);
                let own = &mut temporaries[usize::from(index)];
                own.is_indexed = is_indexed;
                own.is_arithmetic = is_arithmetic(op.operation);
            }
        }
        facts.popped_bytes = facts.popped_bytes.filter(|_| facts.is_return);
        facts.is_whole_move = is_whole_move(ops, temporaries, abi);
        facts.stored_register = facts.stored_register.filter(|_| facts.is_whole_move);
        facts.stack_alignment = facts.stack_alignment.filter(|_| facts.new_stack_pointer.is_some());
        facts
    }

    fn add(&mut self, buffer: &Ops, op: &Op, abi: &Abi) {
        self.has_memory |= has_memory(op.operation);
        if writes_register(op, abi.stack_pointer) && self.new_stack_pointer.is_none() {
            let is_copy = op.operation == Operation::Copy;
            self.new_stack_pointer = Some(if is_copy { op.inputs[0] } else { Operand::None });
            if let Operand::Constant(size, _) = op.inputs[1] {
                self.popped_bytes = Some(size as i64 - i64::from(abi.register_bits / 8));
            }
        }
        for (position, input) in buffer.inputs(op).iter().enumerate() {
            let Operand::Register(register, part) = input else { continue };
            let is_whole = part.bits >= abi.address_bits;
            let is_moved = match op.operation {
                Operation::Copy => true,
                Operation::Store | Operation::Atomic(_) => position == 1,
                _ => false,
            };
            if !is_general(*register) {
                continue;
            }
            if !(is_moved && is_whole) {
                self.computed_with |= 1 << register.0;
            } else if op.operation == Operation::Store && self.stored_register.is_none() {
                self.stored_register = Some(register.0);
            }
        }
        match op.operation {
            Operation::Call => {
                let is_next = matches!(op.inputs[0], Operand::Constant(target, _) | Operand::Address(target, _)
                    if target == self.next_address);
                (self.is_call, self.is_call_or_return) = (!is_next, true);
            }
            Operation::Return => (self.is_return, self.is_call_or_return) = (true, true),
            Operation::Condition(condition) if self.condition.is_none() => self.condition = Some(condition),
            Operation::And => {
                self.stack_alignment = self.stack_alignment.or_else(|| stack_alignment(op, abi));
            }
            _ => {}
        }
    }
}

impl<'a> InstructionOps<'a> {
    /// An instruction of a buffer.
    pub(in crate::code::memory) fn new(
        buffer: &'a Ops,
        ops: &'a [Op],
        temporaries: &'a [TemporaryFacts],
        facts: &'a InstructionFacts,
    ) -> Self {
        Self { buffer, ops, temporaries, facts }
    }

    /// Parameters that the instruction reads: it computes with a register that derives from the parameter, uses it in an
    /// address, or moves a part of it. A move of the whole register does not count.
    pub(in crate::code::memory) fn parameters_read(&self, state: &AbstractState) -> ParameterSet {
        let mut read = ParameterSet::default();
        let mut registers = self.facts.computed_with;
        while registers != 0 {
            let register = registers.trailing_zeros() as u8;
            registers &= registers - 1;
            read.add(ParameterSet::of_base(state.register(register).base));
        }
        read
    }

    /// Whether an op's result is used for more than addresses.
    pub(super) fn is_data(&self, op: &Op) -> bool {
        match op.place {
            Place::Temporary(index, _) => self.temporaries[usize::from(index)].is_data,
            _ => true,
        }
    }

    /// Whether an op yields the result of arithmetic.
    pub(super) fn is_arithmetic_result(&self, op: &Op) -> bool {
        match (op.operation, op.inputs[0]) {
            (Operation::Copy, Operand::Temporary(index, _)) => {
                self.temporaries[usize::from(index)].is_arithmetic
            }
            (operation, _) => is_arithmetic(operation),
        }
    }
}

/// Whether a register is one of those that states track.
pub(super) fn is_general(register: Reg) -> bool {
    AbstractState::tracks(register.0)
}

fn writes_register(op: &Op, register: Reg) -> bool {
    matches!(op.place, Place::Register(written, ..) if written == register)
}

/// Whether an op only sets flags, which states do not hold: their facts say what they come from. Its inputs are too
/// narrow for an address to escape through them, or are only compared.
pub(in crate::code::memory) fn only_sets_flags(op: &Op, abi: &Abi) -> bool {
    let only_compares =
        matches!(op.operation, Operation::Flags(_) | Operation::Compare(_) | Operation::Undefined);
    let is_narrow = op.inputs.iter().all(|input| input.bits() < abi.address_bits);
    matches!(op.place, Place::Flag(_) | Place::Flags(_)) && (only_compares || is_narrow)
}

fn has_memory(operation: Operation) -> bool {
    is_address(operation, 0)
        || matches!(operation, Operation::Opaque { memory, .. } if memory != OtherMemory::None)
}

fn is_whole_move(ops: &[Op], temporaries: &[TemporaryFacts], abi: &Abi) -> bool {
    let is_address = |op: &Op| {
        let Place::Temporary(index, _) = op.place else { return writes_register(op, abi.stack_pointer) };
        let is_it = |operand| matches!(operand, Operand::Temporary(source, _) if source == index);
        let is_stack_pointer = |op: &Op| writes_register(op, abi.stack_pointer) && is_it(op.inputs[0]);
        !temporaries[usize::from(index)].is_data || ops.iter().any(is_stack_pointer)
    };
    ops.iter().all(|op| match op.operation {
        Operation::Store => !matches!(op.inputs[1], Operand::Constant(..)),
        Operation::Copy => !matches!(op.inputs[0], Operand::Constant(..)),
        Operation::Load => true,
        Operation::Add | Operation::AddScaled(_) | Operation::Subtract | Operation::ShiftLeft => {
            is_address(op)
        }
        _ => false,
    })
}

/// Whether an op stores what an earlier one loads from the same address.
fn keeps_memory(ops: &[Op], store: &Op) -> bool {
    let is_constant =
        |operand, number| matches!(operand, Operand::Constant(constant, _) if constant == number);
    let [address, stored, ..] = store.inputs;
    match store.operation {
        Operation::Atomic(AtomicOperation::Or | AtomicOperation::Add | AtomicOperation::Xor) => {
            is_constant(stored, 0)
        }
        Operation::Store => {
            let makes = |op: &&Op, operand: Operand| matches!((op.place, operand), (Place::Temporary(made, _), Operand::Temporary(used, _)) if made == used);
            let made = |operand| ops.iter().find(|op| makes(op, operand));
            let is_same = |op: &&Op| {
                matches!(op.operation, Operation::Or | Operation::Xor) && is_constant(op.inputs[1], 0)
            };
            let loaded = made(stored).filter(is_same).and_then(|op| made(op.inputs[0]));
            loaded.is_some_and(|op| op.operation == Operation::Load && op.inputs[0] == address)
        }
        _ => false,
    }
}

fn only_stores_zero(ops: &[Op]) -> bool {
    let [address @ .., store] = ops else { return false };
    store.operation == Operation::Store
        && matches!(store.inputs[1], Operand::Constant(0, _))
        && address.iter().all(|op| matches!(op.place, Place::Temporary(..)) && !has_memory(op.operation))
}

fn stack_alignment(op: &Op, abi: &Abi) -> Option<u32> {
    match op.inputs {
        [Operand::Register(register, _), Operand::Constant(mask, bits), ..]
            if register == abi.stack_pointer =>
        {
            let unused = 64 - u32::from(bits);
            let size = ((mask << unused) as i64 >> unused).unsigned_abs();
            u32::try_from(size).ok().filter(|size| size.is_power_of_two())
        }
        _ => None,
    }
}

/// Finds the temporaries from which more than addresses is computed.
pub(in crate::code::memory) fn find_data(buffer: &Ops, ops: &[Op], temporaries: &mut [TemporaryFacts]) {
    for op in ops.iter().rev() {
        let is_data = match op.place {
            Place::Temporary(index, _) => temporaries[usize::from(index)].is_data,
            _ => true,
        };
        for (position, input) in buffer.inputs(op).iter().enumerate() {
            if let Operand::Temporary(index, _) = input {
                let is_address = is_address(op.operation, position);
                temporaries[usize::from(*index)].is_data |= !is_address && is_data;
            }
        }
    }
}

/// Whether an op adds an index to an address: the sum is of two values that no constant gives.
fn is_sum_with_index(op: &Op, temporaries: &[TemporaryFacts]) -> bool {
    let is_known = |operand: Operand| matches!(operand, Operand::Constant(..) | Operand::Address(..));
    let was_indexed = |operand: Operand| match operand {
        Operand::Temporary(index, _) => temporaries[usize::from(index)].is_indexed,
        _ => false,
    };
    let [a, b, ..] = op.inputs;
    match op.operation {
        Operation::AddScaled(_) | Operation::ShiftLeft => true,
        Operation::Add => {
            let is_segment =
                |operand| matches!(operand, Operand::Register(register, _) if !is_general(register));
            was_indexed(a) || was_indexed(b) || !(is_known(a) || is_known(b) || is_segment(a))
        }
        Operation::ZeroExtend | Operation::Copy => was_indexed(a),
        _ => false,
    }
}

/// Whether an input of an operation is an address, or only contributes to one.
pub(in crate::code::memory) fn is_address(operation: Operation, position: usize) -> bool {
    match operation {
        Operation::Load
        | Operation::Store
        | Operation::LoadLanes
        | Operation::StoreLanes
        | Operation::Atomic(_)
        | Operation::AtomicCompareExchange
        | Operation::LoadExclusive
        | Operation::StoreExclusive
        | Operation::FillElements
        | Operation::Address
        | Operation::ScanElements { .. } => position == 0,
        Operation::CopyElements | Operation::CompareElements { .. } => position < 2,
        _ => false,
    }
}

/// Whether an operation is integer arithmetic or logic.
fn is_arithmetic(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Add | Operation::Subtract | Operation::And | Operation::Or | Operation::Xor
    )
}
