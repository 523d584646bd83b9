//! Walks over the code of one function: along straight lines, into the targets of jumps, behind calls that come back.

use super::descent::{FunctionFlow, NONE, Row};
use super::graph::Known;
use super::jump_tables::{Resolver, Scratch, may_read_table};
use super::layout::{Extent, Layout, Place};
use crate::bitmap::Bitmap;
use binframe_ir::tables::Flow;

/// Where a walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resume {
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
pub(super) enum Event {
    /// The function returns if the callee does; or goes on behind a call of it.
    Waits { callee: u32, call: Option<Row> },
    /// Control goes to a place of an extent that belongs to another function, or to none yet.
    Enters { extent: u32, place: Place },
}

/// What all walks of a round read.
pub(super) struct Context<'a, 'k> {
    pub(super) known: &'k Known<'a>,
    pub(super) visited: &'k [Bitmap],
    pub(super) may_return: &'k [bool],
    pub(super) owners: &'k [u32],
}

/// Walks one function.
pub(super) struct Walker<'a, 'k> {
    context: &'k Context<'a, 'k>,
    function: u32,
    flow: &'k mut FunctionFlow,
    work: Vec<Place>,
    /// What it has to say.
    pub(super) events: Vec<Event>,
    scratch: &'k mut Scratch,
}

impl<'a, 'k> Walker<'a, 'k> {
    pub(super) fn new(
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

    /// Goes on wherever a frontier says.
    pub(super) fn walk(&mut self, resumes: &[(u32, Resume)]) {
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
            let extent = self.layout().extent_at(place).expect("work lies in extents");
            self.walk_rows(extent, self.layout().row_at(&self.layout().extents[extent], place.position));
        }
    }

    /// Makes a block begin at a place of the function.
    fn enter(&mut self, place: Place) {
        if self.context.known.leaders[place.region as usize].insert_shared(place.position as usize) {
            self.work.push(place);
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
        let target = if flow == Flow::IndirectCall {
            if self.context.known.never_returning_slots.contains(&target) {
                return false;
            }
            let Some(target) = self.context.known.references.constant_pointer_at(target) else { return true };
            target
        } else {
            target
        };
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
        let Some(extent) = self.layout().extent_at(place) else { return self.leave(jump, place) };
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
        } else if let Some(callee) = self.context.known.pointed_function(slot, self.context.owners) {
            match self.context.may_return[callee as usize] {
                true => self.flow.may_return = true,
                false => self.events.push(Event::Waits { callee, call: None }),
            }
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
        let extents: Vec<_> = self.flow.extents(self.function, self.layout()).collect();
        for extent in extents {
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
