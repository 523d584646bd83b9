//! Answers statements and writes their rows.

use super::pass_progress::PassProgress;
use crate::failure::Failure;
use crate::output::destination;
use crate::output::row_writer::{RowFormat, RowWriter};
use binframe::NewFile;
use binframe_query::Session;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

/// Settings of the output, which the shell can change between statements.
pub(super) struct Printer {
    pub(super) format: RowFormat,
    /// File for the answers; `None` for standard output.
    pub(super) output: Option<PathBuf>,
    /// Whether the time of each statement is printed.
    pub(super) has_timer: bool,
    pub(super) progress: PassProgress,
}

impl Printer {
    /// Answers one statement.
    pub(super) fn print(&mut self, session: &Session, statement: &str) -> Result<(), Failure> {
        let started = Instant::now();
        let mut answer = session.query(statement)?;
        let is_binary = matches!(self.format, RowFormat::Parquet | RowFormat::Arrow);
        if is_binary && self.output.is_none() && io::stdout().is_terminal() {
            let message = "Parquet and Arrow are not for terminals; add --output FILE or redirect the output";
            return Err(Failure::Usage(message.to_owned()));
        }
        let (out, new_file) = destination::open(self.output.as_deref())?;
        let schema = answer.schema();
        let has_columns = !schema.fields().is_empty();
        let mut writer = RowWriter::new(self.format, schema, out)?;
        let mut rows: usize = 0;
        for batch in &mut answer {
            let batch = batch?;
            self.progress.clear();
            rows += batch.num_rows();
            writer.write(&batch)?;
        }
        self.progress.clear();
        // A statement without columns, such as CREATE VIEW, has no answer.
        if has_columns {
            writer.finish()?;
        }
        new_file.map_or(Ok(()), NewFile::publish)?;
        if self.has_timer {
            let plural = if rows == 1 { "" } else { "s" };
            _ = writeln!(io::stderr(), "{rows} row{plural} in {:.3} s", started.elapsed().as_secs_f64());
        }
        Ok(())
    }
}
