//! Asks for queries one by one, and answers them.

mod completion;
pub(crate) mod dot_commands;

use crate::commands::sql::{Printer, run_all};
use crate::failure::Failure;
use binframe_query::{Session, is_unfinished};
use completion::Names;
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

const GREETING: &str = "Queries end with a semicolon. `.help` says what else there is; Ctrl-D leaves.";

/// Queries that are kept from one session to the next.
const HISTORY_MAX: usize = 1000;

/// What the editor needs to know of what it edits.
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
        let has_more = !is_command && is_unfinished(context.input());
        Ok(if has_more { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

/// Reads and answers until there is no more.
pub(crate) fn run(session: &Session, printer: &mut Printer) -> Result<(), Failure> {
    let broken = |error: ReadlineError| Failure::Failed(format!("cannot read from the terminal: {error}"));
    let config =
        Config::builder().max_history_size(HISTORY_MAX).map_err(broken)?.auto_add_history(true).build();
    let mut editor: Editor<Assistant, DefaultHistory> = Editor::with_config(config).map_err(broken)?;
    editor.set_helper(Some(Assistant { names: Names::of(session) }));
    let history = history_path();
    if let Some(path) = &history {
        // There is none at first.
        _ = editor.load_history(path);
    }
    writeln!(io::stdout(), "{GREETING}")?;
    loop {
        match editor.readline("binframe> ") {
            Ok(line) => match answer(session, &line, printer) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(Failure::OutputClosed) => return Err(Failure::OutputClosed),
                // What failed is said, and the next query is asked for.
                Err(failure) => _ = failure.report(),
            },
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(broken(error)),
        }
    }
    if let Some(path) = &history {
        // A history that cannot be kept is no reason to fail.
        _ = path.parent().map(fs::create_dir_all);
        _ = editor.save_history(path);
    }
    Ok(())
}

fn answer(session: &Session, line: &str, printer: &mut Printer) -> Result<ControlFlow<()>, Failure> {
    session.forget_interrupts();
    run_all(session, line, printer)
}

/// Where queries are kept: in the directory for the state of programs.
fn history_path() -> Option<PathBuf> {
    let own = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = own.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("binframe/history"))
}
