//! `(memory_regions, memory_pages, page_contents) -> memory of a captured process at its last snapshot`.
//!
//! *Algorithm.* The content of a region is the one that was written for its addresses last, before the pages of it that
//! changed. Rows are read part by part, and what the last snapshot no longer has is dropped.
//!
//! *Memory.* In proportion to the last snapshot, not to the series.

use crate::inputs::Inputs;
use binframe::Error;
use binframe::ir::tables::{MemoryPages, MemoryRegions, PageContents};
use binframe::ir::{Rows, Table};
use std::collections::{BTreeMap, HashMap};

/// A region and its content, as far as it was captured.
#[derive(Debug)]
pub(super) struct CapturedRegion {
    pub(super) start: u64,
    end: u64,
    /// Its type.
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

impl CapturedRegion {
    /// Takes over the bytes at an address, as far as the region has them. Its content has no holes.
    fn write(&mut self, address: u64, bytes: &[u8]) {
        let skipped = self.start.saturating_sub(address);
        let bytes =
            usize::try_from(skipped).ok().and_then(|skipped| bytes.get(skipped..)).unwrap_or_default();
        let offset = (address + skipped - self.start) as usize;
        let room = usize::try_from(self.end - self.start).unwrap_or(usize::MAX).saturating_sub(offset);
        let bytes = &bytes[..bytes.len().min(room)];
        if offset <= self.content.len() && !bytes.is_empty() {
            let end = offset + bytes.len();
            self.content.resize(self.content.len().max(end), 0);
            self.content[offset..end].copy_from_slice(bytes);
        }
    }
}

/// The regions of the last snapshot whose content was captured, sorted by address.
pub(super) fn read(inputs: &Inputs, input: usize, binary: &str) -> Result<Vec<CapturedRegion>, Error> {
    let (mut regions, last_snapshot) = last_regions(inputs, input, binary)?;
    let columns = ["start_address", "content_snapshot"];
    for_each_part::<MemoryRegions>(inputs, input, binary, &columns, |rows| {
        for row in rows.columns().iter() {
            if let (Some(start), Some(content)) = (row.start_address, row.content_snapshot) {
                write(&mut regions, start, content);
            }
        }
    })?;
    let mut changed: HashMap<u64, Vec<u64>> = HashMap::new();
    let columns = ["address", "until_snapshot", "content_id"];
    for_each_part::<MemoryPages>(inputs, input, binary, &columns, |rows| {
        for row in rows.columns().iter().filter(|row| row.until_snapshot == last_snapshot) {
            changed.entry(row.content_id).or_default().push(row.address);
        }
    })?;
    let mut pages: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for_each_part::<PageContents>(inputs, input, binary, &["content_id", "content"], |rows| {
        for row in rows.columns().iter() {
            let (Some(addresses), Some(content)) = (changed.get(&row.content_id), row.content) else {
                continue;
            };
            pages.extend(addresses.iter().map(|address| (*address, content.to_vec())));
        }
    })?;
    // In the order of addresses, because a region may have grown by several pages.
    for (address, content) in pages {
        write(&mut regions, address, &content);
    }
    Ok(regions.into_values().collect())
}

/// The regions of the last snapshot by address, without their content, and its number.
fn last_regions(
    inputs: &Inputs,
    input: usize,
    binary: &str,
) -> Result<(BTreeMap<u64, CapturedRegion>, u32), Error> {
    let (mut regions, mut last) = (BTreeMap::new(), 0);
    let columns = ["type", "start_address", "end_address", "snapshot_id", "content_hash"];
    for_each_part::<MemoryRegions>(inputs, input, binary, &columns, |rows| {
        for row in rows.columns().iter() {
            if row.snapshot_id > last {
                (regions, last) = (BTreeMap::new(), row.snapshot_id);
            }
            let (Some(start), Some(end)) = (row.start_address, row.end_address) else { continue };
            if row.snapshot_id == last && row.content_hash.is_some() && start < end {
                let name = row.r#type.to_owned();
                regions.insert(start, CapturedRegion { start, end, name, content: Vec::new() });
            }
        }
    })?;
    Ok((regions, last))
}

/// Writes bytes to all regions that have some of their addresses.
fn write(regions: &mut BTreeMap<u64, CapturedRegion>, address: u64, bytes: &[u8]) {
    let end = address.saturating_add(bytes.len() as u64);
    let first = regions.range(..=address).next_back().map_or(address, |(start, _)| *start);
    for (_, region) in regions.range_mut(first..end.max(first)) {
        if region.end > address {
            region.write(address, bytes);
        }
    }
}

/// Reads some columns of a table, part by part.
fn for_each_part<T: Table>(
    inputs: &Inputs,
    input: usize,
    binary: &str,
    columns: &[&str],
    mut read: impl FnMut(&Rows<T>),
) -> Result<(), Error> {
    for part in inputs.parts_of(input, binary, T::INFO)? {
        read(&Rows::from_batch(part.rows_for(columns)?).expect("parts are of the requested table"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_take_over_what_was_written_at_their_addresses() {
        let region = |start, end| CapturedRegion { start, end, name: String::new(), content: Vec::new() };
        let mut regions = BTreeMap::from([(10, region(10, 14)), (14, region(14, 20))]);
        // Both were one region, of which the second has grown since, by more than one page.
        write(&mut regions, 10, &[1, 2, 3, 4, 5, 6]);
        write(&mut regions, 13, &[7, 8]);
        write(&mut regions, 16, &[9]);
        write(&mut regions, 19, &[9]);
        write(&mut regions, 30, &[9]);
        assert_eq!(regions[&10].content, [1, 2, 3, 7]);
        assert_eq!(regions[&14].content, [8, 6, 9]);
    }
}
