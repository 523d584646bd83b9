//! Recursive traversal: recovers leaders (block starts), returning calls and jump targets of all functions, given their
//! starts.
//!
//! *Problem.* Code after a call is live only if the callee can return, which depends on the callee's own flow. The
//! targets of an indirect jump are known only once the code before it is.
//!
//! *Notation.* A *branch* is a row whose flow is not `next`: a jump, call, return, trap, invalid bytes or data. It is
//! named by its region and its row among the region's branches ([`BranchId`]), and is *visited* once it is scanned. A
//! location is *reached* if it is in a block. A range is that of a function or of a fragment; its owner is the function
//! that it belongs to. An *exiting jump* is a direct jump out of a function, to a location in no range, or in a range
//! without a declared size that belongs to another function, except to the entry of a function.
//!
//! *Algorithm.*
//!  1. From each work item, scan the branches of the range in address order (`function_traversal.rs`). Mark as leaders
//!     the targets of jumps, landing pads, and the instructions after conditional jumps. Stop at any other jump, a
//!     return, a trap or invalid bytes, and at a call whose callee is known and not yet found to return: the function
//!     then depends on the callee. Functions are traversed in parallel, in rounds.
//!  2. Classify each edge out of the ranges of the function (`function_traversal.rs` states the rules). An edge to the
//!     entry of a function is a tail call. An edge into a range with a declared size, or into a fragment without an
//!     owner, is handed to the owner. Any other edge leaves the function: it counts as a possible return, and if it is
//!     a direct jump, it is recorded as an exiting jump, because the target may be a function not yet discovered.
//!  3. Between rounds, in function order: record dependencies; give the locations that are handed over to the owners of
//!     their ranges (a fragment without an owner goes to the first function that enters it); mark functions that
//!     return, and resume their dependents after the calls.
//!  4. Without work items left, apply the first fallback that yields some: look for jump tables, again if their
//!     functions have grown; take the address-taken locations in a function, if there are at least two and not too
//!     many, as the targets of its unresolved jumps; finally, all at once: let functions return whose unresolved jumps
//!     have no such targets (such a jump may be a tail call), make fragments without an owner functions, and start
//!     blocks where other functions jump into reached code.
//!  5. [`RecursiveTraversal::with_gaps`] at last traverses the unreached code in the ranges. Whether functions return
//!     is final there.
//!
//! *Example.* `main: call f; call g; ret`, `f: ret`, `g: call abort`. Round 1 scans `main` up to the call of `f`, on
//! which `main` then depends, and finds that `f` returns; `g` depends on `abort`, which is on the noreturn list. Round
//! 2 resumes `main` after the call of `f`, up to the call of `g`. No fallback makes `g` return, so `main` does not
//! return either, and its `ret` is unreached.
//!
//! *Invariants.* Only the owner of a range adds leaders in it. A traversal reads leaders and visited branches only in
//! the ranges of its own function, and `may_return` and `owners` only as the previous round left them. Events are
//! applied in function order. So the result does not depend on the number of threads.
//!
//! *Termination, cost.* For the same ranges, the sets of leaders and visited branches only grow, and `may_return` only
//! becomes true, so the traversal terminates. For given ranges, a branch is scanned once, and a dependency is released
//! once. Each step of discovery scans all functions without a declared size again, so that a branch is scanned at most
//! 17 times in all. Symbolic evaluation is limited per block (`jump_tables.rs`). Each time a function with unresolved
//! jumps is examined again, `may_read_table` evaluates the block of each jump, and the graph of the function is rebuilt
//! if one of them may read a table.
//!
//! *Approximation.* `may_return` is the least solution: false until a path to a return, or to an unknown target, is
//! found. Unknown targets count as returning; functions on the noreturn list never return (but see `noreturn.rs` on
//! names that a program may give to functions of its own). Results of functions with a
//! declared size are not revised when later starts change their callees, so `may_return` may then be true without a
//! path. A return path that is missed leaves live code unreached. Such code gets `gap` blocks only inside ranges;
//! elsewhere it is in no block. A missed path adds no wrong edge.
//!
//! *References.* B. Schwarz, S. Debray, G. Andrews (2002), Disassembly of executable code revisited; X. Meng, B. P.
//! Miller (2016), Binary code is not easy.

