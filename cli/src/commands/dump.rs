//! `binframe dump`

use super::dump_cfg;
use crate::arguments::{DumpArguments, Dumped, Format, parse_address};
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::row_writer::RowWriter;
use binframe::ir::tables::{FunctionParts, Functions};
use binframe::ir::{Table, TableInfo};
use binframe::{Error, Filter, NewFile, Source, address_column, rows_in};
use std::io::{self, IsTerminal};
use std::ops::Range;
use std::process::ExitCode;
use std::slice;

/// Prints rows of a table, or the graph of a function.
pub(crate) fn run(arguments: &DumpArguments) -> Result<ExitCode, Failure> {
    match arguments.dumped {
        Dumped::Table(table) => dump_table(arguments, table),
        Dumped::Cfg => dump_cfg::run(arguments),
    }
}

/// Prints rows of a table, one part of it in memory at a time.
fn dump_table(arguments: &DumpArguments, table: &'static TableInfo) -> Result<ExitCode, Failure> {
    let columns = chosen_columns(arguments, table)?;
    let format = arguments.format.unwrap_or(Format::Table);
    check_usage(arguments, table, format)?;
    let by_function = arguments.function.as_ref().map(|_| [Functions::INFO, FunctionParts::INFO]);
    let source = open_with(arguments, [table].into_iter().chain(by_function.into_iter().flatten()))?;
    let selections = selections(arguments, &source)?;
    let has_binary = matches!(source, Source::Dataset(_));
    let (out, new_file) = output::open(arguments.output.as_deref())?;
    let mut writer = RowWriter::new(format, table, columns, has_binary, out)?;
    let mut rows_left = arguments.limit.unwrap_or(usize::MAX);
    for Selection { binary, functions } in selections {
        let addresses = functions.as_deref().map(hull).or(arguments.where_address.clone());
        let filter = Filter { binary: binary.as_deref(), addresses, ..Filter::default() };
        for part in source.parts(table, &filter)? {
            if rows_left == 0 {
                break;
            }
            let mut batch = part.rows()?;
            let where_address = arguments.where_address.as_ref().map(slice::from_ref);
            for ranges in functions.as_deref().into_iter().chain(where_address) {
                batch = batch.take(&rows_in(&batch, ranges));
            }
            let batch = batch.slice(0, rows_left.min(batch.rows()));
            rows_left -= batch.rows();
            writer.write(&batch, part.binary())?;
        }
    }
    writer.finish()?;
    new_file.map_or(Ok(()), NewFile::publish)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens what is asked for, which must have these tables and the input that is named.
pub(super) fn open_with(
    arguments: &DumpArguments,
    tables: impl IntoIterator<Item = &'static TableInfo>,
) -> Result<Source, Failure> {
    let source = Source::open(&arguments.source)?;
    for table in tables {
        if !source.has_table(table) {
            let (path, name, stage) = (arguments.source.display(), table.name, table.stage.name());
            let message = format!("{path}: has no table {name}; it was lowered without --emit {stage}");
            return Err(Failure::Failed(message));
        }
    }
    let available = source.binaries();
    match &arguments.binary {
        Some(name) if !available.contains(name) => {
            let (path, requested) = (arguments.source.clone(), Some(name.clone()));
            Err(Error::NoSuchBinary { path, requested, available }.into())
        }
        _ => Ok(source),
    }
}

/// The functions that are asked for, by name or by address, of the input that is asked for.
pub(super) fn functions(
    arguments: &DumpArguments,
    source: &Source,
    asked: &str,
) -> Result<Vec<(String, Range<u64>)>, Failure> {
    let mut found = match parse_address(asked) {
        Ok(address) => source.functions_at(address)?,
        Err(_) => source.functions_named(asked)?,
    };
    if let Some(binary) = &arguments.binary {
        found.retain(|function| function.0 == *binary);
        if found.is_empty() {
            return Err(Failure::Failed(format!(
                "{binary}: has no function `{asked}`, but other inputs have"
            )));
        }
    }
    Ok(found)
}

fn chosen_columns(arguments: &DumpArguments, table: &'static TableInfo) -> Result<Vec<Column>, Failure> {
    if arguments.columns.is_empty() {
        return Ok(Column::stored(table));
    }
    let column = |name: &String| {
        Column::named(table, name).ok_or_else(|| {
            let stored = table.columns.iter().map(|column| column.name);
            let known: Vec<_> = stored.chain(table.derived.iter().map(|column| column.name)).collect();
            Failure::Usage(format!("{} has no column `{name}`; it has {}", table.name, known.join(", ")))
        })
    };
    arguments.columns.iter().map(column).collect()
}

fn check_usage(arguments: &DumpArguments, table: &'static TableInfo, format: Format) -> Result<(), Failure> {
    if matches!(format, Format::Dot | Format::Svg) {
        let name = table.name;
        let message = format!("{name} is a table, not a graph; `binframe dump cfg` draws as dot and svg");
        return Err(Failure::Usage(message));
    }
    let by_address = arguments.where_address.is_some() || arguments.function.is_some();
    if by_address && address_column(table).is_none() {
        let table = table.name;
        let message =
            format!("{table} has no addresses, by which --function and --where-address select rows");
        return Err(Failure::Usage(message));
    }
    if format == Format::Parquet {
        if !arguments.columns.is_empty() {
            let message =
                "--columns goes with table, csv and json; Parquet files of a table hold all of its columns";
            return Err(Failure::Usage(message.to_owned()));
        }
        if arguments.output.is_none() && io::stdout().is_terminal() {
            let message = "Parquet is not for terminals; add --output FILE or redirect the output";
            return Err(Failure::Usage(message.to_owned()));
        }
    }
    Ok(())
}

/// Rows of one input or of all.
struct Selection {
    binary: Option<String>,
    /// The functions, and parts of functions, in which rows must lie, if any must.
    functions: Option<Vec<Range<u64>>>,
}

fn selections(arguments: &DumpArguments, source: &Source) -> Result<Vec<Selection>, Failure> {
    let Some(asked) = &arguments.function else {
        return Ok(vec![Selection { binary: arguments.binary.clone(), functions: None }]);
    };
    let found = source.with_fragments(&functions(arguments, source, asked)?)?;
    let selection = |found: &[(String, Range<u64>)]| Selection {
        binary: Some(found[0].0.clone()),
        functions: Some(found.iter().map(|(_, range)| range.clone()).collect()),
    };
    Ok(found.chunk_by(|one, next| one.0 == next.0).map(selection).collect())
}

/// The least range that holds all of `ranges`.
fn hull(ranges: &[Range<u64>]) -> Range<u64> {
    let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    start..ranges.iter().map(|range| range.end).max().unwrap_or(start)
}
