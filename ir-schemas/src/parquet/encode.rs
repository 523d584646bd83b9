//! Column encoder: `(Arrow array) -> Parquet column chunk`, straight from Arrow's buffers.
//!
//! **Problem.** The Parquet writer hashes every value again to build dictionaries that Arrow arrays already have; this
//! dominated the run time. `cargo bench -p binframe-benches --bench parquet` compares both.
//!
//! **Notation.** A chunk is an optional dictionary page and one data page (version 1).
//!
//! **Algorithm.** By type:
//!
//! - Dictionary arrays, and unsigned integers of up to 32 bits with values below 2^16 and at most 256 distinct ones:
//!   the values in use become the dictionary page (`PLAIN`), their indexes the data page (`RLE_DICTIONARY`,
//!   bit-packed).
//! - Other integers: `DELTA_BINARY_PACKED`. Booleans: `PLAIN` bits.
//! - Text and bytes: `DELTA_LENGTH_BYTE_ARRAY`. Large values are compressed from the buffer that they are in (Arrow
//!   buffer, mapped file), not copied.
//!
//! Definition levels are the null bitmap as one bit-packed run, or one RLE run. Pages are zstd; buffers of 256 KiB or
//! more get a frame of their own, since concatenated frames decompress to the concatenated content.
//!
//! **Invariants.** Minimum and maximum are written for `UInt64` columns (addresses) and for columns of a single name
//! without nulls; there is no page index. Panics on a type that no column has.
//!
//! **Cost.** Linear in the rows. Memory: the compressed size, plus two bytes per row of a dictionary column.
//!
//! **References.** Parquet format: "Encodings" (plain, dictionary, RLE/bit-packing hybrid) and "Data pages" (version 1).

use super::delta_binary_packed::{Width, delta_binary_packed, push_bits, push_varint};
use super::layout::ZSTD_LEVEL;
use super::pages::Pages;
use arrow_array::types::{
    ArrowDictionaryKeyType, Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray, cast::AsArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, TimeUnit};
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
use std::io::{self, Cursor};
use std::sync::Arc;
use zstd::bulk::Compressor;

/// A column chunk, ready to be appended to a row group.
pub(super) struct ColumnChunk {
    /// Pages with their headers.
    pub(super) pages: Pages,
    /// Metadata for the footer of the file.
    pub(super) close: ColumnCloseResult,
}

/// Values of this size or more are compressed from their own buffer, smaller ones are concatenated first.
const LARGE_SIZE: usize = 1 << 18;

/// Upper bound of the size of a zstd frame beyond its content and 1/128 of it.
const FRAME_SIZE: usize = 256;

/// Integer columns with more distinct values than this are smaller in delta encoding.
const DISTINCT_INTEGERS_MAX: usize = 256;

/// Encodes a column.
///
/// # Panics
/// If no column can have the type of the array.
pub(super) fn encode_column(
    array: &ArrayRef,
    column: &ColumnDescPtr,
    zstd: &mut Compressor<'_>,
) -> Result<ColumnChunk, ParquetError> {
    let values = match array.data_type() {
        DataType::Dictionary(key, _) if **key == DataType::UInt8 => names::<UInt8Type>(array),
        DataType::Dictionary(key, _) if **key == DataType::UInt16 => names::<UInt16Type>(array),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => names::<Int32Type>(array),
        DataType::UInt8 => few_integers::<UInt8Type>(array).unwrap_or_else(|| integers::<UInt8Type>(array)),
        DataType::UInt16 => {
            few_integers::<UInt16Type>(array).unwrap_or_else(|| integers::<UInt16Type>(array))
        }
        DataType::UInt32 => {
            few_integers::<UInt32Type>(array).unwrap_or_else(|| integers::<UInt32Type>(array))
        }
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => integers::<TimestampNanosecondType>(array),
        DataType::Boolean => booleans(array),
        DataType::Utf8 => text(array),
        DataType::BinaryView => bytes(array),
        other => unreachable!("no column is of {other}"),
    };
    encode(array, &values, column, zstd)
}

