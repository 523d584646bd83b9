//! `(target, kind) -> file`: one program of each file format, compiled for many architectures and linked in many ways.
//!
//! clang and lld make the files, and gcc where a cross compiler is installed. [`TARGETS`] and [`KINDS`] are the two
//! dimensions, of which only those of the same [`Format`] meet; [`REJECTED`] lists what the tools cannot make, with the
//! reason.

use crate::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Linux.
    Elf,
    /// Windows: PE files and COFF objects.
    Pe,
    /// Apple's systems.
    MachO,
}

impl Format {
    /// The program that all files of the format are made of.
    const fn source(self) -> &'static str {
        match self {
            Self::Elf => include_str!("../programs/matrix.c"),
            Self::Pe => include_str!("../programs/exports.c"),
            Self::MachO => include_str!("../programs/apple.c"),
        }
    }
}

/// Versions of some symbols of the program, for the linker.
const VERSIONS: &str =
    "V_1 { global: run; weak_one; }; V_2 { global: choose; head; per_thread; local: hidden_one; } V_1;";

/// The library that a PE file imports from.
const IMPORTED: &str = "LIBRARY other.dll\nEXPORTS\nelsewhere\n";

/// A compiler with the architecture and ABI that it compiles for.
pub struct Target {
    /// Name of the folder that receives the files.
    pub name: &'static str,
    /// Format of its files.
    pub format: Format,
    compiler: Compiler,
    flags: &'static [&'static str],
}

impl Target {
    /// What `llvm-dlltool` calls the architecture.
    fn machine(&self) -> &'static str {
        match self.name {
            "windows-i686" => "i386",
            "windows-aarch64" => "arm64",
            "windows-arm" => "arm",
            _ => "i386:x86-64",
        }
    }
}

#[derive(Clone, Copy)]
enum Compiler {
    /// clang with lld, for a target triple.
    Clang(&'static str),
    /// gcc with GNU ld, by the prefix of their names.
    Gcc(&'static str),
}

const fn clang(name: &'static str, triple: &'static str, flags: &'static [&'static str]) -> Target {
    Target { name, format: Format::Elf, compiler: Compiler::Clang(triple), flags }
}

const fn gcc(name: &'static str, prefix: &'static str, flags: &'static [&'static str]) -> Target {
    Target { name, format: Format::Elf, compiler: Compiler::Gcc(prefix), flags }
}

/// A target of another format.
const fn of(format: Format, mut target: Target) -> Target {
    target.format = format;
    target
}

/// Number of targets of a sample. clang compiles for all of them.
pub const SAMPLE_TARGETS: usize = 22;

/// For targets whose code calls functions of the C library or the compiler that the program does not have.
const UNRESOLVED: &[&str] = &["-Wl,--unresolved-symbols=ignore-all"];

/// For Apple's linker: the loader finds what the program does not have.
const DYNAMIC_LOOKUP: &[&str] = &["-Wl,-undefined,dynamic_lookup"];

