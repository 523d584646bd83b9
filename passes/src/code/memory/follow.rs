//! Follows values through one function at a time, to a fixed point.
//!
//! Loops are followed until nothing changes; all that lies behind them comes after that (`order`). Where a way leads back, bounds that
//! still move are given up. What is found does not depend on who follows which function.

use super::context::Context;
use super::order::{Order, Waiting};
use crate::domains::{AbstractState, AbstractValue, Base, Summary};
use crate::isa::{
    AbstractInterpreter, Decoder, Instruction, RESULT, STACK_POINTER, is_call, refine_by_branch,
};
use binframe_ir::tables::{CallEdge, EdgeKind, Terminator, UnknownReason};
use std::ops::Range;

/// How often a block is entered before bounds that move are given up.
const VISITS_BEFORE_WIDENING: u32 = 1;

/// How often a block is entered before they are given up whatever they are compared with.
const VISITS_WITH_LANDMARKS: u32 = 5;

/// Numbers and addresses of a function that others are compared with, as far as they are remembered.
const LANDMARKS_MAX: usize = 64;

/// How often a block is entered before all is given up that is known there.
const VISITS_MAX: u32 = 64;

/// What a call leads to.
pub(super) struct Callee<'a> {
    pub(super) summary: Summary,
    /// The function, if it is one of the file.
    pub(super) function: Option<usize>,
    /// The call itself, if there is a row of it.
    pub(super) call: Option<CallEdge<'a>>,
}

/// What holds before an instruction, and what it calls.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) before: &'a AbstractState,
    pub(super) callee: Option<&'a Callee<'a>>,
}

/// What looks at the instructions of a function, each with what holds before it at last.
pub(super) trait Visitor {
    /// Whether the block in a row is of interest; known ways lead there, or not.
    fn wants(&self, row: usize, is_reached: bool) -> bool;

    /// Looks at an instruction of the block in a row. Blocks come in any order.
    fn instruction(
        &mut self,
        row: usize,
        interpreter: &mut AbstractInterpreter<'_>,
        instruction: &Instruction,
        step: Step<'_>,
    );

    /// Looks at what holds behind the last instruction of the block in a row.
    fn leave(&mut self, runner: &Runner<'_, '_>, row: usize, last: &Instruction, state: &AbstractState);
}

/// Follows instructions of any function.
pub(super) struct Runner<'f, 'a> {
    pub(super) context: &'f Context<'a>,
    /// What is known of functions that were followed before.
    summaries: &'f [Summary],
    interpreter: AbstractInterpreter<'f>,
    /// The calls among which those of the function are.
    calls: Range<usize>,
}

impl<'f, 'a> Runner<'f, 'a> {
    /// Follows the instructions of a block. `each` gets every instruction with what holds before it, `called` what holds behind calls.
    fn run(
        &mut self,
        instructions: &[Instruction],
        state: &mut AbstractState,
        mut each: impl FnMut(&mut AbstractInterpreter<'f>, &Instruction, Step<'_>),
        mut called: impl FnMut(&AbstractState),
    ) {
        for instruction in instructions {
            if !is_call(instruction) {
                each(&mut self.interpreter, instruction, Step { before: state, callee: None });
                self.interpreter.transfer(state, instruction);
                continue;
            }
            let call = self.call_at(instruction.ip());
            let callee = self.callee(call);
            each(&mut self.interpreter, instruction, Step { before: state, callee: Some(&callee) });
            let slot = i64::from(self.context.convention.address_size);
            state.apply_call(&callee.summary, instruction.ip(), STACK_POINTER, RESULT, slot);
            if let Some(register) = self.address_getter(call) {
                state.set_register(register, AbstractValue::number(instruction.next_ip() as i64));
            }
            called(state);
        }
    }

