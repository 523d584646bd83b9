//! Def-use chains of one function: for each use of a resource, the definitions that may reach it.
//!
//! *Notation.* A resource is a part of a register that is written separately, a flag, or a stack piece. The frame is
//! split into pieces at both ends of every access to an exact range, so that such an access covers whole pieces. An
//! event is a use, a definition that kills others (strong update), or one that does not (weak update).
//!
//! *Algorithm.*
//! 1. Take the events of the instructions (`function_events`).
//! 2. Add those of calls and returns. A callee in this binary uses the parameter registers that its summary reads
//!    (`likely`). Calls of other functions use the parameter registers that the function defines, every call the vector
//!    parameters that it defines, and returns the general result register and, if it is defined, the vector result
//!    (`guess`). A call defines the registers that it may clobber.
//! 3. Map stack events to pieces. The pieces that a store without a known bound may write are marked:
//!    `may_be_overwritten`.
//! 4. Sort the events by resource, block and address.
//! 5. For each resource with a use, compute gen and kill of each block. If a use may see a definition of another
//!    block, solve reaching definitions.
//! 6. Replay each requested block from the definitions at its start: each use becomes a row for every definition that
//!    reaches it. Left out: call results as register arguments of the next call, entry definitions of guessed uses, and
//!    `many` of guessed uses. Sort the rows by key; of rows with the same key the most reliable one stays.
//!
//! *Invariants.* Rows are sorted by key, and unique.
//!
//! *Termination, cost.* Steps 4 to 6 are linear in events and rows but for sorting. Most resources need no step across
//! blocks. All stack pieces of a function together have a budget of [`PIECE_BLOCKS_MAX`] blocks. A use of a piece
//! beyond it that no definition of its block kills, and a use that more than 32 definitions reach, gets a row with
//! definition `many`, unless it is a guess.
//!
//! *Approximation.* A may-analysis along the recovered edges. Uses of a marked piece, and reads whose first byte has
//! escaped, are `likely`: their rows may lack definitions.
//!
//! *Reference.* F. E. Allen, J. Cocke (1976), A program data flow analysis procedure.

use super::definition_sets::{DefSet, DefSets};
use super::events::{CallOrReturn, CallOrReturnKind, DefSite, EventKind, ResourceEvent, StackEvent};
use super::function_events::FunctionEvents;
use super::reaching_definitions::{GenKill, solve};
use super::resources::Resource;
use crate::code::memory::function_code::FunctionCode;
use crate::domains::{AbstractState, ParameterSet, frame_offset};
use crate::isa::ops::{Flag, Reg, RegSet};
use binframe_ir::tables::{Confidence, DataFlowEdge, DataUse, Definition, EdgeKind, ObjectRegion};
use binframe_ir::{Enumeration, Term};

/// Stack pieces that one inexact access uses or defines. A larger use is dropped; a larger definition only marks its
/// pieces.
const PIECES_MAX: usize = 64;

/// Budget of a function: each stack piece with an upward-exposed use costs the number of its blocks, although a block
/// may be processed up to 34 times. Registers and flags have no budget.
const PIECE_BLOCKS_MAX: usize = 1 << 26;

/// The definition of every resource at function entry.
const ENTRY: u32 = 0;

/// Computes the def-use chains of a function.
pub(super) struct DefUseChains<'c, 'g, 'a> {
    function: FunctionEvents<'g, 'a>,
    code: &'c FunctionCode<'g>,
    sets: &'c mut DefSets,
    /// Frame offset of each stack piece, and of the end of the last one.
    piece_offsets: Vec<i64>,
    /// For each piece, whether stores without a known bound may write it.
    may_be_overwritten: Vec<bool>,
    /// Address of the last call of each block with a landing pad.
    last_calls: Vec<Option<u64>>,
    piece_blocks_left: usize,
    rows: Vec<DataFlowEdge<'static>>,
}

