//! Runs the built command on small fixtures.

mod capture;
mod cfg;
mod diff;
mod dump;
mod lower;
#[cfg(feature = "sql")]
mod real_programs;
mod refusals;
mod robustness;
mod schemas;
#[cfg(feature = "sql")]
mod sql;
mod trace;

use binframe_testsuite::executable::Executable;
use binframe_testsuite::fixtures;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A temporary working directory of the command.
struct Folder(TempDir);

impl Folder {
    /// A folder with these files.
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder"));
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("written");
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The command with arguments, ready to run.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_binframe"));
        command.current_dir(self.path()).args(arguments);
        command
    }

    /// Runs the command, which must succeed with an empty stderr, and returns its stdout.
    fn bytes(&self, arguments: &[&str]) -> Vec<u8> {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success() && stderr.is_empty(), "binframe {arguments:?}: {status}\n{stderr}");
        stdout
    }

    /// Like [`bytes`](Self::bytes), as text.
    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.bytes(arguments)).expect("text is UTF-8")
    }

    /// Runs the command, which must fail with this exit code and an empty stdout, and returns its stderr.
    fn failure(&self, code: i32, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("it starts");
        let stderr = String::from_utf8(stderr).expect("text is UTF-8");
        assert_eq!(status.code(), Some(code), "binframe {arguments:?}\n{stderr}");
        assert_eq!(String::from_utf8_lossy(&stdout), "", "binframe {arguments:?}");
        stderr
    }

    /// The names of its files and folders, sorted.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("the folder exists");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("the folder exists").file_name().into_string().expect("names are UTF-8")
        };
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
    }
}

/// A folder with the file `loops`, and the facts that its compiler recorded.
fn loops() -> (Folder, Executable) {
    let executable = fixtures::loops_and_calls();
    (Folder::with(&[("loops", &executable.bytes)]), executable)
}

/// The value of `--emit` for all tables.
const EVERY_STAGE: &str = "sections,debug,instructions,effects,ops,cfg,memory,data_flow";

/// A folder with the files `loops` and `stack`, and the dataset `both` of the two.
fn both() -> Folder {
    let (loops, stack) = (fixtures::loops_and_calls(), fixtures::stack_and_globals());
    let folder = Folder::with(&[("loops", &loops.bytes), ("stack", &stack.bytes)]);
    folder.text(&["lower", "loops", "stack", "-o", "both"]);
    folder
}
