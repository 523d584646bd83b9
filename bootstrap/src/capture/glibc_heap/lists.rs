//! Free chunks whose neighbours count them as used: those of fast bins and of the caches of threads.
//!
//! *Algorithm.* Both are lists of chunks of one size, linked through their memory. Since glibc 2.32 a link is combined
//! with its own address, shifted by the bits of a page; which form a link has is told by where it leads. The cache of a
//! thread (`struct tcache_perthread_struct`) is a used chunk itself: for each size it has the number of chunks, or
//! since version 2.42 of those that fit in addition, and the first chunk. It is recognized by its size, and because all
//! of its numbers and lists agree.

use super::arenas::Arena;
use super::memory::{ALIGNMENT, Chunk, Memory, number};
use binframe_ir::tables::ChunkState;

const PAGE_BITS: u32 = 12;

/// Sizes of cached chunks that are one step apart; larger ones share lists.
const SMALL_COUNT: usize = 64;

/// Number of lists in the cache of a thread and size of their lengths: 2.26, 2.30, 2.42.
const CACHES: [(usize, usize); 3] = [(64, 1), (64, 2), (76, 2)];

/// Marks the chunks in the fast bins of an arena.
pub(super) fn mark_fast_bins(memory: Memory<'_>, arena: &Arena, chunks: &mut [Chunk]) {
    for head in arena.fast_bins(memory) {
        let Some(first) = memory.word(head) else { continue };
        // Fast bins lead to chunks, caches to the memory in them.
        let offset = memory.header_size();
        let members = members(memory, (first, offset), chunks, chunks.len(), |chunk| {
            chunk.state == ChunkState::InUse && chunk.arena == Some(arena.address)
        });
        for index in members {
            chunks[index].state = ChunkState::FastBin;
        }
    }
}

/// Marks the chunks in the caches of threads.
pub(super) fn mark_thread_caches(memory: Memory<'_>, chunks: &mut [Chunk]) {
    for index in 0..chunks.len() {
        let chunk = chunks[index];
        for (lists, length_size) in CACHES {
            let size = (lists * (length_size + memory.word_size as usize)) as u64;
            let usable = (size + memory.word_size).next_multiple_of(ALIGNMENT) - memory.word_size;
            if chunk.state == ChunkState::InUse && chunk.size == usable {
                let cached = cached(memory, chunk.address, (lists, length_size), chunks);
                for index in cached {
                    chunks[index].state = ChunkState::ThreadCache;
                }
            }
        }
    }
}

/// The chunks in the lists of a cache; none if it is not one.
fn cached(
    memory: Memory<'_>,
    cache: u64,
    (lists, length_size): (usize, usize),
    chunks: &[Chunk],
) -> Vec<usize> {
    let bytes = memory.snapshot.bytes_at(cache);
    let mut found = Vec::new();
    let (mut are_lengths, mut are_rests) = (true, true);
    let mut capacity = None;
    for list in 0..lists {
        let length = bytes.get(list * length_size..(list + 1) * length_size).and_then(number);
        let first = memory.word_in(bytes, lists * length_size + list * memory.word_size as usize);
        let (Some(length), Some(first)) = (length, first) else { return Vec::new() };
        let usable = memory.size_min() + list as u64 * ALIGNMENT - memory.word_size;
        let is_large = list >= SMALL_COUNT;
        let own = members(memory, (first, 0), chunks, usize::from(u16::MAX), |chunk| {
            chunk.state == ChunkState::InUse && (is_large || chunk.size == usable)
        });
        // A list that leads to memory that was not read is shorter.
        are_lengths &= (first == 0) == (length == 0) && own.len() as u64 <= length;
        if !is_large {
            let sum = length + own.len() as u64;
            are_rests &= *capacity.get_or_insert(sum) == sum;
        }
        found.extend(own);
    }
    if are_lengths || are_rests { found } else { Vec::new() }
}

/// The chunks of a list that satisfy a condition, up to the first that does not. Links are in the memory of chunks, and
/// lead to it less `offset`.
fn members(
    memory: Memory<'_>,
    (first, offset): (u64, u64),
    chunks: &[Chunk],
    length_max: usize,
    is_member: impl Fn(&Chunk) -> bool,
) -> Vec<usize> {
    let chunk_at = |link: u64| {
        let address = link.checked_add(offset)?;
        let index = chunks.binary_search_by_key(&address, |chunk| chunk.address).ok()?;
        is_member(&chunks[index]).then_some(index)
    };
    let mut found = Vec::new();
    let mut next = chunk_at(first);
    while let Some(index) = next
        && found.len() < length_max
    {
        found.push(index);
        let address = chunks[index].address;
        next = memory.word(address).and_then(|link| {
            let revealed = link ^ (address >> PAGE_BITS);
            if revealed == 0 { None } else { chunk_at(revealed).or_else(|| chunk_at(link)) }
        });
    }
    found
}
