//! `(code, instructions, references) -> (functions, function_parts, basic_blocks, loops, cfg_edges, call_edges,`
//! `jump_tables, jump_table_entries)`
//!
//! Recovers functions, their basic blocks, and the edges between blocks and between functions.
//!
//! *Phases.*
//!  1. Functions start where the file declares them, and, outside of ranges with a declared size, at exports,
//!     initializers and targets of direct calls (`initial_starts.rs`). Some declared ranges are fragments, which belong
//!     to a function elsewhere (`fragments.rs`).
//!  2. Recursive traversal from all starts (`recursive_traversal.rs`), through jump tables (`jump_tables.rs`), marks
//!     leaders, the positions at which blocks start.
//!  3. Discovery infers further starts from jumps, pointers and unreached code (`function_discovery.rs`). The target of
//!     a jump out of a function is a fragment if the jump is conditional, or if the code cannot start a function.
//!     Phases 2 and 3 alternate until there are no new starts, at most 16 times.
//!  4. Unreached code in ranges is traversed too. Blocks that no known path from the function's entry reaches have
//!     evidence `gap`; most of them are found here.
//!  5. Reached code is split into blocks at leaders, and after jumps, returns, traps, invalid bytes and calls that do
//!     not return. A call that returns ends a block only if a leader follows it. The graph of each function gives
//!     dominators and loops (`tables/`).
//!
//! *Files.* Each imports only files before it in this list: `ids`, `function_ranges`, `noreturn`, `facts`, `flow`
//! (data), `blocks`, `address_taken`, `comparison`, `symbolic_state`, `symbolic_evaluation`, `jump_tables`,
//! `function_traversal`, `recursive_traversal`, `fragments`, `initial_starts`, `function_discovery`, `ir`, `tables/`,
//! `content`, `instruction_rows`.
//!
//! *Invariants.* Functions and fragments do not overlap; every block is in one of them; blocks do not overlap, and
//! start and end at instruction boundaries; source and target of an edge are blocks.
//!
//! Every direct jump to a known block is an edge, also into another function; a jump to the entry of another function
//! is also a tail call, with a row in `call_edges`.
//!
//! Diagnostics: `target_inside_instruction`, `target_outside_code`, `unresolved_indirect_jump`.

mod address_taken;
mod blocks;
mod comparison;
mod content;
mod facts;
mod flow;
mod fragments;
mod function_discovery;
mod function_ranges;
mod function_traversal;
mod ids;
mod initial_starts;
mod instruction_rows;
mod ir;
mod jump_tables;
mod noreturn;
mod recursive_traversal;
mod symbolic_evaluation;
mod symbolic_state;
mod tables;

pub use content::with_content_hashes;
pub use instruction_rows::instruction_rows;
pub(crate) use ir::BlocksByFunction;
pub use ir::CfgIr;

use crate::code::instructions::InstructionsIr;
use crate::code::references::References;
use crate::code::regions::Code;
use crate::diagnostics::Collector;
use address_taken::taken_addresses;
use binframe_ir::tables::DiagnosticPass;
use facts::CfgFacts;
use function_discovery::infer_starts;
use function_ranges::{FunctionRanges, RangeStart};
use initial_starts::initial_starts;
use recursive_traversal::RecursiveTraversal;

/// Steps of discovery.
const STEPS_MAX: usize = 16;

/// Recovers functions, blocks and edges.
pub fn run(code: &Code, instructions: &InstructionsIr, references: &References) -> CfgIr {
    let diagnostics = Collector::new(DiagnosticPass::Cfg);
    let taken = taken_addresses(code, instructions);
    let starts = initial_starts(code, instructions, references, &taken);
    let ranges = FunctionRanges::new(code, instructions, &starts);
    let traversal = RecursiveTraversal::run(CfgFacts::new(&ranges, references, &taken));
    discover(starts, traversal, diagnostics, STEPS_MAX)
}

/// Alternates discovery and traversal until there are no new starts, then makes the tables. Recursive, because each
/// step borrows the ranges of its own.
fn discover(
    mut starts: Vec<RangeStart>,
    traversal: RecursiveTraversal<'_>,
    diagnostics: Collector,
    steps_left: usize,
) -> CfgIr {
    if steps_left == 0 || !infer_starts(&mut starts, traversal.program()) {
        // No start was inferred, or the limit of steps is reached.
        return tables::of(&traversal.with_gaps(), diagnostics);
    }
    let FunctionRanges { code, instructions, .. } = *traversal.program().facts.ranges;
    let ranges = FunctionRanges::new(code, instructions, &starts);
    discover(starts, traversal.extended(&ranges), diagnostics, steps_left - 1)
}
