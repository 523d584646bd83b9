//! `(architecture) -> linked PE file`, linked by the `rust-lld` of the Rust toolchain; Windows tools are not needed.

use crate::apple;
use crate::objects::{self, Architecture, Format};
use std::fs;
use std::process::Command;

/// Links `objects::object` to an executable whose entry point is `checked_twice`. The undefined function `report` gets
/// the address of the image. `None`, with a message, if the toolchain has no `rust-lld`.
pub fn executable(architecture: Architecture) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = objects::object(Format::Coff, architecture);
    fs::write(folder.path().join("object.obj"), object).expect("the temporary folder is writable");
    let mut command = Command::new(apple::linker()?);
    command.current_dir(folder.path());
    // `-brepro` replaces the link time by a hash.
    command.args(["-flavor", "link", "-nodefaultlib", "-entry:checked_twice", "-subsystem:console"]);
    command.args(["-force:unresolved", "-brepro", "-out:linked.exe", "object.obj"]);
    let output = command.output().expect("the linker can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(fs::read(folder.path().join("linked.exe")).expect("the linker has written a file"))
}
