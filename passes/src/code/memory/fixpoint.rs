//! Abstract interpretation of one function: computes the abstract state before every instruction, and shows it to a
//! collector.
//!
//! *Problem.* The tables of the stage need the values of registers and stack slots at each instruction, relative to
//! the function's inputs. A forward data-flow analysis over the control-flow graph computes them. Its lattice is
//! [`AbstractState`].
//!
//! *Notation.* `in(b)` is the state at the start of block `b`; `None` is bottom: no path to `b` was found yet.
//! `out(b)` is the state after its last instruction. Blocks have positions in
//! [`BlockOrder`](super::block_order::BlockOrder): sorted by strongly connected component in topological order, in a
//! component by reverse postorder. A back edge goes to the same or a lower position.
//!
//! *Algorithm.*
//! 1. Collect the edges, order the blocks. `in(entry)` is the state that the calling convention promises.
//! 2. Take the components in order, and lower their instructions. If a component has a cycle, iterate: take the block
//!    at the lowest position from the worklist, interpret it, and join `out(b)` into `in(s)` of each successor `s`
//!    inside the component. A successor whose state changed is added to the worklist.
//! 3. Once the component is stable (at once, if it has no cycle), interpret each of its reached blocks from its final
//!    state. This pass alone shows their instructions to the collector, joins `out(b)` into the successors outside the
//!    component, and drops `in(b)`.
//! 4. Blocks that got no state are interpreted from the unknown state, without propagation. These are the blocks that
//!    the entry does not reach, landing pads of blocks without a call, and what only such landing pads reach.
//!
//! The join is in `domains/state_join`, the effect of calls in `domains/call_transfer`, that of other instructions in
//! `interpreter`.
//!
//! *Edges.* On an edge of a conditional jump, the left operand of the comparison, and nothing else, is refined by the
//! condition (`refine_by_branch`). A landing-pad edge carries the join of the states after the calls of the block, any
//! of which may throw, with caller-saved registers unknown.
//!
//! *Widening.* A state that is joined over a back edge into a block that was interpreted before is widened: a bound
//! that moved becomes the nearest threshold, after [`VISITS_WITH_THRESHOLDS`] interpretations of the block infinite.
//! Thresholds are the exact right operands of comparisons on the conditional edges propagated so far, at most
//! [`THRESHOLDS_MAX`] per function; each applies to values with its base. There is no narrowing pass: a bound that was
//! widened too far is bounded again only where a branch refines it.
//!
//! *Termination.* Once a block was interpreted more than [`VISITS_MAX`] times, the next join replaces `in(b)` by the
//! unknown state, which later joins leave unchanged; so a block is interpreted at most `VISITS_MAX + 3` times.
//! `is_too_complex` is set: the function gets the summary of the calling convention, frame status `conflicting` and the
//! diagnostic `function_too_complex`.
//!
//! *Cost.* An interpretation of a block costs its length, a join the size of a state: 16 registers and at most 96
//! stack cells. A store or call may also cost the number of cells. A block outside cycles is interpreted once, one in
//! a cycle at least twice.
//!
//! *Approximation.* The final states cover all paths along the recovered edges, given correct summaries of callees,
//! and except for the assumptions of `AbstractState` and `AbstractValue`. The result depends on the function and the
//! summaries of its callees alone.
//!
//! *References.* P. Cousot, R. Cousot (1977), Abstract interpretation; G. Balakrishnan, T. Reps (2004), Analyzing memory
//! accesses in x86 executables; B. Blanchet et al. (2003), A static analyzer for large safety-critical software
//! (thresholds).

use super::block_interpreter::BlockInterpreter;
use super::frame_collector::FrameCollector;
use super::function_code::{FunctionCode, Successor};
use super::interpreter::refine_by_branch;
use super::lowered_code::LoweredCode;
use super::program::Program;
use crate::domains::{AbstractState, Summary, Threshold};
use crate::graph::Worklist;
use crate::isa::ops::Condition;
use binframe_ir::tables::{EdgeKind, Terminator, UnknownReason};
use std::ops::Range;

/// Interpretations of a block before states that reach it over back edges are widened.
const VISITS_BEFORE_WIDENING: u32 = 1;

/// Interpretations of a block before widening ignores thresholds.
const VISITS_WITH_THRESHOLDS: u32 = 5;

/// Thresholds that are kept for a function.
const THRESHOLDS_MAX: usize = 64;

/// Interpretations of a block, at most, before the next join replaces its state by the unknown state.
const VISITS_MAX: u32 = 64;

/// Instructions of a component whose ops are kept from visit to visit; those of larger ones are made at each visit.
const LOWERED_INSTRUCTIONS_MAX: usize = 1 << 16;

