//! `binframe sql`

use crate::answer_writer::AnswerWriter;
use crate::failure::Failure;
use crate::output;
use crate::pass_progress::PassProgress;
use crate::shell::{self, dot_commands};
use crate::sql_arguments::{AnswerFormat, SqlArguments};
use binframe::NewFile;
use binframe_query::{Options, QueryError, Session, split};
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

/// Answers queries, or talks with whoever asks them.
pub(crate) fn run(arguments: &SqlArguments) -> Result<ExitCode, Failure> {
    let (queries, inputs) = queries(arguments)?;
    let jobs = arguments.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
    pool.map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let progress = PassProgress::new();
    let options = Options {
        threads: jobs,
        memory: arguments.memory.unwrap_or_else(binframe::default_memory),
        on_pass: progress.observer(),
    };
    let session = Session::open(&inputs, options)?;
    let format = arguments.format.unwrap_or(AnswerFormat::Table);
    let output = arguments.output.clone();
    let mut printer = Printer { format, output, has_timer: arguments.timer, progress };
    let done = match queries {
        Some(queries) => {
            queries.iter().try_for_each(|query| run_all(&session, query, &mut printer).map(drop))
        }
        None => shell::run(&session, &mut printer),
    };
    report_skipped(&session);
    done?;
    Ok(ExitCode::SUCCESS)
}

/// The queries that are asked, if they are not to be asked for one by one, and the inputs.
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
    if let Some(query) = inputs.first().and_then(|first| is_query(first)) {
        let query = query.to_owned();
        inputs.remove(0);
        return Ok((Some(vec![query]), inputs));
    }
    if io::stdin().is_terminal() {
        return Ok((None, inputs));
    }
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::Failed(format!("cannot read queries: {error}")))?;
    Ok((Some(vec![text]), inputs))
}

/// What is no file and has more than one word is a query.
fn is_query(argument: &Path) -> Option<&str> {
    let text = argument.to_str().filter(|_| !argument.exists())?;
    text.trim().contains(char::is_whitespace).then_some(text)
}

/// Answers all statements of a text, or does what a command that begins with a dot says. Whether more may follow.
pub(crate) fn run_all(
    session: &Session,
    text: &str,
    printer: &mut Printer,
) -> Result<ControlFlow<()>, Failure> {
    if let Some(command) = text.trim().strip_prefix('.') {
        return dot_commands::run(session, printer, command);
    }
    split(text)?.into_iter().try_for_each(|statement| printer.print(session, statement))?;
    Ok(ControlFlow::Continue(()))
}

/// How answers are printed.
pub(crate) struct Printer {
    pub(crate) format: AnswerFormat,
    pub(crate) output: Option<PathBuf>,
    pub(crate) has_timer: bool,
    pub(crate) progress: PassProgress,
}

impl Printer {
    /// Answers one statement.
    fn print(&mut self, session: &Session, statement: &str) -> Result<(), Failure> {
        let started = Instant::now();
        let mut answer = session.query(statement)?;
        let is_binary = matches!(self.format, AnswerFormat::Parquet | AnswerFormat::Arrow);
        if is_binary && self.output.is_none() && io::stdout().is_terminal() {
            let message = "Parquet and Arrow are not for terminals; add --output FILE or redirect the output";
            return Err(Failure::Usage(message.to_owned()));
        }
        let (out, new_file) = output::open(self.output.as_deref())?;
        let schema = answer.schema();
        let mut writer = AnswerWriter::new(self.format, &schema, out)?;
        let mut rows: usize = 0;
        for batch in &mut answer {
            let batch = batch?;
            self.progress.clear();
            rows += batch.num_rows();
            writer.write(&batch)?;
        }
        self.progress.clear();
        // A statement without columns, such as one that makes a view, has no answer.
        if !schema.fields().is_empty() {
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

/// Inputs that are named when some were left out.
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
        _ = writeln!(stderr, "  {line}");
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
