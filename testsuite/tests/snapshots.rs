//! Every table that has rows for one of the fixtures, read back from the written Parquet, is the approved snapshot in
//! `testsuite/snapshots/<fixture>/<table>.md`. `BLESS=1` writes the snapshots.
//!
//! A snapshot is for readers: null and constant columns are one line, long values are cut, wide tables are split, and of large ones
//! the first rows are shown. The fingerprint covers what is left out.

use binframe::ir::tables::{Binaries, BinaryBuilder};
use binframe::ir::{Batch, Rows, Stage, Table, TableInfo, cells, file_tables, markdown_table};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::TemporaryDataset;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest snapshot in bytes, and its longest line in characters.
const SIZE_MAX: usize = 8 << 10;
const WIDTH_MAX: usize = 160;

/// Longest cell in characters.
const CELL_WIDTH_MAX: usize = 44;

/// Fewest rows whose equal values are one line.
const ROWS_WITH_CONSTANTS_MIN: usize = 3;

const BLESS: &str = "to accept these tables: cargo xtask bless --test snapshots";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots")
}

#[test]
fn tables_of_fixtures_are_as_approved() {
    let is_blessed = std::env::var_os("BLESS").is_some();
    let mut expected_files = BTreeSet::new();
    let mut shown_tables = BTreeSet::new();
    let mut differences = String::new();
    for fixture in fixtures::NAMES {
        let bytes = fixtures::file(fixture).expect("a fixture");
        let written =
            TemporaryDataset::with_stages(fixture, &bytes, &Stage::ALL).expect("a fixture is lowered");
        for table in file_tables() {
            let batch = written.table(table);
            let batch = if table == Binaries::INFO { without_folder(&batch, fixture) } else { batch };
            if batch.rows() == 0 {
                continue;
            }
            shown_tables.insert(table.name);
            let path = root().join(fixture).join(format!("{}.md", table.name));
            let text = snapshot(table, &batch, fixture);
            let approved = fs::read_to_string(&path).unwrap_or_default();
            if approved != text && is_blessed {
                fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
                fs::write(&path, &text).expect("writable");
            } else if approved != text {
                let new = text.lines().find(|line| !approved.lines().any(|other| other == *line));
                differences +=
                    &format!("{}: first new line: {}\n", path.display(), new.unwrap_or("lines are missing"));
            }
            expected_files.insert(path);
        }
    }
    let all: BTreeSet<_> = file_tables().map(|table| table.name).collect();
    assert_eq!(shown_tables, all, "every table has a row in some fixture");
    for unreferenced in files().difference(&expected_files) {
        if is_blessed {
            fs::remove_file(unreferenced).expect("writable");
        } else {
            differences += &format!("{}: no fixture has rows of this table\n", unreferenced.display());
        }
    }
    assert!(differences.is_empty(), "\n{differences}{BLESS}");
}

/// All files below the folder of snapshots.
fn files() -> BTreeSet<PathBuf> {
    let entries = |folder: &Path| {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("readable").path())
            .collect::<Vec<_>>()
    };
    entries(&root()).iter().flat_map(|folder| entries(folder)).collect()
}

#[test]
fn snapshots_can_be_read() {
    for path in files() {
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.len() <= SIZE_MAX, "{}: {} bytes", path.display(), text.len());
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|width| width <= WIDTH_MAX), "{}: {widest:?} characters", path.display());
    }
}

/// `binaries` with the path of the fixture alone: the temporary folder has a new name every time.
fn without_folder(batch: &Batch, fixture: &str) -> Batch {
    let rows = Rows::<Binaries>::from_batch(batch.clone()).expect("the table binaries");
    let mut renamed = BinaryBuilder::default();
    rows.columns().iter().for_each(|row| renamed.push(binframe::ir::tables::Binary { path: fixture, ..row }));
    renamed.finish().batch().clone()
}

