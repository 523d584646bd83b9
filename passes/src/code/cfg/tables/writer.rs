//! Rows of functions, fragments, blocks, edges, loops and jump tables, in address order, range by range.

use super::flow_graph::{FlowEdge, FlowGraph, FlowGraphBuilder};
use crate::code::cfg::blocks::Block;
use crate::code::cfg::flow::{FunctionCfg, JumpTable as RecoveredTable, ProgramCfg};
use crate::code::cfg::function_ranges::{FunctionRange, FunctionRanges};
use crate::code::cfg::ids::{BranchId, CodeLocation, FunctionId, RangeId};
use crate::code::cfg::ir::CfgIr;
use crate::graph::NONE;
use binframe_ir::Rows;
use binframe_ir::tables::{
    BasicBlock, BasicBlockBuilder, BlockEvidence, BoundEvidence, CallEdgeBuilder, CfgEdge, CfgEdgeBuilder,
    Confidence, DiagnosticCode, EdgeEvidence, EdgeKind, Function, FunctionBuilder, FunctionEvidence,
    FunctionNameKind, FunctionPart, FunctionPartBuilder, JumpTable, JumpTableBuilder, JumpTableEntry,
    JumpTableEntryBuilder, Loop, LoopBuilder, PartEvidence, Terminator,
};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// A diagnostic: its code, address and message.
pub(super) type Report = (DiagnosticCode, u64, String);

/// Writes the rows of consecutive ranges.
pub(super) struct CfgWriter<'f, 'a> {
    pub(super) program: &'f ProgramCfg<'a>,
    pub(super) ranges: &'f FunctionRanges<'a>,
    functions: FunctionBuilder,
    function_parts: FunctionPartBuilder,
    blocks: BasicBlockBuilder,
    loops: LoopBuilder,
    edges: CfgEdgeBuilder,
    pub(super) calls: CallEdgeBuilder,
    jump_tables: JumpTableBuilder,
    jump_table_entries: JumpTableEntryBuilder,
    reports: Vec<Report>,
    graph_builder: FlowGraphBuilder,
    /// A buffer for the graph of a function without fragments.
    graph: FlowGraph,
    /// The graphs of functions of which some ranges are written, and the number of ranges that are not.
    open_graphs: FxHashMap<FunctionId, (FlowGraph, usize)>,
}

impl<'f, 'a> CfgWriter<'f, 'a> {
    /// A writer of these ranges.
    pub(super) fn new(program: &'f ProgramCfg<'a>, own: &[RangeId]) -> Self {
        let ranges = program.facts.ranges;
        let mut blocks = BasicBlockBuilder::default();
        blocks.reserve(own.iter().map(|range| program.facts.count_blocks(&ranges[*range])).sum());
        Self {
            program,
            ranges,
            functions: FunctionBuilder::default(),
            function_parts: FunctionPartBuilder::default(),
            blocks,
            loops: LoopBuilder::default(),
            edges: CfgEdgeBuilder::default(),
            calls: CallEdgeBuilder::default(),
            jump_tables: JumpTableBuilder::default(),
            jump_table_entries: JumpTableEntryBuilder::default(),
            reports: Vec::new(),
            graph_builder: FlowGraphBuilder::default(),
            graph: FlowGraph::default(),
            open_graphs: FxHashMap::default(),
        }
    }

    /// Takes the diagnostics.
    pub(super) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// The rows, without diagnostics.
    pub(super) fn finish(self) -> CfgIr {
        CfgIr {
            functions: self.functions.finish(),
            function_parts: self.function_parts.finish(),
            basic_blocks: self.blocks.finish(),
            loops: self.loops.finish(),
            cfg_edges: self.edges.finish(),
            call_edges: self.calls.finish(),
            jump_tables: self.jump_tables.finish(),
            jump_table_entries: self.jump_table_entries.finish(),
            diagnostics: Rows::default(),
        }
    }

