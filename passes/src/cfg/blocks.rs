//! Basic blocks and edges of functions whose ranges are known.

use super::functions::Extent;
use crate::bitmap::Bitmap;
use crate::code::Code;
use crate::diagnostics::{Collector, Place};
use crate::instructions::{Branches, InstructionsIr};
use binframe_ir::Rows;
use binframe_ir::tables::{
    BasicBlock, BasicBlockBuilder, BasicBlocks, CallEdge, CallEdgeBuilder, CallEdges, CallKind, CfgEdge,
    CfgEdgeBuilder, CfgEdges, Confidence, DiagnosticCode, EdgeEvidence, EdgeKind, Flow, Function,
    FunctionBuilder, Functions, Severity, Terminator,
};
use rayon::prelude::*;

/// The tables, less the diagnostics.
pub(super) struct Tables {
    pub(super) functions: Rows<Functions>,
    pub(super) basic_blocks: Rows<BasicBlocks>,
    pub(super) cfg_edges: Rows<CfgEdges>,
    pub(super) call_edges: Rows<CallEdges>,
}

/// Tasks for each thread, so that none waits long for the others. One thread does all in one, and copies nothing together.
const TASKS_PER_THREAD: usize = 4;

/// Splits functions into blocks.
pub(super) fn split(
    code: &Code,
    instructions: &InstructionsIr,
    extents: &[Extent],
    diagnostics: &mut Collector,
) -> Tables {
    let leaders = leaders(code, instructions, extents);
    let tasks = match rayon::current_num_threads() {
        1 => 1,
        threads => threads * TASKS_PER_THREAD,
    };
    let splitters = extents.par_chunks(extents.len().div_ceil(tasks).max(1)).map(|chunk| {
        let mut splitter = Splitter::new(code, instructions, extents, &leaders);
        for extent in chunk {
            splitter.split(extent);
        }
        splitter.finish()
    });
    let parts: Vec<_> = splitters.collect();
    for (_, reports) in &parts {
        for (code, address, message) in reports {
            let severity = match code {
                DiagnosticCode::UnresolvedIndirectJump => Severity::Note,
                _ => Severity::Warning,
            };
            diagnostics.report(severity, *code, Place::Address(*address), message);
        }
    }
    let (tables, _): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let ((functions, basic_blocks), (cfg_edges, call_edges)) = rayon::join(
        || {
            (
                Rows::concat(tables.iter().map(|tables| &tables.functions)),
                Rows::concat(tables.iter().map(|tables| &tables.basic_blocks)),
            )
        },
        || {
            (
                Rows::concat(tables.iter().map(|tables| &tables.cfg_edges)),
                Rows::concat(tables.iter().map(|tables| &tables.call_edges)),
            )
        },
    );
    Tables { functions, basic_blocks, cfg_edges, call_edges }
}

/// The positions in each region where blocks begin because functions do or direct jumps go there.
fn leaders(code: &Code, instructions: &InstructionsIr, extents: &[Extent]) -> Vec<Bitmap> {
    let mut leaders: Vec<_> = code.regions.iter().map(|region| Bitmap::new(region.bytes.len())).collect();
    for extent in extents {
        leaders[extent.region].insert(extent.start);
        for (region, position) in extent.jump_targets(code, instructions) {
            let is_start = instructions.regions[region].starts.contains(position);
            let is_inside = extent.contains(region, position);
            if is_start && (is_inside || function_at(extents, region, position).is_some()) {
                leaders[region].insert(position);
            }
        }
    }
    leaders
}

/// The function whose range holds a position.
fn function_at(extents: &[Extent], region: usize, position: usize) -> Option<&Extent> {
    let after = extents.partition_point(|extent| (extent.region, extent.start) <= (region, position));
    let extent = &extents[after.checked_sub(1)?];
    extent.contains(region, position).then_some(extent)
}

/// What a splitter could not understand.
type Report = (DiagnosticCode, u64, String);

