//! Traversal of one function: along straight-line code, into the targets of jumps, after calls that return.
//!
//! *Edges.* An edge inside the ranges of the function makes its target a leader. The first rule that applies classifies
//! any other:
//!  1. *Tail call.* An edge to the entry of another function is a tail call. The function then returns if the callee
//!     does.
//!  2. *Hand-over.* A location inside another range is handed over if the file declares the size of the range, or if
//!     the range is a fragment without an owner, which the first function that enters it claims. The owner makes the
//!     location a leader. If the range had an owner, the edge counts as a possible return.
//!  3. *Exit.* Any other edge leaves the function, which counts as a possible return. If it is a direct jump, or goes to
//!     a landing pad, it is recorded as an exiting jump. Its target is in no range, or in a range without a declared
//!     size, which extends to the next known start. So the target may be a function that is not discovered yet.

use super::address_taken::limit_address_taken_targets;
use super::facts::CfgFacts;
use super::flow::FunctionCfg;
use super::function_ranges::{FunctionRange, FunctionRanges};
use super::ids::{BranchId, CodeLocation, FunctionId, RangeId};
use super::jump_tables::{JumpTableResolver, end_at_next_table, may_read_table};
use super::symbolic_evaluation::Scratch;
use crate::bitmap::Bitmap;
use binframe_ir::tables::Flow;

/// More padding than alignment ever needs.
const PADDING_SIZE_MAX: usize = 128;

/// Where the traversal of a function starts or resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WorkItem {
    /// At a location where a block starts.
    Block(CodeLocation),
    /// After a call whose callee is now found to return.
    AfterCall(BranchId),
    /// At the indirect jumps without known targets.
    IndirectJumps,
    /// At unreached code in the ranges of the function.
    Gaps,
}

/// What the traversal of a function reports to other functions.
pub(super) enum TraversalEvent {
    /// If the callee returns, this function resumes after the call; without a call, it returns too, by a tail call.
    DependsOnReturn { callee: FunctionId, call: Option<BranchId> },
    /// An edge goes to a location in a range that belongs to another function, or to none yet.
    EntersRange { range: RangeId, location: CodeLocation },
}

/// What all traversals of a round read.
pub(super) struct RoundInputs<'a, 'k> {
    pub(super) facts: &'k CfgFacts<'a>,
    /// The branches that were visited, for each region. Each traversal adds those in its own function.
    pub(super) visited: &'k [Bitmap],
    pub(super) may_return: &'k [bool],
    pub(super) owners: &'k [Option<FunctionId>],
}

/// The traversal of one function in one round.
pub(super) struct FunctionTraversal<'a, 'k> {
    round: &'k RoundInputs<'a, 'k>,
    function: FunctionId,
    cfg: &'k mut FunctionCfg,
    worklist: Vec<CodeLocation>,
    pub(super) events: Vec<TraversalEvent>,
    scratch: &'k mut Scratch,
}

impl<'a, 'k> FunctionTraversal<'a, 'k> {
    pub(super) fn new(
        round: &'k RoundInputs<'a, 'k>,
        function: FunctionId,
        cfg: &'k mut FunctionCfg,
        scratch: &'k mut Scratch,
    ) -> Self {
        Self { round, function, cfg, worklist: Vec::new(), events: Vec::new(), scratch }
    }

    fn facts(&self) -> &'k CfgFacts<'a> {
        self.round.facts
    }

    fn ranges(&self) -> &'k FunctionRanges<'a> {
        self.round.facts.ranges
    }

    /// Traverses the function from its work items.
    pub(super) fn run(&mut self, items: &[(FunctionId, WorkItem)]) {
        self.cfg.has_grown |=
            items.iter().any(|(_, item)| matches!(item, WorkItem::Block(_) | WorkItem::AfterCall(_)));
        for (_, item) in items {
            match *item {
                WorkItem::Block(location) => self.add_leader(location),
                WorkItem::AfterCall(call) => self.resume_after(call),
                WorkItem::IndirectJumps => self.resolve_indirect_jumps(),
                WorkItem::Gaps => self.traverse_gaps(),
            }
        }
        self.drain_worklist();
    }

    fn resume_after(&mut self, BranchId { region, row }: BranchId) {
        self.facts().returning_calls[region as usize].insert_shared(row as usize);
        let position = self.ranges().branches(region as usize).positions[row as usize];
        let call = CodeLocation { region, position };
        let range = self.ranges().range_at(call).expect("visited calls are in ranges");
        self.scan(range, row + 1);
    }

    fn drain_worklist(&mut self) {
        while let Some(location) = self.worklist.pop() {
            let range = self.ranges().range_at(location).expect("the worklist is in ranges");
            self.scan(range, self.ranges().branch_at(&self.ranges()[range], location.position));
        }
    }

    /// Makes a location of the function a leader; a new one is added to the worklist.
    fn add_leader(&mut self, location: CodeLocation) {
        if self.facts().leaders[location.region as usize].insert_shared(location.position as usize) {
            self.worklist.push(location);
        }
    }

