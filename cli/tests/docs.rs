//! The commands in README.md, docs/*.md and the examples of tables run and print what the pages show. `BLESS=1` writes what they print into the
//! pages.
//!
//! In an indented block, a line that starts with `$ binframe` is a command. The lines up to the next `$` or the end of
//! the block are its output; `…` stands for any lines, or for any text in a line. The commands of a page run in order,
//! in one folder with the [example files](examples). If a command reads a file of the system that is not the expected
//! one, only the first line of its output is compared, word by word without numbers.
#![cfg(feature = "sql")]

use binframe_testsuite::{executable, fixtures, programs, tools};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of Debian 12 that the pages show, with the first digits of their SHA-256.
const SYSTEM_FILES: [(&str, &str); 6] = [
    ("/usr/bin/cksum", "d9b1aa09d173192d"),
    ("/usr/bin/env", "615c46b39130a04a"),
    ("/usr/bin/md5sum", "cedc25468f8df234"),
    ("/usr/bin/sha1sum", "7ffc8563edc73398"),
    ("/usr/bin/sum", "209faef4b3dc0bdd"),
    ("/usr/lib/x86_64-linux-gnu/libm-2.36.a", "c6382c1c6d14aa90"),
];

/// The example files: their names in the pages, and their contents.
fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let fixture = |name| fixtures::file(name).expect("the fixture exists");
    let changed = fixtures::LOOPS_AND_CALLS.replacen("iconst.i64 1", "iconst.i64 3", 1);
    let sysroot = tools::run(Command::new("rustc").args(["--print", "sysroot"])).expect("rustc is installed");
    let component =
        |name| fs::read(Path::new(sysroot.trim()).join("bin").join(name)).expect("it is installed");
    let jobs = include_str!("../../docs/jobs.c");
    let jobs = programs::compile_c("jobs", jobs, &["-O1", "-g", "-fno-inline"]);
    let jobs = fs::read(jobs.expect("a machine that runs Rust tests has a C compiler")).expect("compiled");
    vec![
        ("jobs", jobs),
        ("app", fixture("loops_and_calls")),
        ("old", fixture("loops_and_calls")),
        ("new", executable::from_clif(&changed).bytes),
        ("library.so", fixture("library.so")),
        ("cargo-clippy", component("cargo-clippy")),
        ("cargo-fmt", component("cargo-fmt")),
    ]
}

/// A command of a page, and the lines of the page that show its output.
#[derive(Debug, PartialEq)]
struct Example {
    command: String,
    output: Range<usize>,
}

/// The commands of a page.
fn commands(page: &[&str]) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut is_output = false;
    for (line, text) in page.iter().enumerate() {
        let code = text.strip_prefix("    ");
        match code.and_then(|code| code.strip_prefix("$ ")) {
            Some(command) => {
                is_output = command.starts_with("binframe ");
                let command = command.to_owned();
                examples.extend(is_output.then(|| Example { command, output: line + 1..line + 1 }));
            }
            None if code.is_some() && is_output => {
                examples.last_mut().expect("the block has a command").output.end = line + 1;
            }
            None => is_output &= text.is_empty(),
        }
    }
    examples
}

/// Whether a command reads no file of the system but the expected ones.
fn is_reproducible(command: &str) -> bool {
    // A word that is only a slash is a division.
    let mut paths = command.split(['"', '\'', ' ']).filter(|word| word.len() > 1 && word.starts_with('/'));
    paths.all(|path| {
        let known = SYSTEM_FILES.iter().filter(|(name, _)| match path.split_once('*') {
            Some((start, end)) => name.starts_with(start) && name.ends_with(end),
            None => *name == path,
        });
        let known: Vec<_> = known.collect();
        !known.is_empty() && known.iter().all(|(name, digest)| has_digest(Path::new(name), digest))
    })
}

fn has_digest(path: &Path, digest: &str) -> bool {
    path.exists() && tools::print("sha256sum", &[], path).is_some_and(|printed| printed.starts_with(digest))
}

