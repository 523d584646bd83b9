//! `(array) -> column chunk`, for arrays whose buffers are what Parquet wants already.
//!
//! The Parquet library looks up the value of every row in a hash table of its own. A dictionary array has the codes already,
//! and small integers are codes: here the values that rows have become the dictionary page, the codes the data page.
//! Booleans and the null bitmap are written bit for bit, 64-bit integers as packed differences. On the columns of
//! `instructions` this takes a fraction of the time.
//!
//! Sources: Parquet format, "Encodings" (plain, dictionary, RLE/bit-packing hybrid) and "Data pages" (version 1).

use super::ZSTD_LEVEL;
use super::differences::{packed_differences, push_bits, push_varint};
use arrow_array::types::{
    ArrowDictionaryKeyType, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray, cast::AsArray};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use std::sync::Arc;
use zstd::bulk::Compressor;

/// A column chunk, ready to be appended to a row group.
pub(super) struct DirectChunk {
    /// The pages with their headers, end to end.
    pub(super) pages: Bytes,
    /// What the file's footer says of them.
    pub(super) close: ColumnCloseResult,
}

/// Integers of more values than this are better off as packed differences.
const INTEGERS_MAX: usize = 256;

/// Encodes a column of names, of few integers or of booleans; none for other columns. A column that holds one name alone
/// gets it as its least and greatest value.
pub(super) fn encode_directly(
    array: &ArrayRef,
    column: &ColumnDescPtr,
    zstd: &mut Compressor<'_>,
) -> Result<Option<DirectChunk>, ParquetError> {
    let values = match array.data_type() {
        DataType::Dictionary(key, _) if **key == DataType::UInt8 => Some(names::<UInt8Type>(array)),
        DataType::Dictionary(key, _) if **key == DataType::UInt16 => Some(names::<UInt16Type>(array)),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => Some(names::<Int32Type>(array)),
        DataType::UInt8 => integers::<UInt8Type>(array, 1 << 8),
        DataType::UInt16 => integers::<UInt16Type>(array, 1 << 16),
        DataType::UInt32 => integers::<UInt32Type>(array, 1 << 16),
        DataType::UInt64 => Some(differences::<UInt64Type>(array)),
        DataType::Int64 => Some(differences::<Int64Type>(array)),
        DataType::Boolean if array.null_count() == 0 => Some(booleans(array)),
        _ => None,
    };
    values.map(|values| encode(array, &values, column, zstd)).transpose()
}

/// A column's values, less the nulls.
struct Values {
    /// The values that rows have, in the dictionary page's encoding (`PLAIN`); none without a dictionary.
    dictionary: Vec<u8>,
    dictionary_count: usize,
    /// Every row's value.
    rows: Vec<u8>,
    encoding: Encoding,
    statistics: Option<Statistics>,
}

/// Which of the values below a limit rows have.
struct Used {
    /// Those values, in their order.
    values: Vec<u16>,
    /// The position of each in `values`, by value.
    positions: Vec<u16>,
    /// The value of every row that is not null.
    rows: Vec<u16>,
}

fn names<K: ArrowDictionaryKeyType>(array: &ArrayRef) -> Values {
    let array = array.as_dictionary::<K>();
    let names: &StringArray = array.values().as_string();
    let used = used_values(array.keys(), names.len().max(1)).expect("codes are positions in the dictionary");
    let mut dictionary = Vec::new();
    for name in used.values.iter().map(|code| names.value(*code as usize)) {
        dictionary.extend_from_slice(&(name.len() as u32).to_le_bytes());
        dictionary.extend_from_slice(name.as_bytes());
    }
    let statistics = match used.values.as_slice() {
        [code] if array.null_count() == 0 => {
            let name = Some(ByteArray::from(names.value(*code as usize)));
            Some(Statistics::byte_array(name.clone(), name, None, Some(0), false))
        }
        _ => None,
    };
    Values::coded(&used, dictionary, statistics)
}

fn integers<T: ArrowPrimitiveType>(array: &ArrayRef, limit: usize) -> Option<Values> {
    let used = used_values(array.as_primitive::<T>(), limit)?;
    let dictionary = used.values.iter().flat_map(|value| u32::from(*value).to_le_bytes()).collect();
    (used.values.len() <= INTEGERS_MAX).then(|| Values::coded(&used, dictionary, None))
}

fn booleans(array: &ArrayRef) -> Values {
    let rows = array.as_boolean().values().sliced()[..array.len().div_ceil(8)].to_vec();
    Values { dictionary: Vec::new(), dictionary_count: 0, rows, encoding: Encoding::PLAIN, statistics: None }
}

/// The least and the greatest value are those of unsigned integers, which are addresses for the most part.
fn differences<T: ArrowPrimitiveType>(array: &ArrayRef) -> Values
where
    T::Native: Into<i128>,
{
    let array = array.as_primitive::<T>();
    let wrap = |value: T::Native| Into::<i128>::into(value) as u64;
    let all = array.values().iter().map(|value| wrap(*value));
    let values: Vec<u64> = match array.nulls() {
        None => all.collect(),
        Some(nulls) => nulls.valid_indices().map(|row| wrap(array.values()[row])).collect(),
    };
    let bound = |value: Option<&u64>| value.map(|value| value.cast_signed());
    let (least, greatest) = (bound(values.iter().min()), bound(values.iter().max()));
    let nulls = Some(array.null_count() as u64);
    let is_unsigned = T::DATA_TYPE == DataType::UInt64;
    Values {
        dictionary: Vec::new(),
        dictionary_count: 0,
        rows: packed_differences(&values),
        encoding: Encoding::DELTA_BINARY_PACKED,
        statistics: is_unsigned.then(|| Statistics::int64(least, greatest, None, nulls, false)),
    }
}

