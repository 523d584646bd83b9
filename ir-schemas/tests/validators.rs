//! Validation finds every kind of violation of a declaration and reports its location.

use arrow_array::{Array, ArrayRef, UInt64Array, make_array};
use arrow_buffer::NullBuffer;
use binframe_ir::tables::{
    BasicBlocks, BinarySymbols, CfgEdges, Functions, Instructions, MemoryAccesses, MemoryObjects,
    MemoryRegions,
};
use binframe_ir::{
    Batch, Reference, Table, TableInfo, Violation, from_text, integers, reference_values, references,
    validate,
};

fn rows(info: &'static TableInfo, text: &str) -> Batch {
    from_text(info, text).unwrap_or_else(|error| panic!("{error}"))
}

/// The violations, without checking references.
fn alone(batch: &Batch, previous: Option<&Batch>) -> Vec<Violation> {
    validate(batch, previous, &|_| None)
}

fn violation(table: &'static str, row: usize, column: &str, message: &str) -> Violation {
    Violation { table, row, column: column.to_owned(), message: message.to_owned() }
}

#[test]
fn rows_in_order_are_accepted() {
    let batch = rows(Functions::INFO, "address | size\n0x10 | 16\n0x20 | 1\n0xffffffffffffffff | 0\n");
    assert_eq!(alone(&batch, None), []);
    let empty = batch.slice(0, 0);
    assert_eq!(alone(&empty, Some(&batch)), []);
    assert_eq!(alone(&batch, Some(&empty)), []);
}

#[test]
fn a_key_out_of_order_is_found() {
    let batch = rows(Functions::INFO, "address\n0x10\n0x30\n0x20\n");
    let message = "the key is less than that of the previous row";
    assert_eq!(alone(&batch, None), [violation("functions", 2, "address", message)]);
}

#[test]
fn a_duplicate_key_is_found() {
    let batch = rows(Functions::INFO, "address\n0x10\n0x10\n");
    let message = "the key equals that of the previous row";
    assert_eq!(alone(&batch, None), [violation("functions", 1, "address", message)]);
}

#[test]
fn keys_are_compared_across_batches() {
    let first = rows(Functions::INFO, "address\n0x10\n0x20\n");
    let same = rows(Functions::INFO, "address\n0x20\n0x30\n");
    let less = rows(Functions::INFO, "address\n0x8\n0x30\n");
    let next = rows(Functions::INFO, "address\n0x21\n");
    let equals = violation("functions", 0, "address", "the key equals that of the previous row");
    assert_eq!(alone(&same, Some(&first)), [equals]);
    let is_less = violation("functions", 0, "address", "the key is less than that of the previous row");
    assert_eq!(alone(&less, Some(&first)), [is_less]);
    assert_eq!(alone(&next, Some(&first)), []);
}

#[test]
fn keys_compare_lexicographically_with_names_as_text_and_nulls_first() {
    let ordered = "source_address | kind | target_address\n\
                   0x10 | fallthrough | 0x20\n0x10 | taken | 0x18\n0x20 | return | -\n0x30 | jump | -\n0x30 | jump | 0x1\n";
    assert_eq!(alone(&rows(CfgEdges::INFO, ordered), None), []);
    let unordered =
        "source_address | kind | target_address\n0x10 | taken | 0x18\n0x10 | fallthrough | 0x20\n";
    let message = "the key is less than that of the previous row";
    let key = "source_address, kind, target_address";
    assert_eq!(alone(&rows(CfgEdges::INFO, unordered), None), [violation("cfg_edges", 1, key, message)]);
}

#[test]
fn a_dangling_reference_is_found_and_null_is_not_a_reference() {
    let batch = rows(
        CfgEdges::INFO,
        "source_address | kind | target_address\n0x10 | jump | 0x20\n0x20 | jump | 0x28\n0x20 | return | -\n",
    );
    let blocks: &[u64] = &[0x10, 0x20];
    let targets = |reference: &Reference| {
        assert_eq!((reference.table, reference.targets.as_slice()), ("basic_blocks", &["address"][..]));
        Some(blocks)
    };
    let expected = violation("cfg_edges", 1, "target_address", "0x28 is not in basic_blocks.address");
    assert_eq!(validate(&batch, None, &targets), [expected]);
}

