//! `binframe trace`

use crate::arguments::TraceArguments;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::table_text::{TableText, escaped, write_row};
use arrow_array::{Array, RecordBatch};
use binframe::Source;
use binframe::ir::{Batch, Stage};
use std::io::{self, Write};
use std::process::ExitCode;

/// Explains an address, and prints every row that speaks of it.
pub(crate) fn run(arguments: &TraceArguments) -> Result<ExitCode, Failure> {
    let source = Source::open(&arguments.source)?;
    let traced = binframe_inspect::trace(&source, arguments.address)?;
    if traced.is_empty() {
        let (path, address) = (arguments.source.display(), arguments.address);
        let message = format!(
            "{path}: no row speaks of {address:#x}; `binframe dump binary_sections {path}` lists what is there"
        );
        return Err(Failure::Failed(message));
    }
    let mut out = output::stdout();
    for (position, binary) in
        source.binaries().iter().filter(|binary| traced.iter().any(|rows| rows.0 == **binary)).enumerate()
    {
        if position > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{:#x} in {binary}\n", arguments.address)?;
        write_paragraph(&mut out, &escaped(&binframe_inspect::explain(&source, binary, arguments.address)?))?;
        let batches = traced.iter().filter(|rows| rows.0 == *binary).map(|rows| &rows.1);
        write_tables(&mut out, &together(batches), arguments.limit)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The batches, of which those of one table follow each other and are made one.
fn together<'a>(batches: impl Iterator<Item = &'a Batch>) -> Vec<Batch> {
    let mut joined: Vec<Batch> = Vec::new();
    for batch in batches {
        match joined.last_mut() {
            Some(last) if last.info() == batch.info() => {
                *last = Batch::concat(&[last.clone(), batch.clone()]);
            }
            _ => joined.push(batch.clone()),
        }
    }
    joined
}

/// Letters of a line of text.
const LINE_LETTERS: usize = 100;

/// Words in lines that are not too long.
fn write_paragraph(out: &mut impl Write, text: &str) -> io::Result<()> {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > LINE_LETTERS {
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

/// A single row as a list of its values, several as lines.
fn write_tables(out: &mut impl Write, tables: &[Batch], limit: usize) -> io::Result<()> {
    let mut stage: Option<Stage> = None;
    for batch in tables {
        let info = batch.info();
        if stage.replace(info.stage) != Some(info.stage) {
            writeln!(out, "\n{}", info.stage.name())?;
        }
        let shown = limit.min(batch.rows());
        let rows = output::record_batch(&batch.slice(0, shown), &Column::stored(info), None);
        match batch.rows() {
            1 => {
                writeln!(out, "  {}", info.name)?;
                write_row(out, "    ", &rows, 0)?;
            }
            count => {
                writeln!(out, "  {}, {count} rows", info.name)?;
                let rows = without_null_columns(&rows);
                let mut text = TableText::new(rows.schema(), "    ");
                text.write(out, &rows)?;
                text.finish(out)?;
                if count > shown {
                    writeln!(out, "    … {} more", count - shown)?;
                }
            }
        }
    }
    Ok(())
}

/// The columns that have a value in some row.
fn without_null_columns(rows: &RecordBatch) -> RecordBatch {
    let has_values = |index: &usize| rows.column(*index).null_count() < rows.num_rows();
    let kept: Vec<_> = (0..rows.num_columns()).filter(has_values).collect();
    rows.project(&kept).expect("the columns are there")
}
