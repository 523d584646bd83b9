//! Files that import each other in a circle: the strongly connected components of the import graph.

use crate::imports::Imports;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The sets of files of which each imports every other, directly or through others of the set.
pub(crate) fn circles(imports: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (file, reachable(imports, file))).collect();
    let mut circles: Vec<BTreeSet<PathBuf>> = Vec::new();
    for (file, others) in &reached {
        if !others.contains(file.as_path()) || circles.iter().any(|circle| circle.contains(*file)) {
            continue;
        }
        let is_mutual = |other: &&&Path| {
            reached.get(&other.to_path_buf()).is_some_and(|back| back.contains(file.as_path()))
        };
        circles.push(others.iter().filter(is_mutual).map(|other| other.to_path_buf()).collect());
    }
    circles
}

/// The files that a file imports, directly or through others.
fn reachable<'a>(imports: &'a Imports, file: &Path) -> BTreeSet<&'a Path> {
    let mut found = BTreeSet::new();
    let mut pending = vec![file];
    while let Some(file) = pending.pop() {
        for other in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(other.as_path()) {
                pending.push(other);
            }
        }
    }
    found
}
