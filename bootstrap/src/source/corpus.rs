//! `(paths, directories, patterns) -> files to lower`, in an order and with names that depend on nothing but those.

use crate::error::Error;
use crate::file::map_file;
use crate::store::Dataset;
use binframe_passes::file::sections::is_recognised;
use glob::{MatchOptions, glob_with};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file to lower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusFile {
    /// Where it is.
    pub path: PathBuf,
    /// What its rows call it: the last component of the path, made unique among those of a run.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

impl CorpusFile {
    /// A file among no others.
    pub(crate) fn alone(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self { path: path.to_owned(), name, size }
    }
}

/// The files that inputs stand for, in the order of the inputs, each path once.
///
/// A file stands for itself, whatever it is. A directory stands for the files in it and below that begin as something that
/// is lowered, in the order of their names; links in it are left alone. A path that does not exist and holds `*`, `?`
/// or `[` is a pattern, which stands for the paths that it matches, as if they had been named, but for links to directories.
pub fn find_files(inputs: &[PathBuf]) -> Result<Vec<CorpusFile>, Error> {
    let mut found = Found::default();
    for input in inputs {
        match fs::metadata(input) {
            Ok(_) => found.add_named(input)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_pattern(input) => {
                found.add_matches(input)?;
            }
            Err(error) => return Err(Error::io(input, "open")(error)),
        }
    }
    Ok(found.files)
}

#[derive(Default)]
struct Found {
    files: Vec<CorpusFile>,
    /// Whether each is there already.
    paths: BTreeSet<PathBuf>,
    names: UniqueNames,
}

impl Found {
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
        // As shells match.
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
                false => self.add(&path),
            };
        }
        has_some.then_some(()).ok_or_else(|| no_input(pattern, "matches no executable"))
    }

    /// Adds what is in a directory and below. Whether there is any.
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
                    // The driver reports what cannot be read, and goes on.
                    Err(Error::Io { .. }) => self.add(&path),
                    found => found?,
                }
            } else if kind.is_file() && map_file(&path).is_ok_and(|bytes| !is_recognised(&bytes.0)) {
                false
            } else {
                kind.is_file() && self.add(&path)
            };
        }
        Ok(has_some)
    }

    /// Adds a file, if it is not there already. It is there in any case.
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

/// Names that no two inputs share.
#[derive(Debug, Default)]
pub(crate) struct UniqueNames {
    /// The last number that was given to each name; 1 to the name itself.
    numbers: BTreeMap<String, u32>,
}

impl UniqueNames {
    /// The name, or the name and a number that no input before has.
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
    use crate::Error;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    const ELF: &[u8] = b"\x7fELF\x02\x01";
    const ARCHIVE: &[u8] = b"!<arch>\n";

    /// A folder with programs, a library, and things that are none.
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

    /// Paths below the folder, and names.
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
    fn a_directory_stands_for_its_executables_in_the_order_of_their_names() {
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
    fn what_is_named_is_kept_whatever_it_is_in_the_order_given_and_once() {
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
    fn a_pattern_stands_for_what_it_matches() {
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
    fn what_stands_for_nothing_is_an_error_that_names_it() {
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
