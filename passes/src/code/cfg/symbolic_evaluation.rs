//! Symbolic evaluation of the blocks before an indirect jump: steps 1 and 2 of the recovery of jump tables.

use super::blocks::{Block, index_of};
use super::facts::CfgFacts;
use super::flow::FunctionCfg;
use super::ids::{CodeLocation, FunctionId};
use super::symbolic_state::{Evaluation, MergedRegisters, SymbolicState};
use crate::domains::symbolic::{Bound, ExprArena, ExprId, Expression};
use crate::graph::{Graph, Worklist};
use crate::isa::ops::{Condition, Ops};
use crate::isa::{Buffers, Decoder, InstructionSet, with_instruction_set};
use binframe_ir::tables::{EdgeKind, Terminator};
use std::collections::{BTreeMap, VecDeque};

/// The most blocks that are selected before a jump.
pub(super) const BLOCKS_MAX: usize = 512;

/// Evaluations of each selected block, on average.
const VISITS_MAX: usize = 12;

/// Evaluations for all jumps of a function, per block of the function, in addition to those of one jump.
const EVALUATIONS_PER_BLOCK_MAX: usize = 192;

/// Buffers that are reused from one function to the next.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) arena: ExprArena,
    buffers: Buffers,
    ops: Ops,
    temporaries: Vec<ExprId>,
}

/// The class of an edge, as far as evaluation distinguishes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum EdgeClass {
    #[default]
    Other,
    Taken,
    LandingPad,
}

/// The states of a selected block.
struct BlockStates {
    /// Whether a predecessor is not selected, or is the unwinder, or the block is the entry of the function.
    has_unknown_predecessor: bool,
    merged: MergedRegisters,
    entry: Option<SymbolicState>,
    /// The state after the block, and the jump at its end.
    exit: Option<(SymbolicState, BlockEnd)>,
}

/// Evaluates blocks of one function.
pub(super) struct SymbolicEvaluator<'k, 'a> {
    facts: &'k CfgFacts<'a>,
    entry: CodeLocation,
    /// The blocks of the function, sorted.
    pub(super) blocks: Vec<Block>,
    successors: Graph,
    predecessors: Graph,
    /// The class of each edge of `predecessors`.
    edge_classes: Vec<EdgeClass>,
    pub(super) scratch: &'k mut Scratch,
    /// Whether what an indirect jump went to is known, in the block that it goes to, to be the address of that block.
    pub(super) knows_jumped_to: bool,
    /// Blocks of the function that were evaluated so far.
    pub(super) evaluated_blocks: usize,
}

