//! Microsoft's own libraries, which their compilers made: from Python's package index, where they can be had.

use super::{bytes, lowered};
use binframe::ir::tables::DiagnosticCode;
use binframe::passes::{demangled, file::exceptions};
use binframe_testsuite::tools;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

/// The package, and what it is unpacked to.
const PACKAGE: &str = "msvc-runtime==14.51.36231";
const LIBRARIES: &str = "msvc_runtime-14.51.36231.data/data";

/// The folder of the libraries; none where they cannot be had. Tests that run at the same time wait for one download.
static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(download);

/// Gets the libraries, or says why not.
fn download() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("msvc-runtime");
    let libraries = folder.join(LIBRARIES);
    if libraries.exists() {
        return Some(libraries);
    }
    let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
    let platform = ["--only-binary=:all:", "--platform", "win_amd64", "--python-version", "3.12"];
    let mut download = Command::new("python3");
    download.args(pip).args(platform).arg("--dest").arg(&folder).arg(PACKAGE);
    if !tools::output(&mut download)?.status.success() {
        tools::report_missing(PACKAGE);
        return None;
    }
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    let files = fs::read_dir(&folder).expect("it was made").map(|entry| entry.expect("readable").path());
    let wheel = files.into_iter().find(is_wheel).expect("what was downloaded");
    // What is unpacked is there as a whole or not at all.
    let unpacked = tempfile::tempdir_in(&folder).expect("writable");
    tools::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(unpacked.path()))?;
    for entry in fs::read_dir(unpacked.path()).expect("it was made") {
        let path = entry.expect("readable").path();
        _ = fs::rename(&path, folder.join(path.file_name().expect("it has a name")));
    }
    Some(libraries)
}

/// The libraries of C++, which have what is compressed.
fn of_cpp() -> Vec<PathBuf> {
    let Some(folder) = FOLDER.as_ref() else { return Vec::new() };
    let names = ["msvcp140.dll", "msvcp140_2.dll", "concrt140.dll", "vcamp140.dll", "vccorlib140.dll"];
    names.map(|name| folder.join(name)).to_vec()
}

/// Of compressed tables, nobody else reads any: what they say is held against the table of functions.
#[test]
fn what_is_thrown_lands_in_functions_that_are_described() {
    for path in of_cpp() {
        let name = path.display();
        let tables = lowered(&path).lowered;
        let entries = tables.sections.unwind_entries.columns();
        let starts: BTreeSet<_> = entries.address.iter().copied().collect();
        let found = exceptions::run(&bytes(&path), &tables.sections);
        let mut diagnostics = found.diagnostics.columns().iter();
        assert!(diagnostics.all(|row| row.code != DiagnosticCode::UnreadExceptionTable), "{name}");
        let (mut cleanups, mut described) = (0, 0);
        for row in found.call_sites.columns().iter() {
            let own = entries.iter().find(|entry| entry.address == row.function_address);
            let own = own.expect("the function is described");
            assert!(row.address >= own.address, "{name}: {row:x?}");
            assert!(row.address + row.size <= own.address + own.size, "{name}: {row:x?}");
            let landing_pad = row.landing_pad_address.expect("there is one");
            let is_inside = landing_pad > own.address && landing_pad < own.address + own.size;
            let is_start = starts.contains(&landing_pad);
            if row.action > 0 {
                // What catches in C lies in the function itself.
                assert!(is_start || is_inside, "{name}: {row:x?}");
            } else {
                cleanups += 1;
                described += usize::from(is_start);
            }
        }
        // Destructors that call nothing need no description.
        assert!(cleanups > 50 && described * 3 > cleanups, "{name}: {described} of {cleanups}");
    }
}

/// What `llvm-undname` says of names, without what says that a name is a class's; none where it is not there.
fn undname(names: &[&str]) -> Option<Vec<String>> {
    let mut undname = Command::new(tools::find("llvm-undname")?);
    undname.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = undname.spawn().expect("it is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = names.join("\n") + "\n";
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it ends").expect("it reads");
    let text = String::from_utf8(output.stdout).expect("names are text");
    // Each name, what it means, and an empty line.
    let answers: Vec<_> =
        text.trim_end().split("\n\n").map(|answer| answer.lines().nth(1).unwrap_or_default()).collect();
    let replaced =
        [("class ", ""), ("struct ", ""), ("union ", ""), ("enum ", ""), (" ctor ", " constructor ")];
    let plain = |answer: &&str| {
        replaced.iter().fold((*answer).to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    };
    Some(answers.iter().take(names.len()).map(plain).collect())
}

#[test]
fn names_are_those_of_llvm() {
    // Names of another dialect, C++/CX, are read by neither.
    for path in of_cpp().iter().filter(|path| !path.ends_with("vccorlib140.dll")) {
        let tables = lowered(path).lowered;
        let exports = tables.linkage.exports.columns();
        let names = exports.iter().filter_map(|export| export.export_name);
        let names: Vec<_> = names.filter(|name| name.starts_with('?')).collect();
        let Some(expected) = undname(&names) else { return };
        assert_eq!(names.len(), expected.len());
        for (name, expected) in names.iter().zip(&expected) {
            let own = demangled(name).expect("it is read");
            // They say more around the name, also that of a function which a variable belongs to.
            assert!(expected.contains(&own) || own.starts_with('`'), "{name}: {own}, {expected}");
        }
    }
}

#[test]
fn names_within_names_take_little_stack() {
    const SIZES: [usize; 4] = [64, 300, 1000, 1024];
    let deep = ["V?$A@", "PEA", "Y01", "$$A6A", "$$QEA", "P8A@@", "x@?1??", "?0", "$1??$f@", "?__E"];
    let read = move || {
        for (part, start) in
            deep.iter().flat_map(|part| ["?x@@3", "?f@@YAX", "??$f@", "?"].map(|start| (part, start)))
        {
            let name = format!("{start}{}", part.repeat(SIZES[3]));
            for size in SIZES {
                drop(demangled(&name[..size]));
            }
        }
    };
    // Half of what threads have.
    let thread = thread::Builder::new().stack_size(1 << 20).spawn(read).expect("the system has threads");
    thread.join().expect("it ends");
}
