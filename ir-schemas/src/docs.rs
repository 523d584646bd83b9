//! The declarations as text: `docs/SCHEMAS.md`, and what a person reads in a terminal.

use crate::{ColumnInfo, TABLES, TableInfo};
use arrow_schema::DataType;
use std::fmt::Write;

/// The page that documents the given table, or every table.
pub fn schemas_markdown(only: Option<&TableInfo>) -> String {
    let mut page = String::new();
    if let Some(table) = only {
        write_table(&mut page, table);
        return page;
    }
    page += "# Tables\n\nMade from the declarations in `ir-schemas/src/tables/` by `cargo xtask schemas`; do not edit.\n";
    page +=
        "Files of a dataset hold one more column at the end: `binary`, the input that a row belongs to.\n";
    page += "Null always means \"does not apply\", never \"unknown\".\n\n| stage | table | rows are ordered by |\n|---|---|---|\n";
    for table in TABLES {
        let (stage, name, key) = (table.stage.name(), table.name, table.key.join(", "));
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
        table.key.join(", ")
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
    for derived in table.derived {
        let (data_type, from) = (type_name(&(derived.data_type)()), derived.dependencies.join(", "));
        _ = writeln!(page, "| {} | {data_type}, derived from {from} | {} |", derived.name, derived.doc);
    }
}

/// The given table, or every table, as plain text.
pub fn schemas_text(only: Option<&TableInfo>) -> String {
    let tables = TABLES.iter().filter(|table| only.is_none_or(|only| only == **table));
    let mut page = String::new();
    for table in tables {
        if !page.is_empty() {
            page.push('\n');
        }
        let key = table.key.join(", ");
        _ = writeln!(page, "{}: {}", table.name, table.doc);
        _ = writeln!(page, "Stage {}, key {key}.\n", table.stage.name());
        let stored = table.columns.iter().map(|column| {
            let null = if column.nullable { " or null" } else { "" };
            (column.name, type_name(&(column.data_type)()) + null, meaning(column))
        });
        let derived = table.derived.iter().map(|column| {
            let meaning = format!("{} Derived from {}.", column.doc, column.dependencies.join(", "));
            (column.name, type_name(&(column.data_type)()), meaning)
        });
        let lines: Vec<_> = stored.chain(derived).collect();
        let name_width = lines.iter().map(|line| line.0.len()).max().unwrap_or(0);
        let type_width = lines.iter().map(|line| line.1.len()).max().unwrap_or(0);
        for (name, data_type, meaning) in lines {
            _ = writeln!(page, "  {name:name_width$}  {data_type:type_width$}  {meaning}");
        }
    }
    page
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
        DataType::Timestamp(_, _) => "Timestamp(ns)".to_owned(),
        other => other.to_string(),
    }
}
