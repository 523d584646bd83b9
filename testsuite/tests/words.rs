//! Comments and documents use the standard terms of compilers and binary formats, and all public items are documented.
//!
//! Checked are the comments of Rust files (also in `cli/`, whose doc comments are the text of `--help`), and Markdown
//! without code blocks. Code spans in backquotes are skipped, since names of columns are part of the interface.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files that are checked, relative to the workspace. All text belongs here.
const CHECKED: &[&str] = &[
    "ir-schemas",
    "passes",
    "bootstrap",
    "heap-allocator",
    "inspect",
    "query",
    "cli",
    "benches",
    "fuzz",
    "testsuite",
    "xtask",
    "docs",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

/// Phrases that are never needed, and what to write instead. A phrase that starts with a capital letter is only matched
/// at the start of a sentence; others in any case. Matched are whole words.
const FORBIDDEN: &[(&str, &str)] = &[
    ("behind", "after; at a higher address"),
    ("in front of", "before; at a lower address"),
    ("ways lead", "paths; edges"),
    ("ways to it", "paths to it; predecessors"),
    ("ways into", "incoming edges"),
    ("ways out", "exits; outgoing edges"),
    ("ways back", "back edges"),
    ("ways meet", "paths join"),
    ("known ways", "known paths"),
    ("every way", "every path"),
    ("known way", "known path"),
    ("way back", "back edge; return"),
    ("way out", "exit; outgoing edge"),
    ("on the way to", "on the path to"),
    ("way leads", "is reached"),
    ("what leads", "predecessors"),
    ("leads there", "reaches it"),
    ("leads back", "back edge; cycle"),
    ("nothing leads", "unreached"),
    ("is led", "is propagated"),
    ("are led", "are propagated"),
    ("led through", "propagated through"),
    ("led to", "propagated to; caused"),
    ("led there", "reached it"),
    ("what follows", "successors; the next instruction"),
    ("what holds", "state; condition"),
    ("what stands", "content; bytes"),
    ("what lies", "content; bytes"),
    ("what is known", "facts; state"),
    ("what is not known", "unknown values"),
    ("what is found", "results"),
    ("comes back", "returns"),
    ("come back", "return"),
    ("came back", "returned"),
    ("goes on", "falls through; continues"),
    ("go on", "fall through; continue"),
    ("goes for good", "tail call"),
    ("stands in", "is in"),
    ("stands at", "is at"),
    ("stands there", "is there"),
    ("stands where", "is where"),
    ("stands before", "precedes"),
    ("stands between", "is between"),
    ("it stands", "it is at; it is in"),
    ("lies", "is located; is inside"),
    ("lie in", "are in"),
    ("in the midst", "inside"),
    ("in a circle", "recursive; in a cycle"),
    ("told apart", "kept distinct"),
    ("tell apart", "distinguish"),
    ("tells apart", "distinguishes"),
    ("none where", "`None` if"),
    ("null where there", "null if"),
    ("null where it has", "null if"),
    ("null where none", "null if"),
    ("null where nothing", "null if"),
    ("null where the", "null if"),
    ("0 where", "0 if"),
    ("so many bytes", "name the quantity"),
    ("so many bits", "name the quantity"),
    ("so much", "name the quantity"),
    ("as far as is known", "if known"),
    ("for all that is known", "presumably"),
    ("dear", "expensive"),
    ("dearest", "slowest"),
    ("given up", "widened; set to unknown; discarded"),
    ("lost sight of", "no longer tracked"),
    ("says of", "states about"),
    ("speaks of", "mentions"),
    ("is said to", "is declared to"),
    ("beside the pipeline", "optional"),
    ("whole or not at all", "atomically"),
    ("The same,", "repeat the noun"),
    ("Those of", "repeat the noun"),
    ("That of", "repeat the noun"),
];

/// Paragraphs with a forbidden phrase that are right: the file, and the words around the phrase.
const EXCEPTIONS: &[(&str, &str)] = &[];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace exists")
}

