//! Only files with the declared schema are read; every difference is reported.

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{Field, Schema};
use binframe_ir::parquet::{
    Compressors, ReadError, TableReader, TableWriter, file_schema, writer_properties,
};
use binframe_ir::tables::{BasicBlocks, Functions};
use binframe_ir::{BINARY_COLUMN, Batch, Table, from_text, to_text};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use std::sync::Arc;

fn blocks() -> Batch {
    let text = "address | size | end_address | function_address | instruction_count | terminator\n\
                0x10 | 6 | 0x16 | 0x10 | 2 | call\n\
                0xfffffffffffffff0 | 1 | 0xfffffffffffffff1 | 0x10 | 1 | ret\n";
    from_text(BasicBlocks::INFO, text).expect("the fixed rows are sound")
}

/// The fields and arrays of a file of [`blocks`].
fn columns() -> Vec<(Field, ArrayRef)> {
    let batch = blocks().to_record_batch().expect("the fixed rows are sound");
    let names: DictionaryArray<Int32Type> = vec!["input"; batch.num_rows()].into_iter().collect();
    let arrays = batch.columns().iter().cloned().chain([Arc::new(names) as ArrayRef]);
    file_schema(BasicBlocks::INFO).fields().iter().map(|field| Field::clone(field)).zip(arrays).collect()
}

/// A file of arbitrary columns, opened as `basic_blocks`.
fn open(columns: Vec<(Field, ArrayRef)>) -> Result<TableReader<Bytes>, ReadError> {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("the fixed rows are sound");
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("the fixed rows are sound");
    writer.write(&batch).expect("the fixed rows are sound");
    TableReader::open(BasicBlocks::INFO, Bytes::from(writer.into_inner().expect("the fixed rows are sound")))
}

fn differences(columns: Vec<(Field, ArrayRef)>) -> Vec<String> {
    match open(columns) {
        Err(ReadError::Schema { table: "basic_blocks", differences }) => differences,
        Err(error) => panic!("{error}"),
        Ok(_) => Vec::new(),
    }
}

fn position(columns: &[(Field, ArrayRef)], name: &str) -> usize {
    columns.iter().position(|(field, _)| field.name() == name).expect("the column is there")
}

#[test]
fn a_file_with_the_same_columns_is_read() {
    let reader = open(columns()).map_err(|error| error.to_string()).unwrap();
    assert_eq!(to_text(&reader.read(0).unwrap()), to_text(&blocks()));
}

#[test]
fn a_missing_column_is_reported() {
    let mut columns = columns();
    columns.remove(position(&columns, "size"));
    columns.remove(position(&columns, BINARY_COLUMN));
    assert_eq!(differences(columns), ["column `size` is missing", "column `binary_name` is missing"]);
}

#[test]
fn an_unexpected_column_is_reported() {
    let mut columns = columns();
    let array = UInt32Array::from(vec![0; columns[0].1.len()]);
    columns.push((Field::new("colour", array.data_type().clone(), false), Arc::new(array)));
    assert_eq!(differences(columns), ["column `colour` is not expected"]);
}

#[test]
fn a_column_of_another_type_is_reported() {
    let mut columns = columns();
    let size = position(&columns, "size");
    let array = UInt32Array::from(vec![1; columns[0].1.len()]);
    columns[size] = (Field::new("size", array.data_type().clone(), false), Arc::new(array));
    let address = position(&columns, "address");
    columns[address].0 = columns[address].0.clone().with_nullable(true);
    let expected =
        ["column `address` is UInt64 or null, expected UInt64", "column `size` is UInt32, expected UInt64"];
    assert_eq!(differences(columns), expected);
}

#[test]
fn another_column_order_is_reported() {
    let mut columns = columns();
    columns.swap(0, 1);
    let rest = "end_address, function_address, instruction_count, terminator, evidence, \
                immediate_dominator_address, immediate_post_dominator_address, loop_header_address, loop_depth, \
                binary_name";
    let expected = format!("columns are size, address, {rest}, expected address, size, {rest}");
    assert_eq!(differences(columns), [expected]);
}

#[test]
fn an_unknown_enumeration_value_is_an_error() {
    let mut columns = columns();
    let terminator = position(&columns, "terminator");
    let names: ArrayRef = Arc::new(StringArray::from(vec!["call", "sideways"]));
    columns[terminator].1 = arrow_cast::cast(&names, columns[terminator].0.data_type()).unwrap();
    let reader = open(columns).map_err(|error| error.to_string()).unwrap();
    let error = reader.read(0).unwrap_err();
    assert!(error.to_string().starts_with("basic_blocks.terminator: `sideways` is not one of"), "{error}");
}

