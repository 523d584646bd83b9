//! `(code, cfg, surroundings) -> data_flow`
//!
//! Which instructions leave what others find in registers, flags and slots of the stack. The table is large, and is made on demand
//! for any run of blocks.
//!
//! Each function is followed once more, to find what its instructions touch on the stack; places there are cut where instructions cut
//! them. Definitions of one register part, flag or piece of the stack are then led through the function's graph (`reaching`).

use super::Surroundings;
use super::follow::{Context, Follower, Runner, Step, Visitor};
use super::objects::Objects;
use super::reaching::{Effect, Set, Sets, reach};
use crate::cfg::CfgIr;
use crate::code::Code;
use crate::domain::{Base, Parameters, State, Summary, Value};
use crate::isa::{Instruction, Interpreter, RESULT, Resource, ResourceUse, STACK_POINTER, Touch};
use binframe_ir::tables::{
    Access, Confidence, DataFlow, DataFlowEdge, DataFlowEdgeBuilder, DataUse, Definition,
    MemoryObjectColumns, Terminator,
};
use binframe_ir::{Enumeration, Rows, Term};
use std::ops::Range;

/// Pieces of the stack that one instruction with an index is said to touch.
const PIECES_MAX: usize = 64;

/// The definition of all that is there when a function is entered.
const ENTRY: u32 = 0;

/// Where what the instructions of a run of blocks use is defined.
pub fn data_flow(
    code: &Code,
    cfg: &CfgIr,
    surroundings: &Surroundings,
    blocks: Range<usize>,
) -> Rows<DataFlow> {
    let context = Context::new(code, cfg, &surroundings.image, &surroundings.by_function);
    let is_loaded = |address: u64| context.image.is_fixed_address(address);
    let mut follower = Follower::new(&context, &surroundings.summaries, &is_loaded);
    let mut rows = DataFlowEdgeBuilder::default();
    let mut sets = Sets::default();
    for (function, together) in context.functions_of(blocks) {
        let mut gathering = Gathering::new(&context, &surroundings.objects, function);
        follower.follow(function, &mut gathering);
        let function_address = context.functions.address[function];
        let found = Chains::new(gathering, &mut sets, together).find(&follower);
        rows.extend(found.into_iter().map(|row| DataFlowEdge {
            use_address: row.use_address,
            resource: Term(row.resource),
            object_id: row.object_id,
            definition_address: row.definition_address,
            definition: row.definition,
            r#use: row.data_use,
            function_address,
            confidence: row.confidence,
        }));
    }
    rows.finish()
}

/// What defines something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Defined {
    address: Option<u64>,
    by: Definition,
    confidence: Confidence,
}

/// What an instruction does with something.
#[derive(Debug, Clone, Copy)]
enum What {
    Use(DataUse, Confidence),
    /// Another definition may still hold behind it.
    MayDefine(u32),
    Define(u32),
}

/// What an instruction does with a part of a register, a flag, or a piece of the stack.
#[derive(Debug, Clone, Copy)]
struct Event {
    /// That of a [`Resource`]; pieces of the stack have numbers behind those.
    number: u32,
    block: u32,
    address: u64,
    what: What,
}

/// What an instruction does with bytes of the stack.
#[derive(Debug, Clone, Copy)]
struct StackUse {
    block: u32,
    address: u64,
    /// The first place, and the one behind the last.
    low: i64,
    high: i64,
    is_exact: bool,
    /// Whether no bound is known, so that what lies above may be meant too.
    is_unbounded: bool,
    what: What,
}

/// A call, or the end of a function.
#[derive(Debug, Clone, Copy)]
struct Site {
    block: u32,
    address: u64,
    kind: SiteKind,
}

#[derive(Debug, Clone, Copy)]
enum SiteKind {
    /// A call, with what is known of the callee; it returns, unless it is a jump.
    Call {
        summary: Summary,
        is_known: bool,
        returns: bool,
    },
    Return,
}

