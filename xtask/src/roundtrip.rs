//! `cargo xtask roundtrip`: lowers and rebuilds every executable, library, object and archive of the machine, and compares
//! the rebuilt file with the original.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::command;
use crate::datasets;
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// Folders of programs and libraries.
const FOLDERS: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local"];

/// Number of files between two lines of progress.
const PROGRESS: usize = 500;

/// Lowers and rebuilds all binaries in the given folders, by default those of the system and of the toolchain.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let folders: Vec<PathBuf> = match arguments {
        [] => FOLDERS.iter().map(PathBuf::from).chain(workspace::toolchain()).collect(),
        folders => folders.iter().map(PathBuf::from).collect(),
    };
    command::run(&mut workspace.build_without_sql())?;
    let files = binaries(&folders);
    eprintln!("{} files in {} folders", files.len(), folders.len());
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::<&str, Vec<String>>::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (files, next, outcomes) = (&files, &next, &outcomes);
            let folder = workspace.root.join(workspace.below_target(&format!("roundtrip/{thread}")));
            scope.spawn(move || {
                while let Some((file, kind)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = round_trip(workspace, file, &folder);
                    let (name, text) = match outcome {
                        Ok(()) => (*kind, String::new()),
                        Err(message) => ("different or refused", format!("{}: {message}", file.display())),
                    };
                    let mut outcomes = outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    outcomes.entry(name).or_default().push(text);
                    let done: usize = outcomes.values().map(Vec::len).sum();
                    if done.is_multiple_of(PROGRESS) {
                        eprintln!("{done} of {}", files.len());
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut failed = outcomes.remove("different or refused").unwrap_or_default();
    failed.sort();
    for (kind, same) in &outcomes {
        println!("{:>7} {kind} files are rebuilt byte for byte", same.len());
    }
    for message in &failed {
        println!("{message}");
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!("{count} files were refused or differ"))),
    }
}

/// All binaries in the folders with their kinds, sorted by path; of hard links only one.
fn binaries(folders: &[PathBuf]) -> Vec<(PathBuf, &'static str)> {
    let mut found = BTreeMap::new();
    let mut folders = folders.to_vec();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file()
                && let Some(kind) = kind(&path)
            {
                found.entry((metadata.dev(), metadata.ino())).or_insert((path, kind));
            }
        }
    }
    let mut files: Vec<_> = found.into_values().collect();
    files.sort();
    files
}

/// Kind of a file by its first bytes. COFF objects have no distinctive magic number, so their names must end in `.o` or `.obj`.
fn kind(path: &Path) -> Option<&'static str> {
    let mut start = [0; 64];
    let length = File::open(path).ok()?.read(&mut start).ok()?;
    let is_object = path.extension().is_some_and(|extension| extension == "o" || extension == "obj");
    match &start[..length] {
        [0x7f, b'E', b'L', b'F', ..] => Some("ELF"),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => Some("archive"),
        [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] => Some("Mach-O"),
        [b'M', b'Z', ..] if length == 64 && start[60..] != [0; 4] => Some("PE"),
        [0x4c, 0x01, ..] | [0x64, 0x86 | 0xaa, ..] if is_object => Some("COFF"),
        _ => None,
    }
}

/// Lowers a file, rebuilds it and compares; an error is a message for the report.
fn round_trip(workspace: &Workspace, file: &Path, folder: &Path) -> Result<(), String> {
    let binframe = workspace.root.join(workspace.binframe());
    let (dataset, rebuilt) = (folder.join("dataset"), folder.join("rebuilt"));
    let mut lower = Command::new(&binframe);
    lower.arg("lower").arg(file).arg("-o").arg(&dataset).args(["--emit", "sections", "--jobs", "1"]);
    let mut rebuild = Command::new(&binframe);
    rebuild.arg("rebuild").arg(&dataset).arg("-o").arg(&rebuilt);
    for mut command in [lower, rebuild] {
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    datasets::compare_files(file, &rebuilt).map_err(|failure| format!("{failure:?}"))
}
