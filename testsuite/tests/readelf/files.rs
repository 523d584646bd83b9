//! The files to compare.

use binframe_testsuite::objects::{self, Format};
use binframe_testsuite::{fixtures, programs, tools};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Folders with executables and libraries of the system.
const FOLDERS: [&str; 6] =
    ["/usr/bin", "/usr/sbin", "/usr/lib", "/lib", "/usr/lib64", "/usr/aarch64-linux-gnu"];

/// Number of files of a sample, and their maximum size.
const SAMPLE_FILES: usize = 30;
const SAMPLE_SIZE_MAX: u64 = 1 << 20;

/// Targets of LLVM's assembler: 32-bit and 64-bit, little-endian and big-endian.
const TARGETS: [&str; 16] = [
    "i386",
    "x86_64",
    "x86_64-linux-gnux32",
    "arm",
    "armeb",
    "aarch64",
    "aarch64_be",
    "mips",
    "mips64",
    "powerpc",
    "powerpc64",
    "powerpc64le",
    "riscv32",
    "riscv64",
    "s390x",
    "sparcv9",
];

/// Sections of several types, symbols of all kinds, and data relocations, for any architecture.
const ASSEMBLY: &str = "
    .file \"every_kind.s\"
    .data
    .globl object
    .type object, %object
    .size object, 8
object: .long elsewhere + 4
    .long local - 1
    .weak weak_name
weak_name: .long 0
    .protected guarded
guarded: .long 0
    .hidden hidden_name
local: .long hidden_name
    .comm shared, 24, 8
    .set number, 4711
    .section .tdata, \"awT\", %progbits
    .type per_thread, %tls_object
per_thread: .long 1
    .section .rodata.strings, \"aMS\", %progbits, 1
    .asciz \"text\"
    .section .bss.large, \"aw\", %nobits
    .zero 4096
    .section .note.test, \"a\", %note
    .long 5, 4, 1
    .asciz \"test\"
    .balign 4
    .long 7
    .section .text.member, \"axG\", %progbits, member, comdat
    .long 0
    .section .excluded, \"e\", %progbits
    .long 0
    .section .init_array, \"aw\", %init_array
    .long local
";

/// Paths of files; generated files are in a temporary folder that is deleted when dropped.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    _made: TempDir,
}

impl Files {
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

/// Generated files, and a sample of the installed files or all of them.
pub(super) fn files() -> Files {
    let made = tempfile::tempdir().expect("a temporary folder");
    if let Some(paths) = tools::files_to_compare() {
        let paths = paths.into_iter().filter(|path| is_elf(path)).collect();
        return Files { paths, _made: made };
    }
    let mut paths = make(made.path());
    let mut present = BTreeSet::new();
    let toolchains = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let toolchains = toolchains.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".rustup")));
    for folder in FOLDERS.iter().map(PathBuf::from).chain(toolchains) {
        // Some folders are symbolic links to others.
        tools::collect(&fs::canonicalize(&folder).unwrap_or(folder), &mut present);
    }
    if std::env::var_os("BINFRAME_COMPARE").is_none_or(|asked| asked != "all") {
        present.retain(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() <= SAMPLE_SIZE_MAX));
        let mut sample: Vec<_> = present.into_iter().collect();
        sample.sort_by_key(|path| fnv1a(path.as_os_str().as_encoded_bytes()));
        present = sample.into_iter().filter(|path| is_elf(path)).take(SAMPLE_FILES).collect();
    }
    paths.extend(present.into_iter().filter(|path| is_elf(path)));
    Files { paths, _made: made }
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// FNV-1a. Any hash that is the same on every machine would do.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn make(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut write = |name: String, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("the temporary folder is writable");
        paths.push(path);
    };
    write("loops_and_calls".to_owned(), &fixtures::loops_and_calls().bytes);
    for (format, architecture) in objects::ALL.into_iter().filter(|(format, _)| *format == Format::Elf) {
        write(format!("{architecture:?}.o"), &objects::object(format, architecture));
    }
    for target in TARGETS {
        let path = folder.join(format!("{target}.o"));
        paths.extend(assemble(target, &path).then_some(path));
    }
    let shared = ["-shared", "-fPIC", "-nostdlib", "-g", "-Wl,-z,pack-relative-relocs"];
    paths.extend(programs::compile_c("library-with-relr", programs::LIBRARY_C, &shared));
    paths.push(programs::compile_rust("tokens", programs::TOKENS_RS, &["-O"]));
    paths
}

/// Assembles for a target; returns whether the assembler supports it.
fn assemble(target: &str, path: &Path) -> bool {
    let Some(assembler) = tools::find("llvm-mc") else { return false };
    let mut assembler = Command::new(assembler);
    let target = if target.contains('-') { target.to_owned() } else { format!("{target}-linux-gnu") };
    assembler.arg(format!("-triple={target}")).args(["-filetype=obj", "-o"]).arg(path);
    let mut child =
        assembler.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool is installed");
    let mut input = child.stdin.take().expect("stdin is piped");
    input.write_all(ASSEMBLY.as_bytes()).expect("the assembler reads its input");
    drop(input);
    let output = child.wait_with_output().expect("the assembler exits");
    assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
    true
}
