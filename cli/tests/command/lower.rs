//! `binframe lower`

use crate::{EVERY_STAGE, Folder, both, loops};
use binframe::ir::{Stage, TABLES, file_tables};
use binframe_testsuite::fixtures;

/// The folders of a dataset of these stages, sorted.
fn tables_of(stages: &[Stage]) -> Vec<String> {
    let is_wanted = |stage| stages.contains(&stage) || stage == Stage::Run;
    let tables = TABLES.iter().filter(|table| is_wanted(table.stage));
    let mut names: Vec<_> =
        tables.map(|table| table.name.to_owned()).chain(["_binframe".to_owned()]).collect();
    names.sort();
    names
}

fn names_in(folder: &Folder, dataset: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join(dataset)).expect("the dataset is there");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("read").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn a_dataset_has_a_folder_for_each_table_of_its_stages() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "all", "--verify"]);
    assert_eq!(names_in(&folder, "all"), tables_of(&Stage::PIPELINE));
    folder.text(&["lower", "loops", "-o", "some", "--emit", "instructions,cfg"]);
    assert_eq!(names_in(&folder, "some"), tables_of(&[Stage::Instructions, Stage::Cfg]));
    assert_eq!(folder.names(), ["all", "loops", "some"]);
}

#[test]
fn a_dataset_replaces_an_existing_one() {
    let folder = both();
    folder.text(&["lower", "loops", "-o", "both"]);
    let binaries = folder.text(&["dump", "binaries", "both", "--format", "csv", "--columns", "path"]);
    assert_eq!(binaries, "path,binary_name\nloops,loops\n");
    assert_eq!(folder.names(), ["both", "loops", "stack"]);
}

#[test]
fn inputs_with_equal_names_get_distinct_names() {
    let (folder, _) = loops();
    std::fs::create_dir(folder.path().join("old")).expect("made");
    std::fs::copy(folder.path().join("loops"), folder.path().join("old/loops")).expect("copied");
    folder.text(&["lower", "loops", "old", "-o", "twice"]);
    let binaries = folder.text(&["dump", "binaries", "twice", "--format", "csv", "--columns", "path"]);
    assert_eq!(binaries, "path,binary_name\nloops,loops\nold/loops,loops-2\n");
}

#[test]
fn timings_name_every_pass_and_table() {
    let (folder, _) = loops();
    let output = folder
        .command(&["lower", "loops", "-o", "all", "--timings", "--emit", EVERY_STAGE])
        .output()
        .expect("it starts");
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).expect("text is UTF-8");
    // Effects, ops and data flow have no pass: they are computed while they are written.
    let is_pass = |stage: &Stage| !matches!(stage, Stage::Effects | Stage::Ops | Stage::DataFlow);
    let passes = Stage::ALL.into_iter().filter(is_pass);
    let passes = passes.map(|stage| stage.name().to_owned());
    let tables = file_tables().map(|table| format!("write {}", table.name));
    for step in passes.chain(tables) {
        assert!(text.lines().any(|line| line.starts_with(&format!("{step} "))), "{step} in\n{text}");
    }
}

#[test]
fn a_single_bad_input_leaves_no_dataset() {
    let folder = Folder::with(&[("loops", &fixtures::loops_and_calls().bytes), ("notes.txt", b"some notes")]);
    let stderr = folder.failure(1, &["lower", "notes.txt", "-o", "all"]);
    assert!(stderr.starts_with("binframe: notes.txt: "), "{stderr}");
    assert_eq!(folder.names(), ["loops", "notes.txt"]);
    folder.failure(1, &["lower", "notes.txt", "-o", "deep/down/all"]);
    assert_eq!(folder.names(), ["loops", "notes.txt"]);
    folder.text(&["lower", "loops", "-o", "deep/down/all"]);
    folder.text(&["dump", "functions", "deep/down/all"]);
}

#[test]
fn bad_inputs_among_many_are_skipped_and_listed() {
    let loops = &fixtures::loops_and_calls().bytes;
    let notes: Vec<_> = (10..25).map(|number| format!("note{number}")).collect();
    let mut files: Vec<(&str, &[u8])> = notes.iter().map(|name| (name.as_str(), &b"note"[..])).collect();
    files.push(("loops", loops));
    let folder = Folder::with(&files);
    let output = folder.command(&["lower", "*o*", "-o", "all"]).output().expect("it starts");
    let stderr = String::from_utf8(output.stderr).expect("text is UTF-8");
    assert!(output.status.success(), "{stderr}");
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 12, "{stderr}");
    assert!(lines[0].starts_with("skipped note10: the bytes [6e, 6f, 74, 65] at offset 0x0; expected "));
    assert!(lines[9].starts_with("skipped note19: "));
    assert!(lines[10].starts_with("skipped 5 more: "));
    assert!(lines[11].contains("from 1 files") && lines[11].ends_with("; 15 skipped"), "{stderr}");
    std::fs::remove_file(folder.path().join("loops")).expect("it was there");
    let stderr = folder.failure(1, &["lower", "note*", "-o", "none"]);
    assert!(stderr.starts_with("binframe: none of 15 files can be lowered:\n  note10: "), "{stderr}");
    assert_eq!(folder.names().first().map(String::as_str), Some("all"));
    assert!(!folder.names().contains(&"none".to_owned()));
}

#[test]
fn directories_are_searched_and_datasets_are_rejected() {
    let (folder, _) = loops();
    std::fs::create_dir(folder.path().join("bin")).expect("made");
    std::fs::rename(folder.path().join("loops"), folder.path().join("bin/loops")).expect("moved");
    std::fs::write(folder.path().join("bin/notes.txt"), "some notes").expect("written");
    folder.text(&["lower", "bin", "-o", "all", "--memory", "512M", "--verify"]);
    let binaries = folder.text(&["dump", "binaries", "all", "--format", "csv", "--columns", "path"]);
    assert_eq!(binaries, "path,binary_name\nbin/loops,loops\n");
    let stderr = folder.failure(1, &["lower", "all", "-o", "again"]);
    assert!(stderr.starts_with("binframe: all: is a dataset, which was lowered already; "), "{stderr}");
    let stderr = folder.failure(2, &["lower", "bin", "-o", "all", "--memory", "much"]);
    assert!(stderr.contains("expected a size such as 512M or 4G"), "{stderr}");
}

#[test]
fn a_directory_that_is_not_a_dataset_is_not_replaced() {
    let (folder, _) = loops();
    std::fs::create_dir(folder.path().join("photos")).expect("made");
    std::fs::write(folder.path().join("photos/cat.jpg"), "a cat").expect("written");
    let stderr = folder.failure(1, &["lower", "loops", "-o", "photos"]);
    assert_eq!(stderr, "binframe: photos: exists and is no dataset; remove it or choose another path\n");
    assert_eq!(names_in(&folder, "photos"), ["cat.jpg"]);
}
