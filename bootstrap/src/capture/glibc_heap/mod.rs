//! `(snapshot) -> chunks`: the heap of glibc's `malloc`, from memory alone.
//!
//! *Problem.* List the blocks that the program has allocated, and those that the allocator keeps as free, without a
//! record of the calls. The layout differs between versions of glibc, and symbols of its data are rarely installed.
//!
//! *Notation.* A *chunk* is a header of two words, of which the second is its size with three flags, and the memory of
//! the program after it. The last word of that memory is the first word of the next header. An *arena*
//! (`struct malloc_state`) owns chunks that are adjacent in one or several *heaps*; the last of them is its *top*.
//! The allocator gives large blocks mappings of their own.
//!
//! *Phases.*
//!  1. Find the main arena in the data of modules, by its bins (`arenas`). The arenas are a circular list.
//!  2. Follow the chunks of each heap by their sizes, up to the top. A chunk is free if the next one says so.
//!  3. Mark the free chunks that count as used there: those in the fast bins of the arenas, and in the caches of threads
//!     (`lists`).
//!  4. Find the chunks that are mappings of their own (`mapped`).
//!
//! *Termination.* Chunks follow each other at ascending addresses. A list is followed only through chunks that were found
//! and not met before. The number of arenas, and of heaps of an arena, is bounded.
//!
//! *Certainty.* Nothing in memory is trusted: a heap ends at the first chunk that contradicts its neighbour. A program
//! without glibc's allocator has no chunks, because its memory has no arena.
//!
//! *Cost.* Linear in the data of modules, the number of chunks, and the pages of mappings without a file.
//!
//! Source: glibc, `malloc/malloc.c`, `malloc/arena.c`; versions 2.26 to 2.43, on little-endian systems.

mod arenas;
mod lists;
mod mapped;

use self::arenas::{Arena, main_arenas};
use super::snapshot::ProcessSnapshot;
use binframe_ir::tables::{Architecture, ChunkState, RegionType};

/// Alignment of chunks and of the memory that they hold.
const ALIGNMENT: u64 = 16;

/// Flags in the size of a chunk. The third one tells whether it is of the main arena.
const IS_PREVIOUS_USED: u64 = 1;
const IS_MAPPED: u64 = 2;
const FLAGS: u64 = 7;

/// A chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Address of the memory that the program has or may get.
    pub(super) address: u64,
    /// Size of that memory.
    pub(super) size: u64,
    /// The arena; `None` for a mapping.
    pub(super) arena: Option<u64>,
    pub(super) state: ChunkState,
}

/// The chunks of a snapshot, sorted by address.
pub(super) fn chunks(snapshot: &ProcessSnapshot) -> Vec<Chunk> {
    let word_size = match snapshot.architecture {
        Some(Architecture::X86) => 4,
        Some(Architecture::X86_64 | Architecture::Aarch64) => 8,
        _ => return Vec::new(),
    };
    let memory = Memory { snapshot, word_size };
    let mut chunks = Vec::new();
    for main in main_arenas(memory) {
        let arenas = main.list(memory);
        let heaps: Vec<_> = arenas.iter().flat_map(|arena| arena.heaps(memory)).collect();
        let first = chunks.len();
        for heap in &heaps {
            memory.follow(heap.arena, heap.first_chunk, &mut chunks);
        }
        // Heaps of different arenas are apart, unless memory is damaged.
        chunks[first..].sort_by_key(|chunk| chunk.address);
        let own = &mut chunks[first..];
        arenas.iter().for_each(|arena| lists::mark_fast_bins(memory, arena, own));
        lists::mark_thread_caches(memory, own);
        if let Some(main) = heaps.iter().find(|heap| heap.arena == main) {
            chunks.extend(mapped::chunks(memory, main.start, &heaps));
        }
    }
    chunks.sort_by_key(|chunk| chunk.address);
    chunks.dedup_by(|next, before| next.address < before.address.saturating_add(before.size));
    chunks
}

/// The memory of a snapshot as words of the process.
#[derive(Clone, Copy)]
struct Memory<'a> {
    snapshot: &'a ProcessSnapshot,
    word_size: u64,
}

impl<'a> Memory<'a> {
    /// The data of modules that was read, with its addresses.
    fn data(self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let mappings = self.snapshot.mappings.iter().zip(&self.snapshot.contents);
        mappings.filter_map(|(mapping, content)| {
            let is_data = mapping.region_type == RegionType::Global && mapping.permissions.starts_with("rw");
            content.as_deref().filter(|_| is_data).map(|content| (mapping.start, content))
        })
    }

    /// The word at an address; `None` if it was not read.
    fn word(self, address: u64) -> Option<u64> {
        number(self.snapshot.bytes_at(address).get(..self.word_size as usize)?)
    }

    /// The word at an address, in bytes that start with it.
    fn word_in(self, bytes: &[u8], offset: usize) -> Option<u64> {
        number(bytes.get(offset..)?.get(..self.word_size as usize)?)
    }

    /// Size of the header of a chunk.
    fn header_size(self) -> u64 {
        2 * self.word_size
    }

    /// Size of the smallest chunk.
    fn size_min(self) -> u64 {
        4 * self.word_size
    }

    /// The address of the first chunk at or after an address.
    fn chunk_from(self, address: u64) -> Option<u64> {
        let content = address.checked_add(self.header_size())?.checked_next_multiple_of(ALIGNMENT)?;
        Some(content - self.header_size())
    }

    /// Adds the chunks of a heap, from its first one up to the top of the arena, the end of the heap, or the first one
    /// that contradicts its neighbour. Returns whether the top was reached.
    fn follow(self, arena: Arena, first: u64, chunks: &mut Vec<Chunk>) -> bool {
        let (word, header) = (self.word_size, self.header_size());
        let mut address = first;
        // No other chunk is before the first one.
        let mut is_previous_used = true;
        loop {
            let Some(head) = address.checked_add(word).and_then(|at| self.word(at)) else { return false };
            let size = head & !FLAGS;
            let is_consistent = (head & IS_PREVIOUS_USED != 0) == is_previous_used && head & IS_MAPPED == 0;
            // A heap that is not the last one of its arena ends with two headers alone.
            if size < self.size_min() || !is_consistent {
                return false;
            }
            let mut chunk = Chunk {
                address: address + header,
                size: size - word,
                arena: Some(arena.address),
                state: ChunkState::InUse,
            };
            if address == arena.top {
                chunks.push(Chunk { size: size - header, state: ChunkState::Top, ..chunk });
                return true;
            }
            if !size.is_multiple_of(ALIGNMENT) {
                return false;
            }
            let Some(next) = address.checked_add(size) else { return false };
            let Some(next_head) = next.checked_add(word).and_then(|at| self.word(at)) else { return false };
            is_previous_used = next_head & IS_PREVIOUS_USED != 0;
            if !is_previous_used {
                if self.word(next) != Some(size) {
                    return false;
                }
                chunk.state = ChunkState::Free;
            }
            chunks.push(chunk);
            address = next;
        }
    }
}

/// A little-endian number.
fn number(bytes: &[u8]) -> Option<u64> {
    let mut value = [0; 8];
    value.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(value))
}
