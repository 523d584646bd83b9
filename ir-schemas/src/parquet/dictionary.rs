//! `(column of few values) -> column chunk`
//!
//! The Parquet library looks up the value of every row in a hash table of its own. A dictionary array has the codes already,
//! and small integers are codes: here the values that rows have become the dictionary page, the codes the data page, and
//! the null bitmap the definition levels, bit for bit. On the columns of `instructions` this takes a tenth of the time.
//!
//! Sources: Parquet format, "Encodings" (dictionary encoding, RLE/bit-packing hybrid) and "Data pages" (version 1).

use super::ZSTD_LEVEL;
use arrow_array::types::{ArrowDictionaryKeyType, Int32Type, UInt8Type, UInt16Type, UInt32Type};
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

/// A column chunk, ready to be appended to a row group.
pub(super) struct DictionaryChunk {
    /// The pages with their headers, end to end.
    pub(super) pages: Bytes,
    /// What the file's footer says of them.
    pub(super) close: ColumnCloseResult,
}

/// Integers of more values than this are better off as packed differences.
const INTEGERS_MAX: usize = 256;

/// Encodes a column of names or of few integers; none for other columns. A column that holds one name alone gets it as its
/// least and greatest value.
pub(super) fn encode_dictionary(
    array: &ArrayRef,
    column: &ColumnDescPtr,
) -> Result<Option<DictionaryChunk>, ParquetError> {
    let values = match array.data_type() {
        DataType::Dictionary(key, _) if **key == DataType::UInt8 => Some(names::<UInt8Type>(array)),
        DataType::Dictionary(key, _) if **key == DataType::UInt16 => Some(names::<UInt16Type>(array)),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => Some(names::<Int32Type>(array)),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        _ => None,
    };
    values.map(|values| encode(array, &values, column)).transpose()
}

/// The values that rows have, once each, and which of them every row has that is not null.
struct Values {
    /// In the dictionary page's encoding (`PLAIN`).
    dictionary: Vec<u8>,
    count: usize,
    codes: Vec<u16>,
    /// The only value, when it is a name.
    only_name: Option<String>,
}

fn names<K: ArrowDictionaryKeyType>(array: &ArrayRef) -> Values {
    let array = array.as_dictionary::<K>();
    let names: &StringArray = array.values().as_string();
    let (used, codes) =
        used_values(array.keys(), names.len()).expect("codes are positions in the dictionary");
    let mut dictionary = Vec::new();
    for name in used.iter().map(|code| names.value(*code as usize)) {
        dictionary.extend_from_slice(&(name.len() as u32).to_le_bytes());
        dictionary.extend_from_slice(name.as_bytes());
    }
    let only_name = match used.as_slice() {
        [code] => Some(names.value(*code as usize).to_owned()),
        _ => None,
    };
    Values { dictionary, count: used.len(), codes, only_name }
}

fn integers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<Values> {
    let (used, codes) = used_values(array.as_primitive::<T>(), 1 << 16)?;
    let dictionary = used.iter().flat_map(|value| u32::from(*value).to_le_bytes()).collect();
    let values = Values { dictionary, count: used.len(), codes, only_name: None };
    (values.count <= INTEGERS_MAX).then_some(values)
}

/// The values in their order, and the position among them of every row's that is not null; none when a value is not below
/// the limit.
fn used_values<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    limit: usize,
) -> Option<(Vec<u16>, Vec<u16>)> {
    let mut codes = Vec::with_capacity(array.len() - array.null_count());
    let values = array.values();
    match array.nulls() {
        None => codes.extend(values.iter().map(|value| value.as_usize() as u16)),
        Some(nulls) => codes.extend(nulls.valid_indices().map(|row| values[row].as_usize() as u16)),
    }
    // What stands under a null is 0, or whatever a file had there: it only makes this check stricter.
    if values.iter().any(|value| value.as_usize() >= limit.min(1 << 16)) && !values.is_empty() {
        return None;
    }
    let mut positions = vec![u16::MAX; limit];
    codes.iter().for_each(|code| positions[*code as usize] = 0);
    let mut used = Vec::new();
    for (value, position) in positions.iter_mut().enumerate().filter(|(_, position)| **position == 0) {
        *position = used.len() as u16;
        used.push(value as u16);
    }
    codes.iter_mut().for_each(|code| *code = positions[*code as usize]);
    Some((used, codes))
}

