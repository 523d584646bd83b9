//! Languages, compilers, targets and flags of the programs that are scored.

/// A language with one of its compilers.
pub(crate) struct Toolchain {
    /// The language.
    pub(crate) language: &'static str,
    /// Name of the compiler.
    pub(crate) compiler: &'static str,
    /// Command that prints the version, and fails if the compiler is not installed.
    pub(crate) version: &'static str,
    /// File name of the program that is written for this score.
    pub(crate) source: &'static str,
    /// Text of the program.
    pub(crate) text: &'static str,
    /// How each source is compiled; `None` if the commands of `link` compile.
    pub(crate) compile: Option<Compile>,
    /// Commands that write `{out}` from `{source}` or `{objects}`, with `{flags}` and `{libraries}`.
    pub(crate) link: &'static [&'static str],
    /// Architectures and systems.
    pub(crate) targets: &'static [Target],
    /// Lists of flags.
    pub(crate) builds: &'static [&'static [Flags]],
    /// Programs of crates, by name.
    pub(crate) packages: &'static [&'static str],
}

/// How a source is compiled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Compile {
    /// GCC prints assembly with its notes.
    Printed {
        /// The compiler and its arguments.
        command: &'static str,
        /// Start of local labels.
        marker: &'static str,
    },
    /// To an object.
    Object {
        /// The compiler and its arguments.
        command: &'static str,
    },
}

/// An architecture and system.
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: &'static str,
    /// Flags of the compiler.
    pub(crate) flags: &'static str,
}

/// Compiler flags.
pub(crate) struct Flags {
    /// Their name.
    pub(crate) label: &'static str,
    /// The flags.
    pub(crate) words: &'static str,
    /// Names of the targets that have them; all if empty.
    pub(crate) targets: &'static [&'static str],
}

const fn flags(label: &'static str, words: &'static str) -> Flags {
    Flags { label, words, targets: &[] }
}

const fn flags_of(targets: &'static [&'static str], label: &'static str, words: &'static str) -> Flags {
    Flags { label, words, targets }
}

const fn target(name: &'static str, flags: &'static str) -> Target {
    Target { name, flags }
}

/// The only target of compilers for one.
const X64: &[Target] = &[target("x64", "")];

/// The only target of compilers for one, with 32 bits.
const X86: &[Target] = &[target("x86", "")];

/// Targets of compilers for Linux.
const LINUX: &[Target] = &[target("x64", "-m64"), target("x86", "-m32"), target("x32", "-mx32")];

/// The same for Clang, whose linker makes no position-independent executables for x32.
const LINUX_OF_CLANG: &[Target] =
    &[target("x64", "-m64"), target("x86", "-m32"), target("x32", "-mx32 -fno-pie -no-pie")];

/// Optimization levels of GCC and Clang.
const LEVELS: &[Flags] =
    &[flags("O0", "-O0"), flags("O1", "-O1"), flags("O2", "-O2"), flags("O3", "-O3"), flags("Os", "-Os")];

/// Flags of GCC and Clang that change the shape of code.
const SHAPES: &[Flags] = &[
    flags("lto", "-O2 -flto"),
    flags("no-plt", "-O2 -fno-plt"),
    flags("cet", "-O2 -fcf-protection=full"),
    flags("no-cet", "-O2 -fcf-protection=none"),
    flags_of(&["x64"], "large", "-O2 -mcmodel=large"),
    flags("frames", "-O2 -fno-omit-frame-pointer"),
    flags_of(&["x64"], "static-pie", "-O2 -fPIE -static-pie"),
    flags_of(&["x64", "x86"], "static", "-O2 -fno-pie -static"),
    flags("fixed", "-O2 -fno-pie -no-pie"),
    flags("no-unwind", "-O2 -fno-asynchronous-unwind-tables"),
    flags("patchable", "-O2 -fpatchable-function-entry=4,2"),
    flags("profiled", "-O1 -pg"),
];

const GCC_ONLY: &[Flags] = &[
    flags_of(&["x64"], "retpoline", "-O2 -mindirect-branch=thunk"),
    flags_of(&["x64", "x86"], "split-stack", "-O2 -fsplit-stack"),
];

const CLANG_ONLY: &[Flags] = &[flags("Oz", "-Oz"), flags("retpoline", "-O2 -mretpoline")];

/// Flags of compilers without any.
const PLAIN: &[&[Flags]] = &[&[flags("plain", "")]];

/// A toolchain without sources of crates.
const NONE: Toolchain = Toolchain {
    language: "",
    compiler: "",
    version: "",
    source: "",
    text: "",
    compile: None,
    link: &[],
    targets: X64,
    builds: PLAIN,
    packages: &[],
};