/// Analyzes functions one at a time. Buffers are reused for the next function.
pub(super) struct FunctionAnalyzer<'f, 'a> {
    pub(super) program: &'f Program<'a>,
    blocks: BlockInterpreter<'f, 'a>,
    code: FunctionCode<'f>,
    lowered: LoweredCode,
    /// The position of the first of the blocks that are lowered together; `None` if blocks are lowered one by one.
    first_lowered: Option<u32>,
    /// `in(b)` of each block; `None` if no path reaches it, and after its last interpretation.
    states: Vec<Option<Box<AbstractState>>>,
    /// Number of interpretations of each block.
    visits: Vec<u32>,
    thresholds: Vec<Threshold>,
    /// Whether a state was replaced by the unknown state after more than [`VISITS_MAX`] interpretations.
    pub(super) is_too_complex: bool,
}

/// The end of a block: facts about it besides the state.
struct BlockEnd {
    /// The join of the states after its calls, if it has a landing pad.
    thrown: Option<AbstractState>,
    /// The condition of the jump at its end; `None` if flags do not decide it.
    condition: Option<Condition>,
}

impl<'f, 'a> FunctionAnalyzer<'f, 'a> {
    /// An analyzer, given the summaries of functions.
    pub(super) fn new(program: &'f Program<'a>, summaries: &'f [Summary]) -> Self {
        Self {
            program,
            blocks: BlockInterpreter::new(program, summaries),
            code: FunctionCode::default(),
            lowered: LoweredCode::default(),
            first_lowered: None,
            states: Vec::new(),
            visits: Vec::new(),
            thresholds: Vec::new(),
            is_too_complex: false,
        }
    }

    /// Computes the state before every instruction of a function, and shows it to a collector.
    pub(super) fn analyze(&mut self, function: usize, collector: &mut FrameCollector<'_, '_>) {
        self.code.assign(self.program, function);
        self.blocks.prepare(self.code.rows);
        let block_count = self.code.rows.len();
        self.is_too_complex = false;
        self.states.clear();
        self.states.resize_with(block_count, || None);
        self.visits.clear();
        self.visits.resize(block_count, 0);
        self.thresholds.clear();
        let reached_count = self.code.order.blocks.len();
        if let Some(entry) = self.code.order.blocks.first() {
            let state = AbstractState::entry(
                self.program.abi.stack_pointer.0,
                self.program.convention.preserved.0 as u16,
            );
            self.states[*entry as usize] = Some(Box::new(state));
        }
        let mut worklist = Worklist::new(reached_count);
        let mut next = 0;
        while next < reached_count {
            let component = self.code.order.component_at(next);
            next = component.end;
            self.solve_component(component.start as u32..component.end as u32, &mut worklist, collector);
        }
        for block in 0..block_count as u32 {
            if self.visits[block as usize] == 0 {
                self.lower_block(block);
                let mut state = AbstractState::unknown(UnknownReason::Unreached);
                self.run_block(block, 0, &mut state, Some(collector));
            }
        }
    }

    /// Iterates over the blocks of a component to a fixed point, then shows them and propagates their states to later
    /// components.
    fn solve_component(
        &mut self,
        component: Range<u32>,
        worklist: &mut Worklist,
        collector: &mut FrameCollector<'_, '_>,
    ) {
        let block_at = |analyzer: &Self, position: u32| analyzer.code.order.blocks[position as usize];
        let first = block_at(self, component.start);
        let has_cycle =
            component.len() > 1 || self.code.successors_of(first).any(|edge| edge.target == first);
        self.lower_component(&component);
        if has_cycle {
            for position in component.clone() {
                if self.states[block_at(self, position) as usize].is_some() {
                    worklist.add(position);
                }
            }
            while let Some(position) = worklist.take_first() {
                let block = block_at(self, position);
                let Some(mut state) = self.states[block as usize].clone() else { continue };
                let end = self.visit(position, &mut state, None);
                self.propagate(
                    position,
                    state,
                    &end,
                    |position| component.contains(&position),
                    Some(worklist),
                );
            }
        }
        for position in component.clone() {
            let block = block_at(self, position);
            let Some(mut state) = self.states[block as usize].take() else { continue };
            let end = self.visit(position, &mut state, Some(collector));
            self.propagate(position, state, &end, |position| !component.contains(&position), None);
        }
    }

    /// Lowers the blocks of a component, if they are not too many.
    fn lower_component(&mut self, component: &Range<u32>) {
        let blocks = &self.code.order.blocks[component.start as usize..component.end as usize];
        let rows = blocks.iter().map(|block| self.code.rows[*block as usize] as usize);
        let counts = rows.clone().map(|row| self.program.blocks.instruction_count[row] as usize);
        let is_kept = counts.sum::<usize>() <= LOWERED_INSTRUCTIONS_MAX;
        self.first_lowered = is_kept.then_some(component.start);
        if is_kept {
            self.lowered.assign(self.program, rows);
        }
    }

    fn lower_block(&mut self, block: u32) {
        let row = self.code.rows[block as usize] as usize;
        self.lowered.assign(self.program, std::iter::once(row));
    }

