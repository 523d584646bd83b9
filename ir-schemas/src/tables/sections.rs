//! Tables of the `sections` stage: the file's own structure.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// File formats.
    Format {
        /// Executable and Linkable Format.
        Elf = "elf",
        /// Portable Executable, of Windows and UEFI.
        Pe = "pe",
        /// Mach object file, of Apple's systems.
        MachO = "macho",
        /// Common Object File Format: objects that a linker makes PE files of.
        Coff = "coff",
        /// A container: a Unix archive (`.a`, `.lib`, `.rlib`).
        Archive = "archive",
        /// A container: one Mach-O file for each of several architectures.
        Universal = "universal",
    }
}

enumeration! {
    /// Instruction set architectures.
    Architecture {
        /// x86 in 64-bit mode.
        X86_64 = "x86_64",
        /// x86 in 32-bit or 16-bit mode.
        X86 = "x86",
        /// Arm in 64-bit mode.
        Aarch64 = "aarch64",
        /// Arm in 32-bit mode.
        Arm = "arm",
        /// RISC-V of any width.
        RiscV = "riscv",
        /// PowerPC, 32-bit.
        PowerPc = "powerpc",
        /// PowerPC, 64-bit.
        PowerPc64 = "powerpc64",
        /// MIPS of any width.
        Mips = "mips",
        /// IBM z/Architecture and its predecessors.
        S390 = "s390",
        /// SPARC of any width.
        Sparc = "sparc",
        /// The architecture of Loongson, of any width.
        LoongArch = "loongarch",
        /// Motorola 68000.
        M68k = "m68k",
        /// The virtual machine inside the Linux kernel.
        Bpf = "bpf",
        /// Intel Itanium.
        Itanium = "itanium",
        /// Another one; `machine` says which.
        Other = "other",
    }
}

enumeration! {
    /// What a file is for.
    BinaryKind {
        /// A program at a fixed address.
        Executable = "executable",
        /// A shared library, or a program that runs at any address.
        Dynamic = "dynamic",
        /// What a linker makes programs and libraries of; its sections have no addresses yet.
        Relocatable = "relocatable",
        /// The memory of a process that was stopped.
        CoreDump = "core_dump",
        /// A file that holds others, each of which is lowered by itself.
        Container = "container",
        /// Any other kind, such as a file of debug information.
        Other = "other",
    }
}

enumeration! {
    /// How much of what the dynamic linker has relocated it makes read-only.
    RelocationReadOnly {
        /// Nothing.
        None = "none",
        /// All but the addresses of functions that are bound when they are first called.
        Partial = "partial",
        /// Everything.
        Full = "full",
    }
}

/// The header of one executable, object or container.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_headers", stage = Sections, key(member_index))]
pub struct BinaryHeader<'a> {
    /// Position among the members of its container; 0 for a file of its own.
    pub member_index: u32,
    /// File format.
    pub format: Format,
    /// Instruction set architecture; null for a container.
    pub architecture: Option<Architecture>,
    /// The format's own number of the architecture (ELF: `e_machine`); null for a container.
    pub machine: Option<u32>,
    /// Width of an address in bits; null for a container.
    #[column(unit = "bits")]
    pub bits: Option<u8>,
    /// Byte order: `little` or `big`; null for an archive.
    #[column(one_of = Endianness)]
    pub endianness: Option<&'a str>,
    /// What the file is for.
    pub kind: BinaryKind,
    /// The format's own flags, as stored (ELF: `e_flags`; PE: characteristics).
    pub flags: u64,
    /// Where execution begins; null for a file without an entry point.
    #[column(unit = "address")]
    pub entry_address: Option<u64>,
    /// Address that the file was linked for (PE: `ImageBase`; Mach-O: of `__TEXT`; ELF: of the first loaded byte); null where
    /// nothing is loaded.
    #[column(unit = "address")]
    pub image_address: Option<u64>,
    /// What identifies the build, in hexadecimal (ELF: build id; PE: GUID and age of its PDB, as stored; Mach-O: UUID); null where there is none.
    pub build_id: Option<&'a str>,
    /// Path of the program interpreter or dynamic linker that the file asks for; null where it asks for none.
    pub interpreter: Option<&'a str>,
    /// Whether it runs at any address; null for what is not run.
    pub is_position_independent: Option<bool>,
    /// Whether it lets the system forbid execution of its stack and data; null for what is not run.
    pub has_no_execute: Option<bool>,
    /// How much is read-only after relocation; null for what is not a linked ELF file.
    pub relocation_read_only: Option<RelocationReadOnly>,
    /// Whether it refers to what the compiler's stack protector calls when a frame was overwritten (PE: has a security
    /// cookie); null for what is not run.
    pub has_stack_protector: Option<bool>,
    /// Whether it declares that indirect branches go to marked places only (x86: IBT; AArch64: BTI; PE: Control Flow Guard); null
    /// for what is not run.
    pub has_branch_protection: Option<bool>,
    /// Whether it declares that return addresses are protected (x86: shadow stack; AArch64: pointer authentication); null for
    /// what is not run.
    pub has_return_protection: Option<bool>,
    /// Whether it carries a code signature; null for formats without one.
    pub has_signature: Option<bool>,
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

