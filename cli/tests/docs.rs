//! The commands of README.md and docs/*.md run, and print what the pages show.
//!
//! In a block of code, a line that starts with `$ binframe` is a command; the lines up to the next `$` or the end of the block are its
//! output. The commands of a page run in order in one folder that holds the [example files](EXAMPLES). What a command prints must be
//! what the page shows, with `…` for any lines, if the command reads example files only; of other programs, which differ between
//! machines, the first line must have the same words. A block after the line `<!-- not run: REASON -->` is not run.
#![cfg(feature = "sql")]

use binframe_testsuite::{fixtures, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Names that pages give to files, and the fixtures that they are.
const EXAMPLES: [(&str, &str); 2] = [("app", "library.so"), ("loops", "loops_and_calls")];

/// A command of a page.
struct Example {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// The commands of a page that are to be run.
fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let (mut is_fenced, mut is_run, mut is_open) = (false, true, false);
    for (line, text) in (1..).zip(page.lines()) {
        if text.starts_with("<!-- not run: ") {
            is_run = false;
        } else if text.starts_with("```") {
            is_fenced = !is_fenced;
            is_run |= !is_fenced;
            is_open = false;
        } else if let Some(code) = text.strip_prefix("    ").or(is_fenced.then_some(text)) {
            match code.strip_prefix("$ ") {
                Some(command) => {
                    is_open = is_run && command.starts_with("binframe ");
                    let command = command.to_owned();
                    examples.extend(is_open.then(|| Example { line, command, output: Vec::new() }));
                }
                None if is_open => examples.last_mut().expect("it is open").output.push(code.to_owned()),
                None => {}
            }
        } else if !text.is_empty() {
            (is_run, is_open) = (true, false);
        }
    }
    for example in &mut examples {
        let end = example.output.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
        example.output.truncate(end);
    }
    examples
}

/// The files and folders of the machine that a command names. Of a pattern, the folder before its first wildcard.
fn system_paths(command: &str) -> Vec<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let outside_queries = command.split('"').step_by(2);
    let words = outside_queries.flat_map(str::split_whitespace).map(|word| word.trim_matches('\''));
    let paths = words.filter(|word| word.starts_with(['/', '~'])).map(|word| word.replacen('~', &home, 1));
    let folder = |path: String| match path.find(['*', '?', '[']) {
        Some(wildcard) => PathBuf::from(&path[..path[..wildcard].rfind('/').unwrap_or(0)]),
        None => PathBuf::from(path),
    };
    paths.map(folder).collect()
}

/// Whether lines are as shown, where `…` matches any lines.
fn are_as_shown(found: &[&str], shown: &[String]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=found.len()).any(|skipped| are_as_shown(&found[skipped..], rest))
        }
        Some((first, rest)) => {
            found.first().is_some_and(|line| line.trim_end() == first.trim_end())
                && are_as_shown(&found[1..], rest)
        }
    }
}

/// What is wrong with what a command prints.
fn mistake(example: &Example, folder: &Path) -> Option<String> {
    let paths = system_paths(&example.command);
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        tools::report_missing(&missing.display().to_string());
        return None;
    }
    let binframe = Path::new(env!("CARGO_BIN_EXE_binframe")).parent().expect("it is in a folder");
    let path = format!("{}:{}", binframe.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", &format!("{} 2>&1", example.command)])
        .current_dir(folder)
        .env("PATH", path)
        .output();
    let output = output.expect("there is a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Vec<&str> = text.trim_end().lines().collect();
    let words = |line: Option<&str>| {
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let is_refused = example.output.first().is_some_and(|line| line.starts_with("binframe: "));
    let is_right = match (&example.output, paths.is_empty()) {
        (shown, _) if shown.is_empty() => true,
        (shown, true) => are_as_shown(&found, shown),
        (shown, false) => words(found.first().copied()) == words(shown.first().map(String::as_str)),
    };
    let is_expected = output.status.success() != is_refused;
    (!is_right || !is_expected).then(|| format!("$ {}\n{text}({})", example.command, output.status))
}

fn check(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join(page)).expect("the page is there");
    let folder = TempDir::new().expect("a temporary folder");
    for (name, fixture) in EXAMPLES {
        fs::write(folder.path().join(name), fixtures::file(fixture).expect("a fixture")).expect("writable");
    }
    let mistakes = examples(&text).into_iter().filter_map(|example| {
        let mistake = mistake(&example, folder.path())?;
        Some(format!("{page}:{}: not what is shown:\n{mistake}\n", example.line))
    });
    let mistakes: Vec<_> = mistakes.collect();
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn commands_of_the_readme() {
    check("README.md");
}

#[test]
fn commands_of_the_guides() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut pages: Vec<_> = fs::read_dir(docs)
        .expect("the folder of pages")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    pages.sort();
    for page in
        pages.iter().filter(|page| Path::new(page).extension().is_some_and(|extension| extension == "md"))
    {
        check(&format!("docs/{}", page.display()));
    }
}

#[test]
fn blocks_are_read_as_they_are_meant() {
    let page = "text\n\n    $ binframe one\n    a\n      b\n    $ duckdb -c x\n    c\n\n<!-- not run: slow -->\n\n    $ binframe two\n\n```sh\n$ binframe three\nd\n```\n";
    let found: Vec<_> =
        examples(page).into_iter().map(|example| (example.line, example.command, example.output)).collect();
    let expected = [(3, "binframe one", vec!["a", "  b"]), (14, "binframe three", vec!["d"])];
    let expected = expected.map(|(line, command, output)| {
        (line, command.to_owned(), output.into_iter().map(str::to_owned).collect())
    });
    assert_eq!(
        found,
        expected.map(|(line, command, output): (usize, String, Vec<String>)| (line, command, output))
    );
}

#[test]
fn an_ellipsis_stands_for_lines() {
    let shown = ["a", "…", "d"].map(str::to_owned);
    assert!(are_as_shown(&["a", "b", "c", "d"], &shown) && are_as_shown(&["a", "d"], &shown));
    assert!(!are_as_shown(&["a", "b"], &shown) && !are_as_shown(&["b", "d"], &shown));
}
