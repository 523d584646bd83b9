//! Input files of a run: `(files, directories, patterns) -> files to lower`, in an order and with names that depend on
//! paths only.

use crate::error::Error;
use crate::file::map_file;
use crate::store::reader::Dataset;
use binframe_passes::file::sections::is_recognised;
use glob::{MatchOptions, glob_with};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file to lower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Name of the binary: the last component of the path, made unique among the files of a run.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
}

impl CorpusFile {
    /// The only file of a run.
    pub(crate) fn alone(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self { path: path.to_owned(), name, size }
    }
}

/// Finds the files of all inputs, in the order of the inputs, each path once.
///
/// - A file is taken whatever its content is.
/// - A directory is searched recursively, in the order of names, for files whose first bytes are those of a supported
///   format. Symbolic links in it are not followed.
/// - A path that does not exist and has a `*`, `?` or `[` is a pattern. Its matches are inputs like named ones, except
///   that links to directories are not followed.
pub fn find_files(inputs: &[PathBuf]) -> Result<Vec<CorpusFile>, Error> {
    let mut collector = FileCollector::default();
    for input in inputs {
        match fs::metadata(input) {
            Ok(_) => collector.add_named(input)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_pattern(input) => {
                collector.add_matches(input)?;
            }
            Err(error) => return Err(Error::io(input, "open")(error)),
        }
    }
    Ok(collector.files)
}

/// The files found so far.
#[derive(Default)]
struct FileCollector {
    files: Vec<CorpusFile>,
    /// Paths of the files.
    paths: BTreeSet<PathBuf>,
    names: UniqueNames,
}

impl FileCollector {
    fn add_named(&mut self, path: &Path) -> Result<(), Error> {
        if !path.is_dir() {
            self.add(path);
        } else if Dataset::is_at(path) {
            return Err(no_input(path, "is a dataset, which was lowered already"));
        } else if !self.add_directory(path)? {
            return Err(no_input(path, "holds no executable"));
        }
        Ok(())
    }

    fn add_matches(&mut self, pattern: &Path) -> Result<(), Error> {
        // The rules of shells.
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let text = pattern.to_str().unwrap_or_default();
        let matches = glob_with(text, options);
        let matches = matches.map_err(|error| no_input(pattern, &format!("is no pattern: {error}")))?;
        let mut paths = matches.collect::<Result<Vec<_>, _>>().map_err(|error| {
            let path = error.path().to_owned();
            Error::io(&path, "read")(error.into())
        })?;
        paths.sort_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
        let mut has_some = false;
        for path in paths {
            has_some |= match path.is_dir() {
                true if path.is_symlink() => false,
                true => self.add_directory(&path)?,
                // A pattern may match pipes and devices.
                false => path.is_file() && self.add(&path),
            };
        }
        has_some.then_some(()).ok_or_else(|| no_input(pattern, "matches no executable"))
    }

    /// Adds the files of a directory and of its subdirectories. Returns whether there is any.
    fn add_directory(&mut self, directory: &Path) -> Result<bool, Error> {
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(Error::io(directory, "read"))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut has_some = false;
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::io(&path, "read"))?;
            has_some |= if kind.is_dir() {
                match self.add_directory(&path) {
                    // The driver will report it as a skipped file.
                    Err(Error::Io { .. }) => self.add(&path),
                    has_some => has_some?,
                }
            } else if kind.is_file() && map_file(&path).is_ok_and(|bytes| !is_recognised(&bytes.0)) {
                false
            } else {
                kind.is_file() && self.add(&path)
            };
        }
        Ok(has_some)
    }

    /// Adds a file unless it was added before. Returns true, because the file is present in both cases.
    fn add(&mut self, path: &Path) -> bool {
        if self.paths.insert(path.to_owned()) {
            let file = CorpusFile::alone(path);
            self.files.push(CorpusFile { name: self.names.add(&file.name), ..file });
        }
        true
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
}

fn no_input(path: &Path, found: &str) -> Error {
    Error::NoInput { path: path.to_owned(), found: found.to_owned() }
}

/// Assigns unique names.
#[derive(Debug, Default)]
pub(crate) struct UniqueNames {
    /// The last number assigned for each name; 1 for the name itself.
    numbers: BTreeMap<String, u32>,
}

