//! Rows of every table survive the text form and Parquet unchanged, for arbitrary values.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Int32Array, Int64Array, StringArray,
    TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::DataType;
use binframe_ir::parquet::{Compressors, TableReader, TableWriter};
use binframe_ir::{
    Batch, ColumnInfo, ColumnType, TABLES, TableInfo, Terms, TermsBuilder, from_text, to_text,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

/// Maximum number of rows of a random batch.
const ROWS_MAX: usize = 8;

/// A batch with arbitrary values of the column types, sorted or not.
fn batch(info: &'static TableInfo) -> BoxedStrategy<Batch> {
    let columns =
        move |rows: usize| info.columns.iter().map(|column| array(column, rows)).collect::<Vec<_>>();
    (1..=ROWS_MAX).prop_flat_map(columns).prop_map(move |columns| Batch::new(info, columns)).boxed()
}

/// An array of the column's type in memory.
fn array(column: &'static ColumnInfo, rows: usize) -> BoxedStrategy<ArrayRef> {
    let declared = (column.data_type)();
    let array = match (declared, column.one_of) {
        (DataType::UInt8, _) => cells(column, rows, number::<u8>(), UInt8Array::from),
        (DataType::UInt16, _) => cells(column, rows, number::<u16>(), UInt16Array::from),
        (DataType::UInt32, _) => cells(column, rows, number::<u32>(), UInt32Array::from),
        (DataType::UInt64, _) => cells(column, rows, number::<u64>(), UInt64Array::from),
        (DataType::Int32, _) => cells(column, rows, number::<i32>(), Int32Array::from),
        (DataType::Int64, _) => cells(column, rows, number::<i64>(), Int64Array::from),
        (DataType::Timestamp(_, _), _) => {
            cells(column, rows, number::<i64>(), TimestampNanosecondArray::from)
        }
        (DataType::Boolean, _) => cells(column, rows, any::<bool>().boxed(), BooleanArray::from),
        (DataType::Utf8, _) => cells(column, rows, text(), StringArray::from),
        (DataType::Binary, _) => {
            let bytes = prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..40)].boxed();
            cells(column, rows, bytes, BinaryArray::from_iter)
        }
        (DataType::List(_), _) => {
            let words = vec("[a-z0-9_()]{1,12}", 0..4).boxed();
            cells(column, rows, words, |lists| {
                let mut builder = TermsBuilder::default();
                for list in lists {
                    let words: Vec<_> = list.iter().flatten().map(String::as_str).collect();
                    Terms::push(&mut builder, Terms::of(&words));
                }
                Terms::finish(builder, None).as_list::<i32>().clone()
            })
        }
        (DataType::Dictionary(_, _), Some(names)) => {
            cells(column, rows, select(names).boxed(), StringArray::from)
        }
        (DataType::Dictionary(_, _), None) => cells(column, rows, "[a-z0-9_()]{1,12}".boxed(), |cells| {
            cells.iter().map(Option::as_deref).collect::<DictionaryArray<UInt16Type>>()
        }),
        (other, _) => panic!("{}: no values of {other} are made", column.name),
    };
    array.prop_map(|array| (column.adopt)(&array).expect("values of the declared type")).boxed()
}

/// `rows` values, some of them null if the column is nullable.
fn cells<V: Clone + std::fmt::Debug + 'static, A: arrow_array::Array + 'static>(
    column: &ColumnInfo,
    rows: usize,
    values: BoxedStrategy<V>,
    array: impl Fn(Vec<Option<V>>) -> A + 'static,
) -> BoxedStrategy<ArrayRef> {
    let cell =
        if column.nullable { proptest::option::of(values).boxed() } else { values.prop_map(Some).boxed() };
    vec(cell, rows).prop_map(move |cells| Arc::new(array(cells)) as ArrayRef).boxed()
}

/// Numbers, including the least and the greatest.
fn number<N: Arbitrary + num_bounds::Bounded + Copy + 'static>() -> BoxedStrategy<N> {
    prop_oneof![Just(N::LEAST), Just(N::GREATEST), any::<N>()].boxed()
}

mod num_bounds {
    /// A whole number's bounds.
    pub(super) trait Bounded {
        const LEAST: Self;
        const GREATEST: Self;
    }

    macro_rules! bounded {
        ($($number:ty),+) => { $(impl Bounded for $number {
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;
        })+ };
    }
    bounded!(u8, u16, u32, u64, i32, i64);
}

/// Text, often with characters that are special in the text form.
fn text() -> BoxedStrategy<String> {
    const TRAPS: &[&str] = &[
        "",
        "-",
        "|",
        "`",
        "--",
        "_a_",
        "a.b_c-d/e",
        "\"",
        "\\",
        "\\\"",
        "a | b",
        "line\nline",
        "\r\n",
        "\t",
        "\0",
        " led",
        "trailed ",
        "x00",
        "0x10",
        "\u{301}combining",
        "\u{202e}",
        "\u{feff}",
        "né",
        "日本",
        "\\u{7c}",
        "'",
    ];
    prop_oneof![select(TRAPS).prop_map(str::to_owned), any::<String>()].boxed()
}

fn through_parquet(info: &'static TableInfo, batches: &[Batch]) -> Vec<Batch> {
    let mut writer =
        TableWriter::new(info, Vec::new(), &Compressors::default()).expect("memory does not fail");
    for batch in batches {
        let rows = writer.encoder().encode(batch, "input").expect("any rows can be encoded");
        writer.append(rows).expect("memory does not fail");
    }
    let rows: usize = batches.iter().map(Batch::rows).sum();
    assert_eq!(writer.rows(), rows as u64);
    let bytes = Bytes::from(writer.finish().expect("memory does not fail"));
    let reader = TableReader::open(info, bytes).expect("a file of the table");
    let read = (0..reader.row_groups()).map(|index| {
        assert_eq!(reader.row_group_binary(index).expect("one input"), "input");
        reader.read(index).expect("what was written can be read")
    });
    read.collect()
}

/// Compares rows by their text form and by their fingerprints.
fn assert_same(read: &Batch, written: &Batch) {
    assert_eq!(to_text(read), to_text(written));
    assert_eq!(read.fingerprint(), written.fingerprint());
}

fn check(info: &'static TableInfo) {
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(first in batch(info), second in batch(info))| {
        let parsed = from_text(info, &to_text(&first)).map_err(|error| error.to_string());
        assert_same(&parsed.unwrap_or_else(|error| panic!("{error}\n{}", to_text(&first))), &first);
        let batches = [first, second];
        let read = through_parquet(info, &batches);
        prop_assert_eq!(read.len(), 2);
        for (read, written) in read.iter().zip(&batches) {
            assert_same(read, written);
        }
    });
}

#[test]
fn every_table_survives_text_and_parquet() {
    for info in TABLES {
        check(info);
    }
}

#[test]
fn empty_tables_survive_text_and_parquet() {
    for info in TABLES {
        let names: Vec<_> = info.columns.iter().map(|column| column.name).collect();
        let empty = from_text(info, &names.join(" | ")).expect("no rows");
        assert_eq!(empty.rows(), 0);
        assert_same(&from_text(info, &to_text(&empty)).expect("no rows"), &empty);
        assert_eq!(through_parquet(info, &[]).len(), 0);
    }
}
