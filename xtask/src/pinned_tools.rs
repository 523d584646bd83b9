//! Tools of `cargo xtask ci` that crates.io provides, in fixed versions.

use std::ffi::OsString;
use std::process::Command;

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// A tool of `cargo xtask ci` that crates.io provides. Its version is fixed, so that a new release does not change the
/// result of an old commit.
pub(crate) struct PinnedTool {
    pub(crate) program: &'static str,
    package: &'static str,
    version: &'static str,
}

/// Spelling.
pub(crate) const TYPOS: PinnedTool = PinnedTool { program: "typos", package: "typos-cli", version: "1.52.0" };
/// Dependencies that no source file uses.
pub(crate) const MACHETE: PinnedTool =
    PinnedTool { program: "cargo-machete", package: "cargo-machete", version: "0.9.2" };
/// Licences and sources of dependencies.
pub(crate) const DENY: PinnedTool =
    PinnedTool { program: "cargo-deny", package: "cargo-deny", version: "0.20.2" };

const PINNED: [PinnedTool; 3] = [TYPOS, MACHETE, DENY];

impl PinnedTool {
    /// Whether the tool is installed in its version.
    fn is_installed(&self) -> bool {
        let output = Command::new(self.program).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.is_ok_and(|text| text.split_whitespace().any(|word| word == self.version))
    }

    /// Arguments of the cargo command that installs the tool. A debug build takes half the time of a release build, and
    /// these tools run for a second.
    fn install(&self) -> [String; 4] {
        let package = format!("{}@{}", self.package, self.version);
        ["install".to_owned(), "--locked".to_owned(), "--debug".to_owned(), package]
    }
}

/// `cargo xtask tools`: installs the pinned tools that are missing.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::Usage("tools takes no argument".to_owned()));
    }
    for tool in PINNED.iter().filter(|tool| !tool.is_installed()) {
        command::run(workspace.cargo().args(tool.install()))?;
    }
    Ok(())
}

/// Fails if a pinned tool is missing or of another version.
pub(crate) fn require_pinned() -> Result<(), Failure> {
    let missing = PINNED.iter().filter(|tool| !tool.is_installed());
    let missing: Vec<String> = missing.map(|tool| format!("{} {}", tool.program, tool.version)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(Failure::Failed(format!("not installed: {missing}\n  install with: cargo xtask tools")))
}
