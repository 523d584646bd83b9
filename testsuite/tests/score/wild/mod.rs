//! Scores the tables of programs in many languages, for several architectures and systems, against their compilers.
//!
//! `cargo xtask score --wild` compiles the rows of [`rows`] with the compilers that are installed, strips the programs,
//! and compares the functions of the whole file, with the language's runtime, with the symbols of the unstripped file.
//! Jump tables and edges are compared where the compiler records them.
//!
//! - `BINFRAME_SCORE_WILD`: words that select languages, compilers, targets, flags and programs; all if empty.
//! - `BINFRAME_SCORE_FOLDER`, `BINFRAME_SCORE_EXAMPLES`: as for the other scores.

mod build;
mod examples;
mod rows;
mod symbols;

use crate::comparison::{Comparison, Counts};
use crate::graph::{self, Code};
use crate::statements::Statements;
use crate::{comparison, default_folder, report, sources};
use binframe_testsuite::lowering;
use build::Row;
use bytes::Bytes;
use rows::TOOLCHAINS;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{env, fs, thread};

/// Number of programs that are compiled in parallel.
const JOBS: usize = 2;

#[test]
fn programs_in_many_languages_are_scored() {
    let Ok(words) = env::var("BINFRAME_SCORE_WILD") else { return };
    let below = env::var_os("BINFRAME_SCORE_FOLDER").map_or_else(default_folder, PathBuf::from);
    let examples = env::var("BINFRAME_SCORE_EXAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let rows = chosen(&words, &below.join("languages"));
    let missing: BTreeSet<&str> =
        rows.iter().filter(|row| !row.can_be_made()).map(|row| row.toolchain.compiler).collect();
    let rows: Vec<Row> = rows.into_iter().filter(|row| !missing.contains(row.toolchain.compiler)).collect();
    let crates = match rows.iter().any(|row| row.package.is_some()) {
        true => sources::fetch(&below).unwrap_or_else(|error| panic!("{error}")),
        false => BTreeMap::new(),
    };
    let failures = make_all(&rows, &crates);
    let built: Vec<&Row> = rows.iter().filter(|row| row.is_made()).collect();
    score_all(&built, examples);
    for compiler in &missing {
        println!("not installed: {compiler}");
    }
    println!("{}", summary(&failures));
    let used: BTreeSet<&str> = built.iter().map(|row| row.toolchain.compiler).collect();
    let unused: BTreeSet<&str> =
        rows.iter().map(|row| row.toolchain.compiler).filter(|name| !used.contains(name)).collect();
    assert!(env::var_os("CI").is_none() || unused.is_empty(), "installed, but nothing was built: {unused:?}");
}

/// Rows that have one of the words of each category. A word is of the first category that has it. Panics if a word is of no category.
fn chosen(words: &str, below: &Path) -> Vec<Row> {
    let rows: Vec<Row> = TOOLCHAINS.iter().flat_map(|toolchain| Row::all(toolchain, below)).collect();
    let mut chosen: Vec<Vec<&str>> = vec![Vec::new(); build::CATEGORIES];
    for word in words.split_whitespace() {
        let category = (0..build::CATEGORIES)
            .find(|category| rows.iter().any(|row| row.words()[*category] == word))
            .unwrap_or_else(|| panic!("`{word}` is not a word of any row"));
        chosen[category].push(word);
    }
    let is_chosen = |row: &Row| {
        row.words().iter().zip(&chosen).all(|(word, words)| words.is_empty() || words.contains(word))
    };
    rows.into_iter().filter(is_chosen).collect()
}

/// Builds missing programs, and returns the errors.
fn make_all<'a>(rows: &'a [Row], crates: &BTreeMap<&str, PathBuf>) -> Vec<(&'a Row, String)> {
    let queue = Mutex::new(rows.iter());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no thread panicked").next();
                    let Some(row) = next else { break };
                    if let Err(error) = row.make(crates) {
                        failures.lock().expect("no thread panicked").push((row, error));
                    }
                }
            });
        }
    });
    failures.into_inner().expect("no thread panicked")
}

