//! Microsoft's runtime libraries, compiled by MSVC and downloaded from the Python package index. Skipped if they
//! cannot be downloaded.

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

/// The package, and its folder of libraries.
const PACKAGE: &str = "msvc-runtime==14.51.36231";
const LIBRARIES: &str = "msvc_runtime-14.51.36231.data/data";

/// Folder of the libraries; `None` if they cannot be downloaded. Parallel tests share one download.
static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(download);

/// Downloads the libraries, or reports why this is not possible.
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
    let files =
        fs::read_dir(&folder).expect("the folder exists").map(|entry| entry.expect("readable").path());
    let wheel = files.into_iter().find(is_wheel).expect("the downloaded wheel");
    // Unpacks atomically: to a temporary folder, then by rename.
    let unpacked = tempfile::tempdir_in(&folder).expect("writable");
    tools::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(unpacked.path()))?;
    for entry in fs::read_dir(unpacked.path()).expect("the folder exists") {
        let path = entry.expect("readable").path();
        _ = fs::rename(&path, folder.join(path.file_name().expect("the file has a name")));
    }
    Some(libraries)
}

/// The C++ libraries, which have compressed exception tables (`__CxxFrameHandler4`).
fn cpp_libraries() -> Vec<PathBuf> {
    let Some(folder) = FOLDER.as_ref() else { return Vec::new() };
    let names = ["msvcp140.dll", "msvcp140_2.dll", "concrt140.dll", "vcamp140.dll", "vccorlib140.dll"];
    names.map(|name| folder.join(name)).to_vec()
}

/// No other tool prints compressed exception tables, so they are compared with the unwind entries.
#[test]
fn landing_pads_are_in_functions_with_unwind_entries() {
    for path in cpp_libraries() {
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
            let own = own.expect("the function has an unwind entry");
            assert!(row.address >= own.address, "{name}: {row:x?}");
            assert!(row.address + row.size <= own.address + own.size, "{name}: {row:x?}");
            let landing_pad = row.landing_pad_address.expect("there is one");
            let is_inside = landing_pad > own.address && landing_pad < own.address + own.size;
            let is_start = starts.contains(&landing_pad);
            if row.action > 0 {
                // Handlers of `__except` are inside the function itself.
                assert!(is_start || is_inside, "{name}: {row:x?}");
            } else {
                cleanups += 1;
                described += usize::from(is_start);
            }
        }
        // Destructors without calls have no unwind entry.
        assert!(cleanups > 50 && described * 3 > cleanups, "{name}: {described} of {cleanups}");
    }
}

/// Output of `llvm-undname`, normalized. `None`, with a message, if it is not installed.
fn undname(names: &[&str]) -> Option<Vec<String>> {
    let mut undname = Command::new(tools::find("llvm-undname")?);
    undname.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = undname.spawn().expect("the tool is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = names.join("\n") + "\n";
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the tool exits");
    writer.join().expect("the thread does not panic").expect("the tool reads its input");
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    // For each name: the name, its demangled form, an empty line.
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
fn demangled_names_match_llvm_undname() {
    // Neither demangles names of C++/CX.
    for path in cpp_libraries().iter().filter(|path| !path.ends_with("vccorlib140.dll")) {
        let tables = lowered(path).lowered;
        let exports = tables.linkage.exports.columns();
        let names = exports.iter().filter_map(|export| export.export_name);
        let names: Vec<_> = names.filter(|name| name.starts_with('?')).collect();
        let Some(expected) = undname(&names) else { return };
        assert_eq!(names.len(), expected.len());
        for (name, expected) in names.iter().zip(&expected) {
            let own = demangled(name).expect("the name is demangled");
            // binframe prints more of a scope, such as the function that contains a variable.
            assert!(expected.contains(&own) || own.starts_with('`'), "{name}: {own}, {expected}");
        }
    }
}

#[test]
fn nested_names_use_bounded_stack() {
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
    // Half of the default stack size of threads.
    let thread = thread::Builder::new().stack_size(1 << 20).spawn(read).expect("the system has threads");
    thread.join().expect("the thread does not panic");
}
