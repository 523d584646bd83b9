//! The table of the `data_flow` stage.

use crate::enumeration::enumeration;
use crate::tables::Confidence;
use crate::{Table, Term};

enumeration! {
    /// The kind of a definition.
    Definition {
        /// An instruction writes the value.
        Instruction = "instruction",
        /// A call returns the value, or may overwrite it.
        Call = "call",
        /// The value exists when the function is entered.
        Entry = "entry",
        /// More than 32 definitions may reach the use, or the function is too large to compute them.
        Many = "many",
    }
}

enumeration! {
    /// How a value is used.
    DataUse {
        /// The value is read.
        Value = "value",
        /// Only an address is computed from the value.
        Address = "address",
        /// The value, or the stack slot's address, is passed to a called function.
        Argument = "argument",
        /// The value is returned.
        Result = "result",
    }
}

/// A def-use edge: a definition of a register, flag or stack slot that may reach a use. The stack pointer and the x87
/// register stack are not covered.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "data_flow", stage = DataFlow, key(use_address, resource, object_id, definition_address), file_bytes_per_row = 3)]
pub struct DataFlowEdge<'a> {
    /// Address of the instruction that uses the value.
    #[column(unit = "address", references = "instructions.address")]
    pub use_address: u64,
    /// Full register, whichever part of it is used (`rax`, `zmm0`, `k1`), flag (`cf`, `pf`, `af`, `zf`, `sf`, `df`,
    /// `of`), or `stack`.
    pub resource: Term<'a>,
    /// Stack slot that is used; null if `resource` is not `stack`, or if the bytes belong to no object.
    #[column(references = "memory_objects.object_id")]
    pub object_id: Option<u64>,
    /// Address of the instruction that defines the value; null for the definitions `entry` and `many`.
    #[column(unit = "address", references = "instructions.address")]
    pub definition_address: Option<u64>,
    /// Kind of definition.
    pub definition: Definition,
    /// How the value is used.
    pub r#use: DataUse,
    /// Function of both instructions.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// `certain`: the definition reaches the use along known edges without an intervening definition; `likely`: other
    /// instructions may write the stack slot too, or the use is by a known callee; `guess`: only the calling convention
    /// implies that a call or a return uses the register.
    pub confidence: Confidence,
}