/// The Rust and Markdown files of a folder, or the file itself.
fn files(path: &Path) -> Vec<PathBuf> {
    let is_text =
        |path: &Path| path.extension().is_some_and(|extension| extension == "rs" || extension == "md");
    if path.is_file() {
        return if is_text(path) { vec![path.to_owned()] } else { Vec::new() };
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    paths
        .iter()
        .filter(|path| !is_hidden(path) && !path.ends_with("target"))
        .flat_map(|path| files(path))
        .collect()
}

/// The paragraphs of a file, each with the number of its first line: consecutive lines of text, joined by spaces.
fn paragraphs(path: &Path) -> Vec<(usize, String)> {
    let content = fs::read_to_string(path).expect("a source is text");
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let mut paragraphs: Vec<(usize, String)> = Vec::new();
    let (mut is_open, mut is_fenced) = (false, false);
    for (number, line) in (1..).zip(content.lines()) {
        let text = if is_rust { comment(line) } else { Some(line) };
        // Each row of a table is a paragraph.
        is_open &= !line.starts_with('|');
        is_fenced ^= text.is_some_and(|text| text.trim_start().starts_with("```"));
        let is_code =
            |text: &str| is_fenced || text.starts_with("     ") || (!is_rust && text.starts_with("    "));
        let Some(text) = text.filter(|text| !text.trim().is_empty() && !is_code(text)) else {
            is_open = false;
            continue;
        };
        match paragraphs.last_mut().filter(|_| is_open) {
            Some((_, paragraph)) => {
                paragraph.push(' ');
                paragraph.push_str(text.trim());
            }
            None => paragraphs.push((number, text.trim().to_owned())),
        }
        is_open = true;
    }
    paragraphs
}

/// The text of a comment at the end of a line; `None` if there is no comment.
fn comment(line: &str) -> Option<&str> {
    let (code, text) = line.split_once("//")?;
    let is_in_string = code.matches('"').count() % 2 == 1;
    (!is_in_string).then(|| text.trim_start_matches(['/', '!']))
}

/// The text without code spans in backquotes.
fn without_code_spans(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Whether a text contains a phrase as whole words.
fn contains(text: &str, phrase: &str) -> bool {
    let starts_sentence = phrase.starts_with(char::is_uppercase);
    let text = if starts_sentence { text.to_owned() } else { text.to_lowercase() };
    let is_word =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(phrase).any(|(start, found)| {
        let (before, after) = (&text[..start], &text[start + found.len()..]);
        !is_word(before.chars().next_back()) && !is_word(after.chars().next())
    })
}

#[test]
fn phrases_without_a_standard_meaning_are_not_used() {
    let workspace = workspace();
    let mut found = Vec::new();
    for path in CHECKED.iter().flat_map(|name| files(&workspace.join(name))) {
        let name = path.strip_prefix(&workspace).unwrap_or(&path).display().to_string();
        for (line, paragraph) in paragraphs(&path) {
            let text = without_code_spans(&paragraph);
            let is_exception = |words: &str| text.contains(words);
            if EXCEPTIONS.iter().any(|(file, words)| *file == name && is_exception(words)) {
                continue;
            }
            let used = FORBIDDEN.iter().filter(|(phrase, _)| contains(&text, phrase));
            found.extend(used.map(|(phrase, instead)| {
                format!("{name}:{line}: `{phrase}`; write: {instead}\n    {paragraph}")
            }));
        }
    }
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_search_finds_phrases_in_comments_and_documents_only() {
    assert_eq!(comment("    let a = 1; // It goes on."), Some(" It goes on."));
    assert_eq!(comment("    /// It goes on."), Some(" It goes on."));
    assert_eq!(comment("    let a = \"http://goes.on\";"), None);
    assert!(contains("Control goes on.", "goes on"));
    assert!(contains("The value lies in a register", "lies"));
    assert!(contains("Those of a function.", "Those of"));
    assert!(!contains("like those of a function", "Those of"));
    assert!(!contains("always", "ways"));
    assert!(!contains(&without_code_spans("the column `lies`"), "lies"));
}

/// Files with items that a macro of another crate generates without documentation.
const GENERATED: &[&str] = &["bootstrap/src/queries.rs"];

/// The compiler checks the items themselves: `missing_docs` is on for the workspace, and `cargo xtask ci` denies all
/// warnings. This test ensures that no crate opts out.
#[test]
fn public_items_of_all_crates_must_be_documented() {
    let workspace = workspace();
    let read = |path: &str| {
        fs::read_to_string(workspace.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let root = read("Cargo.toml");
    assert!(root.contains("missing_docs = \"warn\""), "the lint is on in the workspace");
    assert!(read("xtask/src/ci.rs").contains("\"-D\", \"warnings\""), "the lint fails the build in CI");
    let members =
        root.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).expect("a list").0;
    let members: Vec<_> = members.split(',').map(|member| member.trim().trim_matches('"')).collect();
    assert!(members.len() > 5);
    for member in members.into_iter().filter(|member| !member.is_empty()) {
        let manifest = read(&format!("{member}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member} has the lints of the workspace");
    }
    for path in
        files(&workspace).iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
    {
        let name = path.strip_prefix(&workspace).unwrap_or(path).display().to_string();
        let source = fs::read_to_string(path).expect("a source is text");
        let opts_out =
            ["allow", "expect"].iter().any(|level| source.contains(&format!("{level}(missing_docs")));
        assert!(!opts_out || GENERATED.contains(&name.as_str()), "{name} opts out of documentation");
    }
}
