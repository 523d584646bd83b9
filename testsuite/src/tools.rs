//! Runs external tools: compilers, linkers, and programs whose output is compared with tables.
//!
//! If a tool is missing, the checks that need it are skipped with a message. If the environment variable `CI` is set,
//! a missing tool fails the test instead, so that CI cannot skip checks. `.ci/run` installs the tools.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Version of LLVM whose output the tests expect.
const LLVM_VERSION: u32 = 19;

/// Reports a missing tool. Panics if `CI` is set.
pub fn report_missing(tool: &str) {
    assert!(std::env::var_os("CI").is_none(), "{tool} is not installed, and CI is set");
    report_skipped(&format!("{tool} is not installed"));
}

/// Reports that something is not tested, for a reason that no installation changes.
#[expect(clippy::print_stderr, reason = "a test must report skipped checks")]
pub fn report_skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// Name of an installed tool: Debian's versioned LLVM name (`tool-19`) or `tool`. `None`, with a message, if neither is
/// installed.
pub fn find(tool: &str) -> Option<String> {
    let names = [format!("{tool}-{LLVM_VERSION}"), tool.to_owned()];
    let found = names.into_iter().find(|name| is_installed(name));
    if found.is_none() {
        report_missing(tool);
    }
    found
}

/// Whether a folder in `PATH` has a tool of this name.
pub fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Runs a command. `None`, with a message, if its tool is not installed.
pub fn output(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report_missing(&command.get_program().display().to_string());
            None
        }
        Err(error) => panic!("{command:?} cannot be run: {error}"),
    }
}

/// Runs a command and returns its standard output. `None`, with a message, if its tool is not installed. Panics if it
/// fails.
pub fn run(command: &mut Command) -> Option<String> {
    let output = output(command.env("LC_ALL", "C"))?;
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Standard output of a tool for a file, as returned by [`run`].
pub fn print(tool: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let arguments = arguments.iter().map(OsStr::new).chain([file.as_os_str()]);
    run(Command::new(tool).args(arguments))
}

/// The files below the folder that `BINFRAME_COMPARE` names, sorted; `None` if it names none.
pub fn files_to_compare() -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("BINFRAME_COMPARE").filter(|asked| asked != "all")?;
    let mut found = BTreeSet::new();
    collect(Path::new(&folder), &mut found);
    assert!(!found.is_empty(), "no files in {}", folder.display());
    Some(found.into_iter().collect())
}

/// Collects files below a folder without following symbolic links.
pub fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), found),
            Ok(kind) if kind.is_file() => _ = found.insert(entry.path()),
            _ => {}
        }
    }
}

/// Every `step`th ELF file of the system, sorted by path.
pub fn system_files(step: usize) -> Vec<PathBuf> {
    let folders = ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"];
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let paths = entries.flatten().filter_map(|entry| entry.ok()?.path().canonicalize().ok());
    let is_elf = |path: &PathBuf| {
        let mut magic = [0; 4];
        let file = std::fs::File::open(path);
        file.and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic)).is_ok()
            && magic == *b"\x7fELF"
    };
    let mut files: Vec<_> = paths.filter(is_elf).collect();
    files.sort();
    files.dedup();
    files.into_iter().step_by(step).collect()
}
