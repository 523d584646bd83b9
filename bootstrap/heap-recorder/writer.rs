//! Writes events of the current thread to its ring.
//!
//! Nothing here allocates, takes a lock, or waits without a limit. An event that occurs while another one of the same
//! thread is written (in a signal handler) is not recorded, but counted.
//!
//! *Stacks.* Only the words are written that differ from a copy of the stack, because most of a stack remains as it is from
//! one allocation to the next. At most [`WINDOW`] bytes are compared.
//!
//! *Forks.* The page with [`Process`] is zero in a child process, so that it records nothing. The child of `vfork` shares
//! the memory of its parent, which waits: it writes to the ring of its parent as the parent would.

use super::channel::{
    ALLOCATION, ALLOCATION_WORDS, Channel, MAPPINGS, RELEASE, RETRACTION, RING_WORDS, SKIP, Slot, WINDOW,
};
use super::system::{self, keeping_errno, mapping_at, now, read_mappings};
use core::ffi::CStr;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};

/// Time that a writer waits for a reader that does not move.
const PATIENCE_NANOSECONDS: u64 = 2_000_000_000;

/// Time between two looks at the reader.
const NAP_NANOSECONDS: i64 = 50_000;

/// Events of a thread without a slot from one attempt to claim one to the next.
const EVENTS_WITHOUT_SLOT: u32 = 1 << 16;

/// Naps of a thread without a slot. The reader frees those of threads that ended in intervals, which are longer while it
/// reads a module.
const NAPS_FOR_SLOT: u32 = 10_000;

/// Words that the text of all mappings may have.
const MAPPINGS_WORDS_MAX: usize = RING_WORDS / 2;

/// Bytes by which the copied part of the stack ends: the window moves in such steps.
const STEP: usize = WINDOW / 2;

/// Bytes that are compared at once.
const BLOCK: usize = 64;

/// The first word of a record of a kind and a number of words.
const fn header(kind: u64, words: usize) -> u64 {
    kind | (words as u64) << 8
}

/// The recorder of this process. Its page is zero in a forked child.
pub(crate) struct Process {
    channel: *const Channel,
    program: u64,
    /// The code of the dynamic loader: when it allocates, it loads a module.
    loader: (usize, usize),
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// Whether the mappings were not written yet (0), are as they were written (1), or may have changed (2).
static MAPPINGS_PHASE: AtomicU8 = AtomicU8::new(0);

/// What a thread knows. It is zero at first.
#[repr(C)]
struct Thread {
    slot: *const Slot,
    is_busy: bool,
    /// Events until the next attempt to claim a slot.
    wait: u32,
    /// The mapping of its stack.
    stack: (usize, usize),
    /// The position up to which the reader has certainly read.
    read: u64,
}

// The thread-local variable, reached without a call, which might allocate. The code that reaches it may be compiled apart.
core::arch::global_asm!(
    ".section .tbss.binframe_thread,\"awT\",@nobits",
    ".p2align 4",
    ".globl binframe_thread",
    ".hidden binframe_thread",
    "binframe_thread:",
    ".zero {size}",
    ".text",
    size = const size_of::<Thread>(),
);

fn thread() -> *mut Thread {
    let offset: usize;
    // SAFETY: the loader, or the linker of a static program, states the offset of the variable.
    unsafe {
        core::arch::asm!(
            "mov {offset}, qword ptr [rip + binframe_thread@GOTTPOFF]",
            offset = out(reg) offset,
            options(nostack, pure, readonly),
        );
    }
    thread_pointer().wrapping_add(offset) as *mut Thread
}

/// The address of the data of the C library about this thread.
fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the thread pointer of x86-64 is in `fs:0`.
    unsafe {
        core::arch::asm!(
            "mov {pointer}, qword ptr fs:[0]",
            pointer = out(reg) pointer,
            options(nostack, pure, readonly),
        );
    }
    pointer
}

/// The address of the return address of a function that is replaced. The stack of its caller starts after it.
pub(crate) type Frame = *const usize;

/// Bytes of the memory of [`Process`].
const PAGE: usize = 4096;

