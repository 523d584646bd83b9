//! Large tables are divided into row groups and pages that a reader can skip.

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use binframe_ir::parquet::{Compressors, ROW_GROUP_ROWS_MAX, TableReader, TableWriter};
use binframe_ir::tables::{BinarySymbol, BinarySymbolBuilder, BinarySymbols};
use binframe_ir::{Batch, Table};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelector};
use parquet::basic::BoundaryOrder;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use std::sync::LazyLock;

/// Two row groups; the second has one page.
const ROWS: usize = ROW_GROUP_ROWS_MAX + 1000;

static SYMBOLS: LazyLock<Batch> = LazyLock::new(symbols);
static FILE: LazyLock<Bytes> = LazyLock::new(file);

/// Symbols: each value depends on the row, and some are null.
fn symbols() -> Batch {
    let mut rows = BinarySymbolBuilder::default();
    for row in 0..ROWS as u32 {
        let name = format!("name {row}");
        let (symbol_address, symbol_size) = (u64::from(row) * 16, u64::from(row % 7));
        let section_index = (row % 3 != 0).then_some(row % 300);
        let (symbol_name, symbol_index) = (name.as_str(), row);
        let is_dynamic = row >= 40_000;
        rows.push(BinarySymbol {
            symbol_name,
            symbol_address,
            symbol_size,
            is_dynamic,
            symbol_index,
            section_index,
            ..BinarySymbol::default()
        });
    }
    rows.finish().batch().clone()
}

fn file() -> Bytes {
    let mut writer = TableWriter::new(BinarySymbols::INFO, Vec::new(), &Compressors::default())
        .expect("memory does not fail");
    let rows = writer.encoder().encode(&SYMBOLS, "app").expect("memory does not fail");
    writer.append(rows).expect("memory does not fail");
    writer.finish().expect("memory does not fail").into()
}

fn metadata() -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.parse_and_finish(&*FILE).expect("memory does not fail")
}

#[test]
fn rows_are_divided_and_read_back() {
    let reader = TableReader::open(BinarySymbols::INFO, FILE.clone()).unwrap();
    let rows: Vec<_> = (0..reader.row_groups()).map(|index| reader.row_group_rows(index)).collect();
    assert_eq!(rows, [ROW_GROUP_ROWS_MAX as u64, 1000]);
    let batches: Vec<_> = (0..2).map(|index| reader.read(index).unwrap()).collect();
    assert_eq!(Batch::concat(&batches).fingerprint(), SYMBOLS.fingerprint());
    assert!((0..2).all(|index| reader.columns_beyond_statistics(index).unwrap().is_empty()));
}

#[test]
fn each_page_has_bounds_and_can_be_skipped() {
    let metadata = metadata();
    assert_eq!(metadata.row_group(0).sorting_columns().unwrap().len(), BinarySymbols::INFO.key.len());
    let (columns, offsets) = (metadata.column_index().unwrap(), metadata.offset_index().unwrap());
    for (position, column) in metadata.row_group(0).columns().iter().enumerate() {
        let starts = offsets[0][position].page_locations().iter().map(|page| page.first_row_index);
        assert_eq!(starts.collect::<Vec<_>>(), [0, 20_480, 40_960, 61_440], "{}", column.column_path());
    }
    let address = BinarySymbols::INFO.column_index("symbol_address").unwrap();
    let ColumnIndexMetaData::INT64(bounds) = &columns[0][address] else { panic!("addresses are numbers") };
    assert_eq!(bounds.max_value(1), Some(&((40_960 - 1) * 16)));
    assert_eq!(columns[0][address].get_boundary_order(), Some(BoundaryOrder::ASCENDING));
    let name = BinarySymbols::INFO.column_index("symbol_name").unwrap();
    let ColumnIndexMetaData::BYTE_ARRAY(bounds) = &columns[0][name] else { panic!("names are text") };
    assert_eq!((bounds.min_value(0), bounds.max_value(0)), (Some(&b"name 0"[..]), Some(&b"name 9999"[..])));

    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(FILE.clone(), options).unwrap();
    let selection = vec![RowSelector::skip(45_000), RowSelector::select(2), RowSelector::skip(20_534)];
    let mut reader = reader.with_row_groups(vec![0]).with_row_selection(selection.into()).build().unwrap();
    let rows = reader.next().unwrap().unwrap();
    let addresses = rows.column_by_name("symbol_address").unwrap();
    assert_eq!(addresses.as_primitive::<UInt64Type>().values(), &[45_000 * 16, 45_001 * 16]);
    let sections = rows.column_by_name("section_index").unwrap().as_primitive::<UInt32Type>();
    assert_eq!(sections.iter().collect::<Vec<_>>(), [None, Some(1)]);
    let names = rows.column_by_name("symbol_name").unwrap().as_string::<i32>();
    assert_eq!(names.value(1), "name 45001");
}

/// Engines skip row groups by the statistics of any column. A column without values states the number of nulls.
#[test]
fn every_column_with_values_has_statistics() {
    let metadata = metadata();
    for row_group in metadata.row_groups() {
        for column in row_group.columns() {
            let statistics = column.statistics();
            let nulls = statistics.and_then(Statistics::null_count_opt);
            let is_null = nulls == Some(row_group.num_rows() as u64);
            assert!(nulls.is_some(), "{}", column.column_path());
            let has_bounds = statistics.is_some_and(|bounds| bounds.min_bytes_opt().is_some());
            assert_eq!(has_bounds, !is_null, "{}", column.column_path());
        }
    }
}
