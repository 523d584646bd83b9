//! `binframe trace`: an explanation of an address, and every row about it.

use crate::escape::escaped;
use crate::failure::Failure;
use crate::memory_limit::limit_for_datasets;
use crate::output::aligned_table::{AlignedTable, write_row};
use crate::output::columns::record_batch;
use crate::output::destination;
use crate::value_parsers::parse_address;
use arrow_array::{Array, RecordBatch};
use binframe::Source;
use binframe::ir::{Batch, Stage};
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) const EXAMPLES: &str = "\
Tables whose rows cover addresses: the rows that cover this address. Other tables: the rows that contain it, and the rows \
that refer to a row printed before, such as the edges of its basic block and the stack frame of its function. Null columns \
are omitted.

EXAMPLES:
  binframe trace 0x401136 app
  binframe trace 0x404028 app.tables      a variable: its section, its symbols, the instructions that access it";

/// Arguments of `binframe trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// Address; hexadecimal with 0x, or decimal
    #[arg(value_parser = parse_address)]
    address: u64,
    /// Executable or dataset
    #[arg(value_name = "FILE|DATASET")]
    source: PathBuf,
    /// Maximum number of rows per table; further rows are counted
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

/// Explains an address, and prints every row about it.
pub(crate) fn run(arguments: &TraceArguments) -> Result<ExitCode, Failure> {
    let TraceArguments { address, ref source, limit } = *arguments;
    limit_for_datasets(&[source]);
    let (path, source) = (source.display(), Source::open(source)?);
    let traced = binframe_inspect::trace(&source, address)?;
    if traced.is_empty() {
        return Err(Failure::Failed(format!(
            "{path}: no row contains or covers {address:#x}; `binframe dump binary_sections {path}` lists the addresses"
        )));
    }
    let mut out = destination::stdout();
    let binaries = source.binaries();
    let binaries = binaries.iter().filter(|binary| traced.iter().any(|rows| rows.0 == **binary));
    for (position, binary) in binaries.enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{address:#x} in {}\n", escaped(binary))?;
        write_paragraph(&mut out, &escaped(&binframe_inspect::explain(&source, binary, address)?))?;
        let batches = traced.iter().filter(|rows| rows.0 == *binary).map(|rows| &rows.1);
        write_tables(&mut out, &concatenated(batches), limit)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The batches, with adjacent batches of one table concatenated.
fn concatenated<'a>(batches: impl Iterator<Item = &'a Batch>) -> Vec<Batch> {
    let mut tables: Vec<Batch> = Vec::new();
    for batch in batches {
        match tables.last_mut() {
            Some(last) if last.info() == batch.info() => {
                *last = Batch::concat(&[last.clone(), batch.clone()]);
            }
            _ => tables.push(batch.clone()),
        }
    }
    tables
}

/// Width of a paragraph, in characters.
const PARAGRAPH_WIDTH: usize = 100;

/// Writes text with its words wrapped.
fn write_paragraph(out: &mut impl Write, text: &str) -> io::Result<()> {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > PARAGRAPH_WIDTH {
            writeln!(out, "{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{line}")
}

/// Writes tables, grouped by stage: a single row as a list of its values, several rows in aligned columns.
fn write_tables(out: &mut impl Write, tables: &[Batch], limit: usize) -> io::Result<()> {
    let mut stage: Option<Stage> = None;
    for batch in tables {
        let info = batch.info();
        if stage.replace(info.stage) != Some(info.stage) {
            writeln!(out, "\n{}", info.stage.name())?;
        }
        let shown = limit.min(batch.rows());
        let columns: Vec<_> = info.columns.iter().collect();
        let rows = record_batch(&batch.slice(0, shown), &columns, None);
        match batch.rows() {
            1 => {
                writeln!(out, "  {}", info.name)?;
                write_row(out, "    ", &rows, 0)?;
            }
            count => {
                writeln!(out, "  {}, {count} rows", info.name)?;
                let rows = without_null_columns(&rows);
                let mut table = AlignedTable::new(rows.schema(), "    ");
                table.write(out, &rows)?;
                table.finish(out)?;
                if count > shown {
                    writeln!(out, "    … {} more", count - shown)?;
                }
            }
        }
    }
    Ok(())
}

/// The columns that are not null in some row.
fn without_null_columns(rows: &RecordBatch) -> RecordBatch {
    let has_values = |index: &usize| rows.column(*index).null_count() < rows.num_rows();
    let kept: Vec<_> = (0..rows.num_columns()).filter(has_values).collect();
    rows.project(&kept).expect("the columns exist")
}