    /// Scans the branches of a range from a row on, up to one that does not fall through or was visited before.
    fn scan(&mut self, range_id: RangeId, first: u32) {
        let range = &self.ranges()[range_id];
        let region = range.region();
        let branches = self.ranges().branches(region);
        for row in first as usize..range.branches.end as usize {
            if !self.round.visited[region].insert_shared(row) {
                return;
            }
            let (flow, target, end) = (branches.flows[row], branches.targets[row], branches.end(row));
            let branch = BranchId { region: region as u32, row: row as u32 };
            let next = self.ranges().location_after(region as u32, end as u32);
            match flow {
                // Not among branches.
                Flow::Next => {}
                Flow::Call | Flow::IndirectCall => {
                    for pad in self.facts().landing_pads(region, row) {
                        self.add_edge(Some(branch), pad);
                    }
                    let end_address = self.ranges().address(next);
                    let is_last = self.ends_function(range_id, next);
                    if is_last || !self.returns(flow, target, end_address, branch) {
                        return;
                    }
                    self.facts().returning_calls[region].insert_shared(row);
                }
                Flow::CondJump => {
                    self.visit_jump(branch, target);
                    let is_inside = (end as u32) < range.end;
                    if !is_inside && self.ranges().range_at(next).is_some() {
                        self.add_edge(None, next);
                    }
                    // The next instruction starts a block, which may have been reached from elsewhere before.
                    let leaders = &self.facts().leaders[region];
                    if !is_inside || !leaders.insert_shared(next.position as usize) {
                        return;
                    }
                }
                Flow::Jump => return self.visit_jump(branch, target),
                Flow::Ret => {
                    self.cfg.may_return = true;
                    self.cfg.reaches_return = true;
                    return;
                }
                Flow::IndirectJump => return self.visit_indirect_jump(branch, target),
                Flow::Trap | Flow::Invalid => return,
            }
        }
        let next = self.ranges().location_after(region as u32, range.end);
        if self.ranges().range_at(next).is_some() {
            self.add_edge(None, next);
        }
    }

    /// Whether a call counts as returning: its callee may return, or is unknown. If not, reports that the function
    /// depends on the callee, unless that never returns to this call.
    fn returns(&mut self, flow: Flow, target: u64, end_address: u64, call: BranchId) -> bool {
        let (mut target, mut slot) = (target, 0);
        if flow == Flow::IndirectCall {
            slot = target;
            if self.facts().noreturn_slots.contains(&slot) || self.facts().passes_failure(call, None, slot) {
                return false;
            }
            let Some(pointed) = self.facts().references.constant_pointer_at(slot) else { return true };
            target = pointed;
        }
        // A call of the next instruction only pushes its address.
        if target == end_address {
            return true;
        }
        let Some(callee) = self.ranges().function_at(target, self.round.owners) else { return true };
        if self.facts().passes_failure(call, Some(callee), slot) {
            return false;
        }
        if self.round.may_return[callee.index()] {
            return true;
        }
        self.events.push(TraversalEvent::DependsOnReturn { callee, call: Some(call) });
        false
    }

    /// Whether a call that ends at a location is the last instruction of a function: only padding is between it and a
    /// function that the file declares. No compiler lets control pass from one into the other, so that the callee does
    /// not return to this call.
    fn ends_function(&self, range_id: RangeId, end: CodeLocation) -> bool {
        let Some(next) = self.ranges().next(range_id) else { return false };
        let position = next.start.location.position;
        if end.region != next.start.location.region
            || next.start.declaration.is_none()
            || next.start.is_fragment
        {
            return false;
        }
        let region = &self.ranges().code.regions[next.region()];
        let padding = region.bytes.get(end.position as usize..position as usize);
        padding.is_some_and(|padding| padding.len() < PADDING_SIZE_MAX && region.isa.is_padding(padding))
    }

    fn visit_jump(&mut self, jump: BranchId, target: u64) {
        match self.ranges().location_of(target) {
            Some(location) => self.add_edge(Some(jump), location),
            // An unknown target may return.
            None => self.cfg.may_return = true,
        }
    }

    /// Adds an edge to a location, by a direct jump, by a call to its landing pad, or otherwise, and classifies it.
    fn add_edge(&mut self, jump: Option<BranchId>, location: CodeLocation) {
        let Some(range) = self.ranges().range_at(location) else { return self.exit(jump, location) };
        let owner = self.round.owners[range.index()];
        let start = &self.ranges()[range].start;
        if owner == Some(self.function) {
            self.add_leader(location);
        } else if owner == Some(FunctionId(range)) && start.location == location {
            self.add_tail_call(FunctionId(range));
        } else if owner.is_none() || start.declared_size.is_some() {
            self.cfg.may_return |= owner.is_some();
            self.events.push(TraversalEvent::EntersRange { range, location });
        } else {
            self.exit(jump, location);
        }
    }

    fn add_tail_call(&mut self, callee: FunctionId) {
        match self.round.may_return[callee.index()] {
            true => self.cfg.may_return = true,
            false => self.events.push(TraversalEvent::DependsOnReturn { callee, call: None }),
        }
    }

