//! `binframe diff`: the differences between two executables or datasets.

use crate::escape::escaped;
use crate::failure::Failure;
use crate::memory_limit::limit_for_datasets;
use crate::output::cell_text::cell_text;
use crate::output::columns::record_batch;
use crate::output::destination;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use binframe::Source;
use binframe::ir::Batch;
use binframe_inspect::{
    BinaryDifference, ComparedFunction, FunctionsDifference, RowDifference, RowsDifference, TableComparison,
    TableDifference,
};
use clap::Args;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) const EXAMPLES: &str = "\
Functions are matched by name; functions without a name are matched by content. The content of a function does not depend \
on its address: a jump inside the function counts by its offset, any other address by the name or, without a name, the \
section at that address. All other tables are compared row by row, matched by key. If functions have moved, tables whose key \
is a code address are compared only as part of the functions' content. Inputs of datasets are matched by name.

The exit code is 0 whether or not there are differences; with --exit-code, it is 1 if there are.

EXAMPLES:
  binframe diff app-1.0 app-1.1
  binframe diff monday.tables tuesday.tables --limit 3
  binframe diff app rebuilt/app --exit-code && echo reproducible";

/// Arguments of `binframe diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// Executable or dataset before the change
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// Executable or dataset after the change
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Maximum number of functions and rows of each kind; further ones are counted
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Exit with 1 if there are differences
    #[arg(long)]
    exit_code: bool,
}

/// Prints the differences between two sources.
pub(crate) fn run(arguments: &DiffArguments) -> Result<ExitCode, Failure> {
    limit_for_datasets(&[&arguments.old, &arguments.new]);
    let (old, new) = (Source::open(&arguments.old)?, Source::open(&arguments.new)?);
    let difference = binframe_inspect::diff(&old, &new, arguments.limit)?;
    let mut out = destination::stdout();
    for binary in &difference.removed {
        writeln!(out, "{}", escaped(&format!("only in {}: {binary}", arguments.old.display())))?;
    }
    for binary in &difference.added {
        writeln!(out, "{}", escaped(&format!("only in {}: {binary}", arguments.new.display())))?;
    }
    for (position, binary) in difference.binaries.iter().enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        write_binary(&mut out, binary, arguments.limit)?;
    }
    out.flush()?;
    let is_failure = arguments.exit_code && !difference.is_empty();
    Ok(if is_failure { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write_binary(out: &mut impl Write, binary: &BinaryDifference, limit: usize) -> io::Result<()> {
    writeln!(out, "{}", escaped(&from_to(&binary.old, &binary.new)))?;
    match &binary.functions {
        Some(functions) => write_functions(out, functions, limit)?,
        None => writeln!(out, "\nfunctions: not compared, they were not lowered")?,
    }
    writeln!(out, "\nother tables, row by row, matched by key")?;
    let (mut same, mut by_content) = (Vec::new(), Vec::new());
    for table in &binary.tables {
        match &table.comparison {
            TableComparison::Rows(rows) if rows.is_empty() => same.push(table.table.name),
            TableComparison::Rows(rows) => write_rows(out, table, rows, limit)?,
            TableComparison::FunctionContent => by_content.push(table.table.name),
            TableComparison::Missing { from_old } => {
                let side = if *from_old { "old" } else { "new" };
                writeln!(
                    out,
                    "  {}: not compared, the {side} dataset was lowered without it",
                    table.table.name
                )?;
            }
        }
    }
    if !same.is_empty() {
        writeln!(out, "  the same: {}", same.join(", "))?;
    }
    if !by_content.is_empty() {
        let names = by_content.join(", ");
        writeln!(out, "  as the content of functions only, since functions have moved: {names}")?;
    }
    Ok(())
}

fn write_functions(out: &mut impl Write, functions: &FunctionsDifference, limit: usize) -> io::Result<()> {
    let FunctionsDifference { old_count, new_count, unchanged, moved, changed, added, removed, .. } =
        functions;
    let content = if functions.has_instructions { "instructions" } else { "size and number of instructions" };
    let count = from_to(&old_count.to_string(), &new_count.to_string());
    writeln!(out, "\nfunctions, matched by name and compared by {content}: {count}")?;
    writeln!(
        out,
        "  {unchanged} unchanged, {} changed, {} added, {} removed; {moved} at another address",
        changed.len(),
        added.len(),
        removed.len()
    )?;
    for function in changed.iter().take(limit) {
        let (old, new) = (&function.old, &function.new);
        let edits =
            function.instructions.map(|(removed, added)| format!(", instructions -{removed} +{added}"));
        writeln!(
            out,
            "  changed  {}  {}, {} bytes{}",
            escaped(&function.name),
            from_to(&format!("{:#x}", old.start), &format!("{:#x}", new.start)),
            from_to(&size(old).to_string(), &size(new).to_string()),
            edits.unwrap_or_default()
        )?;
    }
    write_more(out, "  ", changed.len(), limit)?;
    for (change, functions) in [("added", added), ("removed", removed)] {
        for ComparedFunction { name, addresses } in functions.iter().take(limit) {
            let name = name.as_deref().map_or("(no name)".to_owned(), escaped);
            writeln!(out, "  {change:<7}  {name}  {:#x}, {} bytes", addresses.start, size(addresses))?;
        }
        write_more(out, "  ", functions.len(), limit)?;
    }
    Ok(())
}

fn write_rows(
    out: &mut impl Write,
    table: &TableDifference,
    rows: &RowsDifference,
    limit: usize,
) -> io::Result<()> {
    let RowsDifference { old_rows, new_rows, added, removed, changed, samples } = rows;
    let name = table.table.name;
    let rows = from_to(&old_rows.to_string(), &new_rows.to_string());
    writeln!(out, "  {name}: {rows} rows; {changed} changed, {added} added, {removed} removed")?;
    for sample in samples {
        match sample {
            RowDifference::Added(row) => writeln!(out, "    added    {}", key_text(row))?,
            RowDifference::Removed(row) => writeln!(out, "    removed  {}", key_text(row))?,
            RowDifference::Changed { old, new, columns } => {
                writeln!(out, "    changed  {}: {}", key_text(old), changes(old, new, columns))?;
            }
        }
    }
    write_more(out, "    ", (changed + added + removed) as usize, limit)
}

fn write_more(out: &mut impl Write, indent: &str, count: usize, shown: usize) -> io::Result<()> {
    match count.checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "{indent}… {more} more"),
    }
}