/// The toolchains.
pub(crate) const TOOLCHAINS: &[Toolchain] = &[
    Toolchain {
        language: "c",
        compiler: "gcc",
        version: "gcc --version",
        source: "kinds.c",
        text: include_str!("programs/kinds.c"),
        compile: Some(Compile::Printed { command: "gcc -w", marker: ".L" }),
        link: &["gcc {flags} -Wl,--discard-none {objects} {libraries} -o {out}"],
        targets: LINUX,
        builds: &[LEVELS, SHAPES, GCC_ONLY],
        packages: &["lua"],
    },
    Toolchain {
        language: "c",
        compiler: "clang",
        version: "clang-19 --version",
        source: "kinds.c",
        text: include_str!("programs/kinds.c"),
        compile: Some(Compile::Object {
            command: "clang-19 -w -fbasic-block-address-map -mllvm -pgo-analysis-map=br-prob",
        }),
        link: &["clang-19 {flags} -fuse-ld=lld {objects} {libraries} -o {out}"],
        targets: LINUX_OF_CLANG,
        builds: &[LEVELS, SHAPES, CLANG_ONLY],
        packages: &["lua"],
    },
    Toolchain {
        language: "c",
        compiler: "mingw-x86_64",
        version: "x86_64-w64-mingw32-gcc --version",
        source: "kinds.c",
        text: include_str!("programs/kinds.c"),
        compile: Some(Compile::Printed { command: "x86_64-w64-mingw32-gcc -w", marker: ".L" }),
        link: &["x86_64-w64-mingw32-gcc {flags} -Wl,--discard-none {objects} {libraries} -o {out}"],
        builds: &[LEVELS],
        packages: &["zlib"],
        ..NONE
    },
    Toolchain {
        language: "c",
        compiler: "mingw-i686",
        version: "i686-w64-mingw32-gcc --version",
        source: "kinds.c",
        text: include_str!("programs/kinds.c"),
        compile: Some(Compile::Printed { command: "i686-w64-mingw32-gcc -w", marker: "L" }),
        link: &["i686-w64-mingw32-gcc {flags} -Wl,--discard-none {objects} {libraries} -o {out}"],
        targets: X86,
        builds: &[LEVELS],
        packages: &["zlib"],
    },
    Toolchain {
        language: "c",
        compiler: "zig",
        version: "python3 -m ziglang version",
        source: "kinds.c",
        text: include_str!("programs/kinds.c"),
        // Zig's linker writes no symbols into PE files.
        link: &["python3 -m ziglang cc -w {flags} {source} -o {out}"],
        targets: &[
            target("x64", "-target x86_64-linux-musl"),
            target("x86", "-target x86-linux-musl"),
            target("macos", "-target x86_64-macos"),
        ],
        builds: &[&[flags("O0", "-O0"), flags("O2", "-O2")]],
        ..NONE
    },
    Toolchain {
        language: "c++",
        compiler: "gcc",
        version: "g++ --version",
        source: "kinds.cpp",
        text: include_str!("programs/kinds.cpp"),
        compile: Some(Compile::Printed { command: "g++ -w", marker: ".L" }),
        link: &["g++ {flags} -Wl,--discard-none {objects} {libraries} -o {out}"],
        targets: LINUX,
        builds: &[LEVELS, SHAPES, GCC_ONLY],
        packages: &[],
    },
    Toolchain {
        language: "c++",
        compiler: "clang",
        version: "clang++-19 --version",
        source: "kinds.cpp",
        text: include_str!("programs/kinds.cpp"),
        compile: Some(Compile::Object {
            command: "clang++-19 -w -fbasic-block-address-map -mllvm -pgo-analysis-map=br-prob",
        }),
        link: &["clang++-19 {flags} -fuse-ld=lld {objects} {libraries} -o {out}"],
        targets: LINUX_OF_CLANG,
        builds: &[LEVELS, SHAPES, CLANG_ONLY],
        ..NONE
    },
    Toolchain {
        language: "c++",
        compiler: "mingw-x86_64",
        version: "x86_64-w64-mingw32-g++ --version",
        source: "kinds.cpp",
        text: include_str!("programs/kinds.cpp"),
        compile: Some(Compile::Printed { command: "x86_64-w64-mingw32-g++ -w", marker: ".L" }),
        link: &["x86_64-w64-mingw32-g++ {flags} -static -Wl,--discard-none {objects} -o {out}"],
        builds: &[LEVELS],
        ..NONE
    },
    Toolchain {
        language: "c++",
        compiler: "mingw-i686",
        version: "i686-w64-mingw32-g++ --version",
        source: "kinds.cpp",
        text: include_str!("programs/kinds.cpp"),
        compile: Some(Compile::Printed { command: "i686-w64-mingw32-g++ -w", marker: "L" }),
        link: &["i686-w64-mingw32-g++ {flags} -static -Wl,--discard-none {objects} -o {out}"],
        targets: X86,
        builds: &[LEVELS],
        ..NONE
    },
    Toolchain {
        language: "rust",
        compiler: "rustc",
        version: "rustc --version",
        source: "kinds.rs",
        text: include_str!("programs/kinds.rs"),
        link: &["rustc --edition=2024 -Awarnings {flags} {source} -o {out}"],
        builds: &[&[
            flags("O0", "-Copt-level=0"),
            flags("O2", "-Copt-level=2"),
            flags("O3", "-Copt-level=3"),
            flags("Os", "-Copt-level=s"),
            flags("Oz", "-Copt-level=z"),
            flags("abort", "-Copt-level=3 -Cpanic=abort"),
            flags("lto", "-Copt-level=3 -Clto=fat"),
        ]],
        ..NONE
    },
    Toolchain {
        language: "go",
        compiler: "go",
        version: "go version",
        source: "kinds.go",
        text: include_str!("programs/kinds.go"),
        link: &["go build {flags} -o {out} {source}"],
        builds: &[&[flags("O2", ""), flags("O0", "-gcflags=-N"), flags("pie", "-buildmode=pie")]],
        ..NONE
    },
    Toolchain {
        language: "pascal",
        compiler: "fpc",
        version: "fpc -iV",
        source: "kinds.pas",
        text: include_str!("programs/kinds.pas"),
        link: &["fpc -v0 -Xs- {flags} {source} -o{out}"],
        builds: &[&[flags("O0", "-O-"), flags("O2", "-O2"), flags("O3", "-O3")]],
        ..NONE
    },
    Toolchain {
        language: "ocaml",
        compiler: "ocamlopt",
        version: "ocamlopt -version",
        source: "kinds.ml",
        text: include_str!("programs/kinds.ml"),
        link: &["ocamlopt {flags} -o {out} {source}"],
        builds: &[&[flags("O2", ""), flags("O3", "-unsafe -inline 200"), flags("static", "-ccopt -static")]],
        ..NONE
    },
    Toolchain {
        language: "haskell",
        compiler: "ghc",
        version: "ghc --version",
        source: "kinds.hs",
        text: include_str!("programs/kinds.hs"),
        link: &["ghc -v0 {flags} -o {out} {source}"],
        builds: &[&[flags("O0", "-O0"), flags("O2", "-O2"), flags("threaded", "-O1 -threaded")]],
        ..NONE
    },
    Toolchain {
        language: "ada",
        compiler: "gnat",
        version: "gnatmake --version",
        source: "kinds.adb",
        text: include_str!("programs/kinds.adb"),
        compile: Some(Compile::Printed { command: "gcc -gnatw.X -gnat2022", marker: ".L" }),
        link: &["gnatbind -static kinds.ali", "gnatlink kinds.ali -static -Wl,--discard-none -o {out}"],
        builds: &[LEVELS],
        ..NONE
    },
    Toolchain {
        language: "fortran",
        compiler: "gfortran",
        version: "gfortran --version",
        source: "kinds.f90",
        text: include_str!("programs/kinds.f90"),
        compile: Some(Compile::Printed { command: "gfortran -w", marker: ".L" }),
        link: &["gfortran {flags} -static -Wl,--discard-none {objects} -o {out}"],
        builds: &[LEVELS],
        ..NONE
    },
    Toolchain {
        language: "d",
        compiler: "gdc",
        version: "gdc --version",
        source: "kinds.d",
        text: include_str!("programs/kinds.d"),
        compile: Some(Compile::Printed { command: "gdc -w", marker: ".L" }),
        link: &["gdc {flags} -static-libphobos -Wl,--discard-none {objects} -o {out}"],
        builds: &[LEVELS],
        ..NONE
    },
    Toolchain {
        language: "d",
        compiler: "ldc",
        version: "ldc2 --version",
        source: "kinds.d",
        text: include_str!("programs/kinds.d"),
        link: &[
            "ldc2 {flags} -link-defaultlib-shared=false -L--no-as-needed -L-l:libz.so.1 -of={out} {source}",
        ],
        builds: &[&[flags("O0", "-O0"), flags("O2", "-O2"), flags("O3", "-O3 -release"), flags("Os", "-Os")]],
        ..NONE
    },
    Toolchain {
        language: "nim",
        compiler: "nim",
        version: "nim --version",
        source: "kinds.nim",
        text: include_str!("programs/kinds.nim"),
        link: &["nim c --hints:off --nimcache:cache {flags} -o:{out} {source}"],
        builds: &[&[
            flags("O0", ""),
            flags("O3", "-d:release"),
            flags("Os", "-d:release --opt:size"),
            flags("arc", "-d:release --gc:arc"),
        ]],
        ..NONE
    },
    Toolchain {
        language: "vala",
        compiler: "valac",
        version: "valac --version",
        source: "kinds.vala",
        text: include_str!("programs/kinds.vala"),
        link: &["valac --quiet {flags} -X -w -o {out} {source}"],
        builds: &[&[flags("O0", "-X -O0"), flags("O2", "-X -O2"), flags("Os", "-X -Os")]],
        ..NONE
    },
    Toolchain {
        language: "zig",
        compiler: "zig",
        version: "python3 -m ziglang version",
        source: "kinds.zig",
        text: include_str!("programs/kinds.zig"),
        link: &["python3 -m ziglang build-exe -fno-strip {flags} {source} -femit-bin={out}"],
        targets: &[target("x64", "-target x86_64-linux-musl"), target("macos", "-target x86_64-macos")],
        builds: &[&[flags("O0", "-ODebug"), flags("O3", "-OReleaseFast"), flags("Os", "-OReleaseSmall")]],
        ..NONE
    },
];
