//! The part of `cargo xtask unchanged` that reads Parquet: `unchanged fixtures DIR` writes small files of every format to a folder,
//! `unchanged compare OLD NEW` compares two datasets.

#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use binframe_testsuite::{dataset_comparison, mutation};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["fixtures", folder] => write_fixtures(Path::new(folder)).map(|()| ExitCode::SUCCESS),
        ["compare", old, new] => compare(Path::new(old), Path::new(new)),
        _ => Err(io::Error::other("usage: unchanged fixtures DIR | unchanged compare OLD NEW")),
    }
}

fn write_fixtures(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for original in mutation::originals() {
        fs::write(folder.join(original.name.replace(' ', "_")), original.bytes)?;
    }
    Ok(())
}

/// Prints a line for each column that differs, or else the numbers of tables, files and bytes that agree.
fn compare(old: &Path, new: &Path) -> io::Result<ExitCode> {
    let comparison = dataset_comparison::compare(old, new)?;
    for (name, reason) in &comparison.differences {
        println!("{name} differs: {reason}");
    }
    if !comparison.differences.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    println!("{} {} {}", comparison.tables, comparison.files, comparison.bytes);
    Ok(ExitCode::SUCCESS)
}
