//! `(Markdown) -> input, expected rows`, and how the rows that are found differ.

use crate::input::Input;
use crate::names::Names;
use binframe::ir::{Stage, TableInfo, cells, markdown_table, table_lines, table_named};
use binframe_testsuite::lowering::TemporaryDataset;
use std::ops::Range;

/// A case, parsed.
pub(crate) struct Case {
    input: Input,
    pub(crate) expected: Vec<Expected>,
}

/// The rows that one table must have.
pub(crate) struct Expected {
    pub(crate) table: &'static TableInfo,
    /// Column, whether its value must be equal or must differ, value.
    filters: Vec<(String, bool, String)>,
    /// Names of columns.
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The lines of the file that hold the table.
    lines: Range<usize>,
}

/// Rows of each expected table, as they were found.
pub(crate) type Found = Vec<Vec<Vec<String>>>;

impl Case {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<&str> = text.lines().collect();
        if !lines.first().is_some_and(|line| line.starts_with("# ")) {
            return Err("the first line is not a heading that states a fact".to_owned());
        }
        let mut input = Input::default();
        let mut expected = Vec::new();
        let mut number = 1;
        while let Some(line) = lines.get(number) {
            number += 1;
            if let Some(info) = line.strip_prefix("```") {
                let end = lines[number..].iter().position(|line| *line == "```");
                let end = number + end.ok_or_else(|| format!("line {number}: the block does not end"))?;
                input
                    .add(info, lines[number..end].join("\n") + "\n")
                    .map_err(|error| format!("line {number}: {error}"))?;
                number = end + 1;
            } else if let Some(heading) = line.strip_prefix("## ") {
                let start =
                    number + lines[number..].iter().take_while(|line| !line.starts_with(['|', '#'])).count();
                let end = start + lines[start..].iter().take_while(|line| line.starts_with('|')).count();
                expected.push(
                    Expected::parse(heading, &lines, start..end)
                        .map_err(|error| format!("line {number}: {error}"))?,
                );
                number = end;
            }
        }
        Ok(Self { input, expected })
    }

    /// The rows that binframe makes; `None`, after saying so, on a machine without a tool that the input needs.
    pub(crate) fn run(&self) -> Result<Option<Found>, String> {
        let Some((bytes, named)) = self.input.build()? else { return Ok(None) };
        let written =
            TemporaryDataset::with_stages("input", &bytes, &Stage::ALL).map_err(|error| error.to_string())?;
        let names = Names::new(&named);
        Ok(Some(self.expected.iter().map(|expected| expected.find(&written, &names)).collect()))
    }

    /// The values that a column of a table is expected to have.
    pub(crate) fn values(&self, table: &str, column: &str) -> Vec<String> {
        let tables = self.expected.iter().filter(|expected| expected.table.name == table);
        let columns = tables
            .filter_map(|expected| Some((expected, expected.header.iter().position(|name| name == column)?)));
        columns
            .flat_map(|(expected, index)| expected.rows.iter().map(move |row| row[index].clone()))
            .collect()
    }

    /// The text of the case with other rows.
    pub(crate) fn with_rows(&self, text: &str, found: &Found) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let mut blessed = String::new();
        let mut start = 0;
        for (expected, rows) in self.expected.iter().zip(found) {
            lines[start..expected.lines.start].iter().for_each(|line| blessed.extend([line, "\n"]));
            blessed += &markdown_table(&expected.header, rows);
            start = expected.lines.end;
        }
        lines[start..].iter().for_each(|line| blessed.extend([line, "\n"]));
        blessed
    }

    /// What is missing (`-`) and what is there instead (`+`), table by table.
    pub(crate) fn difference(&self, found: &Found) -> Option<String> {
        let mut difference = String::new();
        for (expected, rows) in
            self.expected.iter().zip(found).filter(|(expected, rows)| expected.rows != **rows)
        {
            let lines = |rows: &[Vec<String>]| {
                markdown_table(&expected.header, rows).lines().map(str::to_owned).collect::<Vec<_>>()
            };
            // One table of all rows, so that the cells of both are aligned.
            let all = lines(&[expected.rows.as_slice(), rows].concat());
            let (old, new) = all[2..].split_at(expected.rows.len());
            difference += &format!("{}:\n  {}\n", expected.table.name, all[0]);
            let (mut left, mut right) = (0, 0);
            for (old_row, new_row) in common(&expected.rows, rows).into_iter().chain([(old.len(), new.len())])
            {
                old[left..old_row].iter().for_each(|line| difference += &format!("- {line}\n"));
                new[right..new_row].iter().for_each(|line| difference += &format!("+ {line}\n"));
                new.get(new_row).into_iter().for_each(|line| difference += &format!("  {line}\n"));
                (left, right) = (old_row + 1, new_row + 1);
            }
        }
        (!difference.is_empty()).then_some(difference)
    }
}

impl Expected {
    fn parse(heading: &str, lines: &[&str], range: Range<usize>) -> Result<Self, String> {
        let (name, conditions) = heading.split_once(" where ").unwrap_or((heading, ""));
        let table = table_named(name).ok_or_else(|| format!("there is no table `{name}`"))?;
        let filters = conditions.split(" and ").filter(|condition| !condition.is_empty());
        let filters = filters.map(|condition| {
            let different = condition.split_once(" != ").map(|(column, value)| (column, false, value));
            let parts = different
                .or_else(|| condition.split_once(" = ").map(|(column, value)| (column, true, value)));
            let (column, is_equal, value) =
                parts.ok_or_else(|| format!("`{condition}` is not `COLUMN = VALUE`"))?;
            Ok((column.trim().to_owned(), is_equal, value.trim().to_owned()))
        });
        let filters = filters.collect::<Result<Vec<_>, String>>()?;
        let mut cells = table_lines(&lines[range.clone()].join("\n")).into_iter().map(|(_, cells)| cells);
        let header = cells.next().ok_or("no table follows the heading")?;
        let rows: Vec<_> = cells.collect();
        if let Some(row) = rows.iter().find(|row| row.len() != header.len()) {
            return Err(format!("{} cells, but {} columns: {row:?}", row.len(), header.len()));
        }
        let columns = header.iter().chain(filters.iter().map(|(column, ..)| column));
        if let Some(column) = columns.into_iter().find(|column| table.column_index(column).is_none()) {
            return Err(format!("{name} has no column `{column}`"));
        }
        Ok(Self { table, filters, header, rows, lines: range })
    }

    /// The rows of a dataset that pass the filters, as far as columns are selected.
    fn find(&self, written: &TemporaryDataset, names: &Names) -> Vec<Vec<String>> {
        let batch = written.table(self.table);
        let index = |column: &String| self.table.column_index(column).expect("columns were checked");
        let mut rows = cells(&batch);
        for row in &mut rows {
            names.show(self.table, row);
        }
        rows.retain(|row| {
            self.filters
                .iter()
                .all(|(column, is_equal, value)| (row[index(column)].trim_matches('`') == value) == *is_equal)
        });
        rows.iter().map(|row| self.header.iter().map(|column| row[index(column)].clone()).collect()).collect()
    }
}

/// Positions of a longest common subsequence.
fn common<T: PartialEq>(left: &[T], right: &[T]) -> Vec<(usize, usize)> {
    let mut lengths = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, j) in (0..left.len()).rev().flat_map(|i| (0..right.len()).rev().map(move |j| (i, j))) {
        lengths[i][j] = if left[i] == right[j] {
            lengths[i + 1][j + 1] + 1
        } else {
            lengths[i + 1][j].max(lengths[i][j + 1])
        };
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < left.len() && j < right.len() {
        if left[i] == right[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}
