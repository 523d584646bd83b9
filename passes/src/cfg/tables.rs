//! Rows of the stage's tables, from where control was found to go.

use super::descent::{Flows, FunctionFlow};
use super::graph::Block;
use super::jump_tables::Table;
use super::layout::{Extent, Layout, Place};
use crate::diagnostics::{Collector, Place as Where};
use crate::graph::{FlowAnalysis, NONE, Vertices, strong_components};
use arrow_array::UInt64Array;
use binframe_ir::tables::{
    BasicBlock, BasicBlockBuilder, BasicBlocks, BlockEvidence, BoundEvidence, CallEdge, CallEdgeBuilder,
    CallEdges, CallKind, CfgEdge, CfgEdgeBuilder, CfgEdges, Confidence, DiagnosticCode, EdgeEvidence,
    EdgeKind, Flow, Function, FunctionBuilder, FunctionEvidence, FunctionPart, FunctionPartBuilder,
    FunctionParts, Functions, JumpTable, JumpTableBuilder, JumpTableEntries, JumpTableEntry,
    JumpTableEntryBuilder, JumpTables, LoopBuilder, Loops, PartEvidence, Severity, Terminator,
};
use binframe_ir::{Batch, Rows};
use rayon::prelude::*;
use std::sync::Arc;

/// Tasks for each thread, so that none waits long for the others. One thread does all in one, and copies nothing together.
const TASKS_PER_THREAD: usize = 4;

/// The tables, less the diagnostics.
#[expect(clippy::struct_field_names, reason = "fields are named as the tables are")]
pub(super) struct Tables {
    pub(super) functions: Rows<Functions>,
    pub(super) function_parts: Rows<FunctionParts>,
    pub(super) basic_blocks: Rows<BasicBlocks>,
    pub(super) loops: Rows<Loops>,
    pub(super) cfg_edges: Rows<CfgEdges>,
    pub(super) call_edges: Rows<CallEdges>,
    pub(super) jump_tables: Rows<JumpTables>,
    pub(super) jump_table_entries: Rows<JumpTableEntries>,
}

/// Makes the rows of all functions.
pub(super) fn of(flows: &Flows<'_>, diagnostics: &mut Collector) -> Tables {
    let functions: Vec<u32> =
        (0..).zip(&flows.owners).filter(|(index, owner)| index == *owner).map(|(index, _)| index).collect();
    let tasks = match rayon::current_num_threads() {
        1 => 1,
        threads => threads * TASKS_PER_THREAD,
    };
    let parts = functions.par_chunks(functions.len().div_ceil(tasks).max(1)).map(|chunk| {
        let mut writer = Writer::new(flows);
        let extents = chunk.iter().map(|function| &flows.known.layout.extents[*function as usize]);
        writer.blocks.reserve(extents.map(|extent| flows.known.count_blocks(extent)).sum());
        for function in chunk {
            writer.write(*function);
        }
        writer
    });
    let mut parts: Vec<_> = parts.collect();
    for (code, address, message) in parts.iter_mut().flat_map(|part| std::mem::take(&mut part.reports)) {
        let severity = match code {
            DiagnosticCode::UnresolvedIndirectJump => Severity::Note,
            _ => Severity::Warning,
        };
        diagnostics.report(severity, code, Where::Address(address), &message);
    }
    // Parts of functions lie elsewhere, and so do their rows.
    let is_in_order = flows.functions.iter().all(|flow| flow.parts.is_empty());
    let mut tables: Vec<Tables> = parts.into_iter().map(Writer::finish).collect();
    let call_edges = joined(&mut tables, is_in_order, |tables| &mut tables.call_edges);
    let functions = joined(&mut tables, true, |tables| &mut tables.functions);
    Tables {
        functions: with_recursion(&functions, &call_edges),
        function_parts: joined(&mut tables, false, |tables| &mut tables.function_parts),
        basic_blocks: joined(&mut tables, is_in_order, |tables| &mut tables.basic_blocks),
        loops: joined(&mut tables, is_in_order, |tables| &mut tables.loops),
        cfg_edges: joined(&mut tables, is_in_order, |tables| &mut tables.cfg_edges),
        call_edges,
        jump_tables: joined(&mut tables, is_in_order, |tables| &mut tables.jump_tables),
        jump_table_entries: joined(&mut tables, is_in_order, |tables| &mut tables.jump_table_entries),
    }
}

