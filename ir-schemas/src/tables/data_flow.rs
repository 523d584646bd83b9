//! The table of the `data_flow` stage.

use crate::enumeration::enumeration;
use crate::tables::{Confidence, ObjectRegion};
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
#[table(name = "data_flow_edges", stage = DataFlow, key(use_address, resource, region, object_offset, definition_address), file_bytes_per_row = 3, references(memory_objects(region, function_address, object_offset)))]
pub struct DataFlowEdge<'a> {
    /// Address of the instruction that uses the value.
    #[column(unit = "address", references = "instructions.address")]
    pub use_address: u64,
    /// Full register, whichever part of it is used (`rax`, `zmm0`, `k1`), flag (`cf`, `pf`, `af`, `zf`, `sf`, `df`,
    /// `of`), or `stack` for a stack slot.
    pub resource: Term<'a>,
    /// Region of the stack slot, `stack` or `aligned_stack`; null if `resource` is not `stack`.
    pub region: Option<ObjectRegion>,
    /// Stack slot that is used: the object of the function at this offset; null if `resource` is not `stack`, or
    /// if the bytes belong to no object.
    #[column(unit = "bytes")]
    pub object_offset: Option<i64>,
    /// Address of the instruction that defines the value; null for the definitions `entry` and `many`.
    #[column(unit = "address", references = "instructions.address")]
    pub definition_address: Option<u64>,
    /// Kind of definition.
    pub definition_kind: Definition,
    /// How the value is used.
    pub use_kind: DataUse,
    /// Function of both instructions.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// `certain`: the definition reaches the use along known edges without an intervening definition; `likely`: other
    /// instructions may write the stack slot too, or the use is by a known callee; `guess`: only the calling convention
    /// implies that a call or a return uses the register.
    pub confidence: Confidence,
}