    /// Adds the rows of a range.
    pub(super) fn write(&mut self, range: RangeId) {
        let function = self.program.owner(range);
        let cfg = self.program.function(function);
        let facts = &self.program.facts;
        if cfg.fragments.is_empty() {
            let mut graph = std::mem::take(&mut self.graph);
            self.graph_builder.build(facts, cfg, function, &mut graph);
            self.write_range(range, function, &graph);
            self.graph = graph;
            return;
        }
        let (graph, left) = self.open_graphs.remove(&function).unwrap_or_else(|| {
            let mut graph = FlowGraph::default();
            self.graph_builder.build(facts, cfg, function, &mut graph);
            (graph, cfg.fragments.len() + 1)
        });
        self.write_range(range, function, &graph);
        if left > 1 {
            self.open_graphs.insert(function, (graph, left - 1));
        }
    }

    fn write_range(&mut self, id: RangeId, function: FunctionId, graph: &FlowGraph) {
        let cfg = self.program.function(function);
        let range = &self.ranges[id];
        let function_address = self.ranges.start_address(function.0);
        let blocks = graph.blocks_in(range);
        let mut edges = graph.edges_from(blocks.start);
        for index in blocks.clone() {
            let rest = &graph.edges[edges..];
            let own = &rest[..rest.iter().take_while(|edge| edge.source as usize == index).count()];
            edges += own.len();
            let block = &graph.blocks[index];
            self.write_block(index as u32, function_address, graph);
            self.write_edges(own, block, cfg);
            self.write_calls(block, range, function, function_address);
        }
        self.write_loops(&blocks, function_address, graph);
        self.write_tables(range, cfg, function_address);
        if id == function.0 {
            self.write_function(range, &blocks, cfg, graph);
        } else {
            self.write_fragment(range, function_address);
        }
    }

    fn write_function(
        &mut self,
        range: &FunctionRange,
        blocks: &Range<usize>,
        cfg: &FunctionCfg,
        graph: &FlowGraph,
    ) {
        let main_end = graph.blocks[blocks.clone()].iter().map(|block| block.end).max();
        let end = if range.is_sized() { range.end } else { main_end.unwrap_or(range.end) };
        let address = self.ranges.address(range.start.location);
        let export = self.program.facts.references.export_at(address);
        let (function_name, name_kind) = match (self.ranges.name(range), export) {
            (Some(name), _) => (Some(name), self.ranges.name_kind(range)),
            (None, Some(name)) => (Some(name), FunctionNameKind::Export),
            (None, None) => (None, FunctionNameKind::None),
        };
        self.functions.push(Function {
            address,
            size: u64::from(end - range.start.location.position),
            end_address: self.ranges.address(CodeLocation { position: end, ..range.start.location }),
            function_name,
            name_kind,
            section_index: self.ranges.code.regions[range.region()].section_index,
            evidence: range.start.evidence,
            confidence: confidence(range),
            may_return: cfg.may_return,
            is_reducible: graph.structure.is_reducible,
            block_count: graph.blocks.len() as u32,
            instruction_count: graph.instruction_counts.iter().sum(),
            loop_count: graph.loops.len() as u32,
            recursion_group_address: None,
            content_hash: "",
        });
    }

    fn write_block(&mut self, index: u32, function_address: u64, graph: &FlowGraph) {
        let (block, structure) = (&graph.blocks[index as usize], &graph.structure);
        let vertex = graph.swap_entry(index) as usize;
        let address_of = |vertex: u32| self.address_of(vertex, graph);
        self.blocks.push(BasicBlock {
            address: self.ranges.address(block.start),
            size: u64::from(block.end - block.start.position),
            end_address: self.ranges.address(CodeLocation { position: block.end, ..block.start }),
            function_address,
            instruction_count: graph.instruction_counts[index as usize],
            terminator: block.terminator,
            evidence: if graph.is_reached(index) { BlockEvidence::Flow } else { BlockEvidence::Gap },
            immediate_dominator_address: address_of(structure.immediate_dominator[vertex]),
            immediate_post_dominator_address: address_of(structure.immediate_post_dominator[vertex]),
            loop_header_address: address_of(structure.loop_header[vertex]),
            loop_depth: structure.loop_depth[vertex],
        });
    }

    /// Address of the block of a vertex; `None` for [`NONE`].
    fn address_of(&self, vertex: u32, graph: &FlowGraph) -> Option<u64> {
        (vertex != NONE).then(|| self.ranges.address(graph.blocks[graph.swap_entry(vertex) as usize].start))
    }

