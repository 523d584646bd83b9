//! Takes the records of all threads in the order of their times.
//!
//! *Order.* The reader looks at the clock first, and then at the positions of the writers. A record that another one depends
//! on was published before the time of that other one (`channel`). So of a record up to the time of the clock, all on which
//! it depends are known.
//!
//! *Ends of threads.* The slot of a thread is free again when the system no longer lists the thread, or when the process
//! executed another program, and its ring is empty.

use super::super::output::Output;
use super::allocations::{Allocations, Clock, Released};
use super::call_sites::CallSites;
use super::channel::{
    ALLOCATION, ALLOCATION_WORDS, Channel, MAPPINGS, RELEASE, RETRACTION, RING_WORDS, SKIP, Slot, WINDOW,
};
use super::live_table::Live;
use super::unwinding::{Stack, State, Unwinder};
use crate::error::Error;
use rustix::time::{ClockId, clock_gettime};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks at rings. A reader that is always close to the writer slows it down, as both use the same lines of
/// the cache.
const NAP: Duration = Duration::from_micros(200);

/// Words of records after which the reader does not wait.
const BACKLOG: u64 = RING_WORDS as u64 / 8;

/// Time between two searches for threads that ended.
const CLEANUP_INTERVAL: Duration = Duration::from_millis(20);

/// Nanoseconds by which the clock is taken to be earlier than it is, since processors reorder reads.
const TOLERANCE: u64 = 1_000;

/// Words after which the writer is told that there is room.
const ROOM_WORDS: u64 = RING_WORDS as u64 / 16;

/// The kind of a record and its number of words, from its first word.
fn parse_header(word: u64) -> (u64, usize) {
    (word & 0xff, (word >> 8) as usize)
}

/// Words by which announced addresses are ahead.
const AHEAD: u64 = 256;

/// What the reader found apart from rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whether there was any event.
    pub(super) has_events: bool,
    /// Whether memory had what the recorder does not write.
    pub(super) has_foreign_records: bool,
}

/// A thread of the program. The next owner of its slot continues with the copy of the stack, as the writer does.
#[derive(Default)]
struct Thread {
    /// The number of the program in the upper half, and the identifier of the thread; 0 if it has ended.
    owner: u64,
    stack: Stack,
    /// Position of the next record.
    position: u64,
    /// Position of the record whose address is announced next.
    announced: u64,
    /// Position after the last record that was published.
    end: u64,
    /// The last release, which may be retracted.
    released: Option<Released>,
    /// Whether its records make no sense.
    is_broken: bool,
}

/// A record that was not read yet.
#[derive(Clone, Copy)]
struct Record<'a> {
    kind: u64,
    time: u64,
    words: &'a [std::sync::atomic::AtomicU64],
}

impl Record<'_> {
    fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

impl Thread {
    /// The next record; `None` if there is none.
    fn next<'a>(&mut self, slot: &'a Slot) -> Option<Record<'a>> {
        while self.position < self.end && !self.is_broken {
            let place = self.position as usize % RING_WORDS;
            let (kind, size) = parse_header(slot.ring[place].load(Ordering::Relaxed));
            let words =
                slot.ring[place..].get(..size).filter(|words| words.len() > 1 || kind == SKIP && size == 1);
            let Some(words) = words.filter(|_| self.position + size as u64 <= self.end) else {
                self.is_broken = true;
                return None;
            };
            if kind != SKIP {
                let time = words[1].load(Ordering::Relaxed);
                return Some(Record { kind, time, words });
            }
            self.position += size as u64;
        }
        None
    }

    /// Announces the addresses of the next records.
    fn announce(&mut self, slot: &Slot, allocations: &Allocations) {
        let end = self.end.min(self.position + AHEAD);
        self.announced = self.announced.max(self.position);
        while self.announced < end {
            let place = self.announced as usize % RING_WORDS;
            let (kind, size) = parse_header(slot.ring[place].load(Ordering::Relaxed));
            if kind == ALLOCATION || kind == RELEASE {
                allocations.prefetch(slot.ring[(place + 2) % RING_WORDS].load(Ordering::Relaxed));
            }
            self.announced += size.max(1) as u64;
        }
    }
}

/// Closes a channel when nobody reads it any more, so that no writer waits.
struct Closing<'a>(&'a Channel);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.is_open.store(0, Ordering::Relaxed);
    }
}

