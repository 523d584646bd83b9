//! Paths of the workspace: its root, the target directory, the built command, the toolchain.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout in which `cargo xtask` was called.
pub(crate) struct Workspace {
    /// Directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the root by `CARGO_MANIFEST_DIR`, which cargo sets when it runs this program, or else by the path of the build.
    pub(crate) fn find() -> Self {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.parent().map_or_else(|| here.clone(), Path::to_path_buf);
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        Self { root, target }
    }

    /// A `cargo` command in the root, of the toolchain that runs this program.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }

    /// The command that builds `binframe` in release mode without SQL. SQL takes longer to build than everything else.
    pub(crate) fn build_without_sql(&self) -> Command {
        let mut command = self.cargo();
        command.args(["build", "--release", "-p", "binframe-cli", "--no-default-features"]);
        command
    }

    /// A path in the target directory, relative to the root, which is shorter to print.
    pub(crate) fn below_target(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// Path of the release build of `binframe`, relative to the root.
    pub(crate) fn binframe(&self) -> PathBuf {
        self.below_target(if cfg!(windows) { "release/binframe.exe" } else { "release/binframe" })
    }
}

/// The folder of the Rust toolchain that runs this program; `None` if this program was not started by cargo.
pub(crate) fn toolchain() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from)?;
    cargo.ancestors().nth(2).map(Path::to_path_buf)
}
