//! Rows of functions, blocks, edges, loops and jump tables, extent by extent.

use super::shape::{Edge, Shape, Shaper};
use crate::code::cfg::CfgIr;
use crate::code::cfg::descent::{Flows, FunctionFlow, Row};
use crate::code::cfg::graph::Block;
use crate::code::cfg::jump_tables::Table;
use crate::code::cfg::layout::{Extent, Layout, Place};
use crate::graph::NONE;
use binframe_ir::Rows;
use binframe_ir::tables::{
    BasicBlock, BasicBlockBuilder, BlockEvidence, BoundEvidence, CallEdgeBuilder, CfgEdge, CfgEdgeBuilder,
    Confidence, DiagnosticCode, EdgeEvidence, EdgeKind, Function, FunctionBuilder, FunctionEvidence,
    FunctionPart, FunctionPartBuilder, JumpTable, JumpTableBuilder, JumpTableEntry, JumpTableEntryBuilder,
    Loop, LoopBuilder, PartEvidence, Terminator,
};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// What a writer could not understand.
pub(super) type Report = (DiagnosticCode, u64, String);

/// Writes rows in the order of their addresses.
pub(super) struct Writer<'f, 'a> {
    pub(super) flows: &'f Flows<'a>,
    pub(super) layout: &'f Layout<'a>,
    functions: FunctionBuilder,
    function_parts: FunctionPartBuilder,
    blocks: BasicBlockBuilder,
    loops: LoopBuilder,
    edges: CfgEdgeBuilder,
    pub(super) calls: CallEdgeBuilder,
    jump_tables: JumpTableBuilder,
    jump_table_entries: JumpTableEntryBuilder,
    reports: Vec<Report>,
    shaper: Shaper,
    /// Room for the shape of a function without parts.
    shape: Shape,
    /// The shapes of functions of which some extents are written, and numbers of those that are not.
    open: FxHashMap<u32, (Shape, usize)>,
}

impl<'f, 'a> Writer<'f, 'a> {
    /// A writer of these extents.
    pub(super) fn new(flows: &'f Flows<'a>, extents: &[u32]) -> Self {
        let layout = flows.known.layout;
        let mut blocks = BasicBlockBuilder::default();
        let extents = extents.iter().map(|extent| &layout.extents[*extent as usize]);
        blocks.reserve(extents.map(|extent| flows.known.count_blocks(extent)).sum());
        Self {
            flows,
            layout,
            functions: FunctionBuilder::default(),
            function_parts: FunctionPartBuilder::default(),
            blocks,
            loops: LoopBuilder::default(),
            edges: CfgEdgeBuilder::default(),
            calls: CallEdgeBuilder::default(),
            jump_tables: JumpTableBuilder::default(),
            jump_table_entries: JumpTableEntryBuilder::default(),
            reports: Vec::new(),
            shaper: Shaper::default(),
            shape: Shape::default(),
            open: FxHashMap::default(),
        }
    }

    /// What was not understood.
    pub(super) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

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

    /// Adds what lies in an extent.
    pub(super) fn write(&mut self, extent: u32) {
        let function = self.flows.owners[extent as usize];
        let flow = &self.flows.functions[function as usize];
        let known = &self.flows.known;
        if flow.parts.is_empty() {
            let mut shape = std::mem::take(&mut self.shape);
            self.shaper.shape(known, flow, function, &mut shape);
            self.write_extent(extent, function, &shape);
            self.shape = shape;
            return;
        }
        let (shape, left) = self.open.remove(&function).unwrap_or_else(|| {
            let mut shape = Shape::default();
            self.shaper.shape(known, flow, function, &mut shape);
            (shape, flow.parts.len() + 1)
        });
        self.write_extent(extent, function, &shape);
        if left > 1 {
            self.open.insert(function, (shape, left - 1));
        }
    }

    fn write_extent(&mut self, index: u32, function: u32, shape: &Shape) {
        let flow = &self.flows.functions[function as usize];
        let extent = &self.layout.extents[index as usize];
        let function_address = self.layout.address(self.layout.extents[function as usize].start.place);
        let blocks = shape.blocks_in(extent);
        let mut edges = shape.edges_from(blocks.start);
        for index in blocks.clone() {
            let rest = &shape.edges[edges..];
            let own = &rest[..rest.iter().take_while(|(source, ..)| *source as usize == index).count()];
            edges += own.len();
            let block = &shape.blocks[index];
            self.write_block(index as u32, function_address, shape);
            self.write_edges(own, block, flow);
            self.write_calls(block, extent, function, function_address);
        }
        self.write_loops(&blocks, function_address, shape);
        self.write_tables(extent, flow, function_address);
        if index == function {
            self.write_function(extent, &blocks, flow, shape);
        } else {
            self.write_part(extent, function_address);
        }
    }

    fn write_function(&mut self, extent: &Extent, blocks: &Range<usize>, flow: &FunctionFlow, shape: &Shape) {
        let main_end = shape.blocks[blocks.clone()].iter().map(|block| block.end).max();
        let end = if extent.is_sized() { extent.end } else { main_end.unwrap_or(extent.end) };
        self.functions.push(Function {
            address: self.layout.address(extent.start.place),
            size: u64::from(end - extent.start.place.position),
            name: self.layout.name(extent),
            section_index: self.layout.code.regions[extent.region()].section_index,
            evidence: extent.start.evidence,
            confidence: confidence(extent),
            may_return: flow.may_return,
            is_reducible: shape.structure.is_reducible,
            block_count: shape.blocks.len() as u32,
            instruction_count: shape.instruction_counts.iter().sum(),
            loop_count: shape.loops.len() as u32,
            recursion_address: None,
            content_hash: 0,
        });
    }