/// Reads a channel.
pub(super) struct Reader<'a> {
    channel: &'a Channel,
    process: u32,
    /// By slot.
    threads: Vec<Option<Box<Thread>>>,
    /// Number of the program whose records were read last.
    program: u64,
    unwinder: Unwinder,
    sites: CallSites,
    allocations: Allocations,
    clock: Clock,
    /// Difference of the time since 1970 from the clock of records.
    epoch: i64,
}

/// Nanoseconds of the clock of records.
fn monotonic() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

impl<'a> Reader<'a> {
    pub(super) fn new(channel: &'a Channel, process: u32, output: Output) -> Self {
        let time = clock_gettime(ClockId::Realtime);
        Self {
            channel,
            process,
            threads: channel.slots.iter().map(|_| None).collect(),
            program: 0,
            unwinder: Unwinder::new(),
            sites: CallSites::default(),
            allocations: Allocations::new(output),
            clock: Clock::default(),
            epoch: time.tv_sec * 1_000_000_000 + time.tv_nsec - monotonic(),
        }
    }

    /// Reads until the end, and writes all rows.
    pub(super) fn run(mut self, is_ending: &AtomicBool) -> Result<Tally, Error> {
        let _closing = Closing(self.channel);
        self.read(is_ending)
    }

    fn read(&mut self, is_ending: &AtomicBool) -> Result<Tally, Error> {
        let mut cleaned = Instant::now();
        loop {
            let is_last = is_ending.load(Ordering::Acquire);
            let until = if is_last { u64::MAX } else { (monotonic() as u64).saturating_sub(TOLERANCE) };
            let words = self.read_until(until)?;
            if is_last && words == 0 {
                break;
            }
            if cleaned.elapsed() > CLEANUP_INTERVAL {
                self.free_slots()?;
                cleaned = Instant::now();
            }
            if words < BACKLOG && !is_last {
                std::thread::sleep(NAP);
            }
        }
        self.write_released()?;
        self.allocations.write_live(None)?;
        self.allocations.append()?;
        self.sites.append(&mut self.allocations.output, true)?;
        let has_foreign_records = self.threads.iter().flatten().any(|thread| thread.is_broken);
        Ok(Tally { has_events: self.clock.has_started(), has_foreign_records })
    }

    /// Reads the records up to a time, and returns the number of their words.
    fn read_until(&mut self, until: u64) -> Result<u64, Error> {
        let channel = self.channel;
        let mut next = BinaryHeap::new();
        for (index, owner) in channel.owners.iter().enumerate() {
            let owner = owner.load(Ordering::Acquire);
            if owner == 0 {
                continue;
            }
            let slot = &channel.slots[index];
            let thread = self.threads[index].get_or_insert_with(|| {
                Box::new(Thread { position: slot.read.0.load(Ordering::Relaxed), ..Thread::default() })
            });
            thread.owner = owner;
            thread.end = slot.written.0.load(Ordering::Acquire);
            next.extend(thread.next(slot).map(|record| Reverse((record.time, index))));
        }
        let mut words = 0;
        while let Some(Reverse((time, index))) = next.pop().filter(|Reverse((time, _))| *time <= until) {
            let limit = next.peek().map_or(until, |Reverse((other, _))| until.min(*other)).max(time);
            let (read, rest) = self.read_thread(index, limit)?;
            words += read;
            next.extend(rest.map(|time| Reverse((time, index))));
        }
        Ok(words)
    }

    /// Reads the records of a thread up to a time, and returns the number of their words, and the time of the next one.
    fn read_thread(&mut self, index: usize, limit: u64) -> Result<(u64, Option<u64>), Error> {
        let slot = &self.channel.slots[index];
        let Some(mut thread) = self.threads[index].take() else { return Ok((0, None)) };
        let start = thread.position;
        let mut told = start;
        let next = loop {
            thread.announce(slot, &self.allocations);
            match thread.next(slot) {
                Some(record) if record.time <= limit => {
                    self.handle(&mut thread, slot, record)?;
                    thread.position += record.words.len() as u64;
                    if thread.position - told >= ROOM_WORDS {
                        told = thread.position;
                        slot.read.0.store(told, Ordering::Release);
                    }
                }
                other => break other.map(|record| record.time),
            }
        };
        slot.read.0.store(thread.position, Ordering::Release);
        if thread.is_broken {
            self.channel.is_open.store(0, Ordering::Relaxed);
        }
        let words = thread.position - start;
        self.threads[index] = Some(thread);
        self.sites.append(&mut self.allocations.output, false)?;
        Ok((words, next))
    }

