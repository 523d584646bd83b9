//! Leads definitions to where they are used.

use super::events::{Defined, Event, Function, Site, SiteKind, StackUse, What};
use super::reaching::{Effect, Set, Sets, reach};
use crate::code::memory::follow::Follower;
use crate::domains::ParameterSet;
use crate::isa::{RESULT, Resource};
use binframe_ir::tables::{Confidence, DataFlowEdge, DataUse, Definition, EdgeKind};
use binframe_ir::{Enumeration, Term};

/// Pieces of the stack that one instruction with an index is said to touch.
const PIECES_MAX: usize = 64;

/// Blocks that all pieces of a function's stack are led through; beyond that, many definitions are said to reach what is used.
const STEPS_MAX: usize = 1 << 26;

/// The definition of all that is there when a function is entered.
const ENTRY: u32 = 0;

/// Finds the definitions that reach each use.
pub(super) struct Chains<'c, 'g, 'a> {
    function: Function<'g, 'a>,
    follower: &'c Follower<'g, 'a>,
    sets: &'c mut Sets,
    /// Where the stack is cut.
    cuts: Vec<i64>,
    /// Pieces of the stack that other instructions may write than those that are known to.
    doubtful: Vec<bool>,
    /// The last call in each block where something is caught that its calls throw.
    last_calls: Vec<Option<u64>>,
    steps_left: usize,
    rows: Vec<DataFlowEdge<'static>>,
}

impl<'c, 'g, 'a> Chains<'c, 'g, 'a> {
    /// Those of a function.
    pub(super) fn new(
        function: Function<'g, 'a>,
        follower: &'c Follower<'g, 'a>,
        sets: &'c mut Sets,
    ) -> Self {
        let mut last_calls = vec![None; function.rows.len()];
        let is_caught =
            |block: u32| follower.successors_of(block).iter().any(|edge| edge.kind == EdgeKind::LandingPad);
        for site in function.sites.iter().filter(|site| is_caught(site.block)) {
            let last = &mut last_calls[site.block as usize];
            *last = (*last).max(Some(site.address));
        }
        Self {
            function,
            follower,
            sets,
            cuts: Vec::new(),
            doubtful: Vec::new(),
            last_calls,
            steps_left: STEPS_MAX,
            rows: Vec::new(),
        }
    }

