//! What an instruction means: a few typed operations on registers, temporaries, flags and memory.
//!
//! *Problem.* Whoever asks what an instruction does (for jump tables, memory, data flow, or translation) must not know
//! its mnemonic. So each instruction set writes its instructions in this language once, and everything else reads it.
//!
//! *Notation.* An instruction is a sequence of [`Op`]s: `place = operation(inputs)`. Each op sees the effects of those
//! before it. Widths are in bits, and every operand has one. A register is the widest of those that overlap (`zmm0`,
//! `rax`); an operand is a part of it, and a write states whether the bits above the part are kept or become zero.
//! A temporary has one writer and lives for one instruction. The inputs of an op have the width of its result, where
//! the documentation of its [`Operation`] says nothing else. With `lanes` above 1 an operation applies to each lane of
//! `bits` bits by itself; lane 0 is in the lowest bits.
//!
//! *Flags* are written as a whole by [`Operation::Flags`], which keeps the operands they follow from, and are read by
//! [`Operation::Condition`] or one by one. Whoever needs only a comparison finds it in these operands, and no flag is
//! computed that nothing reads.
//!
//! *Guards.* An op with a guard does nothing if the guard is 0. Conditional jumps, shifts by 0 and repeated string
//! instructions without repetition are written so.
//!
//! *Order.* An instruction reads no register after it has written it, so all values can be computed in the state before
//! it.
//!
//! *Faults.* Memory is accessed before registers and flags are written, so an instruction that faults changes nothing.
//! Elements of repeated string instructions are the exception, as they are on processors.
//!
//! *Not modelled.* Sticky exception flags of floating point, faults of addresses that are not aligned, and timing. Whatever has no exact meaning here is
//! [`Operation::Opaque`]: an unknown function from the operands it reads to the places it writes.
//!
//! Source of the design: `docs/decisions/023-micro-operations.md`.

mod operand;
mod operation;
mod registers;

pub use operand::{Flag, FlagSet, Operand, Part, Place, Rest};
pub use operation::{
    AtomicOperation, Comparison, Condition, FlagsOf, FloatRange, Operation, OtherMemory, Predicate, Rounding,
    TrapKind,
};
pub use registers::{Reg, RegSet};

/// The most inputs of an op, other than those of an opaque one.
pub const INPUTS_MAX: usize = 4;

/// One operation of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// What is computed.
    pub operation: Operation,
    /// Width in bits of a lane of the result; of what is stored, if there is no result.
    pub bits: u16,
    /// Number of lanes; 1 for scalar operations.
    pub lanes: u8,
    /// Where the result goes.
    pub place: Place,
    /// What it is computed from, [`Operand::None`] after the last.
    pub inputs: [Operand; INPUTS_MAX],
    /// An operand of one bit: the op is done only if it is 1.
    pub guard: Option<Operand>,
}

/// The ops of one instruction, or of several in sequence. The buffer is reused.
#[derive(Debug, Clone, Default)]
pub struct Ops {
    list: Vec<Op>,
    /// The inputs and the places of opaque ops, which may have any number.
    operands: Vec<Operand>,
    places: Vec<Place>,
    /// Widths of the temporaries.
    temporaries: Vec<u16>,
    /// Index of the first temporary of the last instruction.
    first_temporary: usize,
}

/// The end of the buffer before an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpsEnd {
    ops: usize,
    operands: usize,
    places: usize,
    temporaries: usize,
}

impl Op {
    /// Width of the result, or of what is stored, in bits: that of all lanes.
    pub fn width(&self) -> u16 {
        self.bits * u16::from(self.lanes)
    }
}

impl Ops {
    /// Removes all ops.
    pub fn clear(&mut self) {
        self.list.clear();
        self.operands.clear();
        self.places.clear();
        self.temporaries.clear();
        self.first_temporary = 0;
    }

    /// Begins an instruction, whose temporaries are numbered from 0. Returns the end of what is there.
    pub(super) fn begin(&mut self) -> OpsEnd {
        self.first_temporary = self.temporaries.len();
        OpsEnd {
            ops: self.list.len(),
            operands: self.operands.len(),
            places: self.places.len(),
            temporaries: self.temporaries.len(),
        }
    }

    /// Removes what was added since an instruction began.
    pub(super) fn truncate(&mut self, end: OpsEnd) {
        self.list.truncate(end.ops);
        self.operands.truncate(end.operands);
        self.places.truncate(end.places);
        self.temporaries.truncate(end.temporaries);
    }

    /// Keeps those ops from an index on for which `is_kept` is true.
    pub(crate) fn retain_from(&mut self, first: usize, mut is_kept: impl FnMut(&Op) -> bool) {
        let mut end = first;
        for index in first..self.list.len() {
            if is_kept(&self.list[index]) {
                self.list[end] = self.list[index];
                end += 1;
            }
        }
        self.list.truncate(end);
    }

    /// The ops, in the order in which they take effect.
    pub fn as_slice(&self) -> &[Op] {
        &self.list
    }

    /// The inputs of an op.
    pub fn inputs<'a>(&'a self, op: &'a Op) -> &'a [Operand] {
        match op.operation {
            Operation::Opaque { inputs: (start, end), .. } => &self.operands[start as usize..end as usize],
            _ => {
                let count = op.inputs.iter().take_while(|input| **input != Operand::None).count();
                &op.inputs[..count]
            }
        }
    }

    /// The places that an op writes.
    pub fn places<'a>(&'a self, op: &'a Op) -> &'a [Place] {
        match op.operation {
            Operation::Opaque { places: (start, end), .. } => &self.places[start as usize..end as usize],
            _ if op.place == Place::None => &[],
            _ => std::slice::from_ref(&op.place),
        }
    }

    /// Width in bits of each temporary, of all instructions in sequence.
    pub fn temporaries(&self) -> &[u16] {
        &self.temporaries
    }

    /// Whether an op is opaque.
    pub fn has_opaque(&self) -> bool {
        self.list.iter().any(|op| matches!(op.operation, Operation::Opaque { .. }))
    }

    /// The condition of a conditional jump; `None` if flags do not decide it.
    pub fn condition(&self) -> Option<Condition> {
        self.list.iter().find_map(|op| match op.operation {
            Operation::Condition(condition) => Some(condition),
            _ => None,
        })
    }

    /// A new temporary, as an operand.
    pub(super) fn temporary(&mut self, bits: u16) -> Operand {
        let index = (self.temporaries.len() - self.first_temporary) as u16;
        self.temporaries.push(bits);
        Operand::Temporary(index, Part { low: 0, bits })
    }

    /// Appends an op.
    pub(super) fn push(&mut self, op: Op) {
        self.list.push(op);
    }

    /// Appends an opaque op that computes `places` from `inputs`. `memory` is what it does to memory besides the loads
    /// and stores around it.
    pub(super) fn push_opaque(&mut self, inputs: &[Operand], places: &[Place], memory: OtherMemory) {
        let range = |start: usize, end: usize| (start as u32, end as u32);
        let (first_input, first_place) = (self.operands.len(), self.places.len());
        self.operands.extend_from_slice(inputs);
        self.places.extend_from_slice(places);
        self.list.push(Op {
            operation: Operation::Opaque {
                inputs: range(first_input, self.operands.len()),
                places: range(first_place, self.places.len()),
                memory,
            },
            bits: 0,
            lanes: 1,
            place: Place::None,
            inputs: [Operand::None; INPUTS_MAX],
            guard: None,
        });
    }
}