fn encode(
    array: &ArrayRef,
    values: &Values,
    column: &ColumnDescPtr,
) -> Result<DictionaryChunk, ParquetError> {
    let mut pages = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut pages);
    let mut sizes = Sizes::default();
    if values.count > 0 {
        let num_values = values.count as u32;
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
    push_codes(&mut body, &values.codes, values.count);
    let page = |buf| Page::DataPage {
        buf,
        num_values: array.len() as u32,
        encoding: if values.count == 0 { Encoding::PLAIN } else { Encoding::RLE_DICTIONARY },
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    sizes.write(&mut writer, &body, page)?;

    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has");
    let mut metadata = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_compression(Compression::ZSTD(zstd))
        .set_num_values(array.len() as i64)
        .set_total_compressed_size(sizes.compressed as i64)
        .set_total_uncompressed_size(sizes.uncompressed as i64)
        .set_dictionary_page_offset((values.count > 0).then_some(0))
        .set_data_page_offset(data_page_offset as i64);
    if let (Some(only), 0) = (&values.only_name, array.null_count()) {
        let name = Some(ByteArray::from(only.as_str()));
        metadata = metadata.set_statistics(Statistics::byte_array(name.clone(), name, None, Some(0), false));
    }
    let close = ColumnCloseResult {
        bytes_written: sizes.compressed as u64,
        rows_written: array.len() as u64,
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(DictionaryChunk { pages: pages.into_inner()?.into(), close })
}

/// Levels of 0 (null) or 1: the null bitmap as it is, or one run.
fn definition_levels(rows: usize, nulls: Option<&NullBuffer>) -> Vec<u8> {
    let mut levels = Vec::new();
    match nulls {
        Some(nulls) if nulls.null_count() == rows => push_run(&mut levels, rows, 0, 1),
        Some(nulls) if nulls.null_count() > 0 => {
            let bitmap = nulls.inner().sliced();
            let bytes = rows.div_ceil(8);
            push_varint(&mut levels, (bytes as u64) << 1 | 1);
            levels.extend_from_slice(&bitmap[..bytes]);
        }
        _ => push_run(&mut levels, rows, 1, 1),
    }
    levels
}

/// Codes below `names`, after a byte that says how many bits each takes.
fn push_codes(out: &mut Vec<u8>, codes: &[u16], names: usize) {
    let width = (usize::BITS - names.saturating_sub(1).leading_zeros()).max(1);
    if names == 0 {
        return;
    }
    out.push(width as u8);
    if names == 1 {
        return push_run(out, codes.len(), 0, 1);
    }
    // Groups of eight values; the last is filled with zeros.
    let groups = codes.len().div_ceil(8);
    push_varint(out, (groups as u64) << 1 | 1);
    out.reserve(groups * width as usize);
    let (mut bits, mut count) = (0_u64, 0);
    for code in codes.iter().copied().chain(std::iter::repeat_n(0, groups * 8 - codes.len())) {
        bits |= u64::from(code) << count;
        count += width;
        if count >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            count -= 32;
        }
    }
    // Whole groups end on a byte.
    out.extend_from_slice(&bits.to_le_bytes()[..(count / 8) as usize]);
}

/// `count` times the same value, of `width` bits.
fn push_run(out: &mut Vec<u8>, count: usize, value: u32, width: u32) {
    push_varint(out, (count as u64) << 1);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Sizes of the pages so far, headers included.
#[derive(Default)]
struct Sizes {
    compressed: usize,
    uncompressed: usize,
}

impl Sizes {
    fn write(
        &mut self,
        writer: &mut SerializedPageWriter<'_, Vec<u8>>,
        body: &[u8],
        page: impl FnOnce(Bytes) -> Page,
    ) -> Result<(), ParquetError> {
        let compressed = zstd::bulk::compress(body, ZSTD_LEVEL)?;
        let written = writer.write_page(CompressedPage::new(page(compressed.into()), body.len()))?;
        self.compressed += written.compressed_size;
        self.uncompressed += written.uncompressed_size;
        Ok(())
    }
}
