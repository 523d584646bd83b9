//! The memory that an instruction reads or writes, or whose address it computes; and the parameters that it reads.

use super::evaluation::{Interpreter, UNKNOWN};
use crate::domains::{AbstractState, AbstractValue, ParameterSet};
use crate::isa::ops::{Op, Operand, Operation, OtherMemory, Place, Reg};
use binframe_ir::tables::Access;

/// Memory that an instruction refers to.
#[derive(Debug, Clone, Copy)]
pub(in crate::code::memory) struct MemoryReference {
    /// Whether it is not the first memory operand but the second, or the stack memory of a `push` or `pop`.
    pub(in crate::code::memory) is_implicit: bool,
    pub(in crate::code::memory) address: AbstractValue,
    /// Whether the address is a sum with an index.
    pub(in crate::code::memory) is_indexed: bool,
    /// Bytes accessed at once; `None` if only the address is computed, or if the size is not fixed.
    pub(in crate::code::memory) size: Option<u16>,
    pub(in crate::code::memory) access: Access,
}

/// The operand that holds an address, and what is done at it.
#[derive(Clone, Copy)]
struct Touch {
    operand: Operand,
    reference: MemoryReference,
}

impl Interpreter<'_> {
    /// The memory that the current instruction refers to, given the state before it: its memory operand first, then
    /// the implicit reference. The return address of a call or return is not listed.
    pub(in crate::code::memory) fn memory_references(
        &self,
        state: &AbstractState,
    ) -> [Option<MemoryReference>; 2] {
        let mut touches: [Option<Touch>; 2] = [None; 2];
        let is_call_or_return =
            self.ops.as_slice().iter().any(|op| matches!(op.operation, Operation::Call | Operation::Return));
        for op in self.ops.as_slice() {
            for touch in self.touches(state, op, is_call_or_return).into_iter().flatten() {
                add(&mut touches, touch);
            }
        }
        let mut references = touches.map(|touch| touch.map(|touch| touch.reference));
        if let [Some(first), Some(second)] = &mut references {
            // The operand comes before the stack; of two operands, the one that is written.
            let is_second_first = first.is_implicit && !second.is_implicit
                || (first.is_implicit == second.is_implicit
                    && second.access == Access::Write
                    && first.access == Access::Read);
            if is_second_first {
                std::mem::swap(first, second);
            }
            first.is_implicit = false;
            second.is_implicit = true;
        }
        references
    }

    /// The memory at which an op does something.
    fn touches(&self, state: &AbstractState, op: &Op, is_call_or_return: bool) -> [Option<Touch>; 2] {
        let [a, b, ..] = op.inputs;
        let access = match op.operation {
            Operation::Load
            | Operation::LoadLanes
            | Operation::LoadExclusive
            | Operation::ScanElements { .. } => Access::Read,
            Operation::Store
            | Operation::StoreLanes
            | Operation::StoreExclusive
            | Operation::FillElements => Access::Write,
            Operation::Atomic(_) | Operation::AtomicCompareExchange => Access::ReadWrite,
            Operation::Address => Access::Address,
            Operation::CopyElements => {
                return [(a, Access::Write), (b, Access::Read)]
                    .map(|(operand, access)| Some(self.touch(state, op, operand, access)));
            }
            Operation::CompareElements { .. } => {
                return [a, b].map(|operand| Some(self.touch(state, op, operand, Access::Read)));
            }
            Operation::Opaque { memory, .. } if memory != OtherMemory::None => {
                let access = if memory == OtherMemory::Reads { Access::Read } else { Access::ReadWrite };
                let reference = MemoryReference {
                    is_implicit: false,
                    address: UNKNOWN,
                    is_indexed: true,
                    size: None,
                    access,
                };
                return [Some(Touch { operand: Operand::None, reference }), None];
            }
            _ => return [None; 2],
        };
        let touch = self.touch(state, op, a, access);
        [Some(touch).filter(|touch| !(is_call_or_return && touch.reference.is_implicit)), None]
    }

    fn touch(&self, state: &AbstractState, op: &Op, operand: Operand, access: Access) -> Touch {
        let address = match op.operation {
            Operation::CopyElements
            | Operation::FillElements
            | Operation::CompareElements { .. }
            | Operation::ScanElements { .. } => self.element_range(state, op, operand),
            _ => self.read_address(state, operand),
        };
        let is_indexed = match operand {
            Operand::Temporary(index, _) => self.temporaries[usize::from(index)].is_indexed,
            _ => false,
        };
        let size = (access != Access::Address).then_some(op.width() / 8).filter(|size| *size > 0);
        let is_implicit = self.is_stack_slot(operand);
        Touch { operand, reference: MemoryReference { is_implicit, address, is_indexed, size, access } }
    }

    /// Whether an address is that of a stack slot which the instruction pushes or pops: the stack pointer or its new
    /// value, in an instruction that moves it, or the frame pointer that `leave` finds.
    fn is_stack_slot(&self, operand: Operand) -> bool {
        let moves = self.ops.as_slice().iter().find(|op| self.is_stack_pointer_write(op));
        let Some(moves) = moves else { return false };
        let is_pointer =
            |register: Reg| register == self.abi.stack_pointer || register == self.abi.frame_pointer;
        match operand {
            Operand::Register(register, _) => is_pointer(register),
            Operand::Temporary(..) => moves.operation == Operation::Copy && moves.inputs[0] == operand,
            _ => false,
        }
    }

    fn is_stack_pointer_write(&self, op: &Op) -> bool {
        matches!(op.place, Place::Register(register, ..) if register == self.abi.stack_pointer)
    }

    /// Parameters that the current instruction reads, except those in `known`: it computes with a register that derives
    /// from the parameter, uses it in an address, or moves a part of it. A move of the whole register does not count.
    pub(in crate::code::memory) fn parameters_read(
        &self,
        state: &AbstractState,
        known: ParameterSet,
    ) -> ParameterSet {
        let mut read = ParameterSet::default();
        for op in self.ops.as_slice() {
            for (position, input) in self.ops.inputs(op).iter().enumerate() {
                let Operand::Register(register, part) = input else { continue };
                let is_moved = match op.operation {
                    Operation::Copy => true,
                    Operation::Store | Operation::Atomic(_) => position == 1,
                    _ => false,
                };
                if !Self::is_general(*register) || (is_moved && part.bits >= self.abi.address_bits) {
                    continue;
                }
                let parameter = ParameterSet::of_base(state.register(register.0).base);
                if !known.has(parameter) {
                    read.add(parameter);
                }
            }
        }
        read
    }

    /// Whether the current instruction only copies values to or from memory or other registers.
    pub(in crate::code::memory) fn is_whole_move(&self) -> bool {
        self.ops.as_slice().iter().all(|op| match op.operation {
            Operation::Store => !matches!(op.inputs[1], Operand::Constant(..)),
            Operation::Copy => !matches!(op.inputs[0], Operand::Constant(..)),
            Operation::Load => true,
            // Of addresses, and of the stack pointer.
            Operation::Add | Operation::AddScaled(_) | Operation::Subtract | Operation::ShiftLeft => {
                !self.is_data(op) || self.is_stack_pointer_write(op) || self.is_new_stack_pointer(op.place)
            }
            _ => false,
        })
    }

    fn is_new_stack_pointer(&self, place: Place) -> bool {
        let Place::Temporary(index, _) = place else { return false };
        self.ops.as_slice().iter().any(|op| {
            self.is_stack_pointer_write(op)
                && matches!(op.inputs[0], Operand::Temporary(source, _) if source == index)
        })
    }

    /// The general register that the current instruction stores whole to memory; `None` if it does not, or if it does
    /// more.
    pub(in crate::code::memory) fn stored_register(&self) -> Option<u8> {
        let stored = self.ops.as_slice().iter().find(|op| op.operation == Operation::Store)?;
        match stored.inputs[1] {
            Operand::Register(register, part)
                if Self::is_general(register)
                    && part.bits >= self.abi.address_bits
                    && self.is_whole_move() =>
            {
                Some(register.0)
            }
            _ => None,
        }
    }

    /// The power of two that the current instruction aligns the stack pointer to; `None` if it does not align it.
    pub(in crate::code::memory) fn stack_alignment(&self) -> Option<u32> {
        self.ops.as_slice().iter().find_map(|op| match (op.operation, op.inputs) {
            (Operation::And, [Operand::Register(register, _), Operand::Constant(mask, bits), ..])
                if register == self.abi.stack_pointer =>
            {
                let unused = 64 - u32::from(bits);
                let size = ((mask << unused) as i64 >> unused).unsigned_abs();
                u32::try_from(size).ok().filter(|size| size.is_power_of_two())
            }
            _ => None,
        })
    }
}

/// Adds what is done at an address: a read and a write of the same operand are one.
fn add(touches: &mut [Option<Touch>; 2], new: Touch) {
    for touch in touches {
        match touch {
            Some(old) if old.operand == new.operand && old.operand != Operand::None => {
                if old.reference.access != new.reference.access {
                    old.reference.access = Access::ReadWrite;
                }
                return;
            }
            Some(_) => {}
            None => {
                *touch = Some(new);
                return;
            }
        }
    }
}
