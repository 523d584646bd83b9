//! Tools that are not part of Rust: checks whether they are installed, and names the command that installs them.

use std::ffi::OsStr;

use crate::failure::Failure;

/// Known package managers, in order of preference, with their names of the packages that contain the compilers and the
/// binary utilities.
const PACKAGE_MANAGERS: &[PackageManager] = &[
    PackageManager {
        program: "apt-get",
        install: "apt-get install -y",
        cc: "gcc libc6-dev",
        cpp: "g++",
        clang: Some("clang-19 lld-19 llvm-19"),
        binutils: "binutils",
    },
    PackageManager {
        program: "dnf",
        install: "dnf install -y",
        cc: "gcc",
        cpp: "gcc-c++",
        clang: None,
        binutils: "binutils",
    },
    PackageManager {
        program: "pacman",
        install: "pacman -S --noconfirm",
        cc: "gcc",
        cpp: "gcc",
        clang: None,
        binutils: "binutils",
    },
    PackageManager {
        program: "zypper",
        install: "zypper install -y",
        cc: "gcc",
        cpp: "gcc-c++",
        clang: None,
        binutils: "binutils",
    },
    PackageManager {
        program: "apk",
        install: "apk add",
        cc: "gcc musl-dev",
        cpp: "g++",
        clang: None,
        binutils: "binutils",
    },
];

struct PackageManager {
    program: &'static str,
    install: &'static str,
    cc: &'static str,
    cpp: &'static str,
    /// Clang 19, its linker and its binary utilities, which `score` and `peers-files` use; `None` if the system does not package that version.
    clang: Option<&'static str>,
    binutils: &'static str,
}

impl PackageManager {
    /// Name of the package that contains a tool; `None` if it is not known.
    fn package(&self, tool: &str) -> Option<&'static str> {
        match tool {
            "cc" | "gcc" => Some(self.cc),
            "g++" => Some(self.cpp),
            "clang-19" | "ld.lld-19" | "llvm-readobj-19" | "llvm-objcopy-19" => self.clang,
            "objdump" | "readelf" | "as" | "strip" => Some(self.binutils),
            "eu-readelf" => Some("elfutils"),
            "git" => Some("git"),
            "python3" => Some("python3"),
            _ => None,
        }
    }
}

/// Fails with the install command if a tool is missing; `purpose` completes "… is needed to".
pub(crate) fn require(tool: &str, purpose: &str) -> Result<(), Failure> {
    if is_installed(tool) { Ok(()) } else { Err(Failure::Failed(missing(tool, purpose))) }
}

/// Prints a note if a tool is missing that only a part of the task needs.
pub(crate) fn note_if_missing(tool: &str, purpose: &str) {
    if !is_installed(tool) {
        eprintln!("note: {}", missing(tool, purpose));
    }
}

fn missing(tool: &str, purpose: &str) -> String {
    let install =
        install_command(tool).unwrap_or_else(|| format!("(the package of your system that has `{tool}`)"));
    format!("`{tool}` is needed to {purpose} and is not installed\n  install it with: {install}")
}

/// Command that installs a tool on this system; `None` if the package manager or the package is not known.
pub(crate) fn install_command(tool: &str) -> Option<String> {
    let manager = PACKAGE_MANAGERS.iter().find(|manager| is_installed(manager.program))?;
    let package = manager.package(tool)?;
    let sudo = if is_installed("sudo") { "sudo " } else { "" };
    Some(format!("{sudo}{} {package}", manager.install))
}

/// Whether a directory in `PATH` contains a program of this name.
fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| is_installed_on(&path, program))
}

fn is_installed_on(path: &OsStr, program: &str) -> bool {
    std::env::split_paths(path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_package_everywhere() {
        for manager in PACKAGE_MANAGERS {
            for tool in ["cc", "objdump", "readelf", "git", "python3"] {
                assert!(manager.package(tool).is_some(), "{tool} with {}", manager.program);
            }
        }
    }

    #[test]
    fn an_empty_path_holds_nothing() {
        assert!(!is_installed_on(OsStr::new(""), "sh"));
    }
}
