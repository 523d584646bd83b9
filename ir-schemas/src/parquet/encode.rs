//! Column encoder: `(Arrow array) -> pages of a Parquet column chunk`, straight from Arrow's buffers.
//!
//! **Problem.** The Parquet writer hashes every value again to build dictionaries that Arrow arrays already have; this
//! dominated the run time. `cargo bench -p binframe-benches --bench parquet` compares both.
//!
//! **Notation.** A chunk is an optional dictionary page, and data pages (version 1) of [`PAGE_ROWS`] rows.
//!
//! **Algorithm.** By type:
//!
//! - Dictionary arrays, and unsigned integers of up to 32 bits with values below 2^16 and at most 256 distinct ones:
//!   the values in use become the dictionary page (`PLAIN`), their indexes the data pages (`RLE_DICTIONARY`,
//!   bit-packed).
//! - Other integers: `DELTA_BINARY_PACKED`. Booleans: `PLAIN` bits.
//! - Text and bytes: `DELTA_LENGTH_BYTE_ARRAY`. Large values are compressed from the buffer that they are in (Arrow
//!   buffer, mapped file), not copied.
//!
//! Of a list, these are its elements.
//!
//! **Invariants.** Each page with values has bounds. Panics on a type that no column has.
//!
//! **Cost.** Linear in the rows. Memory: the encoded size, plus two bytes per row of a dictionary column.
//!
//! **References.** Parquet format: "Encodings" (plain, dictionary, RLE/bit-packing hybrid) and "Data pages" (version 1).

use super::bounds::Bounds;
use super::delta_binary_packed::{Width, delta_binary_packed, push_bits, push_varint};
use super::levels::push_run;
use crate::values::list_elements;
use arrow_array::types::{
    ArrowDictionaryKeyType, Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, PrimitiveArray, StringArray, cast::AsArray,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer};
use arrow_schema::{DataType, TimeUnit};
use parquet::basic::Encoding;
use std::sync::Arc;

/// Rows of a page. A reader with an index of pages can skip each.
pub(super) const PAGE_ROWS: usize = 20_480;

/// Integer columns with more distinct values than this are smaller in delta encoding.
const DISTINCT_INTEGERS_MAX: usize = 256;

/// The slices of an array that are its pages. An array without rows has one.
pub(super) fn slices(array: &ArrayRef) -> Vec<ArrayRef> {
    if array.len() <= PAGE_ROWS {
        return vec![Arc::clone(array)];
    }
    let slice = |start| array.slice(start, PAGE_ROWS.min(array.len() - start));
    (0..array.len()).step_by(PAGE_ROWS).map(slice).collect()
}

/// The values of a page of a column: of lists the elements, otherwise the page itself.
pub(super) fn values(page: &ArrayRef) -> ArrayRef {
    page.as_list_opt::<i32>().map_or_else(|| Arc::clone(page), list_elements)
}

/// Encodes the values of a column, which are divided into pages.
///
/// # Panics
/// If no column can have the type of the array.
pub(super) fn encode_column<'a>(array: &'a ArrayRef, pages: &'a [ArrayRef]) -> EncodedColumn<'a> {
    match array.data_type() {
        DataType::Dictionary(key, _) if **key == DataType::UInt8 => names::<UInt8Type>(array, pages),
        DataType::Dictionary(key, _) if **key == DataType::UInt16 => names::<UInt16Type>(array, pages),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => names::<Int32Type>(array, pages),
        DataType::UInt8 => few_integers::<UInt8Type>(array, pages),
        DataType::UInt16 => few_integers::<UInt16Type>(array, pages),
        DataType::UInt32 => few_integers::<UInt32Type>(array, pages),
        DataType::Int32 => integers::<Int32Type>(pages),
        DataType::UInt64 => integers::<UInt64Type>(pages),
        DataType::Int64 => integers::<Int64Type>(pages),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => integers::<TimestampNanosecondType>(pages),
        DataType::Boolean => EncodedColumn::of(Encoding::PLAIN, pages.iter().map(booleans)),
        DataType::Utf8 => EncodedColumn::of(Encoding::DELTA_LENGTH_BYTE_ARRAY, pages.iter().map(text)),
        DataType::BinaryView => EncodedColumn::of(Encoding::DELTA_LENGTH_BYTE_ARRAY, pages.iter().map(bytes)),
        other => unreachable!("no column is of {other}"),
    }
}

/// The encoded non-null values of a column.
pub(super) struct EncodedColumn<'a> {
    /// Content of the dictionary page (`PLAIN`); empty if there is none.
    pub(super) dictionary: Vec<u8>,
    pub(super) dictionary_count: usize,
    pub(super) encoding: Encoding,
    pub(super) pages: Vec<EncodedPage<'a>>,
}

