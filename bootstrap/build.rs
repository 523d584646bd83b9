//! Compiles the heap recorder: a library without dependencies that the command carries and loads into programs.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The recorder reads registers of this processor, and is loaded by the loader of glibc.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let variable = |name| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    for source in ["heap-recorder", "src/capture/heap/channel.rs"] {
        println!("cargo::rerun-if-changed={source}");
    }
    let library = Path::new(&variable("OUT_DIR")).join("heap_recorder.so");
    if variable("TARGET") != TARGET {
        fs::write(&library, []).unwrap_or_else(|error| panic!("{}: {error}", library.display()));
        return;
    }
    let mut compile = Command::new(variable("RUSTC"));
    compile.args(["--crate-name", "binframe_heap_recorder", "--crate-type", "cdylib", "--edition", "2024"]);
    // Without link-time optimization, the library would refer to functions that only programs in Rust have.
    compile.args(["--target", TARGET, "-Copt-level=3", "-Cpanic=abort", "-Clto=fat", "-Cstrip=symbols"]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        compile.arg(option);
    }
    compile.arg("heap-recorder/recorder.rs").arg("-o").arg(&library);
    let status = compile.status().unwrap_or_else(|error| panic!("{compile:?}: {error}"));
    assert!(status.success(), "the heap recorder does not compile");
}
