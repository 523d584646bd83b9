//! `cargo xtask unchanged`: the proof that a change of the code changes no output.
//!
//! An older `binframe` and the current one lower the same files through every stage, and the Parquet files of both datasets
//! are compared byte for byte, column by column, except for documentation. The comparison itself is an example of the
//! testsuite's crate, which can read Parquet; this task builds and runs it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::command;
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// Every stage, also those that `lower` runs only if they are named.
const STAGES: &str = "sections,debug,instructions,effects,ops,cfg,memory,data_flow";

/// The largest archive of the standard library that is lowered by default: the whole library takes minutes.
const ARCHIVE_SIZE_MAX: u64 = 1 << 20;

/// What the arguments choose.
#[derive(Debug)]
struct Arguments {
    old: PathBuf,
    new: Option<PathBuf>,
    files: Vec<PathBuf>,
}

/// Builds what is needed, lowers each file twice, and fails if any table differs.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let arguments = parse(arguments)?;
    let old = program(&arguments.old)?;
    let new = match &arguments.new {
        Some(new) => program(new)?,
        None => {
            command::run(&mut workspace.build_without_sql())?;
            workspace.root.join(workspace.binframe())
        }
    };
    let example = ["build", "--quiet", "-p", "binframe-testsuite", "--example", "unchanged"];
    command::run(workspace.cargo().args(example))?;
    let comparer = workspace.root.join(workspace.below_target("debug/examples/unchanged"));
    let folder = workspace.root.join(workspace.below_target("unchanged"));
    let files = match arguments.files.is_empty() {
        true => default_files(&comparer, &folder)?,
        false => arguments.files,
    };

    let started = Instant::now();
    let mut total = [0; 3];
    let mut different = Vec::new();
    for file in &files {
        let datasets = [(&old, folder.join("old")), (&new, folder.join("new"))];
        for (binframe, dataset) in &datasets {
            lower(binframe, file, dataset)?;
        }
        match compare(&comparer, &datasets[0].1, &datasets[1].1)? {
            Some(counts) => {
                println!("{}: {}", file.display(), text_of(counts));
                for (sum, count) in total.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
            None => different.push(file.display().to_string()),
        }
    }
    if different.is_empty() {
        let seconds = started.elapsed().as_secs_f64();
        println!("unchanged: {} in {seconds:.0} s, inputs: {}", text_of(total), files.len());
        return Ok(());
    }
    Err(Failure::Failed(format!("the tables of {} changed", different.join(", "))))
}

fn parse(arguments: &[OsString]) -> Result<Arguments, Failure> {
    let (mut new, mut paths) = (None, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--new") => {
                let path = arguments.next().ok_or_else(|| Failure::Usage("--new needs a path".to_owned()))?;
                new = Some(PathBuf::from(path));
            }
            Some(option) if option.starts_with('-') => {
                return Err(Failure::Usage(format!("unchanged has no option `{option}`")));
            }
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    let mut paths = paths.into_iter();
    let old = paths.next().ok_or_else(|| Failure::Usage("unchanged needs an older `binframe`".to_owned()))?;
    Ok(Arguments { old, new, files: paths.collect() })
}

/// The absolute path of a program that is there.
fn program(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::io("find", path, &error))
}

/// Programs of the system and of the toolchain, an archive of the toolchain, and a folder of small files of every format.
fn default_files(comparer: &Path, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fixtures = folder.join("fixtures");
    command::run(Command::new(comparer).arg("fixtures").arg(&fixtures))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    let mut files = vec![fixtures];
    files.extend(["bash", "git"].into_iter().filter_map(on_path));
    if let Some(toolchain) = workspace::toolchain() {
        files.extend(Some(toolchain.join("bin/cargo")).filter(|cargo| cargo.is_file()));
        files.extend(archive(&toolchain));
    }
    Ok(files)
}

/// The largest archive of the standard library that is not too large.
fn archive(toolchain: &Path) -> Option<PathBuf> {
    let targets = std::fs::read_dir(toolchain.join("lib/rustlib")).ok()?.flatten();
    let libraries = targets.filter_map(|target| std::fs::read_dir(target.path().join("lib")).ok());
    let sized = libraries.flat_map(Iterator::flatten).filter_map(|entry| {
        let is_archive = entry.path().extension() == Some(OsStr::new("rlib"));
        let size = entry.metadata().ok()?.len();
        (is_archive && size <= ARCHIVE_SIZE_MAX).then(|| (size, entry.path()))
    });
    sized.max().map(|(_, path)| path)
}

fn lower(binframe: &Path, file: &Path, dataset: &Path) -> Result<(), Failure> {
    let mut lower = Command::new(binframe);
    lower.arg("lower").arg(file).arg("-o").arg(dataset).args(["--emit", STAGES]);
    command::output_of(&mut lower).map(drop)
}

/// Numbers of tables, files and bytes that are the same; `None` if some are not, which are printed.
fn compare(comparer: &Path, old: &Path, new: &Path) -> Result<Option<[u64; 3]>, Failure> {
    let mut compare = Command::new(comparer);
    let output = compare.arg("compare").arg(old).arg(new).output();
    let output = output.map_err(|error| Failure::io("run", comparer, &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        let counts: Option<Vec<u64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
        let counts = counts.and_then(|counts| <[u64; 3]>::try_from(counts).ok());
        return counts.map(Some).ok_or_else(|| Failure::Failed(format!("the comparison printed {text:?}")));
    }
    if text.is_empty() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::Failed(format!("the comparison failed: {}", errors.trim())));
    }
    print!("{text}");
    Ok(None)
}

fn text_of([tables, files, bytes]: [u64; 3]) -> String {
    format!("{tables} tables, {files} files, {bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_the_option_are_told_apart() {
        let words = ["old/binframe", "--new", "new/binframe", "a", "b"].map(OsString::from);
        let arguments = parse(&words).expect("the arguments are right");
        assert_eq!(arguments.old, Path::new("old/binframe"));
        assert_eq!(arguments.new.as_deref(), Some(Path::new("new/binframe")));
        assert_eq!(arguments.files, [PathBuf::from("a"), PathBuf::from("b")]);
    }

    #[test]
    fn an_older_command_is_required() {
        assert!(matches!(parse(&[]), Err(Failure::Usage(_))));
        assert!(matches!(parse(&["old".into(), "--new".into()]), Err(Failure::Usage(_))));
        assert!(matches!(parse(&["--old".into()]), Err(Failure::Usage(_))));
    }
}