use super::address_taken::{address_taken_locations, limit_address_taken_targets};
use super::facts::{CfgFacts, no_branches};
use super::flow::{FunctionCfg, ProgramCfg};
use super::function_ranges::{FunctionRange, FunctionRanges};
use super::function_traversal::{FunctionTraversal, RoundInputs, TraversalEvent, WorkItem};
use super::ids::{BranchId, CodeLocation, FunctionId, RangeId, function_ids, range_ids};
use super::symbolic_evaluation::Scratch;
use crate::bitmap::Bitmap;
use binframe_ir::tables::Flow;
use rayon::prelude::*;

/// Functions of a round below which it runs on one thread: fewer are not worth waking others.
const PARALLEL_MIN: usize = 64;

/// A function, and where its traversal starts or resumes.
type FunctionItem = (FunctionId, WorkItem);

/// The traversal of all functions.
pub(super) struct RecursiveTraversal<'a> {
    program: ProgramCfg<'a>,
    /// The branches that were visited, for each region.
    visited: Vec<Bitmap>,
    may_return: Vec<bool>,
    /// For each function its dependents. One with a call resumes after that call once the function returns; one without
    /// a call tail-calls the function, and then returns too.
    dependents: Vec<Vec<(FunctionId, Option<BranchId>)>>,
    /// Whether `may_return` is final.
    is_return_final: bool,
    scratch: Scratch,
}

impl<'a> RecursiveTraversal<'a> {
    /// Traverses all functions from their entries to the fixed point.
    pub(super) fn run(facts: CfgFacts<'a>) -> Self {
        let ranges = facts.ranges;
        let mut traversal = Self::new(facts);
        let entries = ranges.with_ids().filter(|(_, range)| !range.start.is_fragment);
        traversal.run_to_fixpoint(entries.map(entry_item).collect());
        traversal
    }

    fn new(facts: CfgFacts<'a>) -> Self {
        let ranges = facts.ranges;
        let owner =
            |(id, range): (RangeId, &FunctionRange)| (!range.start.is_fragment).then_some(FunctionId(id));
        Self {
            visited: no_branches(ranges),
            may_return: vec![false; ranges.len()],
            dependents: vec![Vec::new(); ranges.len()],
            is_return_final: false,
            scratch: Scratch::default(),
            program: ProgramCfg {
                facts,
                functions: std::iter::repeat_with(FunctionCfg::default).take(ranges.len()).collect(),
                owners: ranges.with_ids().map(owner).collect(),
            },
        }
    }

    /// Traverses from work items, and applies fallbacks, until there is nothing left to do.
    fn run_to_fixpoint(&mut self, mut items: Vec<FunctionItem>) {
        loop {
            self.traverse(items);
            items = self.apply_fallbacks();
            if items.is_empty() {
                return;
            }
        }
    }

    /// Traverses from work items, in rounds, until there are none left.
    fn traverse(&mut self, mut items: Vec<FunctionItem>) {
        while !items.is_empty() {
            items.sort_unstable();
            items.dedup();
            let groups: Vec<_> = items.chunk_by(|one, next| one.0 == next.0).collect();
            let functions: Vec<_> = groups.iter().map(|group| group[0].0).collect();
            let cfg_of =
                |function: &FunctionId| std::mem::take(&mut self.program.functions[function.index()]);
            let mut cfgs: Vec<_> = functions.iter().map(cfg_of).collect();
            let round = RoundInputs {
                facts: &self.program.facts,
                visited: &self.visited,
                may_return: &self.may_return,
                owners: &self.program.owners,
            };
            let traverse = |scratch: &mut Scratch, (group, cfg): (&&[FunctionItem], &mut FunctionCfg)| {
                let mut traversal = FunctionTraversal::new(&round, group[0].0, cfg, scratch);
                traversal.run(group);
                traversal.events
            };
            let events: Vec<_> = match groups.len() < PARALLEL_MIN {
                true => groups.iter().zip(&mut cfgs).map(|task| traverse(&mut self.scratch, task)).collect(),
                false => groups.par_iter().zip(&mut cfgs).map_init(Scratch::default, traverse).collect(),
            };
            for (function, cfg) in functions.iter().zip(cfgs) {
                self.program.functions[function.index()] = cfg;
            }
            items = self.apply_events(&functions, events);
        }
    }

