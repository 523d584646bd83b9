//! Tables of the `sections` stage: the file's own structure.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// File formats.
    Format {
        /// Executable and Linkable Format.
        Elf = "elf",
    }
}

enumeration! {
    /// Instruction set architectures.
    Architecture {
        /// x86 in 64-bit mode.
        X86_64 = "x86_64",
    }
}

enumeration! {
    /// What a file is for.
    BinaryKind {
        /// A program at a fixed address.
        Executable = "executable",
        /// A shared library, or a program that runs at any address.
        Dynamic = "dynamic",
        /// Any other kind, such as a core dump.
        Other = "other",
    }
}

/// The header of one executable file.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_headers", stage = Sections, key(header_index))]
pub struct BinaryHeader<'a> {
    /// Position of the executable within its file: 0 but for containers of several.
    pub header_index: u32,
    /// File format.
    pub format: Format,
    /// Instruction set architecture.
    pub architecture: Architecture,
    /// Width of an address in bits.
    #[column(unit = "bits")]
    pub bits: u8,
    /// Byte order: `little` or `big`.
    #[column(one_of = Endianness)]
    pub endianness: &'a str,
    /// What the file is for.
    pub kind: BinaryKind,
    /// Where execution begins; null for a library without an entry point.
    #[column(unit = "address")]
    pub entry_address: Option<u64>,
    /// The build id that the linker put in, in hexadecimal; null where there is none.
    pub build_id: Option<&'a str>,
    /// Path of the program interpreter that the file asks for; null where it asks for none.
    pub interpreter: Option<&'a str>,
    /// Size of the file.
    #[column(unit = "bytes")]
    pub file_size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: &'a str,
}

enumeration! {
    /// Byte orders.
    Endianness {
        /// Least significant byte first.
        Little = "little",
        /// Most significant byte first.
        Big = "big",
    }
}

/// One entry of the program header table: what the loader is told.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_segments", stage = Sections, key(segment_index), span(address, size))]
pub struct BinarySegment<'a> {
    /// Position in the program header table.
    pub segment_index: u32,
    /// The specification's name of the segment's type, such as `PT_LOAD`, or its number in hexadecimal.
    pub segment_type: &'a str,
    /// Address of the first byte in memory.
    #[column(unit = "address")]
    pub address: u64,
    /// Size in memory.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Where the content begins in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Size in the file.
    #[column(unit = "bytes")]
    pub file_size: u64,
    /// Alignment in memory and file.
    #[column(unit = "bytes")]
    pub alignment: u64,
    /// Permissions in memory, such as `r-x`.
    pub permissions: &'a str,
}

enumeration! {
    /// What a section holds.
    SectionKind {
        /// Machine code.
        Code = "code",
        /// Stubs through which imported functions are called.
        Plt = "plt",
        /// Initialised data.
        Data = "data",
        /// Data that is zero at the start and takes no room in the file.
        Uninitialized = "uninitialized",
        /// Data of which every thread has its own copy.
        ThreadLocal = "thread_local",
        /// Symbols and their names.
        Symbols = "symbols",
        /// Relocations.
        Relocations = "relocations",
        /// Call frame information.
        Unwind = "unwind",
        /// Debug information.
        Debug = "debug",
        /// Notes of linker, compiler or system.
        Note = "note",
        /// What the dynamic linker reads.
        Dynamic = "dynamic",
        /// Anything else.
        Other = "other",
    }
}

