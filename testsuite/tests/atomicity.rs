//! A dataset is written atomically and replaces only another dataset or an empty directory. Killed runs are tested in
//! `cli/tests/atomicity.rs`.

use binframe::ir::Stage;
use binframe::{Dataset, Error, Request, verify};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::lower_into;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;

/// A folder with two supported inputs and one unsupported input.
struct Workspace {
    folder: TempDir,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workspace = Self { folder };
        let inputs = [
            ("loops", fixtures::loops_and_calls().bytes),
            ("stack", fixtures::stack_and_globals().bytes),
            ("text", b"not an executable".to_vec()),
        ];
        for (name, bytes) in inputs {
            fs::write(workspace.path(name), bytes).expect("the temporary folder is writable");
        }
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lower(&self, input: &str) -> Result<(), Error> {
        lower_into(&self.path(input), &self.path("out"), &Stage::PIPELINE)
    }

    /// Names in the folder other than the inputs.
    fn outputs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("the folder").file_name().into_string().expect("UTF-8"));
        let mut found: Vec<_> =
            entries.filter(|name| !["loops", "stack", "text"].contains(&name.as_str())).collect();
        found.sort();
        found
    }

    /// Names of the inputs of the dataset, which must pass the verifier.
    fn inputs(&self) -> Vec<String> {
        let violations = verify(&self.path("out")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(violations, []);
        let dataset = Dataset::open(&self.path("out")).unwrap_or_else(|error| panic!("{error}"));
        dataset.manifest().binaries.iter().map(|entry| entry.binary.clone()).collect()
    }
}

#[test]
fn a_failed_run_leaves_no_output() {
    let workspace = Workspace::new();
    assert!(matches!(workspace.lower("text"), Err(Error::Unsupported { .. })));
    assert!(matches!(workspace.lower("missing"), Err(Error::Io { action: "open", .. })));
    assert_eq!(workspace.outputs(), [""; 0]);
}

#[test]
fn an_unsupported_input_is_skipped() {
    let workspace = Workspace::new();
    let inputs = [workspace.path("loops"), workspace.path("text")];
    let output = workspace.path("out");
    let request = Request::new(&inputs, &output, &Stage::PIPELINE);
    binframe::lower(&request, &|_| {}).expect("one of them is supported");
    assert_eq!((workspace.inputs(), workspace.outputs()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_failed_run_retains_the_previous_dataset() {
    let workspace = Workspace::new();
    workspace.lower("loops").expect("the inputs are supported");
    let before = fs::read(workspace.path("out/_binframe/manifest.json")).expect("a manifest");
    assert!(workspace.lower("text").is_err());
    assert_eq!(fs::read(workspace.path("out/_binframe/manifest.json")).expect("a manifest"), before);
    assert_eq!((workspace.inputs(), workspace.outputs()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_dataset_is_replaced_by_a_dataset() {
    let workspace = Workspace::new();
    workspace.lower("loops").expect("the inputs are supported");
    workspace.lower("stack").expect("the inputs are supported");
    assert_eq!((workspace.inputs(), workspace.outputs()), (vec!["stack".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn an_empty_directory_is_replaced() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("out")).expect("the temporary folder is writable");
    workspace.lower("loops").expect("the inputs are supported");
    assert_eq!((workspace.inputs(), workspace.outputs()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_directory_with_other_files_is_rejected_and_unchanged() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("out")).expect("the temporary folder is writable");
    fs::write(workspace.path("out/letter.txt"), "dear").expect("the temporary folder is writable");
    assert!(matches!(workspace.lower("loops"), Err(Error::Occupied { .. })));
    assert_eq!(fs::read_to_string(workspace.path("out/letter.txt")).expect("the file still exists"), "dear");
    assert_eq!(workspace.outputs(), ["out"]);
}

#[test]
fn an_existing_file_is_rejected_and_unchanged() {
    let workspace = Workspace::new();
    fs::write(workspace.path("out"), "dear").expect("the temporary folder is writable");
    assert!(matches!(workspace.lower("loops"), Err(Error::Occupied { .. })));
    assert_eq!(fs::read_to_string(workspace.path("out")).expect("the file still exists"), "dear");
    assert_eq!(workspace.outputs(), ["out"]);
}

#[test]
fn a_directory_that_gets_files_during_the_run_is_not_replaced() {
    let workspace = Workspace::new();
    let (inputs, output) = ([workspace.path("loops")], workspace.path("out"));
    let request = Request::new(&inputs, &output, &Stage::PIPELINE);
    let lowered = binframe::lower(&request, &|_| {
        _ = fs::create_dir(workspace.path("out"));
        fs::write(workspace.path("out/letter.txt"), "dear").expect("the temporary folder is writable");
    });
    assert!(matches!(lowered, Err(Error::Occupied { .. })));
    assert_eq!(fs::read_to_string(workspace.path("out/letter.txt")).expect("the file still exists"), "dear");
    assert_eq!(workspace.outputs(), ["out"]);
}

#[test]
fn a_concurrent_writer_gets_an_error() {
    let workspace = Workspace::new();
    let (inputs, output) = ([workspace.path("loops")], workspace.path("out"));
    let request = Request::new(&inputs, &output, &Stage::PIPELINE);
    let second = Mutex::new(Vec::new());
    let observe = |_: binframe::Progress<'_>| {
        second.lock().expect("no test panics in it").push(workspace.lower("stack"));
    };
    binframe::lower(&request, &observe).expect("the first writer succeeds");
    let second = second.into_inner().expect("no test panics in it");
    assert!(!second.is_empty() && second.iter().all(|result| matches!(result, Err(Error::Busy { .. }))));
    assert_eq!((workspace.inputs(), workspace.outputs()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn temporary_files_of_a_killed_run_are_removed() {
    let workspace = Workspace::new();
    fs::create_dir_all(workspace.path(".out.partial/instructions"))
        .expect("the temporary folder is writable");
    fs::write(workspace.path(".out.partial/instructions/part-00000.parquet"), "PAR1").expect("writable");
    fs::create_dir(workspace.path(".out.partial/_binframe")).expect("writable");
    fs::write(workspace.path(".out.partial/_binframe/staging"), "").expect("writable");
    workspace.lower("loops").expect("the inputs are supported");
    assert_eq!((workspace.inputs(), workspace.outputs()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_directory_without_a_manifest_is_not_a_dataset() {
    let workspace = Workspace::new();
    workspace.lower("loops").expect("the inputs are supported");
    fs::remove_file(workspace.path("out/_binframe/manifest.json")).expect("the manifest can be removed");
    assert!(matches!(Dataset::open(&workspace.path("out")), Err(Error::NotADataset { .. })));
    assert!(matches!(workspace.lower("loops"), Err(Error::Occupied { .. })));
}

#[test]
fn an_invalid_manifest_is_an_error() {
    let workspace = Workspace::new();
    workspace.lower("loops").expect("the inputs are supported");
    for text in ["", "{}", "[1]", "{\"layout\": 1}"] {
        fs::write(workspace.path("out/_binframe/manifest.json"), text).expect("writable");
        assert!(matches!(Dataset::open(&workspace.path("out")), Err(Error::NotADataset { .. })), "{text}");
    }
}
