//! `binframe sql`: queries in SQL, from arguments, files, standard input, or a shell.

mod arguments;
mod completion;
mod dot_commands;
mod pass_progress;
mod printer;
mod shell;

pub(crate) use arguments::{EXAMPLES, SqlArguments};

use crate::escape::escaped;
use crate::failure::Failure;
use crate::memory_limit;
use crate::output::row_writer::RowFormat;
use binframe_query::{Options, QueryError, Session};
use pass_progress::PassProgress;
use printer::Printer;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Answers the queries of the arguments, or runs a shell if there are none.
pub(crate) fn run(arguments: &SqlArguments) -> Result<ExitCode, Failure> {
    let (queries, inputs) = queries(arguments)?;
    let defaults = Options::default();
    let threads = arguments.jobs.map_or(defaults.threads, NonZero::get);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let progress = PassProgress::new();
    let memory = arguments.memory.unwrap_or(defaults.memory);
    memory_limit::limit(memory.saturating_mul(2).saturating_add(OTHER_MEMORY));
    let options = Options {
        threads,
        memory,
        allowed_directories: arguments.allow_files.clone(),
        companions: arguments.companions.search(),
        on_pass: progress.observer(),
    };
    let session = Session::open(&inputs, options)?;
    let format = arguments.format.unwrap_or(RowFormat::Table);
    let output = arguments.output.clone();
    let mut printer = Printer { format, output, has_timer: arguments.timer, progress };
    let result = match queries {
        Some(queries) => {
            queries.iter().try_for_each(|query| shell::execute(&session, query, &mut printer).map(drop))
        }
        None => shell::run(&session, &mut printer),
    };
    report_skipped(&session);
    result?;
    Ok(ExitCode::SUCCESS)
}

/// Memory of a process that `--memory` does not count: threads, and what is computed of executables. Functions that make
/// long texts count no memory either.
const OTHER_MEMORY: u64 = 1 << 30;

/// The queries and the inputs. The queries are `None` if a shell has to read them.
fn queries(arguments: &SqlArguments) -> Result<(Option<Vec<String>>, Vec<PathBuf>), Failure> {
    let mut inputs = arguments.inputs.clone();
    if !arguments.command.is_empty() {
        return Ok((Some(arguments.command.clone()), inputs));
    }
    if let Some(path) = &arguments.file {
        let text = match path.as_os_str() == "-" {
            true => io::read_to_string(io::stdin()),
            false => fs::read_to_string(path),
        };
        let text =
            text.map_err(|error| Failure::Failed(format!("{}: cannot read: {error}", path.display())))?;
        return Ok((Some(vec![text]), inputs));
    }
    if let Some(query) = inputs.first().and_then(|first| as_query(first)) {
        let query = query.to_owned();
        inputs.remove(0);
        return Ok((Some(vec![query]), inputs));
    }
    if io::stdin().is_terminal() {
        return Ok((None, inputs));
    }
    let text = io::read_to_string(io::stdin());
    let text = text.map_err(|error| Failure::Failed(format!("cannot read queries: {error}")))?;
    Ok((Some(vec![text]), inputs))
}

/// The argument as a query, if it has several words and is not the path of a file.
fn as_query(argument: &Path) -> Option<&str> {
    let text = argument.to_str().filter(|_| !argument.exists())?;
    text.trim().contains(char::is_whitespace).then_some(text)
}

/// Skipped inputs that are listed.
const SKIPPED_SHOWN_MAX: usize = 10;

fn report_skipped(session: &Session) {
    let skipped = session.inputs().skipped();
    if skipped.is_empty() {
        return;
    }
    let mut stderr = io::stderr().lock();
    let were = if skipped.len() == 1 { "input was" } else { "inputs were" };
    _ = writeln!(stderr, "binframe: {} {were} left out:", skipped.len());
    for line in skipped.iter().take(SKIPPED_SHOWN_MAX) {
        _ = writeln!(stderr, "  {}", escaped(line));
    }
    if skipped.len() > SKIPPED_SHOWN_MAX {
        _ = writeln!(stderr, "  …");
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Interrupted => Self::Interrupted,
            QueryError::Failed { .. } => Self::Failed(error.to_string()),
        }
    }
}