/// Takes the rows of one table out of all parts, in the order of their first key column, an address.
fn joined<T: binframe_ir::Table>(
    tables: &mut [Tables],
    is_in_order: bool,
    rows: impl Fn(&mut Tables) -> &mut Rows<T>,
) -> Rows<T> {
    let parts: Vec<_> = tables.iter_mut().map(|tables| std::mem::take(rows(tables))).collect();
    let joined = Rows::concat(&parts);
    drop(parts);
    if is_in_order {
        return joined;
    }
    let addresses: Vec<u64> =
        binframe_ir::integers(joined.batch().column(T::INFO.key[0])).flatten().collect();
    let mut positions: Vec<u32> = (0..addresses.len() as u32).collect();
    positions.par_sort_by_key(|position| addresses[*position as usize]);
    let batch: Batch = joined.batch().take(&positions);
    Rows::from_batch(batch).expect("rows that are moved stay rows of their table")
}

/// Functions with the first of those that call each other in a circle with them.
fn with_recursion(functions: &Rows<Functions>, calls: &Rows<CallEdges>) -> Rows<Functions> {
    let calls = calls.columns();
    let known = (0..calls.len()).filter(|row| calls.callee_address.is_valid(*row));
    let (vertices, graph) =
        Vertices::of_edges(known.map(|row| (Some(calls.caller_address[row]), calls.callee_address.get(row))));
    let components = strong_components(&graph);
    // Vertices are in the order of their addresses.
    let mut first = vec![NONE; components.count as usize];
    let mut is_circle = vec![false; components.count as usize];
    for vertex in graph.vertices() {
        let component = components.component[vertex as usize] as usize;
        is_circle[component] |= first[component] != NONE || graph.successors(vertex).contains(&vertex);
        first[component] = first[component].min(vertex);
    }
    let recursion = functions.columns().address.iter().map(|address| {
        let component = components.component[vertices.vertex(*address)? as usize] as usize;
        is_circle[component].then(|| vertices.key(first[component]))
    });
    let batch =
        functions.batch().with_column("recursion_address", Arc::new(recursion.collect::<UInt64Array>()));
    Rows::from_batch(batch).expect("the column has its type")
}

/// What a writer could not understand.
type Report = (DiagnosticCode, u64, String);

struct Writer<'f, 'a> {
    flows: &'f Flows<'a>,
    layout: &'f Layout<'a>,
    functions: FunctionBuilder,
    function_parts: FunctionPartBuilder,
    blocks: BasicBlockBuilder,
    loops: LoopBuilder,
    edges: CfgEdgeBuilder,
    calls: CallEdgeBuilder,
    jump_tables: JumpTableBuilder,
    jump_table_entries: JumpTableEntryBuilder,
    reports: Vec<Report>,
    /// Edges of the function that is written, by the positions of their blocks.
    own_edges: Vec<(u32, EdgeKind, Place)>,
    /// The same between positions of blocks alone, as [`FlowAnalysis`] numbers them.
    ways: Vec<(u32, u32)>,
    analysis: FlowAnalysis,
    /// Numbers of instructions in the blocks of the function that is written.
    counts: Vec<u32>,
}

impl<'f, 'a> Writer<'f, 'a> {
    fn new(flows: &'f Flows<'a>) -> Self {
        Self {
            flows,
            layout: flows.known.layout,
            functions: FunctionBuilder::default(),
            function_parts: FunctionPartBuilder::default(),
            blocks: BasicBlockBuilder::default(),
            loops: LoopBuilder::default(),
            edges: CfgEdgeBuilder::default(),
            calls: CallEdgeBuilder::default(),
            jump_tables: JumpTableBuilder::default(),
            jump_table_entries: JumpTableEntryBuilder::default(),
            reports: Vec::new(),
            own_edges: Vec::new(),
            ways: Vec::new(),
            analysis: FlowAnalysis::default(),
            counts: Vec::new(),
        }
    }

