//! The values of an instruction in the state before it: of each op, and of each temporary.

use crate::domains::{AbstractState, AbstractValue, OperandLocation};
use crate::isa::Abi;
use crate::isa::ops::{Condition, Op, Operand, Operation, Ops, Place, Reg};
use binframe_ir::tables::UnknownReason;

/// What is not computed here.
pub(super) const UNKNOWN: AbstractValue = AbstractValue::unknown(UnknownReason::Computed);

/// Interprets instructions over abstract states.
pub(in crate::code::memory) struct Interpreter<'a> {
    pub(super) abi: Abi,
    /// Whether a number is the address of a byte that the loader maps, in a binary that is linked for fixed addresses.
    pub(super) is_fixed_address: &'a dyn Fn(u64) -> bool,
    /// Whether string instructions may run from high addresses to low ones.
    pub(super) may_run_backwards: bool,
    /// The instruction: its ops and its address.
    pub(super) ops: Ops,
    pub(super) address: u64,
    /// The value that each op computes, and each temporary, in the state before the instruction.
    pub(super) results: Vec<AbstractValue>,
    pub(super) temporaries: Vec<Temporary>,
}

/// A temporary, in the state before the instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temporary {
    pub(super) value: AbstractValue,
    /// Where it was loaded from, if a comparison with it can refine that.
    pub(super) location: Option<OperandLocation>,
    /// Whether it is a sum with an index.
    pub(super) is_indexed: bool,
    /// Whether it is the result of arithmetic.
    pub(super) is_arithmetic: bool,
    /// Whether anything but an address is computed from it.
    pub(super) is_data: bool,
}

impl<'a> Interpreter<'a> {
    /// An interpreter, given which numbers are addresses of the binary.
    pub(in crate::code::memory) fn new(abi: Abi, is_fixed_address: &'a dyn Fn(u64) -> bool) -> Self {
        Self {
            abi,
            is_fixed_address,
            may_run_backwards: false,
            ops: Ops::default(),
            address: 0,
            results: Vec::new(),
            temporaries: Vec::new(),
        }
    }

    /// Prepares for the instructions of one function. String instructions may run backwards if it sets the direction
    /// flag anywhere.
    pub(in crate::code::memory) fn prepare(&mut self, may_run_backwards: bool) {
        self.may_run_backwards = may_run_backwards;
    }

    /// Makes an instruction the current one, and computes its values in the state before it. `lower` writes its ops.
    pub(in crate::code::memory) fn evaluate(
        &mut self,
        state: &AbstractState,
        address: u64,
        lower: impl FnOnce(&mut Ops),
    ) {
        lower(&mut self.ops);
        self.address = address;
        let unknown = Temporary {
            value: UNKNOWN,
            location: None,
            is_indexed: false,
            is_arithmetic: false,
            is_data: false,
        };
        self.temporaries.clear();
        self.temporaries.resize(self.ops.temporaries().len(), unknown);
        self.find_data();
        self.results.clear();
        let ops = std::mem::take(&mut self.ops);
        for op in ops.as_slice() {
            let value = self.value(state, op);
            self.results.push(value);
            if let Place::Temporary(temporary, _) = op.place {
                let location = self.loaded_from(state, op);
                let is_indexed = self.is_sum_with_index(op);
                let own = &mut self.temporaries[usize::from(temporary)];
                own.value = value;
                own.location = location;
                own.is_indexed = is_indexed;
                own.is_arithmetic = is_arithmetic(op.operation);
            }
        }
        self.ops = ops;
    }

    /// The condition of the current instruction, a conditional jump; `None` if flags do not decide it.
    pub(in crate::code::memory) fn condition(&self) -> Option<Condition> {
        self.ops.condition()
    }

    /// Finds the temporaries from which more than addresses is computed.
    fn find_data(&mut self) {
        for op in self.ops.as_slice().iter().rev() {
            let is_data = match op.place {
                Place::Temporary(index, _) => self.temporaries[usize::from(index)].is_data,
                _ => true,
            };
            for (position, input) in self.ops.inputs(op).iter().enumerate() {
                if let Operand::Temporary(index, _) = input {
                    let is_address = is_address(op.operation, position);
                    self.temporaries[usize::from(*index)].is_data |= !is_address && is_data;
                }
            }
        }
    }

    /// Whether an op's result is used for more than addresses.
    pub(super) fn is_data(&self, op: &Op) -> bool {
        match op.place {
            Place::Temporary(index, _) => self.temporaries[usize::from(index)].is_data,
            _ => true,
        }
    }

    /// Whether an op adds an index to an address: the sum is of two values that no constant gives.
    fn is_sum_with_index(&self, op: &Op) -> bool {
        let is_known = |operand: Operand| matches!(operand, Operand::Constant(..) | Operand::Address(..));
        let was_indexed = |operand: Operand| match operand {
            Operand::Temporary(index, _) => self.temporaries[usize::from(index)].is_indexed,
            _ => false,
        };
        let [a, b, ..] = op.inputs;
        match op.operation {
            Operation::AddScaled(_) | Operation::ShiftLeft => true,
            Operation::Add => {
                let is_segment = |operand| matches!(operand, Operand::Register(register, _) if !Self::is_general(register));
                was_indexed(a) || was_indexed(b) || !(is_known(a) || is_known(b) || is_segment(a))
            }
            Operation::ZeroExtend | Operation::Copy => was_indexed(a),
            _ => false,
        }
    }

    /// Whether a register is one of those that states track.
    pub(super) fn is_general(register: Reg) -> bool {
        AbstractState::tracks(register.0)
    }
}

/// Whether an input of an operation is an address, or only contributes to one.
fn is_address(operation: Operation, position: usize) -> bool {
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
pub(super) fn is_arithmetic(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Add | Operation::Subtract | Operation::And | Operation::Or | Operation::Xor
    )
}
