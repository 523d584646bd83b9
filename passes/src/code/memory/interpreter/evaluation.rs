//! The values of an instruction in the state before it: of each op, and of each temporary.

use super::instruction::InstructionOps;
use crate::code::memory::memory_image::MemoryImage;
use crate::domains::{AbstractState, AbstractValue, OperandLocation};
use crate::isa::Abi;
use crate::isa::ops::Place;
use binframe_ir::tables::UnknownReason;

/// What is not computed here.
pub(super) const UNKNOWN: AbstractValue = AbstractValue::unknown(UnknownReason::Computed);

/// Interprets instructions over abstract states.
pub(in crate::code::memory) struct Interpreter<'a> {
    pub(super) abi: Abi,
    pub(super) image: &'a MemoryImage,
    /// Whether string instructions of the function may run from high addresses to low ones.
    pub(in crate::code::memory) may_run_backwards: bool,
    /// The value that each op of the instruction computes, and each temporary, in the state before it.
    pub(super) results: Vec<AbstractValue>,
    pub(super) temporaries: Vec<TemporaryValue>,
}

/// A temporary, in the state before the instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct TemporaryValue {
    pub(super) value: AbstractValue,
    /// Where it was loaded from, if a comparison with it can refine that.
    pub(super) location: Option<OperandLocation>,
}

impl<'a> Interpreter<'a> {
    /// An interpreter of the code of a binary.
    pub(in crate::code::memory) fn new(abi: Abi, image: &'a MemoryImage) -> Self {
        Self { abi, image, may_run_backwards: false, results: Vec::new(), temporaries: Vec::new() }
    }

    /// Computes the values of an instruction in the state before it. The other methods are about the instruction that
    /// was evaluated last.
    pub(in crate::code::memory) fn evaluate(
        &mut self,
        state: &AbstractState,
        instruction: InstructionOps<'_>,
    ) {
        let unknown = TemporaryValue { value: UNKNOWN, location: None };
        self.temporaries.clear();
        self.temporaries.resize(instruction.temporaries.len(), unknown);
        self.results.clear();
        for op in instruction.ops {
            let value = self.value(state, op);
            self.results.push(value);
            if let Place::Temporary(temporary, _) = op.place {
                let location = self.loaded_from(state, op);
                self.temporaries[usize::from(temporary)] = TemporaryValue { value, location };
            }
        }
    }
}
