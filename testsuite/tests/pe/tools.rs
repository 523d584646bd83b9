//! Runs compilers, linkers and readers, and parses the output of `llvm-readobj`.

use binframe_testsuite::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A temporary working folder, deleted when dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// A folder with files of these names and contents.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        for (name, content) in files {
            fs::write(folder.path(name), content).expect("the temporary folder is writable");
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command line, split at blanks. `None`, with a message, if the tool is not installed.
    pub(crate) fn run(&self, command: &str) -> Option<()> {
        let mut words = command.split_whitespace();
        let tool = tools::find(words.next().expect("a command has a tool"))?;
        tools::run(Command::new(tool).args(words).current_dir(self.0.path())).map(drop)
    }
}

/// Output of `llvm-readobj` for a file. `None`, with a message, if it is not installed.
pub(crate) fn readobj(option: &str, file: &Path) -> Option<String> {
    tools::print(&tools::find("llvm-readobj")?, &[option], file)
}

/// Keys and values of a block and of its nested blocks.
pub(crate) struct Block<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Block<'a> {
    /// Blocks that start with the line `head`, with the same indentation.
    pub(crate) fn all(text: &'a str, head: &str) -> Vec<Self> {
        let indent = &head[..head.len() - head.trim_start().len()];
        let end = format!("{indent}}}");
        let mut lines = text.lines();
        let mut blocks = Vec::new();
        while lines.by_ref().any(|line| line == head) {
            let inner = lines.by_ref().take_while(|line| *line != end);
            let entry = |line: &'a str| {
                let line = line.trim();
                line.split_once(": ").or_else(|| line.split_once(" ("))
            };
            blocks.push(Self(inner.filter_map(entry).collect()));
        }
        blocks
    }

    /// Values of a key.
    pub(crate) fn values(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(of, _)| *of == key).map(|(_, value)| *value)
    }

    /// First value of a key.
    pub(crate) fn value(&self, key: &str) -> Option<&'a str> {
        self.values(key).next()
    }

    /// Number in the head of a list: `Characteristics [ (0x60000020)`.
    pub(crate) fn list_number(&self, key: &str) -> Option<u64> {
        self.0.iter().find(|(of, _)| of.strip_suffix(" [") == Some(key)).map(|(_, value)| number(value))
    }

    /// Number of the first value of a key; in parentheses if there is also a name.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.value(key).map(number)
    }
}

/// Parses `7`, `0x7`, `name (7)` or `(0x7)`.
pub(crate) fn number(text: &str) -> u64 {
    let text = text.rsplit_once('(').map_or(text, |(_, number)| number).trim_end_matches(')');
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.unwrap_or_else(|_| panic!("{text} is not a number"))
}