/// One segment: a range of the file that is loaded, or that tells the loader something (ELF: program header).
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_segments", stage = Sections, key(segment_index), span(address, size))]
pub struct BinarySegment<'a> {
    /// Position among the segments.
    pub segment_index: u32,
    /// The specification's name of the segment's type, such as `PT_LOAD`, or its number in hexadecimal; null for formats that
    /// have but one.
    pub segment_type: Option<&'a str>,
    /// Name of the segment, such as `__TEXT`; null for formats that give none.
    pub segment_name: Option<&'a str>,
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
    /// Name of the section; in Mach-O with its segment, such as `__TEXT,__text`.
    pub section_name: &'a str,
    /// Address of the first byte in memory; 0 for a section that is not loaded.
    #[column(unit = "address")]
    pub address: u64,
    /// Size in memory.
    #[column(unit = "bytes")]
    pub size: u64,
    /// The section's bytes in the file; empty for one that takes no room there, or 1 GiB or more: `file_extents` has those.
    pub content: &'a [u8],
    /// Permissions in memory, such as `r-x`; `---` for a section that is not loaded.
    pub permissions: &'a str,
    /// Whether its bytes may be executed.
    pub is_executable: bool,
    /// Whether its bytes may be written at run time.
    pub is_writable: bool,
    /// Whether its bytes are in memory at run time.
    pub is_readable: bool,
    /// Position in the section table, counted as the format counts (ELF, from 0; PE, COFF and Mach-O, from 1).
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
    /// The format's own flags, as stored (ELF: `sh_flags`; PE and COFF: characteristics).
    pub flags: u64,
    /// The specification's name of the section's type, such as `SHT_PROGBITS`, or its number in hexadecimal; null for formats
    /// whose sections have none.
    pub section_type: Option<&'a str>,
    /// The section that it is linked to (ELF: `sh_link`); null for formats that have no such thing.
    pub link: Option<u32>,
    /// What its type makes of it (ELF: `sh_info`; Mach-O: `reserved1`); null for formats that have no such thing.
    pub info: Option<u32>,
    /// Size of each entry of a table, 0 for what is none (ELF: `sh_entsize`; Mach-O: `reserved2`); null for formats that have no
    /// such thing.
    #[column(unit = "bytes")]
    pub entry_size: Option<u64>,
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

enumeration! {
    /// Where what a symbol names stands.
    SymbolDefinition {
        /// In a section.
        Section = "section",
        /// Elsewhere: the linker or the loader finds it.
        Undefined = "undefined",
        /// Nowhere: its value is a number.
        Absolute = "absolute",
        /// In a section that the linker makes room in; its value is an alignment or a size.
        Common = "common",
        /// It is for debuggers.
        Debug = "debug",
        /// In a place that the specification does not name.
        Other = "other",
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
    /// The name as it was in Rust or C++ source; null where the name was not mangled as Rust and the Itanium C++ ABI do it.
    pub demangled_name: Option<&'a str>,
    /// Who may refer to the symbol.
    pub binding: SymbolBinding,
    /// How far the symbol is seen.
    pub visibility: SymbolVisibility,
    /// Where what it names stands.
    pub definition: SymbolDefinition,
    /// Whether it is in the dynamic symbol table.
    pub is_dynamic: bool,
    /// Position in its symbol table.
    pub symbol_index: u32,
    /// Index of the section that the symbol lies in; null for an undefined, absolute or common symbol.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Version of the symbol, such as `GLIBC_2.17`; null where it has none.
    pub version: Option<&'a str>,
    /// Whether a reference that names no version gets this one; null where it has none.
    pub is_default_version: Option<bool>,
}