/// The encoded non-null values of a page.
pub(super) struct EncodedPage<'a> {
    /// First part: the value, index or length of each row.
    pub(super) rows: Vec<u8>,
    /// Second part: values of text and bytes, in their own buffers.
    pub(super) bytes: Vec<&'a [u8]>,
    /// `None` if there is no value.
    pub(super) bounds: Option<Bounds<'a>>,
}

/// The distinct values of a column of small integers.
struct DistinctValues {
    /// The distinct values, sorted.
    values: Vec<u16>,
    /// The position of a value in `values`, by value.
    positions: Vec<u16>,
    /// The value of each row that is not null.
    rows: Vec<u16>,
}

fn names<'a, K: ArrowDictionaryKeyType>(array: &'a ArrayRef, pages: &[ArrayRef]) -> EncodedColumn<'a> {
    let array = array.as_dictionary::<K>();
    let names: &StringArray = array.values().as_string();
    let distinct =
        distinct_values(array.keys(), names.len().max(1)).expect("codes are positions in the dictionary");
    let mut dictionary = Vec::new();
    for name in distinct.values.iter().map(|code| names.value(*code as usize)) {
        dictionary.extend_from_slice(&(name.len() as u32).to_le_bytes());
        dictionary.extend_from_slice(name.as_bytes());
    }
    let bounds = |rows: &[u16]| {
        let mut is_present = vec![false; distinct.values.len()];
        for code in rows {
            is_present[distinct.positions[*code as usize] as usize] = true;
        }
        let present = distinct.values.iter().zip(is_present).filter(|(_, is_present)| *is_present);
        Bounds::of_names(present.map(|(code, _)| names.value(*code as usize)))
    };
    distinct.coded(dictionary, pages, bounds)
}

/// Integers with a dictionary if few are distinct.
fn few_integers<T: ArrowPrimitiveType>(array: &ArrayRef, pages: &[ArrayRef]) -> EncodedColumn<'static>
where
    T::Native: Into<i128>,
{
    let distinct = distinct_values(array.as_primitive::<T>(), 1 << 16);
    let Some(distinct) = distinct.filter(|distinct| distinct.values.len() <= DISTINCT_INTEGERS_MAX) else {
        return integers::<T>(pages);
    };
    let dictionary = distinct.values.iter().flat_map(|value| u32::from(*value).to_le_bytes()).collect();
    let bounds = |rows: &[u16]| Bounds::of_integers(rows.iter().map(|value| i128::from(*value)), true);
    distinct.coded(dictionary, pages, bounds)
}

fn booleans(page: &ArrayRef) -> EncodedPage<'_> {
    let array = page.as_boolean();
    let values = match array.nulls() {
        None => array.values().sliced(),
        Some(nulls) => {
            nulls.valid_indices().map(|row| array.value(row)).collect::<BooleanBuffer>().into_inner()
        }
    };
    let rows = values[..(array.len() - array.null_count()).div_ceil(8)].to_vec();
    let ends = [(false, array.false_count()), (true, array.true_count())];
    let present = ends.into_iter().filter(|(_, count)| *count > 0).map(|(value, _)| value);
    EncodedPage { rows, bytes: Vec::new(), bounds: Bounds::of_booleans(present) }
}

/// Lengths, then the values, which are already concatenated in Arrow's buffer unless some are null.
fn text(page: &ArrayRef) -> EncodedPage<'_> {
    let array = page.as_string::<i32>();
    let offsets = array.value_offsets();
    let valid = |row: &usize| array.is_valid(*row);
    let lengths: Vec<u64> = (0..array.len())
        .filter(valid)
        .map(|row| u64::from(offsets[row].abs_diff(offsets[row + 1])))
        .collect();
    let bytes = match array.null_count() {
        0 => vec![&array.value_data()[offsets[0] as usize..offsets[array.len()] as usize]],
        _ => (0..array.len()).filter(valid).map(|row| array.value(row).as_bytes()).collect(),
    };
    let bounds = Bounds::of_texts(array.iter().flatten());
    EncodedPage { rows: delta_binary_packed(&lengths, Width::Bits32), bytes, bounds }
}

/// Lengths, then the values, each of which may be in a different buffer, such as a mapped file.
fn bytes(page: &ArrayRef) -> EncodedPage<'_> {
    let bytes: Vec<_> = page.as_binary_view().iter().flatten().collect();
    let lengths: Vec<_> = bytes.iter().map(|value| value.len() as u64).collect();
    let bounds = Bounds::of_bytes(bytes.iter().copied());
    EncodedPage { rows: delta_binary_packed(&lengths, Width::Bits32), bytes, bounds }
}

