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
//! *Termination.* Chunks follow each other at ascending addresses. A list is followed only through chunks that were
//! found and not met before. The number of arenas, and of heaps of an arena, is bounded.
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
mod memory;

use self::arenas::main_arenas;
use self::memory::{Chunk, Memory};
use super::snapshot::ProcessSnapshot;
use binframe_ir::tables::Architecture;

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
            heap.arena.follow(memory, heap.first_chunk, &mut chunks);
        }
        // Heaps of different arenas are apart, unless memory is damaged.
        chunks[first..].sort_by_key(|chunk| chunk.address);
        let own = &mut chunks[first..];
        for arena in &arenas {
            lists::mark_fast_bins(memory, arena, own);
        }
        lists::mark_thread_caches(memory, own);
        if let Some(main) = heaps.iter().find(|heap| heap.arena == main) {
            chunks.extend(mapped::chunks(memory, main.start, &heaps));
        }
    }
    chunks.sort_by_key(|chunk| chunk.address);
    chunks.dedup_by(|next, before| next.address < before.address.saturating_add(before.size));
    chunks
}