/// The key of a row, such as `section_index 3`.
fn key_text(row: &Batch) -> String {
    let columns: Vec<_> = row.info().key.iter().filter_map(|name| row.info().column(name)).collect();
    let row = record_batch(row, &columns, None);
    let schema = row.schema();
    let cells = schema.fields().iter().zip(row.columns());
    let cells = cells.map(|(field, array)| format!("{} {}", field.name(), cell_text(field, array, 0)));
    cells.collect::<Vec<_>>().join(", ")
}

/// The changed columns of a row, such as `size 0x10 -> 0x20, …`.
fn changes(old: &Batch, new: &Batch, columns: &[&str]) -> String {
    let chosen: Vec<_> = columns.iter().filter_map(|name| old.info().column(name)).collect();
    let (old, new) = (record_batch(old, &chosen, None), record_batch(new, &chosen, None));
    let change = |index| format!("{} {}", columns[index], change(&old, &new, index));
    (0..columns.len()).map(change).collect::<Vec<_>>().join(", ")
}

fn change(old: &RecordBatch, new: &RecordBatch, index: usize) -> String {
    let (old_array, new_array) = (old.column(index), new.column(index));
    let is_bytes = *old_array.data_type() == DataType::BinaryView;
    if is_bytes && old_array.is_valid(0) && new_array.is_valid(0) {
        let (old, new) = (old_array.as_binary_view().value(0), new_array.as_binary_view().value(0));
        let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        // Long values are truncated, so the first difference would often be invisible.
        if same > 0 && old.len().max(new.len()) > SHORT_BYTES_MAX {
            return format!(
                "differs from byte {same} on ({} bytes)",
                from_to(&old.len().to_string(), &new.len().to_string())
            );
        }
    }
    let schema = old.schema();
    let field = schema.field(index);
    from_to(&cell_text(field, old_array, 0), &cell_text(field, new_array, 0))
}

/// Longest value that is shown in full: the bytes of an instruction.
const SHORT_BYTES_MAX: usize = 15;

/// `old -> new`, or one value if both are equal.
fn from_to(old: &str, new: &str) -> String {
    if old == new { old.to_owned() } else { format!("{old} -> {new}") }
}

fn size(range: &Range<u64>) -> u64 {
    range.end - range.start
}
