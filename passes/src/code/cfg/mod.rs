//! `(code, instructions, references) -> (functions, function_parts, basic_blocks, loops, cfg_edges, call_edges, jump_tables,`
//! `jump_table_entries)`
//!
//! Functions begin where the file says so, where direct calls go, where direct jumps go that leave all other functions, where
//! pointers lead, and where code stands that nothing goes to. From each start control is followed (`descent`): past calls that
//! come back, into the targets of jumps, through the tables of indirect jumps (`jump_tables`), to landing pads. What is walked
//! over is cut into blocks where something goes to, and behind every instruction that does not go on to the next; a call that
//! comes back does not end a block. Code in a function whose size the file states, to which nothing leads, is cut likewise; its
//! blocks say so.
//!
//! Invariants: functions and their parts never overlap; every block lies in one of them, and no two blocks overlap; a block begins
//! and ends with instructions; both ends of an edge are blocks.
//!
//! Every direct jump to a known block is an edge, also into another function; where it goes to the start of another function it is
//! a tail call too, and has a row in `call_edges`.
//!
//! What can go wrong: `target_inside_instruction`, `target_outside_code`, `unresolved_indirect_jump`.

mod content;
mod descent;
mod graph;
mod jump_tables;
mod layout;
mod noreturn;
mod parts;
mod starts;
mod tables;
mod walker;

pub use content::with_content_hashes;

use crate::code::instructions::InstructionsIr;
use crate::code::references::References;
use crate::code::regions::Code;
use crate::diagnostics::Collector;
use binframe_ir::tables::{
    BasicBlocks, CallEdges, CfgEdges, DiagnosticPass, Diagnostics, FunctionParts, Functions,
    JumpTableEntries, JumpTables, Loops,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use descent::Descent;
use graph::Known;
use layout::{Layout, Start};
use rayon::prelude::*;

/// How often functions are looked for where those that were found before do not reach.
const ROUNDS_MAX: usize = 16;

/// The tables of the stage.
#[derive(Debug, Clone)]
pub struct CfgIr {
    /// Functions.
    pub functions: Rows<Functions>,
    /// Ranges of code that belong to functions which begin elsewhere.
    pub function_parts: Rows<FunctionParts>,
    /// The blocks of functions.
    pub basic_blocks: Rows<BasicBlocks>,
    /// The loops of functions.
    pub loops: Rows<Loops>,
    /// How control passes from block to block.
    pub cfg_edges: Rows<CfgEdges>,
    /// How functions call each other.
    pub call_edges: Rows<CallEdges>,
    /// Indirect jumps whose targets stand in tables.
    pub jump_tables: Rows<JumpTables>,
    /// Those targets.
    pub jump_table_entries: Rows<JumpTableEntries>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
}

/// Finds functions, blocks and edges.
pub fn run(code: &Code, instructions: &InstructionsIr, references: &References) -> CfgIr {
    let diagnostics = Collector::new(DiagnosticPass::Cfg);
    let taken = starts::taken_addresses(code, instructions);
    let starts = starts::certain(code, instructions, references, &taken);
    let layout = Layout::new(code, instructions, &starts);
    let descent = Descent::run(Known::new(&layout, references, &taken));
    follow(starts, descent, diagnostics, ROUNDS_MAX)
}

/// Looks for functions where those that were found before do not reach, and makes the tables when there are no more.
fn follow(mut starts: Vec<Start>, descent: Descent<'_>, diagnostics: Collector, rounds_left: usize) -> CfgIr {
    if rounds_left == 0 || !starts::discover(&mut starts, descent.flows()) {
        // Beyond this point functions are given, and where control goes in them.
        return tables::of(&descent.with_gaps(), diagnostics);
    }
    let Layout { code, instructions, .. } = *descent.flows().known.layout;
    let layout = Layout::new(code, instructions, &starts);
    follow(starts, descent.extended(&layout), diagnostics, rounds_left - 1)
}

impl CfgIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 9] {
        [
            self.functions.batch(),
            self.function_parts.batch(),
            self.basic_blocks.batch(),
            self.loops.batch(),
            self.cfg_edges.batch(),
            self.call_edges.batch(),
            self.jump_tables.batch(),
            self.jump_table_entries.batch(),
            self.diagnostics.batch(),
        ]
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        let fingerprints: Vec<_> = self.tables().into_par_iter().map(Batch::fingerprint).collect();
        Fingerprint::of_all(fingerprints)
    }
}

/// The rows of blocks, function by function.
#[derive(Debug)]
pub(crate) struct BlocksByFunction {
    rows: Vec<u32>,
    /// For each function, where its rows begin; and where the last one's end.
    offsets: Vec<u32>,
}

impl BlocksByFunction {
    /// The rows of a function's blocks, in their order.
    pub(crate) fn rows_of(&self, function: usize) -> &[u32] {
        &self.rows[self.offsets[function] as usize..self.offsets[function + 1] as usize]
    }
}

impl CfgIr {
    /// Sorts the rows of blocks by the rows of their functions.
    pub(crate) fn blocks_by_function(&self) -> BlocksByFunction {
        let (functions, blocks) = (self.functions.columns(), self.basic_blocks.columns());
        let mut offsets = vec![0];
        let mut end = 0;
        offsets.extend(functions.block_count.iter().map(|count| {
            end += count;
            end
        }));
        let mut next = offsets.clone();
        let mut rows = vec![0; blocks.len()];
        let mut function = 0;
        for (row, address) in blocks.function_address.iter().enumerate() {
            // Blocks of one function mostly stand together.
            if functions.address.get(function) != Some(address) {
                function = functions.address.partition_point(|other| other < address);
            }
            rows[next[function] as usize] = row as u32;
            next[function] += 1;
        }
        BlocksByFunction { rows, offsets }
    }
}
