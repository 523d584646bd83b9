//! What the tools of the machine print, to be compared with.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a tool prints of a file; none, said aloud, on a machine that does not have it. Panics if it fails.
pub fn output(tool: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let arguments = arguments.iter().map(OsStr::new).chain([file.as_os_str()]);
    match Command::new(tool).args(arguments).env("LC_ALL", "C").output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{tool} {}: {errors}", file.display());
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            say_missing(tool);
            None
        }
        Err(error) => panic!("{tool} cannot be run: {error}"),
    }
}

#[expect(clippy::print_stderr, reason = "a test that checks less than usual has to say so")]
fn say_missing(tool: &str) {
    eprintln!("this machine has no {tool}: nothing was compared with it");
}

/// Every `step`th of the system's ELF files, in the order of their names.
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