    /// The call that an instruction of the function makes.
    pub(super) fn call_at(&self, address: u64) -> Option<CallEdge<'a>> {
        self.context.call_among(self.calls.clone(), address)
    }

    /// The register in which a function returns the address of what follows its call.
    fn address_getter(&self, call: Option<CallEdge<'_>>) -> Option<u8> {
        let address = call?.callee_address.filter(|_| self.context.convention.address_size == 4)?;
        let (region, position) = self.context.code.locate(address)?;
        let region = &self.context.code.regions[region];
        region.isa.address_getter(&region.bytes[position..]).map(|register| register as u8)
    }

    /// What a call leads to.
    pub(super) fn callee(&self, call: Option<CallEdge<'a>>) -> Callee<'a> {
        let convention = self.context.convention;
        let Some(call) = call else {
            return Callee { summary: convention.summary(), function: None, call: None };
        };
        let function = call.callee_address.and_then(|address| self.context.function_at(address));
        let known = call.import_name.and_then(|name| self.context.imports.summary(name, convention));
        let own = || function.map(|function| self.summaries[function]);
        let summary = known.or_else(own).unwrap_or_else(|| convention.summary());
        Callee { summary, function, call: Some(call) }
    }
}

/// An edge to another block of the function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Successor {
    pub(super) target: u32,
    pub(super) kind: EdgeKind,
}

/// A function whose values are followed.
pub(super) struct Follower<'f, 'a> {
    pub(super) context: &'f Context<'a>,
    runner: Runner<'f, 'a>,
    /// The rows of the blocks.
    pub(super) rows: &'f [u32],
    instructions: Vec<Instruction>,
    /// Where the instructions of each block begin, and where the last ones end.
    firsts: Vec<u32>,
    /// What holds where each block begins; none where no known edge leads.
    states: Vec<Option<Box<AbstractState>>>,
    /// Edges of each block, and where they begin.
    successors: Vec<Successor>,
    offsets: Vec<u32>,
    pub(super) order: Order,
    visits: Vec<u32>,
    /// What others are compared with.
    landmarks: Vec<(Base, i64)>,
    /// Whether something was given up.
    pub(super) is_too_complex: bool,
}

impl<'f, 'a> Follower<'f, 'a> {
    pub(super) fn new(
        context: &'f Context<'a>,
        summaries: &'f [Summary],
        is_loaded: &'f dyn Fn(u64) -> bool,
    ) -> Self {
        Self {
            context,
            runner: Runner {
                context,
                summaries,
                interpreter: AbstractInterpreter::new(is_loaded),
                calls: 0..0,
            },
            rows: &[],
            instructions: Vec::new(),
            firsts: Vec::new(),
            states: Vec::new(),
            successors: Vec::new(),
            offsets: Vec::new(),
            order: Order::default(),
            visits: Vec::new(),
            landmarks: Vec::new(),
            is_too_complex: false,
        }
    }

    /// Finds what holds at every block of a function, and shows it to a visitor.
    pub(super) fn follow(&mut self, function: usize, visitor: &mut impl Visitor) {
        self.rows = self.context.by_function.rows_of(function);
        self.is_too_complex = false;
        self.states.clear();
        self.states.resize_with(self.rows.len(), || None);
        self.visits.clear();
        self.visits.resize(self.rows.len(), 0);
        self.landmarks.clear();
        self.order.clear(self.rows.len());
        self.runner.calls = self.context.calls_in(self.rows);
        self.decode();
        self.runner.interpreter.prepare(&self.instructions);
        self.find_successors();
        if let Some(entry) = self.index_of(self.context.functions.address[function]) {
            self.order.find(entry as u32, &self.offsets, |edge| self.successors[edge as usize].target);
            let state = AbstractState::entry(STACK_POINTER, self.context.convention.preserved);
            self.states[entry] = Some(Box::new(state));
            let mut waiting = Waiting::new(self.order.blocks.len());
            let mut next = 0;
            while next < self.order.blocks.len() {
                let places = self.order.component_at(next);
                next = places.end;
                self.follow_component(places, &mut waiting, visitor);
            }
        }
        for index in 0..self.rows.len() {
            if self.visits[index] == 0 && visitor.wants(self.rows[index] as usize, false) {
                self.run_block(index, AbstractState::unknown(UnknownReason::Unreached), Some(&mut *visitor));
            }
        }
    }