    fn finish(self) -> Tables {
        Tables {
            functions: self.functions.finish(),
            function_parts: self.function_parts.finish(),
            basic_blocks: self.blocks.finish(),
            loops: self.loops.finish(),
            cfg_edges: self.edges.finish(),
            call_edges: self.calls.finish(),
            jump_tables: self.jump_tables.finish(),
            jump_table_entries: self.jump_table_entries.finish(),
        }
    }

    fn write(&mut self, function: u32) {
        let flow = &self.flows.functions[function as usize];
        let extent = &self.layout.extents[function as usize];
        let function_address = self.layout.address(extent.start.place);
        let mut blocks: Vec<Block> = Vec::new();
        for index in std::iter::once(function).chain(flow.parts.iter().copied()) {
            blocks.extend(self.flows.known.blocks(&self.layout.extents[index as usize]));
        }
        let main_end =
            blocks.iter().filter(|block| extent.contains(block.start)).map(|block| block.end).max();
        blocks.sort_by_key(|block| block.start);
        self.find_edges(&blocks, flow);
        let (is_reducible, loop_count) = self.write_structure(&blocks, extent.start.place, function_address);
        let instruction_count = (self.counts.iter()).sum();
        for (index, block) in blocks.iter().enumerate() {
            self.write_edges(index as u32, block, flow);
            self.write_calls(block, function, function_address);
        }
        self.write_tables(flow, function_address);
        for part in &flow.parts {
            self.write_part(&self.layout.extents[*part as usize], function_address);
        }
        let end = if extent.is_sized() { extent.end } else { main_end.unwrap_or(extent.end) };
        self.functions.push(Function {
            address: function_address,
            size: u64::from(end - extent.start.place.position),
            name: self.layout.name(extent),
            section_index: self.layout.code.regions[extent.region()].section_index,
            evidence: extent.start.evidence,
            confidence: confidence(extent),
            may_return: flow.may_return,
            is_reducible,
            block_count: blocks.len() as u32,
            instruction_count,
            loop_count,
            recursion_address: None,
        });
    }

    /// Finds the edges of all blocks of a function, in the order of their keys.
    fn find_edges(&mut self, blocks: &[Block], flow: &FunctionFlow) {
        self.own_edges.clear();
        for (source, block) in (0..).zip(blocks) {
            let first = self.own_edges.len();
            self.flows.known.each_edge(block, flow, |kind, place| {
                if self.flows.known.leaders[place.region as usize].contains(place.position as usize) {
                    self.own_edges.push((source, kind, place));
                }
            });
            self.own_edges[first..].sort_unstable();
        }
        self.own_edges.dedup();
    }

