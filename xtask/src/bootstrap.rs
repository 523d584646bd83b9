//! `cargo xtask bootstrap`: shows that the tables depend only on the executable, and contain all of it.
//!
//! Stage 0: binframe lowers an executable, by default its own, with one thread and with several; both datasets must be
//! byte-identical. Stage 1: the executable is rebuilt from the dataset and must be byte-identical. Stage 2: the rebuilt file
//! is lowered again, by itself if it is binframe, and the dataset must be byte-identical to the first.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command;
use crate::datasets::{self, Agreement};
use crate::failure::Failure;
use crate::manifest::{self, Step};
use crate::workspace::Workspace;

/// File offset of the entry address in a 64-bit ELF file.
const ELF64_ENTRY_OFFSET: usize = 24;

/// Builds the release command, runs the stages and prints a summary.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let file = match arguments {
        [] => workspace.binframe(),
        [file] => from_root(workspace, Path::new(file))?,
        _ => return Err(Failure::Usage("bootstrap takes at most one file".to_owned())),
    };
    eprintln!("Building binframe …");
    command::run(&mut workspace.build_without_sql())?;
    let folder = workspace.root.join(workspace.below_target("bootstrap"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| Failure::io("remove", &folder, &error))?;
    }
    let rebuilt = folder.join("stage-1");
    std::fs::create_dir_all(&rebuilt).map_err(|error| Failure::io("create", &rebuilt, &error))?;
    let rebuilt = rebuilt.join(file.file_name().unwrap_or_default());

    let own = workspace.root.join(workspace.binframe());
    let original = workspace.root.join(&file);
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    eprintln!();
    eprintln!("Stage 0: lowering {} with 1 thread and with {cores} …", file.display());
    let one = Run::new(&own, &original, folder.join("stage-0"), 1)?;
    let many = Run::new(&own, &original, folder.join("stage-0-parallel"), cores)?;
    let agreement = datasets::compare(&one.dataset, &many.dataset)?;

    eprintln!("Stage 1: rebuilding it from the tables …");
    command::run(Command::new(&own).arg("rebuild").arg(&one.dataset).arg("-o").arg(&rebuilt))?;
    datasets::compare_files(&original, &rebuilt)?;

    let again = if original == own { &rebuilt } else { &own };
    eprintln!("Stage 2: lowering {} with {} …", from_here(workspace, &rebuilt).display(), name_of(again));
    let second = Run::new(again, &rebuilt, folder.join("stage-2"), cores)?;
    datasets::compare(&one.dataset, &second.dataset)?;

    let proof = Proof { file, rebuilt, one, many, second, cores, agreement };
    println!("\n{}\n", steps_text(&proof));
    print_summary(workspace, &proof)
}

/// Results of a successful run.
struct Proof {
    file: PathBuf,
    rebuilt: PathBuf,
    one: Run,
    many: Run,
    second: Run,
    cores: usize,
    agreement: Agreement,
}

/// One run of `binframe lower`.
struct Run {
    dataset: PathBuf,
    steps: Vec<Step>,
    wall: Duration,
}

impl Run {
    /// Lowers a file into a new dataset. The recorded path is only the file name, because the stages use different folders.
    fn new(binframe: &Path, file: &Path, dataset: PathBuf, jobs: usize) -> Result<Self, Failure> {
        let mut lower = Command::new(binframe);
        lower.current_dir(file.parent().unwrap_or(Path::new("/")));
        lower.arg("lower").arg(file.file_name().unwrap_or_default()).arg("-o").arg(&dataset);
        lower.args(["--jobs", &jobs.to_string()]);
        let wall = command::run(&mut lower)?;
        Ok(Self { steps: manifest::steps(&dataset)?, dataset, wall })
    }
}

/// Two lists with the times of both runs: the passes, which compute rows in memory, and the tables of the dataset.
fn steps_text(proof: &Proof) -> String {
    let (passes, tables) = (&["passes", "rows", ""], &["tables", "rows", "on disk"]);
    let times = ["1 thread".to_owned(), counted(proof.cores, "thread")];
    let header = |names: &[&str; 3]| line(&names.map(str::to_owned), &times);
    let mut pass_lines = vec![header(passes)];
    let mut table_lines = vec![String::new(), header(tables)];
    for (one, many) in proof.one.steps.iter().zip(&proof.many.steps) {
        let times = [one, many].map(|step| format!("{:.2} s", step.wall_seconds));
        match one.name.strip_prefix("write ") {
            None => pass_lines.push(line(&[one.name.clone(), thousands(one.rows), String::new()], &times)),
            Some(table) => {
                let cells = [table.to_owned(), thousands(one.rows), kilobytes(one.bytes)];
                table_lines.push(line(&cells, &times));
            }
        }
    }
    pass_lines.append(&mut table_lines);
    pass_lines.join("\n")
}

