//! Relocations of relocatable objects, as readers of tables in their sections need them: by the field that a linker
//! will write.

/// A relocation: the value that a linker will write to a field, as an offset in a section or as a term of a sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldRelocation {
    /// Index of the section that contains the field.
    pub(crate) field_section_index: u32,
    /// Offset of the field in that section.
    pub(crate) offset: u64,
    /// The symbol that the relocation names.
    pub(crate) symbol_index: u32,
    /// The section that defines the symbol; `None` if it is not defined in a section of this file.
    pub(crate) section_index: Option<u32>,
    /// The value to write, as an offset in that section.
    pub(crate) value: u64,
    /// Whether the value that the field holds is to be added.
    pub(crate) adds_stored: bool,
    /// Whether the value is subtracted from the values of the field's other relocations.
    pub(crate) is_subtracted: bool,
}

/// The relocations of one field. `relocations` is sorted by section and offset.
pub(crate) fn of_field(
    relocations: &[FieldRelocation],
    section_index: u32,
    offset: u64,
) -> &[FieldRelocation] {
    let key = (section_index, offset);
    let field = |relocation: &FieldRelocation| (relocation.field_section_index, relocation.offset);
    let start = relocations.partition_point(|relocation| field(relocation) < key);
    let count = relocations[start..].partition_point(|relocation| field(relocation) == key);
    &relocations[start..start + count]
}