    fn handle(&mut self, thread: &mut Thread, slot: &Slot, record: Record<'_>) -> Result<(), Error> {
        let time = (record.time as i64).wrapping_add(self.epoch);
        let program = thread.owner >> 32;
        if program > self.program {
            self.program = program;
            let time = self.clock.stamp(time);
            self.write_released()?;
            self.allocations.write_live(Some(time))?;
        }
        let released = thread.released.take();
        match (record.kind, released) {
            (RETRACTION, Some(released)) => self.allocations.retract(released),
            (_, Some(released)) => self.allocations.write(released)?,
            _ => {}
        }
        match record.kind {
            ALLOCATION => {
                let call_site = self.call_site(thread, slot, record);
                let allocated_at = self.clock.stamp(time);
                let live =
                    Live { size: record.word(3), allocated_at, thread: thread.owner as u32, call_site };
                self.allocations.allocate(record.word(2), live)?;
            }
            RELEASE => {
                let time = self.clock.stamp(time);
                thread.released = self.allocations.release(record.word(2), time);
            }
            MAPPINGS => self.load(record),
            _ => {}
        }
        Ok(())
    }

    fn call_site(&mut self, thread: &mut Thread, slot: &Slot, record: Record<'_>) -> u32 {
        let state = State {
            program_counter: record.word(4),
            stack_pointer: record.word(5),
            frame_pointer: record.word(6),
        };
        let (compared, known) = (record.word(7) & 0xffff_ffff, (record.word(7) >> 32).min(WINDOW as u64 / 8));
        let masks = (compared as usize).min(WINDOW / 8).div_ceil(64);
        let positions = (0..masks).flat_map(|index| {
            let mut mask = record.word(ALLOCATION_WORDS + index);
            std::iter::from_fn(move || {
                let bit = (mask != 0).then(|| u64::from(mask.trailing_zeros()))?;
                mask &= mask - 1;
                Some(index as u64 * 64 + bit)
            })
        });
        let words =
            record.words.iter().skip(ALLOCATION_WORDS + masks).map(|word| word.load(Ordering::Relaxed));
        let high = state.stack_pointer.wrapping_add(known * 8);
        thread.stack.update(state.stack_pointer, high, positions.zip(words));
        let (call_site, start) = self.unwinder.call_site(&mut thread.stack, state, &mut self.sites);
        if let Some(start) = start {
            slot.stack_end.store(start + 8, Ordering::Relaxed);
        }
        call_site
    }

    fn load(&mut self, record: Record<'_>) {
        let bytes: Vec<u8> =
            (3..record.words.len()).flat_map(|index| record.word(index).to_le_bytes()).collect();
        let length = bytes.len().min(record.word(2) as usize);
        self.unwinder.load(&String::from_utf8_lossy(&bytes[..length]));
        self.sites.reload();
        for thread in self.threads.iter_mut().flatten() {
            thread.stack.discard_states();
        }
    }

    /// Writes the rows of the last releases of all threads.
    fn write_released(&mut self) -> Result<(), Error> {
        let released: Vec<_> =
            self.threads.iter_mut().flatten().filter_map(|thread| thread.released.take()).collect();
        released.into_iter().try_for_each(|released| self.allocations.write(released))
    }

    /// Frees the slots of threads that ended.
    fn free_slots(&mut self) -> Result<(), Error> {
        let program = u64::from(self.channel.programs.load(Ordering::Relaxed));
        let tasks = PathBuf::from(format!("/proc/{}/task", self.process));
        for (index, owner) in self.channel.owners.iter().enumerate() {
            let slot = &self.channel.slots[index];
            let Some(thread) = self.threads[index].as_mut().filter(|thread| thread.owner != 0) else {
                continue;
            };
            let has_ended =
                thread.owner >> 32 < program || !tasks.join((thread.owner as u32).to_string()).exists();
            let is_empty = || slot.written.0.load(Ordering::Acquire) == thread.position;
            if !has_ended || !is_empty() {
                continue;
            }
            thread.owner = 0;
            thread.stack.discard_states();
            if let Some(released) = thread.released.take() {
                self.allocations.write(released)?;
            }
            slot.stack_end.store(0, Ordering::Relaxed);
            owner.store(0, Ordering::Release);
        }
        Ok(())
    }
}