/// The encoded non-null values of a column.
struct EncodedColumn<'a> {
    /// Content of the dictionary page (`PLAIN`); empty if there is none.
    dictionary: Vec<u8>,
    dictionary_count: usize,
    /// First part of the data page: the value, index or length of each row.
    rows: Vec<u8>,
    /// Second part of the data page: values of text and bytes, in their own buffers.
    bytes: Vec<&'a [u8]>,
    encoding: Encoding,
    statistics: Option<Statistics>,
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

fn names<K: ArrowDictionaryKeyType>(array: &ArrayRef) -> EncodedColumn<'static> {
    let array = array.as_dictionary::<K>();
    let names: &StringArray = array.values().as_string();
    let distinct =
        distinct_values(array.keys(), names.len().max(1)).expect("codes are positions in the dictionary");
    let mut dictionary = Vec::new();
    for name in distinct.values.iter().map(|code| names.value(*code as usize)) {
        dictionary.extend_from_slice(&(name.len() as u32).to_le_bytes());
        dictionary.extend_from_slice(name.as_bytes());
    }
    let statistics = match distinct.values.as_slice() {
        [code] if array.null_count() == 0 => {
            let name = Some(ByteArray::from(names.value(*code as usize)));
            Some(Statistics::byte_array(name.clone(), name, None, Some(0), false))
        }
        _ => None,
    };
    EncodedColumn::coded(&distinct, dictionary, statistics)
}

fn few_integers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<EncodedColumn<'static>> {
    let distinct = distinct_values(array.as_primitive::<T>(), 1 << 16)?;
    let dictionary = distinct.values.iter().flat_map(|value| u32::from(*value).to_le_bytes()).collect();
    (distinct.values.len() <= DISTINCT_INTEGERS_MAX)
        .then(|| EncodedColumn::coded(&distinct, dictionary, None))
}

fn booleans(array: &ArrayRef) -> EncodedColumn<'static> {
    let array = array.as_boolean();
    let values = match array.nulls() {
        None => array.values().sliced(),
        Some(nulls) => {
            nulls.valid_indices().map(|row| array.value(row)).collect::<BooleanBuffer>().into_inner()
        }
    };
    let rows = values[..(array.len() - array.null_count()).div_ceil(8)].to_vec();
    EncodedColumn { rows, ..EncodedColumn::plain() }
}

/// Lengths, then the values, which are already concatenated in Arrow's buffer unless some are null.
fn text(array: &ArrayRef) -> EncodedColumn<'_> {
    let array = array.as_string::<i32>();
    let offsets = array.value_offsets();
    let is_contiguous = array.null_count() == 0;
    let valid = |row: &usize| array.is_valid(*row);
    let lengths: Vec<u64> = (0..array.len())
        .filter(valid)
        .map(|row| u64::from(offsets[row].abs_diff(offsets[row + 1])))
        .collect();
    let bytes = match is_contiguous {
        true => vec![&array.value_data()[offsets[0] as usize..offsets[array.len()] as usize]],
        false => (0..array.len()).filter(valid).map(|row| array.value(row).as_bytes()).collect(),
    };
    let encoding = Encoding::DELTA_LENGTH_BYTE_ARRAY;
    EncodedColumn {
        rows: delta_binary_packed(&lengths, Width::Bits32),
        bytes,
        encoding,
        ..EncodedColumn::plain()
    }
}

/// Lengths, then the values, each of which may be in a different buffer, such as a mapped file.
fn bytes(array: &ArrayRef) -> EncodedColumn<'_> {
    let bytes: Vec<_> = array.as_binary_view().iter().flatten().collect();
    let lengths: Vec<_> = bytes.iter().map(|value| value.len() as u64).collect();
    let encoding = Encoding::DELTA_LENGTH_BYTE_ARRAY;
    EncodedColumn {
        rows: delta_binary_packed(&lengths, Width::Bits32),
        bytes,
        encoding,
        ..EncodedColumn::plain()
    }
}