impl Values {
    /// Values that stand in a dictionary.
    fn coded(used: &Used, dictionary: Vec<u8>, statistics: Option<Statistics>) -> Self {
        let dictionary_count = used.values.len();
        let encoding = if dictionary_count == 0 { Encoding::PLAIN } else { Encoding::RLE_DICTIONARY };
        Self { dictionary, dictionary_count, rows: codes(used), encoding, statistics }
    }
}

/// The values that rows have; none when one is not below the limit.
fn used_values<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, limit: usize) -> Option<Used> {
    let all = array.values();
    // What stands under nulls counts too: at worst, the column is encoded in another way.
    if all.iter().map(|value| value.as_usize()).max().is_some_and(|greatest| greatest >= limit) {
        return None;
    }
    let rows: Vec<u16> = match array.nulls() {
        None => all.iter().map(|value| value.as_usize() as u16).collect(),
        Some(nulls) => nulls.valid_indices().map(|row| all[row].as_usize() as u16).collect(),
    };
    let mut is_used = vec![false; limit];
    for value in &rows {
        is_used[*value as usize] = true;
    }
    let values: Vec<_> = (0..limit).filter(|value| is_used[*value]).map(|value| value as u16).collect();
    let mut positions = vec![0; limit];
    (0..).zip(&values).for_each(|(position, value)| positions[*value as usize] = position);
    Some(Used { values, positions, rows })
}

fn encode(
    array: &ArrayRef,
    values: &Values,
    column: &ColumnDescPtr,
    zstd: &mut Compressor<'_>,
) -> Result<DirectChunk, ParquetError> {
    let mut pages = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut pages);
    let mut sizes = Sizes { zstd, compressed: 0, uncompressed: 0 };
    let count = values.dictionary_count;
    if count > 0 {
        let num_values = count as u32;
        let page =
            |buf| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        sizes.write(&mut writer, &values.dictionary, page)?;
    }
    let data_page_offset = sizes.compressed;
    let mut body = Vec::new();
    if column.max_def_level() > 0 {
        let levels = definition_levels(array.len(), array.nulls());
        body.extend_from_slice(&(levels.len() as u32).to_le_bytes());
        body.extend_from_slice(&levels);
    }
    body.extend_from_slice(&values.rows);
    let page = |buf| Page::DataPage {
        buf,
        num_values: array.len() as u32,
        encoding: values.encoding,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    sizes.write(&mut writer, &body, page)?;

    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has");
    let mut metadata = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, values.encoding])
        .set_compression(Compression::ZSTD(level))
        .set_num_values(array.len() as i64)
        .set_total_compressed_size(sizes.compressed as i64)
        .set_total_uncompressed_size(sizes.uncompressed as i64)
        .set_dictionary_page_offset((count > 0).then_some(0))
        .set_data_page_offset(data_page_offset as i64);
    if let Some(statistics) = &values.statistics {
        metadata = metadata.set_statistics(statistics.clone());
    }
    let close = ColumnCloseResult {
        bytes_written: sizes.compressed as u64,
        rows_written: array.len() as u64,
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(DirectChunk { pages: pages.into_inner()?.into(), close })
}

/// Levels of 0 (null) or 1: the null bitmap as it is, or one run.
fn definition_levels(rows: usize, nulls: Option<&NullBuffer>) -> Vec<u8> {
    let mut levels = Vec::new();
    match nulls {
        Some(nulls) if nulls.null_count() == rows => push_run(&mut levels, rows, 0),
        Some(nulls) if nulls.null_count() > 0 => {
            let bitmap = nulls.inner().sliced();
            let bytes = rows.div_ceil(8);
            push_varint(&mut levels, (bytes as u64) << 1 | 1);
            levels.extend_from_slice(&bitmap[..bytes]);
        }
        _ => push_run(&mut levels, rows, 1),
    }
    levels
}

/// The position in the dictionary of every row's value, after a byte that says how many bits each takes.
fn codes(used: &Used) -> Vec<u8> {
    let mut out = Vec::new();
    let width = usize::BITS - used.values.len().saturating_sub(1).leading_zeros();
    match used.values.len() {
        0 => return out,
        1 => {
            out.push(1);
            push_run(&mut out, used.rows.len(), 0);
            return out;
        }
        _ => out.push(width as u8),
    }
    // Groups of eight values; the last is filled with zeros.
    let groups = used.rows.len().div_ceil(8);
    push_varint(&mut out, (groups as u64) << 1 | 1);
    out.reserve(groups * width as usize);
    let codes = used.rows.iter().map(|value| u64::from(used.positions[*value as usize]));
    push_bits(&mut out, codes.chain(std::iter::repeat_n(0, groups * 8 - used.rows.len())), width);
    out
}

/// `count` times the same value, of one bit.
fn push_run(out: &mut Vec<u8>, count: usize, value: u8) {
    push_varint(out, (count as u64) << 1);
    out.push(value);
}

/// Sizes of the pages so far, headers included.
struct Sizes<'z, 'd> {
    zstd: &'z mut Compressor<'d>,
    compressed: usize,
    uncompressed: usize,
}

impl Sizes<'_, '_> {
    fn write(
        &mut self,
        writer: &mut SerializedPageWriter<'_, Vec<u8>>,
        body: &[u8],
        page: impl FnOnce(Bytes) -> Page,
    ) -> Result<(), ParquetError> {
        let compressed = self.zstd.compress(body)?;
        let written = writer.write_page(CompressedPage::new(page(compressed.into()), body.len()))?;
        self.compressed += written.compressed_size;
        self.uncompressed += written.uncompressed_size;
        Ok(())
    }
}
