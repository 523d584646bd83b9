//! Files that import each other in a cycle: the strongly connected components of the import graph.

use crate::imports::Imports;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The sets of files of which each imports every other, directly or through others of the set.
pub(crate) fn cycles(imports: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (file, reachable(imports, file))).collect();
    let mut cycles: Vec<BTreeSet<PathBuf>> = Vec::new();
    for (file, others) in &reached {
        if !others.contains(file.as_path()) || cycles.iter().any(|cycle| cycle.contains(*file)) {
            continue;
        }
        let is_mutual = |other: &&&Path| {
            reached.get(&other.to_path_buf()).is_some_and(|back| back.contains(file.as_path()))
        };
        cycles.push(others.iter().filter(is_mutual).map(|other| other.to_path_buf()).collect());
    }
    cycles
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
