//! The interpreter of micro-operations over abstract states: the transfer function of an instruction.
//!
//! *Problem.* Given the state before an instruction that is no call, find the values that it computes, the memory that
//! it refers to, and the state after it.
//!
//! *Phases.* An instruction reads registers before it writes them, and memory before registers (`isa::ops`). So all
//! values are computed in the state before it ([`Interpreter::evaluate`]); then stores, escapes, register writes and
//! the comparison are applied in order (`transfer`). Memory references (`references`) are found in between.
//!
//! *Approximation.* Copies, integer sums, products with constants, masks, shifts by constants and extensions have
//! values. The result of every other operation is unknown, and its inputs escape, since the result may contain a
//! pointer. Values as wide as an address are not truncated: additions of addresses do not wrap around. Narrower ones
//! are extended with zeros where they are read.

mod comparison;
mod comparison_source;
mod evaluation;
mod instruction;
mod references;
mod transfer;
mod values;

pub(super) use comparison::refine_by_branch;
pub(super) use evaluation::Interpreter;
pub(super) use instruction::{
    InstructionFacts, InstructionOps, TemporaryFacts, find_data, is_address, only_sets_flags,
};
pub(super) use references::MemoryReference;
