//! Column chunks: `(encoded pages) -> compressed pages with statistics and an index`.
//!
//! Pages are zstd, but those of a chunk with few bytes are not compressed. Buffers of 256 KiB or more get a frame of
//! their own, since concatenated frames decompress to the concatenated content.
//!
//! A chunk has statistics (bounds and number of nulls), by which engines skip row groups. A chunk of several pages also
//! has the same facts for each page, by which they skip pages. Columns of text that are looked up by equality have a Bloom
//! filter.

use super::bounds::{Bounds, null_statistics};
use super::encode::{EncodedColumn, EncodedPage, encode_column, slices, values};
use super::layout::ZSTD_LEVEL;
use super::levels::Levels;
use super::pages::Pages;
use super::pruning::bloom_filter;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
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

/// Chunks of less than this are not compressed: frames are not smaller, and to make them takes longer than to encode the
/// values.
const TINY_SIZE: usize = 1 << 6;

/// Upper bound of the size of a zstd frame beyond its content and 1/128 of it.
const FRAME_SIZE: usize = 256;

/// Encodes and compresses a column.
pub(super) fn column_chunk(
    array: &ArrayRef,
    column: &ColumnDescPtr,
    has_bloom_filter: bool,
    zstd: &mut Compressor<'_>,
) -> Result<ColumnChunk, ParquetError> {
    let slices = slices(array);
    let is_nullable = column.max_def_level() > 0;
    let levels: Vec<_> = slices.iter().map(|slice| Levels::of(slice, is_nullable)).collect();
    let (all, pages) = (values(array), slices.iter().map(values).collect::<Vec<_>>());
    let encoded = encode_column(&all, &pages);
    let is_tiny =
        encoded.size() + levels.iter().map(|levels| levels.encoded.len()).sum::<usize>() < TINY_SIZE;
    let zstd = (!is_tiny).then_some(zstd);
    let mut writer =
        Writer { zstd, pages: TrackedWrite::new(Pages::default()), compressed: 0, uncompressed: 0 };
    let count = encoded.dictionary_count;
    if count > 0 {
        let num_values = count as u32;
        let page =
            |buf| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        writer.write(&[&encoded.dictionary], page)?;
    }
    let data_page_offset = writer.compressed;
    let mut offsets = OffsetIndexBuilder::new();
    for ((slice, levels), page) in slices.iter().zip(&levels).zip(&encoded.pages) {
        let start = writer.compressed;
        writer.write_data_page(levels, page, encoded.encoding)?;
        offsets.append_row_count(slice.len() as i64);
        offsets.append_offset_and_size(start as i64, (writer.compressed - start) as i32);
        offsets.append_unencoded_byte_array_data_bytes(None);
    }
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has");
    let mut metadata = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, encoded.encoding])
        .set_compression(if is_tiny { Compression::UNCOMPRESSED } else { Compression::ZSTD(level) })
        .set_num_values(levels.iter().map(|levels| levels.count as i64).sum())
        .set_total_compressed_size(writer.compressed as i64)
        .set_total_uncompressed_size(writer.uncompressed as i64)
        .set_dictionary_page_offset((count > 0).then_some(0))
        .set_data_page_offset(data_page_offset as i64);
    let bounds = encoded.pages.iter().filter_map(|page| page.bounds).reduce(Bounds::join);
    let null_count = levels.iter().map(|levels| levels.null_count).sum();
    let statistics = match bounds {
        Some(bounds) => bounds.statistics(null_count),
        None => Some(null_statistics(column.physical_type(), null_count)),
    };
    if let Some(statistics) = statistics {
        metadata = metadata.set_statistics(statistics);
    }
    let has_bounds = slices.len() > 1;
    let texts = array.as_string_opt::<i32>().filter(|_| has_bloom_filter);
    let close = ColumnCloseResult {
        bytes_written: writer.compressed as u64,
        rows_written: array.len() as u64,
        metadata: metadata.build()?,
        bloom_filter: texts.and_then(|texts| bloom_filter(texts.iter().flatten())),
        column_index: if has_bounds { column_index(&levels, &encoded, column)? } else { None },
        // The Parquet writer expects that all columns of a file have one, or none.
        offset_index: Some(offsets.build()),
    };
    Ok(ColumnChunk { pages: writer.pages.into_inner()?, close })
}

/// The bounds of each page. `None` if a page has values without bounds.
fn column_index(
    levels: &[Levels],
    encoded: &EncodedColumn<'_>,
    column: &ColumnDescPtr,
) -> Result<Option<ColumnIndexMetaData>, ParquetError> {
    let mut index = ColumnIndexBuilder::new(column.physical_type());
    for (levels, page) in levels.iter().zip(&encoded.pages) {
        let bounds = match &page.bounds {
            Some(bounds) => bounds.encoded(),
            None => Some((Vec::new(), Vec::new())),
        };
        let Some((least, greatest)) = bounds else { return Ok(None) };
        index.append(page.bounds.is_none(), least, greatest, levels.null_count as i64);
    }
    let bounds: Vec<_> = encoded.pages.iter().filter_map(|page| page.bounds).collect();
    if bounds.is_sorted_by(Bounds::is_ascending) {
        index.set_boundary_order(BoundaryOrder::ASCENDING);
    }
    index.build().map(Some)
}

/// Compresses and writes the pages of one column chunk.
struct Writer<'z, 'd> {
    /// `None` if pages are not compressed.
    zstd: Option<&'z mut Compressor<'d>>,
    pages: TrackedWrite<Pages>,
    /// Total sizes of the pages, including headers.
    compressed: usize,
    uncompressed: usize,
}

impl Writer<'_, '_> {
    fn write_data_page(
        &mut self,
        levels: &Levels,
        page: &EncodedPage<'_>,
        encoding: Encoding,
    ) -> Result<(), ParquetError> {
        let start = [levels.encoded.as_slice(), &page.rows].concat();
        let body: Vec<_> = [start.as_slice()].into_iter().chain(page.bytes.iter().copied()).collect();
        self.write(&body, |buf| Page::DataPage {
            buf,
            num_values: levels.count as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })
    }

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
        let Some(zstd) = &mut self.zstd else { return Ok(pieces.concat()) };
        if let [whole] = pieces {
            return zstd.compress(whole);
        }
        if size < LARGE_SIZE {
            return zstd.compress(&pieces.concat());
        }
        // Capacity that is not written to takes no memory from the system.
        let frames = 2 * (size / LARGE_SIZE) + 2;
        let mut compressed = Cursor::new(Vec::with_capacity(size + size / 128 + frames * FRAME_SIZE));
        let mut push_frame = |bytes: &[u8]| -> io::Result<()> {
            let written = zstd.compress_to_buffer(bytes, &mut compressed)?;
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