impl<'c, 'g, 'a> DefUseChains<'c, 'g, 'a> {
    /// Prepares for a function, given its events and its code.
    pub(super) fn new(
        function: FunctionEvents<'g, 'a>,
        code: &'c FunctionCode<'g>,
        sets: &'c mut DefSets,
    ) -> Self {
        let mut last_calls = vec![None; function.rows.len()];
        let has_pads = |block: u32| code.successors_of(block).any(|edge| edge.kind == EdgeKind::LandingPad);
        for call in function.calls_and_returns.iter().filter(|call| has_pads(call.block)) {
            let last = &mut last_calls[call.block as usize];
            *last = (*last).max(Some(call.address));
        }
        Self {
            function,
            code,
            sets,
            piece_offsets: Vec::new(),
            may_be_overwritten: Vec::new(),
            last_calls,
            piece_blocks_left: PIECE_BLOCKS_MAX,
            rows: Vec::new(),
        }
    }

    /// The rows of the function, sorted by key.
    pub(super) fn find(mut self) -> Vec<DataFlowEdge<'static>> {
        let mut events = std::mem::take(&mut self.function.events);
        self.add_calls_and_returns(&mut events);
        self.add_stack_events(&mut events);
        events.sort_unstable_by_key(|event| (event.resource, event.block, event.address, event.kind.rank()));
        let mut reaching = Vec::new();
        for own in events.chunk_by(|one, other| one.resource == other.resource) {
            if own.iter().any(|event| matches!(event.kind, EventKind::Use(..))) {
                self.add_resource(own, &mut reaching);
            }
        }
        let key = |row: &DataFlowEdge<'static>| {
            let region = row.region.map(ObjectRegion::name);
            (row.use_address, row.resource.0, region, row.object_offset, row.definition_address)
        };
        self.rows.sort_unstable_by(|one, other| {
            let rank = |row: &DataFlowEdge<'_>| {
                (row.confidence.code(), row.use_kind.code(), row.definition_kind.code())
            };
            key(one).cmp(&key(other)).then_with(|| rank(one).cmp(&rank(other)))
        });
        self.rows.dedup_by(|one, other| key(one) == key(other));
        self.rows
    }

    /// Adds the events of calls and returns. Definitions of resources without a use are left out.
    fn add_calls_and_returns(&mut self, events: &mut Vec<ResourceEvent>) {
        let calls_and_returns = std::mem::take(&mut self.function.calls_and_returns);
        for call in &calls_and_returns {
            self.add_register_uses(call, events);
        }
        let mut is_used = vec![false; Resource::COUNT as usize];
        for event in events.iter().filter(|event| matches!(event.kind, EventKind::Use(..))) {
            is_used[event.resource as usize] = true;
        }
        let results: Vec<_> = self.results().collect();
        for CallOrReturn { block, address, kind } in calls_and_returns {
            let CallOrReturnKind::Call { summary, returns: true, is_known } = kind else { continue };
            let definition = self.function.definition(address, Definition::Call, Confidence::Certain);
            for resource in self.clobbered(summary.clobbered).filter(|resource| is_used[resource.0 as usize])
            {
                // Registers in the summary *may* be clobbered; compilers rely on exact knowledge of functions in the
                // same binary, so the definition is weak.
                let may_keep = is_known && !resource.is_flag() && !results.contains(&resource);
                let kind = match may_keep {
                    true => EventKind::MayDefine(definition),
                    false => EventKind::Define(definition),
                };
                events.push(ResourceEvent { resource: resource.0, block, address, kind });
            }
        }
    }

    /// Resources in which functions return integers, addresses and floating-point numbers.
    fn results(&self) -> impl Iterator<Item = Resource> + use<> {
        let program = self.function.program;
        let result = Resource::of_register(program.isa, program.abi.result);
        result.chain(Resource::lowest(RegSet::of(&[program.convention.vector_result])))
    }

    /// The resources that a call may change, given the general registers: of others, all but the lowest pieces of
    /// preserved vectors, and the direction flag.
    fn clobbered(&self, general: u16) -> impl Iterator<Item = Resource> + use<> {
        let program = self.function.program;
        let (isa, preserved) = (program.isa, program.convention.preserved_vectors);
        let registers = (0..RegSet::REGISTERS_MAX)
            .map(Reg)
            .filter(move |register| !AbstractState::tracks(register.0) || general >> register.0 & 1 == 1);
        let pieces = registers.flat_map(move |register| Resource::of_register(isa, register));
        let is_preserved = move |resource: &Resource| {
            preserved.contains(resource.register())
                && Some(*resource) == Resource::of_register(isa, resource.register()).next()
        };
        let flags = Flag::ALL.into_iter().filter(|flag| *flag != Flag::Direction);
        pieces.filter(move |resource| !is_preserved(resource)).chain(flags.map(Resource::flag))
    }

    /// Adds the registers that a call or return uses.
    fn add_register_uses(&self, call: &CallOrReturn, events: &mut Vec<ResourceEvent>) {
        let CallOrReturn { block, address, kind } = *call;
        let mut add = |resource: Resource, data_use, confidence| {
            let kind = EventKind::Use(data_use, confidence);
            events.push(ResourceEvent { resource: resource.0, block, address, kind });
        };
        let is_defined = |resource: Resource| self.function.is_defined[resource.0 as usize];
        let CallOrReturnKind::Call { summary, is_known, .. } = kind else {
            let result = self.function.program.abi.result;
            for resource in self.results().filter(|one| is_defined(*one) || one.register() == result) {
                add(resource, DataUse::Result, Confidence::Guess);
            }
            return;
        };
        let convention = self.function.program.convention;
        let vector_count = convention.vector_count.filter(|_| !is_known);
        for register in convention.parameters.iter().copied().chain(vector_count) {
            for resource in Resource::of_register(self.function.program.isa, register) {
                if is_known && summary.read.has(ParameterSet::register(register.0)) {
                    add(resource, DataUse::Argument, Confidence::Likely);
                } else if !is_known && is_defined(resource) {
                    add(resource, DataUse::Argument, Confidence::Guess);
                }
            }
        }
        for resource in Resource::lowest(convention.vector_parameters).filter(|vector| is_defined(*vector)) {
            add(resource, DataUse::Argument, Confidence::Guess);
        }
    }

    /// Splits the stack into pieces, adds the events of the pieces, and marks those that stores without a known bound
    /// may write.
    fn add_stack_events(&mut self, events: &mut Vec<ResourceEvent>) {
        let stack_events = std::mem::take(&mut self.function.stack_events);
        let exact = stack_events.iter().filter(|event| event.is_exact);
        let mut offsets: Vec<i64> = exact.flat_map(|event| [event.low, event.high]).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let frame_end = offsets.partition_point(|offset| *offset < 0);
        // For each piece, the number of marked ranges that start there, less those that end there.
        let mut range_changes = vec![0; offsets.len() + 1];
        for StackEvent { block, address, low, high, is_exact, is_unbounded, kind } in stack_events {
            let first = offsets.partition_point(|offset| *offset <= low).saturating_sub(1);
            let end = offsets.partition_point(|offset| *offset < high).max(first);
            let is_too_large = !is_exact && end - first > PIECES_MAX;
            if matches!(kind, EventKind::MayDefine(_)) && (is_too_large || is_unbounded) {
                // A store without a bound is assumed to stay in the frame, at or above index 0.
                range_changes[first] += 1;
                range_changes[if is_unbounded { end.max(frame_end) } else { end }] -= 1;
            }
            if !is_too_large {
                let pieces = (first..end).map(|piece| Resource::COUNT + piece as u32);
                events.extend(pieces.map(|resource| ResourceEvent { resource, block, address, kind }));
            }
        }
        let open = range_changes.iter().scan(0, |open, change| {
            *open += change;
            Some(*open > 0)
        });
        self.may_be_overwritten = open.collect();
        self.piece_offsets = offsets;
    }

    /// Adds the rows of a resource, given its events.
    fn add_resource(&mut self, events: &[ResourceEvent], reaching: &mut Vec<DefSet>) {
        self.sets.clear();
        let mut effects: Vec<GenKill> = Vec::new();
        let mut is_upward_exposed = false;
        for own in events.chunk_by(|one, other| one.block == other.block) {
            let (effect, has_exposed_use) = self.gen_kill(own);
            is_upward_exposed |= has_exposed_use;
            effects.push(effect);
        }
        let piece = events[0].resource.checked_sub(Resource::COUNT).map(|piece| piece as usize);
        let cost = if piece.is_some() && is_upward_exposed { self.code.rows.len() } else { 0 };
        let is_affordable = cost <= self.piece_blocks_left;
        if is_upward_exposed && is_affordable {
            self.piece_blocks_left -= cost;
            solve(self.code, &effects, DefSet::one(ENTRY), self.sets, reaching);
        }
        for own in events.chunk_by(|one, other| one.block == other.block) {
            let block = own[0].block as usize;
            if self.function.requested.contains(&(self.function.rows[block] as usize)) {
                let at_start = match is_upward_exposed {
                    false => DefSet::NONE,
                    true if is_affordable => reaching[block],
                    true => DefSet::MANY,
                };
                self.replay_block(own, piece, at_start);
            }
        }
    }

    /// The effect of a block on a resource, and whether it has an upward exposed use: one that a definition of another
    /// block may reach.
    fn gen_kill(&mut self, events: &[ResourceEvent]) -> (GenKill, bool) {
        let block = events[0].block;
        let last_call = self.last_calls[block as usize];
        let mut effect =
            GenKill { block, generated: DefSet::NONE, kills: false, generated_at_throw: DefSet::NONE };
        let mut has_exposed_use = false;
        for event in events {
            let (definition, kills) = match event.kind {
                EventKind::Use(..) => {
                    has_exposed_use |= !effect.kills;
                    continue;
                }
                EventKind::MayDefine(definition) => (definition, false),
                EventKind::Define(definition) => (definition, true),
            };
            let own = DefSet::one(definition);
            effect.generated = if kills { own } else { self.sets.union(effect.generated, own) };
            effect.kills |= kills;
            if last_call.is_some_and(|call| event.address <= call) {
                effect.generated_at_throw = self.sets.union(effect.generated_at_throw, own);
            }
        }
        (effect, has_exposed_use)
    }

    /// Adds the rows of a resource in a block, given the definitions at the start of the block.
    fn replay_block(&mut self, events: &[ResourceEvent], piece: Option<usize>, at_start: DefSet) {
        let mut reaching = at_start;
        let frame_offset = piece.map(|piece| self.piece_offsets[piece]);
        let resource = match frame_offset {
            Some(_) => "stack",
            None => Resource(events[0].resource).name(self.function.program.isa),
        };
        let region = frame_offset.map(|frame_offset| match frame_offset::to_offset(frame_offset) {
            (_, true) => ObjectRegion::AlignedStack,
            (_, false) => ObjectRegion::Stack,
        });
        let object_offset =
            frame_offset.and_then(|frame_offset| self.function.object_offset_at(frame_offset));
        let may_be_overwritten = piece.is_some_and(|piece| self.may_be_overwritten[piece]);
        for event in events {
            match event.kind {
                EventKind::Use(data_use, confidence) => {
                    let row = DataFlowEdge {
                        use_address: event.address,
                        resource: Term(resource),
                        region,
                        object_offset,
                        definition_address: None,
                        definition_kind: Definition::Many,
                        use_kind: data_use,
                        function_address: self.function.address,
                        confidence: if may_be_overwritten { Confidence::Likely } else { confidence },
                    };
                    self.push_use(row, reaching);
                }
                EventKind::MayDefine(definition) => {
                    reaching = self.sets.union(reaching, DefSet::one(definition));
                }
                EventKind::Define(definition) => reaching = DefSet::one(definition),
            }
        }
    }

    /// Adds the rows of a use, given the definitions that reach it.
    fn push_use(&mut self, row: DataFlowEdge<'static>, reaching: DefSet) {
        let is_guess = row.confidence == Confidence::Guess;
        if reaching == DefSet::MANY && !is_guess {
            self.rows.push(row);
        }
        for definition in self.sets.of(reaching) {
            let DefSite { address, by, confidence } = self.function.definitions[definition as usize];
            // The result of a call in a register is rarely an argument of the next call, and a register that the
            // function never defines is rarely a guessed argument or result.
            let is_plausible = match (row.use_kind, by) {
                (DataUse::Argument, Definition::Call) => row.object_offset.is_some(),
                (DataUse::Argument | DataUse::Result, Definition::Entry) => !is_guess,
                _ => true,
            };
            if is_plausible {
                let is_use_less_certain = confidence.code() < row.confidence.code();
                let confidence = if is_use_less_certain { row.confidence } else { confidence };
                self.rows.push(DataFlowEdge {
                    definition_address: address,
                    definition_kind: by,
                    confidence,
                    ..row
                });
            }
        }
    }
}