    /// Adds the loops whose headers are among some blocks.
    fn write_loops(&mut self, blocks: &Range<usize>, function_address: u64, graph: &FlowGraph) {
        let from = graph.loops.partition_point(|(header, _)| (*header as usize) < blocks.start);
        let loops = graph.loops[from..].iter().take_while(|(header, _)| (*header as usize) < blocks.end);
        for (header, found) in loops {
            let parent_header_address = self.address_of(found.parent, graph);
            self.loops.push(Loop {
                header_address: self.ranges.address(graph.blocks[*header as usize].start),
                function_address,
                parent_header_address,
                depth: found.depth,
                block_count: found.block_count,
                back_edge_count: found.back_edge_count,
            });
        }
    }

    fn write_fragment(&mut self, fragment: &FunctionRange, function_address: u64) {
        let evidence = match fragment.start.evidence {
            FunctionEvidence::Symbol => PartEvidence::Symbol,
            FunctionEvidence::Unwind => PartEvidence::Unwind,
            _ => PartEvidence::JumpTarget,
        };
        self.function_parts.push(FunctionPart {
            address: self.ranges.address(fragment.start.location),
            size: u64::from(fragment.end - fragment.start.location.position),
            end_address: self.ranges.addresses(fragment).end,
            function_address,
            evidence,
        });
    }

    /// Adds the jump tables of a range.
    fn write_tables(&mut self, range: &FunctionRange, cfg: &FunctionCfg, function_address: u64) {
        let region = range.start.location.region;
        let first = BranchId { region, row: range.branches.start };
        let end = BranchId { region, row: range.branches.end };
        let from = cfg.tables.partition_point(|table| table.jump < first);
        for table in cfg.tables[from..].iter().take_while(|table| table.jump < end) {
            let jump_address = self.branch_address(table.jump);
            self.jump_tables.push(JumpTable {
                jump_address,
                function_address,
                table_address: table.address,
                kind: table.kind,
                entry_size: table.entry_size,
                base_address: table.base,
                index_table_address: table.index_address,
                entry_count: table.targets.len() as u32,
                bound_evidence: table.bound,
                confidence: confidence_of(table),
            });
            for (target, entry_index) in table.targets.iter().zip(0..) {
                let Some(target) = *target else { continue };
                let target_address = self.ranges.address(target);
                self.jump_table_entries.push(JumpTableEntry { jump_address, entry_index, target_address });
            }
        }
    }

    pub(super) fn branch_address(&self, BranchId { region, row }: BranchId) -> u64 {
        let position = self.ranges.branches(region as usize).positions[row as usize];
        self.ranges.address(CodeLocation { region, position })
    }

    /// Adds the edges out of a block: those with a known target, and its open edge, sorted by kind.
    fn write_edges(&mut self, own: &[FlowEdge], block: &Block, cfg: &FunctionCfg) {
        let source_address = self.ranges.address(block.start);
        let table = block.last_branch().and_then(|branch| cfg.table_of(branch));
        let is_inferred = block.last_branch().is_some_and(|branch| self.has_inferred_target(branch));
        let mut open = self.open_edge(own, block, cfg, source_address);
        for FlowEdge { kind, target, .. } in own {
            let (evidence, confidence) = match kind {
                EdgeKind::LandingPad => (EdgeEvidence::ExceptionTable, Confidence::Certain),
                EdgeKind::Indirect => match table {
                    Some(table) => (EdgeEvidence::JumpTable, confidence_of(table)),
                    None => (EdgeEvidence::AddressTaken, Confidence::Guess),
                },
                EdgeKind::CallReturn => (EdgeEvidence::Encoding, Confidence::Likely),
                EdgeKind::Jump if is_inferred => (EdgeEvidence::Register, Confidence::Likely),
                EdgeKind::Taken if is_inferred => (EdgeEvidence::Encoding, Confidence::Likely),
                _ => (EdgeEvidence::Encoding, Confidence::Certain),
            };
            if let Some(open) = open.take_if(|open| open.kind < *kind) {
                self.edges.push(open);
            }
            let target_address = Some(self.ranges.address(*target));
            self.edges.push(CfgEdge { source_address, target_address, kind: *kind, evidence, confidence });
        }
        if let Some(open) = open {
            self.edges.push(open);
        }
    }

