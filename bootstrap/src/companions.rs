//! Companion files: other files with debug information of an executable, found on first use.

use crate::file::read_file;
use binframe_passes::file::debug::{CompanionFile, companions};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The companion files of an executable, searched for when first read. Cloning shares them.
#[derive(Clone)]
pub struct LazyCompanions(Arc<LazyLock<Vec<CompanionFile>, Search>>);

type Search = Box<dyn FnOnce() -> Vec<CompanionFile> + Send>;

impl LazyCompanions {
    /// Companions of the executable at `path`.
    pub(crate) fn of(path: &Path, bytes: &bytes::Bytes) -> Self {
        let (path, bytes) = (path.to_owned(), bytes.clone());
        Self(Arc::new(LazyLock::new(Box::new(move || find(&path, &bytes)))))
    }

    /// The files; the first call searches for them.
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

/// The companions that exist. A companion may name further ones. Unreadable files are left out: the pass `debug`
/// reports missing companions.
fn find(path: &Path, bytes: &bytes::Bytes) -> Vec<CompanionFile> {
    let path = path.to_string_lossy();
    let (mut found, mut searched) = (Vec::new(), BTreeSet::new());
    loop {
        let mut wanted = companions(&path, bytes, &found);
        wanted.retain(|companion| searched.insert(companion.name.clone()));
        if wanted.is_empty() {
            return found;
        }
        for companion in wanted {
            // Opening a pipe or a device could block.
            let is_file = |path: &&String| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
            let existing = companion.paths.iter().find(is_file);
            if let Some(bytes) = existing.and_then(|path| read_file(Path::new(path)).ok()) {
                found.push(CompanionFile { kind: companion.kind, name: companion.name, bytes: bytes.0 });
            }
        }
    }
}
