//! The table of the `data_flow` stage.

use crate::enumeration::enumeration;
use crate::tables::Confidence;
use crate::{Table, Term};

enumeration! {
    /// What leaves a value where an instruction finds it.
    Definition {
        /// An instruction writes it.
        Instruction = "instruction",
        /// A call returns it, or leaves what callers cannot rely on.
        Call = "call",
        /// It is there when the function is entered.
        Entry = "entry",
        /// More than 32 instructions may have written it, or the function is too large to tell which.
        Many = "many",
    }
}

enumeration! {
    /// What an instruction does with what it finds.
    DataUse {
        /// It reads it.
        Value = "value",
        /// It only computes an address from it.
        Address = "address",
        /// It gives it, or where it lies, to the function that it calls.
        Argument = "argument",
        /// It returns it.
        Result = "result",
    }
}

/// A definition that may reach a use: what an instruction finds in a register, a flag or a slot of the stack, and what left it there.
/// There are no rows of the stack pointer, nor of the stack of the floating-point unit.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "data_flow", stage = DataFlow, key(use_address, resource, object_id, definition_address))]
pub struct DataFlowEdge<'a> {
    /// The instruction that uses it.
    #[column(unit = "address", references = "instructions.address")]
    pub use_address: u64,
    /// The register as a whole, whatever part of it is used (`rax`, `zmm0`, `k1`), the flag (`cf`, `pf`, `af`, `zf`, `sf`, `df`, `of`),
    /// or `stack`.
    pub resource: Term<'a>,
    /// Stack: the slot that is used. Null otherwise.
    #[column(references = "memory_objects.object_id")]
    pub object_id: Option<u64>,
    /// The instruction that left the value there; null where it was there when the function was entered, and for many.
    #[column(unit = "address", references = "instructions.address")]
    pub definition_address: Option<u64>,
    /// What left the value there.
    pub definition: Definition,
    /// What is done with it.
    pub r#use: DataUse,
    /// The function.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// How sure it is: `certain` where edges of the function lead from the definition to the use, and nothing that is known to write
    /// there lies between; `likely` where other instructions may write there too, or where a callee is known to use it; `guess` where
    /// only the calling convention says that a call or return may use it.
    pub confidence: Confidence,
}
