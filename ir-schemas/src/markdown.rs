//! Markdown tables, as GitHub renders them.

/// Widest cell that the other cells of its column are padded to.
const PADDED_WIDTH_MAX: usize = 40;

/// A Markdown table. Columns of numbers are aligned to the right.
pub fn markdown_table(names: &[String], rows: &[Vec<String>]) -> String {
    let is_number =
        |cell: &String| cell.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit());
    let columns = (0..names.len()).map(|index| {
        let cells = rows.iter().map(|row| &row[index]);
        let widths = cells.clone().chain([&names[index]]).map(|cell| cell.chars().count());
        let width = widths.filter(|width| *width <= PADDED_WIDTH_MAX).max();
        let mut values = cells.filter(|cell| *cell != "-").peekable();
        (width.unwrap_or(0), values.peek().is_some() && values.all(is_number))
    });
    let columns: Vec<_> = columns.collect();
    let rule =
        columns.iter().map(|(width, is_right)| "-".repeat(width + 1) + if *is_right { ":|" } else { "-|" });
    let line = |row: &[String]| {
        let cells = row.iter().zip(&columns).map(|(cell, (width, is_right))| match is_right {
            true => format!(" {cell:>width$} |"),
            false => format!(" {cell:width$} |"),
        });
        format!("|{}\n", cells.collect::<String>())
    };
    let head = line(names) + &format!("|{}\n", rule.collect::<String>());
    rows.iter().fold(head, |text, row| text + &line(row))
}

/// The lines of a Markdown table with their numbers, from 1: names of columns, then rows. Outer `|` may be missing, and the rule.
pub fn table_lines(text: &str) -> Vec<(usize, Vec<String>)> {
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
    let lines = lines.map(|(number, line)| {
        let line = line.strip_prefix('|').unwrap_or(line);
        let cells = line.strip_suffix('|').unwrap_or(line).split('|');
        (number, cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
    });
    let is_rule = |cell: &String| cell.len() > 1 && cell.bytes().all(|byte| b"-:".contains(&byte));
    lines.filter(|(_, cells)| !cells.iter().all(is_rule)).collect()
}
