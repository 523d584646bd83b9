//! binframe's own chores: `cargo xtask TASK`.
//!
//! A small program that builds and calls the others, so that one command works on a machine with nothing but Rust
//! and a C linker. It links no other crate of the workspace and has no dependency: it builds in a second.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to the person at the terminal is its job"
)]

mod bootstrap;
mod ci;
mod command;
mod datasets;
mod develop;
mod failure;
mod manifest;
mod roundtrip;
mod snapshots;
mod tools;
mod unchanged;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use failure::Failure;
use workspace::Workspace;

/// One chore: what `--help` says of it and the function that does it.
struct Task {
    name: &'static str,
    arguments: &'static str,
    /// One line for the list of tasks.
    summary: &'static str,
    /// What `cargo xtask NAME --help` adds.
    details: &'static str,
    run: fn(&Workspace, &[OsString]) -> Result<(), Failure>,
}

const TASKS: &[Task] = &[
    Task {
        name: "bootstrap",
        arguments: "[FILE]",
        summary: "lower FILE, or binframe itself, rebuild it from the tables, and lower that again",
        details: "Builds the release command. Stage 0: lowers FILE (by default the command's own executable) with one\n\
                  thread and with all of them into target/bootstrap/. Stage 1: rebuilds it from the tables alone. Stage 2:\n\
                  lowers what was rebuilt, binframe itself by the rebuilt binframe. Refuses if any byte differs. Prints rows,\n\
                  sizes and times of every pass and table, the fingerprint of each stage, and commands to go on with.",
        run: bootstrap::run,
    },
    Task {
        name: "roundtrip",
        arguments: "[FOLDER...]",
        summary: "lower and rebuild every binary of the machine and compare every byte",
        details: "Builds the release command, then takes every ELF, PE, Mach-O and COFF file and every archive below the\n\
                  folders, by default those of the system and of the Rust toolchain. Prints how many are the same, and\n\
                  which are not. Takes minutes.",
        run: roundtrip::run,
    },
    Task {
        name: "test",
        arguments: "[ARGS...]",
        summary: "run every test; ARGS go to `cargo test --workspace`",
        details: "For example `cargo xtask test basic_blocks` or `cargo xtask test -p binframe-ir`.",
        run: develop::test,
    },
    Task {
        name: "mutate",
        arguments: "[--seed NUMBER] [--count NUMBER]",
        summary: "break files at random and check that each is refused or lowered as promised",
        details: "Runs the test `mutants` in a release build, with a million broken files if --count says nothing else.\n\
                  A failure prints the seed of its file, which makes that file alone again with --count 1, and where the\n\
                  file was left to be looked at.",
        run: develop::mutate,
    },
    Task {
        name: "compare",
        arguments: "",
        summary: "compare the tables of every ELF file of this machine with what readelf prints",
        details: "Runs the test `readelf` in a release build on every ELF file of the system and of the Rust toolchain,\n\
                  where `cargo xtask test` takes a sample of them. It takes minutes.",
        run: develop::compare,
    },
    Task {
        name: "score",
        arguments: "[--memory] [--examples NUMBER] [--folder FOLDER] [WORD...]",
        summary: "score the tables of real programs against what their compilers know",
        details: "Runs the test `score` in a release build. Sources that crates ship are downloaded and compiled with gcc and\n\
                  clang-19 at several levels of optimization, and kept in target/score/ or FOLDER: the first time takes\n\
                  some fifteen minutes. The compilers' word on functions, blocks, edges and jump tables is then compared\n\
                  with the tables of the stripped files. Words choose programs, compilers, levels, kinds and variants, as\n\
                  in `cargo xtask score sqlite gcc O2 bare`. --examples prints that many places of each kind that are\n\
                  missing or wrong; the file `full` beside each one has the symbols. --memory compares variables, frames and\n\
                  globals instead, with the debug information of builds that have some.",
        run: develop::score,
    },
    Task {
        name: "oracle",
        arguments: "[--steps NUMBER] [PROGRAM [ARGS...]]",
        summary: "run programs step by step, and compare what they touch with the tables of memory",
        details: "Runs the test `oracle` in a release build: a program is traced one instruction at a time while it is in its own\n\
                  code, NUMBER of them at most (a million if it is not said), and every address that it touches is compared\n\
                  with what `memory_accesses` says of the instruction, every stack with the bound in `stack_frames`, and who\n\
                  wrote last what an instruction reads with `data_flow`. Without PROGRAM, some programs of the system are\n\
                  run. Linux on x86-64 only.",
        run: develop::oracle,
    },
    Task {
        name: "dump",
        arguments: "TABLE FILE [ARGS...]",
        summary: "build the release command and run `binframe dump`",
        details: "All arguments go to `binframe dump`; `target/release/binframe dump --help` lists them.",
        run: develop::dump,
    },
    Task {
        name: "diff",
        arguments: "OLD NEW [ARGS...]",
        summary: "build the release command and run `binframe diff`",
        details: "All arguments go to `binframe diff`; `target/release/binframe diff --help` lists them.",
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
        name: "snapshots",
        arguments: "[review|accept]",
        summary: "collect changed snapshots; `review` shows them, `accept` takes them",
        details: "Without an argument, runs every test and writes each snapshot that changed beside the old one, as\n\
                  .snap.new. `review` prints the differences. Read them first: a snapshot is the specification of a\n\
                  table, and each changed line must be one that you meant to change. `accept` then replaces the old\n\
                  snapshots by the new ones; `git diff` shows them once more before you commit.",
        run: snapshots::run,
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
        summary: "run the criterion benches, or measure binframe beside its peers",
        details: "ARGS go to `cargo bench -p binframe-benches`; `cargo xtask bench -- --quick` takes seconds. `peers` runs\n\
                  benches/peers/disassemblers.py: objdump and binframe take turns on the same files (by default the\n\
                  toolchain's cargo), then they and other disassemblers on a smaller one; it prints the least of their\n\
                  times, peak memory, ratios and what each found. `queries` runs benches/peers/queries.py: SQL beside\n\
                  sqlelf, and over 1000 executables of the system. `peers --install` once installs the others.",
        run: develop::bench,
    },
    Task {
        name: "ci",
        arguments: "",
        summary: "check everything that a change must pass: format, lints, docs, tests",
        details: "Stops at the first check that fails and prints the command that mends it. `.ci/run` calls this.",
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
        "binframe's own chores\n\nUsage: cargo xtask TASK [ARGS...]\n\nTasks:\n{}\n\n\
         `cargo xtask TASK --help` says more of one task.",
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