    fn write_block(&mut self, index: u32, function_address: u64, shape: &Shape) {
        let (block, structure) = (&shape.blocks[index as usize], &shape.structure);
        let vertex = shape.swapped(index) as usize;
        let address_of = |vertex: u32| self.address_of(vertex, shape);
        self.blocks.push(BasicBlock {
            address: self.layout.address(block.start),
            size: u64::from(block.end - block.start.position),
            function_address,
            instruction_count: shape.instruction_counts[index as usize],
            terminator: block.terminator,
            evidence: if shape.is_reached(index) { BlockEvidence::Flow } else { BlockEvidence::Gap },
            immediate_dominator: address_of(structure.immediate_dominator[vertex]),
            immediate_post_dominator: address_of(structure.immediate_post_dominator[vertex]),
            loop_header: address_of(structure.loop_header[vertex]),
            loop_depth: structure.loop_depth[vertex],
        });
    }

    /// Address of the block of a vertex, if there is one.
    fn address_of(&self, vertex: u32, shape: &Shape) -> Option<u64> {
        (vertex != NONE).then(|| self.layout.address(shape.blocks[shape.swapped(vertex) as usize].start))
    }

    /// Adds the loops whose headers are some blocks.
    fn write_loops(&mut self, blocks: &Range<usize>, function_address: u64, shape: &Shape) {
        let from = shape.loops.partition_point(|(header, _)| (*header as usize) < blocks.start);
        let loops = shape.loops[from..].iter().take_while(|(header, _)| (*header as usize) < blocks.end);
        for (header, found) in loops {
            let parent_header_address = self.address_of(found.parent, shape);
            self.loops.push(Loop {
                header_address: self.layout.address(shape.blocks[*header as usize].start),
                function_address,
                parent_header_address,
                depth: found.depth,
                block_count: found.block_count,
                back_edge_count: found.back_edge_count,
            });
        }
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

    /// Adds the tables that jumps of an extent read.
    fn write_tables(&mut self, extent: &Extent, flow: &FunctionFlow, function_address: u64) {
        let first = (extent.start.place.region, extent.rows.start);
        let from = flow.tables.partition_point(|table| table.jump < first);
        let end = (first.0, extent.rows.end);
        for table in flow.tables[from..].iter().take_while(|table| table.jump < end) {
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

    pub(super) fn branch_address(&self, (region, row): Row) -> u64 {
        let position = self.layout.branches(region as usize).positions[row as usize];
        self.layout.address(Place { region, position })
    }

    /// Adds the edges of a block, which were found.
    fn write_edges(&mut self, own: &[Edge], block: &Block, flow: &FunctionFlow) {
        let source_address = self.layout.address(block.start);
        let table = block.last_row().and_then(|row| flow.table_of(row));
        let mut open = self.open_edge(own, block, flow, source_address);
        for (_, kind, place) in own {
            let (evidence, confidence) = match kind {
                EdgeKind::LandingPad => (EdgeEvidence::ExceptionTable, Confidence::Certain),
                EdgeKind::Indirect => match table {
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
    fn open_edge(
        &mut self,
        own: &[Edge],
        block: &Block,
        flow: &FunctionFlow,
        source_address: u64,
    ) -> Option<CfgEdge> {
        let edge = |kind, evidence, confidence| CfgEdge {
            source_address,
            target_address: None,
            kind,
            evidence,
            confidence,
        };
        let row = block.last_row()?;
        let branches = self.layout.branches(row.0 as usize);
        let target = branches.targets[row.1 as usize];
        match block.terminator {
            Terminator::Ret => Some(edge(EdgeKind::Return, EdgeEvidence::Encoding, Confidence::Certain)),
            Terminator::IndirectJump if flow.table_of(row).is_some() => None,
            Terminator::IndirectJump => {
                if flow.unresolved.binary_search(&row).is_ok() {
                    if !flow.labels.is_empty() {
                        return None;
                    }
                    let message = "where this jump goes is not known".to_owned();
                    let address = self.branch_address(row);
                    self.reports.push((DiagnosticCode::UnresolvedIndirectJump, address, message));
                }
                let is_import = target != 0 && self.flows.known.references.import_at(target).is_some();
                let is_pointer = self.flows.known.pointed_function(target, &self.flows.owners).is_some();
                let (evidence, confidence) = match (is_import, is_pointer) {
                    (true, _) => (EdgeEvidence::Import, Confidence::Certain),
                    (false, true) => (EdgeEvidence::Pointer, Confidence::Certain),
                    (false, false) => (EdgeEvidence::Unresolved, Confidence::Guess),
                };
                Some(edge(EdgeKind::Indirect, evidence, confidence))
            }
            Terminator::Jump | Terminator::CondJump => {
                let is_way = |kind| matches!(kind, EdgeKind::Jump | EdgeKind::Taken);
                if !own.iter().any(|(_, kind, _)| is_way(*kind)) {
                    self.check_target(row, target);
                }
                None
            }
            _ => None,
        }
    }

    /// Reports a target that is outside all code or inside an instruction.
    pub(super) fn check_target(&mut self, row: Row, target: u64) {
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
