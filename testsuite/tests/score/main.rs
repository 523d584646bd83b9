//! Scores the tables of stripped real programs against ground truth from their compilers.
//!
//! `cargo xtask score` runs this on a set of programs that it downloads and compiles, `cargo test` on two small ones.
//!
//! - `BINFRAME_SCORE`: words that select programs, compilers, optimization levels, kinds and variants; all if empty.
//! - `BINFRAME_SCORE_MEMORY`: the same for memory tables instead of control flow.
//! - `BINFRAME_SCORE_WILD`: the same for programs in many languages (`wild/`).
//! - `BINFRAME_SCORE_FOLDER`: folder of the programs; by default `score` in the target directory.
//! - `BINFRAME_SCORE_EXAMPLES`: number of printed examples of each kind of error.

mod address_map;
mod assembly;
mod build;
mod comparison;
mod graph;
mod programs;
mod report;
mod rust;
mod sources;
mod statements;
mod truth;
mod variables;
mod variants;
mod wild;

use binframe_testsuite::lowering;
use build::Build;
use bytes::Bytes;
use comparison::{Comparison, Counts};
use graph::{Code, Graph};
use programs::{Kind, Language, PROGRAMS, Program};
use statements::Statements;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{env, fs, thread};
use truth::Validation;

/// Number of programs that are compiled in parallel.
const JOBS: usize = 2;

/// Scored variants of each program: without symbols, and also without unwind tables.
const VARIANTS: [&str; 2] = ["stripped", "bare"];

#[test]
fn real_programs_are_scored() {
    let Ok(words) = env::var("BINFRAME_SCORE") else { return };
    let below = env::var_os("BINFRAME_SCORE_FOLDER").map_or_else(default_folder, PathBuf::from);
    let chosen = Choice::of(&words);
    let sources = sources::fetch(&below).unwrap_or_else(|error| panic!("{error}"));
    let mut builds: Vec<Build> = PROGRAMS
        .iter()
        .flat_map(|program| program.builds.iter().map(|build| Build::new(program, *build, &below)))
        .filter(|build| chosen.has(&build.name()))
        .collect();
    let all = builds.len();
    builds.retain(Build::can_be_made);
    if builds.len() < all {
        println!(
            "{} of {all} builds are skipped, because their compiler is not installed",
            all - builds.len()
        );
    }
    let failures = make_all(&builds, &sources);
    let mut files: Vec<(String, PathBuf, &[&str])> =
        builds.iter().map(|build| (build.name(), build.folder.clone(), VARIANTS.as_slice())).collect();
    if chosen.has("hexyl-rustc-O3-pie") {
        let folder = rust::make("hexyl", &sources["hexyl"], &below).unwrap_or_else(|error| panic!("{error}"));
        files.push(("hexyl-rustc-O3-pie".to_owned(), folder, &["full", "stripped", "bare"]));
    }
    let examples = env::var("BINFRAME_SCORE_EXAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    score_all(&files, &chosen, examples);
    assert!(failures.is_empty(), "not built:\n{}", failures.join("\n"));
}

#[test]
fn variables_of_real_programs_are_scored() {
    let Ok(words) = env::var("BINFRAME_SCORE_MEMORY") else { return };
    let below = env::var_os("BINFRAME_SCORE_FOLDER").map_or_else(default_folder, PathBuf::from);
    let chosen = Choice::of(&words);
    let sources = sources::fetch(&below).unwrap_or_else(|error| panic!("{error}"));
    let builds = PROGRAMS
        .iter()
        .flat_map(|program| program.builds.iter().map(|build| Build::new(program, *build, &below)))
        .filter(|build| chosen.has(&build.name()) && build.can_be_made());
    let mut sums: BTreeMap<String, variables::VariableCounts> = BTreeMap::new();
    let mut failures = Vec::new();
    for build in builds {
        let source = build.program.package.and_then(|package| sources.get(package));
        let source = source.expect("programs are from crates of the list");
        match build.make_with_debug_information(source).and_then(|()| variables::compare(&build)) {
            Ok(counts) => {
                counts.print(&build.name());
                sums.entry(format!("total {} {}", build.compiler, build.level)).or_default().add(&counts);
            }
            Err(error) => failures.push(format!("{}: {error}", build.name())),
        }
    }
    for (name, counts) in &sums {
        counts.print(name);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Builds missing programs, and returns the errors.
fn make_all(builds: &[Build], sources: &BTreeMap<&str, PathBuf>) -> Vec<String> {
    let queue = Mutex::new(builds.iter());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no thread panicked").next();
                    let Some(build) = next else { break };
                    let source = build.program.package.and_then(|package| sources.get(package));
                    let source = source.expect("programs are from crates of the list");
                    if let Err(error) = build.make(source) {
                        failures
                            .lock()
                            .expect("no thread panicked")
                            .push(format!("{}: {error}", build.name()));
                    }
                }
            });
        }
    });
    failures.into_inner().expect("no thread panicked")
}