/// All targets: 32-bit and 64-bit, little-endian and big-endian, with `REL` and `RELA`. The first
/// [`SAMPLE_TARGETS`] differ most.
pub const TARGETS: &[Target] = &[
    clang("x86-64", "x86_64-linux-gnu", &[]),
    clang("i386", "i386-linux-gnu", &[]),
    clang("arm", "armv7a-linux-gnueabihf", UNRESOLVED),
    clang("aarch64", "aarch64-linux-gnu", &["-mbranch-protection=standard"]),
    clang("aarch64_be", "aarch64_be-linux-gnu", &[]),
    clang("riscv32", "riscv32-linux-gnu", &["-march=rv32gc"]),
    clang("riscv64", "riscv64-linux-gnu", &["-march=rv64gc"]),
    clang("ppc", "powerpc-linux-gnu", &[]),
    clang("ppc64", "powerpc64-linux-gnu", &["-mabi=elfv1"]),
    clang("ppc64le", "powerpc64le-linux-gnu", &[]),
    clang("mips", "mips-linux-gnu", &[]),
    clang("mips64", "mips64-linux-gnuabi64", &[]),
    clang("mips64el", "mips64el-linux-gnuabi64", &[]),
    clang("s390x", "s390x-linux-gnu", &[]),
    clang("loongarch64", "loongarch64-linux-gnu", &[]),
    clang("sparc64", "sparc64-linux-gnu", &[]),
    of(Format::Pe, clang("windows-x86-64", "x86_64-w64-windows-gnu", &[])),
    of(Format::Pe, clang("windows-i686", "i686-w64-windows-gnu", &[])),
    of(Format::Pe, clang("windows-aarch64", "aarch64-w64-windows-gnu", &[])),
    of(Format::Pe, clang("windows-arm", "armv7-w64-windows-gnu", &[])),
    of(Format::MachO, clang("macos-x86-64", "x86_64-apple-macos10.12", DYNAMIC_LOOKUP)),
    of(Format::MachO, clang("macos-arm64", "arm64-apple-macos13", DYNAMIC_LOOKUP)),
    clang("x32", "x86_64-linux-gnux32", &[]),
    clang("armeb", "armebv7a-linux-gnueabi", UNRESOLVED),
    clang("ppc64-elfv2", "powerpc64-linux-gnu", &["-mabi=elfv2"]),
    clang("mipsel", "mipsel-linux-gnu", &[]),
    clang("mips-n32", "mips64-linux-gnuabin32", &[]),
    of(Format::Pe, gcc("mingw-x86-64", "x86_64-w64-mingw32", &[])),
    gcc("gcc-x86-64", "x86_64-linux-gnu", &[]),
    gcc("gcc-aarch64", "aarch64-linux-gnu", &[]),
    gcc("gcc-arm", "arm-linux-gnueabihf", &[]),
    gcc("gcc-riscv64", "riscv64-linux-gnu", &[]),
    gcc("gcc-ppc", "powerpc-linux-gnu", &[]),
    gcc("gcc-ppc64", "powerpc64-linux-gnu", &[]),
    gcc("gcc-ppc64le", "powerpc64le-linux-gnu", &[]),
    gcc("gcc-mips", "mips-linux-gnu", &[]),
    gcc("gcc-mipsel", "mipsel-linux-gnu", &[]),
    gcc("gcc-mips64", "mips64-linux-gnuabi64", &[]),
    gcc("gcc-mips64el", "mips64el-linux-gnuabi64", &[]),
    gcc("gcc-s390x", "s390x-linux-gnu", &[]),
    gcc("gcc-sparc64", "sparc64-linux-gnu", &[]),
    gcc("gcc-m68k", "m68k-linux-gnu", UNRESOLVED),
    gcc("gcc-hppa", "hppa-linux-gnu", &[]),
    gcc("gcc-alpha", "alpha-linux-gnu", &[]),
    gcc("gcc-sh4", "sh4-linux-gnu", &[]),
];

/// A kind of file: its name, and the command that makes it.
pub struct Kind {
    /// Name of the file.
    pub name: &'static str,
    /// Format of the file.
    pub format: Format,
    step: Step,
}

enum Step {
    /// The compiler of the target, with flags.
    Compile(&'static [&'static str]),
    /// The compiler of targets that clang and lld support, with flags.
    CompileWithClang(&'static [&'static str]),
    /// `llvm-objcopy`, with flags and the file that it changes.
    Change { flags: &'static [&'static str], from: &'static str },
    /// `llvm-ar`, with the members.
    Archive(&'static [&'static str]),
    /// `llvm-dlltool`: the library that the program imports from.
    ImportLibrary,
}