    /// Follows the blocks of a component until nothing changes, and then once more to show them and to leave them.
    fn follow_component<V: Visitor>(&mut self, places: Range<usize>, waiting: &mut Waiting, visitor: &mut V) {
        let own = places.start as u32..places.end as u32;
        let first = self.order.blocks[places.start];
        let is_loop = places.len() > 1 || self.successors_of(first).iter().any(|edge| edge.target == first);
        if is_loop {
            let entered = own.clone().filter(|place| self.state_at(*place).is_some());
            entered.for_each(|place| waiting.add(place));
            while let Some(place) = waiting.take_first() {
                let index = self.order.blocks[place as usize] as usize;
                let Some(state) = self.states[index].as_deref().cloned() else { continue };
                self.visits[index] += 1;
                let left = self.run_block(index, state, None::<&mut V>);
                self.follow_edges(place, left, |target| own.contains(&target), Some(waiting));
            }
        }
        for place in own.clone() {
            let index = self.order.blocks[place as usize] as usize;
            let Some(state) = self.states[index].take() else { continue };
            self.visits[index] += 1;
            let left = self.run_block(index, *state, Some(&mut *visitor));
            self.follow_edges(place, left, |target| !own.contains(&target), None);
        }
    }

    fn state_at(&self, place: u32) -> Option<&AbstractState> {
        self.states[self.order.blocks[place as usize] as usize].as_deref()
    }

    /// The edges of a block to others of the function.
    pub(super) fn successors_of(&self, block: u32) -> &[Successor] {
        &self.successors[self.offsets[block as usize] as usize..self.offsets[block as usize + 1] as usize]
    }

    /// Follows a block, and shows it to a visitor. Returns what holds behind it, and where something is caught that its calls throw.
    fn run_block(
        &mut self,
        index: usize,
        mut state: AbstractState,
        visitor: Option<&mut impl Visitor>,
    ) -> (AbstractState, Option<AbstractState>) {
        let row = self.rows[index] as usize;
        let is_reached = self.visits[index] > 0;
        let mut visitor = visitor.filter(|visitor| visitor.wants(row, is_reached));
        let has_pads = self.successors_of(index as u32).iter().any(|edge| edge.kind == EdgeKind::LandingPad);
        let mut thrown: Option<AbstractState> = None;
        let instructions = &self.instructions[self.firsts[index] as usize..self.firsts[index + 1] as usize];
        self.runner.run(
            instructions,
            &mut state,
            |interpreter, instruction, step| {
                if let Some(visitor) = &mut visitor {
                    visitor.instruction(row, interpreter, instruction, step);
                }
            },
            |after| match &mut thrown {
                _ if !has_pads => {}
                Some(thrown) => _ = thrown.join(after, None),
                None => thrown = Some(after.clone()),
            },
        );
        if let (Some(visitor), Some(last)) = (visitor, instructions.last()) {
            visitor.leave(&self.runner, row, last, &state);
        }
        (state, thrown)
    }