fn score_all(files: &[(String, PathBuf, &[&str])], chosen: &Choice, examples: usize) {
    let mut sums: BTreeMap<String, Counts> = BTreeMap::new();
    let mut all = Validation::default();
    report::header();
    for (name, folder, variants) in files {
        // Failed builds are reported at the end.
        let Some(truth) = Truth::read(folder) else { continue };
        for variant in variants.iter().filter(|variant| chosen.has_variant(variant)) {
            let path = folder.join(variant);
            let comparison = truth.compare(&path);
            report::line(&format!("{name} {variant}"), &comparison.counts);
            if examples > 0 {
                report::examples(&path, &truth.statements, &comparison, examples);
            }
            let compiler = name.split('-').nth(1).unwrap_or_default();
            for sum in [format!("total {variant} {compiler}"), format!("total {variant}")] {
                *sums.entry(sum).or_default() += comparison.counts;
            }
        }
        if examples > 0 {
            report::validation(&folder.join("full"), &truth.validation, examples);
        }
        all.compared += truth.validation.compared;
        all.differences.extend(truth.validation.differences);
        all.open_ends.extend(truth.validation.open_ends);
    }
    report::header();
    for (name, counts) in &sums {
        report::line(name, counts);
    }
    report::validation_total(&all);
}

/// Ground truth of one program.
struct Truth {
    statements: Statements,
    graph: Graph,
    /// Bytes of the linked file.
    full: Vec<u8>,
    validation: Validation,
}

impl Truth {
    /// Reads the files of a build; `None` if the build failed.
    fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join("truth.txt")).ok()?;
        let statements = Statements::from_text(&text).expect("truth.txt is valid");
        let full = fs::read(folder.join("full")).ok()?;
        let file = object::File::parse(&*full).expect("the linker writes a valid file");
        let code = Code::of(&file);
        let graph = graph::graph(&statements, &code);
        let validation = truth::validation(&file, &code, &statements, &graph);
        Some(Self { statements, graph, full, validation })
    }

    /// Computes the tables of a variant and compares them.
    fn compare(&self, variant: &Path) -> Comparison {
        let bytes = Bytes::from(fs::read(variant).expect("the file was built"));
        let file = object::File::parse(&*self.full).expect("the file is valid");
        comparison::compare(&self.statements, &self.graph, &Code::of(&file), &lowering::tables(&bytes))
    }
}

/// Words that select files: a file matches if it has one of the words of each category.
struct Choice(Vec<BTreeSet<String>>);

impl Choice {
    fn of(words: &str) -> Self {
        let mut programs: BTreeSet<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        programs.insert("hexyl");
        let kinds: [BTreeSet<&str>; 5] = [
            programs,
            ["gcc", "clang", "rustc"].into(),
            ["O0", "O2", "O3", "Os"].into(),
            ["pie", "fixed", "shared"].into(),
            ["full", "stripped", "bare"].into(),
        ];
        let mut chosen = vec![BTreeSet::new(); kinds.len()];
        for word in words.split_whitespace() {
            let kind = kinds.iter().position(|kind| kind.contains(word));
            let kind = kind.unwrap_or_else(|| panic!("`{word}` is not one of {kinds:?}"));
            chosen[kind].insert(word.to_owned());
        }
        Self(chosen)
    }

    fn has(&self, name: &str) -> bool {
        name.split('-').zip(&self.0).all(|(word, words)| words.is_empty() || words.contains(word))
    }

    fn has_variant(&self, variant: &str) -> bool {
        self.0[4].is_empty() || self.0[4].contains(variant)
    }
}

fn default_folder() -> PathBuf {
    let test = env::current_exe().expect("a running test has a path");
    let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_path_buf)
        .join("score")
}

/// Two small programs, one with a switch and one with exceptions.
static SAMPLES: [Program; 2] = [
    Program {
        name: "switch",
        package: None,
        language: Language::C,
        sources: &["switch.c"],
        flags: &[],
        libraries: &[],
        main: "",
        builds: &[("gcc", "O2", Kind::Pie), ("clang", "O2", Kind::Fixed)],
    },
    Program {
        name: "throws",
        package: None,
        language: Language::Cpp,
        sources: &["throws.cpp"],
        flags: &[],
        libraries: &[],
        main: "",
        builds: &[("gcc", "O2", Kind::Shared), ("clang", "Os", Kind::Shared)],
    },
];

#[test]
fn tables_of_small_programs_have_all_instructions_and_functions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    for program in &SAMPLES {
        for build in program.builds {
            let build = Build::new(program, *build, folder.path());
            if !build.can_be_made() {
                println!("skipped: no compiler is installed for {}", build.name());
                continue;
            }
            build.make(&source).unwrap_or_else(|error| panic!("{error}"));
            let truth = Truth::read(&build.folder).expect("the file was built");
            assert!(truth.validation.differences.is_empty(), "{}: {:?}", build.name(), truth.validation);
            let comparison = truth.compare(&build.folder.join("stripped"));
            assert!(!truth.statements.tables.is_empty() || program.name != "switch", "{}", build.name());
            let [instructions, functions, starts, ..] = comparison.counts.sets;
            assert_eq!((instructions.missing, instructions.wrong), (0, 0), "{}", build.name());
            // Unwind entries declare all functions.
            assert_eq!(functions.missing, 0, "{}: {:x?}", build.name(), comparison.examples[1]);
            assert!(starts.right > 0, "{}: {starts:?}", build.name());
        }
    }
}
