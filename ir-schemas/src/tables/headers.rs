//! The table `binary_headers` of the `sections` stage.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// A file format.
    Format {
        /// Executable and Linkable Format (Linux, BSD and most other Unix systems).
        Elf = "elf",
        /// Portable Executable (Windows, UEFI).
        Pe = "pe",
        /// Mach object file (Apple's systems).
        MachO = "macho",
        /// Common Object File Format: object files that are linked into PE files.
        Coff = "coff",
        /// Container: a Unix archive (`.a`, `.lib`, `.rlib`).
        Archive = "archive",
        /// Container: a universal binary, which holds one Mach-O file per architecture.
        Universal = "universal",
    }
}

enumeration! {
    /// An instruction set architecture.
    Architecture {
        /// 64-bit x86.
        X86_64 = "x86_64",
        /// 32-bit or 16-bit x86.
        X86 = "x86",
        /// 64-bit Arm.
        Aarch64 = "aarch64",
        /// 32-bit Arm.
        Arm = "arm",
        /// RISC-V of any width.
        RiscV = "riscv",
        /// 32-bit PowerPC.
        PowerPc = "powerpc",
        /// 64-bit PowerPC.
        PowerPc64 = "powerpc64",
        /// MIPS of any width.
        Mips = "mips",
        /// IBM z/Architecture and its predecessors.
        S390 = "s390",
        /// SPARC of any width.
        Sparc = "sparc",
        /// Loongson's architecture of any width.
        LoongArch = "loongarch",
        /// Motorola 68000.
        M68k = "m68k",
        /// eBPF, the virtual machine of the Linux kernel.
        Bpf = "bpf",
        /// Intel Itanium.
        Itanium = "itanium",
        /// Any other architecture; its number is in `machine`.
        Other = "other",
    }
}

enumeration! {
    /// A byte order.
    Endianness {
        /// Least significant byte first.
        Little = "little",
        /// Most significant byte first.
        Big = "big",
    }
}

enumeration! {
    /// The purpose of a file.
    BinaryKind {
        /// Program linked for a fixed address.
        Executable = "executable",
        /// Shared library, or position-independent program.
        Dynamic = "dynamic",
        /// Object file: input of a linker; its sections have no addresses yet.
        Relocatable = "relocatable",
        /// Short import object, which names one symbol of a DLL for linkers.
        ShortImport = "short_import",
        /// Core dump: the memory of a stopped process.
        CoreDump = "core_dump",
        /// Container of other files, each of which is a binary of its own.
        Container = "container",
        /// Any other kind, such as a file of debug information.
        Other = "other",
    }
}

enumeration! {
    /// How much of the relocated data the dynamic linker makes read-only (RELRO).
    RelocationReadOnly {
        /// Nothing.
        None = "none",
        /// All except the slots of lazily bound functions.
        Partial = "partial",
        /// Everything.
        Full = "full",
    }
}

/// The header of an executable, object file or container.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_headers", stage = Sections, key(member_index))]
pub struct BinaryHeader<'a> {
    /// Position among the members of the container; 0 for a file that is not in a container.
    pub member_index: u32,
    /// File format.
    pub format: Format,
    /// Instruction set architecture; null for a container.
    pub architecture: Option<Architecture>,
    /// Number of the architecture as defined by the file format (ELF: `e_machine`); null for a container.
    pub machine: Option<u32>,
    /// Width of an address; null for a container.
    #[column(unit = "bits")]
    pub bits: Option<u8>,
    /// Byte order; null for an archive.
    pub endianness: Option<Endianness>,
    /// Purpose of the file.
    pub kind: BinaryKind,
    /// Flags of the file header, as stored (ELF: `e_flags`; PE: `Characteristics`); 0 for a container.
    pub flags: u64,
    /// Address of the entry point; null if the file has none.
    #[column(unit = "address")]
    pub entry_address: Option<u64>,
    /// Preferred load address (PE: `ImageBase`; Mach-O: address of `__TEXT`; ELF: lowest address of a loadable
    /// segment); null if nothing is loaded.
    #[column(unit = "address")]
    pub image_address: Option<u64>,
    /// Identifier of the build, in hexadecimal (ELF: build ID; PE: GUID and age of the PDB, as stored; Mach-O: UUID);
    /// null if the file has none.
    pub build_id: Option<&'a str>,
    /// Path of the program interpreter or dynamic linker; null if the file requests none.
    pub interpreter: Option<&'a str>,
    /// Whether the file can be loaded at any address; null if it is not a linked file.
    pub is_position_independent: Option<bool>,
    /// Whether the system may make stack and data non-executable (NX); null if the file is not linked.
    pub has_no_execute: Option<bool>,
    /// How much of the relocated data becomes read-only (RELRO); null if the file is not a linked ELF file.
    pub relocation_read_only: Option<RelocationReadOnly>,
    /// Whether the file uses stack canaries: it refers to the failure handler of the stack protector (PE: its load
    /// configuration has a security cookie); null if the file is not linked.
    pub has_stack_protector: Option<bool>,
    /// Whether the file declares that indirect branches only reach marked targets (x86: IBT; AArch64: BTI; PE: Control
    /// Flow Guard); null if the file is not linked.
    pub has_branch_protection: Option<bool>,
    /// Whether the file declares that return addresses are protected (x86: shadow stack; AArch64: pointer
    /// authentication); null if the file is not linked.
    pub has_return_protection: Option<bool>,
    /// Whether the file has a code signature; null for formats without code signatures.
    pub has_signature: Option<bool>,
    /// Size of the file.
    #[column(unit = "bytes")]
    pub file_size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: &'a str,
}