fn line(cells: &[String; 3], times: &[String; 2]) -> String {
    let [name, rows, size] = cells;
    let [one, many] = times;
    format!("{name:<22} {rows:>12} {size:>12} {one:>11} {many:>11}")
}

fn print_summary(workspace: &Workspace, proof: &Proof) -> Result<(), Failure> {
    let binframe = workspace.binframe().display().to_string();
    let file = proof.file.display();
    let [dataset, other] =
        [&proof.one, &proof.many].map(|run| from_here(workspace, &run.dataset).display().to_string());
    let file_size = std::fs::metadata(&proof.rebuilt).map_or(0, |metadata| metadata.len());
    let is_own = proof.file == workspace.binframe();
    let own = if is_own { ", binframe's own executable" } else { "" };
    let (one, many) = (proof.one.wall.as_secs_f64(), proof.many.wall.as_secs_f64());

    println!("Lowered   {file} ({}{own})", megabytes(file_size));
    println!("          from its bytes to tables of sections, instructions, control flow and memory");
    println!(
        "Took      {one:.2} s with {}, {many:.2} s with {}",
        counted(1, "thread"),
        counted(proof.cores, "thread")
    );
    println!(
        "Agrees    with 1 thread and with {} in every byte of {}, {} in total",
        proof.cores,
        counted(proof.agreement.files, "file"),
        megabytes(proof.agreement.bytes)
    );
    println!("Wrote     {dataset}/ (a folder of Parquet for each table)");
    println!();
    let who = if is_own { "the rebuilt executable" } else { "binframe" };
    println!("Stage 0   {:016x}  the tables", datasets::fingerprint(&proof.one.dataset)?);
    println!(
        "Stage 1   {:016x}  the executable, rebuilt from the tables, byte-identical",
        datasets::file_fingerprint(&proof.rebuilt)?
    );
    println!(
        "Stage 2   {:016x}  the tables that {who} wrote for it",
        datasets::fingerprint(&proof.second.dataset)?
    );
    println!();
    println!("Three commands to try next:");
    println!("  # the recovered functions");
    println!("  {binframe} dump functions {dataset} --limit 10");
    println!("  # every row about one address, here the entry point");
    let address = entry_address(&workspace.root.join(&proof.file));
    let address = address.map_or_else(|| "ADDRESS".to_owned(), |address| format!("{address:#x}"));
    println!("  {binframe} trace {address} {dataset}");
    println!("  # differences between two datasets or two builds of a program; here, none");
    println!("  {binframe} diff {dataset} {other}");
    Ok(())
}

/// Entry address of a 64-bit ELF executable, as an example for `trace`; `None` for libraries and other files.
fn entry_address(file: &Path) -> Option<u64> {
    let mut header = [0; ELF64_ENTRY_OFFSET + 8];
    File::open(file).ok()?.read_exact(&mut header).ok()?;
    let entry = header.last_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))?;
    (header.starts_with(b"\x7fELF\x02\x01") && entry != 0).then_some(entry)
}

/// Path relative to the root of the workspace, where the commands run; absolute if it is outside the workspace.
fn from_root(workspace: &Workspace, file: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(file).map_err(|error| Failure::io("find", file, &error))?;
    // The command itself may be missing: cargo builds it next.
    let relative = path.strip_prefix(&workspace.root).unwrap_or(&path).to_path_buf();
    if path.is_file() || relative == workspace.binframe() {
        Ok(relative)
    } else {
        Err(Failure::Failed(format!("{} is not a file", file.display())))
    }
}

/// Path relative to the root of the workspace.
fn from_here<'p>(workspace: &Workspace, path: &'p Path) -> &'p Path {
    path.strip_prefix(&workspace.root).unwrap_or(path)
}

fn name_of(program: &Path) -> String {
    let folder = program.parent().and_then(Path::file_name).unwrap_or_default();
    Path::new(folder).join(program.file_name().unwrap_or_default()).display().to_string()
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is printed with one decimal")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

/// A size in kilobytes (1000 bytes), rounded up.
fn kilobytes(bytes: u64) -> String {
    format!("{} kB", thousands(bytes.div_ceil(1000)))
}

/// A number with a space between groups of three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
    fn a_program_has_an_entry_address() {
        let own = std::env::current_exe().expect("a running program has a file");
        assert!(entry_address(&own).is_some());
    }

    #[test]
    fn a_text_file_has_no_entry_address() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert_eq!(entry_address(&manifest), None);
    }

    #[test]
    fn sizes_and_counts_are_formatted_for_people() {
        assert_eq!(megabytes(24_650_000), "24.6 MB");
        assert_eq!(kilobytes(1_234_001), "1 235 kB");
        assert_eq!([0, 999, 1000, 12_345_678].map(thousands), ["0", "999", "1 000", "12 345 678"]);
        assert_eq!(
            (counted(1, "thread"), counted(2, "thread")),
            ("1 thread".to_owned(), "2 threads".to_owned())
        );
    }
}
