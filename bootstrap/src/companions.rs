//! Companion files: other files with debug information of an executable, found on first use; and the members of thin
//! archives.

use crate::file::{self, FileBytes, map_file};
use binframe_passes::file::debug::{CompanionFile, companions};
use binframe_passes::file::sections;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{self, Component, Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Where companion files are searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompanionSearch {
    /// At the paths that the executable names, and in `/usr/lib/debug`.
    #[default]
    Standard,
    /// Only in these directories, by the last component of a name and by build id. Without directories, there is no search.
    Directories(Vec<PathBuf>),
}

/// The directory of the system for separate debug files.
const DEBUG_DIRECTORY: &str = "/usr/lib/debug";

/// Directories whose files are no debug files, or where opening one has an effect. An executable may name files there.
const EXCLUDED: [&str; 4] = ["/dev", "/net", "/proc", "/sys"];

impl CompanionSearch {
    /// The paths to search for a file that an executable names by some paths, in order.
    fn paths(&self, named: &[String]) -> Vec<PathBuf> {
        match self {
            Self::Standard => named.iter().map(PathBuf::from).filter(|path| !is_excluded(path)).collect(),
            Self::Directories(directories) => {
                let paths = directories.iter().flat_map(|directory| {
                    named.iter().flat_map(move |named| {
                        let named = Path::new(named);
                        let debug = named.strip_prefix(DEBUG_DIRECTORY).ok().map(|rest| directory.join(rest));
                        debug.into_iter().chain(named.file_name().map(|last| directory.join(last)))
                    })
                });
                paths.collect()
            }
        }
    }
}

/// Whether a path leads to an excluded directory, or may do so.
fn is_excluded(path: &Path) -> bool {
    let Ok(path) = path::absolute(path) else { return true };
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => _ = normal.pop(),
            component => normal.push(component),
        }
    }
    EXCLUDED.iter().any(|excluded| normal.starts_with(excluded))
}

/// The companion files of an executable, searched for when first read. Cloning shares them.
#[derive(Clone)]
pub struct LazyCompanions(Arc<LazyLock<Vec<CompanionFile>, Search>>);

type Search = Box<dyn FnOnce() -> Vec<CompanionFile> + Send>;

impl LazyCompanions {
    /// Companions of the executable at `path`.
    pub(crate) fn of(path: &Path, bytes: &Bytes, search: &CompanionSearch) -> Self {
        let (path, bytes, search) = (path.to_owned(), bytes.clone(), search.clone());
        Self(Arc::new(LazyLock::new(Box::new(move || find(&path, &bytes, &search)))))
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

/// The members of a thin archive that exist, each with its name in the archive. A file is a member once.
pub(crate) fn thin_members(
    archive: &Path,
    bytes: &Bytes,
    search: &CompanionSearch,
) -> Vec<(String, FileBytes)> {
    let directory = file::directory(archive);
    let mut used: BTreeSet<_> = identity(archive).into_iter().collect();
    let mut found = Vec::new();
    for name in sections::thin_members(bytes) {
        let path = directory.join(&name).to_string_lossy().into_owned();
        found.extend(existing(search.paths(&[path]), &mut used).map(|bytes| (name, bytes)));
    }
    found
}

/// The first of some files that exists; `None` if it is in use.
fn existing(paths: Vec<PathBuf>, used: &mut BTreeSet<(u64, u64)>) -> Option<FileBytes> {
    let (identity, path) = paths.into_iter().find_map(|path| Some((identity(&path)?, path)))?;
    if used.insert(identity) { map_file(&path).ok() } else { None }
}

/// The identity of a regular file: opening a pipe or a device could block.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(file::identity(&metadata))
}

/// Largest number of companion files of an executable.
const COMPANIONS_MAX: usize = 1 << 16;

/// The companions that exist. A companion may name further ones. Unreadable files are left out: the pass `debug`
/// reports missing companions. A file is used once, however many names lead to it, and never as its own companion.
fn find(path: &Path, bytes: &Bytes, search: &CompanionSearch) -> Vec<CompanionFile> {
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
            if let Some(bytes) = existing(search.paths(&companion.paths), &mut used) {
                found.push(CompanionFile { kind: companion.kind, name: companion.name, bytes: bytes.0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CompanionSearch, is_excluded};
    use std::path::{Path, PathBuf};

    fn paths(search: &CompanionSearch, paths: &[&str]) -> Vec<PathBuf> {
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        search.paths(&paths)
    }

    #[test]
    fn files_of_the_kernel_and_of_automounters_are_not_searched() {
        for excluded in ["/proc/self/environ", "/../net/host/a", "/tmp/../dev/null", "/sys"] {
            assert!(is_excluded(Path::new(excluded)), "{excluded}");
        }
        let found =
            paths(&CompanionSearch::Standard, &["/proc/1/a", "/process/a", "a.dwo", "/build/../a.dwo"]);
        assert_eq!(found, ["/process/a", "a.dwo", "/build/../a.dwo"].map(PathBuf::from));
    }

    #[test]
    fn chosen_directories_are_searched_by_last_component_and_by_build_id() {
        let search = CompanionSearch::Directories(vec!["x".into(), "y".into()]);
        let found = paths(&search, &["/usr/lib/debug/.build-id/ab/cd.debug", "../../etc/shadow"]);
        let expected = [
            "x/.build-id/ab/cd.debug",
            "x/cd.debug",
            "x/shadow",
            "y/.build-id/ab/cd.debug",
            "y/cd.debug",
            "y/shadow",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        assert!(paths(&CompanionSearch::Directories(Vec::new()), &["a.dwo", "/b.dwo"]).is_empty());
    }
}
