//! Where things are: the root of the workspace, the target directory, the built command.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout that `cargo xtask` was called in.
pub(crate) struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Cargo sets `CARGO_MANIFEST_DIR` when it runs this program; the path of the build serves when it is called bare.
    pub(crate) fn find() -> Self {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.parent().map_or_else(|| here.clone(), Path::to_path_buf);
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        Self { root, target }
    }

    /// A `cargo` command that runs at the root, with the toolchain that built this program.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }

    /// What builds the release of the `binframe` command that has all but SQL, which takes longer than the rest together.
    pub(crate) fn build_without_sql(&self) -> Command {
        let mut command = self.cargo();
        command.args(["build", "--release", "-p", "binframe-cli", "--no-default-features"]);
        command
    }

    /// A path below the target directory, relative to the root: short enough to print and to type.
    pub(crate) fn below_target(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// The release build of the `binframe` command, relative to the root.
    pub(crate) fn binframe(&self) -> PathBuf {
        self.below_target(if cfg!(windows) { "release/binframe.exe" } else { "release/binframe" })
    }
}
