//! The development tasks of binframe: `cargo xtask TASK`.
//!
//! Each task builds the programs that it needs and runs them, so that one command works on a machine with nothing but
//! Rust and a C linker. This crate links no other crate of the workspace and builds in seconds.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to the person at the terminal")]

mod bootstrap;
mod ci;
mod command;
mod datasets;
mod develop;
mod failure;
mod manifest;
mod pinned_tools;
mod roundtrip;
mod tools;
mod unchanged;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use failure::Failure;
use workspace::Workspace;

/// One task: its help and the function that runs it.
struct Task {
    name: &'static str,
    arguments: &'static str,
    /// One line for the list of tasks.
    summary: &'static str,
    /// The rest of the page of `cargo xtask NAME --help`.
    details: &'static str,
    run: fn(&Workspace, &[OsString]) -> Result<(), Failure>,
}

const TASKS: &[Task] = &[
    Task {
        name: "bootstrap",
        arguments: "[FILE]",
        summary: "lower FILE (or binframe itself), rebuild it from the tables, lower the result again",
        details: "Builds the release command. Stage 0 lowers FILE (by default the command's own executable) into\n\
                  target/bootstrap/, with one thread and with all threads. Stage 1 rebuilds FILE from the tables alone.\n\
                  Stage 2 lowers the rebuilt file; if it is binframe, the rebuilt binframe does so. Fails if any byte\n\
                  differs. Prints the rows, sizes and times of each pass and table, the fingerprint of each stage, and\n\
                  commands to try next.",
        run: bootstrap::run,
    },
    Task {
        name: "roundtrip",
        arguments: "[FOLDER...]",
        summary: "lower and rebuild every binary of the machine and compare every byte",
        details: "Builds the release command. Lowers and rebuilds every ELF, PE, Mach-O and COFF file and every archive in\n\
                  the folders, by default those of the system and of the Rust toolchain. Prints the number of files that\n\
                  are equal, and each file that is not. Takes minutes.",
        run: roundtrip::run,
    },
    Task {
        name: "test",
        arguments: "[ARGS...]",
        summary: "run all tests; ARGS are passed to `cargo test --workspace`",
        details: "For example `cargo xtask test basic_blocks` or `cargo xtask test -p binframe-ir`.",
        run: develop::test,
    },
    Task {
        name: "mutate",
        arguments: "[--seed NUMBER] [--count NUMBER] [--from FOLDER]",
        summary: "corrupt files at random and check that each is refused or lowered to valid tables",
        details: "Runs the test `mutants` in a release build, by default with a million corrupted files. A failure prints\n\
                  the seed and the path of its file; `--seed SEED --count 1` makes that file again. `--from FOLDER`\n\
                  corrupts the files below a folder, up to a size of 1 MiB, instead of generated ones.",
        run: develop::mutate,
    },
    Task {
        name: "compare",
        arguments: "",
        summary: "compare the tables of every ELF file of this machine with what readelf prints",
        details: "Runs the test `readelf` in a release build on every ELF file of the system and of the Rust toolchain;\n\
                  `cargo xtask test` uses a sample of them. Takes minutes.",
        run: develop::compare,
    },
    Task {
        name: "peers-files",
        arguments: "[FOLDER]",
        summary: "compare the tables of files for many architectures with what other tools print",
        details: "Compiles a program of each format for every architecture that clang-19 and the installed cross compilers\n\
                  of gcc know, and links it in many ways, into target/peers-files/. Then runs the tests `peers` and `readelf`\n\
                  on these files, or on every ELF, PE, COFF and Mach-O file and archive below FOLDER: LLVM's tools,\n\
                  eu-readelf, readelf, LIEF and pefile. Prints the numbers of architectures, kinds and files, how many\n\
                  facts of each table are the same, the explained differences with their reasons, and each other\n\
                  difference.\n\
                  `cargo xtask test` uses a sample of the files.",
        run: develop::peers_files,
    },
    Task {
        name: "score",
        arguments: "[--memory | --wild] [--examples NUMBER] [--folder FOLDER] [WORD...]",
        summary: "measure the accuracy of the tables on real programs, with their compilers as ground truth",
        details: "Runs the test `score` in a release build. Downloads C and C++ sources that crates ship, and compiles them\n\
                  with gcc and clang-19 at several optimization levels into target/score/ or FOLDER. The first run takes\n\
                  about fifteen minutes. The functions, blocks, edges and jump tables that the compilers report are then\n\
                  compared with the tables of the stripped files. Each WORD selects programs, compilers, levels, kinds or\n\
                  variants, for example `cargo xtask score sqlite gcc O2 bare`. --examples prints NUMBER missing or wrong\n\
                  addresses of each kind; the file `full` next to each stripped file has the symbols. --memory compares\n\
                  variables, frames and globals with debug information instead. --wild compiles programs in C, C++, Rust, Go,\n\
                  Pascal, OCaml, Haskell, Ada, Fortran, D, Nim, Vala and Zig with each compiler that is installed, for\n\
                  x86-64, x32 and 32-bit Linux, Windows and macOS, and compares their functions with the symbols, and where\n\
                  the compiler records them, jump tables and edges; each WORD selects languages, compilers, targets, flags\n\
                  or programs.",
        run: develop::score,
    },
    Task {
        name: "oracle",
        arguments: "[--steps NUMBER] [PROGRAM [ARGS...]]",
        summary: "trace programs and compare their memory accesses with the tables",
        details: "Runs the test `oracle` in a release build. Single-steps PROGRAM through its own code, for at most NUMBER\n\
                  instructions (default: one million). Compares each address that it reads or writes with\n\
                  `memory_accesses`, the depth of the stack with `stack_frames`, and the last writer of each value that is\n\
                  read with `data_flow_edges`. Without PROGRAM, traces several programs of the system. Linux on x86-64 only.",
        run: develop::oracle,
    },
    Task {
        name: "certainty",
        arguments: "[PATH...]",
        summary: "count what cannot be right in the tables of programs, whatever is right",
        details: "Runs the test `certainty` in a release build, over the executables in the files and folders PATH, or over\n\
                  those of the system. Counts tables that cover the start of another, calls whose target is no function,\n\
                  calls that certainly return into a stated function after them, and stubs of imports inside others.\n\
                  Prints the first of each kind, and fails if there is one.",
        run: develop::certainty,
    },
    Task {
        name: "semantics",
        arguments: "[--count NUMBER] [--form PATTERN]",
        summary: "run instructions on this processor and compare them with what their ops say",
        details: "Runs the test `semantics` in a release build. Takes every form of instruction (mnemonic, prefixes, kinds and\n\
                  sizes of operands) from programs of the system, or those whose name contains PATTERN. Runs each NUMBER\n\
                  times (default: 2000), natively and by the evaluator of ops, from states with special and random numbers,\n\
                  and compares registers, flags, memory, the next address and faults. Prints a row for each form, most\n\
                  frequent first, with the first difference, and what is skipped and why. Linux on x86-64 only.",
        run: develop::semantics,
    },
    Task {
        name: "dump",
        arguments: "TABLE FILE [ARGS...]",
        summary: "build the release command and run `binframe dump`",
        details: "All arguments are passed to `binframe dump`; `target/release/binframe dump --help` lists them.",
        run: develop::dump,
    },
    Task {
        name: "diff",
        arguments: "OLD NEW [ARGS...]",
        summary: "build the release command and run `binframe diff`",
        details: "All arguments are passed to `binframe diff`; `target/release/binframe diff --help` lists them.",
        run: develop::diff,
    },
    Task {
        name: "unchanged",
        arguments: "OLD [--new NEW] [FILE...]",
        summary: "check that an older `binframe` and the current one write the same tables",
        details: "OLD is a `binframe` that was built from an earlier commit. It and the current one (the release command, which is\n\
                  built first, or NEW) lower each FILE through every stage, and the Parquet files are compared byte for byte:\n\
                  pages, encodings, statistics, row groups, names and types of columns; all but documentation. Without FILE:\n\
                  bash, git, cargo, an archive of the toolchain, and small files of every format. Prints each column that\n\
                  differs and fails, or the numbers of tables, files and bytes that agree.",
        run: unchanged::run,
    },
    Task {
        name: "bless",
        arguments: "[ARGS...]",
        summary: "run tests and replace expected results by actual ones; ARGS are passed to `cargo test`",
        details: "For example `cargo xtask bless --test passes memory`. Replaces the tables in testsuite/passes/ and\n\
                  testsuite/snapshots/ and the snapshots of insta. An expected result specifies a table: check in `git diff`\n\
                  that each change is right.",
        run: develop::bless,
    },
    Task {
        name: "schemas",
        arguments: "",
        summary: "write docs/SCHEMAS.md from the table declarations",
        details: "Runs `binframe schemas --markdown` and writes the file only if its text changed.",
        run: develop::schemas,
    },
    Task {
        name: "bench",
        arguments: "[ARGS...] | peers [OPTIONS] [FILE...] | queries [OPTIONS] [FILE]",
        summary: "run the criterion benches, or compare the speed of binframe with other programs",
        details: "ARGS are passed to `cargo bench -p binframe-benches`; `cargo xtask bench -- --quick` takes seconds. `peers`\n\
                  runs benches/peers/disassemblers.py: objdump and binframe alternate on the same files (by default the\n\
                  toolchain's cargo), then they and other disassemblers on a smaller file. It prints the minimum time, the\n\
                  peak memory, ratios and counts of each program. `queries` runs benches/peers/queries.py: SQL compared\n\
                  with sqlelf, and SQL over 1000 executables of the system. `peers --install` installs the other programs.",
        run: develop::bench,
    },
    Task {
        name: "tools",
        arguments: "",
        summary: "install the tools that `cargo xtask ci` needs from crates.io",
        details: "Installs typos, cargo-machete and cargo-deny in fixed versions, if they are missing. `.ci/run` calls this task\n\
                  first; the compilers and binary utilities that tests use come from the system.",
        run: pinned_tools::run,
    },
    Task {
        name: "ci",
        arguments: "",
        summary: "run every check that a change must pass",
        details: "Format, spelling, unused dependencies, licences and sources of dependencies, lints, the build without SQL, docs,\n\
                  tests. Stops at the first check that fails and prints the command that\n\
                  fixes it. `.ci/run` calls this task.",
        run: ci::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Finds the task that the first argument names and runs it with the rest.
fn dispatch(arguments: &[OsString]) -> Result<(), Failure> {
    let Some((name, rest)) = arguments.split_first() else {
        println!("{}", help());
        return Ok(());
    };
    if name == "--help" || name == "-h" || name == "help" {
        println!("{}", help());
        return Ok(());
    }
    let Some(task) = TASKS.iter().find(|task| name == task.name) else {
        return Err(Failure::Usage(format!("no task is called `{}`\n\n{}", name.display(), help())));
    };
    match rest.first() {
        Some(flag) if flag == "--help" || flag == "-h" => {
            println!("{}", help_of(task));
            Ok(())
        }
        _ => (task.run)(&Workspace::find(), rest),
    }
}

/// The list of all tasks.
fn help() -> String {
    let usages: Vec<String> =
        TASKS.iter().map(|task| format!("{} {}", task.name, task.arguments).trim_end().to_owned()).collect();
    let width = usages.iter().map(String::len).max().unwrap_or(0);
    let lines: Vec<String> = TASKS
        .iter()
        .zip(&usages)
        .map(|(task, usage)| format!("  {usage:width$}  {}", task.summary))
        .collect();
    format!(
        "Development tasks of binframe\n\nUsage: cargo xtask TASK [ARGS...]\n\nTasks:\n{}\n\n\
         `cargo xtask TASK --help` describes one task.",
        lines.join("\n")
    )
}

/// The page of one task.
fn help_of(task: &Task) -> String {
    let usage = format!("cargo xtask {} {}", task.name, task.arguments);
    format!("{}\n\nUsage: {}\n\n{}", task.summary, usage.trim_end(), task.details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_task() {
        let text = help();
        for task in TASKS {
            assert!(text.contains(&format!("  {}", task.name)), "{} is missing", task.name);
        }
    }

    #[test]
    fn an_unknown_task_is_wrong_usage() {
        let failure = dispatch(&["bootstrp".into()]).expect_err("no such task");
        assert!(matches!(failure, Failure::Usage(message) if message.contains("`bootstrp`")));
    }
}
