//! Follows control from where functions begin.
//!
//! A call comes back if its callee may return, and a callee may return if some way from its start leads to a return, or to a place
//! that is not known. Both are found together, as the least solution: a walk stops at a call of a function that is not known to
//! return, and goes on when it is. Walks go in rounds, all of a round in parallel; what one finds, others see in the next round.

use super::graph::{Known, rows_of};
use super::jump_tables::{Scratch, Table, targets_max};
use super::layout::{Extent, Layout, Place};
use super::walker::{Context, Event, Resume, Walker};
use crate::bitmap::Bitmap;
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
    pub(super) met: Vec<Row>,
    /// Where those may go, as addresses inside the function are taken.
    pub(super) labels: Vec<Place>,
    /// Direct jumps to code that belongs to no function.
    pub(super) leaving: Vec<(Row, Place)>,
    /// Blocks that were followed to find its tables.
    pub(super) followed: usize,
    /// Whether more was walked since indirect jumps were looked at.
    pub(super) is_stale: bool,
    /// Whether the taken addresses inside were found.
    is_labelled: bool,
}

impl FunctionFlow {
    /// The extents of a function with this flow.
    pub(super) fn extents<'l>(
        &self,
        function: u32,
        layout: &'l Layout<'_>,
    ) -> impl Iterator<Item = &'l Extent> {
        let all = std::iter::once(function).chain(self.parts.iter().copied());
        all.map(|extent| &layout.extents[extent as usize])
    }

    /// Forgets the labels where one alone may be anything, or where they are more than jumps have targets.
    pub(super) fn limit_labels(&mut self, known: &Known<'_>, function: u32) {
        let edge_count = self.labels.len() * self.unresolved.len();
        let is_much = || {
            let counts = self.extents(function, known.layout).map(|extent| known.count_blocks(extent));
            edge_count > targets_max(counts.sum())
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
            for Extent { start, end, .. } in flow.extents(function, known.layout) {
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