impl<'k, 'a> SymbolicEvaluator<'k, 'a> {
    pub(super) fn new(
        facts: &'k CfgFacts<'a>,
        function: FunctionId,
        cfg: &FunctionCfg,
        scratch: &'k mut Scratch,
    ) -> Self {
        let mut blocks = Vec::new();
        facts.blocks_of(function, cfg, &mut blocks);
        let (mut sources, mut targets, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for (source, block) in (0..).zip(&blocks) {
            facts.each_edge(block, cfg, |kind, location| {
                if let Some(target) = index_of(&blocks, location, source as usize) {
                    sources.push(source);
                    targets.push(target as u32);
                    classes.push(match kind {
                        EdgeKind::Taken => EdgeClass::Taken,
                        EdgeKind::LandingPad => EdgeClass::LandingPad,
                        _ => EdgeClass::Other,
                    });
                }
            });
        }
        let successors = Graph::new(blocks.len(), &sources, &targets);
        let (predecessors, edge_classes) = Graph::weighted(blocks.len(), &targets, &sources, &classes);
        let evaluated_blocks = cfg.evaluated_blocks + blocks.len();
        let entry = facts.ranges[function.0].start.location;
        Self {
            facts,
            entry,
            blocks,
            successors,
            predecessors,
            edge_classes,
            scratch,
            knows_jumped_to: false,
            evaluated_blocks,
        }
    }

    /// The target expression of the indirect jump at the end of a block, and the bounds that hold there, from at most
    /// `blocks_max` blocks. `None` if the evaluation did not reach the block within its limits.
    pub(super) fn target_at(&mut self, block: usize, blocks_max: usize) -> Option<(ExprId, Vec<Bound>)> {
        self.scratch.arena.clear();
        let mut states = self.evaluate(block, blocks_max);
        let mut state = states.get_mut(&block)?.entry.take()?;
        let target = evaluate_block(self.facts, &self.blocks[block], &mut state, self.scratch).target?;
        Some((target, state.bounds))
    }

    /// Whether an expression is a symbol of the entry of a selected block.
    pub(super) fn is_entry_symbol(&self, value: ExprId) -> bool {
        let expression = self.scratch.arena.get(value);
        matches!(expression, Expression::Unknown(number) if SymbolicState::is_entry_symbol(number))
    }

    /// Whether an expression is the stack pointer or the frame pointer at the entry of a selected block. A call does not
    /// change what is stored there.
    pub(super) fn is_stack_symbol(&self, value: ExprId) -> bool {
        let abi = self.facts.ranges.code.regions[self.entry.region as usize].isa.abi();
        let expression = self.scratch.arena.get(value);
        matches!(expression, Expression::Unknown(number) if SymbolicState::is_stack_symbol(number, &abi))
    }

    /// Whether targets of an indirect jump are known.
    pub(super) fn has_resolved_jumps(&self) -> bool {
        let is_resolved = |(index, block): (u32, &Block)| {
            block.terminator == Terminator::IndirectJump && !self.successors.successors(index).is_empty()
        };
        (0..).zip(&self.blocks).any(is_resolved)
    }

    /// The incoming edges of a block: the source and the class of each.
    fn incoming_edges(&self, block: usize) -> impl Iterator<Item = (usize, EdgeClass)> {
        let edges = self.predecessors.edges_of(block as u32);
        edges.map(|edge| (self.predecessors.target(edge) as usize, self.edge_classes[edge]))
    }

    /// Selects up to `blocks_max` blocks backwards from a block, breadth first.
    fn select(&self, block: usize, blocks_max: usize) -> BTreeMap<usize, BlockStates> {
        let new = || BlockStates {
            has_unknown_predecessor: false,
            merged: MergedRegisters::default(),
            entry: None,
            exit: None,
        };
        let mut selected = BTreeMap::from([(block, new())]);
        let mut queue = VecDeque::from([block]);
        while let Some(next) = queue.pop_front() {
            for (source, _) in self.incoming_edges(next) {
                if selected.len() < blocks_max && !selected.contains_key(&source) {
                    selected.insert(source, new());
                    queue.push_back(source);
                }
            }
        }
        let blocks: Vec<_> = selected.keys().copied().collect();
        for block in blocks {
            let is_unknown =
                |(source, class)| class == EdgeClass::LandingPad || !selected.contains_key(&source);
            let is_entry =
                self.blocks[block].start == self.entry || self.incoming_edges(block).next().is_none();
            let has_unknown_predecessor = is_entry || self.incoming_edges(block).any(is_unknown);
            let states = selected.get_mut(&block).expect("the block is selected");
            states.has_unknown_predecessor = has_unknown_predecessor;
        }
        selected
    }

    /// Evaluates the selected blocks before a block to a fixed point, first block first.
    fn evaluate(&mut self, block: usize, blocks_max: usize) -> BTreeMap<usize, BlockStates> {
        let mut selected = self.select(block, blocks_max);
        let mut worklist = Worklist::new(self.blocks.len());
        let starts = selected.iter().filter(|(_, states)| states.has_unknown_predecessor);
        starts.for_each(|(block, _)| worklist.add(*block as u32));
        self.evaluated_blocks += selected.len();
        let function_max = BLOCKS_MAX * VISITS_MAX + self.blocks.len() * EVALUATIONS_PER_BLOCK_MAX;
        let limit = function_max.min(self.evaluated_blocks + selected.len() * VISITS_MAX);
        while let Some(block) = worklist.take_first().filter(|_| self.evaluated_blocks < limit) {
            let block = block as usize;
            self.evaluated_blocks += 1;
            let (entry, merged) = self.entry_state(block, &selected);
            let Some(entry) = entry else { continue };
            let states = selected.get_mut(&block).expect("the block is selected");
            states.merged = merged;
            if states.entry.as_ref() == Some(&entry) {
                continue;
            }
            let mut exit = entry.clone();
            states.entry = Some(entry);
            let end = evaluate_block(self.facts, &self.blocks[block], &mut exit, self.scratch);
            selected.get_mut(&block).expect("the block is selected").exit = Some((exit, end));
            let successors = self.successors.successors(block as u32).iter().copied();
            successors
                .filter(|block| selected.contains_key(&(*block as usize)))
                .for_each(|block| worklist.add(block));
        }
        selected
    }

    /// The entry state of a block: the join over its evaluated predecessors, with the branch condition of each edge.
    /// `None` if no predecessor was evaluated.
    fn entry_state(
        &mut self,
        block: usize,
        selected: &BTreeMap<usize, BlockStates>,
    ) -> (Option<SymbolicState>, MergedRegisters) {
        let address = self.facts.ranges.address(self.blocks[block].start);
        let own = &selected[&block];
        let mut merged = own.merged;
        if own.has_unknown_predecessor {
            return (Some(SymbolicState::unknown(address)), merged);
        }
        let mut joined: Option<SymbolicState> = None;
        for edge in self.predecessors.edges_of(block as u32) {
            let source = self.predecessors.target(edge) as usize;
            let Some((state, end)) = selected.get(&source).and_then(|source| source.exit.as_ref()) else {
                continue;
            };
            let mut state = state.clone();
            match (self.blocks[source].terminator, end) {
                (Terminator::CondJump, BlockEnd { condition: Some(condition), .. }) => {
                    let is_taken = self.edge_classes[edge] == EdgeClass::Taken;
                    state.assume_branch(&self.scratch.arena, *condition, is_taken);
                }
                // What the jump went to is the address of this block.
                (Terminator::IndirectJump, BlockEnd { target: Some(target), .. })
                    if self.knows_jumped_to && self.edge_classes[edge] == EdgeClass::Other =>
                {
                    state.set_value(&mut self.scratch.arena, *target, address);
                }
                _ => {}
            }
            match &mut joined {
                Some(joined) => joined.join(&state, &mut merged, address),
                None => joined = Some(state),
            }
        }
        if let Some(joined) = &mut joined {
            joined.forget_merged(merged, address);
        }
        (joined, merged)
    }
}

/// What the last instruction of a block does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BlockEnd {
    /// Where it jumps or calls; `None` if it does not.
    pub(super) target: Option<ExprId>,
    /// The condition of its jump; `None` if it has none.
    condition: Option<Condition>,
}

