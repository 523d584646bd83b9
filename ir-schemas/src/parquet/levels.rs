//! Levels: which values of a page are null, and where its lists begin.
//!
//! A column that is not a list has a definition level for each row: 0 is null, 1 a value. A list that is never null has
//! two levels for each of its elements, or for itself if it is empty. The repetition level is 0 for the first and 1 for
//! another element, the definition level 0 for an empty list and 1 for an element.
//!
//! Source: Parquet format, "Nested encoding", and "Run length encoding / bit-packing hybrid".

use super::delta_binary_packed::push_varint;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, NullBuffer};

/// The levels of a page.
pub(super) struct Levels {
    /// Encoded levels, each after its size. A column that is required has none.
    pub(super) encoded: Vec<u8>,
    /// Number of levels of a kind.
    pub(super) count: usize,
    /// Number of nulls and empty lists.
    pub(super) null_count: usize,
}

impl Levels {
    /// The levels of a page of a column, which may be nullable or a list.
    pub(super) fn of(page: &ArrayRef, is_nullable: bool) -> Self {
        match page.as_list_opt::<i32>() {
            Some(lists) => Self::of_lists(lists.value_offsets()),
            None => {
                let mut encoded = Vec::new();
                if is_nullable {
                    push_sized(&mut encoded, &nulls(page.len(), page.nulls()));
                }
                Self { encoded, count: page.len(), null_count: page.null_count() }
            }
        }
    }

    fn of_lists(offsets: &[i32]) -> Self {
        let lengths = || offsets.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
        let null_count = lengths().filter(|length| *length == 0).count();
        let first = |length: usize| std::iter::once(false).chain((1..length).map(|_| true));
        let repetition: BooleanBuffer = lengths().flat_map(first).collect();
        let is_element = |length: usize| (0..length.max(1)).map(move |_| length > 0);
        let definition: BooleanBuffer = lengths().flat_map(is_element).collect();
        let mut encoded = Vec::new();
        push_sized(&mut encoded, &bits(&repetition));
        push_sized(&mut encoded, &bits(&definition));
        Self { encoded, count: definition.len(), null_count }
    }
}

/// Levels of 0 (null) or 1.
fn nulls(rows: usize, nulls: Option<&NullBuffer>) -> Vec<u8> {
    match nulls {
        Some(nulls) if nulls.null_count() == rows => run(rows, 0),
        Some(nulls) if nulls.null_count() > 0 => bits(nulls.inner()),
        _ => run(rows, 1),
    }
}

/// Levels of 0 or 1 as one bit-packed run.
fn bits(levels: &BooleanBuffer) -> Vec<u8> {
    let bytes = levels.len().div_ceil(8);
    let mut encoded = Vec::new();
    push_varint(&mut encoded, (bytes as u64) << 1 | 1);
    encoded.extend_from_slice(&levels.sliced()[..bytes]);
    encoded
}

/// A run of `count` equal levels of one bit.
fn run(count: usize, value: u8) -> Vec<u8> {
    let mut encoded = Vec::new();
    push_run(&mut encoded, count, value);
    encoded
}

/// Appends a run of `count` equal values of one bit.
pub(super) fn push_run(out: &mut Vec<u8>, count: usize, value: u8) {
    push_varint(out, (count as u64) << 1);
    out.push(value);
}

fn push_sized(out: &mut Vec<u8>, levels: &[u8]) {
    out.extend_from_slice(&(levels.len() as u32).to_le_bytes());
    out.extend_from_slice(levels);
}