    /// Adds the blocks and loops of a function, and returns whether it is reducible, and how many loops it has.
    fn write_structure(&mut self, blocks: &[Block], entry: Place, function_address: u64) -> (bool, u32) {
        let index_of = |place: Place| blocks.binary_search_by_key(&place, |block| block.start).ok();
        // The entry is the first vertex, whatever parts stand before it.
        let entry = index_of(entry).unwrap_or(0) as u32;
        let swapped = |index: u32| match index {
            0 => entry,
            index if index == entry => 0,
            index => index,
        };
        self.ways.clear();
        for (source, _, place) in &self.own_edges {
            // Most edges lead to the block behind.
            let behind = *source as usize + 1;
            let is_behind = blocks.get(behind).is_some_and(|block| block.start == *place);
            let target = if is_behind { Some(behind) } else { index_of(*place) };
            self.ways.push((swapped(*source), target.map_or(NONE, |target| swapped(target as u32))));
        }
        for own in self.own_edges.chunk_by(|one, next| one.0 == next.0) {
            let index = own[0].0;
            if leaves(blocks[index as usize].terminator, own) {
                self.ways.push((swapped(index), NONE));
            }
        }
        let structure = self.analysis.run(blocks.len(), &self.ways);
        let address_of = |vertex: u32| {
            (vertex != NONE).then(|| self.layout.address(blocks[swapped(vertex) as usize].start))
        };
        self.counts.clear();
        for (block, index) in blocks.iter().zip(0..) {
            let starts = &self.layout.instructions.regions[block.start.region as usize].starts;
            let instruction_count = starts.count_in(block.start.position as usize..block.end as usize) as u32;
            self.counts.push(instruction_count);
            let vertex = swapped(index) as usize;
            let is_reached = index == entry || structure.immediate_dominator[vertex] != NONE;
            self.blocks.push(BasicBlock {
                address: self.layout.address(block.start),
                size: u64::from(block.end - block.start.position),
                function_address,
                instruction_count,
                terminator: block.terminator,
                evidence: if is_reached { BlockEvidence::Flow } else { BlockEvidence::Gap },
                immediate_dominator: address_of(structure.immediate_dominator[vertex]),
                immediate_post_dominator: address_of(structure.immediate_post_dominator[vertex]),
                loop_header: address_of(structure.loop_header[vertex]),
                loop_depth: structure.loop_depth[vertex],
            });
        }
        let mut loops: Vec<_> = structure.loops.iter().map(|found| (swapped(found.header), found)).collect();
        loops.sort_unstable_by_key(|(header, _)| *header);
        for (header, found) in loops {
            self.loops.push(binframe_ir::tables::Loop {
                header_address: self.layout.address(blocks[header as usize].start),
                function_address,
                parent_header_address: address_of(found.parent),
                depth: found.depth,
                block_count: found.block_count,
                back_edge_count: found.back_edge_count,
            });
        }
        (structure.is_reducible, structure.loops.len() as u32)
    }

    fn write_part(&mut self, part: &Extent, function_address: u64) {
        let evidence = match part.start.evidence {
            FunctionEvidence::Symbol => PartEvidence::Symbol,
            FunctionEvidence::Unwind => PartEvidence::Unwind,
            _ => PartEvidence::JumpTarget,
        };
        self.function_parts.push(FunctionPart {
            address: self.layout.address(part.start.place),
            size: u64::from(part.end - part.start.place.position),
            function_address,
            evidence,
        });
    }

    fn write_tables(&mut self, flow: &FunctionFlow, function_address: u64) {
        for table in &flow.tables {
            let jump_address = self.branch_address(table.jump);
            self.jump_tables.push(JumpTable {
                jump_address,
                function_address,
                table_address: table.address,
                kind: table.kind,
                entry_size: table.entry_size,
                base_address: table.base,
                index_table_address: table.index_address,
                entry_count: table.places.len() as u32,
                bound_evidence: table.bound,
                confidence: confidence_of(table),
            });
            for (place, entry_index) in table.places.iter().zip(0..) {
                let Some(target_address) = place.map(|place| self.layout.address(place)) else { continue };
                self.jump_table_entries.push(JumpTableEntry { jump_address, entry_index, target_address });
            }
        }
    }

    fn branch_address(&self, (region, row): (u32, u32)) -> u64 {
        let position = self.layout.branches(region as usize).positions[row as usize];
        self.layout.address(Place { region, position })
    }