    /// Applies the events of a round, given the functions that were traversed, and returns the work items of the next.
    fn apply_events(
        &mut self,
        functions: &[FunctionId],
        events: Vec<Vec<TraversalEvent>>,
    ) -> Vec<FunctionItem> {
        let mut items = Vec::new();
        let mut returning = Vec::new();
        for (function, events) in functions.iter().zip(events) {
            if self.program.function(*function).may_return {
                returning.push(*function);
            }
            for event in events {
                match event {
                    TraversalEvent::DependsOnReturn { callee, call } => {
                        self.dependents[callee.index()].push((*function, call));
                    }
                    TraversalEvent::EntersRange { range, location } => {
                        let owner = *self.program.owners[range.index()].get_or_insert_with(|| {
                            self.program.functions[function.index()].fragments.push(range);
                            *function
                        });
                        items.push((owner, WorkItem::Block(location)));
                    }
                }
            }
        }
        if self.is_return_final {
            for function in functions {
                self.program.functions[function.index()].may_return = self.may_return[function.index()];
            }
        } else {
            // After all events, so that dependencies of this round are notified too.
            self.notify_callers(returning, &mut items);
        }
        items
    }

    /// Whether a function does not return by its name.
    fn is_noreturn(&self, function: FunctionId) -> bool {
        let reaches_return = self.program.function(function).reaches_return;
        self.program.facts.is_noreturn(function, reaches_return)
    }

    /// Marks functions as returning, with those that tail-call them, and resumes their callers after the calls.
    fn notify_callers(&mut self, mut returning: Vec<FunctionId>, items: &mut Vec<FunctionItem>) {
        while let Some(function) = returning.pop() {
            let index = function.index();
            if self.is_noreturn(function) {
                self.program.functions[index].may_return = false;
                continue;
            }
            self.may_return[index] = true;
            self.program.functions[index].may_return = true;
            for (dependent, call) in std::mem::take(&mut self.dependents[index]) {
                match call {
                    Some(call) => items.push((dependent, WorkItem::AfterCall(call))),
                    None if !self.may_return[dependent.index()] => returning.push(dependent),
                    None => {}
                }
            }
        }
    }

    /// The work items of the first fallback that yields any; none if the traversal is complete.
    fn apply_fallbacks(&mut self) -> Vec<FunctionItem> {
        let mut items = self.indirect_jump_items();
        if items.is_empty() {
            items = self.add_address_taken_targets();
        }
        if items.is_empty() {
            self.let_unresolved_functions_return(&mut items);
            self.make_fragments_functions(&mut items);
            self.start_blocks_at_exits(&mut items);
        }
        items
    }

    /// Work items at the indirect jumps of functions that have pending ones, or unresolved ones and have grown.
    fn indirect_jump_items(&self) -> Vec<FunctionItem> {
        let has_work = |cfg: &FunctionCfg| {
            !cfg.pending_jumps.is_empty() || cfg.has_grown && !cfg.unresolved_jumps.is_empty()
        };
        let functions = self.program.functions.iter().zip(function_ids());
        let functions = functions.filter(|(cfg, _)| has_work(cfg));
        functions.map(|(_, function)| (function, WorkItem::IndirectJumps)).collect()
    }

