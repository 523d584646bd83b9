//! A dataset appears whole or not at all, and takes the place of nothing but a dataset. (Killed runs: `cli/tests/atomicity.rs`.)

use binframe::ir::Stage;
use binframe::{Dataset, Error, Request, verify};
use binframe_testsuite::fixtures;
use binframe_testsuite::lowering::lower_into;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;

/// A folder with two inputs that can be lowered and one that cannot.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = Self { folder };
        let inputs = [
            ("loops", fixtures::loops_and_calls().bytes),
            ("stack", fixtures::stack_and_globals().bytes),
            ("text", b"not an executable".to_vec()),
        ];
        for (name, bytes) in inputs {
            fs::write(place.path(name), bytes).expect("the temporary folder is writable");
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lower(&self, input: &str) -> Result<(), Error> {
        lower_into(&self.path(input), &self.path("out"), &Stage::PIPELINE)
    }

    /// What stands in the folder beside the inputs.
    fn found(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("the folder").file_name().into_string().expect("UTF-8"));
        let mut found: Vec<_> =
            entries.filter(|name| !["loops", "stack", "text"].contains(&name.as_str())).collect();
        found.sort();
        found
    }

    /// The names of the inputs of the dataset, which must be sound.
    fn inputs(&self) -> Vec<String> {
        let violations = verify(&self.path("out")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(violations, []);
        let dataset = Dataset::open(&self.path("out")).unwrap_or_else(|error| panic!("{error}"));
        dataset.manifest().binaries.iter().map(|entry| entry.binary.clone()).collect()
    }
}

#[test]
fn a_failing_input_leaves_nothing() {
    let place = Place::new();
    assert!(matches!(place.lower("text"), Err(Error::Unsupported { .. })));
    assert!(matches!(place.lower("missing"), Err(Error::Io { action: "open", .. })));
    assert_eq!(place.found(), [""; 0]);
}

#[test]
fn a_failing_input_after_a_good_one_is_left_out() {
    let place = Place::new();
    let inputs = [place.path("loops"), place.path("text")];
    let output = place.path("out");
    let request = Request::new(&inputs, &output, &Stage::PIPELINE);
    binframe::lower(&request, &|_| {}).expect("one of them is lowered");
    assert_eq!((place.inputs(), place.found()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_failing_input_leaves_the_dataset_that_was_there() {
    let place = Place::new();
    place.lower("loops").expect("lowered");
    let before = fs::read(place.path("out/_binframe/manifest.json")).expect("a manifest");
    assert!(place.lower("text").is_err());
    assert_eq!(fs::read(place.path("out/_binframe/manifest.json")).expect("a manifest"), before);
    assert_eq!((place.inputs(), place.found()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_dataset_is_replaced_by_a_dataset() {
    let place = Place::new();
    place.lower("loops").expect("lowered");
    place.lower("stack").expect("lowered");
    assert_eq!((place.inputs(), place.found()), (vec!["stack".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn an_empty_directory_is_replaced() {
    let place = Place::new();
    fs::create_dir(place.path("out")).expect("the temporary folder is writable");
    place.lower("loops").expect("lowered");
    assert_eq!((place.inputs(), place.found()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_directory_with_other_things_is_refused_and_left() {
    let place = Place::new();
    fs::create_dir(place.path("out")).expect("the temporary folder is writable");
    fs::write(place.path("out/letter.txt"), "dear").expect("the temporary folder is writable");
    assert!(matches!(place.lower("loops"), Err(Error::Occupied { .. })));
    assert_eq!(fs::read_to_string(place.path("out/letter.txt")).expect("it is still there"), "dear");
    assert_eq!(place.found(), ["out"]);
}

#[test]
fn a_file_is_refused_and_left() {
    let place = Place::new();
    fs::write(place.path("out"), "dear").expect("the temporary folder is writable");
    assert!(matches!(place.lower("loops"), Err(Error::Occupied { .. })));
    assert_eq!(fs::read_to_string(place.path("out")).expect("it is still there"), "dear");
    assert_eq!(place.found(), ["out"]);
}

#[test]
fn a_directory_that_fills_up_meanwhile_is_not_replaced() {
    let place = Place::new();
    let (inputs, output) = ([place.path("loops")], place.path("out"));
    let request = Request::new(&inputs, &output, &Stage::PIPELINE);
    let lowered = binframe::lower(&request, &|_| {
        _ = fs::create_dir(place.path("out"));
        fs::write(place.path("out/letter.txt"), "dear").expect("the temporary folder is writable");
    });
    assert!(matches!(lowered, Err(Error::Occupied { .. })));
    assert_eq!(fs::read_to_string(place.path("out/letter.txt")).expect("it is still there"), "dear");
    assert_eq!(place.found(), ["out"]);
}

#[test]
fn a_second_writer_is_told_that_the_place_is_busy() {
    let place = Place::new();
    let (inputs, output) = ([place.path("loops")], place.path("out"));
    let request = Request::new(&inputs, &output, &Stage::PIPELINE);
    let second = Mutex::new(Vec::new());
    let observe = |_: binframe::Progress<'_>| {
        second.lock().expect("no test panics in it").push(place.lower("stack"));
    };
    binframe::lower(&request, &observe).expect("the first writer is not disturbed");
    let second = second.into_inner().expect("no test panics in it");
    assert!(!second.is_empty() && second.iter().all(|result| matches!(result, Err(Error::Busy { .. }))));
    assert_eq!((place.inputs(), place.found()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn what_a_killed_run_left_is_cleared_away() {
    let place = Place::new();
    fs::create_dir_all(place.path(".out.partial/instructions")).expect("the temporary folder is writable");
    fs::write(place.path(".out.partial/instructions/part-00000.parquet"), "PAR1").expect("writable");
    place.lower("loops").expect("lowered");
    assert_eq!((place.inputs(), place.found()), (vec!["loops".to_owned()], vec!["out".to_owned()]));
}

#[test]
fn a_directory_without_a_manifest_is_no_dataset() {
    let place = Place::new();
    place.lower("loops").expect("lowered");
    fs::remove_file(place.path("out/_binframe/manifest.json")).expect("it can be removed");
    assert!(matches!(Dataset::open(&place.path("out")), Err(Error::NotADataset { .. })));
    assert!(matches!(place.lower("loops"), Err(Error::Occupied { .. })));
}

#[test]
fn a_manifest_that_is_none_is_an_error() {
    let place = Place::new();
    place.lower("loops").expect("lowered");
    for text in ["", "{}", "[1]", "{\"layout\": 1}"] {
        fs::write(place.path("out/_binframe/manifest.json"), text).expect("writable");
        assert!(matches!(Dataset::open(&place.path("out")), Err(Error::NotADataset { .. })), "{text}");
    }
}
