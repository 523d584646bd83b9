//! Why a query failed, in words that its author can act on.

use crate::table_functions::TABLE_FUNCTIONS;
use datafusion::common::{Diagnostic, SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use std::fmt;

/// Why a query failed.
#[derive(Debug)]
pub enum QueryError {
    /// What was asked cannot be understood or answered.
    Failed {
        /// What is wrong.
        message: String,
        /// The line of the query that it is about, with a mark under the place; empty where no place is known.
        excerpt: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// Somebody pressed Ctrl-C.
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

impl QueryError {
    pub(crate) fn failed(message: String) -> Self {
        Self::Failed { message, excerpt: String::new(), help: None }
    }

    /// An error about a place in a query.
    pub(crate) fn at(query: &str, place: Option<Place>, message: String, help: Option<String>) -> Self {
        let excerpt = place.map(|place| place.excerpt(query)).unwrap_or_default();
        Self::Failed { message, excerpt, help }
    }

    /// What DataFusion says of a query, with the place if it is known. `names` are all that may be meant.
    pub(crate) fn of(error: &DataFusionError, query: &str, names: &[String]) -> Self {
        if let DataFusionError::Collection(errors) = error
            && let Some(first) = errors.first()
        {
            return Self::of(first, query, names);
        }
        let place = error.diagnostic().and_then(place_of);
        match error.find_root() {
            DataFusionError::External(error) => Self::failed(error.to_string()),
            DataFusionError::SQL(error, _) => {
                let (message, place) = of_parser(error);
                Self::at(query, place, message, None)
            }
            DataFusionError::SchemaError(schema_error, _) => {
                if let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref() {
                    let known: Vec<_> = valid_fields.iter().map(|column| column.name.clone()).collect();
                    let place = place.or_else(|| Place::of_word(query, &field.name));
                    let message = format!("there is no column `{}`", field.name);
                    return Self::at(query, place, message, proposal(&field.name, &known, "the columns are"));
                }
                Self::at(query, place, schema_error.to_string(), None)
            }
            DataFusionError::ResourcesExhausted(message) => {
                let help = "raise --memory, or ask for fewer rows or columns".to_owned();
                Self::at(query, place, format!("the query needs more memory: {message}"), Some(help))
            }
            root => {
                let message = root.strip_backtrace();
                let message = message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest).to_owned();
                let missing =
                    message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
                if let Some(missing) = missing {
                    let name = missing.rsplit('.').next().unwrap_or(missing);
                    let place = place.or_else(|| Place::of_word(query, name));
                    let help = proposal(name, names, "the tables are");
                    return Self::at(query, place, format!("there is no table `{name}`"), help);
                }
                let function = message
                    .strip_prefix("table function '")
                    .and_then(|rest| rest.strip_suffix("' not found"));
                if let Some(name) = function {
                    let known: Vec<_> =
                        TABLE_FUNCTIONS.iter().map(|function| function.name.to_owned()).collect();
                    let help =
                        proposal(name, &known, "functions that give tables are the tables themselves and");
                    let message = format!("there is no function `{name}` that gives a table");
                    return Self::at(query, Place::of_word(query, name), message, help);
                }
                let (message, help) = of_function(&message);
                Self::at(query, place, message, help)
            }
        }
    }
}

/// What is said of a function that is given something else than it takes, without what leads to it.
fn of_function(message: &str) -> (String, Option<String>) {
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

/// An error of ours on its way through DataFusion.
pub(crate) fn external(error: binframe::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A place in a query: line and column count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    line: u64,
    column: u64,
    length: u64,
}

impl Place {
    /// Where a name first stands as a word of its own, in any case.
    fn of_word(query: &str, word: &str) -> Option<Self> {
        let is_part =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        (1..).zip(query.lines()).find_map(|(line, text)| {
            let found =
                text.to_lowercase().match_indices(&word.to_lowercase()).map(|(at, _)| at).find(|at| {
                    let (before, after) = (text.get(..*at), text.get(at + word.len()..));
                    !is_part(before.and_then(|text| text.chars().next_back()))
                        && !is_part(after.and_then(|text| text.chars().next()))
                })?;
            let column = text.get(..found)?.chars().count() as u64 + 1;
            Some(Self { line, column, length: word.chars().count() as u64 })
        })
    }

    fn excerpt(self, query: &str) -> String {
        let Some(text) = query.lines().nth((self.line - 1) as usize) else { return String::new() };
        let indent: String = text
            .chars()
            .take((self.column - 1) as usize)
            .map(|letter| if letter == '\t' { '\t' } else { ' ' })
            .collect();
        let number = format!("{:>4} | ", self.line);
        format!(
            "{number}{text}\n{}{indent}{}",
            " ".repeat(number.len()),
            "^".repeat(self.length.max(1) as usize)
        )
    }
}

fn place_of(diagnostic: &Diagnostic) -> Option<Place> {
    let Span { start, end } = diagnostic.span?;
    let length = if start.line == end.line { end.column.saturating_sub(start.column) } else { 1 };
    Some(Place { line: start.line, column: start.column, length })
}

/// What the parser says, and the place that it says it of: its messages end with ` at Line: 1, Column: 8`.
fn of_parser(error: &ParserError) -> (String, Option<Place>) {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "the query is nested too deeply",
    };
    let place = message.rsplit_once(" at Line: ").and_then(|(before, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        let place = Place { line: line.parse().ok()?, column: column.trim().parse().ok()?, length: 1 };
        Some((before, place))
    });
    match place {
        Some((before, place)) => (format!("not SQL: {before}"), Some(place)),
        None => (format!("not SQL: {message}"), None),
    }
}

/// The names that are nearest to one that is not known, or else all of them.
fn proposal(name: &str, known: &[String], all: &str) -> Option<String> {
    let distance = |other: &str| strsim::osa_distance(&name.to_lowercase(), &other.to_lowercase());
    let misspelled_max = (name.chars().count() / 3).max(1);
    let nearest = known.iter().map(|other| (distance(other), other)).min();
    match nearest {
        Some((distance, other)) if distance <= misspelled_max => Some(format!("did you mean `{other}`?")),
        Some(_) => Some(format!("{all} {}", known.join(", "))),
        None => None,
    }
}
