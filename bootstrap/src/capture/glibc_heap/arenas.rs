//! Arenas: where they are, and where their heaps begin.
//!
//! *Algorithm.* `struct malloc_state` has, among others, in this order: heads of fast bins, `top`, `last_remainder`,
//! 127 bins, a map of the bins, `next`, `next_free`, `attached_threads`, `system_mem`, `max_system_mem`. A bin is a
//! pair of pointers, to its first and last chunk, or, if it is empty, both to the pair itself, two words lower. Most
//! bins of a program are empty, and no other data looks so. What precedes the fast bins differs between versions: the
//! start of the arena is found as the place that the list of arenas, by `next`, returns to.

use super::memory::{ALIGNMENT, Chunk, FLAGS, IS_MAPPED, IS_PREVIOUS_USED, Memory};
use binframe_ir::tables::ChunkState;

const BIN_COUNT: u64 = 127;

/// Bins of an arena that must be well formed: others may be in change, or damaged.
const BINS_MIN: usize = 100;

/// Size of the map of bins.
const MAP_SIZE: u64 = 16;

/// Words from the start of an arena to its bins at most.
const START_WORDS_MAX: u64 = 20;

/// Places in a mapping that look like a bin, and are looked at closely.
const TRIES_MAX: usize = 16;

const MAIN_ARENAS_MAX: usize = 16;
const ARENAS_MAX: usize = 1 << 10;
const HEAPS_MAX: usize = 1 << 12;

/// An arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arena {
    pub(super) address: u64,
    /// Address of its last chunk.
    pub(super) top: u64,
    /// Distance of its bins from its address.
    bins_offset: u64,
    is_main: bool,
}

/// A heap of an arena.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heap {
    pub(super) arena: Arena,
    /// Address of its first byte.
    pub(super) start: u64,
    /// Address after the last byte that it may get.
    pub(super) end: u64,
    pub(super) first_chunk: u64,
}

/// The main arenas in the data of modules: one, or several if `dlmopen` has loaded other copies of the library.
pub(super) fn main_arenas(memory: Memory<'_>) -> Vec<Arena> {
    let mut found: Vec<Arena> = Vec::new();
    for (start, content) in memory.data() {
        let (mut after, mut tries) = (start, 0);
        for offset in (0..content.len()).step_by(memory.word_size as usize) {
            let address = start + offset as u64;
            let points_to = memory.word_in(content, offset);
            let is_candidate = address >= after
                && points_to == Some(address.wrapping_sub(memory.header_size()))
                && is_bin(memory, address);
            if !is_candidate {
                continue;
            }
            tries += 1;
            if tries > TRIES_MAX {
                break;
            }
            if found.len() >= MAIN_ARENAS_MAX {
                return found;
            }
            if let Some(arena) = arena_of_bin(memory, address) {
                after = address.saturating_add(BIN_COUNT * memory.header_size());
                found.push(arena);
            }
        }
    }
    found
}

/// The arena one of whose bins is at an address.
fn arena_of_bin(memory: Memory<'_>, address: u64) -> Option<Arena> {
    let pair = memory.header_size();
    let bins = (0..BIN_COUNT).filter_map(|index| address.checked_sub(index * pair));
    let is_well_formed = |bins: &u64| {
        let indexes = (0..BIN_COUNT).filter(|index| is_bin(memory, bins.saturating_add(index * pair)));
        indexes.count() >= BINS_MIN
    };
    bins.filter(is_well_formed).find_map(|bins| {
        let starts = (2..=START_WORDS_MAX).map(|words| words * memory.word_size);
        starts.filter_map(|offset| Arena::at(memory, bins.checked_sub(offset)?, offset, true)).find(|arena| {
            arena.top >= memory.size_min() && arena.has_plausible_sizes(memory) && arena.is_in_circle(memory)
        })
    })
}

/// Whether a pair of pointers is a bin: empty, or with first and last chunks that point back.
fn is_bin(memory: Memory<'_>, address: u64) -> bool {
    let (word, header) = (memory.word_size, memory.header_size());
    let own = address.wrapping_sub(header);
    let is_consistent = |pointer: u64, back: u64| {
        let chunk = memory.word(pointer);
        let back = || chunk.and_then(|chunk| memory.word(chunk.checked_add(back)?));
        chunk == Some(own) || back() == Some(own)
    };
    is_consistent(address, header + word) && is_consistent(address.wrapping_add(word), header)
}

impl Arena {
    fn at(memory: Memory<'_>, address: u64, bins_offset: u64, is_main: bool) -> Option<Self> {
        let top = memory.word(address.checked_add(bins_offset)? - memory.header_size())?;
        Some(Self { address, top, bins_offset, is_main })
    }

    /// The word at a position among those after the map of bins.
    fn word_after_map(&self, memory: Memory<'_>, index: u64) -> Option<u64> {
        let words = 2 * BIN_COUNT + index;
        memory.word(self.address.checked_add(self.bins_offset + MAP_SIZE + words * memory.word_size)?)
    }

    fn next(&self, memory: Memory<'_>) -> Option<u64> {
        self.word_after_map(memory, 0)
    }

    /// Size of the memory that the arena has from the system.
    fn system_size(&self, memory: Memory<'_>) -> Option<u64> {
        self.word_after_map(memory, 3)
    }

