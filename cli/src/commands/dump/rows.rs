//! `binframe dump TABLE`: rows of a table.

use super::arguments::{DumpArguments, DumpFormat};
use super::selection::{functions, open_source};
use crate::failure::Failure;
use crate::output::columns::{record_batch, schema};
use crate::output::destination::{self, Output};
use crate::output::row_writer::{RowFormat, RowWriter};
use binframe::ir::parquet::{Compressors, TableWriter};
use binframe::ir::tables::{FunctionParts, Functions};
use binframe::ir::{Batch, ColumnInfo, Table, TableInfo};
use binframe::{Filter, NewFile, Source, address_column, rows_in};
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::slice;

/// Prints the selected rows of a table. One part of the table is in memory at a time.
pub(super) fn run(arguments: &DumpArguments, table: &'static TableInfo) -> Result<ExitCode, Failure> {
    let columns = chosen_columns(arguments, table)?;
    let format = arguments.format.unwrap_or(DumpFormat::Table);
    check_usage(arguments, table, format)?;
    let by_function = arguments.function.as_ref().map(|_| [Functions::INFO, FunctionParts::INFO]);
    let source = open_source(arguments, [table].into_iter().chain(by_function.into_iter().flatten()))?;
    let rows =
        SelectedRows { arguments, table, source: &source, selections: selections(arguments, &source)? };
    let (out, new_file) = destination::open(arguments.output.as_deref())?;
    match format {
        DumpFormat::Parquet => write_parquet(&rows, out)?,
        DumpFormat::Csv => write_text(&rows, RowFormat::Csv, &columns, out)?,
        DumpFormat::Json => write_text(&rows, RowFormat::Json, &columns, out)?,
        DumpFormat::Jsonl => write_text(&rows, RowFormat::Jsonl, &columns, out)?,
        DumpFormat::Table => write_text(&rows, RowFormat::Table, &columns, out)?,
        DumpFormat::Dot | DumpFormat::Svg => unreachable!("the usage was checked"),
    }
    new_file.map_or(Ok(()), NewFile::publish)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a Parquet file like those of a dataset, with all columns of the table.
fn write_parquet(rows: &SelectedRows<'_>, out: Output) -> Result<(), Failure> {
    let mut writer = TableWriter::new(rows.table, out, &Compressors::default())?;
    rows.for_each_batch(|batch, binary| {
        let encoded = writer.encoder().encode(batch, binary)?;
        Ok(writer.append(encoded)?)
    })?;
    Ok(writer.finish()?.flush()?)
}

/// Writes some columns as text. Rows of a dataset also name their input.
fn write_text(
    rows: &SelectedRows<'_>,
    format: RowFormat,
    columns: &[&ColumnInfo],
    out: Output,
) -> Result<(), Failure> {
    let has_binary = matches!(rows.source, Source::Dataset(_));
    let mut writer = RowWriter::new(format, schema(columns, has_binary), out)?;
    rows.for_each_batch(|batch, binary| {
        writer.write(&record_batch(batch, columns, has_binary.then_some(binary)))
    })?;
    writer.finish()
}

/// The rows that the arguments select.
struct SelectedRows<'a> {
    arguments: &'a DumpArguments,
    table: &'static TableInfo,
    source: &'a Source,
    selections: Vec<Selection>,
}

impl SelectedRows<'_> {
    /// Calls `take` with batches of rows, none of them empty, and the input of each. Stops at the row limit.
    fn for_each_batch(
        &self,
        mut take: impl FnMut(&Batch, &str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let where_address = &self.arguments.where_address;
        let mut rows_left = self.arguments.limit.unwrap_or(usize::MAX);
        for Selection { binary, functions } in &self.selections {
            let addresses = functions.as_deref().map(hull).or(where_address.clone());
            let filter = Filter { binary: binary.as_deref(), addresses, ..Filter::default() };
            for part in self.source.parts(self.table, &filter)? {
                if rows_left == 0 {
                    return Ok(());
                }
                let mut batch = part.rows()?;
                for ranges in
                    functions.as_deref().into_iter().chain(where_address.as_ref().map(slice::from_ref))
                {
                    batch = batch.take(&rows_in(&batch, ranges));
                }
                let batch = batch.slice(0, rows_left.min(batch.rows()));
                rows_left -= batch.rows();
                if batch.rows() > 0 {
                    take(&batch, part.binary())?;
                }
            }
        }
        Ok(())
    }
}

/// Rows of one input, or of all inputs.
struct Selection {
    /// The input; `None` for all.
    binary: Option<String>,
    /// Ranges of functions and of their fragments; `None` for all rows.
    functions: Option<Vec<Range<u64>>>,
}

fn selections(arguments: &DumpArguments, source: &Source) -> Result<Vec<Selection>, Failure> {
    let Some(name_or_address) = &arguments.function else {
        return Ok(vec![Selection { binary: arguments.binary.clone(), functions: None }]);
    };
    let found = source.with_fragments(&functions(arguments, source, name_or_address)?)?;
    let selection = |found: &[(String, Range<u64>)]| Selection {
        binary: Some(found[0].0.clone()),
        functions: Some(found.iter().map(|(_, range)| range.clone()).collect()),
    };
    Ok(found.chunk_by(|one, next| one.0 == next.0).map(selection).collect())
}

/// The smallest range that contains all `ranges`.
fn hull(ranges: &[Range<u64>]) -> Range<u64> {
    let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    start..ranges.iter().map(|range| range.end).max().unwrap_or(start)
}

fn chosen_columns(
    arguments: &DumpArguments,
    table: &'static TableInfo,
) -> Result<Vec<&'static ColumnInfo>, Failure> {
    if arguments.columns.is_empty() {
        return Ok(table.columns.iter().collect());
    }
    let column = |name: &String| {
        table.column(name).ok_or_else(|| {
            let known: Vec<_> = table.columns.iter().map(|column| column.name).collect();
            Failure::Usage(format!("{} has no column `{name}`; it has {}", table.name, known.join(", ")))
        })
    };
    arguments.columns.iter().map(column).collect()
}

fn check_usage(
    arguments: &DumpArguments,
    table: &'static TableInfo,
    format: DumpFormat,
) -> Result<(), Failure> {
    let name = table.name;
    if matches!(format, DumpFormat::Dot | DumpFormat::Svg) {
        let message =
            format!("{name} is a table, not a graph; `binframe dump cfg` draws graphs as dot and svg");
        return Err(Failure::Usage(message));
    }
    let by_address = arguments.where_address.is_some() || arguments.function.is_some();
    if by_address && address_column(table).is_none() {
        let message = format!(
            "{name} has no addresses; --function and --where-address select rows by address, so omit them"
        );
        return Err(Failure::Usage(message));
    }
    if format == DumpFormat::Parquet {
        if !arguments.columns.is_empty() {
            let message = "--columns works with the formats table, csv and json; a Parquet file of a table has \
                           all its columns";
            return Err(Failure::Usage(message.to_owned()));
        }
        if arguments.output.is_none() && io::stdout().is_terminal() {
            let message = "Parquet is not for terminals; add --output FILE or redirect the output";
            return Err(Failure::Usage(message.to_owned()));
        }
    }
    Ok(())
}