/// Gathers what the instructions of a function do.
struct Gathering<'g, 'a> {
    context: &'g Context<'a>,
    objects: &'g Objects,
    columns: MemoryObjectColumns<'g>,
    function: usize,
    /// The rows of the function's blocks, and the one that was looked at last with its position.
    rows: &'g [u32],
    last: (usize, u32),
    definitions: Vec<Defined>,
    events: Vec<Event>,
    stack: Vec<StackUse>,
    sites: Vec<Site>,
    /// Registers that instructions define.
    defined: Vec<bool>,
}

impl Visitor for Gathering<'_, '_> {
    fn wants(&self, _: usize, _: bool) -> bool {
        true
    }

    fn instruction(
        &mut self,
        row: usize,
        interpreter: &mut Interpreter<'_>,
        instruction: &Instruction,
        step: Step<'_>,
    ) {
        let block = self.block(row);
        let address = instruction.ip();
        for touch in interpreter.touches(step.before, instruction).into_iter().flatten() {
            self.touch(block, address, step.before, &touch);
        }
        let definition = self.definition(address, Definition::Instruction, Confidence::Certain);
        let (events, defined) = (&mut self.events, &mut self.defined);
        interpreter.each_resource(instruction, |resource, usage| {
            let what = match usage {
                ResourceUse::Read => What::Use(DataUse::Value, Confidence::Certain),
                ResourceUse::ReadAddress => What::Use(DataUse::Address, Confidence::Certain),
                ResourceUse::Write => What::Define(definition),
                ResourceUse::MayWrite => What::MayDefine(definition),
            };
            defined[resource.0 as usize] |= matches!(usage, ResourceUse::Write | ResourceUse::MayWrite);
            events.push(Event { number: resource.0, block, address, what });
        });
        if let Some(callee) = step.callee {
            let is_known = callee.function.is_some();
            let kind = SiteKind::Call { summary: callee.summary, is_known, returns: true };
            self.sites.push(Site { block, address, kind });
            self.pass(block, address, step.before, &callee.summary);
        }
    }

    fn leave(&mut self, runner: &Runner<'_, '_>, row: usize, last: &Instruction, _: &State) {
        let block = self.block(row);
        let address = last.ip();
        match self.context.blocks.terminator.get(row) {
            Terminator::Ret => self.sites.push(Site { block, address, kind: SiteKind::Return }),
            Terminator::Jump | Terminator::CondJump | Terminator::IndirectJump => {
                if let Some(call) = runner.call_at(address) {
                    let callee = runner.callee(Some(call));
                    let is_known = callee.function.is_some();
                    let kind = SiteKind::Call { summary: callee.summary, is_known, returns: false };
                    self.sites.push(Site { block, address, kind });
                }
            }
            _ => {}
        }
    }
}

impl<'g, 'a> Gathering<'g, 'a> {
    fn new(context: &'g Context<'a>, objects: &'g Objects, function: usize) -> Self {
        let entry = Defined { address: None, by: Definition::Entry, confidence: Confidence::Certain };
        Self {
            context,
            objects,
            columns: objects.rows.columns(),
            function,
            rows: context.by_function.rows_of(function),
            last: (usize::MAX, 0),
            definitions: vec![entry],
            events: Vec::new(),
            stack: Vec::new(),
            sites: Vec::new(),
            defined: vec![false; Resource::COUNT as usize],
        }
    }

    /// The position of a block among those of the function.
    fn block(&mut self, row: usize) -> u32 {
        if self.last.0 != row {
            self.last = (row, self.rows.partition_point(|other| (*other as usize) < row) as u32);
        }
        self.last.1
    }

    /// The number of a definition.
    fn definition(&mut self, address: u64, by: Definition, confidence: Confidence) -> u32 {
        let definition = Defined { address: Some(address), by, confidence };
        let last = self.definitions.len() as u32 - 1;
        if self.definitions[last as usize] == definition {
            return last;
        }
        self.definitions.push(definition);
        last + 1
    }