/// The text of a snapshot: as many of the first rows as it has room for.
fn snapshot(table: &TableInfo, batch: &Batch, fixture: &str) -> String {
    let rows: Vec<Vec<String>> =
        cells(batch).iter().map(|row| row.iter().map(|cell| shortened(cell)).collect()).collect();
    let of_rows = |count: usize| {
        let noun = if batch.rows() == 1 { "row" } else { "rows" };
        let shown = if count < rows.len() {
            format!(", of which the first {count} are shown")
        } else {
            String::new()
        };
        let head = format!(
            "# {} of {fixture}\n\n{} {noun}{shown}; fingerprint {}.\n",
            table.name,
            rows.len(),
            batch.fingerprint()
        );
        head + &body(table, &rows[..count])
    };
    let fits = (1..=rows.len()).rev().map(of_rows).find(|text| text.len() <= SIZE_MAX);
    fits.expect("one row fits")
}

/// A cell without the middle of long bytes and the rest of long text.
fn shortened(cell: &str) -> String {
    let length = cell.chars().count();
    if length <= CELL_WIDTH_MAX {
        return cell.to_owned();
    }
    let head: String = cell.chars().take(CELL_WIDTH_MAX - 12).collect();
    match cell.strip_prefix('x').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(digits) if digits.as_bytes().chunks(2).all(|byte| byte == &digits.as_bytes()[..2]) => {
            format!("x{}…×{}", &digits[..2], digits.len() / 2)
        }
        Some(digits) => format!("{}… {} bytes", &head[..17], digits.len() / 2),
        None if cell.starts_with('`') => format!("{head}…` {length}"),
        None => format!("{head}… {length}"),
    }
}

/// Lines for the columns that say nothing row by row, and tables of the others.
fn body(table: &TableInfo, rows: &[Vec<String>]) -> String {
    let key = |index: usize| table.key.contains(&table.columns[index].name);
    let is_constant = |index: usize| rows.iter().all(|row| row[index] == rows[0][index]);
    let has_constants = rows.len() >= ROWS_WITH_CONSTANTS_MIN;
    let (constant, varying): (Vec<_>, Vec<_>) = (0..table.columns.len())
        .partition(|index| is_constant(*index) && (rows[0][*index] == "-" || has_constants && !key(*index)));
    let (null, constant): (Vec<_>, Vec<_>) = constant.into_iter().partition(|index| rows[0][*index] == "-");
    let name = |index: &usize| table.columns[*index].name.to_owned();
    let mut text = listed("Null in each row", null.iter().map(name).collect());
    text += &listed(
        "In each row",
        constant.iter().map(|index| format!("{} = {}", name(index), rows[0][*index])).collect(),
    );
    let print = |columns: &[usize]| {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| columns.iter().map(|index| row[*index].clone()).collect()).collect();
        format!("\n{}", markdown_table(&columns.iter().map(name).collect::<Vec<_>>(), &rows))
    };
    let is_wide = |text: &str| text.lines().any(|line| line.chars().count() > WIDTH_MAX);
    let whole = print(&varying);
    if !is_wide(&whole) {
        return text + &whole;
    }
    if rows.len() < ROWS_WITH_CONSTANTS_MIN {
        let header: Vec<String> = ["column".to_owned()]
            .into_iter()
            .chain((1..=rows.len()).map(|row| format!("row {row}")))
            .collect();
        let lines = varying.iter().map(|index| {
            [name(index)].into_iter().chain(rows.iter().map(|row| row[*index].clone())).collect()
        });
        return text + "\n" + &markdown_table(&header, &lines.collect::<Vec<_>>());
    }
    // Each further table begins with the key.
    let keys: Vec<usize> = varying.iter().copied().filter(|index| key(*index)).collect();
    let mut columns = keys.clone();
    for index in varying.into_iter().filter(|index| !key(*index)) {
        columns.push(index);
        if is_wide(&print(&columns)) {
            columns.pop();
            text += &print(&columns);
            columns.clone_from(&keys);
            columns.push(index);
        }
    }
    text + &print(&columns)
}

/// `what: a, b.`, in lines of the greatest width.
fn listed(what: &str, items: Vec<String>) -> String {
    let mut text = String::new();
    let mut line = format!("{what}:");
    let count = items.len();
    for (index, item) in items.into_iter().enumerate() {
        let item = format!(" {item}{}", if index + 1 == count { "." } else { "," });
        if line.chars().count() + item.chars().count() > WIDTH_MAX {
            text += &format!("{line}\n");
            item.trim_start().clone_into(&mut line);
        } else {
            line += &item;
        }
    }
    if count > 0 { format!("\n{text}{line}\n") } else { text }
}