#[test]
fn a_file_that_is_not_parquet_is_an_error() {
    for bytes in [&b""[..], b"PAR1", b"a text file that is longer than any footer", &[0; 4096]] {
        let opened = TableReader::open(BasicBlocks::INFO, Bytes::copy_from_slice(bytes));
        assert!(matches!(opened, Err(ReadError::Parquet(_))));
    }
}

#[test]
fn a_truncated_file_is_an_error() {
    let file = written(&[(blocks(), "a"), (blocks(), "b")]);
    for length in 0..file.len() {
        assert!(TableReader::open(BasicBlocks::INFO, file.slice(..length)).is_err(), "{length} bytes");
    }
}

#[test]
fn an_invalid_column_is_named() {
    let file = written(&[(blocks(), "a")]);
    let last = file.len() - 8;
    let footer_size = u32::from_le_bytes(file[last..last + 4].try_into().unwrap()) as usize;
    let mut errors = 0;
    for position in 4..last - footer_size {
        let mut bytes = file.to_vec();
        bytes[position] ^= 0xff;
        let reader = TableReader::open(BasicBlocks::INFO, Bytes::from(bytes)).unwrap();
        if let Err(error) = reader.read(0) {
            assert!(error.to_string().starts_with("basic_blocks."), "{position}: {error}");
            errors += 1;
        }
    }
    assert!(errors > 100, "{errors}");
}

/// A file of [`blocks`] whose footer states another number of rows, and of values of each column.
fn with_row_count(rows: u64) -> Bytes {
    let file = written(&[(blocks(), "a")]);
    let last = file.len() - 8;
    let footer_size = u32::from_le_bytes(file[last..last + 4].try_into().expect("four bytes")) as usize;
    let (data, footer) = (&file[..last - footer_size], &file[last - footer_size..last]);
    let mut forged = Vec::new();
    let mut position = 0;
    while position < footer.len() {
        forged.push(footer[position]);
        // A field that is a 64-bit integer and has the value 2. Twice a number is stored, seven bits a byte.
        if matches!(footer[position..], [0x16 | 0x26 | 0x36, 4, ..]) {
            let mut rest = 2 * rows;
            while rest > 0x7f {
                forged.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            forged.push(rest as u8);
            position += 1;
        }
        position += 1;
    }
    let size = u32::try_from(forged.len()).expect("a small file").to_le_bytes();
    [data, &forged, &size, b"PAR1"].concat().into()
}

#[test]
fn a_row_group_has_the_stated_number_of_rows() {
    let open = |rows| TableReader::open(BasicBlocks::INFO, with_row_count(rows));
    assert_eq!(open(2).unwrap().read(0).unwrap().rows(), 2);
    let error = open(3).unwrap().read(0).unwrap_err().to_string();
    assert!(error.starts_with("basic_blocks."), "{error}");
    let error = open(1 << 40).map(drop).unwrap_err().to_string();
    assert!(error.contains("states 1099511627776 rows in "), "{error}");
}

fn written(parts: &[(Batch, &str)]) -> Bytes {
    let mut writer = TableWriter::new(BasicBlocks::INFO, Vec::new(), &Compressors::default())
        .expect("memory does not fail");
    for (batch, binary) in parts {
        let rows = writer.encoder().encode(batch, binary).expect("memory does not fail");
        writer.append(rows).expect("memory does not fail");
    }
    writer.finish().expect("memory does not fail").into()
}

#[test]
fn row_groups_state_their_input_and_address_range() {
    let parts = [(blocks(), "first"), (blocks().slice(0, 1), "second | with \"quotes\"")];
    let reader = TableReader::open(BasicBlocks::INFO, written(&parts)).unwrap();
    let about = |index: usize| {
        (
            reader.row_group_rows(index),
            reader.row_group_binary(index).ok(),
            reader.row_group_numbers(index, "address"),
        )
    };
    // Addresses compare as unsigned numbers.
    assert_eq!(about(0), (2, Some("first".to_owned()), Some(0x10..=0xffff_ffff_ffff_fff0)));
    assert_eq!(about(1), (1, Some("second | with \"quotes\"".to_owned()), Some(0x10..=0x10)));
    assert_eq!(reader.row_group_numbers(0, "terminator"), None, "no number");
    let column = reader.read_column(0, "terminator").unwrap();
    assert_eq!((column.len(), column.data_type()), (2, file_schema(BasicBlocks::INFO).field(5).data_type()));
}

#[test]
fn equal_rows_give_equal_bytes() {
    let parts = [(blocks(), "first"), (blocks(), "second")];
    assert_eq!(written(&parts), written(&parts));
    assert_eq!(writer_properties(Functions::INFO).created_by(), "binframe", "no version of the day");
}
