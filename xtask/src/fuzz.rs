//! `cargo xtask fuzz`: runs the fuzz targets as plain loops on stable Rust.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Targets, and the number of inputs that `cargo xtask ci` gives to each: about 6 s in a debug build on one core.
pub(crate) const SMOKE: [(&str, &str); 4] =
    [("pipeline", "400"), ("rebuild", "400"), ("rows", "4000"), ("parquet", "4000")];

/// Runs one target with the arguments of its program. Debug builds have the assertions that a fuzzer needs.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let targets = SMOKE.map(|(target, _)| target);
    let chosen = arguments.split_first().and_then(|(name, rest)| {
        let target = targets.iter().find(|target| name == **target)?;
        Some((target, rest))
    });
    let Some((target, rest)) = chosen else {
        return Err(Failure::Usage(format!("fuzz needs a target: {}", targets.join(", "))));
    };
    command::run(&mut self::target(workspace, target, rest)).map(drop)
}

/// The command that builds and runs a target.
pub(crate) fn target(workspace: &Workspace, target: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "-p", "binframe-fuzz", "--bin", target, "--"]).args(arguments);
    cargo
}
