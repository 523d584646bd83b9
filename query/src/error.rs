//! Why a query failed: a message, the position in the query, and the next step.

use datafusion::common::{Diagnostic, SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use std::fmt;

/// Why a query failed.
#[derive(Debug)]
pub enum QueryError {
    /// The query is wrong or cannot be answered.
    Failed {
        /// The problem.
        message: String,
        /// The line of the query with the problem, and a marker under the position; empty if the position is unknown.
        excerpt: String,
        /// A suggestion for the next step.
        help: Option<String>,
    },
    /// The user pressed Ctrl-C.
    Interrupted,
}

impl fmt::Display for QueryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => write!(formatter, "interrupted"),
            Self::Failed { message, excerpt, help } => {
                write!(formatter, "{message}")?;
                if !excerpt.is_empty() {
                    write!(formatter, "\n{excerpt}")?;
                }
                help.as_ref().map_or(Ok(()), |help| write!(formatter, "\nhelp: {help}"))
            }
        }
    }
}

impl std::error::Error for QueryError {}

impl From<binframe::Error> for QueryError {
    fn from(error: binframe::Error) -> Self {
        Self::failed(error.to_string())
    }
}

/// The names that a query can use, for suggestions.
#[derive(Debug, Default)]
pub(crate) struct KnownNames {
    /// Tables and views.
    pub(crate) tables: Vec<String>,
    /// Functions that return tables, other than the tables themselves.
    pub(crate) table_functions: Vec<String>,
}

impl QueryError {
    pub(crate) fn failed(message: String) -> Self {
        Self::Failed { message, excerpt: String::new(), help: None }
    }

    /// A panic, of DataFusion or of a pass.
    pub(crate) fn of_panic(message: &str) -> Self {
        Self::failed(format!("internal error: {message}; please report the query"))
    }

    /// An error at a position in a query.
    fn at(query: &str, position: Option<QueryPosition>, message: String, help: Option<String>) -> Self {
        let excerpt = position.map(|position| position.excerpt(query)).unwrap_or_default();
        Self::Failed { message, excerpt, help }
    }

    /// Rewrites an error of DataFusion, with the position if it is known.
    pub(crate) fn of(error: &DataFusionError, query: &str, names: &KnownNames) -> Self {
        if let DataFusionError::Collection(errors) = error
            && let Some(first) = errors.first()
        {
            return Self::of(first, query, names);
        }
        let position = error.diagnostic().and_then(QueryPosition::of_diagnostic);
        match error.find_root() {
            DataFusionError::External(error) => Self::failed(error.to_string()),
            DataFusionError::SQL(error, _) => {
                let (message, position) = parser_message(error);
                Self::at(query, position, message, None)
            }
            DataFusionError::SchemaError(error, _) => match error.as_ref() {
                SchemaError::FieldNotFound { field, valid_fields } => {
                    let known: Vec<_> = valid_fields.iter().map(|column| column.name.clone()).collect();
                    let position = position.or_else(|| QueryPosition::of_word(query, &field.name));
                    let message = format!("there is no column `{}`", field.name);
                    Self::at(query, position, message, suggestion(&field.name, &known, "the columns are"))
                }
                error => Self::at(query, position, error.to_string(), None),
            },
            DataFusionError::ResourcesExhausted(message) => {
                let help = "raise --memory, or query fewer rows or columns".to_owned();
                Self::at(query, position, format!("the query needs more memory: {message}"), Some(help))
            }
            root => {
                let message = root.strip_backtrace();
                let message = message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest);
                Self::of_message(message, query, position, names)
            }
        }
    }

    /// Rewrites an error that DataFusion describes in words only.
    fn of_message(message: &str, query: &str, position: Option<QueryPosition>, names: &KnownNames) -> Self {
        if let Some(missing) = between(message, "table '", "' not found") {
            let name = missing.rsplit('.').next().unwrap_or(missing);
            let position = position.or_else(|| QueryPosition::of_word(query, name));
            let help = suggestion(name, &names.tables, "the tables are");
            return Self::at(query, position, format!("there is no table `{name}`"), help);
        }
        if let Some(name) = between(message, "table function '", "' not found") {
            let help = suggestion(
                name,
                &names.table_functions,
                "functions that return tables are the names of the tables and",
            );
            let message = format!("there is no function `{name}` that returns a table");
            return Self::at(query, QueryPosition::of_word(query, name), message, help);
        }
        let (message, help) = function_message(message);
        Self::at(query, position, message, help)
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix(after)
}

