//! Follows control from where functions begin.
//!
//! A call comes back if its callee may return, and a callee may return if some way from its start leads to a return, or to a place
//! that is not known. Both are found together, as the least solution: a walk stops at a call of a function that is not known to
//! return, and goes on when it is. Walks go in rounds, all of a round in parallel; what one finds, others see in the next round.

use super::graph::{Known, rows_of};
use super::jump_tables::{Resolver, Scratch, Table, may_read_table, targets_max};
use super::layout::{Extent, Layout, Place};
use crate::bitmap::Bitmap;
use binframe_ir::tables::Flow;
use rayon::prelude::*;

/// What belongs to no function.
pub(super) const NONE: u32 = u32::MAX;

/// A round of fewer walks is not worth waking other threads.
const PARALLEL_MIN: usize = 64;

/// A row of branches, and its region.
pub(super) type Row = (u32, u32);

/// What is known of one function.
#[derive(Debug, Default)]
pub(super) struct FunctionFlow {
    /// Whether some way leads from its start to a return, or to a place that is not known.
    pub(super) may_return: bool,
    /// Extents that belong to it, beside its own.
    pub(super) parts: Vec<u32>,
    /// Indirect jumps whose targets are known, in their order.
    pub(super) tables: Vec<Table>,
    /// Those whose targets are not.
    pub(super) unresolved: Vec<Row>,
    /// Those that were met and not looked at yet.
    met: Vec<Row>,
    /// Where those may go, as addresses inside the function are taken.
    pub(super) labels: Vec<Place>,
    /// Direct jumps to code that belongs to no function.
    pub(super) leaving: Vec<(Row, Place)>,
    /// Blocks that were followed to find its tables.
    pub(super) followed: usize,
    /// Whether more was walked since indirect jumps were looked at.
    is_stale: bool,
    /// Whether the taken addresses inside were found.
    is_labelled: bool,
}

impl FunctionFlow {
    /// The extents of a function with this flow.
    pub(super) fn extents(&self, function: u32) -> impl Iterator<Item = u32> {
        std::iter::once(function).chain(self.parts.iter().copied())
    }

    /// Forgets the labels where one alone may be anything, or where they are more than jumps have targets.
    fn limit_labels(&mut self, known: &Known<'_>, function: u32) {
        let edge_count = self.labels.len() * self.unresolved.len();
        let is_much = || {
            let extents = self.extents(function).map(|extent| &known.layout.extents[extent as usize]);
            edge_count > targets_max(extents.map(|extent| known.count_blocks(extent)).sum())
        };
        if self.labels.len() < 2 || edge_count > targets_max(0) && is_much() {
            self.labels.clear();
        }
    }

    /// The table that an indirect jump reads, if it is known.
    pub(super) fn table_of(&self, jump: Row) -> Option<&Table> {
        let index = self.tables.binary_search_by_key(&jump, |table| table.jump).ok()?;
        Some(&self.tables[index])
    }
}

/// What the walks found.
pub(super) struct Flows<'a> {
    pub(super) known: Known<'a>,
    /// For each extent; empty for parts.
    pub(super) functions: Vec<FunctionFlow>,
    /// The function that each extent belongs to.
    pub(super) owners: Vec<u32>,
}

/// Where a walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Resume {
    /// At a place where a block begins.
    At(Place),
    /// Behind a call.
    Behind(Row),
    /// At the indirect jumps whose targets are not known.
    Indirect,
    /// Wherever nothing led in the extents that the file gives the function.
    Gaps,
}

/// What a walk has to say to the others.
enum Event {
    /// The function returns if the callee does; or goes on behind a call of it.
    Waits { callee: u32, call: Option<Row> },
    /// Control goes to a place of an extent that belongs to another function, or to none yet.
    Enters { extent: u32, place: Place },
}

/// What all walks of a round read.
struct Context<'a, 'k> {
    known: &'k Known<'a>,
    visited: &'k [Bitmap],
    may_return: &'k [bool],
    owners: &'k [u32],
}

/// Walks all functions.
pub(super) struct Descent<'a> {
    flows: Flows<'a>,
    /// The rows of branches that were walked over, for each region.
    visited: Vec<Bitmap>,
    may_return: Vec<bool>,
    /// Who waits for each function to return.
    waiting: Vec<Vec<(u32, Option<Row>)>>,
    /// Whether nothing more is learnt of which functions return.
    is_settled: bool,
    scratch: Scratch,
}

