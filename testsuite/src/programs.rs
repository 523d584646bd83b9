//! Programs that the compilers of the machine compile on demand.
//!
//! Their bytes differ between machines, so tests check properties and take no snapshots. Compiled programs are cached
//! in the target directory, keyed by source, flags and compiler version.

use crate::tools;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// C: a switch with a jump table, function pointers, recursion, variadic functions, `alloca`.
pub const SWITCH_C: &str = include_str!("../programs/switch.c");

/// C: `qsort` with callbacks, globals, static variables, string functions.
pub const SORT_C: &str = include_str!("../programs/sort.c");

/// C: a library without dependencies, with addresses in data, constructors, cleanups, and thread-local, weak and
/// undefined symbols.
pub const LIBRARY_C: &str = include_str!("../programs/library.c");

/// C for Windows, without a C library: imports, exports, addresses in data, thread-local storage, resources.
pub const WINDOWS_C: &str = include_str!("../programs/windows.c");

/// C++ for Windows: exception scopes and states.
pub const HANDLERS_CPP: &str = include_str!("../programs/handlers.cpp");

/// C: types and variables of all kinds, inlined calls.
pub const SHAPES_C: &str = include_str!("../programs/shapes.c");

/// C without a library: a jump table, function pointers, recursion, two-register integers, `ret n`.
pub const FREESTANDING_C: &str = include_str!("../programs/freestanding.c");

/// x86-64 assembly in C: constants, a jump table, zeros and padding between code.
pub const DATA_IN_CODE_C: &str = include_str!("../programs/data_in_code.c");

/// x86-64 assembly in C: memory ranges filled through an address on the stack.
pub const RUNS_C: &str = include_str!("../programs/runs.c");

/// Rust: enumerations, vectors, closures, trait objects, a caught panic.
pub const TOKENS_RS: &str = include_str!("../programs/tokens.rs");

/// Compiles a C program with `cc` and returns the path of the executable.
///
/// `None`, with a message, if `cc` is not installed. Panics if the program does not compile.
pub fn compile_c(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    compile("cc", &[], "c", name, source, flags)
}

/// Compiles a C library for 64-bit Windows with MinGW and without start files. `None`, with a message, if MinGW is not
/// installed.
pub fn compile_windows(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    compile(
        "x86_64-w64-mingw32-gcc",
        &["-shared", "-nostartfiles", "-Wl,-e,entry,--no-insert-timestamp"],
        "c",
        name,
        source,
        flags,
    )
}

/// Compiles a C program for Windows with clang and lld, without libraries; imports stay unresolved. `None`, with a
/// message, if clang is not installed.
pub fn compile_msvc(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    compile("clang", &MSVC_FLAGS, "c", name, source, flags)
}

/// Compiles a C++ program as [`compile_msvc`] does a C program, with SEH and C++ exceptions.
pub fn compile_msvc_cpp(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    const EXCEPTIONS: [&str; 4] =
        ["--target=x86_64-pc-windows-msvc", "-fexceptions", "-fcxx-exceptions", "-fms-extensions"];
    let linked: &[&str] = if flags.contains(&"-c") { &[] } else { &MSVC_FLAGS };
    compile("clang", linked, "cpp", name, source, &[&EXCEPTIONS, flags].concat())
}

const MSVC_FLAGS: [&str; 6] = [
    "-fuse-ld=lld",
    "-nostdlib",
    "-Wl,-entry:entry",
    "-Wl,-subsystem:console",
    "-Wl,-force:unresolved",
    "-Wl,-brepro",
];

/// Compiles a freestanding C program for 32-bit x86 with clang and lld. `None`, with a message, if clang is not
/// installed.
pub fn compile_x86_32(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let linked = ["-fuse-ld=lld", "-nostdlib", "-ffreestanding", "-Wl,-e,entry"];
    compile("clang", &linked, "c", name, source, &[&["--target=i386-linux-gnu"], flags].concat())
}

/// Compiles a freestanding C program for 32-bit Windows, as [`compile_msvc`] does for 64-bit Windows.
pub fn compile_msvc_32(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let target = ["--target=i686-pc-windows-msvc", "-ffreestanding", "-Wl,-safeseh:no"];
    compile("clang", &MSVC_FLAGS, "c", name, source, &[&target, flags].concat())
}

/// Compiles a C program with the compiler of the given name, as [`compile_c`] does with `cc`.
pub fn compile_c_with(compiler: &str, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    compile(compiler, &[], "c", name, source, flags)
}

/// Compiles a Rust program with `rustc` and returns the path of the executable. Panics if it does not compile.
pub fn compile_rust(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    compile("rustc", &["--edition=2024"], "rs", name, source, flags)
        .expect("a machine that runs Rust tests has rustc")
}

fn compile(
    compiler: &str,
    fixed_flags: &[&str],
    extension: &str,
    name: &str,
    source: &str,
    flags: &[&str],
) -> Option<PathBuf> {
    let compiler = tools::find(compiler)?;
    let version = tools::output(Command::new(&compiler).arg("--version"))?;
    let cache = cache_directory();
    let key = key(&(&version.stdout, source, flags));
    let executable = cache.join(format!("{name}-{key:016x}"));
    if executable.exists() {
        return Some(executable);
    }

    // Tests in parallel may compile the same program. Each uses its own temporary directory, and the final rename is
    // atomic.
    let directory = tempfile::tempdir_in(&cache).expect("the target directory is writable");
    let source_path = directory.path().join(format!("{name}.{extension}"));
    fs::write(&source_path, source).expect("the target directory is writable");
    // Without an extension, MinGW would add one.
    let output_path = directory.path().join(format!("{name}.out"));
    let mut command = Command::new(&compiler);
    command.args(fixed_flags).args(flags).arg(&source_path).arg("-o").arg(&output_path);
    let output = tools::output(command.current_dir(directory.path()))?;
    assert!(
        output.status.success(),
        "{compiler} does not compile {name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&output_path, &executable).expect("both paths are in one directory tree");
    Some(executable)
}

fn key(parts: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// The program cache in the target directory of the running test.
fn cache_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    // Cargo marks its target directory with this file.
    let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let cache = target.map_or(built_in, Path::to_path_buf).join("testsuite-programs");
    fs::create_dir_all(&cache).expect("the target directory is writable");
    cache
}
