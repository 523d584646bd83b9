//! Tables of the `sections` stage: the fields of notes and loader commands, and the products of a Rich header.

use crate::Table;

/// A field or an entry of a note or of a loader command, decoded.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_attributes", stage = Sections, key(attribute_index))]
pub struct BinaryAttribute<'a> {
    /// Position among the attributes.
    pub attribute_index: u32,
    /// Note that states the attribute; null if a loader command does.
    #[column(references = "binary_notes.note_index")]
    pub note_index: Option<u32>,
    /// Loader command that states the attribute, or locates the data that does; null if a note does.
    #[column(references = "binary_loader_commands.command_index")]
    pub command_index: Option<u32>,
    /// Type of the note or command, such as `IMAGE_DEBUG_TYPE_POGO` or `LC_BUILD_VERSION`.
    pub source_name: &'a str,
    /// Name of the field, such as `guid`, or kind of the entry as named by the specification, such as `AT_PHDR`.
    pub attribute_name: &'a str,
    /// Address that the attribute is about; null if it has none.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Size of the memory at `address`; null if none is stated.
    #[column(unit = "bytes")]
    pub size: Option<u64>,
    /// Number, as stored; null if it has none.
    pub value: Option<u64>,
    /// Text, or a readable form of the number; null if it has none.
    pub text: Option<&'a str>,
}

/// A product of Microsoft that made inputs of a PE file, as its linker counted them in the Rich header.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_rich_entries", stage = Sections, key(entry_index))]
pub struct BinaryRichEntry {
    /// Position in the Rich header.
    pub entry_index: u32,
    /// Number of the product, such as 0x104 for the C compiler of Visual Studio 2015 and later.
    pub product_id: u16,
    /// Build of the product.
    pub build_number: u16,
    /// Number of inputs that it made.
    pub input_count: u32,
}
