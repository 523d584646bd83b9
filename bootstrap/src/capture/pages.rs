//! Pages whose content changes from snapshot to snapshot.
//!
//! *Algorithm.* Each page of the memory that was read is digested. A page whose digest differs from that of the previous
//! snapshot has changed: its new content becomes a row, unless another page had the same before, and the row of its
//! old content ends with the previous snapshot.
//!
//! *Cost.* Linear in the memory that was read. Memory: 16 bytes for each page, and 32 for each change and content.

use super::snapshot::ProcessSnapshot;
use binframe_ir::Rows;
use binframe_ir::tables::{MemoryPage, MemoryPageBuilder, MemoryPages, PageContent, PageContentBuilder};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use xxhash_rust::xxh3::xxh3_128;

/// Size of a page in bytes.
pub(super) const PAGE_SIZE: usize = 4096;

/// The pages of a capture so far.
#[derive(Default)]
pub(super) struct Pages {
    /// The digests of the pages of each region, by its start, in the previous snapshot.
    digests: BTreeMap<u64, Vec<u128>>,
    /// The numbers of the contents that have a row, by digest.
    contents: HashMap<u128, u64>,
    /// Changed pages whose content has not changed again: the snapshot since which, and the number of the content.
    open: BTreeMap<u64, (u32, u64)>,
    /// Address, first snapshot, last snapshot, content.
    closed: Vec<(u64, u32, u32, u64)>,
}

/// What a snapshot changes.
pub(super) struct Changes {
    /// For each mapping whether the previous snapshots had it, so that its content need not be written whole.
    pub(super) is_known: Vec<bool>,
    /// Bytes of the pages that are new or changed.
    pub(super) bytes: u64,
}

impl Pages {
    /// Compares a snapshot with the previous one. `push` gets each new content with its number.
    pub(super) fn compare(
        &mut self,
        snapshot_id: u32,
        snapshot: &ProcessSnapshot,
        mut push: impl FnMut(u64, u128, &[u8]),
    ) -> Changes {
        let digests: Vec<Vec<u128>> = snapshot
            .contents
            .par_iter()
            .map(|content| {
                let pages = content.as_deref().unwrap_or_default().par_chunks(PAGE_SIZE).with_min_len(64);
                pages.map(xxh3_128).collect()
            })
            .collect();
        let mut before = std::mem::take(&mut self.digests);
        let mut changes = Changes { is_known: Vec::new(), bytes: 0 };
        for ((mapping, content), digests) in snapshot.mappings.iter().zip(&snapshot.contents).zip(digests) {
            let old = before.remove(&mapping.start);
            changes.is_known.push(old.is_some());
            let Some(content) = content.as_deref() else {
                if let Some(old) = old {
                    self.close(mapping.start, old.len(), snapshot_id);
                }
                continue;
            };
            if let Some(old) = &old {
                for (index, page) in content.chunks(PAGE_SIZE).enumerate() {
                    if old.get(index) == Some(&digests[index]) {
                        continue;
                    }
                    changes.bytes += page.len() as u64;
                    let address = mapping.start + (index * PAGE_SIZE) as u64;
                    self.close(address, 1, snapshot_id);
                    let next = self.contents.len() as u64;
                    let content_id = *self.contents.entry(digests[index]).or_insert(next);
                    if content_id == next {
                        push(content_id, digests[index], page);
                    }
                    self.open.insert(address, (snapshot_id, content_id));
                }
                let end = mapping.start + (digests.len() * PAGE_SIZE) as u64;
                self.close(end, old.len().saturating_sub(digests.len()), snapshot_id);
            } else {
                changes.bytes += content.len() as u64;
            }
            self.digests.insert(mapping.start, digests);
        }
        for (start, old) in before {
            self.close(start, old.len(), snapshot_id);
        }
        changes
    }

    /// Ends the rows of pages with the snapshot before this one.
    fn close(&mut self, address: u64, pages: usize, snapshot_id: u32) {
        let end = address.saturating_add((pages * PAGE_SIZE) as u64);
        let addresses: Vec<u64> = self.open.range(address..end).map(|(address, _)| *address).collect();
        for address in addresses {
            if let Some((from, content)) = self.open.remove(&address) {
                self.closed.push((address, from, snapshot_id - 1, content));
            }
        }
    }

    /// The rows of all changed pages, after the last snapshot.
    pub(super) fn finish(mut self, last_snapshot: u32) -> Rows<MemoryPages> {
        let open =
            self.open.iter().map(|(address, (from, content))| (*address, *from, last_snapshot, *content));
        self.closed.extend(open);
        self.closed.sort_unstable();
        let mut rows = MemoryPageBuilder::default();
        for (address, from_snapshot, until_snapshot, content_id) in self.closed {
            let size = PAGE_SIZE as u32;
            rows.push(MemoryPage { address, size, from_snapshot, until_snapshot, content_id });
        }
        rows.finish()
    }
}

/// Appends a row of `page_contents`.
pub(super) fn push_content(
    rows: &mut PageContentBuilder,
    (content_id, digest): (u64, u128),
    page: Option<&[u8]>,
) {
    rows.push(PageContent { content_id, content: page, content_hash: &format!("{digest:032x}") });
}