impl<'a> Descent<'a> {
    /// Follows control from all starts.
    pub(super) fn run(known: Known<'a>) -> Self {
        let layout = known.layout;
        let mut descent = Self::new(known);
        let starts = layout.extents.iter().zip(0..).filter(|(extent, _)| !extent.start.is_part);
        let frontier = starts.map(|(extent, index)| (index, Resume::At(extent.start.place))).collect();
        descent.follow(frontier);
        descent
    }

    /// Follows control from the starts of a layout that has more of them than this one's. What was found of functions whose size the
    /// file states is kept; the others may have changed their size.
    pub(super) fn extended<'b>(self, layout: &'b Layout<'b>) -> Descent<'b>
    where
        'a: 'b,
    {
        let Flows { known, functions, owners } = self.flows;
        let old = known.layout;
        let mut next = Descent::new(known.of_layout(layout));
        let keeps = |extent: &Extent| extent.is_sized() && !extent.start.is_part;
        let mut new = 0;
        let new_indexes: Vec<u32> = (old.extents.iter())
            .map(|extent| {
                let others = layout.extents[new..].iter();
                new += others.take_while(|other| other.start.place < extent.start.place).count();
                new as u32
            })
            .collect();
        let new_index = |index: u32| new_indexes[index as usize];
        let kept = |index: u32| keeps(&old.extents[index as usize]);
        next.visited = self.visited;
        for (extent, owner) in old.extents.iter().zip(&owners) {
            if *owner == NONE || !kept(*owner) {
                next.forget(extent);
            }
        }
        for ((flow, waiting), index) in functions.into_iter().zip(self.waiting).zip(0..) {
            let new = new_index(index) as usize;
            let waiting = waiting.into_iter().filter(|(function, _)| kept(*function));
            next.waiting[new] = waiting.map(|(function, call)| (new_index(function), call)).collect();
            if kept(index) {
                next.may_return[new] = self.may_return[index as usize];
                next.flows.functions[new] = flow;
                let parts = next.flows.functions[new].parts.iter_mut();
                parts.for_each(|part| *part = new_index(*part));
            }
        }
        for (owner, index) in owners.iter().zip(0..).filter(|(owner, _)| **owner != NONE && kept(**owner)) {
            next.flows.owners[new_index(index) as usize] = new_index(*owner);
        }
        let again =
            layout.extents.iter().zip(0..).filter(|(extent, _)| !keeps(extent) && !extent.start.is_part);
        let mut frontier: Vec<_> =
            again.map(|(extent, index)| (index, Resume::At(extent.start.place))).collect();
        // What functions that are kept jump to may have become a part.
        for (flow, function) in next.flows.functions.iter_mut().zip(0..) {
            for (_, place) in &flow.leaving {
                let Some(part) = layout.extent_at(*place).filter(|part| next.flows.owners[*part] == NONE)
                else {
                    continue;
                };
                next.flows.owners[part] = function;
                flow.parts.push(part as u32);
                frontier.push((function, Resume::At(*place)));
            }
        }
        next.follow(frontier);
        next
    }

    /// Forgets what was found in an extent.
    fn forget(&mut self, extent: &Extent) {
        let (region, rows) = (extent.region(), extent.rows.start as usize..extent.rows.end as usize);
        self.flows.known.leaders[region].clear(extent.start.place.position as usize..extent.end as usize);
        self.flows.known.returning[region].clear(rows.clone());
        self.visited[region].clear(rows);
    }

    /// Walks from a frontier on until nothing is open.
    fn follow(&mut self, mut frontier: Vec<(u32, Resume)>) {
        loop {
            self.walk_all(frontier);
            frontier = self.settle();
            if frontier.is_empty() {
                return;
            }
        }
    }