    /// The rows of the function, in their order.
    pub(super) fn find(mut self) -> Vec<DataFlowEdge<'static>> {
        let mut events = std::mem::take(&mut self.function.events);
        self.add_sites(&mut events);
        self.add_stack(&mut events);
        events.sort_unstable_by_key(|event| (event.number, event.block, event.address, event.what.rank()));
        let mut before = Vec::new();
        for own in events.chunk_by(|one, other| one.number == other.number) {
            if own.iter().any(|event| matches!(event.what, What::Use(..))) {
                self.follow(own, &mut before);
            }
        }
        let key = |row: &DataFlowEdge<'static>| {
            (row.use_address, row.resource.0, row.object_id, row.definition_address)
        };
        self.rows.sort_unstable_by(|one, other| {
            let rank =
                |row: &DataFlowEdge<'_>| (row.confidence.code(), row.r#use.code(), row.definition.code());
            key(one).cmp(&key(other)).then_with(|| rank(one).cmp(&rank(other)))
        });
        self.rows.dedup_by(|one, other| key(one) == key(other));
        self.rows
    }

    /// Adds what calls and returns use and define.
    fn add_sites(&mut self, events: &mut Vec<Event>) {
        let sites = std::mem::take(&mut self.function.sites);
        for site in &sites {
            self.add_uses(site, events);
        }
        let mut is_used = vec![false; Resource::COUNT as usize];
        for event in events.iter().filter(|event| matches!(event.what, What::Use(..))) {
            is_used[event.number as usize] = true;
        }
        let results: Vec<_> = Resource::results().collect();
        for Site { block, address, kind } in sites {
            let SiteKind::Call { summary, returns: true, is_known } = kind else { continue };
            let definition = self.function.definition(address, Definition::Call, Confidence::Certain);
            let general = (0..16).filter(|register| summary.clobbered >> register & 1 == 1);
            let general = general.flat_map(Resource::general);
            let others = Resource::clobbered_by_calls(self.function.context.convention);
            for resource in general.chain(others).filter(|resource| is_used[resource.0 as usize]) {
                // Compilers know which registers a function of the same file leaves alone.
                let may_be_left = is_known && !resource.is_flag() && !results.contains(&resource);
                let what = if may_be_left { What::MayDefine(definition) } else { What::Define(definition) };
                events.push(Event { number: resource.0, block, address, what });
            }
        }
    }

    /// Adds the registers that a call or return uses, as far as is known.
    fn add_uses(&self, site: &Site, events: &mut Vec<Event>) {
        let Site { block, address, kind } = *site;
        let mut add = |resource: Resource, data_use, confidence| {
            let what = What::Use(data_use, confidence);
            events.push(Event { number: resource.0, block, address, what });
        };
        let is_defined = |resource: Resource| self.function.defined[resource.0 as usize];
        let SiteKind::Call { summary, is_known, .. } = kind else {
            let results = Resource::results();
            for resource in results.filter(|resource| is_defined(*resource) || resource.is_general()) {
                add(resource, DataUse::Result, Confidence::Guess);
            }
            return;
        };
        let convention = self.function.context.convention;
        // Where the number of arguments varies, the register of results says how many of them are vectors.
        let count = (!is_known && convention.vector_parameters > 0).then_some(&RESULT);
        for register in convention.parameters.iter().chain(count) {
            for resource in Resource::general(*register) {
                if is_known && summary.read.has(ParameterSet::register(*register)) {
                    add(resource, DataUse::Argument, Confidence::Likely);
                } else if !is_known && is_defined(resource) {
                    add(resource, DataUse::Argument, Confidence::Guess);
                }
            }
        }
        for resource in Resource::vectors(convention.vector_parameters).filter(|vector| is_defined(*vector)) {
            add(resource, DataUse::Argument, Confidence::Guess);
        }
    }

    /// Adds what is done with pieces of the stack, which is cut where instructions that touch but one place cut it.
    fn add_stack(&mut self, events: &mut Vec<Event>) {
        let uses = std::mem::take(&mut self.function.stack);
        let exact = uses.iter().filter(|used| used.is_exact);
        let mut cuts: Vec<i64> = exact.flat_map(|used| [used.low, used.high]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let frame_end = cuts.partition_point(|cut| *cut < 0);
        // How many ranges of doubtful pieces begin at each, less those that end there.
        let mut doubts = vec![0; cuts.len() + 1];
        for StackUse { block, address, low, high, is_exact, is_unbounded, what } in uses {
            let first = cuts.partition_point(|cut| *cut <= low).saturating_sub(1);
            let end = cuts.partition_point(|cut| *cut < high).max(first);
            let is_too_large = !is_exact && end - first > PIECES_MAX;
            if matches!(what, What::MayDefine(_)) && (is_too_large || is_unbounded) {
                // Where no bound is known, what is touched lies in the frame, at or above where indices begin.
                doubts[first] += 1;
                doubts[if is_unbounded { end.max(frame_end) } else { end }] -= 1;
            }
            if !is_too_large {
                let pieces = (first..end).map(|piece| Resource::COUNT + piece as u32);
                events.extend(pieces.map(|number| Event { number, block, address, what }));
            }
        }
        let open = doubts.iter().scan(0, |open, change| {
            *open += change;
            Some(*open > 0)
        });
        self.doubtful = open.collect();
        self.cuts = cuts;
    }

    /// Leads the definitions of one thing to its uses.
    fn follow(&mut self, events: &[Event], before: &mut Vec<Set>) {
        self.sets.clear();
        let mut effects: Vec<Effect> = Vec::new();
        let mut is_open = false;
        for own in events.chunk_by(|one, other| one.block == other.block) {
            let (effect, is_used) = self.effect_of(own);
            is_open |= is_used;
            effects.push(effect);
        }
        let piece = events[0].number.checked_sub(Resource::COUNT).map(|piece| piece as usize);
        let cost = if piece.is_some() && is_open { self.follower.rows.len() } else { 0 };
        let is_affordable = cost <= self.steps_left;
        // Where all uses stand behind definitions in their own blocks, nothing flows.
        if is_open && is_affordable {
            self.steps_left -= cost;
            reach(self.follower, &effects, Set::one(ENTRY), self.sets, before);
        }
        for own in events.chunk_by(|one, other| one.block == other.block) {
            let block = own[0].block as usize;
            if self.function.wanted.contains(&(self.function.rows[block] as usize)) {
                let held = match is_open {
                    false => Set::NONE,
                    true if is_affordable => before[block],
                    true => Set::MANY,
                };
                self.push_block(own, piece, held);
            }
        }
    }

    /// What the instructions of a block do with one thing, and whether one uses what is defined before the block.
    fn effect_of(&mut self, events: &[Event]) -> (Effect, bool) {
        let block = events[0].block;
        let last_call = self.last_calls[block as usize];
        let mut effect = Effect { block, left: Set::NONE, kills: false, thrown: Set::NONE };
        let mut is_used = false;
        for event in events {
            let (definition, kills) = match event.what {
                What::Use(..) => {
                    is_used |= !effect.kills;
                    continue;
                }
                What::MayDefine(definition) => (definition, false),
                What::Define(definition) => (definition, true),
            };
            let own = Set::one(definition);
            effect.left = if kills { own } else { self.sets.union(effect.left, own) };
            effect.kills |= kills;
            if last_call.is_some_and(|call| event.address <= call) {
                effect.thrown = self.sets.union(effect.thrown, own);
            }
        }
        (effect, is_used)
    }

    /// Writes the rows of one thing in a block, given what holds where the block begins.
    fn push_block(&mut self, events: &[Event], piece: Option<usize>, mut held: Set) {
        let place = piece.map(|piece| self.cuts[piece]);
        let resource = place
            .map_or_else(|| Resource(events[0].number).name(self.function.context.convention), |_| "stack");
        let object_id = place.and_then(|place| self.function.slot_at(place));
        let is_doubtful = piece.is_some_and(|piece| self.doubtful[piece]);
        for event in events {
            match event.what {
                What::Use(data_use, confidence) => {
                    let row = DataFlowEdge {
                        use_address: event.address,
                        resource: Term(resource),
                        object_id,
                        definition_address: None,
                        definition: Definition::Many,
                        r#use: data_use,
                        function_address: self.function.address,
                        confidence: if is_doubtful { Confidence::Likely } else { confidence },
                    };
                    self.push(row, held);
                }
                What::MayDefine(definition) => held = self.sets.union(held, Set::one(definition)),
                What::Define(definition) => held = Set::one(definition),
            }
        }
    }

    /// Writes the rows of one use.
    fn push(&mut self, row: DataFlowEdge<'static>, held: Set) {
        let is_guess = row.confidence == Confidence::Guess;
        if held == Set::MANY && !is_guess {
            self.rows.push(row);
        }
        for definition in self.sets.of(held) {
            let Defined { address, by, confidence } = self.function.definitions[definition as usize];
            // What a call leaves in a register is no argument of the next, and what nobody touched no result.
            let is_likely = match (row.r#use, by) {
                (DataUse::Argument, Definition::Call) => row.object_id.is_some(),
                (DataUse::Argument | DataUse::Result, Definition::Entry) => !is_guess,
                _ => true,
            };
            if is_likely {
                let is_surer = confidence.code() < row.confidence.code();
                let confidence = if is_surer { row.confidence } else { confidence };
                self.rows.push(DataFlowEdge {
                    definition_address: address,
                    definition: by,
                    confidence,
                    ..row
                });
            }
        }
    }
}
