//! Programs to score: sources in crates, and their compiler configurations.

/// A crate, its version, and the checksum of its archive.
pub(crate) struct Crate {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// SHA-256, in hexadecimal.
    pub(crate) checksum: &'static str,
}

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// C.
    C,
    /// C++.
    Cpp,
}

/// Kind of the linked file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Position-independent executable.
    Pie,
    /// Executable at a fixed address.
    Fixed,
    /// A shared library.
    Shared,
}

/// A program.
pub(crate) struct Program {
    /// A short name.
    pub(crate) name: &'static str,
    /// The crate with the sources; `None` for a program of this repository.
    pub(crate) package: Option<&'static str>,
    /// Its language.
    pub(crate) language: Language,
    /// Source paths within the crate. `*` matches any name, except those of tests, tools and other systems (`LEFT_OUT`
    /// in `build.rs`).
    pub(crate) sources: &'static [&'static str],
    /// Compiler flags. `{}` is replaced by the folder of the crate.
    pub(crate) flags: &'static [&'static str],
    /// Libraries to link.
    pub(crate) libraries: &'static [&'static str],
    /// Source of `main`, for executables.
    pub(crate) main: &'static str,
    /// Compiler, optimization level, kind.
    pub(crate) builds: &'static [(&'static str, &'static str, Kind)],
}

/// The crates.
pub(crate) const CRATES: &[Crate] = &[
    Crate {
        name: "libz-sys",
        version: "1.1.31",
        checksum: "ff20308ecabd635a2dc1dd5834a86c462cca20efba1d5d3ddab1f8aea3455cb2",
    },
    Crate {
        name: "lua-src",
        version: "551.1.0",
        checksum: "41d22b201501a536c0f5a96c7589b268b559172b20fb029064434e38ddcecb1f",
    },
    Crate {
        name: "onig_sys",
        version: "69.9.3",
        checksum: "1e68317604e77e53b85896388e1a803c1d21b74c899ec9e5e1112db90735edd7",
    },
    Crate {
        name: "tree-sitter-rust",
        version: "0.24.2",
        checksum: "439e577dbe07423ec2582ac62c7531120dbfccfa6e5f92406f93dd271a120e45",
    },
    Crate {
        name: "zstd-sys",
        version: "2.1.2+zstd.1.5.7",
        checksum: "481ada9c543b2323cbb7bbdbb5249177fbf0188ed959ed2c15e4b22421c84ed3",
    },
    Crate {
        name: "libsqlite3-sys",
        version: "0.39.1",
        checksum: "14a5f01b87b92705d07b433c06f96cbc764637d81a0bffb5734ce17cf0f9a2b3",
    },
    Crate {
        name: "leveldb-sys",
        version: "2.0.9",
        checksum: "9dd94a4d0242a437e5e41a27c782b69a624469ca1c4d1e5cb3c337f74a8031d4",
    },
    Crate {
        name: "spirv_cross",
        version: "0.23.1",
        checksum: "60647fadbf83c4a72f0d7ea67a7ca3a81835cf442b8deae5c134c3e0055b2e14",
    },
    Crate {
        name: "harfbuzz-sys",
        version: "0.8.0",
        checksum: "b13f1cead31867a0d5b5e8905c262bc02b77701b8cd45ef402988f33745f9b7c",
    },
    Crate {
        name: "hexyl",
        version: "0.17.0",
        checksum: "e0df0c7b9afa020673c0942ae257a938b257d79e6395d8f1b8b45898f3391c5e",
    },
];

/// Configurations for small programs.
const ALL: &[(&str, &str, Kind)] = &[
    ("gcc", "O0", Kind::Pie),
    ("gcc", "O2", Kind::Shared),
    ("gcc", "O3", Kind::Fixed),
    ("gcc", "Os", Kind::Pie),
    ("clang", "O0", Kind::Fixed),
    ("clang", "O2", Kind::Pie),
    ("clang", "O3", Kind::Shared),
    ("clang", "Os", Kind::Fixed),
];

