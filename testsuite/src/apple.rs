//! `(objects) -> linked Mach-O files`, linked by the `rust-lld` of the Rust toolchain; C and C++ objects are compiled
//! by clang.

use crate::objects::{self, Architecture, Format};
use crate::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Encoding of the pointers that the loader has to relocate or bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixups {
    /// Opcode streams (`LC_DYLD_INFO_ONLY`).
    Operations,
    /// Chained pointers, each with the distance to the next (`LC_DYLD_CHAINED_FIXUPS`).
    Chains,
}

/// Links `objects::object` to an executable whose entry point is `checked_twice`. `None`, with a message, if the
/// toolchain has no `rust-lld`.
pub fn executable(architecture: Architecture, fixups: Fixups) -> Option<Vec<u8>> {
    let object = objects::object(Format::MachO, architecture);
    link(architecture, fixups, &[&object], &["-execute", "-e", "_checked_twice"])
}

/// Links objects. Undefined symbols are resolved by the loader.
pub fn link(
    architecture: Architecture,
    fixups: Fixups,
    objects: &[&[u8]],
    flags: &[&str],
) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    link_in(folder.path(), architecture, fixups, objects, flags)?;
    Some(fs::read(folder.path().join("linked")).expect("the linker has written a file"))
}

/// Links objects to the file `linked` in a folder.
fn link_in(
    folder: &Path,
    architecture: Architecture,
    fixups: Fixups,
    objects: &[&[u8]],
    flags: &[&str],
) -> Option<()> {
    let mut command = Command::new(linker()?);
    command.current_dir(folder);
    command.args(["-flavor", "darwin", "-platform_version", "macos", "13.1", "13.3", "-arch"]);
    command.arg(match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Aarch64 => "arm64",
    });
    command.arg(match fixups {
        Fixups::Operations => "-no_fixup_chains",
        Fixups::Chains => "-fixup_chains",
    });
    command.args(["-undefined", "dynamic_lookup", "-o", "linked"]).args(flags);
    for (index, object) in objects.iter().enumerate() {
        let name = format!("{index}.o");
        fs::write(folder.join(&name), object).expect("the temporary folder is writable");
        command.arg(name);
    }
    let output = command.output().expect("the linker can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

/// Links an object to the file `linked` in a folder, with a dSYM bundle next to it. `None`, with a message, if a tool
/// is not installed.
pub fn link_with_bundle(folder: &Path, object: &[u8], flags: &[&str]) -> Option<()> {
    link_in(folder, Architecture::X86_64, Fixups::Operations, &[object], flags)?;
    tools::run(Command::new(tools::find("dsymutil")?).current_dir(folder).arg("linked")).map(drop)
}

/// `rust-lld` from the folder of the toolchain's target.
pub(crate) fn linker() -> Option<PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc");
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).expect("UTF-8").trim());
    let targets = fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    let linkers = targets.flatten().map(|target| target.path().join("bin/rust-lld"));
    let found = linkers.into_iter().find(|path| path.exists());
    if found.is_none() {
        tools::report_missing("rust-lld");
    }
    found
}

/// Compiles C or C++, selected by the file extension, to an object. `None`, with a message, if clang is not installed.
pub fn compile(architecture: &str, extension: &str, source: &str, flags: &[&str]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = format!("source.{extension}");
    fs::write(folder.path().join(&name), source).expect("the temporary folder is writable");
    let target = format!("{architecture}-apple-macos11");
    let mut arguments = vec!["-target", &target, "-ffreestanding", "-nostdinc", "-c", &name, "-o", "object"];
    arguments.extend(flags);
    tools::run(Command::new(tools::find("clang")?).current_dir(folder.path()).args(&arguments))?;
    Some(fs::read(folder.path().join("object")).expect("the compiler has written a file"))
}

/// Output of an LLVM tool for a file. `None`, with a message, if the tool is not installed.
pub fn llvm(tool: &str, arguments: &[&str], file: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("input");
    fs::write(&path, file).expect("the temporary folder is writable");
    tools::print(&tools::find(&format!("llvm-{tool}"))?, arguments, &path)
}
