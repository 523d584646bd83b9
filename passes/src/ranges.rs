//! Sorted, disjoint ranges.

use std::ops::Range;

/// Sorts ranges, and merges those that overlap or touch.
pub fn merge<T: Copy + Ord>(ranges: &mut Vec<Range<T>>) {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, range| {
        let is_apart = next.start > range.end;
        range.end = if is_apart { range.end } else { range.end.max(next.end) };
        !is_apart
    });
}
