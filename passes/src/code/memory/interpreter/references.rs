//! The memory that an instruction reads or writes, or whose address it computes; and the parameters that it reads.

use super::evaluation::{Interpreter, UNKNOWN};
use super::instruction::InstructionOps;
use crate::domains::{AbstractState, AbstractValue};
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
    /// The memory that an instruction refers to, given the state before it: its memory operand first, then the implicit
    /// reference. The return address of a call or return is not listed.
    pub(in crate::code::memory) fn memory_references(
        &self,
        instruction: InstructionOps<'_>,
        state: &AbstractState,
    ) -> [Option<MemoryReference>; 2] {
        if !instruction.facts.has_memory {
            return [None; 2];
        }
        let mut touches: [Option<Touch>; 2] = [None; 2];
        for op in instruction.ops {
            for touch in self.touches(instruction, state, op).into_iter().flatten() {
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
    fn touches(&self, instruction: InstructionOps<'_>, state: &AbstractState, op: &Op) -> [Option<Touch>; 2] {
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
                    .map(|(operand, access)| Some(self.touch(instruction, state, op, operand, access)));
            }
            Operation::CompareElements { .. } => {
                return [a, b].map(|operand| Some(self.touch(instruction, state, op, operand, Access::Read)));
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
        let touch = self.touch(instruction, state, op, a, access);
        let is_return_address = instruction.facts.is_call_or_return && touch.reference.is_implicit;
        [Some(touch).filter(|_| !is_return_address), None]
    }

    fn touch(
        &self,
        instruction: InstructionOps<'_>,
        state: &AbstractState,
        op: &Op,
        operand: Operand,
        access: Access,
    ) -> Touch {
        let address = match op.operation {
            Operation::CopyElements
            | Operation::FillElements
            | Operation::CompareElements { .. }
            | Operation::ScanElements { .. } => self.element_range(state, op, operand),
            _ => self.read_address(state, operand),
        };
        let is_indexed = match operand {
            Operand::Temporary(index, _) => instruction.temporaries[usize::from(index)].is_indexed,
            _ => false,
        };
        let size = (access != Access::Address).then_some(op.width() / 8).filter(|size| *size > 0);
        let is_implicit = self.is_stack_slot(instruction, operand);
        let operand = copied_operand(instruction.ops, operand);
        Touch { operand, reference: MemoryReference { is_implicit, address, is_indexed, size, access } }
    }

    /// Whether an address is that of a stack slot which the instruction pushes or pops: the stack pointer or its new
    /// value, in an instruction that moves it, or the frame pointer that `leave` finds.
    fn is_stack_slot(&self, instruction: InstructionOps<'_>, operand: Operand) -> bool {
        let Some(new_stack_pointer) = instruction.facts.new_stack_pointer else { return false };
        let is_pointer =
            |register: Reg| register == self.abi.stack_pointer || register == self.abi.frame_pointer;
        match operand {
            Operand::Register(register, _) => is_pointer(register),
            Operand::Temporary(..) => new_stack_pointer == operand,
            _ => false,
        }
    }
}

/// The operand that a temporary is a copy of; the operand itself if it is no copy.
fn copied_operand(ops: &[Op], operand: Operand) -> Operand {
    let is_copy = |op: &&Op| {
        op.operation == Operation::Copy
            && matches!((op.place, operand), (Place::Temporary(made, _), Operand::Temporary(used, _)) if made == used)
    };
    ops.iter().find(is_copy).map_or(operand, |op| op.inputs[0])
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
