//! The declarations as documentation: `docs/SCHEMAS.md`, and plain text for a terminal.

use crate::tables::Confidence;
use crate::{BINARY_COLUMN, ColumnInfo, Enumeration, Reference, TABLES, TableInfo, references};
use arrow_schema::DataType;
use std::fmt::Write;

const INTRODUCTION: &str = "# Tables

Generated from the declarations in `ir-schemas/src/tables/` by `cargo xtask schemas`; do not edit.

Every table has one more column at the end: `binary_name`, the input that the row belongs to. An address is known only
together with it: join on both, as the sections on joins show, or the rows of one input meet those of another.

- Null always means \"does not apply\", never \"unknown\": what is unknown is said by a kind, an evidence or a reason.
- Addresses are virtual addresses as in the file, before relocation.
- Tables of the file's structure begin with `binary_`, those of debug information with `debug_`; the others describe code
  and memory.
- `*_address` is an address, `*_offset` and `*_size` count bytes, `*_name` is a name; `kind` and `*_kind` have values of
  our own, `*_type` the spelling of a specification (`symbol_type` of symbols and `type` of regions have our own values).
- Terms are explained in the [glossary](GLOSSARY.md), and other engines in [ENGINES.md](ENGINES.md).
";

/// An example for each table: `## table`, a sentence, a command and its output.
const EXAMPLES: &str = include_str!("examples.md");

/// Documentation in Markdown of the given table, or of all tables.
pub fn schemas_markdown(only: Option<&'static TableInfo>) -> String {
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
    write_diagram(&mut page);
    for table in TABLES {
        page += "\n";
        write_table(&mut page, table);
    }
    page
}

/// The references between tables, as a diagram that GitHub draws.
fn write_diagram(page: &mut String) {
    page.push_str("\nReferences between tables (all of them are to rows of the same `binary_name`):\n\n```mermaid\nflowchart LR\n");
    for table in TABLES {
        let mut targets: Vec<_> = references(table).map(|reference| reference.table).collect();
        targets.sort_unstable();
        targets.dedup();
        for target in targets.iter().filter(|target| **target != table.name) {
            _ = writeln!(page, "    {} --> {target}", table.name);
        }
    }
    page.push_str("```\n");
}

/// The joins of a table with those that it refers to.
fn write_joins(page: &mut String, table: &'static TableInfo) {
    let mut joins = references(table).peekable();
    if joins.peek().is_none() {
        return;
    }
    page.push_str("\n| column | refers to a row of | join |\n|---|---|---|\n");
    for Reference { columns, table: target, targets } in joins {
        let mut condition = format!("JOIN {target} r ON r.{BINARY_COLUMN} = t.{BINARY_COLUMN}");
        for (own, other) in columns.iter().zip(targets) {
            _ = write!(condition, " AND r.{other} = t.{own}");
        }
        _ = writeln!(page, "| {} | [{target}](#{target}) | `{condition}` |", columns.join(", "));
    }
}

/// The example of a table: a sentence, a command and its output.
pub fn example(table: &TableInfo) -> Option<&'static str> {
    let mut sections = EXAMPLES.split("\n## ").skip(1).filter_map(|section| section.split_once("\n\n"));
    sections.find(|(name, _)| *name == table.name).map(|(_, example)| example.trim_end())
}

fn write_table(page: &mut String, table: &'static TableInfo) {
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
    write_joins(page, table);
    if let Some(example) = example(table) {
        _ = write!(page, "\n{example}\n");
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