    /// Decodes the instructions of all blocks.
    fn decode(&mut self) {
        let Context { code, blocks, .. } = self.context;
        self.instructions.clear();
        self.firsts.clear();
        self.firsts.push(0);
        let mut current: Option<(usize, Decoder<'_>)> = None;
        let mut instruction = Instruction::default();
        for row in self.rows {
            let (address, size) = (blocks.address[*row as usize], blocks.size[*row as usize] as usize);
            if let Some((region, position)) = code.locate(address) {
                if current.as_ref().is_none_or(|(own, _)| *own != region) {
                    current = Some((region, code.regions[region].decoder()));
                }
                if let Some((_, decoder)) = &mut current {
                    decoder.seek(position);
                    let mut decoded = 0;
                    while decoded < size && decoder.decode(&mut instruction) {
                        self.instructions.push(instruction);
                        decoded += instruction.len();
                    }
                }
            }
            self.firsts.push(self.instructions.len() as u32);
        }
    }

    /// Takes what holds behind a block to some of those that follow it, by their places, and lets those wait where less is known now.
    fn follow_edges(
        &mut self,
        place: u32,
        (state, thrown): (AbstractState, Option<AbstractState>),
        is_wanted: impl Fn(u32) -> bool,
        mut waiting: Option<&mut Waiting>,
    ) {
        let index = self.order.blocks[place as usize] as usize;
        let place_of =
            |edge: usize| self.order.place(self.successors[edge].target).filter(|place| is_wanted(*place));
        let edges = self.offsets[index] as usize..self.offsets[index + 1] as usize;
        // The last edge takes the state along.
        let Some(last) = edges.clone().rev().find(|edge| place_of(*edge).is_some()) else { return };
        let is_conditional =
            self.context.blocks.terminator.get(self.rows[index] as usize) == Terminator::CondJump;
        let jump =
            self.instructions[..self.firsts[index + 1] as usize].last().filter(|_| is_conditional).copied();
        let mut state = Some(state);
        for edge in edges.start..=last {
            let Successor { target, kind } = self.successors[edge];
            let Some(target_place) = self.order.place(target).filter(|place| is_wanted(*place)) else {
                continue;
            };
            let next = match kind {
                EdgeKind::LandingPad => thrown.clone().map(|thrown| self.landed(thrown)),
                _ if edge == last => state.take(),
                _ => state.clone(),
            };
            let Some(mut next) = next else { continue };
            if let (Some(jump), EdgeKind::Taken | EdgeKind::Fallthrough) = (&jump, kind) {
                let landmark = refine_by_branch(&mut next, jump, kind == EdgeKind::Taken);
                if let Some(landmark) = landmark {
                    self.add_landmark(landmark);
                }
            }
            let is_back = target_place <= place;
            if self.enter(target as usize, next, is_back)
                && let Some(waiting) = &mut waiting
            {
                waiting.add(target_place);
            }
        }
    }

    fn add_landmark(&mut self, landmark: (Base, i64)) {
        if self.landmarks.len() < LANDMARKS_MAX && !self.landmarks.contains(&landmark) {
            self.landmarks.push(landmark);
        }
    }

    /// Takes what holds on a way to a block, and says whether less is known there than before.
    fn enter(&mut self, target: usize, next: AbstractState, is_back: bool) -> bool {
        let visits = self.visits[target];
        match &mut self.states[target] {
            state @ None => {
                *state = Some(Box::new(next));
                true
            }
            Some(state) if visits > VISITS_MAX => {
                self.is_too_complex = true;
                let unknown = AbstractState::unknown(UnknownReason::TooComplex);
                let is_new = **state != unknown;
                **state = unknown;
                is_new
            }
            Some(state) => {
                let landmarks = if visits < VISITS_WITH_LANDMARKS { self.landmarks.as_slice() } else { &[] };
                state.join(&next, (is_back && visits >= VISITS_BEFORE_WIDENING).then_some(landmarks))
            }
        }
    }

    /// What holds where something is caught that a call has thrown.
    fn landed(&self, mut state: AbstractState) -> AbstractState {
        for register in (0..16).filter(|register| self.context.convention.clobbered() >> register & 1 == 1) {
            state.set_register(register, AbstractValue::unknown(UnknownReason::Clobbered));
        }
        state
    }

    /// Position of the block that begins at an address among those of the function.
    fn index_of(&self, address: u64) -> Option<usize> {
        self.rows.binary_search_by_key(&address, |row| self.context.blocks.address[*row as usize]).ok()
    }

    fn find_successors(&mut self) {
        let edges = self.context.edges;
        self.successors.clear();
        self.offsets.clear();
        self.offsets.push(0);
        let mut next = 0;
        for row in self.rows {
            let source = self.context.blocks.address[*row as usize];
            // Edges of blocks that stand together do so too.
            let first = match edges.source_address.get(next) {
                Some(address) if *address == source => next,
                _ => edges.source_address.partition_point(|address| *address < source),
            };
            next = first;
            let own = (first..edges.len()).take_while(|edge| edges.source_address[*edge] == source);
            let may_land = self.context.convention.has_landing_pads;
            for edge in own {
                next = edge + 1;
                if !may_land && edges.kind.get(edge) == EdgeKind::LandingPad {
                    continue;
                }
                let target = edges.target_address.get(edge).and_then(|target| self.index_of(target));
                if let Some(target) = target {
                    self.successors.push(Successor { target: target as u32, kind: edges.kind.get(edge) });
                }
            }
            self.offsets.push(self.successors.len() as u32);
        }
    }
}
