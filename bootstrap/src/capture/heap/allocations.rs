//! Rows of allocations: each is written when its memory is released, the others at the end.

use super::super::output::Output;
use super::live_table::{Live, LiveTable};
use crate::error::Error;
use binframe_ir::Timestamp;
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use binframe_ir::tables::{HeapAllocation, HeapAllocationBuilder};

/// Nanoseconds of a step of the clock. Times in steps, and numbers within, are smaller in files than times that are exact.
const STEP: i64 = 1_000_000;

/// An allocation that is released, or about to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Released {
    address: u64,
    allocation: Live,
    at: i64,
}

/// Gives each event a time of its own, in the order of events.
#[derive(Default)]
pub(super) struct Clock {
    last: i64,
}

impl Clock {
    /// Whether there was any event.
    pub(super) fn has_started(&self) -> bool {
        self.last != 0
    }

    /// The time of the next event, which occurred at a time in nanoseconds.
    pub(super) fn stamp(&mut self, time: i64) -> i64 {
        self.last = (time - time.rem_euclid(STEP)).max(self.last + 1);
        self.last
    }
}

/// The allocations of a program, and the rows that wait.
pub(super) struct Allocations {
    live: LiveTable,
    rows: HeapAllocationBuilder,
    waiting: usize,
    count: u64,
    pub(super) output: Output,
}

impl Allocations {
    pub(super) fn new(output: Output) -> Self {
        Self {
            live: LiveTable::default(),
            rows: HeapAllocationBuilder::default(),
            waiting: 0,
            count: 0,
            output,
        }
    }

    /// An event of an address follows soon.
    pub(super) fn prefetch(&self, address: u64) {
        self.live.prefetch(address);
    }

    /// Memory was allocated. If its address is in use, the record of the release was lost, and is made up for.
    pub(super) fn allocate(&mut self, address: u64, allocation: Live) -> Result<(), Error> {
        match self.live.insert(address, allocation) {
            Some(lost) => self.push(address, lost, Some(allocation.allocated_at)),
            None => Ok(()),
        }
    }

    /// Memory is about to be released; `None` if its allocation was not recorded.
    pub(super) fn release(&mut self, address: u64, at: i64) -> Option<Released> {
        self.live.remove(address).map(|allocation| Released { address, allocation, at })
    }

    /// Memory was not released.
    pub(super) fn retract(&mut self, released: Released) {
        self.live.insert(released.address, released.allocation);
    }

    /// Writes the row of memory that was released.
    pub(super) fn write(&mut self, released: Released) -> Result<(), Error> {
        self.push(released.address, released.allocation, Some(released.at))
    }

    /// Writes the rows of all allocations that are not released, in the order in which they were made. They end at a time,
    /// or not.
    pub(super) fn write_live(&mut self, freed_at: Option<i64>) -> Result<(), Error> {
        let mut live = self.live.take_all();
        live.sort_unstable_by_key(|(_, allocation)| allocation.allocated_at);
        live.into_iter().try_for_each(|(address, allocation)| self.push(address, allocation, freed_at))
    }

    fn push(&mut self, address: u64, allocation: Live, freed_at: Option<i64>) -> Result<(), Error> {
        self.count += 1;
        self.rows.push(HeapAllocation {
            allocation_id: self.count,
            address,
            size: allocation.size,
            allocated_at: Timestamp(allocation.allocated_at),
            freed_at: freed_at.map(Timestamp),
            thread_id: u64::from(allocation.thread),
            call_site_id: allocation.call_site,
        });
        self.waiting += 1;
        if self.waiting == ROW_GROUP_ROWS_MAX { self.append() } else { Ok(()) }
    }

    /// Appends the rows that wait.
    pub(super) fn append(&mut self) -> Result<(), Error> {
        if self.waiting == 0 {
            return Ok(());
        }
        self.waiting = 0;
        let rows = std::mem::take(&mut self.rows).finish();
        self.output.append(rows.batch())
    }
}