    /// Takes the address-taken locations in each function as the targets of its unresolved jumps, once for each
    /// function.
    fn add_address_taken_targets(&mut self) -> Vec<FunctionItem> {
        let is_open = |cfg: &FunctionCfg| !cfg.unresolved_jumps.is_empty() && !cfg.has_address_taken_targets;
        if !self.program.functions.iter().any(is_open) {
            return Vec::new();
        }
        let facts = &self.program.facts;
        let taken = address_taken_locations(facts, &self.program.functions);
        let mut items = Vec::new();
        let functions = self.program.functions.iter_mut().zip(function_ids());
        for (cfg, function) in functions.filter(|(cfg, _)| is_open(cfg)) {
            cfg.has_address_taken_targets = true;
            let mut targets = Vec::new();
            for FunctionRange { start, end, .. } in cfg.ranges(function, facts.ranges) {
                let end = CodeLocation { position: *end, ..start.location };
                // Exclusive: the address of an entry is taken to call the function.
                let first = taken.partition_point(|location| *location <= start.location);
                let last = taken.partition_point(|location| *location < end);
                targets.extend(taken.get(first..last).unwrap_or_default());
            }
            cfg.address_taken_targets = targets;
            limit_address_taken_targets(cfg, facts, function);
            items.extend(cfg.address_taken_targets.iter().map(|target| (function, WorkItem::Block(*target))));
        }
        items
    }

    /// Lets functions with unresolved jumps return: such a jump may be a tail call.
    fn let_unresolved_functions_return(&mut self, items: &mut Vec<FunctionItem>) {
        let functions = self.program.functions.iter().zip(function_ids());
        let open = functions.filter(|(cfg, function)| {
            !self.may_return[function.index()]
                && !self.is_noreturn(*function)
                && !cfg.unresolved_jumps.is_empty()
                && cfg.address_taken_targets.is_empty()
        });
        let open = open.map(|(_, function)| function).collect();
        self.notify_callers(open, items);
    }

    /// Makes fragments without an owner functions of their own: first only those with an indirect jump, if there are some,
    /// since the table that it reads may lead to others.
    fn make_fragments_functions(&mut self, items: &mut Vec<FunctionItem>) {
        let ranges = self.program.facts.ranges;
        let has_indirect_jump = |range: &FunctionRange| {
            let rows = range.branches.start as usize..range.branches.end as usize;
            ranges.branches(range.region()).flows[rows].contains(&Flow::IndirectJump)
        };
        let mut left = self.program.owners.iter().zip(ranges.iter()).filter(|(owner, _)| owner.is_none());
        let is_first = left.any(|(_, range)| has_indirect_jump(range));
        for (owner, range) in self.program.owners.iter_mut().zip(ranges.with_ids()) {
            if owner.is_none() && (!is_first || has_indirect_jump(range.1)) {
                *owner = Some(FunctionId(range.0));
                items.push(entry_item(range));
            }
        }
    }

    /// Starts blocks at the targets of exiting jumps that are inside blocks of other functions.
    fn start_blocks_at_exits(&self, items: &mut Vec<FunctionItem>) {
        let ProgramCfg { facts, functions, owners } = &self.program;
        for (_, location) in functions.iter().flat_map(|cfg| &cfg.exiting_jumps) {
            let is_leader = facts.leaders[location.region as usize].contains(location.position as usize);
            if !is_leader && facts.is_reached(*location) {
                let range = facts.ranges.range_at(*location).expect("reached code is in a range");
                let owner = owners[range.index()].expect("reached ranges have an owner");
                items.push((owner, WorkItem::Block(*location)));
            }
        }
    }