    /// Adds the edges of a block, which were found.
    fn write_edges(&mut self, index: u32, block: &Block, flow: &FunctionFlow) {
        let source_address = self.layout.address(block.start);
        let jump = block.last.map(|row| (block.start.region, row));
        let mut open = self.open_edge(block, flow, source_address);
        let first = self.own_edges.partition_point(|(source, ..)| *source < index);
        let own = self.own_edges[first..].iter().take_while(|(source, ..)| *source == index);
        for (_, kind, place) in own {
            let (evidence, confidence) = match kind {
                EdgeKind::LandingPad => (EdgeEvidence::ExceptionTable, Confidence::Certain),
                EdgeKind::Indirect => match jump.and_then(|jump| flow.table_of(jump)) {
                    Some(table) => (EdgeEvidence::JumpTable, confidence_of(table)),
                    None => (EdgeEvidence::AddressTaken, Confidence::Guess),
                },
                EdgeKind::CallReturn => (EdgeEvidence::Encoding, Confidence::Likely),
                _ => (EdgeEvidence::Encoding, Confidence::Certain),
            };
            if let Some(open) = open.take_if(|open| open.kind < *kind) {
                self.edges.push(open);
            }
            let target_address = Some(self.layout.address(*place));
            self.edges.push(CfgEdge { source_address, target_address, kind: *kind, evidence, confidence });
        }
        if let Some(open) = open {
            self.edges.push(open);
        }
    }

    /// The edge of a block that is left for nowhere known, if it is; reports it.
    fn open_edge(&mut self, block: &Block, flow: &FunctionFlow, source_address: u64) -> Option<CfgEdge> {
        let edge = |kind, evidence, confidence| CfgEdge {
            source_address,
            target_address: None,
            kind,
            evidence,
            confidence,
        };
        let row = block.last.map(|row| (block.start.region, row))?;
        let branches = self.layout.branches(row.0 as usize);
        let target = branches.targets[row.1 as usize];
        match block.terminator {
            Terminator::Ret => Some(edge(EdgeKind::Return, EdgeEvidence::Encoding, Confidence::Certain)),
            Terminator::IndirectJump => {
                if !flow.labels.is_empty() && flow.unresolved.binary_search(&row).is_ok() {
                    return None;
                }
                if flow.unresolved.binary_search(&row).is_ok() {
                    let message = "where this jump goes is not known".to_owned();
                    let address = self.branch_address(row);
                    self.reports.push((DiagnosticCode::UnresolvedIndirectJump, address, message));
                } else if flow.table_of(row).is_some() {
                    return None;
                }
                let is_import = target != 0 && self.flows.known.references.import_at(target).is_some();
                let evidence = if is_import { EdgeEvidence::Import } else { EdgeEvidence::Unresolved };
                let confidence = if is_import { Confidence::Certain } else { Confidence::Guess };
                Some(edge(EdgeKind::Indirect, evidence, confidence))
            }
            Terminator::Jump | Terminator::CondJump => {
                self.check_target(row, target);
                None
            }
            _ => None,
        }
    }

    /// Reports a target that is outside all code or inside an instruction.
    fn check_target(&mut self, row: (u32, u32), target: u64) {
        let (code, message) = match self.layout.code.locate(target) {
            None => (DiagnosticCode::TargetOutsideCode, format!("{target:#x} is in no executable section")),
            Some((region, position))
                if self.layout.instructions.regions[region].starts.contains(position) =>
            {
                return;
            }
            Some(_) => {
                (DiagnosticCode::TargetInsideInstruction, format!("{target:#x} is inside an instruction"))
            }
        };
        self.reports.push((code, self.branch_address(row), message));
    }

