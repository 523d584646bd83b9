//! `(code, cfg, memory) -> data_flow_edges`: def-use edges between instructions, through registers, flags and stack slots.
//!
//! The table is large and computed on demand, for any range of blocks. Each function of the blocks is analyzed again,
//! which gives the uses and definitions of its instructions (`events`). For each resource, reaching definitions are
//! solved over the control-flow graph (`reaching_definitions`) and joined with the uses (`def_use_chains`).

mod def_use_chains;
mod definition_sets;
mod events;
mod function_events;
mod reaching_definitions;

use super::fixpoint::FunctionAnalyzer;
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
    let is_fixed_address = |address: u64| program.image.is_fixed_address(address);
    let mut analyzer = FunctionAnalyzer::new(&program, &facts.summaries, &is_fixed_address);
    let mut rows = DataFlowEdgeBuilder::default();
    let mut sets = DefSets::default();
    for (function, own_blocks) in program.functions_of(blocks) {
        let mut events = FunctionEvents::new(&program, &facts.objects, function, own_blocks);
        analyzer.analyze(function, &mut events);
        rows.extend(DefUseChains::new(events, &analyzer.code, &mut sets).find());
    }
    rows.finish()
}