/// Whether a text is as shown, where `…` is any text.
fn matches(text: &str, shown: &str) -> bool {
    let mut pieces = shown.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<_> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some(position) = rest.find(piece) else { return false };
        rest = &rest[position + piece.len()..];
    }
    rest.ends_with(last)
}

/// The words of the first line, without those that have digits.
fn head(lines: &str) -> Vec<&str> {
    let words = lines.lines().next().unwrap_or_default().split_whitespace();
    words.filter(|word| !word.contains(|letter: char| letter.is_ascii_digit())).collect()
}

/// What a command prints, and whether it succeeds or is shown to fail.
fn run(command: &str, folder: &Path) -> String {
    let binframe = Path::new(env!("CARGO_BIN_EXE_binframe")).parent().expect("the command is in a folder");
    let path = format!("{}:{}", binframe.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} 2>&1")]).current_dir(folder).env("PATH", path);
    let output = shell.output().expect("there is a shell");
    let lines = String::from_utf8_lossy(&output.stdout);
    lines.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>().trim_end().to_owned()
}

/// Runs the commands of a page, and compares or replaces what they print.
fn check(path: &Path) {
    let text = fs::read_to_string(path).expect("the page exists");
    let lines: Vec<&str> = text.lines().collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in examples() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("the temporary folder is writable");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is an own file");
    }
    let mut blessed = String::new();
    let mut end = 0;
    let mut differences = Vec::new();
    for Example { command, output } in commands(&lines) {
        let shown: Vec<&str> = lines[output.clone()].iter().map(|line| line.get(4..).unwrap_or("")).collect();
        let shown = shown.join("\n").trim_end().to_owned();
        let printed = run(&command, folder.path());
        let is_as_shown = match is_reproducible(&command) {
            true => matches(&printed, &shown),
            false => head(&printed) == head(&shown),
        };
        blessed.extend(lines[end..output.start].iter().flat_map(|line| [line, "\n"]));
        end = output.end;
        if is_as_shown {
            blessed.extend(lines[output].iter().flat_map(|line| [line, "\n"]));
        } else {
            // A shortened output stays as long as it was.
            let is_shortened = shown.ends_with("\n…");
            let kept = if is_shortened { shown.lines().count() - 1 } else { usize::MAX };
            let kept = printed.lines().take(kept).chain(is_shortened.then_some("…"));
            blessed.extend(kept.map(|line| format!("    {line}").trim_end().to_owned() + "\n"));
            differences.push(format!("$ {command}\nshown:\n{shown}\nprinted:\n{printed}\n"));
        }
    }
    blessed.extend(lines[end..].iter().flat_map(|line| [line, "\n"]));
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, blessed).expect("the page is writable");
    } else {
        let name = path.file_name().expect("a file").display();
        let differences = differences.join("\n");
        assert!(differences.is_empty(), "{name}:\n{differences}\nto accept: cargo xtask bless --test docs");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn commands_of_the_readme() {
    check(&root().join("README.md"));
}

#[test]
fn commands_of_the_page_on_sql() {
    check(&root().join("docs/SQL.md"));
}

#[test]
fn commands_of_the_page_on_memory() {
    check(&root().join("docs/MEMORY.md"));
}

#[test]
fn commands_of_the_page_on_captures() {
    check(&root().join("docs/CAPTURE.md"));
}

#[test]
fn commands_of_the_examples_of_tables() {
    check(&root().join("ir-schemas/src/examples.md"));
}

#[test]
fn a_command_ends_at_the_next_one_or_at_text() {
    let page = [
        "text",
        "",
        "    $ binframe one",
        "    a",
        "",
        "      b",
        "    $ duckdb -c x",
        "    c",
        "end",
        "    d",
    ];
    assert_eq!(commands(&page), [Example { command: "binframe one".to_owned(), output: 3..6 }]);
}

#[test]
fn an_ellipsis_is_any_text() {
    assert!(matches("a\nb\nc", "a\n…\nc") && matches("a 1 s\nb", "a … s\nb") && matches("a", "a"));
    assert!(!matches("a\nb", "a\n…\nc") && !matches("ab", "a") && !matches("a", "b…"));
}
