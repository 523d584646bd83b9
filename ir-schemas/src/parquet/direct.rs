//! `(array) -> column chunk`, out of Arrow's buffers, which are nearly what Parquet wants.
//!
//! The Parquet library looks up the value of every row in a hash table of its own. A dictionary array has the codes already,
//! and small integers are codes: here the values that rows have become the dictionary page, the codes the data page.
//! Booleans and the null bitmap are written bit for bit, 64-bit integers as packed differences, text and bytes from where
//! they lie. On the columns of
//! `instructions` this takes a fraction of the time.
//!
//! Sources: Parquet format, "Encodings" (plain, dictionary, RLE/bit-packing hybrid) and "Data pages" (version 1).

use super::ZSTD_LEVEL;
use super::differences::{Width, packed_differences, push_bits, push_varint};
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
    /// The pages with their headers, end to end.
    pub(super) pages: Pages,
    /// What the file's footer says of them.
    pub(super) close: ColumnCloseResult,
}

/// Bytes from this size on are compressed where they lie, smaller ones put together.
const LARGE_SIZE: usize = 1 << 18;

/// What a frame of zstd may take beyond its content and a hundredth of it.
const FRAME_SIZE: usize = 256;

/// Integers of more values than this are better off as packed differences.
const INTEGERS_MAX: usize = 256;

/// Encodes a column. One that holds one name alone gets it as its least and greatest value.
///
/// # Panics
/// For a type that no column can have.
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

/// A column's values, less the nulls.
struct Values<'a> {
    /// The values that rows have, in the dictionary page's encoding (`PLAIN`); none without a dictionary.
    dictionary: Vec<u8>,
    dictionary_count: usize,
    /// Every row's value.
    rows: Vec<u8>,
    /// What follows them, where it lies already.
    bytes: Vec<&'a [u8]>,
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

fn names<K: ArrowDictionaryKeyType>(array: &ArrayRef) -> Values<'static> {
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

fn few_integers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<Values<'static>> {
    let used = used_values(array.as_primitive::<T>(), 1 << 16)?;
    let dictionary = used.values.iter().flat_map(|value| u32::from(*value).to_le_bytes()).collect();
    (used.values.len() <= INTEGERS_MAX).then(|| Values::coded(&used, dictionary, None))
}

fn booleans(array: &ArrayRef) -> Values<'static> {
    let array = array.as_boolean();
    let values = match array.nulls() {
        None => array.values().sliced(),
        Some(nulls) => {
            nulls.valid_indices().map(|row| array.value(row)).collect::<BooleanBuffer>().into_inner()
        }
    };
    let rows = values[..(array.len() - array.null_count()).div_ceil(8)].to_vec();
    Values { rows, ..Values::plain() }
}

/// The lengths of all values, and then all values end to end, which in Arrow's buffer they are.
fn text(array: &ArrayRef) -> Values<'_> {
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
    Values { rows: packed_differences(&lengths, Width::Narrow), bytes, encoding, ..Values::plain() }
}

/// As text. The values may lie anywhere, such as in a mapped file.
fn bytes(array: &ArrayRef) -> Values<'_> {
    let bytes: Vec<_> = array.as_binary_view().iter().flatten().collect();
    let lengths: Vec<_> = bytes.iter().map(|value| value.len() as u64).collect();
    let encoding = Encoding::DELTA_LENGTH_BYTE_ARRAY;
    Values { rows: packed_differences(&lengths, Width::Narrow), bytes, encoding, ..Values::plain() }
}

/// The least and the greatest value are those of 64-bit unsigned integers, which are addresses for the most part.
fn integers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Values<'static>
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
    let width = if is_narrow { Width::Narrow } else { Width::Wide };
    Values {
        rows: packed_differences(&values, width),
        encoding: Encoding::DELTA_BINARY_PACKED,
        statistics,
        ..Values::plain()
    }
}

impl Values<'_> {
    /// No values yet, without a dictionary.
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

    /// Values that stand in a dictionary.
    fn coded(used: &Used, dictionary: Vec<u8>, statistics: Option<Statistics>) -> Self {
        let dictionary_count = used.values.len();
        let encoding = if dictionary_count == 0 { Encoding::PLAIN } else { Encoding::RLE_DICTIONARY };
        Self { dictionary, dictionary_count, rows: codes(used), encoding, statistics, ..Self::plain() }
    }
}

/// The values that rows have; none when one is not below the limit.
fn used_values<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, limit: usize) -> Option<Used> {
    let all = array.values();
    // What stands under nulls counts too: at worst, the column is encoded in another way.
    let above =
        all.iter().map(|value| value.as_usize()).max().map_or(0, |greatest| greatest.saturating_add(1));
    if above > limit {
        return None;
    }
    let rows: Vec<u16> = match array.nulls() {
        None => all.iter().map(|value| value.as_usize() as u16).collect(),
        Some(nulls) => nulls.valid_indices().map(|row| all[row].as_usize() as u16).collect(),
    };
    let mut is_used = vec![false; above];
    for value in &rows {
        is_used[*value as usize] = true;
    }
    let values: Vec<_> = (0..above).filter(|value| is_used[*value]).map(|value| value as u16).collect();
    let mut positions = vec![0; above];
    (0..).zip(&values).for_each(|(position, value)| positions[*value as usize] = position);
    Some(Used { values, positions, rows })
}

fn encode(
    array: &ArrayRef,
    values: &Values<'_>,
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

/// Compresses and writes the pages of one column chunk.
struct Writer<'z, 'd> {
    zstd: &'z mut Compressor<'d>,
    pages: TrackedWrite<Pages>,
    /// Sizes of the pages so far, headers included.
    compressed: usize,
    uncompressed: usize,
}

impl Writer<'_, '_> {
    /// Writes a page, whose body is the given pieces, end to end.
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

    /// Compresses pieces to one frame or, where some are large, to several, which together are as good: zstd decompresses
    /// frames that follow each other to what follows each other in them. So large pieces stay where they lie.
    fn compress(&mut self, pieces: &[&[u8]], size: usize) -> io::Result<Vec<u8>> {
        if let [whole] = pieces {
            return self.zstd.compress(whole);
        }
        if size < LARGE_SIZE {
            return self.zstd.compress(&pieces.concat());
        }
        // Room that is not written to is not taken from the system.
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