struct Splitter<'a> {
    code: &'a Code,
    instructions: &'a InstructionsIr,
    extents: &'a [Extent],
    leaders: &'a [Bitmap],
    functions: FunctionBuilder,
    blocks: BasicBlockBuilder,
    edges: CfgEdgeBuilder,
    calls: CallEdgeBuilder,
    reports: Vec<Report>,
}

impl<'a> Splitter<'a> {
    fn new(
        code: &'a Code,
        instructions: &'a InstructionsIr,
        extents: &'a [Extent],
        leaders: &'a [Bitmap],
    ) -> Self {
        Self {
            code,
            instructions,
            extents,
            leaders,
            functions: FunctionBuilder::default(),
            blocks: BasicBlockBuilder::default(),
            edges: CfgEdgeBuilder::default(),
            calls: CallEdgeBuilder::default(),
            reports: Vec::new(),
        }
    }

    fn finish(self) -> (Tables, Vec<Report>) {
        let tables = Tables {
            functions: self.functions.finish(),
            basic_blocks: self.blocks.finish(),
            cfg_edges: self.edges.finish(),
            call_edges: self.calls.finish(),
        };
        (tables, self.reports)
    }

    fn split(&mut self, extent: &Extent) {
        let region = &self.code.regions[extent.region];
        let instructions = &self.instructions.regions[extent.region];
        let branches = &instructions.branches;
        let address = region.address + extent.start as u64;
        let mut row = branches.first_at(extent.start);
        let mut start = extent.start;
        let mut block_count = 0;
        while start < extent.end {
            let leader = self.leaders[extent.region].first_in(start + 1..extent.end).unwrap_or(extent.end);
            let mut end = leader;
            let mut last = None;
            while row < branches.flows.len() && (branches.positions[row] as usize) < end {
                last = Some(row);
                self.push_call(extent, address, branches, row);
                if branches.flows[row].ends_block() {
                    end = branches.end(row);
                }
                row += 1;
            }
            // A branch before the last instruction of the block says nothing about its end.
            let last = last.filter(|row| branches.end(*row) == end);
            let terminator = terminator(last.map(|row| branches.flows[row]), end == extent.end);
            self.blocks.push(BasicBlock {
                address: region.address + start as u64,
                size: (end - start) as u64,
                function_address: address,
                instruction_count: instructions.starts.count_in(start..end) as u32,
                terminator,
            });
            self.push_edges(extent, start, end, terminator, last);
            block_count += 1;
            start = end;
        }
        self.functions.push(Function {
            address,
            size: (extent.end - extent.start) as u64,
            name: extent.stated.and_then(|row| self.code.name(&self.code.starts[row])),
            section_index: region.section_index,
            evidence: extent.evidence,
            confidence: extent.confidence,
            block_count,
            instruction_count: instructions.starts.count_in(extent.start..extent.end) as u32,
        });
    }

    /// Adds the call that a branch is, if it is one.
    fn push_call(&mut self, extent: &Extent, caller_address: u64, branches: &Branches, row: usize) {
        let call_address = self.code.regions[extent.region].address + u64::from(branches.positions[row]);
        let (flow, target) = (branches.flows[row], branches.targets[row]);
        let callee = || {
            let (region, position) = self.code.locate(target)?;
            if extent.contains(region, position) {
                return (position == extent.start).then_some(target);
            }
            function_at(self.extents, region, position)
                .filter(|callee| callee.start == position)
                .map(|_| target)
        };
        let (kind, callee_address) = match flow {
            Flow::Call => {
                self.check_target(call_address, target);
                (CallKind::Direct, callee())
            }
            Flow::IndirectCall => (CallKind::Indirect, None),
            Flow::Jump | Flow::CondJump if target != caller_address => match callee() {
                Some(callee) => (CallKind::Tail, Some(callee)),
                None => return,
            },
            _ => return,
        };
        let (evidence, confidence) = match kind {
            CallKind::Direct => (EdgeEvidence::Encoding, Confidence::Certain),
            CallKind::Tail => (EdgeEvidence::Encoding, Confidence::Likely),
            CallKind::Indirect => (EdgeEvidence::Unresolved, Confidence::Guess),
        };
        self.calls.push(CallEdge {
            call_address,
            caller_address,
            callee_address,
            kind,
            evidence,
            confidence,
        });
    }

