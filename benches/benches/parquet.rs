//! binframe's Parquet encoder and `parquet::ArrowWriter` on the same rows, on one thread.
//!
//! The own encoder is worth its code only as long as `lower` is at least 1.3 times as fast with it. The group `lower`
//! decides that: it computes and encodes all tables of the pipeline. The group `encode` has the first row group of
//! three tables with different columns.
//!
//! The executable is the `cargo` that built the bench, or `BINFRAME_BENCH_FILE`. Both encoders compress with zstd at
//! level 1 and write neither page index nor statistics (binframe's encoder writes minimum and maximum of addresses).
//! Output is discarded.

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use binframe::ir::BINARY_COLUMN;
use binframe::ir::parquet::{Compressors, TableWriter};
use binframe::ir::tables::{BinarySymbols, Instructions, MemoryAccesses};
use binframe::ir::{Batch, Stage, TABLES, Table, TableInfo};
use binframe::{Filter, Source};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::hint::black_box;
use std::io::{Sink, sink};
use std::path::PathBuf;
use std::sync::Arc;

/// A way to write a table: called for the rows of each row group, returns the size of the file.
type WriteTable = fn(&'static TableInfo, &mut dyn Iterator<Item = (Batch, String)>) -> usize;

const ENCODERS: [(&str, WriteTable); 2] =
    [("binframe", write_table), ("arrow_writer", write_table_with_arrow)];

fn write_table(info: &'static TableInfo, row_groups: &mut dyn Iterator<Item = (Batch, String)>) -> usize {
    let mut writer =
        TableWriter::new(info, sink(), &Compressors::default()).expect("a table has a file schema");
    for (rows, binary) in row_groups {
        let encoded = writer.encoder().encode(&rows, &binary).expect("rows of the table can be encoded");
        writer.append(encoded).expect("a sink accepts everything");
    }
    let size = writer.bytes();
    writer.finish().expect("a sink accepts everything");
    size
}

fn write_table_with_arrow(
    info: &'static TableInfo,
    row_groups: &mut dyn Iterator<Item = (Batch, String)>,
) -> usize {
    let mut writer: Option<ArrowWriter<Sink>> = None;
    for (rows, binary) in row_groups {
        let batch = record_batch(info, &rows, &binary);
        let writer = writer.get_or_insert_with(|| {
            ArrowWriter::try_new(sink(), batch.schema(), Some(properties()))
                .expect("a table has a file schema")
        });
        writer.write(&batch).expect("rows of the table can be encoded");
        // Ends the row group.
        writer.flush().expect("a sink accepts everything");
    }
    writer.map_or(0, |mut writer| {
        writer.finish().expect("a sink accepts everything");
        writer.bytes_written()
    })
}

/// The properties of binframe's files, except their metadata.
fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("a level that zstd has");
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build()
}

/// The arrays of the rows as they are in memory, and the column `binary_name`.
fn record_batch(info: &TableInfo, rows: &Batch, binary: &str) -> RecordBatch {
    let names: ArrayRef = Arc::new(StringArray::from(vec![binary]));
    let keys = Int32Array::from(vec![0; rows.rows()]);
    let binary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, names));
    let fields =
        info.columns.iter().map(|column| Field::new(column.name, (column.memory_type)(), column.nullable));
    let fields = fields.chain([Field::new(BINARY_COLUMN, binary.data_type().clone(), false)]);
    let columns = rows.columns().iter().cloned().chain([binary]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
        .expect("the arrays have the types of the columns")
}

fn open() -> Source {
    let path = std::env::var_os("BINFRAME_BENCH_FILE").unwrap_or_else(|| env!("CARGO").into());
    Source::open(&PathBuf::from(path)).expect("an executable that binframe reads")
}

#[expect(clippy::print_stderr, reason = "sizes are results that criterion does not report")]
fn encode(criterion: &mut Criterion) {
    let (pool, source) = (one_thread(), open());
    let mut group = criterion.benchmark_group("encode");
    for info in [Instructions::INFO, MemoryAccesses::INFO, BinarySymbols::INFO] {
        let parts = source.parts(info, &Filter::default()).expect("a table of the executable");
        let rows = parts.first().expect("the executable has rows").rows().expect("rows that can be computed");
        group.throughput(Throughput::Elements(rows.rows() as u64));
        for (name, write) in ENCODERS {
            let row_group = || std::iter::once((rows.clone(), "cargo".to_owned()));
            let size = write(info, &mut row_group());
            eprintln!("{} with {name}: {} rows, {size} bytes", info.name, rows.rows());
            group.bench_function(format!("{}/{name}", info.name), |bencher| {
                bencher.iter(|| pool.install(|| write(black_box(info), &mut row_group())));
            });
        }
    }
    group.finish();
}

fn lower(criterion: &mut Criterion) {
    let pool = one_thread();
    let mut group = criterion.benchmark_group("lower");
    group.sample_size(10);
    for (name, write) in ENCODERS {
        group.bench_function(name, |bencher| bencher.iter(|| pool.install(|| lower_with(write))));
    }
    group.finish();
}

/// Computes and encodes all tables of the pipeline of a newly opened executable; returns the size of the files.
fn lower_with(write: WriteTable) -> usize {
    let source = open();
    let tables = TABLES.iter().filter(|info| Stage::PIPELINE.contains(&info.stage));
    let sizes = tables.map(|info| {
        let parts = source.parts(info, &Filter::default()).expect("a table of the executable");
        let mut row_groups = parts.iter().map(|part| {
            let rows = part.rows().expect("rows that can be computed");
            (rows, part.binary().to_owned())
        });
        write(info, &mut row_groups)
    });
    sizes.sum()
}

fn one_thread() -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started")
}

criterion_group!(encoders, encode, lower);
criterion_main!(encoders);
