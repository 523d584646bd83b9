//! `(code, instructions) -> (functions, basic_blocks, cfg_edges, call_edges)`
//!
//! Functions begin where the file says so (symbols, unwind entries, the entry point), where direct calls go, and where
//! direct jumps go that leave all other functions. A call or jump into the middle of a function whose size the file states
//! makes no new one. Each function's range is cut into basic blocks at the targets of direct jumps, from whichever function
//! they come, and behind every instruction that does not go on to the next; a call does not end a block.
//!
//! Invariants: functions never overlap; the blocks of a function cover its range, and none lies elsewhere; a block begins
//! and ends with instructions; both ends of an edge are blocks.
//!
//! Every direct jump to a known block is an edge, also into another function; where it goes to the start of another
//! function it is a tail call too, and has a row in `call_edges`.
//!
//! What can go wrong: `target_inside_instruction`, `target_outside_code`, `unresolved_indirect_jump`. Not done here: jump
//! tables, calls that do not return, landing pads, functions that only pointers reach.

mod blocks;
mod functions;

use crate::code::Code;
use crate::diagnostics::Collector;
use crate::instructions::InstructionsIr;
use binframe_ir::tables::{BasicBlocks, CallEdges, CfgEdges, DiagnosticPass, Diagnostics, Functions};
use binframe_ir::{Batch, Fingerprint, Rows};
use rayon::prelude::*;

/// The tables of the stage.
#[derive(Debug, Clone)]
pub struct CfgIr {
    /// Functions.
    pub functions: Rows<Functions>,
    /// Their blocks.
    pub basic_blocks: Rows<BasicBlocks>,
    /// How control passes from block to block.
    pub cfg_edges: Rows<CfgEdges>,
    /// How functions call each other.
    pub call_edges: Rows<CallEdges>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
}

/// Finds functions, blocks and edges.
pub fn run(code: &Code, instructions: &InstructionsIr) -> CfgIr {
    let mut diagnostics = Collector::new(DiagnosticPass::Cfg);
    let functions = functions::find(code, instructions);
    // Beyond this point functions are given: address, size, and nothing overlaps.
    let tables = blocks::split(code, instructions, &functions, &mut diagnostics);
    let blocks::Tables { functions, basic_blocks, cfg_edges, call_edges } = tables;
    CfgIr { functions, basic_blocks, cfg_edges, call_edges, diagnostics: diagnostics.finish() }
}

impl CfgIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 5] {
        [
            self.functions.batch(),
            self.basic_blocks.batch(),
            self.cfg_edges.batch(),
            self.call_edges.batch(),
            self.diagnostics.batch(),
        ]
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        let fingerprints: Vec<_> = self.tables().into_par_iter().map(Batch::fingerprint).collect();
        Fingerprint::of_all(fingerprints)
    }
}
