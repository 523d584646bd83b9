//! Rows are not copied, and equal rows have equal fingerprints.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::NullBuffer;
use binframe_ir::tables::{
    BinarySection, BinarySectionBuilder, BinarySections, FunctionBuilder, Functions, InstructionBuilder,
    Instructions, MemoryAccessBuilder, SectionKind,
};
use binframe_ir::{Batch, BytesBuilder, ColumnType, Rows, Table, TermBuilder, from_text};
use bytes::Bytes;
use std::sync::Arc;

fn functions() -> Batch {
    from_text(Functions::INFO, "address | size | function_name\n0x10 | 6 | a\n0x20 | 7 | -\n0x30 | 8 | c\n")
        .expect("rows of the table")
}

fn numbers(array: &ArrayRef) -> &[u64] {
    array.as_primitive::<UInt64Type>().values()
}

#[test]
fn a_builder_passes_its_buffers_on_without_a_copy() {
    let mut rows = MemoryAccessBuilder::default();
    rows.instruction_address.extend([1, 2, 3]);
    let address = rows.instruction_address.as_ptr();
    let array = <u64 as ColumnType>::finish(rows.instruction_address, None);
    assert_eq!(numbers(&array).as_ptr(), address);
    let rows = Rows::<Functions>::from_batch(functions()).unwrap();
    let column = rows.batch().column("address");
    assert_eq!(rows.columns().address.as_ptr(), numbers(column).as_ptr(), "views are not copies either");
}

#[test]
fn values_with_nulls_are_not_copied() {
    let values = vec![1, 0];
    let address = values.as_ptr();
    let array = <u64 as ColumnType>::finish(values, Some(NullBuffer::from(vec![true, false])));
    assert_eq!((numbers(&array).as_ptr(), array.null_count()), (address, 1));
}

#[test]
fn bytes_inside_the_source_are_not_copied() {
    let source = Bytes::from((0..=255).collect::<Vec<u8>>());
    let mut values = BytesBuilder::default();
    values.refer_to(&source);
    let elsewhere = [1; 20];
    for value in [&source[..13], &source[100..200], &source[243..], &source[..12], &elsewhere, &[]] {
        values.push(value);
    }
    let array = <&'static [u8] as ColumnType>::finish(values, None);
    let values = array.as_binary_view();
    let is_inside = |row: usize| source.as_ptr_range().contains(&values.value(row).as_ptr());
    let inside: Vec<_> = (0..values.len()).map(is_inside).collect();
    // Up to 12 bytes are stored in the view.
    assert_eq!(inside, [true, true, true, false, false, false]);
    assert_eq!(values.value(1), &source[100..200]);
    assert_eq!((values.value(3), values.value(4), values.value(5)), (&source[..12], &elsewhere[..], &[][..]));
}

#[test]
fn section_content_is_not_copied_from_the_file() {
    let file = Bytes::from(vec![7; 100]);
    let mut rows = BinarySectionBuilder::default();
    rows.content.refer_to(&file);
    rows.push(BinarySection {
        section_name: ".data",
        size: 50,
        content: &file[10..60],
        kind: SectionKind::Data,
        ..BinarySection::default()
    });
    let rows: Rows<BinarySections> = rows.finish();
    assert_eq!(rows.columns().content.value(0).as_ptr(), file[10..].as_ptr());
}

#[test]
fn fingerprints_are_equal_for_slices_and_copies() {
    let batch = functions();
    let text = "address | size | function_name\n0x20 | 7 | -\n0x30 | 8 | c\n";
    let same = from_text(Functions::INFO, text).unwrap();
    assert_eq!(batch.slice(1, 2).fingerprint(), same.fingerprint());
    assert_eq!(batch.take(&[1, 2]).fingerprint(), same.fingerprint());
    let parts = [batch.slice(0, 1), batch.slice(1, 2)];
    assert_eq!(Batch::concat(&parts).fingerprint(), batch.fingerprint());
}

#[test]
fn fingerprints_depend_on_every_value_and_null() {
    let rows = |text: &str| {
        from_text(Functions::INFO, &format!("address | function_name\n{text}")).unwrap().fingerprint()
    };
    let fingerprints = [
        rows("0x1 | ab\n0x2 | c\n"),
        rows("0x1 | a\n0x2 | bc\n"),
        rows("0x1 | -\n0x2 | bc\n"),
        rows("0x1 | ``\n0x2 | bc\n"),
        rows("0x1 | bc\n0x2 | -\n"),
        rows("0x1 | bc\n"),
        rows(""),
    ];
    let distinct: std::collections::BTreeSet<_> = fingerprints.into_iter().collect();
    assert_eq!(distinct.len(), fingerprints.len());
}

#[test]
fn fingerprints_do_not_depend_on_the_vocabulary() {
    let batch = |mnemonic: TermBuilder| {
        let rows = InstructionBuilder { mnemonic, ..InstructionBuilder::default() };
        let mnemonic = <binframe_ir::Term<'static> as ColumnType>::finish(rows.mnemonic, None);
        let text = "address | size\n0x1 | 1\n0x2 | 1\n";
        from_text(Instructions::INFO, text).unwrap().with_column("mnemonic", mnemonic)
    };
    let mut own = TermBuilder::default();
    own.push("ret");
    own.push("add");
    let mut given = TermBuilder::with_vocabulary(Arc::new(StringArray::from(vec!["add", "nop", "ret"])));
    given.push_code(2);
    given.push_code(0);
    assert_eq!(batch(own).fingerprint(), batch(given).fingerprint());
}

#[test]
fn a_batch_of_another_table_is_rejected() {
    assert!(Rows::<Instructions>::from_batch(functions()).is_none());
    assert!(FunctionBuilder::default().finish().is_empty());
    let rows = Rows::<Functions>::from_batch(functions()).unwrap();
    assert_eq!((rows.len(), rows.columns().row(2).function_name), (3, Some("c")));
    let names: Vec<_> = rows.columns().iter().rev().map(|row| row.address).collect();
    assert_eq!(names, [0x30, 0x20, 0x10]);
}