    /// Counts an edge out of the function as a possible return, and records that of a direct jump, or of a call to its
    /// landing pad, as an exiting jump.
    fn exit(&mut self, jump: Option<BranchId>, location: CodeLocation) {
        self.cfg.may_return = true;
        if let Some(jump) = jump {
            self.cfg.exiting_jumps.push((jump, location));
        }
    }

    fn visit_indirect_jump(&mut self, jump: BranchId, pointer_address: u64) {
        let references = self.facts().references;
        if pointer_address != 0 && references.import_at(pointer_address).is_some() {
            self.cfg.may_return |= !self.facts().noreturn_slots.contains(&pointer_address);
        } else if let Some(callee) = self.facts().pointed_function(pointer_address, self.round.owners) {
            self.add_tail_call(callee);
        } else if self.ranges().code.regions[jump.region as usize].is_plt {
            self.cfg.may_return = true;
        } else {
            self.cfg.pending_jumps.push(jump);
        }
    }

    /// Looks for the tables of pending jumps, and of unresolved ones if the function has grown, and adds edges to their
    /// targets.
    fn resolve_indirect_jumps(&mut self) {
        let Self { round: RoundInputs { facts, owners, .. }, function, cfg, scratch, .. } = self;
        let mut jumps = std::mem::take(&mut cfg.pending_jumps);
        if std::mem::take(&mut cfg.has_grown) {
            jumps.append(&mut cfg.unresolved_jumps);
        }
        jumps.retain(|jump| {
            let is_likely = may_read_table(facts, *jump, scratch);
            if !is_likely {
                cfg.unresolved_jumps.push(*jump);
            }
            is_likely
        });
        let mut found = Vec::new();
        if !jumps.is_empty() {
            jumps.sort_unstable();
            let mut resolver = JumpTableResolver::new(facts, owners, *function, cfg, scratch);
            found = resolver.resolve(&jumps);
            cfg.evaluated_blocks = resolver.evaluated_blocks();
        }
        jumps.retain(|jump| !found.iter().any(|table| table.jump == *jump));
        cfg.unresolved_jumps.append(&mut jumps);
        cfg.unresolved_jumps.sort_unstable();
        limit_address_taken_targets(cfg, facts, *function);
        end_at_next_table(&mut found);
        for target in found.iter().flat_map(|table| &table.targets).flatten() {
            self.add_edge(None, *target);
        }
        self.cfg.tables.extend(found);
        end_at_next_table(&mut self.cfg.tables);
        self.cfg.tables.sort_by_key(|table| table.jump);
    }

    /// Traverses the unreached code in the ranges of the function.
    fn traverse_gaps(&mut self) {
        let ranges: Vec<_> = self.cfg.ranges(self.function, self.ranges()).collect();
        for range in ranges {
            let region = range.region();
            if self.ranges().code.regions[region].is_plt {
                continue;
            }
            let (mut position, mut row) = (range.start.location.position, range.branches.start);
            while position < range.end {
                let leaders = &self.facts().leaders[region];
                if leaders.contains(position as usize) {
                    let block = self.facts().block_from(range, position, row);
                    (position, row) = (block.end.max(position + 1), block.branches.end);
                    continue;
                }
                position = match self.gap_code(range, position as usize) {
                    Some(start) => {
                        self.add_leader(CodeLocation { region: region as u32, position: start });
                        self.drain_worklist();
                        start
                    }
                    None => {
                        let rest = position as usize..range.end as usize;
                        leaders.first_in(rest).map_or(range.end, |leader| leader as u32)
                    }
                };
                row = self.ranges().branch_at(range, position);
            }
        }
    }

    /// The first code that is neither padding nor data, from a position of a range up to the next block; `None` if there
    /// is none, or it appears to be data: it runs into invalid bytes.
    fn gap_code(&self, range: &FunctionRange, start: usize) -> Option<u32> {
        /// Branches that are scanned for invalid bytes.
        const BRANCHES_MAX: usize = 64;
        let region = range.region();
        let leaders = &self.facts().leaders[region];
        let instructions = &self.ranges().instructions.regions[region];
        let code = &self.ranges().code.regions[region];
        let mut starts = instructions.starts.iter_in(start..range.end as usize).peekable();
        while let Some(position) = starts.next().filter(|position| !leaders.contains(*position)) {
            let next = starts.peek().copied().unwrap_or(range.end as usize);
            if instructions.is_data(position) || code.isa.is_padding(&code.bytes[position..next]) {
                continue;
            }
            let branches = &instructions.branches;
            let first = self.ranges().branch_at(range, position as u32);
            let mut rows = (first..range.branches.end).take(BRANCHES_MAX);
            let end = rows.find(|row| branches.flows[*row as usize].ends_block());
            let invalid = end.filter(|row| branches.flows[*row as usize] == Flow::Invalid);
            let is_data = invalid.is_some_and(|row| {
                leaders.first_in(position..branches.positions[row as usize] as usize + 1).is_none()
            });
            return (!is_data).then_some(position as u32);
        }
        None
    }
}