    fn touch(&mut self, block: u32, address: u64, before: &State, touch: &Touch) {
        let Some(size) = touch.size else { return };
        let Some((low, high)) = self.bytes(touch.address, i64::from(size)) else { return };
        let is_exact = touch.address.exact().is_some();
        let is_unbounded = !touch.address.is_bounded();
        let is_sure = is_exact && !touch.address.is_doubtful && !before.is_exposed(low);
        let confidence = if is_sure { Confidence::Certain } else { Confidence::Likely };
        let stack_use = |what| StackUse { block, address, low, high, is_exact, is_unbounded, what };
        if matches!(touch.access, Access::Read | Access::ReadWrite) {
            self.stack.push(stack_use(What::Use(DataUse::Value, confidence)));
        }
        if matches!(touch.access, Access::Write | Access::ReadWrite) {
            let is_sure = is_exact && !touch.address.is_doubtful;
            let confidence = if is_sure { Confidence::Certain } else { Confidence::Likely };
            let definition = self.definition(address, Definition::Instruction, confidence);
            let define = if is_exact { What::Define(definition) } else { What::MayDefine(definition) };
            self.stack.push(stack_use(define));
        }
    }

    /// The bytes of the stack at an address. Where no bound is known, they are those of the slot in which indices begin.
    fn bytes(&self, address: Value, size: i64) -> Option<(i64, i64)> {
        let is_aligned = match address.base {
            Base::Stack => false,
            Base::Aligned => true,
            _ => return None,
        };
        let place = |offset: i64| State::place_at(offset, is_aligned);
        if address.is_bounded() {
            return Some((place(address.low), place(address.high).saturating_add(size)));
        }
        let found = self.objects.slot_at(self.columns, self.function, place(address.origin))?;
        Some((found.start, found.start.saturating_add(found.size)))
    }

    /// Notes the slots whose addresses are given to a callee.
    fn pass(&mut self, block: u32, address: u64, before: &State, summary: &Summary) {
        let mut passed: Vec<(Parameters, Value)> = Vec::new();
        before.each_passed(summary, STACK_POINTER, |parameter, value| passed.push((parameter, value)));
        for (parameter, value) in passed {
            let inside = Value::any(value.base, value.origin);
            let Some((low, high)) = self.bytes(inside, 1) else { continue };
            let (is_exact, is_unbounded) = (false, true);
            let stack_use = |what| StackUse { block, address, low, high, is_exact, is_unbounded, what };
            if summary.read.has(parameter) {
                self.stack.push(stack_use(What::Use(DataUse::Argument, Confidence::Likely)));
            }
            if summary.written.has(parameter) {
                let definition = self.definition(address, Definition::Call, Confidence::Likely);
                self.stack.push(stack_use(What::MayDefine(definition)));
            }
        }
    }
}

/// Finds the definitions that reach each use.
struct Chains<'c, 'g, 'a> {
    gathering: Gathering<'g, 'a>,
    sets: &'c mut Sets,
    /// The rows of blocks whose uses are wanted.
    wanted: Range<usize>,
    /// Where the stack is cut.
    cuts: Vec<i64>,
    /// Pieces of the stack that other instructions may write than those that are known to.
    doubtful: Vec<Range<usize>>,
    /// The last call in each block.
    last_calls: Vec<Option<u64>>,
    rows: Vec<Row>,
}

/// A use.
#[derive(Debug, Clone, Copy)]
struct Found {
    use_address: u64,
    resource: &'static str,
    object_id: Option<u64>,
    data_use: DataUse,
    confidence: Confidence,
}

/// A row, but for the function.
#[derive(Debug, Clone, Copy)]
struct Row {
    use_address: u64,
    resource: &'static str,
    object_id: Option<u64>,
    definition_address: Option<u64>,
    definition: Definition,
    data_use: DataUse,
    confidence: Confidence,
}

impl<'c, 'g, 'a> Chains<'c, 'g, 'a> {
    fn new(gathering: Gathering<'g, 'a>, sets: &'c mut Sets, wanted: Range<usize>) -> Self {
        sets.clear();
        let mut last_calls = vec![None; gathering.rows.len()];
        for site in &gathering.sites {
            let last = &mut last_calls[site.block as usize];
            *last = (*last).max(Some(site.address));
        }
        Self { gathering, sets, wanted, cuts: Vec::new(), doubtful: Vec::new(), last_calls, rows: Vec::new() }
    }