/// One section of the file, or one loadable segment of a file that has no section table.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_sections", stage = Sections, key(section_index), span(address, size))]
pub struct BinarySection<'a> {
    /// Name of the section.
    pub section_name: &'a str,
    /// Address of the first byte in memory; 0 for a section that is not loaded.
    #[column(unit = "address")]
    pub address: u64,
    /// Size in memory.
    #[column(unit = "bytes")]
    pub size: u64,
    /// The section's bytes in the file; empty for one that takes no room there.
    pub content: &'a [u8],
    /// Permissions in memory, such as `r-x`; `---` for a section that is not loaded.
    pub permissions: &'a str,
    /// Whether its bytes may be executed.
    pub is_executable: bool,
    /// Whether its bytes may be written at run time.
    pub is_writable: bool,
    /// Whether its bytes are in memory at run time.
    pub is_readable: bool,
    /// Position in the section header table.
    pub section_index: u32,
    /// Where the content begins in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Size in the file.
    #[column(unit = "bytes")]
    pub file_size: u64,
    /// Alignment in memory.
    #[column(unit = "bytes")]
    pub alignment: u64,
    /// What the section holds.
    pub kind: SectionKind,
    /// The format's own flags, as stored (ELF: `sh_flags`).
    pub flags: u64,
}

enumeration! {
    /// What a symbol names.
    SymbolType {
        /// A function.
        Function = "function",
        /// A variable.
        Variable = "variable",
        /// A section.
        Section = "section",
        /// A source file.
        File = "file",
        /// A thread-local variable.
        Tls = "tls",
        /// A function whose address is chosen by calling it (`STT_GNU_IFUNC`).
        IndirectFunction = "indirect_function",
        /// The symbol does not say.
        Unknown = "unknown",
    }
}

enumeration! {
    /// Who may refer to a symbol, and which of several wins.
    SymbolBinding {
        /// This file alone.
        Local = "local",
        /// Every file.
        Global = "global",
        /// Every file, giving way to a global symbol.
        Weak = "weak",
        /// One definition in the whole process.
        Unique = "unique",
        /// A binding that the specification does not name.
        Other = "other",
    }
}

enumeration! {
    /// How far a symbol is seen.
    SymbolVisibility {
        /// As its binding says.
        Default = "default",
        /// Reserved for the system.
        Internal = "internal",
        /// Within its library.
        Hidden = "hidden",
        /// Outside its library, which itself always uses its own definition.
        Protected = "protected",
    }
}

/// One symbol of the static or of the dynamic symbol table.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_symbols", stage = Sections, key(is_dynamic, symbol_index), span(symbol_address, symbol_size))]
pub struct BinarySymbol<'a> {
    /// The name as stored.
    pub symbol_name: &'a str,
    /// What the symbol names.
    #[column(one_of = SymbolType)]
    pub symbol_type: &'a str,
    /// The symbol's value: an address, but for thread-local and absolute symbols.
    #[column(unit = "address")]
    pub symbol_address: u64,
    /// Size of what is named; 0 where the symbol does not say.
    #[column(unit = "bytes")]
    pub symbol_size: u64,
    /// Name of the section that the symbol lies in; null for an undefined, absolute or common symbol.
    pub section_name: Option<&'a str>,
    /// The name as it was in Rust or C++ source; null where the name was not mangled.
    pub demangled_name: Option<&'a str>,
    /// Who may refer to the symbol.
    pub binding: SymbolBinding,
    /// How far the symbol is seen.
    pub visibility: SymbolVisibility,
    /// Whether it is in the dynamic symbol table.
    pub is_dynamic: bool,
    /// Position in its symbol table.
    pub symbol_index: u32,
    /// Index of the section that the symbol lies in; null for an undefined, absolute or common symbol.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
}

enumeration! {
    /// Where unwinding information comes from.
    UnwindSource {
        /// The section `.eh_frame`.
        EhFrame = "eh_frame",
    }
}

/// A range of code that the compiler described for unwinding: in practice, a function or a cold part of one.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "unwind_entries", stage = Sections, key(address), span(address, size))]
pub struct UnwindEntry {
    /// Address of the first byte of code.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the code.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Where the description stands.
    pub source: UnwindSource,
    /// Where the description begins in its section.
    #[column(unit = "bytes")]
    pub entry_offset: u64,
    /// Address of the language-specific data (the landing pads); null where there is none.
    #[column(unit = "address")]
    pub lsda_address: Option<u64>,
    /// Whether it describes the frame of a signal handler; the C library lets such a range begin one byte before the code.
    pub is_signal_frame: bool,
}
