//! Completion of names and keywords in the shell.

use binframe_query::Session;
use rustyline::Context;
use rustyline::completion::{Completer, extract_word};
use std::collections::BTreeSet;

/// Keywords of SQL that are completed.
const KEYWORDS: &str = "\
    AND AS ASC BETWEEN BY CASE COUNT CREATE CROSS DESC DESCRIBE DISTINCT ELSE END EXISTS EXPLAIN \
    ANALYZE FROM FULL GROUP HAVING IN INNER INTERSECT IS JOIN LEFT LIKE LIMIT NOT NULL OFFSET ON OR \
    ORDER OUTER OVER PARTITION RIGHT SELECT SHOW TABLES THEN UNION USING VALUES VIEW WHEN WHERE \
    WITH";

/// The names that can be completed.
pub(super) struct Names {
    names: BTreeSet<String>,
    commands: Vec<String>,
}

impl Names {
    /// The names of tables, views, their columns, and functions.
    pub(super) fn of(session: &Session) -> Self {
        let tables = session.table_names();
        let columns = tables.iter().filter_map(|table| session.columns(table));
        let columns: Vec<_> = columns
            .flat_map(|schema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>())
            .collect();
        let names = tables.into_iter().chain(columns).chain(session.function_names()).collect();
        let commands =
            super::dot_commands::COMMANDS.iter().map(|command| format!(".{}", command.name)).collect();
        Self { names, commands }
    }

    /// The names and keywords that begin with `word`. Keywords have its case.
    fn completions(&self, word: &str) -> Vec<String> {
        if word.is_empty() {
            return Vec::new();
        }
        let lower = word.to_lowercase();
        let known = self.names.range(lower.clone()..).take_while(|name| name.starts_with(&lower)).cloned();
        let keywords = KEYWORDS.split(' ').filter(|keyword| keyword.starts_with(&word.to_uppercase()));
        let is_upper = word.chars().all(|letter| !letter.is_lowercase());
        let keywords =
            keywords.map(|keyword| if is_upper { keyword.to_owned() } else { keyword.to_lowercase() });
        known.chain(keywords).collect()
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        if line.starts_with('.') && !line[..position].contains(' ') {
            let matches = |command: &&String| command.starts_with(&line[..position]);
            return Ok((0, self.commands.iter().filter(matches).cloned().collect()));
        }
        let is_break = |letter: char| !letter.is_alphanumeric() && letter != '_';
        let (start, word) = extract_word(line, position, None, is_break);
        Ok((start, self.completions(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_match_any_case_and_keywords_take_the_case_of_the_word() {
        let names = ["functions", "function_parts", "frame_size"].map(str::to_owned).into();
        let names = Names { names, commands: Vec::new() };
        assert_eq!(names.completions("func"), ["function_parts", "functions"]);
        assert_eq!(names.completions("FRA"), ["frame_size"]);
        assert_eq!(names.completions("fr"), ["frame_size", "from"]);
        assert_eq!(names.completions("FRO"), ["FROM"]);
        assert_eq!(names.completions(""), [] as [&str; 0]);
    }
}