    fn find(mut self, follower: &Follower<'_, '_>) -> Vec<Row> {
        let mut events = std::mem::take(&mut self.gathering.events);
        self.add_sites(&mut events);
        self.add_stack(&mut events);
        events.sort_unstable_by_key(|event| (event.number, event.block, event.address, event.what.rank()));
        let mut before = Vec::new();
        for own in events.chunk_by(|one, other| one.number == other.number) {
            if own.iter().any(|event| matches!(event.what, What::Use(..))) {
                self.follow(follower, own, &mut before);
            }
        }
        self.rows.sort_unstable_by(|one, other| {
            let key = |row: &Row| (row.use_address, row.resource, row.object_id, row.definition_address);
            let rank = |row: &Row| (row.confidence.code(), row.data_use.code(), row.definition.code());
            key(one).cmp(&key(other)).then_with(|| rank(one).cmp(&rank(other)))
        });
        self.rows.dedup_by_key(|row| (row.use_address, row.resource, row.object_id, row.definition_address));
        self.rows
    }

    /// Adds what calls and returns use and define.
    fn add_sites(&mut self, events: &mut Vec<Event>) {
        let gathering = &mut self.gathering;
        let convention = gathering.context.convention;
        let sites = std::mem::take(&mut gathering.sites);
        let is_defined = |resource: Resource| gathering.defined[resource.0 as usize];
        for Site { block, address, kind } in &sites {
            let mut used = |resource: Resource, data_use, confidence| {
                let what = What::Use(data_use, confidence);
                events.push(Event { number: resource.0, block: *block, address: *address, what });
            };
            let SiteKind::Call { summary, is_known, .. } = kind else {
                let results = Resource::general(RESULT).chain(Resource::vectors(1));
                results.filter(|resource| is_defined(*resource) || resource.is_general()).for_each(
                    |resource| {
                        used(resource, DataUse::Result, Confidence::Guess);
                    },
                );
                continue;
            };
            // Where the number of arguments varies, the register of results says how many of them are vectors.
            let count = (!is_known && convention.vector_parameters > 0).then_some(&RESULT);
            for register in convention.parameters.iter().chain(count) {
                for resource in Resource::general(*register) {
                    if *is_known && summary.read.has(Parameters::register(*register)) {
                        used(resource, DataUse::Argument, Confidence::Likely);
                    } else if !is_known && is_defined(resource) {
                        used(resource, DataUse::Argument, Confidence::Guess);
                    }
                }
            }
            for resource in Resource::vectors(convention.vector_parameters) {
                if is_defined(resource) {
                    used(resource, DataUse::Argument, Confidence::Guess);
                }
            }
        }
        let mut is_used = vec![false; Resource::COUNT as usize];
        for event in events.iter().filter(|event| matches!(event.what, What::Use(..))) {
            is_used[event.number as usize] = true;
        }
        for Site { block, address, kind } in &sites {
            let SiteKind::Call { summary, returns: true, .. } = kind else { continue };
            let definition = gathering.definition(*address, Definition::Call, Confidence::Certain);
            let general = (0..16).filter(|register| summary.changed >> register & 1 == 1);
            let general = general.flat_map(Resource::general);
            for resource in general.chain(Resource::changed_by_calls(convention)) {
                if is_used[resource.0 as usize] {
                    let what = What::Define(definition);
                    events.push(Event { number: resource.0, block: *block, address: *address, what });
                }
            }
        }
    }