    /// Interprets the block at a position of the component whose turn it is.
    fn visit(
        &mut self,
        position: u32,
        state: &mut AbstractState,
        collector: Option<&mut FrameCollector<'_, '_>>,
    ) -> BlockEnd {
        let block = self.code.order.blocks[position as usize];
        self.visits[block as usize] += 1;
        let index = match self.first_lowered {
            Some(first) => position - first,
            None => {
                self.lower_block(block);
                0
            }
        };
        self.run_block(block, index as usize, state, collector)
    }

    /// Interprets a block, given its index among the lowered ones, and shows it to a collector. The state becomes that
    /// after the block.
    fn run_block(
        &mut self,
        block: u32,
        lowered_index: usize,
        state: &mut AbstractState,
        mut collector: Option<&mut FrameCollector<'_, '_>>,
    ) -> BlockEnd {
        let row = self.code.rows[block as usize] as usize;
        let is_reached = self.visits[block as usize] > 0;
        if let Some(collector) = &mut collector {
            collector.block_start(block, row, is_reached);
        }
        let has_pads = self.code.successors_of(block).any(|edge| edge.kind == EdgeKind::LandingPad);
        let mut thrown: Option<AbstractState> = None;
        let terminator = self.program.blocks.terminator.get(row);
        let mut instructions = self.lowered.instructions_of(lowered_index);
        self.blocks.run(
            self.lowered.instructions_of(lowered_index),
            terminator == Terminator::Jump,
            state,
            |interpreter, instruction, context| {
                if let Some(collector) = &mut collector {
                    collector.instruction(interpreter, instruction, context);
                }
            },
            |after_call| match &mut thrown {
                _ if !has_pads => {}
                Some(thrown) => _ = thrown.join(after_call, None),
                None => thrown = Some(after_call.clone()),
            },
        );
        let last = instructions.next_back();
        if let (Some(collector), Some(last)) = (collector, last) {
            collector.block_end(&self.blocks.callees, last, state);
        }
        let condition =
            last.filter(|_| terminator == Terminator::CondJump).and_then(|last| last.facts.condition);
        BlockEnd { thrown, condition }
    }

    /// Joins the state after a block into its successors at positions that satisfy `is_wanted`; enqueues those that
    /// changed.
    fn propagate(
        &mut self,
        position: u32,
        after: Box<AbstractState>,
        BlockEnd { thrown, condition }: &BlockEnd,
        is_wanted: impl Fn(u32) -> bool,
        mut worklist: Option<&mut Worklist>,
    ) {
        let block = self.code.order.blocks[position as usize];
        let wanted = |code: &FunctionCode<'_>, edge: usize| {
            let successor = code.successor(edge);
            let position = code.order.position(successor.target).filter(|position| is_wanted(*position));
            position.map(|position| (successor, position))
        };
        let edges = self.code.edges_of(block);
        let Some(last) = edges.clone().rev().find(|edge| wanted(&self.code, *edge).is_some()) else { return };
        let register_bits = self.program.abi.register_bits;
        let mut after = Some(after);
        for edge in edges.start..=last {
            let Some((Successor { target, kind }, target_position)) = wanted(&self.code, edge) else {
                continue;
            };
            let next = match kind {
                EdgeKind::LandingPad => thrown.clone().map(|thrown| Box::new(self.at_landing_pad(thrown))),
                // The last edge takes the state without a copy.
                _ if edge == last => after.take(),
                _ => after.clone(),
            };
            let Some(mut next) = next else { continue };
            if let (Some(condition), EdgeKind::Taken | EdgeKind::Fallthrough) = (*condition, kind)
                && let Some(threshold) =
                    refine_by_branch(&mut next, condition, kind == EdgeKind::Taken, register_bits)
            {
                self.add_threshold(threshold);
            }
            let is_back_edge = target_position <= position;
            if self.join_into(target as usize, next, is_back_edge)
                && let Some(worklist) = &mut worklist
            {
                worklist.add(target_position);
            }
        }
    }

    fn add_threshold(&mut self, threshold: Threshold) {
        if self.thresholds.len() < THRESHOLDS_MAX && !self.thresholds.contains(&threshold) {
            self.thresholds.push(threshold);
        }
    }

    /// Joins a state into `in(target)`. Returns whether that changed.
    fn join_into(&mut self, target: usize, next: Box<AbstractState>, is_back_edge: bool) -> bool {
        let visits = self.visits[target];
        match &mut self.states[target] {
            state @ None => {
                *state = Some(next);
                true
            }
            Some(state) if visits > VISITS_MAX => {
                self.is_too_complex = true;
                let unknown = AbstractState::unknown(UnknownReason::TooComplex);
                let is_changed = **state != unknown;
                **state = unknown;
                is_changed
            }
            Some(state) => {
                let thresholds =
                    if visits < VISITS_WITH_THRESHOLDS { self.thresholds.as_slice() } else { &[] };
                let is_widened = is_back_edge && visits >= VISITS_BEFORE_WIDENING;
                state.join(&next, is_widened.then_some(thresholds))
            }
        }
    }

    /// The state at a landing pad, given the state after the call that threw.
    fn at_landing_pad(&self, mut state: AbstractState) -> AbstractState {
        state.clobber(self.program.convention.clobbered());
        state
    }
}
