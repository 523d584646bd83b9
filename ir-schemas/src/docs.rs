//! The declarations as documentation: `docs/SCHEMAS.md`, and plain text for a terminal.

use crate::{ColumnInfo, Enumeration, TABLES, TableInfo, tables::Confidence};
use arrow_schema::DataType;
use std::fmt::Write;

const INTRODUCTION: &str = "# Tables

Generated from the declarations in `ir-schemas/src/tables/` by `cargo xtask schemas`; do not edit.

Every file of a dataset has one more column at the end: `binary_name`, the input that the row belongs to. Null always means
\"does not apply\", never \"unknown\". Addresses are virtual addresses as in the file, before relocation. Terms are explained in
the [glossary](GLOSSARY.md).
";

/// Documentation in Markdown of the given table, or of all tables.
pub fn schemas_markdown(only: Option<&TableInfo>) -> String {
    let mut page = String::new();
    if let Some(table) = only {
        write_table(&mut page, table);
        return page;
    }
    page += INTRODUCTION;
    page += "\nInferred rows have a `confidence`:\n\n";
    for (name, doc) in Confidence::NAMES.iter().zip(Confidence::DOCS) {
        _ = writeln!(page, "- `{name}`: {}", doc.trim());
    }
    page += "\n| stage | table | key (sort order) |\n|---|---|---|\n";
    for table in TABLES {
        let (stage, name, key) = (table.stage.name(), table.name, table.full_key().join(", "));
        _ = writeln!(page, "| {stage} | [{name}](#{name}) | {key} |");
    }
    for table in TABLES {
        page += "\n";
        write_table(&mut page, table);
    }
    page
}

fn write_table(page: &mut String, table: &TableInfo) {
    _ = writeln!(
        page,
        "## {}\n\n{} Stage `{}`, key `{}`.\n",
        table.name,
        table.doc,
        table.stage.name(),
        table.full_key().join(", ")
    );
    page.push_str("| column | type | meaning |\n|---|---|---|\n");
    for column in table.columns {
        let null = if column.nullable { ", nullable" } else { "" };
        _ = writeln!(
            page,
            "| {} | {}{null} | {} |",
            column.name,
            type_name(&(column.data_type)()),
            meaning(column).replace('|', "\\|")
        );
    }
    for column in enumerated(table) {
        let name = column.name;
        _ = write!(page, "\n| value of `{name}` | meaning |\n|---|---|\n");
        for (value, doc) in values(column) {
            _ = writeln!(page, "| {value} | {doc} |");
        }
    }
}

/// Documentation as plain text of the given table, or of all tables.
pub fn schemas_text(only: Option<&TableInfo>) -> String {
    let tables = TABLES.iter().filter(|table| only.is_none_or(|only| only == **table));
    let mut page = String::new();
    for table in tables {
        if !page.is_empty() {
            page.push('\n');
        }
        let key = table.full_key().join(", ");
        _ = writeln!(page, "{}: {}", table.name, table.doc);
        _ = writeln!(page, "Stage {}, key {key}.\n", table.stage.name());
        let lines = table.columns.iter().map(|column| {
            let null = if column.nullable { " or null" } else { "" };
            (column.name, type_name(&(column.data_type)()) + null, meaning(column))
        });
        let lines: Vec<_> = lines.collect();
        let name_width = lines.iter().map(|line| line.0.len()).max().unwrap_or(0);
        let type_width = lines.iter().map(|line| line.1.len()).max().unwrap_or(0);
        for (name, data_type, meaning) in lines {
            _ = writeln!(page, "  {name:name_width$}  {data_type:type_width$}  {meaning}");
        }
        for column in enumerated(table) {
            _ = writeln!(page, "\n  Values of {}:", column.name);
            let width = values(column).map(|(value, _)| value.len()).max().unwrap_or(0);
            for (value, doc) in values(column) {
                _ = writeln!(page, "    {value:width$}  {doc}");
            }
        }
    }
    page
}

/// The first column of each enumeration that the table uses, except confidence, whose criteria are in the column's
/// documentation.
fn enumerated(table: &TableInfo) -> impl Iterator<Item = &ColumnInfo> {
    let is_first = |position: usize, column: &ColumnInfo| {
        table.columns[..position].iter().all(|earlier| earlier.value_docs != column.value_docs)
    };
    let columns = table.columns.iter().enumerate();
    columns
        .filter(move |(position, column)| !column.value_docs.is_empty() && is_first(*position, column))
        .map(|(_, column)| column)
        .filter(|column| column.value_docs != Confidence::DOCS)
}

/// The values of an enumerated column, and their meanings.
fn values(column: &ColumnInfo) -> impl Iterator<Item = (&'static str, &'static str)> {
    let names = column.one_of.unwrap_or_default().iter();
    names.zip(column.value_docs).map(|(name, doc)| (*name, doc.trim()))
}

fn meaning(column: &ColumnInfo) -> String {
    let mut meaning = column.doc.to_owned();
    if let Some(unit) = column.unit {
        _ = write!(meaning, " Unit: {unit}.");
    }
    if let Some((table, target)) = column.references {
        _ = write!(meaning, " Refers to `{table}.{target}`.");
    }
    if let Some((least, greatest)) = column.range {
        _ = write!(meaning, " From {least} to {greatest}.");
    }
    if let Some(names) = column.one_of {
        _ = write!(meaning, " One of `{}`.", names.join("`, `"));
    }
    meaning
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Dictionary(_, value) => format!("Dictionary of {value}"),
        DataType::List(element) => format!("List of {}", type_name(element.data_type())),
        DataType::Timestamp(_, _) => "Timestamp(ns)".to_owned(),
        other => other.to_string(),
    }
}