    /// What was found.
    pub(super) fn flows(&self) -> &Flows<'a> {
        &self.flows
    }

    /// Follows control also from where nothing led in the extents of functions, and returns all that was found.
    pub(super) fn with_gaps(mut self) -> Flows<'a> {
        self.is_settled = true;
        let mut frontier: Vec<_> = self.flows.owners.iter().map(|owner| (*owner, Resume::Gaps)).collect();
        frontier.dedup();
        while !frontier.is_empty() {
            self.walk_all(frontier);
            frontier = Vec::new();
            self.find_indirect(&mut frontier);
        }
        self.flows
    }

    fn new(known: Known<'a>) -> Self {
        let layout = known.layout;
        let count = layout.extents.len();
        let owner = |(extent, index): (&Extent, u32)| if extent.start.is_part { NONE } else { index };
        Self {
            flows: Flows {
                known,
                functions: std::iter::repeat_with(FunctionFlow::default).take(count).collect(),
                owners: layout.extents.iter().zip(0..).map(owner).collect(),
            },
            visited: rows_of(layout),
            may_return: vec![false; count],
            waiting: vec![Vec::new(); count],
            is_settled: false,
            scratch: Scratch::default(),
        }
    }

    /// Walks from a frontier on, round after round.
    fn walk_all(&mut self, mut frontier: Vec<(u32, Resume)>) {
        while !frontier.is_empty() {
            frontier.sort_unstable();
            frontier.dedup();
            let groups: Vec<_> = frontier.chunk_by(|one, next| one.0 == next.0).collect();
            let mut functions: Vec<_> = groups
                .iter()
                .map(|group| std::mem::take(&mut self.flows.functions[group[0].0 as usize]))
                .collect();
            let context = Context {
                known: &self.flows.known,
                visited: &self.visited,
                may_return: &self.may_return,
                owners: &self.flows.owners,
            };
            let walk = |scratch: &mut Scratch, (group, flow): (&&[(u32, Resume)], &mut FunctionFlow)| {
                let mut walker = Walker::new(&context, group[0].0, flow, scratch);
                walker.walk(group);
                walker.events
            };
            let events: Vec<_> = match groups.len() < PARALLEL_MIN {
                true => groups.iter().zip(&mut functions).map(|task| walk(&mut self.scratch, task)).collect(),
                false => groups.par_iter().zip(&mut functions).map_init(Scratch::default, walk).collect(),
            };
            let walked: Vec<_> = groups.iter().map(|group| group[0].0).collect();
            for (function, flow) in walked.iter().zip(functions) {
                self.flows.functions[*function as usize] = flow;
            }
            frontier = self.next_round(&walked, events);
        }
    }

    /// Tells functions what others found, and returns where walks go on.
    fn next_round(&mut self, walked: &[u32], events: Vec<Vec<Event>>) -> Vec<(u32, Resume)> {
        let mut next = Vec::new();
        let mut returning = Vec::new();
        for (function, events) in walked.iter().zip(events) {
            if self.flows.functions[*function as usize].may_return {
                returning.push(*function);
            }
            for event in events {
                match event {
                    Event::Waits { callee, call } => self.waiting[callee as usize].push((*function, call)),
                    Event::Enters { extent, place } => {
                        let owner = &mut self.flows.owners[extent as usize];
                        if *owner == NONE {
                            *owner = *function;
                            self.flows.functions[*function as usize].parts.push(extent);
                        }
                        next.push((*owner, Resume::At(place)));
                    }
                }
            }
        }
        if self.is_settled {
            for function in walked {
                self.flows.functions[*function as usize].may_return = self.may_return[*function as usize];
            }
        } else {
            // Also those who began to wait in this round.
            self.tell_callers(returning, &mut next);
        }
        next
    }

    /// Goes on behind the calls of functions that may return.
    fn tell_callers(&mut self, mut returning: Vec<u32>, next: &mut Vec<(u32, Resume)>) {
        while let Some(function) = returning.pop() {
            let index = function as usize;
            if self.flows.known.never_returns(function) {
                self.flows.functions[index].may_return = false;
                continue;
            }
            self.may_return[index] = true;
            self.flows.functions[index].may_return = true;
            for (waiting, call) in std::mem::take(&mut self.waiting[index]) {
                match call {
                    Some(call) => next.push((waiting, Resume::Behind(call))),
                    None if !self.may_return[waiting as usize] => returning.push(waiting),
                    None => {}
                }
            }
        }
    }

    /// Finds the taken addresses inside of functions that jump indirectly, and returns that walks go on there.
    fn label(&mut self) -> Vec<(u32, Resume)> {
        let open = |flow: &FunctionFlow| !flow.unresolved.is_empty() && !flow.is_labelled;
        if !self.flows.functions.iter().any(open) {
            return Vec::new();
        }
        let known = &self.flows.known;
        let mut taken = super::starts::taken(known, &self.flows.functions);
        taken.sort_unstable();
        taken.dedup();
        let mut next = Vec::new();
        for (flow, function) in self.flows.functions.iter_mut().zip(0..).filter(|(flow, _)| open(flow)) {
            flow.is_labelled = true;
            let mut labels = Vec::new();
            for index in flow.extents(function) {
                let Extent { start, end, .. } = &known.layout.extents[index as usize];
                let from = taken.partition_point(|place| *place <= start.place);
                let to = taken.partition_point(|place| *place < Place { position: *end, ..start.place });
                labels.extend(taken.get(from..to).unwrap_or_default());
            }
            flow.labels = labels;
            flow.limit_labels(known, function);
            next.extend(flow.labels.iter().map(|place| (function, Resume::At(*place))));
        }
        next
    }

    /// Goes on at indirect jumps of functions in which more is known of what leads to them than when they were looked at.
    fn find_indirect(&mut self, next: &mut Vec<(u32, Resume)>) {
        for (flow, function) in self.flows.functions.iter_mut().zip(0..) {
            if !flow.met.is_empty() || flow.is_stale && !flow.unresolved.is_empty() {
                next.push((function, Resume::Indirect));
            }
        }
    }

    /// Takes what is still open for what it most likely is, and returns where walks go on; nowhere, if nothing was open.
    fn settle(&mut self) -> Vec<(u32, Resume)> {
        let mut next = Vec::new();
        self.find_indirect(&mut next);
        // Addresses that are taken inside of functions are where computed jumps go.
        if next.is_empty() {
            next = self.label();
        }
        if !next.is_empty() {
            return next;
        }
        // An indirect jump whose targets are not known may be a tail call.
        let open = (0..self.may_return.len() as u32).filter(|function| {
            let flow = &self.flows.functions[*function as usize];
            !self.may_return[*function as usize]
                && !self.flows.known.never_returns(*function)
                && !flow.unresolved.is_empty()
                && flow.labels.is_empty()
        });
        self.tell_callers(open.collect(), &mut next);
        // A part that nothing goes to stands for itself.
        for (owner, index) in self.flows.owners.iter_mut().zip(0..).filter(|(owner, _)| **owner == NONE) {
            *owner = index;
            let place = self.flows.known.layout.extents[index as usize].start.place;
            next.push((index, Resume::At(place)));
        }
        // Where another function jumps into a function's midst, a block begins.
        let known = &self.flows.known;
        for flow in &self.flows.functions {
            for (_, place) in &flow.leaving {
                let is_new = !known.leaders[place.region as usize].contains(place.position as usize);
                if is_new && known.is_reached(*place) {
                    let extent = known.layout.extent_at(*place).expect("what is reached lies in an extent");
                    next.push((self.flows.owners[extent], Resume::At(*place)));
                }
            }
        }
        next
    }
}

