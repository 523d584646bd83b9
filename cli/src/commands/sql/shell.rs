//! The shell: reads queries and dot commands line by line, and answers them.

use super::completion::Names;
use super::dot_commands;
use super::printer::Printer;
use crate::failure::Failure;
use binframe_query::{Session, is_unfinished, split};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Completer, Config, Editor, Helper};
use std::env;
use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

const GREETING: &str = "Queries end with a semicolon. `.help` lists the commands; Ctrl-D leaves.";

/// Queries that are remembered from one session to the next.
const HISTORY_MAX: usize = 1000;

/// The line editor's completion, and its test whether a query is complete.
#[derive(Helper, Completer)]
struct Assistant {
    #[rustyline(Completer)]
    names: Names,
}

impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let is_command = context.input().trim_start().starts_with('.');
        let is_incomplete = !is_command && is_unfinished(context.input());
        Ok(if is_incomplete { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

/// Answers the statements of a text, or runs it as a dot command. `Break` ends the shell.
pub(super) fn execute(
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

/// Reads and executes lines until `.quit`, Ctrl-D, or a closed output.
pub(super) fn run(session: &Session, printer: &mut Printer) -> Result<(), Failure> {
    let broken = |error: ReadlineError| Failure::Failed(format!("cannot read from the terminal: {error}"));
    let config =
        Config::builder().max_history_size(HISTORY_MAX).map_err(broken)?.auto_add_history(true).build();
    let mut editor: Editor<Assistant, DefaultHistory> = Editor::with_config(config).map_err(broken)?;
    editor.set_helper(Some(Assistant { names: Names::of(session) }));
    let history = history_path();
    if let Some(path) = &history {
        // The first session has no history.
        _ = editor.load_history(path);
    }
    writeln!(io::stdout(), "{GREETING}")?;
    loop {
        match editor.readline("binframe> ") {
            Ok(line) => {
                session.forget_interrupts();
                match execute(session, &line, printer) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(Failure::OutputClosed) => return Err(Failure::OutputClosed),
                    // The shell survives the failure of a query.
                    Err(failure) => _ = failure.report(),
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(broken(error)),
        }
    }
    if let Some(path) = &history {
        // A history that cannot be saved is not a failure.
        _ = path.parent().map(fs::create_dir_all);
        _ = editor.save_history(path);
    }
    Ok(())
}

/// The history file, in the XDG state directory. `None` if no home directory is known.
fn history_path() -> Option<PathBuf> {
    let own = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = own.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("binframe/history"))
}