/// Only 64-bit unsigned integers, most of which are addresses, get a minimum and maximum.
fn integers<T: ArrowPrimitiveType>(array: &ArrayRef) -> EncodedColumn<'static>
where
    T::Native: Into<i128>,
{
    let array = array.as_primitive::<T>();
    let is_narrow = size_of::<T::Native>() < size_of::<u64>();
    let wrap = |value: T::Native| match Into::<i128>::into(value) {
        value if is_narrow => i64::from(value as i32).cast_unsigned(),
        value => value as u64,
    };
    let values: Vec<u64> = match array.nulls() {
        None => array.values().iter().map(|value| wrap(*value)).collect(),
        Some(nulls) => nulls.valid_indices().map(|row| wrap(array.values()[row])).collect(),
    };
    let statistics = (T::DATA_TYPE == DataType::UInt64).then(|| {
        let bound = |value: Option<&u64>| value.map(|value| value.cast_signed());
        let (least, greatest) = (bound(values.iter().min()), bound(values.iter().max()));
        Statistics::int64(least, greatest, None, Some(array.null_count() as u64), false)
    });
    let width = if is_narrow { Width::Bits32 } else { Width::Bits64 };
    EncodedColumn {
        rows: delta_binary_packed(&values, width),
        encoding: Encoding::DELTA_BINARY_PACKED,
        statistics,
        ..EncodedColumn::plain()
    }
}

impl EncodedColumn<'_> {
    /// No values, without a dictionary.
    fn plain() -> Self {
        Self {
            dictionary: Vec::new(),
            dictionary_count: 0,
            rows: Vec::new(),
            bytes: Vec::new(),
            encoding: Encoding::PLAIN,
            statistics: None,
        }
    }

    /// Dictionary-encoded values.
    fn coded(distinct: &DistinctValues, dictionary: Vec<u8>, statistics: Option<Statistics>) -> Self {
        let dictionary_count = distinct.values.len();
        let encoding = if dictionary_count == 0 { Encoding::PLAIN } else { Encoding::RLE_DICTIONARY };
        Self { dictionary, dictionary_count, rows: codes(distinct), encoding, statistics, ..Self::plain() }
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
    (0..).zip(&values).for_each(|(position, value)| positions[*value as usize] = position);
    Some(DistinctValues { values, positions, rows })
}

fn encode(
    array: &ArrayRef,
    values: &EncodedColumn<'_>,
    column: &ColumnDescPtr,
    zstd: &mut Compressor<'_>,
) -> Result<ColumnChunk, ParquetError> {
    let mut writer =
        Writer { zstd, pages: TrackedWrite::new(Pages::default()), compressed: 0, uncompressed: 0 };
    let count = values.dictionary_count;
    if count > 0 {
        let num_values = count as u32;
        let page =
            |buf| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        writer.write(&[&values.dictionary], page)?;
    }
    let data_page_offset = writer.compressed;
    let mut start = Vec::new();
    if column.max_def_level() > 0 {
        let levels = definition_levels(array.len(), array.nulls());
        start.extend_from_slice(&(levels.len() as u32).to_le_bytes());
        start.extend_from_slice(&levels);
    }
    start.extend_from_slice(&values.rows);
    let body: Vec<_> = [start.as_slice()].into_iter().chain(values.bytes.iter().copied()).collect();
    let page = |buf| Page::DataPage {
        buf,
        num_values: array.len() as u32,
        encoding: values.encoding,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    writer.write(&body, page)?;

    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has");
    let mut metadata = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, values.encoding])
        .set_compression(Compression::ZSTD(level))
        .set_num_values(array.len() as i64)
        .set_total_compressed_size(writer.compressed as i64)
        .set_total_uncompressed_size(writer.uncompressed as i64)
        .set_dictionary_page_offset((count > 0).then_some(0))
        .set_data_page_offset(data_page_offset as i64);
    if let Some(statistics) = &values.statistics {
        metadata = metadata.set_statistics(statistics.clone());
    }
    let close = ColumnCloseResult {
        bytes_written: writer.compressed as u64,
        rows_written: array.len() as u64,
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(ColumnChunk { pages: writer.pages.into_inner()?, close })
}