    /// Adds the calls of a block.
    fn write_calls(&mut self, block: &Block, caller: u32, caller_address: u64) {
        let region = block.start.region;
        let branches = self.layout.branches(region as usize);
        for row in block.rows.start as usize..block.rows.end as usize {
            let (flow, target) = (branches.flows[row], branches.targets[row]);
            let comes_back = self.flows.known.returning[region as usize].contains(row);
            let call = match flow {
                Flow::Call => {
                    self.check_target((region, row as u32), target);
                    let callee = self.function_at(target);
                    let import_name = callee.and_then(|callee| self.import_of(callee));
                    let kind = if import_name.is_some() { CallKind::Import } else { CallKind::Direct };
                    (kind, callee, import_name, comes_back)
                }
                Flow::IndirectCall | Flow::IndirectJump => {
                    let import_name = Some(target)
                        .filter(|slot| *slot != 0)
                        .and_then(|slot| self.flows.known.references.import_at(slot));
                    match (flow, import_name) {
                        (Flow::IndirectCall, Some(_)) => (CallKind::Import, None, import_name, comes_back),
                        (Flow::IndirectCall, None) => (CallKind::Indirect, None, None, comes_back),
                        (_, Some(_)) => (
                            CallKind::Tail,
                            None,
                            import_name,
                            self.flows.functions[caller as usize].may_return,
                        ),
                        (_, None) => continue,
                    }
                }
                Flow::Jump | Flow::CondJump => {
                    match self.function_at(target).filter(|callee| *callee != caller) {
                        Some(callee) => (
                            CallKind::Tail,
                            Some(callee),
                            self.import_of(callee),
                            self.flows.functions[callee as usize].may_return,
                        ),
                        None => continue,
                    }
                }
                _ => continue,
            };
            let (kind, callee, import_name, may_return) = call;
            let (evidence, confidence) = match kind {
                CallKind::Direct => (EdgeEvidence::Encoding, Confidence::Certain),
                CallKind::Import => (EdgeEvidence::Import, Confidence::Certain),
                CallKind::Tail if callee.is_none() => (EdgeEvidence::Import, Confidence::Certain),
                CallKind::Tail => (EdgeEvidence::Encoding, Confidence::Likely),
                CallKind::Indirect => (EdgeEvidence::Unresolved, Confidence::Guess),
            };
            self.calls.push(CallEdge {
                call_address: self.branch_address((region, row as u32)),
                caller_address,
                callee_address: callee
                    .map(|callee| self.layout.address(self.layout.extents[callee as usize].start.place)),
                import_name,
                kind,
                may_return,
                evidence,
                confidence,
            });
        }
    }

    /// The function that begins at an address.
    fn function_at(&self, address: u64) -> Option<u32> {
        let place = self.layout.place_of(address)?;
        let extent = self.layout.extent_at(place)?;
        let is_function =
            self.layout.extents[extent].start.place == place && self.flows.owners[extent] == extent as u32;
        is_function.then_some(extent as u32)
    }

    /// The name of what a stub jumps to: the function's first branch reads a pointer that the loader sets.
    fn import_of(&self, function: u32) -> Option<&'f str> {
        let extent = &self.layout.extents[function as usize];
        let branches = self.layout.branches(extent.region());
        let row = extent.rows.start as usize;
        let is_stub = (row as u32) < extent.rows.end
            && branches.flows[row] == Flow::IndirectJump
            && branches.targets[row] != 0;
        is_stub.then(|| self.flows.known.references.import_at(branches.targets[row]))?
    }
}

/// Whether control leaves the function at the end of a block that has edges. Where a block has none, it leaves there.
fn leaves(terminator: Terminator, edges: &[(u32, EdgeKind, Place)]) -> bool {
    let way = match terminator {
        Terminator::Ret => EdgeKind::Return,
        Terminator::IndirectJump => EdgeKind::Indirect,
        Terminator::CondJump => EdgeKind::Taken,
        Terminator::Jump => EdgeKind::Jump,
        _ => return false,
    };
    edges.iter().all(|(_, kind, _)| *kind != way)
}

/// How sure a function's existence and its size are.
fn confidence(extent: &Extent) -> Confidence {
    match extent.start.evidence {
        FunctionEvidence::Symbol | FunctionEvidence::Unwind if extent.is_sized() => Confidence::Certain,
        FunctionEvidence::JumpTarget | FunctionEvidence::AddressTaken | FunctionEvidence::Gap => {
            Confidence::Guess
        }
        _ => Confidence::Likely,
    }
}

fn confidence_of(table: &Table) -> Confidence {
    match table.bound {
        BoundEvidence::Compare => Confidence::Certain,
        BoundEvidence::Mask => Confidence::Likely,
        BoundEvidence::Content => Confidence::Guess,
    }
}
