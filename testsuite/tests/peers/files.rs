//! The files to compare.

use crate::formats::Kind;
use binframe_testsuite::matrix::{self, KINDS, Made, SAMPLE_TARGETS, TARGETS, Target};
use binframe_testsuite::tools;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Kinds of which the sample has files, in the order in which they are made.
const SAMPLE: [&str; 11] = [
    "object.o",
    "shared.so",
    "needed.so",
    "android-relr.so",
    "no-sections.so",
    "object.obj",
    "import.a",
    "library.dll",
    "macho.o",
    "library.dylib",
    "chained.dylib",
];

/// Paths of files; a sample is in a temporary folder that is deleted when dropped.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    /// Number of targets that have files, and of kinds; `None` for files that the matrix did not make.
    extent: Option<(usize, usize)>,
    _made: Option<TempDir>,
}

impl Files {
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub(super) fn is_of_matrix(&self) -> bool {
        self.extent.is_some()
    }

    /// A line that says what the files are.
    pub(super) fn description(&self) -> String {
        match self.extent {
            Some((targets, kinds)) => format!("{targets} architectures × {kinds} kinds"),
            None => "files of a folder".to_owned(),
        }
    }
}

/// The files of the folder that `BINFRAME_COMPARE` names, or the whole matrix if `BINFRAME_MATRIX` names a folder for
/// it, or a sample of it.
pub(super) fn files() -> Files {
    if let Some(mut paths) = tools::files_to_compare() {
        paths.retain(|path| Kind::of(path).is_some());
        return Files { paths, extent: None, _made: None };
    }
    if let Some(folder) = std::env::var_os("BINFRAME_MATRIX") {
        let kinds: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        return made(Path::new(&folder), TARGETS, &kinds);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = made(folder.path(), &TARGETS[..SAMPLE_TARGETS], &SAMPLE);
    Files { _made: Some(folder), ..files }
}

/// Makes the files of some kinds for some targets, and adds a core dump.
fn made(folder: &Path, targets: &[Target], kinds: &[&str]) -> Files {
    let files_of = targets.par_iter().map(|target| {
        let kinds = KINDS.iter().filter(|kind| kinds.contains(&kind.name));
        let made = kinds.filter_map(|kind| match matrix::make(folder, target, kind) {
            Made::File(path) => Some(path),
            Made::Rejected | Made::Skipped => None,
        });
        made.collect::<Vec<_>>()
    });
    let files_of: Vec<_> = files_of.collect();
    let targets = files_of.iter().filter(|files| !files.is_empty()).count();
    let mut paths = files_of.concat();
    paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/binaries/core"));
    Files { paths, extent: Some((targets, kinds.len())), _made: None }
}
