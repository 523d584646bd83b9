//! Tables of the `sections` stage: segments and sections.

use crate::enumeration::enumeration;
use crate::{Table, Term};

/// A segment: a range of the file that is mapped into memory, or that describes something to the loader (ELF: program
/// header).
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_segments", stage = Sections, key(segment_index), span(address, size))]
pub struct BinarySegment<'a> {
    /// Position in the segment table.
    pub segment_index: u32,
    /// Segment type as named by the specification, such as `PT_LOAD`, or its number in hexadecimal; null for formats
    /// without segment types.
    pub segment_type: Option<&'a str>,
    /// Name of the segment, such as `__TEXT`; null for formats without segment names.
    pub segment_name: Option<&'a str>,
    /// Address of the first byte in memory.
    #[column(unit = "address")]
    pub address: u64,
    /// Size in memory.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Offset of the content in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Size of the content in the file.
    #[column(unit = "bytes")]
    pub file_size: u64,
    /// Alignment in memory and in the file.
    #[column(unit = "bytes")]
    pub alignment: u64,
    /// Memory permissions, such as `r-x`.
    pub permissions: Term<'a>,
}

enumeration! {
    /// The purpose of a section.
    SectionKind {
        /// Machine code.
        Code = "code",
        /// Stubs that call imported functions (procedure linkage table).
        Plt = "plt",
        /// Initialized data.
        Data = "data",
        /// Zero-initialized data, which has no content in the file.
        Uninitialized = "uninitialized",
        /// Thread-local storage: the initial values of each thread's copy.
        ThreadLocal = "thread_local",
        /// Symbols, their names, hashes and versions.
        Symbols = "symbols",
        /// Relocations.
        Relocations = "relocations",
        /// Unwind information.
        Unwind = "unwind",
        /// Debug information.
        Debug = "debug",
        /// Notes of the linker, compiler or system.
        Note = "note",
        /// Input of the dynamic linker, such as imports and exports.
        Dynamic = "dynamic",
        /// Any other content.
        Other = "other",
    }
}

/// A section, or a loadable segment of a file that has no section table.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_sections", stage = Sections, key(section_index), span(address, size))]
pub struct BinarySection<'a> {
    /// Name of the section; in Mach-O prefixed with its segment, such as `__TEXT,__text`.
    pub section_name: &'a str,
    /// Address of the first byte in memory; 0 for a section that is not loaded.
    #[column(unit = "address")]
    pub address: u64,
    /// Size in memory.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Bytes of the section in the file; empty if it has none there, or 1 GiB or more (those are in `binary_extents`).
    pub content: &'a [u8],
    /// Memory permissions, such as `r-x`; `---` for a section that is not loaded.
    pub permissions: &'a str,
    /// Whether the section may be executed.
    pub is_executable: bool,
    /// Whether the section may be written at run time.
    pub is_writable: bool,
    /// Whether the section is loaded and may be read at run time.
    pub is_readable: bool,
    /// Position in the section table, with the base of the format (ELF: 0; PE, COFF and Mach-O: 1).
    pub section_index: u32,
    /// Offset of the content in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Size of the content in the file.
    #[column(unit = "bytes")]
    pub file_size: u64,
    /// Alignment in memory.
    #[column(unit = "bytes")]
    pub alignment: u64,
    /// Purpose of the section.
    pub kind: SectionKind,
    /// Section flags, as stored (ELF: `sh_flags`; PE and COFF: `Characteristics`); 0 for segments.
    pub flags: u64,
    /// Section type as named by the specification, such as `SHT_PROGBITS`, or its number in hexadecimal; null for
    /// formats without section types and for segments.
    pub section_type: Option<&'a str>,
    /// Index of the linked section (ELF: `sh_link`); null for other formats and for segments.
    pub link: Option<u32>,
    /// Additional information whose meaning depends on the section type (ELF: `sh_info`; Mach-O: `reserved1`); null for
    /// other formats and for segments.
    pub info: Option<u32>,
    /// Size of an entry if the section is a table, otherwise 0 (ELF: `sh_entsize`; Mach-O: `reserved2`); null for other
    /// formats and for segments.
    #[column(unit = "bytes")]
    pub entry_size: Option<u64>,
}