#[test]
fn a_reference_of_several_columns_is_to_one_row() {
    let objects = rows(
        MemoryObjects::INFO,
        "region | object_address | object_offset\nglobal | 0x10 | 0\nstack | 0x20 | -8\nstack | 0x20 | 16\n",
    );
    let accesses = rows(
        MemoryAccesses::INFO,
        "instruction_address | region | object_address | object_offset
         0x30                | stack  | 0x20           | -8
         0x31                | stack  | 0x20           | 0
         0x32                | global | 0x10           | 0
         0x33                | stack  | -              | -
         0x34                | heap   | 0x10           | 0",
    );
    let reference = references(MemoryAccesses::INFO).find(|reference| reference.columns.len() == 3);
    let reference = reference.expect("accesses refer to objects");
    let mut known: Vec<_> = reference_values(&objects, &reference.targets).flatten().collect();
    known.sort_unstable();
    let known = known.as_slice();
    let targets = |other: &Reference| (*other == reference).then_some(known);
    let found = validate(&accesses, None, &targets);
    let expected = [(1, "stack, 0x20, 0"), (4, "heap, 0x10, 0")].map(|(row, value)| {
        let message = format!("{value} is not in memory_objects.region, object_address, object_offset");
        violation("memory_accesses", row, "region, object_address, object_offset", &message)
    });
    assert_eq!(found, expected);
}

#[test]
fn a_number_out_of_range_is_found() {
    let batch =
        rows(Instructions::INFO, "address | size | mem_scale\n0x0 | 15 | 8\n0xf | 16 | 17\n0x1f | 0 | -\n");
    let expected = [
        violation("instructions", 1, "size", "16 is not within 1..=15"),
        violation("instructions", 2, "size", "0 is not within 1..=15"),
        violation("instructions", 1, "mem_scale", "17 is not within 1..=16"),
    ];
    assert_eq!(alone(&batch, None), expected);
}

#[test]
fn an_unknown_value_is_found() {
    let batch = rows(
        MemoryRegions::INFO,
        "region_id | type
0 | heap
0 | pool
",
    );
    let message = "`pool` is not one of stack, heap, global, code";
    assert_eq!(alone(&batch, None), [violation("memory_regions", 1, "type", message)]);
}

#[test]
fn an_unknown_enumeration_value_is_a_parse_error() {
    let error = from_text(BasicBlocks::INFO, "address | terminator\n0x0 | sideways\n").unwrap_err();
    assert!(error.message.starts_with("terminator: `sideways` is not one of fallthrough, call"), "{error}");
}

#[test]
fn a_null_in_a_non_nullable_column_is_found() {
    let batch = rows(Functions::INFO, "address | size\n0x10 | 1\n0x20 | 2\n");
    let with_null = UInt64Array::from(vec![Some(1), None]);
    let batch = batch.with_column("size", std::sync::Arc::new(with_null));
    assert_eq!(alone(&batch, None), [violation("functions", 1, "size", "is null")]);
    let nulls = NullBuffer::from(vec![false, true]);
    let names = rows(BinarySymbols::INFO, "symbol_index\n1\n2\n");
    let data = names.column("symbol_name").to_data().into_builder().nulls(Some(nulls));
    let batch = names.with_column("symbol_name", make_array(data.build().unwrap()));
    assert_eq!(alone(&batch, None), [violation("binary_symbols", 0, "symbol_name", "is null")]);
}

#[test]
fn the_number_of_reported_violations_is_limited() {
    let text = format!("address\n{}", "0x10\n".repeat(100));
    assert_eq!(alone(&rows(Functions::INFO, &text), None).len(), 10);
}

#[test]
fn a_violation_states_its_location() {
    let violation = violation("functions", 7, "size", "is null");
    assert_eq!(violation.to_string(), "functions row 7, size: is null");
}

#[test]
fn integers_are_read_from_columns_of_any_width() {
    let batch = rows(
        Instructions::INFO,
        "address | size | immediate | mem_size\n0xffffffffffffffff | 3 | -1 | -\n0x0 | 1 | - | 512\n",
    );
    let numbers = |name: &str| integers(batch.column(name)).collect::<Vec<_>>();
    assert_eq!(numbers("address"), [Some(u64::MAX), Some(0)]);
    assert_eq!(numbers("size"), [Some(3), Some(1)]);
    assert_eq!(numbers("immediate"), [Some(u64::MAX), None]);
    assert_eq!(numbers("mem_size"), [None, Some(512)]);
    assert_eq!(numbers("mnemonic"), [None, None]);
    let array: ArrayRef = std::sync::Arc::new(UInt64Array::from(Vec::<u64>::new()));
    assert_eq!(integers(&array).count(), 0);
}