/// Definition levels of 0 (null) or 1: one bit-packed run with the null bitmap, or one RLE run.
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

/// The index in the dictionary of the value of each row, bit-packed, after a byte with the bit width.
fn codes(distinct: &DistinctValues) -> Vec<u8> {
    let mut out = Vec::new();
    let width = usize::BITS - distinct.values.len().saturating_sub(1).leading_zeros();
    match distinct.values.len() {
        0 => return out,
        1 => {
            out.push(1);
            push_run(&mut out, distinct.rows.len(), 0);
            return out;
        }
        _ => out.push(width as u8),
    }
    // Groups of eight values; the last is padded with zeros.
    let groups = distinct.rows.len().div_ceil(8);
    push_varint(&mut out, (groups as u64) << 1 | 1);
    out.reserve(groups * width as usize);
    let codes = distinct.rows.iter().map(|value| u64::from(distinct.positions[*value as usize]));
    push_bits(&mut out, codes.chain(std::iter::repeat_n(0, groups * 8 - distinct.rows.len())), width);
    out
}

/// Appends an RLE run of `count` equal values of one bit.
fn push_run(out: &mut Vec<u8>, count: usize, value: u8) {
    push_varint(out, (count as u64) << 1);
    out.push(value);
}

/// Compresses and writes the pages of one column chunk.
struct Writer<'z, 'd> {
    zstd: &'z mut Compressor<'d>,
    pages: TrackedWrite<Pages>,
    /// Total sizes of the pages, including headers.
    compressed: usize,
    uncompressed: usize,
}

impl Writer<'_, '_> {
    /// Writes a page whose body is the concatenation of the given pieces.
    fn write(&mut self, body: &[&[u8]], page: impl FnOnce(Bytes) -> Page) -> Result<(), ParquetError> {
        let size = body.iter().map(|piece| piece.len()).sum();
        let compressed = Bytes::from(self.compress(body, size)?);
        self.pages.inner_mut().expect(compressed.clone());
        let page = CompressedPage::new(page(compressed), size);
        let written = SerializedPageWriter::new(&mut self.pages).write_page(page)?;
        self.compressed += written.compressed_size;
        self.uncompressed += written.uncompressed_size;
        Ok(())
    }

    /// Compresses pieces to one frame or, if some are large, to several: concatenated frames decompress to the
    /// concatenated content, so large pieces need not be copied.
    fn compress(&mut self, pieces: &[&[u8]], size: usize) -> io::Result<Vec<u8>> {
        if let [whole] = pieces {
            return self.zstd.compress(whole);
        }
        if size < LARGE_SIZE {
            return self.zstd.compress(&pieces.concat());
        }
        // Capacity that is not written to takes no memory from the system.
        let frames = 2 * (size / LARGE_SIZE) + 2;
        let mut compressed = Cursor::new(Vec::with_capacity(size + size / 128 + frames * FRAME_SIZE));
        let mut push_frame = |bytes: &[u8]| -> io::Result<()> {
            let written = self.zstd.compress_to_buffer(bytes, &mut compressed)?;
            compressed.set_position(compressed.position() + written as u64);
            Ok(())
        };
        let mut small = Vec::new();
        for piece in pieces {
            let is_large = piece.len() >= LARGE_SIZE;
            if !is_large {
                small.extend_from_slice(piece);
            }
            if small.len() >= if is_large { 1 } else { LARGE_SIZE } {
                push_frame(&small)?;
                small.clear();
            }
            if is_large {
                push_frame(piece)?;
            }
        }
        if !small.is_empty() {
            push_frame(&small)?;
        }
        Ok(compressed.into_inner())
    }
}
