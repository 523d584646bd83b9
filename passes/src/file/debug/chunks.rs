//! Splits a list into chunks of similar size, for parallel work.

use std::ops::Range;

/// Ranges of consecutive items whose sizes sum up to at most `size_max`; a larger item is a range of its own.
pub(super) fn chunks<T>(items: &[T], size_max: u64, size: impl Fn(&T) -> u64) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let (mut start, mut total) = (0, 0);
    for (position, item) in items.iter().enumerate() {
        let size = size(item);
        if position > start && total + size > size_max {
            chunks.push(start..position);
            (start, total) = (position, 0);
        }
        total += size;
    }
    if start < items.len() {
        chunks.push(start..items.len());
    }
    chunks
}