/// Maps the channel that is at a path, and an address after it for [`Process`]. A page of its own could be mapped between
/// the segments of a module, whose mappings would not be consecutive then.
pub(crate) fn map_channel(path: &CStr) -> Option<*const Channel> {
    let size = size_of::<Channel>();
    // SAFETY: the path ends with a zero. Memory is mapped at addresses that are free, and then replaced in part.
    unsafe {
        let file = system::open(path.as_ptr(), system::READ_WRITE | system::CLOSE_ON_EXEC);
        if file < 0 {
            return None;
        }
        let has_size = system::lseek(file, 0, system::FROM_END) >= size as i64;
        let mut memory = match has_size {
            true => system::mmap(null_mut(), size + PAGE, 0, system::PRIVATE, -1, 0),
            false => system::FAILED,
        };
        if memory != system::FAILED {
            memory = system::mmap(memory, size, system::ACCESS, system::SHARED | system::FIXED, file, 0);
        }
        system::close(file);
        if memory == system::FAILED {
            return None;
        }
        system::madvise(memory, size, system::DO_NOT_FORK);
        system::madvise(memory, size, system::DO_NOT_DUMP);
        Some(memory.cast_const().cast())
    }
}

/// Starts recording to a channel, if its reader started this process, and returns whether it does. `is_new` says that no
/// other recorder in this process records the program. `loader` is the code of the dynamic loader; an empty range if there
/// is none.
pub(crate) fn start(channel: *const Channel, is_new: bool, loader: (usize, usize)) -> bool {
    // SAFETY: the caller mapped the channel, and reserved the page after it.
    unsafe {
        if (*channel).reader.load(Ordering::Relaxed) != system::getppid() as u32 {
            return false;
        }
        let page = channel.add(1).cast_mut().cast();
        let page = system::mmap(page, PAGE, system::ACCESS, system::PRIVATE | system::FIXED, -1, 0);
        if page == system::FAILED || system::madvise(page, PAGE, system::WIPE_ON_FORK) != 0 {
            return false;
        }
        let programs = &(*channel).programs;
        let program = match is_new {
            true => programs.fetch_add(1, Ordering::Relaxed) + 1,
            false => programs.load(Ordering::Relaxed),
        };
        let process: *mut Process = page.cast();
        process.write(Process { channel, program: u64::from(program), loader });
        PROCESS.store(process, Ordering::Release);
        true
    }
}

/// Records an allocation, by `malloc` or another function. The loader maps modules with `malloc`, and starts threads
/// with others.
pub(crate) fn allocated(address: *mut u8, size: usize, frame: Frame, frame_pointer: usize, is_malloc: bool) {
    with_writer(|writer| {
        let process = writer.process;
        // SAFETY: the return address is on the stack.
        let is_loader = (process.loader.0..process.loader.1).contains(&unsafe { *frame });
        // The loader allocates after it mapped a module, and before the module runs.
        let phase = MAPPINGS_PHASE.load(Ordering::Relaxed);
        if phase == 0 || (phase == 2 && !is_loader) {
            MAPPINGS_PHASE.store(1, Ordering::Relaxed);
            keeping_errno(|| writer.write_mappings());
        } else if is_loader && is_malloc {
            MAPPINGS_PHASE.store(2, Ordering::Relaxed);
        }
        writer.write_allocation(address, size, frame, frame_pointer);
    });
}

/// Records that memory is about to be released.
pub(crate) fn releases(address: *mut u8) {
    with_writer(|writer| writer.write(&[header(RELEASE, 3), now(), address as u64]));
}

/// Records that the memory of the last release was not released.
pub(crate) fn retracts() {
    with_writer(|writer| writer.write(&[header(RETRACTION, 2), now()]));
}

