//! `cargo xtask ci`: every check that a change must pass. Checks that answer soon come first.

use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use crate::command;
use crate::develop;
use crate::failure::Failure;
use crate::pinned_tools::{self, DENY, MACHETE, TYPOS};
use crate::workspace::Workspace;

/// One check: a command, its environment, and how to fix what it finds.
struct Check {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    fix: &'static str,
}

impl Check {
    const fn new(
        name: &'static str,
        program: &'static str,
        arguments: &'static [&'static str],
        fix: &'static str,
    ) -> Self {
        Self { name, program, arguments, environment: &[], fix }
    }
}

const CHECKS: &[Check] = &[
    Check::new("format", "cargo", &["fmt", "--all", "--check"], "cargo fmt --all"),
    Check::new(
        "spelling",
        TYPOS.program,
        &[],
        "typos --write-changes; add words that are correct to typos.toml",
    ),
    Check::new(
        "unused dependencies",
        MACHETE.program,
        &[],
        "remove the dependencies named above from their Cargo.toml",
    ),
    Check::new(
        "dependencies",
        DENY.program,
        &["--locked", "check", "bans", "licenses", "sources"],
        "replace the dependency named above, or change deny.toml and say why",
    ),
    Check::new(
        "lints",
        "cargo",
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        "cargo clippy --workspace --all-targets --fix --allow-dirty, and the rest by hand",
    ),
    Check::new(
        "build without SQL",
        "cargo",
        &["clippy", "-p", "binframe-cli", "--no-default-features", "--", "-D", "warnings"],
        "put code that only `binframe sql` uses under #[cfg(feature = \"sql\")]",
    ),
    Check {
        environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
        ..Check::new(
            "docs",
            "cargo",
            &["doc", "--workspace", "--no-deps"],
            "correct the comments named above, and run RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps",
        )
    },
    Check::new(
        "tests",
        "cargo",
        develop::TEST,
        "cargo xtask schemas if docs/SCHEMAS.md is out of date; cargo xtask bless if an expected result changed; \
         otherwise see the message of the test",
    ),
];

/// Known vulnerabilities of dependencies. Their database is in the network.
const ADVISORIES: Check = Check::new(
    "advisories",
    DENY.program,
    &["--locked", "check", "advisories"],
    "cargo update the dependency named above, or replace it",
);

const ADVISORY_DATABASE: &str = "https://github.com/rustsec/advisory-db";

fn can_reach_advisories() -> bool {
    let mut git = Command::new("git");
    git.args(["ls-remote", "--exit-code", ADVISORY_DATABASE, "HEAD"]).env("GIT_TERMINAL_PROMPT", "0");
    git.output().is_ok_and(|output| output.status.success())
}

/// Runs the checks in order and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::Usage("ci takes no argument".to_owned()));
    }
    // Otherwise a missing tool would be reported only after the checks before it.
    pinned_tools::require_pinned()?;
    let started = Instant::now();
    let advisories = can_reach_advisories().then_some(&ADVISORIES);
    if advisories.is_none() {
        println!("{}: not checked, because {ADVISORY_DATABASE} cannot be reached", ADVISORIES.name);
    }
    for check in CHECKS.iter().chain(advisories) {
        let mut command = match check.program {
            "cargo" => workspace.cargo(),
            program => {
                let mut command = Command::new(program);
                command.current_dir(&workspace.root);
                command
            }
        };
        command.args(check.arguments).envs(check.environment.iter().copied());
        run_check(check.name, check.fix, &mut command)?;
    }
    println!(
        "\nall {} checks passed in {:.1} s",
        CHECKS.iter().chain(advisories).count(),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn run_check(name: &str, fix: &str, command: &mut Command) -> Result<(), Failure> {
    println!("\n{name}: {}", command::text_of(command));
    let started = Instant::now();
    let outcome = command::run(command);
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(_) => {
            println!("{name}: passed in {seconds:.1} s");
            Ok(())
        }
        Err(Failure::Exited(_)) => {
            Err(Failure::Failed(format!("{name} failed after {seconds:.1} s\n  to fix it: {fix}")))
        }
        Err(failure) => Err(failure),
    }
}
