//! Tables of the `sections` stage: notes, resources, strings, and the owner of each byte of the file.

use crate::Table;
use crate::enumeration::enumeration;

/// A note of the compiler, linker or system.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_notes", stage = Sections, key(note_index))]
pub struct BinaryNote<'a> {
    /// Position among the notes.
    pub note_index: u32,
    /// Index of the section that contains the note; null if no section does.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Offset of the note in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Size of the note in the file (ELF: including its name and padding).
    #[column(unit = "bytes")]
    pub size: u64,
    /// Name of the owner, such as `GNU`, which defines the note types.
    pub owner: &'a str,
    /// Note type as named by the owner, such as `NT_GNU_BUILD_ID`, or its number in hexadecimal.
    pub note_type: &'a str,
    /// Content, as stored.
    pub content: &'a [u8],
    /// Content as readable text, such as `X86_FEATURE_1_AND: IBT, SHSTK`; null for other note types.
    pub text: Option<&'a str>,
}

/// A resource of a PE file, such as an icon, a manifest or version information.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_resources", stage = Sections, key(resource_index), span(address, size))]
pub struct BinaryResource<'a> {
    /// Position among the resources.
    pub resource_index: u32,
    /// Resource type as named by the specification, such as `RT_VERSION`, or a name or number of the file's own.
    pub resource_type: &'a str,
    /// Name or number of the resource.
    pub resource_name: &'a str,
    /// Language identifier (LANGID); null if the language has a name instead, or none is stated.
    pub language: Option<u32>,
    /// Name of the language; null if it has a number, or none is stated.
    pub language_name: Option<&'a str>,
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Offset of the content in the file; null if no section contains it.
    #[column(unit = "file offset")]
    pub file_offset: Option<u64>,
    /// Size in memory and in the file.
    #[column(unit = "bytes")]
    pub size: u64,
}

enumeration! {
    /// A character encoding.
    StringEncoding {
        /// One byte per character.
        Ascii = "ascii",
        /// Two bytes per character, little-endian.
        Utf16Le = "utf16le",
        /// Two bytes per character, big-endian.
        Utf16Be = "utf16be",
    }
}

/// A sequence of at least 4 printable ASCII characters (space to `~`, or tab). Searched are sections of data, notes and
/// unknown content, and all segments of an ELF file without sections. Strings longer than 64 KiB are split into several
/// rows.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_strings", stage = Sections, key(section_index, file_offset))]
pub struct BinaryString<'a> {
    /// Index of the section that contains the string.
    #[column(references = "binary_sections.section_index")]
    pub section_index: u32,
    /// Offset of the first byte in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Address of the first byte; null if the section is not loaded.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Size in the file, without a terminator.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Character encoding.
    pub encoding: StringEncoding,
    /// The characters, as UTF-8.
    #[column(bloom_filter)]
    pub text: &'a str,
}

enumeration! {
    /// The owner of a range of the file.
    ExtentOwner {
        /// Header of the file, segment table or section table; in a container also member headers.
        Header = "header",
        /// Section.
        Section = "section",
        /// Table outside of sections, such as the COFF symbol table or the content of Mach-O's `__LINKEDIT`.
        Table = "table",
        /// Member of a container.
        Member = "member",
        /// Unused bytes between the others, usually zeros for alignment.
        Padding = "padding",
        /// Bytes after everything that the headers describe.
        Overlay = "overlay",
    }
}

/// A range of the file. The ranges cover each byte of the file exactly once.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_extents", stage = Sections, key(file_offset))]
pub struct BinaryExtent<'a> {
    /// Offset of the first byte; the first range starts at 0, each next one at the end of its predecessor.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Size of the range; never 0.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Kind of owner of the range.
    pub owner_kind: ExtentOwner,
    /// Index of the section that owns the range; null for other owners.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Position of the member that owns the range, among the members that are binaries of their own; null for other
    /// owners.
    pub member_index: Option<u32>,
    /// Bytes of the range; null if they are stored in the content of a section or in the file extents of a member.
    pub content: Option<&'a [u8]>,
}
