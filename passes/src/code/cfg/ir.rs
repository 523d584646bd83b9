//! The result of the pass: the tables of the `cfg` stage.

use binframe_ir::tables::{
    BasicBlocks, CallEdges, CfgEdges, Diagnostics, FunctionParts, Functions, JumpTableEntries, JumpTables,
    Loops,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use rayon::prelude::*;
use std::ops::Range;

/// The tables of the stage; by default without rows.
#[derive(Debug, Clone, Default)]
pub struct CfgIr {
    /// Functions.
    pub functions: Rows<Functions>,
    /// Function fragments: ranges of code that belong to a function but are not contiguous with it.
    pub function_parts: Rows<FunctionParts>,
    /// The basic blocks of functions.
    pub basic_blocks: Rows<BasicBlocks>,
    /// The natural loops of functions.
    pub loops: Rows<Loops>,
    /// Control-flow edges between basic blocks.
    pub cfg_edges: Rows<CfgEdges>,
    /// The call graph, with an edge for each call site.
    pub call_edges: Rows<CallEdges>,
    /// Indirect jumps that read their targets from tables.
    pub jump_tables: Rows<JumpTables>,
    /// The targets in those tables.
    pub jump_table_entries: Rows<JumpTableEntries>,
    /// Unresolved jumps and invalid targets.
    pub diagnostics: Rows<Diagnostics>,
}

impl CfgIr {
    /// The tables, untyped.
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

    /// Groups the rows of `basic_blocks` by function.
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
            // The blocks of a function are mostly adjacent.
            if functions.address.get(function) != Some(address) {
                function = functions.address.partition_point(|other| other < address);
            }
            rows[next[function] as usize] = row as u32;
            next[function] += 1;
        }
        BlocksByFunction { rows, offsets }
    }
}

/// The rows of `basic_blocks`, grouped by function.
#[derive(Debug)]
pub(crate) struct BlocksByFunction {
    rows: Vec<u32>,
    /// For each function the index in `rows` of its first block; then the number of rows.
    offsets: Vec<u32>,
}

impl BlocksByFunction {
    /// The rows of a function's blocks, sorted by address.
    pub(crate) fn rows_of(&self, function: usize) -> &[u32] {
        &self.rows[self.offsets[function] as usize..self.offsets[function + 1] as usize]
    }

    /// The indexes among a function's blocks of those in some rows.
    pub(crate) fn indexes_of(&self, function: usize, rows: Range<usize>) -> Range<u32> {
        let own = self.rows_of(function);
        let before = |end: usize| own.partition_point(|row| (*row as usize) < end) as u32;
        before(rows.start)..before(rows.end)
    }
}
