//! Finds the other files that hold debug information of an executable.

use crate::map_file;
use binframe_passes::file::debug::{CompanionFile, companions};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The files that are there, of those that hold debug information of the executable at a path. One that cannot be read is as
/// good as none: the pass reports what it misses.
pub(crate) fn find(path: &Path, bytes: &bytes::Bytes) -> Vec<CompanionFile> {
    let path = path.to_string_lossy();
    let (mut found, mut asked) = (Vec::new(), BTreeSet::new());
    loop {
        let mut wanted = companions(&path, bytes, &found);
        wanted.retain(|companion| asked.insert(companion.name.clone()));
        if wanted.is_empty() {
            return found;
        }
        for companion in wanted {
            // What is no file, such as a pipe, could be waited for.
            let is_file = |path: &&String| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
            let there = companion.paths.iter().find(is_file);
            if let Some(bytes) = there.and_then(|path| map_file(Path::new(path)).ok()) {
                found.push(CompanionFile { kind: companion.kind, name: companion.name, bytes: bytes.0 });
            }
        }
    }
}
