//! Fuzz target for the journal of a run that was killed.

use binframe::ir::Stage;
use binframe::{Progress, Request};
use binframe_testsuite::fixtures;
use binframe_testsuite::mutation::Original;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

/// Files by their paths in a directory.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Three inputs, what a run leaves that is killed after two of them, and the dataset of a complete run.
struct KilledRun {
    folder: TempDir,
    left: Files,
    dataset: Files,
}

/// Path of the journal in the staging directory.
const JOURNAL: &str = "_binframe/journal.jsonl";

static RUN: LazyLock<KilledRun> = LazyLock::new(KilledRun::new);

impl KilledRun {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut run = Self { folder, left: Files::new(), dataset: Files::new() };
        write(&run.path("victim"), &Files::from([("letter".into(), b"dear".to_vec())]));
        fs::create_dir(run.path("inputs")).expect("the temporary folder is writable");
        for name in ["a", "b", "c"] {
            let path = run.path("inputs").join(name);
            fs::write(path, fixtures::loops_and_calls().bytes).expect("the temporary folder is writable");
        }
        let staging = run.path(".out.partial");
        let left = LazyLock::new(|| files(&staging));
        run.lower(&|progress| {
            if progress.binary == "c" {
                LazyLock::force(&left);
            }
        });
        (run.left, run.dataset) = (left.clone(), files(&run.path("out")));
        run
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lower(&self, observe: &(dyn Fn(Progress<'_>) + Sync)) {
        let (inputs, output) = ([self.path("inputs")], self.path("out"));
        let request = Request { group_size_max: 1, ..Request::new(&inputs, &output, &[Stage::Sections]) };
        binframe::lower(&request, observe).expect("the inputs are supported");
    }
}

/// The bytes are the journal of a killed run. Lowering its inputs again gives the same dataset, and changes nothing else.
pub fn resume(bytes: &[u8]) {
    let mut left = RUN.left.clone();
    left.insert(JOURNAL.into(), bytes.to_vec());
    write(&RUN.path(".out.partial"), &left);
    RUN.lower(&|_| {});
    assert!(files(&RUN.path("out")) == RUN.dataset, "the dataset differs");
    assert_eq!(files(&RUN.path("victim")).into_values().collect::<Vec<_>>(), [b"dear"]);
}

/// Inputs of [`resume`]: one journal.
pub fn journals() -> Vec<Original> {
    vec![Original::new("journal", RUN.left[Path::new(JOURNAL)].clone())]
}

/// All files in a directory, but not the manifest, which has times.
fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    for folder in fs::read_dir(directory).into_iter().flatten() {
        let path = folder.expect("the directory can be read").path();
        let entries =
            fs::read_dir(&path).into_iter().flatten().map(|entry| entry.expect("it can be read").path());
        for path in
            entries.chain([path.clone()]).filter(|path| path.is_file() && !path.ends_with("manifest.json"))
        {
            let name = path.strip_prefix(directory).expect("it is in the directory").to_owned();
            found.insert(name, fs::read(path).expect("the file can be read"));
        }
    }
    found
}

fn write(directory: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("the folder is writable");
        fs::write(path, bytes).expect("the folder is writable");
    }
}