    /// The edge out of a block that has no known target: a return or an unresolved jump. Reports unresolved and invalid
    /// targets.
    fn open_edge(
        &mut self,
        own: &[FlowEdge],
        block: &Block,
        cfg: &FunctionCfg,
        source_address: u64,
    ) -> Option<CfgEdge> {
        let branch = block.last_branch()?;
        match block.terminator {
            Terminator::Ret => Some(CfgEdge {
                source_address,
                target_address: None,
                kind: EdgeKind::Return,
                evidence: EdgeEvidence::Encoding,
                confidence: Confidence::Certain,
            }),
            Terminator::IndirectJump => self.open_indirect_edge(branch, cfg, source_address),
            Terminator::Jump | Terminator::CondJump => {
                let has_target = |edge: &FlowEdge| matches!(edge.kind, EdgeKind::Jump | EdgeKind::Taken);
                if !own.iter().any(has_target) {
                    self.check_target(branch, self.branch_target(branch));
                }
                None
            }
            _ => None,
        }
    }

    /// The open edge of an indirect jump; `None` if it has edges to a table's targets or to address-taken locations.
    /// Reports it if its targets are not known.
    fn open_indirect_edge(
        &mut self,
        jump: BranchId,
        cfg: &FunctionCfg,
        source_address: u64,
    ) -> Option<CfgEdge> {
        if cfg.table_of(jump).is_some() {
            return None;
        }
        if cfg.unresolved_jumps.binary_search(&jump).is_ok() {
            if !cfg.address_taken_targets.is_empty() {
                return None;
            }
            let message = "where this jump goes is not known".to_owned();
            let address = self.branch_address(jump);
            self.reports.push((DiagnosticCode::UnresolvedIndirectJump, address, message));
        }
        let pointer_address = self.branch_target(jump);
        let facts = &self.program.facts;
        let is_import = pointer_address != 0 && facts.references.import_at(pointer_address).is_some();
        let is_pointer = facts.pointed_function(pointer_address, &self.program.owners).is_some();
        let known = if self.has_inferred_target(jump) { Confidence::Likely } else { Confidence::Certain };
        let (evidence, confidence) = match (is_import, is_pointer) {
            (true, _) => (EdgeEvidence::Import, known),
            (false, true) => (EdgeEvidence::Pointer, known),
            (false, false) => (EdgeEvidence::Unresolved, Confidence::Guess),
        };
        let kind = EdgeKind::Indirect;
        Some(CfgEdge { source_address, target_address: None, kind, evidence, confidence })
    }

    /// Whether the target of a branch is not encoded in the instruction.
    pub(super) fn has_inferred_target(&self, BranchId { region, row }: BranchId) -> bool {
        self.ranges.instructions.regions[region as usize].has_inferred_target(row as usize)
    }

    fn branch_target(&self, BranchId { region, row }: BranchId) -> u64 {
        self.ranges.branches(region as usize).targets[row as usize]
    }

    /// Reports a direct target that is outside of code or inside an instruction.
    pub(super) fn check_target(&mut self, branch: BranchId, target: u64) {
        let (code, message) = match self.ranges.code.locate(target) {
            None => (DiagnosticCode::TargetOutsideCode, format!("{target:#x} is in no executable section")),
            Some((region, position))
                if self.ranges.instructions.regions[region].starts.contains(position) =>
            {
                return;
            }
            Some(_) => {
                (DiagnosticCode::TargetInsideInstruction, format!("{target:#x} is inside an instruction"))
            }
        };
        self.reports.push((code, self.branch_address(branch), message));
    }
}

/// The confidence of a function and its size.
fn confidence(range: &FunctionRange) -> Confidence {
    match range.start.evidence {
        FunctionEvidence::Symbol | FunctionEvidence::FunctionTable | FunctionEvidence::Unwind
            if range.is_sized() =>
        {
            Confidence::Certain
        }
        FunctionEvidence::JumpTarget | FunctionEvidence::AddressTaken | FunctionEvidence::Gap => {
            Confidence::Guess
        }
        _ => Confidence::Likely,
    }
}

/// The confidence of a jump table.
fn confidence_of(table: &RecoveredTable) -> Confidence {
    match table.bound {
        BoundEvidence::Compare => Confidence::Certain,
        BoundEvidence::Mask => Confidence::Likely,
        BoundEvidence::Content => Confidence::Guess,
    }
}