/// C and C++ programs, sorted by compile time.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        name: "zlib",
        package: Some("libz-sys"),
        language: Language::C,
        sources: &["src/zlib/*.c"],
        flags: &["-DHAVE_UNISTD_H", "-I{}/src/zlib"],
        libraries: &[],
        main: include_str!("mains/zlib.c"),
        builds: ALL,
    },
    Program {
        name: "lua",
        package: Some("lua-src"),
        language: Language::C,
        sources: &["lua-5.4.9/*.c"],
        flags: &["-DLUA_USE_LINUX", "-I{}/lua-5.4.9"],
        libraries: &["-lm", "-ldl"],
        main: include_str!("mains/lua.c"),
        builds: ALL,
    },
    Program {
        name: "onig",
        package: Some("onig_sys"),
        language: Language::C,
        sources: &[
            "oniguruma/src/regexec.c",
            "oniguruma/src/regerror.c",
            "oniguruma/src/regparse.c",
            "oniguruma/src/regext.c",
            "oniguruma/src/regcomp.c",
            "oniguruma/src/reggnu.c",
            "oniguruma/src/regenc.c",
            "oniguruma/src/regsyntax.c",
            "oniguruma/src/regtrav.c",
            "oniguruma/src/regversion.c",
            "oniguruma/src/st.c",
            "oniguruma/src/onig_init.c",
            "oniguruma/src/unicode.c",
            "oniguruma/src/ascii.c",
            "oniguruma/src/utf8.c",
            "oniguruma/src/euc_jp.c",
            "oniguruma/src/euc_jp_prop.c",
            "oniguruma/src/iso8859_1.c",
            "oniguruma/src/unicode_unfold_key.c",
            "oniguruma/src/unicode_fold1_key.c",
            "oniguruma/src/unicode_fold2_key.c",
            "oniguruma/src/unicode_fold3_key.c",
        ],
        flags: &[
            "-I{}/oniguruma/src",
            "-DHAVE_UNISTD_H",
            "-DHAVE_SYS_TYPES_H",
            "-DHAVE_SYS_TIME_H",
            "-DHAVE_ALLOCA_H",
            "-DHAVE_PROTOTYPES",
            "-DSTDC_HEADERS",
            "-DHAVE_STRING_H",
            "-DHAVE_STDARG_H",
            "-DHAVE_STDLIB_H",
            "-DHAVE_LIMITS_H",
            "-DHAVE_INTTYPES_H",
            "-DSIZEOF_INT=4",
            "-DSIZEOF_SHORT=2",
            "-DSIZEOF_LONG=8",
            "-DSIZEOF_VOIDP=8",
            "-DSIZEOF_LONG_LONG=8",
        ],
        libraries: &[],
        main: include_str!("mains/onig.c"),
        builds: &[
            ("gcc", "O2", Kind::Pie),
            ("clang", "O2", Kind::Shared),
            ("gcc", "O0", Kind::Shared),
            ("clang", "O3", Kind::Fixed),
            ("gcc", "Os", Kind::Fixed),
        ],
    },
    Program {
        name: "treesitter",
        package: Some("tree-sitter-rust"),
        language: Language::C,
        sources: &["src/parser.c", "src/scanner.c"],
        flags: &["-I{}/src"],
        libraries: &[],
        main: "extern const void *tree_sitter_rust(void);\nint main(void) { return tree_sitter_rust() == 0; }\n",
        builds: &[
            ("gcc", "O2", Kind::Shared),
            ("clang", "O3", Kind::Pie),
            ("gcc", "O0", Kind::Fixed),
            ("clang", "Os", Kind::Shared),
        ],
    },
    Program {
        name: "leveldb",
        package: Some("leveldb-sys"),
        language: Language::Cpp,
        sources: &[
            "deps/leveldb-1.22/db/*.cc",
            "deps/leveldb-1.22/table/*.cc",
            "deps/leveldb-1.22/util/*.cc",
        ],
        flags: &[
            "-DLEVELDB_IS_BIG_ENDIAN=0",
            "-DLEVELDB_PLATFORM_POSIX=1",
            "-I{}/deps/leveldb-1.22",
            "-I{}/deps/leveldb-1.22/include",
        ],
        libraries: &["-lpthread"],
        main: include_str!("mains/leveldb.cc"),
        builds: &[
            ("gcc", "O2", Kind::Pie),
            ("clang", "O2", Kind::Shared),
            ("gcc", "O3", Kind::Shared),
            ("clang", "O0", Kind::Pie),
        ],
    },
    Program {
        name: "sqlite",
        package: Some("libsqlite3-sys"),
        language: Language::C,
        sources: &["sqlite3/sqlite3.c"],
        flags: &["-DSQLITE_ENABLE_FTS5", "-I{}/sqlite3"],
        libraries: &["-lm", "-lpthread", "-ldl"],
        main: include_str!("mains/sqlite.c"),
        builds: &[
            ("gcc", "O2", Kind::Pie),
            ("clang", "Os", Kind::Shared),
            ("gcc", "O0", Kind::Shared),
            ("clang", "O2", Kind::Fixed),
        ],
    },
    Program {
        name: "zstd",
        package: Some("zstd-sys"),
        language: Language::C,
        sources: &["zstd/lib/common/*.c", "zstd/lib/compress/*.c", "zstd/lib/decompress/*.c"],
        flags: &["-DZSTD_DISABLE_ASM", "-I{}/zstd/lib"],
        libraries: &["-lpthread"],
        main: include_str!("mains/zstd.c"),
        builds: &[
            ("gcc", "O3", Kind::Shared),
            ("clang", "O2", Kind::Pie),
            ("gcc", "Os", Kind::Pie),
            ("clang", "O0", Kind::Shared),
        ],
    },
    Program {
        name: "spirv",
        package: Some("spirv_cross"),
        language: Language::Cpp,
        sources: &[
            "src/vendor/SPIRV-Cross/spirv_cfg.cpp",
            "src/vendor/SPIRV-Cross/spirv_cross.cpp",
            "src/vendor/SPIRV-Cross/spirv_cross_parsed_ir.cpp",
            "src/vendor/SPIRV-Cross/spirv_parser.cpp",
            "src/vendor/SPIRV-Cross/spirv_glsl.cpp",
        ],
        flags: &["-std=c++14", "-I{}/src/vendor/SPIRV-Cross"],
        libraries: &[],
        main: include_str!("mains/spirv.cc"),
        builds: &[
            ("gcc", "O2", Kind::Pie),
            ("clang", "O3", Kind::Shared),
            ("gcc", "O0", Kind::Shared),
            ("clang", "Os", Kind::Pie),
        ],
    },
    Program {
        name: "harfbuzz",
        package: Some("harfbuzz-sys"),
        language: Language::Cpp,
        sources: &["harfbuzz/src/harfbuzz.cc"],
        flags: &["-fno-exceptions", "-fno-rtti", "-DHAVE_PTHREAD=1"],
        libraries: &["-lm", "-lpthread"],
        main: "",
        builds: &[("clang", "O2", Kind::Shared), ("gcc", "Os", Kind::Shared)],
    },
];
