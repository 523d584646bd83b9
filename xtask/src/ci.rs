//! `cargo xtask ci`: every check that a change must pass, those that answer soon first.

use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use crate::command;
use crate::develop;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// One check: the arguments and environment of its `cargo` command, and how to fix what it finds.
struct Check {
    name: &'static str,
    cargo: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    fix: &'static str,
}

const CHECKS: &[Check] = &[
    Check { name: "format", cargo: &["fmt", "--all", "--check"], environment: &[], fix: "cargo fmt --all" },
    Check {
        name: "lints",
        cargo: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        environment: &[],
        fix: "cargo clippy --workspace --all-targets --fix --allow-dirty, and by hand what that leaves",
    },
    Check {
        name: "docs",
        cargo: &["doc", "--workspace", "--no-deps"],
        environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
        fix: "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps, after changing the comments named above",
    },
    Check {
        name: "tests",
        cargo: develop::TEST,
        environment: &[],
        fix: "cargo xtask schemas if docs/SCHEMAS.md is stale; cargo xtask snapshots, then cargo xtask snapshots \
              review, if a snapshot changed; else the test's own message says what it expected",
    },
];

/// Runs the checks in order and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::Usage("ci takes no argument".to_owned()));
    }
    let started = Instant::now();
    for check in CHECKS {
        let mut cargo = workspace.cargo();
        cargo.args(check.cargo).envs(check.environment.iter().copied());
        run_check(check, &mut cargo)?;
    }
    println!("\nall {} checks passed in {:.1} s", CHECKS.len(), started.elapsed().as_secs_f64());
    Ok(())
}

fn run_check(check: &Check, cargo: &mut Command) -> Result<(), Failure> {
    println!("\n{}: {}", check.name, command::text_of(cargo));
    let started = Instant::now();
    let outcome = command::run(cargo);
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(_) => {
            println!("{}: passed in {seconds:.1} s", check.name);
            Ok(())
        }
        Err(Failure::Exited(_)) => Err(Failure::Failed(format!(
            "{} failed after {seconds:.1} s\n  to fix it: {}",
            check.name, check.fix
        ))),
        Err(failure) => Err(failure),
    }
}