/// The message about wrong arguments of a function, without the steps by which DataFusion came to it, and a suggestion.
fn function_message(message: &str) -> (String, Option<String>) {
    let Some((before, after)) =
        message.split_once(". No function matches the given name and argument types '")
    else {
        return (message.to_owned(), None);
    };
    if let Some((_, own)) = before.split_once("user-defined coercion failed with: Error during planning: ") {
        return (own.to_owned(), None);
    }
    let (call, candidates) = after.split_once("'.").unwrap_or((after, ""));
    let candidates = candidates.split_once("Candidate functions:").map_or("", |(_, candidates)| candidates);
    let known: Vec<_> = candidates.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (format!("there is no {call}"), (!known.is_empty()).then(|| format!("there are {}", known.join(", "))))
}

/// The message of the parser without the position at its end, ` at Line: 1, Column: 8`, and that position.
fn parser_message(error: &ParserError) -> (String, Option<QueryPosition>) {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "the query is nested too deeply",
    };
    let split = message.rsplit_once(" at Line: ").and_then(|(before, position)| {
        let (line, column) = position.split_once(", Column: ")?;
        let (line, column) = (line.parse().ok()?, column.trim().parse().ok()?);
        Some((before, QueryPosition { line, column, length: 1 }))
    });
    match split {
        Some((before, position)) => (format!("not SQL: {before}"), Some(position)),
        None => (format!("not SQL: {message}"), None),
    }
}

/// Wraps an error of ours for its way through DataFusion.
pub(crate) fn external(error: binframe::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A position in a query. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct QueryPosition {
    line: u64,
    column: u64,
    /// Characters to mark.
    length: u64,
}

impl QueryPosition {
    fn of_diagnostic(diagnostic: &Diagnostic) -> Option<Self> {
        let Span { start, end } = diagnostic.span?;
        let length = if start.line == end.line { end.column.saturating_sub(start.column) } else { 1 };
        Some(Self { line: start.line, column: start.column, length })
    }

    /// The first occurrence of a name as a whole word, in any case.
    fn of_word(query: &str, word: &str) -> Option<Self> {
        let is_in_word =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        (1..).zip(query.lines()).find_map(|(line, text)| {
            let (lower, word_lower) = (text.to_lowercase(), word.to_lowercase());
            let found = lower.match_indices(&word_lower).map(|(at, _)| at).find(|at| {
                let (before, after) = (text.get(..*at), text.get(at + word.len()..));
                !is_in_word(before.and_then(|text| text.chars().next_back()))
                    && !is_in_word(after.and_then(|text| text.chars().next()))
            })?;
            let column = text.get(..found)?.chars().count() as u64 + 1;
            Some(Self { line, column, length: word.chars().count() as u64 })
        })
    }

    /// The line, and a line with a marker under the position.
    fn excerpt(self, query: &str) -> String {
        let Some(text) = query.lines().nth((self.line - 1) as usize) else { return String::new() };
        let before = text.chars().take((self.column - 1) as usize);
        let indent: String = before.map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
        let number = format!("{:>4} | ", self.line);
        let margin = " ".repeat(number.len());
        format!("{number}{text}\n{margin}{indent}{}", "^".repeat(self.length.max(1) as usize))
    }
}

/// The known name nearest to `name`, or a list of all known names if none is near. `None` if no names are known.
fn suggestion(name: &str, known: &[String], list_intro: &str) -> Option<String> {
    let distance = |other: &str| strsim::osa_distance(&name.to_lowercase(), &other.to_lowercase());
    let distance_max = (name.chars().count() / 3).max(1);
    let nearest = known.iter().map(|other| (distance(other), other)).min();
    match nearest {
        Some((distance, other)) if distance <= distance_max => Some(format!("did you mean `{other}`?")),
        Some(_) => Some(format!("{list_intro} {}", known.join(", "))),
        None => None,
    }
}
