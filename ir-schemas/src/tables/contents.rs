//! Tables of the `sections` stage: what the bytes of the file are.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// How text is encoded.
    StringEncoding {
        /// A byte for each character.
        Ascii = "ascii",
        /// Two bytes for each character, the less significant first.
        Utf16Le = "utf16le",
        /// Two bytes for each character, the more significant first.
        Utf16Be = "utf16be",
    }
}

/// A run of at least 4 printable ASCII characters (a space to `~`, or a tab), in a section that is not code, symbols,
/// relocations, unwinding or debug information, nor of the dynamic linker; in an ELF file without sections, in any of its
/// segments. One that takes more than 64 KiB stands in several rows.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_strings", stage = Sections, key(section_index, file_offset))]
pub struct BinaryString<'a> {
    /// Index of the section that it stands in.
    #[column(references = "binary_sections.section_index")]
    pub section_index: u32,
    /// Where it begins in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Address of its first byte; null in a section that is not loaded.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Size in the file, without what ends it.
    #[column(unit = "bytes")]
    pub size: u64,
    /// How it is encoded.
    pub encoding: StringEncoding,
    /// The characters as UTF-8.
    pub text: &'a str,
}

enumeration! {
    /// What bytes of a file belong to.
    ExtentOwner {
        /// The header of the file, the segments or the sections.
        Header = "header",
        /// A section.
        Section = "section",
        /// Tables that no section holds, such as the symbols of COFF and what Mach-O's `__LINKEDIT` holds.
        Table = "table",
        /// A member of a container.
        Member = "member",
        /// Nothing: zeros (or whatever a linker fills with) between the others.
        Padding = "padding",
        /// Nothing: bytes behind all that the headers speak of.
        Overlay = "overlay",
    }
}

/// A range of the file, each byte of which is in exactly one.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "file_extents", stage = Sections, key(file_offset))]
pub struct FileExtent<'a> {
    /// Where it begins in the file; the first at 0, every other where the one before ends.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Its size; never 0.
    #[column(unit = "bytes")]
    pub size: u64,
    /// What it belongs to.
    pub owner: ExtentOwner,
    /// Index of the section that it belongs to; null where it belongs to none.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Position of the member that it belongs to, among those that are lowered by themselves; null where it belongs to none.
    pub member_index: Option<u32>,
    /// The bytes themselves; null where the content of a section or the file extents of a member have them.
    pub content: Option<&'a [u8]>,
}