const fn compile(name: &'static str, flags: &'static [&'static str]) -> Kind {
    Kind { name, format: Format::Elf, step: Step::Compile(flags) }
}

const fn compile_with_clang(name: &'static str, flags: &'static [&'static str]) -> Kind {
    Kind { name, format: Format::Elf, step: Step::CompileWithClang(flags) }
}

const fn change(name: &'static str, flags: &'static [&'static str], from: &'static str) -> Kind {
    Kind { name, format: Format::Elf, step: Step::Change { flags, from } }
}

const fn archive(name: &'static str, members: &'static [&'static str]) -> Kind {
    Kind { name, format: Format::Elf, step: Step::Archive(members) }
}

/// A kind of PE files.
const fn pe(kind: Kind) -> Kind {
    Kind { format: Format::Pe, ..kind }
}

/// A kind of Mach-O files.
const fn macho(kind: Kind) -> Kind {
    Kind { format: Format::MachO, ..kind }
}

/// All kinds. A kind that is made from another comes after it.
pub const KINDS: &[Kind] = &[
    compile("object.o", &["-c"]),
    compile("sections.o", &["-c", "-fPIC", "-ffunction-sections", "-fdata-sections"]),
    compile("dwarf4.o", &["-c", "-gdwarf-4"]),
    compile("dwarf5.o", &["-c", "-gdwarf-5"]),
    compile("compressed.o", &["-c", "-gz=zlib"]),
    compile("split.o", &["-c", "-gsplit-dwarf"]),
    compile_with_clang("crel.o", &["-c", "-fPIC", "-Wa,--crel", "-Wa,--allow-experimental-crel"]),
    compile("relocatable.o", &["-r", "-fPIC"]),
    compile("exe", &["-static", "-no-pie"]),
    compile("static-pie", &["-static-pie", "-fPIE"]),
    compile(
        "shared.so",
        &["-shared", "-fPIC", "-Wl,-soname=libmatrix.so.1", "-Wl,--version-script=matrix.map"],
    ),
    compile(
        "needed.so",
        &["-shared", "-fPIC", "-Wl,--no-as-needed", "shared.so", "-Wl,-rpath,/folder", "-Wl,--build-id=sha1"],
    ),
    compile("hash.so", &["-shared", "-fPIC", "-Wl,--hash-style=sysv", "-Wl,-z,now"]),
    compile("emit-relocs.so", &["-shared", "-fPIC", "-Wl,--emit-relocs"]),
    compile("relr.so", &["-shared", "-fPIC", "-Wl,-z,pack-relative-relocs"]),
    compile_with_clang("android.so", &["-shared", "-fPIC", "-Wl,--pack-dyn-relocs=android"]),
    compile_with_clang(
        "android-relr.so",
        &["-shared", "-fPIC", "-Wl,--pack-dyn-relocs=android+relr", "-Wl,--use-android-relr-tags"],
    ),
    compile_with_clang("compressed.so", &["-shared", "-fPIC", "-Wl,--compress-debug-sections=zstd"]),
    change("copied.dwo", &[], "split.dwo"),
    change("stripped.o", &["--strip-debug"], "object.o"),
    change("stripped.so", &["--strip-all"], "shared.so"),
    change("stripped", &["--strip-all"], "exe"),
    change("shared.debug", &["--only-keep-debug"], "shared.so"),
    change("no-sections.so", &["--strip-sections"], "shared.so"),
    change("no-sections-hash.so", &["--strip-sections"], "hash.so"),
    change("no-sections-relr.so", &["--strip-sections"], "relr.so"),
    change("no-sections-android.so", &["--strip-sections"], "android.so"),
    archive("archive.a", &["object.o", "sections.o", "dwarf4.o"]),
    pe(compile("object.obj", &["-c"])),
    pe(compile("sections.obj", &["-c", "-ffunction-sections"])),
    Kind { name: "import.a", format: Format::Pe, step: Step::ImportLibrary },
    pe(compile("library.dll", &["-shared", "-Wl,-e,run", "import.a"])),
    pe(compile("program.exe", &["-Wl,-e,run", "import.a"])),
    pe(change("stripped.dll", &["--strip-all"], "library.dll")),
    pe(archive("archive.lib", &["object.obj", "sections.obj"])),
    macho(compile("macho.o", &["-c"])),
    macho(compile("library.dylib", &["-dynamiclib", "-Wl,-current_version,1.2.3"])),
    macho(compile("chained.dylib", &["-dynamiclib", "-Wl,-fixup_chains"])),
    macho(compile("program", &[])),
    macho(compile("plugin.bundle", &["-bundle"])),
    macho(change("stripped.dylib", &["--strip-all"], "library.dylib")),
    macho(archive("macho.a", &["macho.o"])),
];

/// Combinations that a tool cannot make: target and kind, with `*` for any text; why. Kinds that are made from
/// them are missing too. A row whose files can be made after all is an error.
pub const REJECTED: &[(&str, &str, &str)] = &[
    ("riscv*", "split.o", "clang does not split debug information of code that the linker relaxes"),
    ("mips*", "crel.o", "clang has no CREL for MIPS"),
    ("gcc-hppa", "exe", "calls by pointer need a function of the compiler's library"),
    ("gcc-hppa", "static-pie", "calls by pointer need a function of the compiler's library"),
    ("x32", "*.so", "lld has no dynamic relocation for 32-bit addresses on x86-64"),
    ("x32", "static-pie", "lld has no dynamic relocation for 32-bit addresses on x86-64"),
    ("sparc64", "*.so", "lld does not know the relocations of thread-local variables"),
    ("sparc64", "static-pie", "lld has no dynamic relocation for addresses in data"),
];

/// What became of a combination.
pub enum Made {
    /// The file.
    File(PathBuf),
    /// A row of [`REJECTED`] names the combination, and the tool rejects it.
    Rejected,
    /// The compiler is not installed, does not have the option, or made no file that this one is made from.
    Skipped,
}

/// Makes the file of a kind for a target in the folder `folder/TARGET`. Panics with the message of the tool if it
/// rejects a combination that [`REJECTED`] does not list, or makes one that it lists.
pub fn make(folder: &Path, target: &Target, kind: &Kind) -> Made {
    let folder = folder.join(target.name);
    let Some(mut command) = command(&folder, target, kind) else { return Made::Skipped };
    fs::create_dir_all(&folder).expect("the folder is writable");
    let texts = [("matrix.c", target.format.source()), ("matrix.map", VERSIONS), ("other.def", IMPORTED)];
    for (name, text) in texts {
        fs::write(folder.join(name), text).expect("the folder is writable");
    }
    let file = folder.join(kind.name);
    drop(fs::remove_file(&file));
    let output = command.current_dir(&folder).output().expect("the tool is installed");
    let is_made = output.status.success() && file.exists();
    let rejected = REJECTED.iter().find(|row| matches(row.0, target.name) && matches(row.1, kind.name));
    match rejected {
        Some(row) => assert!(!is_made, "{command:?} makes a file, but REJECTED has {row:?}"),
        None => assert!(is_made, "{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
    if is_made { Made::File(file) } else { Made::Rejected }
}

/// Whether a text is equal to a pattern, in which one `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => text.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => text == pattern,
    }
}

/// The command that makes a file; `None` if a tool or the file that it changes is missing.
fn command(folder: &Path, target: &Target, kind: &Kind) -> Option<Command> {
    if kind.format != target.format {
        return None;
    }
    let (flags, is_for_clang) = match kind.step {
        Step::Compile(flags) => (flags, false),
        Step::CompileWithClang(flags) => (flags, true),
        Step::Change { flags, from } => {
            folder.join(from).exists().then_some(())?;
            let mut command = Command::new(tools::find("llvm-objcopy")?);
            command.args(flags).args([from, kind.name]);
            return Some(command);
        }
        Step::Archive(members) => {
            let made = members.iter().filter(|member| folder.join(member).exists());
            let mut command = Command::new(tools::find("llvm-ar")?);
            command.args(["rcs", kind.name]).args(made);
            return Some(command);
        }
        Step::ImportLibrary => {
            let mut command = Command::new(tools::find("llvm-dlltool")?);
            command.args(["-m", target.machine(), "-d", "other.def", "-l", kind.name]);
            return Some(command);
        }
    };
    let mut command = match target.compiler {
        Compiler::Gcc(_) if is_for_clang => return None,
        Compiler::Clang(triple) => {
            let mut command = Command::new(tools::find("clang")?);
            command.arg(format!("--target={triple}"));
            if !flags.contains(&"-c") {
                command.arg("-fuse-ld=lld");
            }
            command
        }
        Compiler::Gcc(prefix) => {
            let gcc = format!("{prefix}-gcc");
            Command::new(tools::is_installed(&gcc).then_some(gcc)?)
        }
    };
    command.args(["-ffreestanding", "-fno-stack-protector", "-nostdlib", "-O2", "-g", "-w"]);
    // Libraries are searched for what the files before them need.
    command.args(target.flags).arg("matrix.c").args(flags).args(["-o", kind.name]);
    Some(command)
}