    fn has_plausible_sizes(&self, memory: Memory<'_>) -> bool {
        let (size, size_max) = (self.system_size(memory), self.word_after_map(memory, 4));
        size.is_some_and(|size| size > 0 && size_max.is_some_and(|size_max| size <= size_max))
    }

    fn is_in_circle(&self, memory: Memory<'_>) -> bool {
        self.list(memory).last().and_then(|last| last.next(memory)) == Some(self.address)
    }

    /// This arena and the others, in the order of their list.
    pub(super) fn list(&self, memory: Memory<'_>) -> Vec<Self> {
        let mut arenas = vec![*self];
        while let Some(next) = arenas.last().and_then(|last| last.next(memory))
            && next != self.address
            && arenas.len() < ARENAS_MAX
        {
            let Some(next) = Self::at(memory, next, self.bins_offset, false) else { break };
            arenas.push(next);
        }
        arenas
    }

    /// The addresses of the heads of its fast bins.
    pub(super) fn fast_bins(&self, memory: Memory<'_>) -> impl Iterator<Item = u64> {
        let word = memory.word_size;
        let count = if word == 4 { 11 } else { 10 };
        // Versions that have none have nothing but two numbers there.
        let has_bins = self.bins_offset >= (count + 3) * word;
        let end = self.address + self.bins_offset - memory.header_size();
        (0..count).filter(move |_| has_bins).map(move |index| end - (index + 1) * word)
    }

    /// Its heaps, as far as they can be read.
    pub(super) fn heaps(&self, memory: Memory<'_>) -> Vec<Heap> {
        if self.is_main { self.main_heap(memory).into_iter().collect() } else { self.other_heaps(memory) }
    }

    /// The heap of the main arena ends with the top. It begins as many bytes earlier as it has from the system, or, if
    /// it has parts that are apart, with the mapping.
    fn main_heap(&self, memory: Memory<'_>) -> Option<Heap> {
        let size = memory.word(self.top.checked_add(memory.word_size)?)? & !FLAGS;
        let end = self.top.checked_add(size)?;
        let by_size = end.checked_sub(self.system_size(memory)?);
        let mapping = memory.snapshot.mapping_at(self.top).map(|index| memory.snapshot.mappings[index].start);
        let heap = |start| {
            let first_chunk = memory.chunk_from(start)?;
            Some(Heap { arena: *self, start, end, first_chunk })
        };
        let heaps: Vec<Heap> = by_size.into_iter().chain(mapping).filter_map(heap).collect();
        let complete = heaps.iter().find(|heap| self.follow(memory, heap.first_chunk, &mut Vec::new()));
        complete.or(heaps.first()).copied()
    }

    /// Adds the chunks of a heap, from its first one up to the top, the end of the heap, or the first one
    /// that contradicts its neighbour. Returns whether the top was reached.
    pub(super) fn follow(&self, memory: Memory<'_>, first: u64, chunks: &mut Vec<Chunk>) -> bool {
        let (word, header) = (memory.word_size, memory.header_size());
        let mut address = first;
        // No other chunk is before the first one.
        let mut is_previous_used = true;
        loop {
            let Some(head) = address.checked_add(word).and_then(|at| memory.word(at)) else { return false };
            let size = head & !FLAGS;
            let is_consistent = (head & IS_PREVIOUS_USED != 0) == is_previous_used && head & IS_MAPPED == 0;
            // A heap that is not the last one of its arena ends with two headers alone.
            if size < memory.size_min() || !is_consistent {
                return false;
            }
            let mut chunk = Chunk {
                address: address + header,
                size: size - word,
                arena: Some(self.address),
                state: ChunkState::InUse,
            };
            if address == self.top {
                chunks.push(Chunk { size: size - header, state: ChunkState::Top, ..chunk });
                return true;
            }
            if !size.is_multiple_of(ALIGNMENT) {
                return false;
            }
            let Some(next) = address.checked_add(size) else { return false };
            let Some(next_head) = next.checked_add(word).and_then(|at| memory.word(at)) else { return false };
            is_previous_used = next_head & IS_PREVIOUS_USED != 0;
            if !is_previous_used {
                if memory.word(next) != Some(size) {
                    return false;
                }
                chunk.state = ChunkState::Free;
            }
            chunks.push(chunk);
            address = next;
        }
    }

    /// Each heap of another arena begins at a multiple of its largest size, with the address of the arena and of the
    /// previous heap. The arena itself is in the first one.
    fn other_heaps(&self, memory: Memory<'_>) -> Vec<Heap> {
        let word = memory.word_size;
        let size_max: u64 = if word == 4 { 1 << 20 } else { 64 << 20 };
        let start_of = |address: u64| address & !(size_max - 1);
        let first_start = start_of(self.address);
        let mut heaps: Vec<Heap> = Vec::new();
        let mut start = start_of(self.top);
        while start != 0
            && heaps.len() < HEAPS_MAX
            && memory.word(start) == Some(self.address)
            && heaps.iter().all(|heap| heap.start != start)
        {
            let after = match start == first_start {
                true => self.address + self.bins_offset + MAP_SIZE + (2 * BIN_COUNT + 5) * word,
                // The header of each heap is as large as that of the first one, which the arena follows.
                false => start.saturating_add(self.address - first_start),
            };
            let Some(first_chunk) = memory.chunk_from(after) else { break };
            heaps.push(Heap { arena: *self, start, end: start.saturating_add(size_max), first_chunk });
            let Some(previous) = memory.word(start.saturating_add(word)) else { break };
            start = previous;
        }
        heaps
    }
}
