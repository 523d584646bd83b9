//! The other files that hold debug information of an executable.

use crate::file::map_file;
use binframe_passes::file::debug::{CompanionFile, companions};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Companion files, which are looked for when they are first read.
#[derive(Clone)]
pub struct LazyCompanions(Arc<LazyLock<Vec<CompanionFile>, Search>>);

type Search = Box<dyn FnOnce() -> Vec<CompanionFile> + Send>;

impl LazyCompanions {
    /// The companions of an executable at a path.
    pub(crate) fn of(path: &Path, bytes: &bytes::Bytes) -> Self {
        let (path, bytes) = (path.to_owned(), bytes.clone());
        Self(Arc::new(LazyLock::new(Box::new(move || find(&path, &bytes)))))
    }

    /// The files that were found.
    pub fn get(&self) -> &[CompanionFile] {
        &self.0
    }
}

impl Default for LazyCompanions {
    /// No companions.
    fn default() -> Self {
        Self(Arc::new(LazyLock::new(Box::new(Vec::new))))
    }
}

impl fmt::Debug for LazyCompanions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LazyCompanions")
    }
}

/// The companions that exist. A file that cannot be read counts as missing: the pass reports what it misses.
fn find(path: &Path, bytes: &bytes::Bytes) -> Vec<CompanionFile> {
    let path = path.to_string_lossy();
    let (mut found, mut asked) = (Vec::new(), BTreeSet::new());
    loop {
        let mut wanted = companions(&path, bytes, &found);
        wanted.retain(|companion| asked.insert(companion.name.clone()));
        if wanted.is_empty() {
            return found;
        }
        for companion in wanted {
            // Opening a pipe or a device could block.
            let is_file = |path: &&String| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
            let existing = companion.paths.iter().find(is_file);
            if let Some(bytes) = existing.and_then(|path| map_file(Path::new(path)).ok()) {
                found.push(CompanionFile { kind: companion.kind, name: companion.name, bytes: bytes.0 });
            }
        }
    }
}
