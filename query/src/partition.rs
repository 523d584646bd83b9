//! Divides a table into partitions that follow its order: `(work per input, partitions) -> slices per partition`.
//!
//! *Problem.* Several threads read a table. The concatenation of their partitions must be the table in its own order, and
//! the division must be made before any executable is analyzed, so before the number of its chunks is known.
//!
//! *Notation.* A chunk is a part of a table that is computed or read as a whole. The work of an input is an estimate: the
//! bytes of the table in a dataset, or the size of an executable. Concatenated, the inputs form a line whose length is all work.
//!
//! *Algorithm.* The line is cut into `partitions` pieces of equal length. A piece that overlaps an input is a slice of it,
//! `start..end` on the input's own line. When the input's chunks are known, `count` of them, each end of a slice is scaled
//! to `count` and rounded down ([`PartitionSlice::chunks`]).
//!
//! *Invariant.* Adjacent slices share their cut, so every chunk is in exactly one slice, and slices are in order.
//!
//! Not hash partitioning: it balances better, but the rows of a partition would no longer be contiguous (see `order.rs`).

use std::ops::Range;

/// The part of one input's rows that one partition reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartitionSlice {
    /// Index of the input.
    pub(crate) input: usize,
    start: u64,
    end: u64,
    /// Work of the whole input.
    work: u64,
}

impl PartitionSlice {
    /// The chunks that belong to the slice, of the input's `count` chunks.
    pub(crate) fn chunks(self, count: usize) -> Range<usize> {
        let scaled = |at: u64| (count as u128 * u128::from(at) / u128::from(self.work)) as usize;
        scaled(self.start)..scaled(self.end)
    }
}

/// Divides inputs, given the work of each, into partitions of equal work.
pub(crate) fn partition(works: &[u64], partitions: usize) -> Vec<Vec<PartitionSlice>> {
    let total: u128 = works.iter().map(|work| u128::from(*work)).sum();
    let cut = |partition: usize| total * partition as u128 / partitions as u128;
    let slices = |partition: usize| {
        let (from, to) = (cut(partition), cut(partition + 1));
        let mut start = 0;
        let mut slices = Vec::new();
        for (input, work) in works.iter().enumerate() {
            let end = start + u128::from(*work);
            if start < to && from < end {
                let (first, last) = (from.max(start) - start, to.min(end) - start);
                slices.push(PartitionSlice { input, start: first as u64, end: last as u64, work: *work });
            }
            start = end;
        }
        slices
    };
    (0..partitions).map(slices).collect()
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn every_chunk_is_in_one_partition_and_partitions_are_in_order() {
        let works = [1, 7, 1_000, 3, 64];
        let counts = [1, 5, 3, 0, 17];
        let expected: Vec<_> =
            (0..works.len()).flat_map(|input| (0..counts[input]).map(move |chunk| (input, chunk))).collect();
        for partitions in 1..12 {
            let slices = partition(&works, partitions);
            assert_eq!(slices.len(), partitions);
            let chunks = slices
                .iter()
                .flatten()
                .flat_map(|slice| slice.chunks(counts[slice.input]).map(|chunk| (slice.input, chunk)));
            assert_eq!(chunks.collect::<Vec<_>>(), expected, "{partitions} partitions");
        }
    }
}
