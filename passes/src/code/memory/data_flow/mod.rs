//! `(code, cfg, memory) -> data_flow_edges`: def-use edges between instructions, through registers, flags and stack slots.
//!
//! The table is large; its rows are made on demand, for any range of blocks. The uses and definitions of a function's
//! instructions (`events`) come from its code, and from what its analysis recorded. For each resource, reaching definitions are
//! solved over the control-flow graph (`reaching_definitions`) and joined with the uses (`def_use_chains`).

mod def_use_chains;
mod definition_sets;
mod events;
mod function_events;
mod reaching_definitions;
mod register_uses;
mod resources;

use super::function_code::FunctionCode;
use super::ir::MemoryIr;
use super::program::Program;
use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use binframe_ir::Rows;
use binframe_ir::tables::{DataFlowEdgeBuilder, DataFlowEdges};
use def_use_chains::DefUseChains;
use definition_sets::DefSets;
use function_events::FunctionEvents;
use std::ops::Range;

/// The def-use edges whose use is in a range of blocks.
pub fn data_flow(code: &Code, cfg: &CfgIr, memory: &MemoryIr, blocks: Range<usize>) -> Rows<DataFlowEdges> {
    if !Program::is_analyzed(code) {
        return Rows::default();
    }
    let facts = &memory.facts;
    let program = Program::new(code, cfg, &facts.image, &facts.blocks_by_function);
    let mut graph = FunctionCode::default();
    let mut rows = DataFlowEdgeBuilder::default();
    let mut sets = DefSets::default();
    for (function, own_blocks) in program.functions_of(blocks) {
        graph.assign(&program, function);
        let events = FunctionEvents::new(&program, facts, function, own_blocks);
        rows.extend(DefUseChains::new(events, &graph, &mut sets).find());
    }
    rows.finish()
}
