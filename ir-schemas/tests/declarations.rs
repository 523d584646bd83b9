//! The declarations of all tables are complete and consistent, and `docs/SCHEMAS.md` is up to date.

use binframe_ir::{ColumnInfo, Stage, TABLES, example, schemas_markdown, table_named};
use std::collections::BTreeSet;
use std::path::Path;

/// The units of numbers.
const UNITS: [&str; 4] = ["address", "bytes", "bits", "file offset"];

#[test]
fn every_table_column_and_value_is_defined() {
    let is_sentence = |doc: &str| {
        let begins = doc.starts_with(|letter: char| letter.is_uppercase() || letter == '`');
        begins && (doc.ends_with('.') || doc.contains(". ")) && doc.len() > 10
    };
    for table in TABLES {
        assert!(is_sentence(table.doc), "{}: {}", table.name, table.doc);
        for column in table.columns {
            assert!(is_sentence(column.doc), "{}.{}: {}", table.name, column.name, column.doc);
        }
        for column in table.columns {
            assert_eq!(column.one_of.map_or(0, <[_]>::len), column.value_docs.len(), "{}", column.name);
            for doc in column.value_docs {
                assert!(doc.trim().ends_with('.'), "{}.{}: {doc}", table.name, column.name);
            }
        }
    }
}

#[test]
fn every_table_has_an_example() {
    for table in TABLES {
        let example = example(table).unwrap_or_else(|| panic!("{} has no example", table.name));
        assert!(
            example.contains("$ binframe sql") && example.contains(table.name),
            "{}: {example}",
            table.name
        );
    }
}

#[test]
fn names_are_lower_case_words_and_unique() {
    let is_name = |name: &str| {
        name.starts_with(|letter: char| letter.is_ascii_lowercase())
            && name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    let mut tables = BTreeSet::new();
    for table in TABLES {
        assert!(is_name(table.name) && tables.insert(table.name), "{}", table.name);
        let mut columns = BTreeSet::new();
        for name in table.columns.iter().map(|column| column.name) {
            assert!(is_name(name) && columns.insert(name), "{}.{name}", table.name);
            assert_ne!(name, binframe_ir::BINARY_COLUMN, "{}", table.name);
        }
    }
}

#[test]
fn keys_and_spans_are_columns() {
    for table in TABLES {
        let has = |name: &str| table.column_index(name).is_some();
        assert!(table.key.iter().all(|name| has(name)), "{}", table.name);
        // An input has one row of `binaries`.
        assert_eq!(table.key.is_empty(), table.name == "binaries", "{}", table.name);
        let span = table.span.map(|(address, size)| {
            [address, size].map(|name| &table.columns[table.column_index(name).expect("a column")])
        });
        if let Some([address, size]) = span {
            assert_eq!([address.unit, size.unit], [Some("address"), Some("bytes")], "{}", table.name);
        }
    }
}

/// The position of a stage among all; tables of no single stage come last.
fn order(stage: Stage) -> usize {
    Stage::ALL.iter().position(|other| *other == stage).unwrap_or(Stage::ALL.len())
}

#[test]
fn references_point_to_columns_that_are_compatible() {
    let mut found = 0;
    for table in TABLES {
        for column in table.columns {
            let name = format!("{}.{}", table.name, column.name);
            assert!(column.unit.is_none_or(|unit| UNITS.contains(&unit)), "{name}: {:?}", column.unit);
            let Some((target_table, target_column)) = column.references else { continue };
            let target = table_named(target_table).unwrap_or_else(|| panic!("{name}: no {target_table}"));
            let target = target.columns.iter().find(|other| other.name == target_column);
            let target: &ColumnInfo = target.unwrap_or_else(|| panic!("{name}: no {target_column}"));
            assert_eq!((column.data_type)(), (target.data_type)(), "{name}");
            assert_eq!(column.unit, target.unit, "{name}");
            assert!(!target.nullable, "{name}");
            found += 1;
        }
    }
    assert!(found > 10);
}

#[test]
fn tables_are_in_stage_order() {
    assert!(TABLES.is_sorted_by_key(|table| order(table.stage)));
    for stage in Stage::PIPELINE {
        assert!(TABLES.iter().any(|table| table.stage == stage), "{}", stage.name());
    }
}

#[test]
fn schema_fingerprints_differ_between_tables() {
    let fingerprints: BTreeSet<_> = TABLES.iter().map(|table| table.fingerprint()).collect();
    assert_eq!(fingerprints.len(), TABLES.len());
}

/// The columns whose names, types and order are part of the public interface.
#[test]
fn the_first_columns_of_the_public_tables_are_fixed() {
    let fixed = [
        (
            "binary_sections",
            "section_name Utf8, address UInt64, size UInt64, content Binary, permissions Utf8, is_executable Boolean, \
             is_writable Boolean, is_readable Boolean",
        ),
        (
            "binary_symbols",
            "symbol_name Utf8, symbol_type Utf8, symbol_address UInt64, symbol_size UInt64, section_name Utf8",
        ),
        (
            "memory_regions",
            "region_id UInt64, type Utf8, start_address UInt64, end_address UInt64, size UInt64, content_snapshot Binary, \
             timestamp Timestamp(ns), thread_id UInt64, function_name Utf8, allocation_site Utf8",
        ),
    ];
    for (table, columns) in fixed {
        let schema = table_named(table).expect("the table exists").schema();
        let found: Vec<_> =
            schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        let expected: Vec<_> = columns.split(", ").map(|column| column.trim().to_owned()).collect();
        assert_eq!(found[..expected.len()], expected, "{table}");
    }
}

#[test]
fn the_page_of_all_tables_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SCHEMAS.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == schemas_markdown(None),
        "docs/SCHEMAS.md is stale: run `cargo xtask schemas` and read the diff"
    );
}
