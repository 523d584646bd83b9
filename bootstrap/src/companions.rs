//! Companion files: other files with debug information of an executable, found on first use.

use crate::file::{self, map_file};
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

/// Largest number of companion files of an executable.
const COMPANIONS_MAX: usize = 1 << 16;

/// The companions that exist. A companion may name further ones. Unreadable files are left out: the pass `debug`
/// reports missing companions. A file is used once, however many names lead to it, and never as its own companion.
fn find(path: &Path, bytes: &bytes::Bytes) -> Vec<CompanionFile> {
    let identity = |path: &Path| {
        // Opening a pipe or a device could block.
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(file::identity(&metadata))
    };
    let mut used: BTreeSet<_> = identity(path).into_iter().collect();
    let path = path.to_string_lossy();
    let (mut found, mut searched) = (Vec::new(), BTreeSet::new());
    loop {
        let mut wanted = companions(&path, bytes, &found);
        wanted.retain(|companion| searched.insert(companion.name.clone()));
        if wanted.is_empty() || found.len() >= COMPANIONS_MAX {
            return found;
        }
        for companion in wanted {
            let mut paths = companion.paths.iter().map(Path::new);
            let existing = paths.find_map(|path| Some((path, identity(path)?)));
            let unused = existing.filter(|(_, identity)| used.insert(*identity));
            if let Some(bytes) = unused.and_then(|(path, _)| map_file(path).ok()) {
                found.push(CompanionFile { kind: companion.kind, name: companion.name, bytes: bytes.0 });
            }
        }
    }
}