/// Walks one function.
struct Walker<'a, 'k> {
    context: &'k Context<'a, 'k>,
    function: u32,
    flow: &'k mut FunctionFlow,
    work: Vec<Place>,
    events: Vec<Event>,
    scratch: &'k mut Scratch,
}

impl<'a, 'k> Walker<'a, 'k> {
    fn new(
        context: &'k Context<'a, 'k>,
        function: u32,
        flow: &'k mut FunctionFlow,
        scratch: &'k mut Scratch,
    ) -> Self {
        Self { context, function, flow, work: Vec::new(), events: Vec::new(), scratch }
    }

    fn layout(&self) -> &'k Layout<'a> {
        self.context.known.layout
    }

    fn walk(&mut self, resumes: &[(u32, Resume)]) {
        self.flow.is_stale |=
            resumes.iter().any(|(_, resume)| matches!(resume, Resume::At(_) | Resume::Behind(_)));
        for (_, resume) in resumes {
            match *resume {
                Resume::At(place) => self.enter(place),
                Resume::Behind((region, row)) => {
                    self.context.known.returning[region as usize].insert_shared(row as usize);
                    let position = self.layout().branches(region as usize).positions[row as usize];
                    let extent = self
                        .layout()
                        .extent_at(Place { region, position })
                        .expect("walked calls lie in extents");
                    self.walk_rows(extent, row + 1);
                }
                Resume::Indirect => self.resolve(),
                Resume::Gaps => self.walk_gaps(),
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(place) = self.work.pop() {
            let extent = self.extent_at(place).expect("work lies in extents");
            self.walk_rows(extent, self.layout().row_at(&self.layout().extents[extent], place.position));
        }
    }

    /// Makes a block begin at a place of the function.
    fn enter(&mut self, place: Place) {
        if self.context.known.leaders[place.region as usize].insert_shared(place.position as usize) {
            self.work.push(place);
        }
    }

    fn extent_at(&self, place: Place) -> Option<usize> {
        if self.layout().extents[self.function as usize].contains(place) {
            Some(self.function as usize)
        } else {
            self.layout().extent_at(place)
        }
    }

    /// Walks from a row of branches on, to where the straight line ends.
    fn walk_rows(&mut self, extent_index: usize, first: u32) {
        let extent = &self.layout().extents[extent_index];
        let region = extent.region();
        let branches = self.layout().branches(region);
        for row in first as usize..extent.rows.end as usize {
            if !self.context.visited[region].insert_shared(row) {
                return;
            }
            let (flow, target, end) = (branches.flows[row], branches.targets[row], branches.end(row));
            let row_key = (region as u32, row as u32);
            let next = Place { region: region as u32, position: end as u32 };
            match flow {
                Flow::Next => {}
                Flow::Call | Flow::IndirectCall => {
                    if let Some(pad) = self.context.known.landing_pad(region, row) {
                        self.go_to(None, pad);
                    }
                    let end_address = self.layout().address(next);
                    if !self.comes_back(flow, target, end_address, row_key) {
                        return;
                    }
                    self.context.known.returning[region].insert_shared(row);
                }
                Flow::CondJump => {
                    self.jump(row_key, target);
                    let is_inside = next.position < extent.end;
                    if !is_inside && self.layout().extent_at(next).is_some() {
                        self.go_to(None, next);
                    }
                    // What comes next is a block of its own, which another way may have led to already.
                    let leaders = &self.context.known.leaders[region];
                    if !is_inside || !leaders.insert_shared(next.position as usize) {
                        return;
                    }
                }
                Flow::Jump => return self.jump(row_key, target),
                Flow::Ret => {
                    self.flow.may_return = true;
                    return;
                }
                Flow::IndirectJump => return self.jump_indirectly(row_key, target),
                Flow::Trap | Flow::Invalid => return,
            }
        }
        let end = Place { region: region as u32, position: extent.end };
        if self.layout().extent_at(end).is_some() {
            self.go_to(None, end);
        }
    }

    fn comes_back(&mut self, flow: Flow, target: u64, end_address: u64, call: Row) -> bool {
        if flow == Flow::IndirectCall {
            return !self.context.known.never_returning_slots.contains(&target);
        }
        // A call of what follows only pushes an address.
        if target == end_address {
            return true;
        }
        let callee = self.layout().function_at(target, self.context.owners);
        let Some(callee) = callee.filter(|callee| !self.context.may_return[*callee as usize]) else {
            return true;
        };
        self.events.push(Event::Waits { callee, call: Some(call) });
        false
    }

    fn jump(&mut self, row: Row, target: u64) {
        match self.layout().place_of(target) {
            Some(place) => self.go_to(Some(row), place),
            // Nothing is known of what is there.
            None => self.flow.may_return = true,
        }
    }

    /// Goes to a place by a jump, or from one extent to the next.
    fn go_to(&mut self, jump: Option<Row>, place: Place) {
        let Some(extent) = self.extent_at(place) else { return self.leave(jump, place) };
        let owner = self.context.owners[extent];
        let start = &self.layout().extents[extent].start;
        if owner == self.function {
            self.enter(place);
        } else if owner == extent as u32 && start.place == place {
            match self.context.may_return[extent] {
                true => self.flow.may_return = true,
                false => self.events.push(Event::Waits { callee: owner, call: None }),
            }
        } else if owner == NONE || start.size > 0 {
            self.flow.may_return |= owner != NONE;
            self.events.push(Event::Enters { extent: extent as u32, place });
        } else {
            self.leave(jump, place);
        }
    }

    fn leave(&mut self, jump: Option<Row>, place: Place) {
        self.flow.may_return = true;
        if let Some(row) = jump {
            self.flow.leaving.push((row, place));
        }
    }

    fn jump_indirectly(&mut self, row: Row, slot: u64) {
        let references = self.context.known.references;
        if slot != 0 && references.import_at(slot).is_some() {
            self.flow.may_return |= !self.context.known.never_returning_slots.contains(&slot);
        } else if self.layout().code.regions[row.0 as usize].is_plt {
            self.flow.may_return = true;
        } else {
            self.flow.met.push(row);
        }
    }

    /// Looks for the tables of indirect jumps, and goes where they lead.
    fn resolve(&mut self) {
        let Self { context: Context { known, owners, .. }, function, flow, scratch, .. } = self;
        let mut jumps = std::mem::take(&mut flow.met);
        if std::mem::take(&mut flow.is_stale) {
            jumps.append(&mut flow.unresolved);
        }
        jumps.retain(|row| {
            let is_likely = may_read_table(known, *row, scratch);
            if !is_likely {
                flow.unresolved.push(*row);
            }
            is_likely
        });
        let mut found = Vec::new();
        if !jumps.is_empty() {
            jumps.sort_unstable();
            let mut resolver = Resolver::new(known, owners, *function, flow, scratch);
            found = resolver.resolve(&jumps);
            flow.followed = resolver.followed;
        }
        jumps.retain(|row| !found.iter().any(|table| table.jump == *row));
        flow.unresolved.append(&mut jumps);
        flow.unresolved.sort_unstable();
        flow.limit_labels(known, *function);
        for table in &found {
            for place in table.places.iter().flatten() {
                self.go_to(None, *place);
            }
        }
        self.flow.tables.extend(found);
        self.flow.tables.sort_by_key(|table| table.jump);
    }

    /// Walks what the file says is the function's, and nothing led to.
    fn walk_gaps(&mut self) {
        let extents: Vec<_> = self.flow.extents(self.function).collect();
        for index in extents {
            let extent = &self.layout().extents[index as usize];
            let region = extent.region();
            if self.layout().code.regions[region].is_plt {
                continue;
            }
            let (mut position, mut row) = (extent.start.place.position, extent.rows.start);
            while position < extent.end {
                let leaders = &self.context.known.leaders[region];
                if leaders.contains(position as usize) {
                    let block = self.context.known.block_from(extent, position, row);
                    (position, row) = (block.end.max(position + 1), block.rows.end);
                    continue;
                }
                position = match self.code_in(extent, position as usize) {
                    Some(start) => {
                        self.enter(Place { region: region as u32, position: start });
                        self.drain();
                        start
                    }
                    None => {
                        let rest = position as usize..extent.end as usize;
                        leaders.first_in(rest).map_or(extent.end, |leader| leader as u32)
                    }
                };
                row = self.layout().row_at(extent, position);
            }
        }
    }

    /// Where code that is no padding begins, from a position of an extent up to the next block; none where there seems to be data.
    fn code_in(&self, extent: &Extent, start: usize) -> Option<u32> {
        /// Branches that are looked at for what is no instruction.
        const BRANCHES_MAX: usize = 64;
        let region = extent.region();
        let leaders = &self.context.known.leaders[region];
        let instructions = &self.layout().instructions.regions[region];
        let bytes = &self.layout().code.regions[region].bytes;
        let mut starts = instructions.starts.iter_in(start..extent.end as usize).peekable();
        while let Some(position) = starts.next().filter(|position| !leaders.contains(*position)) {
            let next = starts.peek().copied().unwrap_or(extent.end as usize);
            if self.layout().code.regions[region].isa.is_padding(&bytes[position..next]) {
                continue;
            }
            let branches = &instructions.branches;
            let mut rows =
                (self.layout().row_at(extent, position as u32)..extent.rows.end).take(BRANCHES_MAX);
            let end = rows.find(|row| branches.flows[*row as usize].ends_block());
            let end = end.filter(|row| branches.flows[*row as usize] == Flow::Invalid);
            let is_data = end.is_some_and(|row| {
                leaders.first_in(position..branches.positions[row as usize] as usize + 1).is_none()
            });
            return (!is_data).then_some(position as u32);
        }
        None
    }
}