/// Calls a function with the writer of this thread, if it records.
#[inline(always)]
fn with_writer(run: impl FnOnce(&mut Writer<'_>)) {
    let process = PROCESS.load(Ordering::Acquire);
    // SAFETY: a process that was published remains mapped; it is zero in a child. A thread alone uses its variable, and
    // a signal handler finds `is_busy`.
    unsafe {
        if process.is_null() || (*process).channel.is_null() {
            return;
        }
        let (process, thread) = (&*process, &mut *thread());
        let channel = &*process.channel;
        if channel.is_open.load(Ordering::Relaxed) == 0 {
            return;
        }
        if core::ptr::read_volatile(&raw const thread.is_busy) {
            channel.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        core::ptr::write_volatile(&raw mut thread.is_busy, true);
        if thread.slot.is_null() {
            keeping_errno(|| claim(process, channel, thread));
        }
        match thread.slot.is_null() {
            true => _ = channel.dropped.fetch_add(1, Ordering::Relaxed),
            false => run(&mut Writer { process, channel, slot: &*thread.slot, thread }),
        }
        core::ptr::write_volatile(&raw mut (*self::thread()).is_busy, false);
    }
}

/// Claims a slot for this thread. Without a free one, it tries again later.
#[cold]
fn claim(process: &Process, channel: &Channel, thread: &mut Thread) {
    if thread.wait > 0 {
        thread.wait -= 1;
        return;
    }
    thread.wait = EVENTS_WITHOUT_SLOT;
    // SAFETY: the function takes no arguments.
    let owner = process.program << 32 | u64::from(unsafe { system::gettid() } as u32);
    let is_claimed =
        |own: &AtomicU64| own.compare_exchange(0, owner, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    wait_for(channel, NAPS_FOR_SLOT, || {
        let claimed = channel.owners.iter().position(is_claimed);
        thread.slot = claimed.map_or(null(), |index| &raw const channel.slots[index]);
        !thread.slot.is_null()
    });
    // SAFETY: a claimed slot is in the channel, which remains mapped.
    if let Some(slot) = unsafe { thread.slot.as_ref() } {
        thread.read = slot.read.0.load(Ordering::Acquire);
    }
}

/// Waits until a condition holds, for a number of naps, and not for a reader that does not move. False if it was in vain.
fn wait_for(channel: &Channel, naps_max: u32, mut is_met: impl FnMut() -> bool) -> bool {
    let (mut heartbeat, mut since) = (channel.heartbeat.0.load(Ordering::Relaxed), now());
    for _ in 0..naps_max {
        if is_met() {
            return true;
        }
        let nap = system::Time { seconds: 0, nanoseconds: NAP_NANOSECONDS };
        // SAFETY: the time is valid.
        unsafe { system::nanosleep(&raw const nap, null_mut()) };
        let (beat, time) = (channel.heartbeat.0.load(Ordering::Relaxed), now());
        if beat != heartbeat {
            (heartbeat, since) = (beat, time);
        } else if time - since > PATIENCE_NANOSECONDS {
            channel.is_open.store(0, Ordering::Relaxed);
            return false;
        }
        if channel.is_open.load(Ordering::Relaxed) == 0 {
            return false;
        }
    }
    is_met()
}

/// Writes to the ring of a thread.
struct Writer<'a> {
    process: &'a Process,
    channel: &'a Channel,
    slot: &'a Slot,
    thread: &'a mut Thread,
}

impl Writer<'_> {
    /// Finds room for a record, and returns its place; `None` if the reader does not move.
    #[inline(always)]
    fn reserve(&mut self, words: usize) -> Option<&[AtomicU64]> {
        let written = self.slot.written.0.load(Ordering::Relaxed);
        let place = written as usize % RING_WORDS;
        let skipped = if place + words > RING_WORDS { RING_WORDS - place } else { 0 };
        let end = written + (skipped + words) as u64;
        if end - self.thread.read > RING_WORDS as u64 && !self.wait_for_room(end) {
            return None;
        }
        if skipped > 0 {
            self.slot.ring[place].store(header(SKIP, skipped), Ordering::Relaxed);
            self.slot.written.0.store(written + skipped as u64, Ordering::Release);
            return Some(&self.slot.ring[..words]);
        }
        Some(&self.slot.ring[place..place + words])
    }

    #[cold]
    fn wait_for_room(&mut self, end: u64) -> bool {
        let has_room = || {
            self.thread.read = self.slot.read.0.load(Ordering::Acquire);
            end - self.thread.read <= RING_WORDS as u64
        };
        keeping_errno(|| wait_for(self.channel, u32::MAX, has_room)) || {
            self.channel.dropped.fetch_add(1, Ordering::Relaxed);
            false
        }
    }

    /// The copy of the stack, which only this thread uses.
    fn copy(&self) -> *mut u64 {
        (&raw const self.slot.stack).cast::<u64>().cast_mut()
    }

    /// Publishes the record that was written to the reserved place.
    fn publish(&self, words: usize) {
        let written = self.slot.written.0.load(Ordering::Relaxed);
        self.slot.written.0.store(written + words as u64, Ordering::Release);
    }

    #[inline(always)]
    fn write(&mut self, record: &[u64]) {
        if let Some(place) = self.reserve(record.len()) {
            place.iter().zip(record).for_each(|(place, word)| place.store(*word, Ordering::Relaxed));
            self.publish(record.len());
        }
    }

    /// Writes the mappings of the process. A text that is too long is cut.
    #[cold]
    fn write_mappings(&mut self) {
        let time = now();
        let Some(place) = self.reserve(MAPPINGS_WORDS_MAX) else { return };
        let (mut length, mut word) = (0, 0_u64);
        read_mappings(|piece| {
            for byte in piece {
                word |= u64::from(*byte) << (length % 8 * 8);
                if 3 + length / 8 < MAPPINGS_WORDS_MAX {
                    place[3 + length / 8].store(word, Ordering::Relaxed);
                    length += 1;
                }
                word = if length % 8 == 0 { 0 } else { word };
            }
            true
        });
        let words = 3 + length.div_ceil(8);
        let start = [header(MAPPINGS, words), time, length as u64];
        place.iter().zip(start).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
        self.publish(words);
    }

    #[inline(always)]
    fn write_allocation(&mut self, address: *mut u8, size: usize, frame: Frame, frame_pointer: usize) {
        let low = frame as usize + 8;
        let copy = self.copy();
        let high = self.end_of_stack(low);
        // SAFETY: the words from `low` to `high` are in the mapping of the stack; the copy has all of the window.
        let end = unsafe { end_of_difference(copy, low, high) };
        let count = (end - low) / 8;
        let masks = count.div_ceil(64);
        let Some(place) = self.reserve(ALLOCATION_WORDS + masks + count) else { return };
        let (head, rest) = place.split_at(ALLOCATION_WORDS);
        let (place_of_masks, place_of_words) = rest.split_at(masks);
        let mut words = 0;
        for (group, place_of_mask) in place_of_masks.iter().enumerate() {
            let mut mask = 0_u64;
            for index in group * 64..count.min(group * 64 + 64) {
                // SAFETY: as above; no more words are written than are compared.
                unsafe {
                    let word = (low as *const u64).add(index).read_volatile();
                    let copied = copy.add((low / 8 + index) % (WINDOW / 8));
                    place_of_words.get_unchecked(words).store(word, Ordering::Relaxed);
                    let is_changed = *copied != word;
                    *copied = word;
                    words += usize::from(is_changed);
                    mask |= u64::from(is_changed) << (index % 64);
                }
            }
            place_of_mask.store(mask, Ordering::Relaxed);
        }
        let size_of_record = ALLOCATION_WORDS + masks + words;
        let extents = count as u64 | ((high - low) as u64 / 8) << 32;
        // SAFETY: the return address is on the stack.
        let program_counter = unsafe { *frame } as u64;
        let (address, size, frame_pointer) = (address as u64, size as u64, frame_pointer as u64);
        let first = header(ALLOCATION, size_of_record);
        let start = [first, now(), address, size, program_counter, low as u64, frame_pointer, extents];
        head.iter().zip(start).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
        self.publish(size_of_record);
    }

    /// The end of the stack that is recorded. The stack of a thread that the C library starts ends at the data about the
    /// thread: memory after that may be in the same mapping, but of others, who release it.
    #[inline(always)]
    fn end_of_stack(&mut self, low: usize) -> usize {
        if !(self.thread.stack.0..self.thread.stack.1).contains(&low) {
            let (start, end) = keeping_errno(|| mapping_at(low));
            let pointer = thread_pointer();
            self.thread.stack = (start, if (low..end).contains(&pointer) { pointer } else { end });
        }
        let known = self.slot.stack_end.load(Ordering::Relaxed) as usize;
        let end = if low < known && known < self.thread.stack.1 { known } else { self.thread.stack.1 };
        end.next_multiple_of(BLOCK).min(low.next_multiple_of(STEP) + STEP).max(low)
    }
}

/// The end of the last word from `low` to `high` that differs from its copy; `low` if none does. `high` is a multiple of
/// the size of a block, or `low`.
#[inline(always)]
unsafe fn end_of_difference(copy: *const u64, low: usize, high: usize) -> usize {
    let mut end = high;
    // SAFETY: stated by the caller. A block does not cross the end of the window.
    unsafe {
        while end - low >= BLOCK {
            let block = (end - BLOCK) as *const [u64; 8];
            let copied = copy.add((end - BLOCK) / 8 % (WINDOW / 8)).cast::<[u64; 8]>();
            let difference = (0..8).fold(0, |all, index| all | ((*block)[index] ^ (*copied)[index]));
            if difference != 0 {
                break;
            }
            end -= BLOCK;
        }
        while end > low && *((end - 8) as *const u64) == *copy.add((end - 8) / 8 % (WINDOW / 8)) {
            end -= 8;
        }
    }
    end
}
