//! Pages whose content changes from snapshot to snapshot.
//!
//! *Algorithm.* Each page that was read is digested. A page whose digest differs from that of the previous snapshot has
//! changed: its new content becomes a row, unless another page had the same before, and the row of its old content ends
//! with the previous snapshot. A page that was not read, in a mapping of which only written pages were read, has not changed.
//!
//! *Cost.* Linear in the memory that was read, and in the number of pages. Memory: 32 bytes for each page, for
//! each changed page and for each remembered content.

use super::content::PAGE_SIZE;
use super::mappings::Mapping;
use super::snapshot::ProcessSnapshot;
use binframe_ir::tables::{MemoryPage, PageContent, PageContentBuilder};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The largest content of a region that is written whole, in bytes: a value of Arrow has less than 2 GiB.
const CONTENT_MAX: u64 = 1 << 30;

/// Contents that are remembered after a snapshot, unless pages have more: those of 4 GiB.
const CONTENTS_MAX: usize = 1 << 20;

/// The digest of each page; `None` for one that was not read.
type Digests = Vec<Option<u128>>;

/// The pages of a capture so far.
#[derive(Default)]
pub(super) struct Pages {
    /// The digests of the pages of each mapping, by its start, in the previous snapshot.
    digests: BTreeMap<u64, Digests>,
    /// The numbers of contents that have a row, by digest.
    contents: HashMap<u128, u64>,
    /// Number of contents that have a row.
    content_count: u64,
    /// Changed pages whose content has not changed again: the snapshot since which, and the number of the content.
    open: BTreeMap<u64, (u32, u64)>,
    /// Rows that ended with the previous snapshot.
    closed: Vec<MemoryPage>,
}

/// What a snapshot changes.
pub(super) struct Changes {
    /// For each mapping whether its content is in pages: the previous snapshot had pages of it, or it is too large for one
    /// value.
    pub(super) is_in_pages: Vec<bool>,
    /// For each mapping that was read, a digest of its content.
    pub(super) hashes: Vec<Option<u128>>,
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
        let mut digests = BTreeMap::new();
        let mut changes = Changes { is_in_pages: Vec::new(), hashes: Vec::new(), bytes: 0 };
        for (mapping, content) in snapshot.mappings.iter().zip(&snapshot.contents) {
            let Some(content) = content else {
                changes.is_in_pages.push(false);
                changes.hashes.push(None);
                continue;
            };
            let mut own = self.known(mapping);
            let is_in_pages = content.size() > CONTENT_MAX || own.iter().any(Option::is_some);
            let pages = content.pages();
            let read: Vec<u128> = pages.par_iter().with_min_len(64).map(|(_, page)| xxh3_128(page)).collect();
            for ((number, page), digest) in pages.into_iter().zip(read) {
                if own.len() <= number {
                    own.resize(number + 1, None);
                }
                if own[number].replace(digest) == Some(digest) {
                    continue;
                }
                changes.bytes += page.len() as u64;
                if is_in_pages {
                    let address = mapping.start + (number * PAGE_SIZE) as u64;
                    self.change(address, snapshot_id, digest, |content_id| push(content_id, digest, page));
                }
            }
            if let Some(whole) = content.as_whole() {
                own.truncate(whole.len().div_ceil(PAGE_SIZE));
            }
            changes.is_in_pages.push(is_in_pages);
            changes.hashes.push(Some(digest_of(&own)));
            digests.insert(mapping.start, own);
        }
        self.digests = digests;
        self.close_absent(snapshot_id);
        if self.contents.len() > CONTENTS_MAX {
            self.forget_contents();
        }
        changes
    }

    /// The digests that the pages of a mapping had in the previous snapshot, up to the last page that had one.
    fn known(&self, mapping: &Mapping) -> Digests {
        let mut known = Digests::new();
        let before = self.digests.range(..mapping.start).next_back();
        for (start, digests) in before.into_iter().chain(self.digests.range(mapping.start..mapping.end)) {
            let address = |number: usize| start.saturating_add((number * PAGE_SIZE) as u64);
            let first = mapping.start.saturating_sub(*start) as usize / PAGE_SIZE;
            for (number, digest) in digests.iter().enumerate().skip(first) {
                if address(number) >= mapping.end {
                    break;
                }
                let own = (address(number) - mapping.start) as usize / PAGE_SIZE;
                known.resize(own, None);
                known.push(*digest);
            }
        }
        known
    }

    /// A page has another content from a snapshot on. `push` gets the number of a content that is new.
    fn change(&mut self, address: u64, snapshot_id: u32, digest: u128, push: impl FnOnce(u64)) {
        let next = self.content_count;
        let content_id = *self.contents.entry(digest).or_insert(next);
        if content_id == next {
            self.content_count += 1;
            push(content_id);
        }
        if let Some((from, before)) = self.open.insert(address, (snapshot_id, content_id)) {
            self.closed.push(row(address, from, snapshot_id - 1, before));
        }
    }

    /// Ends the rows of pages that are no longer there.
    fn close_absent(&mut self, snapshot_id: u32) {
        let digests = &self.digests;
        let is_there = |address: u64| {
            digests.range(..=address).next_back().is_some_and(|(start, digests)| {
                let number = (address - start) as usize / PAGE_SIZE;
                digests.get(number).is_some_and(Option::is_some)
            })
        };
        let closed = &mut self.closed;
        self.open.retain(|address, (from, content)| {
            let is_there = is_there(*address);
            if !is_there {
                closed.push(row(*address, *from, snapshot_id - 1, *content));
            }
            is_there
        });
    }

    /// Forgets the contents that no page has any more. One that comes again gets another row.
    fn forget_contents(&mut self) {
        let digests = &self.digests;
        let current = self.open.iter().filter_map(|(address, (_, content))| {
            let (start, digests) = digests.range(..=address).next_back()?;
            let digest = digests.get((address - start) as usize / PAGE_SIZE)?;
            Some(((*digest)?, *content))
        });
        self.contents = current.collect();
    }

    /// Takes the rows that ended with the previous snapshot, as they are sorted in the table.
    pub(super) fn take_closed(&mut self) -> Vec<MemoryPage> {
        let mut closed = std::mem::take(&mut self.closed);
        closed.sort_unstable_by_key(|row| row.address);
        closed
    }

    /// The rows of the pages that have their content in the last snapshot.
    pub(super) fn finish(self, last_snapshot: u32) -> impl Iterator<Item = MemoryPage> {
        let open = self.open.into_iter();
        open.map(move |(address, (from, content))| row(address, from, last_snapshot, content))
    }
}

fn row(address: u64, from_snapshot: u32, until_snapshot: u32, content_id: u64) -> MemoryPage {
    MemoryPage { address, size: PAGE_SIZE as u32, from_snapshot, until_snapshot, content_id }
}

/// The digest of a mapping: that of the digests of its pages.
fn digest_of(pages: &Digests) -> u128 {
    let mut hasher = Xxh3::new();
    for page in pages {
        hasher.update(&page.unwrap_or(0).to_le_bytes());
    }
    hasher.digest128()
}

/// Appends a row of `page_contents`.
pub(super) fn push_content(
    rows: &mut PageContentBuilder,
    (content_id, digest): (u64, u128),
    page: Option<&[u8]>,
) {
    rows.push(PageContent { content_id, content: page, content_hash: &format!("{digest:032x}") });
}
