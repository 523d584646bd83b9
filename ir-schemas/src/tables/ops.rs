//! The table of the `ops` stage.

use crate::{Table, Term, Terms};

/// A micro-operation: one step of what an instruction does, without the instruction set's own terms.
///
/// The steps of an instruction take effect in order. Each computes one result from its inputs; memory is accessed by
/// `load` and `store`, and flags are written together by `flags_…`. An instruction without exact meaning here has the
/// operation `opaque`, which states all that it reads and writes.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "instruction_ops", stage = Ops, key(instruction_address, ordinal), file_bytes_per_row = 2)]
pub struct InstructionOp<'a> {
    /// Address of the instruction.
    #[column(unit = "address", references = "instructions.address")]
    pub instruction_address: u64,
    /// Position among the operations of the instruction, from 0.
    pub ordinal: u16,
    /// What is done: `copy`, `load`, `add`, `flags_subtract`, `condition_less`, `jump`, `opaque` and so on.
    pub operation: Term<'a>,
    /// Width of a lane of the result; of what is stored or compared, if there is no such result.
    #[column(unit = "bits")]
    pub bits: u16,
    /// Number of lanes to each of which the operation applies; 1 for scalar operations.
    pub lanes: u8,
    /// What is written: parts of registers (`eax`, `ah`, `zmm3[64..128]`), flags (`cf`, `pf`, `af`, `zf`, `sf`, `of`,
    /// `df`), or temporaries of the instruction (`t0`). Empty if there is no result.
    pub places: Terms<'a>,
    /// Whether the bits of the register above the part that is written become 0; null if no part of a register is
    /// written, or no bits are above it.
    pub zeroes_rest: Option<bool>,
    /// What is read, in order; a number is `constant`, and `address` if the encoding states it relative to the
    /// instruction.
    pub inputs: Terms<'a>,
    /// The first number among the inputs; null if there is none.
    pub constant: Option<u64>,
    /// One bit: the operation is done only if it is 1. Null if it is always done.
    pub guard: Option<Term<'a>>,
    /// The operation as text.
    pub text: &'a str,
}