/// The first error of each compiler and target, and how many rows it concerns.
fn summary(failures: &[(&Row, String)]) -> String {
    let mut groups: BTreeMap<[&str; 3], (usize, &str)> = BTreeMap::new();
    for (row, error) in failures {
        let [language, compiler, target, ..] = row.words();
        groups.entry([language, compiler, target]).or_insert((0, error)).0 += 1;
    }
    let lines = groups
        .into_iter()
        .map(|(words, (count, error))| format!("not built: {count} of {}: {error}\n", words.join(" ")));
    lines.collect()
}

fn score_all(rows: &[&Row], examples: usize) {
    let mut sums: BTreeMap<String, Counts> = BTreeMap::new();
    report::header();
    for row in rows {
        let truth = Truth::read(&row.folder);
        let comparison = truth.compare(&row.folder.join("stripped"));
        report::line(&row.name(), &comparison.counts);
        if examples > 0 {
            truth.examples(&comparison, examples);
        }
        let toolchain = row.toolchain;
        let target = row.words()[2];
        for sum in [
            format!("total {} {}", toolchain.language, toolchain.compiler),
            format!("total {} {} {target}", toolchain.language, toolchain.compiler),
            "total".to_owned(),
        ] {
            *sums.entry(sum).or_default() += comparison.counts;
        }
    }
    report::header();
    for (name, counts) in &sums {
        report::line(name, counts);
    }
}

/// Ground truth of one program.
struct Truth {
    /// Functions of the whole file.
    symbols: Statements,
    /// Statements of the compiler about control flow in its own code.
    flow: Option<Statements>,
    /// Bytes of the linked file.
    full: Vec<u8>,
}

impl Truth {
    /// Reads the files of a row that was built.
    fn read(folder: &Path) -> Self {
        let statements = |name: &str| {
            let text = fs::read_to_string(folder.join(name)).ok()?;
            Some(Statements::from_text(&text).expect("statements are valid"))
        };
        let symbols = statements("symbols.txt").expect("the row was built");
        let full = fs::read(folder.join("full")).expect("the row was built");
        Self { symbols, flow: statements("flow.txt"), full }
    }

    /// Computes the tables of the stripped file and compares them.
    fn compare(&self, stripped: &Path) -> Comparison {
        let bytes = Bytes::from(fs::read(stripped).expect("the file was built"));
        let file = object::File::parse(&*self.full).expect("the file is valid");
        let code = Code::of(&file);
        let tables = lowering::tables(&bytes);
        let mut all = match &self.flow {
            Some(flow) => comparison::compare(flow, &graph::graph(flow, &code), &code, &tables),
            None => Comparison::default(),
        };
        // A symbol's range may have data, so that symbols say nothing about instructions.
        let functions = comparison::compare(&self.symbols, &graph::Graph::default(), &code, &tables);
        all.counts.sets[1] = functions.counts.sets[1];
        all.examples[1].clone_from(&functions.examples[1]);
        all
    }

    fn examples(&self, comparison: &Comparison, count: usize) {
        let file = object::File::parse(&*self.full).expect("the file is valid");
        examples::print(&Code::of(&file), &self.symbols, comparison, count);
    }
}

#[test]
fn functions_of_small_programs_are_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for row in chosen("c gcc clang mingw-x86_64 x64 O2 kinds", folder.path()) {
        if !row.can_be_made() {
            println!("skipped: no compiler is installed for {}", row.name());
            continue;
        }
        row.make(&BTreeMap::new()).unwrap_or_else(|error| panic!("{error}"));
        let comparison = Truth::read(&row.folder).compare(&row.folder.join("stripped"));
        let functions = comparison.counts.sets[1];
        let is_right = functions.right > 10 && functions.missing == 0 && functions.wrong == 0;
        assert!(is_right, "{}: {functions:?} {:x?}", row.name(), comparison.examples[1]);
        assert!(comparison.counts.tables.exact > 0, "{}: {:?}", row.name(), comparison.tables);
    }
}