fn integers<T: ArrowPrimitiveType>(pages: &[ArrayRef]) -> EncodedColumn<'static>
where
    T::Native: Into<i128>,
{
    let is_narrow = size_of::<T::Native>() < size_of::<u64>();
    let width = if is_narrow { Width::Bits32 } else { Width::Bits64 };
    let wrap = |value: T::Native| match Into::<i128>::into(value) {
        value if is_narrow => i64::from(value as i32).cast_unsigned(),
        value => value as u64,
    };
    let page = |page: &ArrayRef| {
        let array = page.as_primitive::<T>();
        let valid: Vec<T::Native> = match array.nulls() {
            None => array.values().to_vec(),
            Some(nulls) => nulls.valid_indices().map(|row| array.values()[row]).collect(),
        };
        let (least, greatest) = (least(&valid), greatest(&valid));
        let bounds = Bounds::of_integers(least.into_iter().chain(greatest).map(Into::into), is_narrow);
        let values: Vec<u64> = valid.into_iter().map(wrap).collect();
        EncodedPage { rows: delta_binary_packed(&values, width), bytes: Vec::new(), bounds }
    };
    EncodedColumn::of(Encoding::DELTA_BINARY_PACKED, pages.iter().map(page))
}

fn least<T: ArrowNativeTypeOp>(values: &[T]) -> Option<T> {
    values.iter().copied().reduce(|one, other| if other.is_lt(one) { other } else { one })
}

fn greatest<T: ArrowNativeTypeOp>(values: &[T]) -> Option<T> {
    values.iter().copied().reduce(|one, other| if other.is_gt(one) { other } else { one })
}

impl<'a> EncodedColumn<'a> {
    /// Number of bytes.
    pub(super) fn size(&self) -> usize {
        let page = |page: &EncodedPage<'_>| {
            page.rows.len() + page.bytes.iter().map(|bytes| bytes.len()).sum::<usize>()
        };
        self.dictionary.len() + self.pages.iter().map(page).sum::<usize>()
    }

    /// A column without a dictionary.
    fn of(encoding: Encoding, pages: impl Iterator<Item = EncodedPage<'a>>) -> Self {
        Self { dictionary: Vec::new(), dictionary_count: 0, encoding, pages: pages.collect() }
    }
}

impl DistinctValues {
    /// The column of these values. `bounds` are those of the values of a page.
    fn coded<'a>(
        &self,
        dictionary: Vec<u8>,
        pages: &[ArrayRef],
        bounds: impl Fn(&[u16]) -> Option<Bounds<'a>>,
    ) -> EncodedColumn<'a> {
        let dictionary_count = self.values.len();
        let encoding = if dictionary_count == 0 { Encoding::PLAIN } else { Encoding::RLE_DICTIONARY };
        let mut rest = self.rows.as_slice();
        let pages = pages.iter().map(|page| {
            let rows;
            (rows, rest) = rest.split_at(page.len() - page.null_count());
            EncodedPage { rows: self.codes(rows), bytes: Vec::new(), bounds: bounds(rows) }
        });
        EncodedColumn { dictionary, dictionary_count, encoding, pages: pages.collect() }
    }

    /// The index in the dictionary of the value of each row, bit-packed, after a byte with the bit width.
    fn codes(&self, rows: &[u16]) -> Vec<u8> {
        let mut out = Vec::new();
        let width = usize::BITS - self.values.len().saturating_sub(1).leading_zeros();
        match self.values.len() {
            0 => return out,
            1 => {
                out.push(1);
                push_run(&mut out, rows.len(), 0);
                return out;
            }
            _ => out.push(width as u8),
        }
        // Groups of eight values; the last is padded with zeros.
        let groups = rows.len().div_ceil(8);
        push_varint(&mut out, (groups as u64) << 1 | 1);
        out.reserve(groups * width as usize);
        let codes = rows.iter().map(|value| u64::from(self.positions[*value as usize]));
        push_bits(&mut out, codes.chain(std::iter::repeat_n(0, groups * 8 - rows.len())), width);
        out
    }
}

/// The distinct values; `None` if one of them is not below the limit.
fn distinct_values<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, limit: usize) -> Option<DistinctValues> {
    let all = array.values();
    // Placeholders for nulls count too: at worst, the column gets another encoding.
    let above =
        all.iter().map(|value| value.as_usize()).max().map_or(0, |greatest| greatest.saturating_add(1));
    if above > limit {
        return None;
    }
    let rows: Vec<u16> = match array.nulls() {
        None => all.iter().map(|value| value.as_usize() as u16).collect(),
        Some(nulls) => nulls.valid_indices().map(|row| all[row].as_usize() as u16).collect(),
    };
    let mut is_present = vec![false; above];
    for value in &rows {
        is_present[*value as usize] = true;
    }
    let values: Vec<_> = (0..above).filter(|value| is_present[*value]).map(|value| value as u16).collect();
    let mut positions = vec![0; above];
    values.iter().enumerate().for_each(|(position, value)| positions[*value as usize] = position as u16);
    Some(DistinctValues { values, positions, rows })
}
