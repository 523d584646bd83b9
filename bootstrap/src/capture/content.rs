//! The content of a mapping, as far as it was read.

use std::ops::Range;

/// Size of a page in bytes.
pub(super) const PAGE_SIZE: usize = 4096;

/// The content of a mapping: from its start on, or of those pages that may have changed since the previous snapshot.
pub(super) struct Content {
    /// Offsets in the mapping, sorted. Their bytes follow each other in `bytes`.
    parts: Vec<Range<u64>>,
    bytes: Vec<u8>,
    is_whole: bool,
}

impl Content {
    /// The content from the start of a mapping on; `None` if there is none.
    pub(super) fn whole(bytes: Vec<u8>) -> Option<Self> {
        let range = 0..bytes.len() as u64;
        (!bytes.is_empty()).then(|| Self { parts: vec![range], bytes, is_whole: true })
    }

    /// The content of some pages.
    pub(super) fn partial(parts: Vec<Range<u64>>, bytes: Vec<u8>) -> Self {
        Self { parts, bytes, is_whole: false }
    }

    /// All bytes from the start of the mapping on; `None` if only some pages were read.
    pub(super) fn as_whole(&self) -> Option<&[u8]> {
        self.is_whole.then_some(&self.bytes)
    }

    /// Number of bytes that were read.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes from an offset in the mapping on; empty if they were not read.
    pub(super) fn bytes_from(&self, offset: u64) -> &[u8] {
        let mut start = 0;
        for part in &self.parts {
            let size = (part.end - part.start) as usize;
            if part.contains(&offset) {
                return &self.bytes[start + (offset - part.start) as usize..start + size];
            }
            start += size;
        }
        &[]
    }

    /// The pages with their numbers in the mapping. The last one may be cut.
    pub(super) fn pages(&self) -> Vec<(usize, &[u8])> {
        let mut pages = Vec::with_capacity(self.bytes.len().div_ceil(PAGE_SIZE));
        let mut rest = self.bytes.as_slice();
        for part in &self.parts {
            let (own, after) = rest.split_at((part.end - part.start) as usize);
            rest = after;
            let first = part.start as usize / PAGE_SIZE;
            pages.extend((first..).zip(own.chunks(PAGE_SIZE)));
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_offsets() {
        let page = PAGE_SIZE as u64;
        let bytes: Vec<u8> = (1..=3).flat_map(|number| [number; PAGE_SIZE]).collect();
        let content = Content::partial(vec![page..2 * page, 4 * page..6 * page], bytes);
        assert_eq!(content.bytes_from(0), b"");
        assert_eq!(content.bytes_from(page + 1).first(), Some(&1));
        assert_eq!(content.bytes_from(4 * page).len(), 2 * PAGE_SIZE);
        let pages: Vec<_> = content.pages().iter().map(|(number, page)| (*number, page[0])).collect();
        assert_eq!(pages, [(1, 1), (4, 2), (5, 3)]);
        assert!(content.as_whole().is_none());
    }
}
