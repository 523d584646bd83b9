//! Compares two datasets byte for byte, except the records of the runs in `_binframe/`.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::manifest;

/// Folder of the manifest, which contains the times of the run that wrote the dataset.
const RECORDS: &str = "_binframe";

/// Maximum number of differing files that a message names; the others are counted.
const NAMED_DIFFERENCES: usize = 8;

/// Number and total size of the files of two datasets that are byte-identical.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// Compares two datasets. Fails if either is not a dataset, or if their lists of files or any file differ.
pub(crate) fn compare(left: &Path, right: &Path) -> Result<Agreement, Failure> {
    let left_files = table_files(left)?;
    let right_files = table_files(right)?;
    let only_left = left_files.keys().filter(|file| !right_files.contains_key(*file));
    let only_right = right_files.keys().filter(|file| !left_files.contains_key(*file));
    let mut lone: Vec<String> =
        only_left.map(|file| format!("only in {}: {}", left.display(), file.display())).collect();
    lone.extend(only_right.map(|file| format!("only in {}: {}", right.display(), file.display())));
    if !lone.is_empty() {
        return Err(Failure::Failed(format!("the datasets have different files\n{}", listing(&lone))));
    }
    let mut different = Vec::new();
    for file in left_files.keys() {
        if let Some(offset) = first_difference(&left.join(file), &right.join(file))? {
            different.push(format!("{} differs at byte {offset}", file.display()));
        }
    }
    if !different.is_empty() {
        let names = format!("{} and {}", left.display(), right.display());
        return Err(Failure::Failed(format!("the datasets {names} differ\n{}", listing(&different))));
    }
    Ok(Agreement { files: left_files.len(), bytes: left_files.values().sum() })
}

/// Compares two files. Fails if they differ.
pub(crate) fn compare_files(left: &Path, right: &Path) -> Result<(), Failure> {
    match first_difference(left, right)? {
        None => Ok(()),
        Some(offset) => {
            let names = format!("{} and {}", left.display(), right.display());
            Err(Failure::Failed(format!("{names} differ at byte {offset}")))
        }
    }
}

/// Hash of all files of a dataset's tables, for people to compare.
pub(crate) fn fingerprint(dataset: &Path) -> Result<u64, Failure> {
    let mut hasher = DefaultHasher::new();
    for file in table_files(dataset)?.keys() {
        file.hash(&mut hasher);
        hasher.write_u64(file_fingerprint(&dataset.join(file))?);
    }
    Ok(hasher.finish())
}

/// Hash of a file, for people to compare.
pub(crate) fn file_fingerprint(path: &Path) -> Result<u64, Failure> {
    let mut hasher = DefaultHasher::new();
    let mut reader = open(path)?;
    loop {
        let bytes = reader.fill_buf().map_err(|error| Failure::io("read", path, &error))?;
        if bytes.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.write(bytes);
        let read = bytes.len();
        reader.consume(read);
    }
}

/// Sizes of the files of a dataset's tables, by path relative to the dataset.
fn table_files(dataset: &Path) -> Result<BTreeMap<PathBuf, u64>, Failure> {
    if !dataset.join(manifest::PATH).is_file() {
        return Err(Failure::Failed(format!(
            "{} has no manifest, so it is not a dataset",
            dataset.display()
        )));
    }
    let mut files = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = dataset.join(&folder);
        let entries = std::fs::read_dir(&path).map_err(|error| Failure::io("list", &path, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Failure::io("list", &path, &error))?;
            let relative = folder.join(entry.file_name());
            let metadata = entry.metadata().map_err(|error| Failure::io("read", &entry.path(), &error))?;
            if relative == Path::new(RECORDS) {
                continue;
            }
            if metadata.is_dir() {
                folders.push(relative);
            } else {
                files.insert(relative, metadata.len());
            }
        }
    }
    if files.is_empty() {
        return Err(Failure::Failed(format!("{} has no tables", dataset.display())));
    }
    Ok(files)
}

/// Offset of the first byte that differs; the size of the shorter file if it is a prefix of the longer; `None` if the files are equal.
fn first_difference(left: &Path, right: &Path) -> Result<Option<u64>, Failure> {
    let mut left_reader = open(left)?;
    let mut right_reader = open(right)?;
    let mut offset = 0;
    loop {
        let left_bytes = left_reader.fill_buf().map_err(|error| Failure::io("read", left, &error))?;
        let right_bytes = right_reader.fill_buf().map_err(|error| Failure::io("read", right, &error))?;
        let common = left_bytes.len().min(right_bytes.len());
        if common == 0 {
            let both_ended = left_bytes.len() == right_bytes.len();
            return Ok(if both_ended { None } else { Some(offset) });
        }
        if left_bytes[..common] != right_bytes[..common] {
            let equal = left_bytes.iter().zip(right_bytes).take_while(|(left, right)| left == right).count();
            return Ok(Some(offset + equal as u64));
        }
        left_reader.consume(common);
        right_reader.consume(common);
        offset += common as u64;
    }
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    Ok(BufReader::with_capacity(1 << 18, file))
}

fn listing(lines: &[String]) -> String {
    let mut text: Vec<String> =
        lines.iter().take(NAMED_DIFFERENCES).map(|line| format!("  {line}")).collect();
    if lines.len() > NAMED_DIFFERENCES {
        text.push(format!("  and {} more", lines.len() - NAMED_DIFFERENCES));
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two small datasets in a directory that is removed with them.
    struct Pair(PathBuf);

    impl Pair {
        fn new(name: &str) -> Self {
            let directory =
                std::env::temp_dir().join(format!("xtask-datasets-{name}-{}", std::process::id()));
            let pair = Self(directory);
            for side in ["left", "right"] {
                pair.write(side, "_binframe/manifest.json", side);
                pair.write(side, "functions/part-00000.parquet", "PAR1 functions");
                pair.write(side, "instructions/part-00000.parquet", "PAR1 instructions");
            }
            pair
        }

        fn write(&self, side: &str, file: &str, content: &str) {
            let path = self.0.join(side).join(file);
            std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("a temporary directory");
            std::fs::write(path, content).expect("a temporary file");
        }

        fn message(&self) -> String {
            match compare(&self.0.join("left"), &self.0.join("right")) {
                Err(Failure::Failed(message)) => message,
                other => panic!("expected a difference, found {other:?}"),
            }
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn records_may_differ_and_tables_agree() {
        let pair = Pair::new("agree");
        let agreement = compare(&pair.0.join("left"), &pair.0.join("right")).expect("equal tables");
        assert_eq!(agreement, Agreement { files: 2, bytes: 31 });
    }

    #[test]
    fn a_changed_byte_is_located() {
        let pair = Pair::new("byte");
        pair.write("right", "functions/part-00000.parquet", "PAR1 funcTions");
        assert!(pair.message().contains("functions/part-00000.parquet differs at byte 9"));
    }

    #[test]
    fn a_longer_file_differs_at_the_end_of_the_shorter() {
        let pair = Pair::new("longer");
        pair.write("right", "functions/part-00000.parquet", "PAR1 functions, more");
        assert!(pair.message().contains("differs at byte 14"));
    }

    #[test]
    fn a_lone_file_is_refused() {
        let pair = Pair::new("lone");
        pair.write("right", "loops/part-00000.parquet", "PAR1");
        assert!(pair.message().contains("loops/part-00000.parquet"));
    }

    #[test]
    fn a_folder_without_manifest_is_no_dataset() {
        let pair = Pair::new("manifest");
        std::fs::remove_file(pair.0.join("left/_binframe/manifest.json")).expect("it was written");
        assert!(pair.message().contains("no manifest"));
    }
}