/// Applies the instructions of a block to a state.
pub(super) fn evaluate_block(
    facts: &CfgFacts<'_>,
    block: &Block,
    state: &mut SymbolicState,
    scratch: &mut Scratch,
) -> BlockEnd {
    let isa = facts.ranges.code.regions[block.start.region as usize].isa;
    with_instruction_set!(isa, S => evaluate_block_as::<S>(facts, block, state, scratch))
}

fn evaluate_block_as<S: InstructionSet>(
    facts: &CfgFacts<'_>,
    block: &Block,
    state: &mut SymbolicState,
    scratch: &mut Scratch,
) -> BlockEnd {
    let region = &facts.ranges.code.regions[block.start.region as usize];
    let bytes = &region.bytes[block.start.position as usize..block.end as usize];
    let mut decoder = S::decoder(region.isa, bytes, facts.ranges.address(block.start));
    let abi = region.isa.abi();
    let mut instruction = S::Instruction::default();
    let mut position = 0;
    let mut end = BlockEnd::default();
    while position < bytes.len() && decoder.decode(&mut instruction) {
        position += S::size(&instruction);
        let address = S::address(&instruction);
        let next = address.wrapping_add(S::size(&instruction) as u64);
        let callee = S::direct_call_target(&instruction).map(|callee| facts.ranges.code.bytes(callee, 4));
        if let Some(register) = callee.and_then(|callee| region.isa.address_getter(callee)) {
            // It changes no other register.
            state.set_register(&mut scratch.arena, register, next);
            end = BlockEnd::default();
            continue;
        }
        scratch.ops.clear();
        S::lower(&instruction, &mut scratch.buffers, &mut scratch.ops);
        let mut evaluation = Evaluation {
            arena: &mut scratch.arena,
            abi: &abi,
            temporaries: &mut scratch.temporaries,
            address,
            next,
        };
        let target = state.step(&scratch.ops, &mut evaluation);
        end = BlockEnd { target, condition: scratch.ops.condition() };
    }
    end
}