    /// Adds what is done with pieces of the stack, which are cut where instructions with one place cut them.
    fn add_stack(&mut self, events: &mut Vec<Event>) {
        let uses = std::mem::take(&mut self.gathering.stack);
        let exact = uses.iter().filter(|used| used.is_exact);
        let mut cuts: Vec<i64> = exact.flat_map(|used| [used.low, used.high]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        for used in uses {
            let first = cuts.partition_point(|cut| *cut <= used.low).saturating_sub(1);
            let end = cuts.partition_point(|cut| *cut < used.high);
            let is_too_large = !used.is_exact && end.saturating_sub(first) > PIECES_MAX;
            if matches!(used.what, What::MayDefine(_)) && (is_too_large || used.is_unbounded) {
                // Where no bound is known, what is touched lies in the frame, at or above where indices begin.
                let top = if used.is_unbounded { cuts.partition_point(|cut| *cut < 0) } else { 0 };
                self.doubtful.push(first..end.max(top));
            }
            if is_too_large {
                continue;
            }
            let StackUse { block, address, what, .. } = used;
            let pieces = (first..end).map(|piece| Resource::COUNT + piece as u32);
            events.extend(pieces.map(|number| Event { number, block, address, what }));
        }
        self.cuts = cuts;
    }

    /// Leads the definitions of one thing to its uses.
    fn follow(&mut self, follower: &Follower<'_, '_>, events: &[Event], before: &mut Vec<Set>) {
        let mut effects: Vec<Effect> = Vec::new();
        let mut is_open = false;
        for own in events.chunk_by(|one, other| one.block == other.block) {
            let (effect, is_used) = self.effect_of(own);
            is_open |= is_used;
            effects.push(effect);
        }
        // Where all uses stand behind definitions in their own blocks, nothing flows.
        if is_open {
            reach(follower, &effects, Set::one(ENTRY), self.sets, before);
        }
        let number = events[0].number;
        let convention = self.gathering.context.convention;
        let (resource, object_id, is_doubtful) = match number.checked_sub(Resource::COUNT) {
            None => (Resource(number).name(convention), None, false),
            Some(piece) => {
                let piece = piece as usize;
                let Gathering { objects, columns, function, .. } = self.gathering;
                let slot = objects.slot_at(columns, function, self.cuts[piece]);
                let is_doubtful = self.doubtful.iter().any(|pieces| pieces.contains(&piece));
                ("stack", slot.map(|slot| slot.object_id), is_doubtful)
            }
        };
        for own in events.chunk_by(|one, other| one.block == other.block) {
            let block = own[0].block as usize;
            let is_wanted = self.wanted.contains(&(self.gathering.rows[block] as usize));
            let mut held = if is_open { before[block] } else { Set::NONE };
            for event in own {
                match event.what {
                    What::Use(data_use, confidence) if is_wanted => {
                        let confidence = if is_doubtful { Confidence::Likely } else { confidence };
                        self.push(
                            Found { use_address: event.address, resource, object_id, data_use, confidence },
                            held,
                        );
                    }
                    What::Use(..) => {}
                    What::MayDefine(definition) => held = self.sets.union(held, Set::one(definition)),
                    What::Define(definition) => held = Set::one(definition),
                }
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

    fn push(&mut self, found: Found, held: Set) {
        let Found { use_address, resource, object_id, data_use, confidence } = found;
        let row = |defined: Defined| Row {
            use_address,
            resource,
            object_id,
            definition_address: defined.address,
            definition: defined.by,
            data_use,
            confidence: if defined.confidence.code() > confidence.code() {
                defined.confidence
            } else {
                confidence
            },
        };
        if held == Set::MANY && confidence != Confidence::Guess {
            self.rows.push(row(Defined { address: None, by: Definition::Many, confidence }));
        }
        for definition in self.sets.of(held) {
            let defined = self.gathering.definitions[definition as usize];
            // What a call leaves behind is no argument of the next, and what nobody touched is no result.
            let is_likely = match (data_use, defined.by) {
                (DataUse::Argument, Definition::Call) => object_id.is_some(),
                (DataUse::Argument | DataUse::Result, Definition::Entry) => confidence != Confidence::Guess,
                _ => true,
            };
            if is_likely {
                self.rows.push(row(defined));
            }
        }
    }
}

impl What {
    /// Instructions use what they find before they define it.
    fn rank(self) -> u8 {
        match self {
            Self::Use(..) => 0,
            Self::MayDefine(_) => 1,
            Self::Define(_) => 2,
        }
    }
}