impl UniqueNames {
    /// Returns the name, with a number appended if it was returned before.
    pub(crate) fn add(&mut self, name: &str) -> String {
        let mut number = self.numbers.get(name).copied().unwrap_or(0);
        let unique = loop {
            number += 1;
            let candidate = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
            if !self.numbers.contains_key(&candidate) {
                break candidate;
            }
        };
        self.numbers.insert(name.to_owned(), number);
        self.numbers.entry(unique.clone()).or_insert(1);
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::{UniqueNames, find_files};
    use crate::error::Error;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    const ELF: &[u8] = b"\x7fELF\x02\x01";
    const ARCHIVE: &[u8] = b"!<arch>\n";

    /// A folder with programs, a library and other files.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for directory in ["b/deep", "empty", "Z"] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        let files: [(&str, &[u8]); 8] = [
            ("z", ELF),
            ("a", ELF),
            ("Z/a", ELF),
            ("b/deep/a", ELF),
            ("b/lib.a", ARCHIVE),
            ("b/.hidden", ELF),
            ("notes.txt", b"notes"),
            ("b/nothing", b""),
        ];
        for (name, bytes) in files {
            fs::write(path(name), bytes).unwrap();
        }
        symlink("a", path("link")).unwrap();
        symlink(".", path("b/loop")).unwrap();
        folder
    }

    /// Paths relative to the folder, and names.
    fn found(folder: &Path, inputs: &[&str]) -> Result<Vec<(String, String)>, Error> {
        let inputs: Vec<PathBuf> = inputs.iter().map(|input| folder.join(input)).collect();
        let files = find_files(&inputs)?.into_iter().map(|file| {
            let path = file.path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            assert_eq!(file.size, fs::metadata(&file.path).unwrap().len());
            (path, file.name)
        });
        Ok(files.collect())
    }

    fn expected(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(path, name)| ((*path).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn a_directory_is_searched_in_the_order_of_names() {
        let folder = folder();
        let all = [
            ("Z/a", "a"),
            ("a", "a-2"),
            ("b/.hidden", ".hidden"),
            ("b/deep/a", "a-3"),
            ("b/lib.a", "lib.a"),
            ("z", "z"),
        ];
        assert_eq!(found(folder.path(), &[""]).unwrap(), expected(&all));
    }

    #[test]
    fn named_files_are_taken_once_in_the_given_order_whatever_they_contain() {
        let folder = folder();
        let inputs = ["z", "notes.txt", "link", "b", "b/lib.a", "z"];
        let all = [
            ("z", "z"),
            ("notes.txt", "notes.txt"),
            ("link", "link"),
            ("b/.hidden", ".hidden"),
            ("b/deep/a", "a"),
            ("b/lib.a", "lib.a"),
        ];
        assert_eq!(found(folder.path(), &inputs).unwrap(), expected(&all));
    }

    #[test]
    fn a_pattern_adds_its_matches() {
        let folder = folder();
        let matched = found(folder.path(), &["b/*", "?"]).unwrap();
        let paths: Vec<_> = matched.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["b/deep/a", "b/lib.a", "b/nothing", "Z/a", "a", "b/.hidden", "z"]);
    }

    #[test]
    fn a_file_whose_name_looks_like_a_pattern_is_a_file() {
        let folder = folder();
        fs::write(folder.path().join("[ab]"), ELF).unwrap();
        assert_eq!(found(folder.path(), &["[ab]"]).unwrap(), expected(&[("[ab]", "[ab]")]));
    }

    #[test]
    fn an_input_without_files_is_an_error_that_names_it() {
        let folder = folder();
        fs::create_dir_all(folder.path().join("old/_binframe")).unwrap();
        fs::write(folder.path().join("old/_binframe/manifest.json"), "{}").unwrap();
        let message = |input: &str| found(folder.path(), &[input]).unwrap_err().to_string();
        assert!(message("empty").contains("empty: holds no executable; name an executable"));
        assert!(message("*.exe").contains("*.exe: matches no executable"));
        assert!(message("[z").contains("[z: is no pattern"));
        assert!(message("old").contains("old: is a dataset"));
        assert!(message("missing").contains("missing: cannot open"));
    }

    #[test]
    fn names_are_numbered_until_they_are_unique() {
        let mut names = UniqueNames::default();
        let unique = ["a", "a-2", "a", "a", "a-2"].map(|name| names.add(name));
        assert_eq!(unique, ["a", "a-2", "a-3", "a-4", "a-2-2"]);
    }
}