    /// Traverses also the unreached code in the ranges of functions, and returns the final control flow.
    pub(super) fn with_gaps(mut self) -> ProgramCfg<'a> {
        self.is_return_final = true;
        let ranges = range_ids().take(self.program.owners.len());
        let mut items: Vec<_> = ranges.map(|range| (self.program.owner(range), WorkItem::Gaps)).collect();
        items.dedup();
        while !items.is_empty() {
            self.traverse(items);
            items = self.indirect_jump_items();
        }
        self.program
    }

    /// The control flow that is recovered so far.
    pub(super) fn program(&self) -> &ProgramCfg<'a> {
        &self.program
    }

    /// Continues with more ranges to the new fixed point. The results of functions with a declared size are retained;
    /// all others are traversed again, since new starts may have shortened their ranges.
    pub(super) fn extended<'b>(self, ranges: &'b FunctionRanges<'b>) -> RecursiveTraversal<'b>
    where
        'a: 'b,
    {
        let mut next = self.with_retained_results(ranges);
        let items = next.items_to_traverse_again();
        next.run_to_fixpoint(items);
        next
    }

    /// A traversal of other ranges of the same code, with the results that are retained and no others.
    fn with_retained_results<'b>(self, ranges: &'b FunctionRanges<'b>) -> RecursiveTraversal<'b>
    where
        'a: 'b,
    {
        let ProgramCfg { facts, functions, owners } = self.program;
        let old = facts.ranges;
        let mut next = RecursiveTraversal::new(facts.with_ranges(ranges));
        let retained = |function: FunctionId| is_retained(&old[function.0]);
        let new_ids = new_ids(old, ranges);
        let new_id = |range: RangeId| new_ids[range.index()];
        let new_function = |function: FunctionId| FunctionId(new_id(function.0));
        next.visited = self.visited;
        for (range, owner) in old.iter().zip(&owners) {
            if owner.is_none_or(|owner| !retained(owner)) {
                next.clear_range(range);
            }
        }
        for ((cfg, dependents), id) in functions.into_iter().zip(self.dependents).zip(range_ids()) {
            let new = new_id(id).index();
            let dependents = dependents.into_iter().filter(|(function, _)| retained(*function));
            next.dependents[new] =
                dependents.map(|(function, call)| (new_function(function), call)).collect();
            if retained(FunctionId(id)) {
                next.may_return[new] = self.may_return[id.index()];
                next.program.functions[new] = cfg;
                let fragments = next.program.functions[new].fragments.iter_mut();
                fragments.for_each(|fragment| *fragment = new_id(*fragment));
            }
        }
        for (owner, id) in owners.iter().zip(range_ids()) {
            if let Some(owner) = owner.filter(|owner| retained(*owner)) {
                next.program.owners[new_id(id).index()] = Some(new_function(owner));
            }
        }
        next
    }

    /// Removes the leaders, returning calls and visited branches of a range.
    fn clear_range(&mut self, range: &FunctionRange) {
        let (region, rows) = (range.region(), range.branches.start as usize..range.branches.end as usize);
        self.program.facts.leaders[region].clear(range.positions());
        self.program.facts.returning_calls[region].clear(rows.clone());
        self.visited[region].clear(rows);
    }

    /// Work items at the entries of functions whose results are not retained, and at new fragments.
    fn items_to_traverse_again(&mut self) -> Vec<FunctionItem> {
        let ranges = self.program.facts.ranges.with_ids();
        let again = ranges.filter(|(_, range)| !is_retained(range) && !range.start.is_fragment);
        let mut items: Vec<_> = again.map(entry_item).collect();
        self.claim_new_fragments(&mut items);
        items
    }

    /// Gives the fragments that start at targets of exiting jumps to the functions that jump there.
    fn claim_new_fragments(&mut self, items: &mut Vec<FunctionItem>) {
        let ProgramCfg { facts, functions, owners } = &mut self.program;
        for (cfg, function) in functions.iter_mut().zip(function_ids()) {
            for (_, location) in &cfg.exiting_jumps {
                let fragment = facts.ranges.range_at(*location);
                let Some(fragment) = fragment.filter(|fragment| owners[fragment.index()].is_none()) else {
                    continue;
                };
                owners[fragment.index()] = Some(function);
                cfg.fragments.push(fragment);
                items.push((function, WorkItem::Block(*location)));
            }
        }
    }
}

/// The work item at the entry of a function.
fn entry_item((id, range): (RangeId, &FunctionRange)) -> FunctionItem {
    (FunctionId(id), WorkItem::Block(range.start.location))
}

/// Whether the results of the function with this main range are retained when there are more ranges.
fn is_retained(range: &FunctionRange) -> bool {
    range.is_sized() && !range.start.is_fragment
}

/// The ids that ranges have among more ranges, which include starts at the same locations.
fn new_ids(old: &FunctionRanges<'_>, ranges: &FunctionRanges<'_>) -> Vec<RangeId> {
    let mut starts = ranges.iter().map(|range| range.start.location).peekable();
    let mut new = 0;
    let new_id = |range: &FunctionRange| {
        while starts.next_if(|start| *start < range.start.location).is_some() {
            new += 1;
        }
        RangeId(new)
    };
    old.iter().map(new_id).collect()
}