    fn push_edges(
        &mut self,
        extent: &Extent,
        start: usize,
        end: usize,
        terminator: Terminator,
        last: Option<usize>,
    ) {
        let region = &self.code.regions[extent.region];
        let branches = &self.instructions.regions[extent.region].branches;
        let source_address = region.address + start as u64;
        let next_address = (end < extent.end).then_some(region.address + end as u64);
        let (address, target) = match last {
            Some(row) => (region.address + u64::from(branches.positions[row]), branches.targets[row]),
            None => (source_address, 0),
        };
        let certain = |kind, target_address| CfgEdge {
            source_address,
            target_address,
            kind,
            evidence: EdgeEvidence::Encoding,
            confidence: Confidence::Certain,
        };
        match terminator {
            Terminator::Fallthrough => self.edges.push(certain(EdgeKind::Fallthrough, next_address)),
            Terminator::Call => {
                // Some calls do not come back.
                let confidence = Confidence::Likely;
                self.edges.push(CfgEdge { confidence, ..certain(EdgeKind::CallReturn, next_address) });
            }
            Terminator::Jump => {
                if self.check_target(address, target) {
                    self.edges.push(certain(EdgeKind::Jump, Some(target)));
                }
            }
            Terminator::CondJump => {
                if next_address.is_some() {
                    self.edges.push(certain(EdgeKind::Fallthrough, next_address));
                }
                if self.check_target(address, target) {
                    self.edges.push(certain(EdgeKind::Taken, Some(target)));
                }
            }
            Terminator::Ret => self.edges.push(certain(EdgeKind::Return, None)),
            Terminator::IndirectJump => {
                let (evidence, confidence) = (EdgeEvidence::Unresolved, Confidence::Guess);
                self.edges.push(CfgEdge { evidence, confidence, ..certain(EdgeKind::Indirect, None) });
                if !region.is_plt {
                    let message = "where this jump goes is not known".to_owned();
                    self.reports.push((DiagnosticCode::UnresolvedIndirectJump, address, message));
                }
            }
            Terminator::Trap | Terminator::Invalid | Terminator::End => {}
        }
    }

    /// Whether a block begins at a target; reports one that is outside all code or inside an instruction.
    fn check_target(&mut self, address: u64, target: u64) -> bool {
        let report = match self.code.locate(target) {
            None => (
                DiagnosticCode::TargetOutsideCode,
                address,
                format!("{target:#x} is in no executable section"),
            ),
            Some((region, position)) if self.instructions.regions[region].starts.contains(position) => {
                return self.leaders[region].contains(position);
            }
            Some(_) => {
                let message = format!("{target:#x} is inside an instruction");
                (DiagnosticCode::TargetInsideInstruction, address, message)
            }
        };
        self.reports.push(report);
        false
    }
}

/// How a block ends, given the flow of its last instruction if that is a branch.
fn terminator(last: Option<Flow>, is_end: bool) -> Terminator {
    match last {
        Some(Flow::Jump) => Terminator::Jump,
        Some(Flow::CondJump) => Terminator::CondJump,
        Some(Flow::Ret) => Terminator::Ret,
        Some(Flow::IndirectJump) => Terminator::IndirectJump,
        Some(Flow::Trap) => Terminator::Trap,
        Some(Flow::Invalid) => Terminator::Invalid,
        _ if is_end => Terminator::End,
        Some(Flow::Call | Flow::IndirectCall) => Terminator::Call,
        Some(Flow::Next) | None => Terminator::Fallthrough,
    }
}
