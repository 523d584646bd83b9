//! Chunks that are mappings of their own.
//!
//! *Algorithm.* Such a chunk has a flag, and the distance from the start of its mapping in place of the size of the
//! previous chunk. The system may join its mapping with others, so each page is looked at. Data may look like a chunk:
//! all chunks count only if they are no more than the allocator counts (`struct malloc_par`). These numbers are stored
//! just before the start of the main heap, by which they are found.

use super::arenas::Heap;
use super::memory::{ALIGNMENT, Chunk, FLAGS, IS_MAPPED, Memory, number};
use crate::capture::content;
use crate::capture::mappings::{Mapping, Origin};
use binframe_ir::tables::ChunkState;
use std::ops::Range;

const PAGE_SIZE: u64 = content::PAGE_SIZE as u64;

/// Powers of two by which memory may be aligned within a page, if by more than all chunks.
const ALIGNMENT_BITS: Range<u32> = 5..12;

/// The mapped chunks, given the start of the main heap.
pub(super) fn chunks(memory: Memory<'_>, main_start: u64, heaps: &[Heap]) -> Vec<Chunk> {
    let Some((count, size)) = counted(memory, main_start) else { return Vec::new() };
    let mut found = Vec::new();
    let mut found_size = 0_u64;
    for mapping in memory.snapshot.mappings.iter().filter(|mapping| is_possible(mapping)) {
        let mut page = mapping.start;
        while page < mapping.end && found.len() as u64 <= count {
            let heap = heaps.iter().find(|heap| (heap.start..heap.end).contains(&page));
            page = if let Some(heap) = heap {
                heap.end.next_multiple_of(PAGE_SIZE)
            } else if let Some((chunk, end)) = chunk_in_page(memory, page, mapping) {
                found.push(chunk);
                found_size = found_size.saturating_add(end - page);
                end
            } else {
                page + PAGE_SIZE
            };
        }
    }
    if found.len() as u64 > count || found_size > size { Vec::new() } else { found }
}

fn is_possible(mapping: &Mapping) -> bool {
    let has_no_file = matches!(mapping.origin, Origin::Anonymous | Origin::FileZeros(_));
    has_no_file && mapping.permissions.starts_with("rw")
}

/// The chunk whose mapping starts with a page, and the end of that mapping.
fn chunk_in_page(memory: Memory<'_>, page: u64, mapping: &Mapping) -> Option<(Chunk, u64)> {
    let header = memory.header_size();
    let size_at = |distance: u64| {
        let start = page.checked_add(distance)?;
        let (before, head) = (memory.word(start)?, memory.word(start + memory.word_size)?);
        (before == distance && head & FLAGS == IS_MAPPED).then_some(head & !FLAGS)
    };
    let first = ALIGNMENT - header;
    let end = page.checked_add(first)?.checked_add(size_at(first)?)?;
    if !end.is_multiple_of(PAGE_SIZE) || end > mapping.end || end - page <= first + header {
        return None;
    }
    // Memory with a greater alignment has a second header, and the first one stays as it was.
    let within_page = ALIGNMENT_BITS.map(|bits| 1 << bits);
    let after_pages = (1..).map(|pages| pages * PAGE_SIZE);
    let distances = within_page.chain(after_pages).map(|distance: u64| distance - header);
    let mut inside = distances.take_while(|distance| *distance < end - page - header);
    let second = inside.find(|distance| size_at(*distance) == Some(end - page - distance));
    let address = page + second.unwrap_or(first) + header;
    Some((Chunk { address, size: end - address, arena: None, state: ChunkState::Mapped }, end))
}

/// Number and size of the mapped chunks, as the allocator counts them.
fn counted(memory: Memory<'_>, main_start: u64) -> Option<(u64, u64)> {
    memory.data().find_map(|(_, content)| {
        let offsets = (0..content.len()).step_by(memory.word_size as usize);
        let mut starts = offsets.filter(|offset| memory.word_in(content, *offset) == Some(main_start));
        starts.find_map(|offset| counted_before(memory, content, offset))
    })
}

/// The numbers before the start of the heap: of mappings now, at most, and in all so far, whether the threshold is
/// fixed, perhaps a gap, and bytes now and in all so far.
fn counted_before(memory: Memory<'_>, content: &[u8], heap_start: usize) -> Option<(u64, u64)> {
    let word = memory.word_size as usize;
    let size_at = heap_start.checked_sub(2 * word)?;
    let (size, size_max) = (memory.word_in(content, size_at)?, memory.word_in(content, size_at + word)?);
    [16, 20].into_iter().find_map(|distance: usize| {
        let numbers = content.get(size_at.checked_sub(distance)?..)?;
        let field = |index: usize| number(numbers.get(4 * index..4 * index + 4)?);
        let (count, limit, count_max, is_fixed) = (field(0)?, field(1)?, field(2)?, field(3)?);
        let is_plausible = count <= limit
            && count <= count_max
            && is_fixed <= 1
            && size <= size_max
            && size.is_multiple_of(PAGE_SIZE)
            && (count == 0) == (size == 0);
        is_plausible.then_some((count, size))
    })
}
