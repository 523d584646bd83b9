//! `binframe dump`

use crate::arguments::{DumpArguments, Format};
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::row_writer::RowWriter;
use binframe::ir::Table;
use binframe::ir::tables::Functions;
use binframe::{Filter, NewFile, Source, address_column, rows_in};
use std::io::{self, IsTerminal};
use std::ops::Range;
use std::process::ExitCode;
use std::slice;

/// Prints rows of a table, one part of it in memory at a time.
pub(crate) fn run(arguments: &DumpArguments) -> Result<ExitCode, Failure> {
    let columns = chosen_columns(arguments)?;
    check_usage(arguments)?;
    let source = Source::open(&arguments.source)?;
    let by_function = arguments.function.as_ref().map(|_| Functions::INFO);
    for table in [arguments.table].into_iter().chain(by_function) {
        if !source.has_table(table) {
            let (path, name, stage) = (arguments.source.display(), table.name, table.stage.name());
            let message = format!("{path}: has no table {name}; it was lowered without --emit {stage}");
            return Err(Failure::Failed(message));
        }
    }
    let selections = selections(arguments, &source)?;
    let has_binary = matches!(source, Source::Dataset(_));
    let (out, new_file) = match &arguments.output {
        Some(path) => output::create(path)?,
        None => (output::stdout(), None),
    };
    let mut writer = RowWriter::new(arguments.format, arguments.table, columns, has_binary, out)?;
    let mut rows_left = arguments.limit.unwrap_or(usize::MAX);
    for Selection { binary, functions } in selections {
        let addresses = functions.as_deref().map(hull).or(arguments.where_address.clone());
        let filter = Filter { binary: binary.as_deref(), addresses };
        for part in source.parts(arguments.table, &filter)? {
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

fn chosen_columns(arguments: &DumpArguments) -> Result<Vec<Column>, Failure> {
    let table = arguments.table;
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

fn check_usage(arguments: &DumpArguments) -> Result<(), Failure> {
    let by_address = arguments.where_address.is_some() || arguments.function.is_some();
    if by_address && address_column(arguments.table).is_none() {
        let table = arguments.table.name;
        let message =
            format!("{table} has no addresses, by which --function and --where-address select rows");
        return Err(Failure::Usage(message));
    }
    if arguments.format == Format::Parquet {
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
    /// The functions in which rows must lie, if any must.
    functions: Option<Vec<Range<u64>>>,
}

fn selections(arguments: &DumpArguments, source: &Source) -> Result<Vec<Selection>, Failure> {
    let Some(name) = &arguments.function else {
        return Ok(vec![Selection { binary: None, functions: None }]);
    };
    let found = source.functions_named(name)?;
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
