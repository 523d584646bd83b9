//! What linkers will write to fields of relocatable objects, as readers of tables see it.

/// What a linker will write to a field: a place in a section, or a part of a sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relocation {
    /// Index of the section that the field stands in.
    pub(crate) field_section_index: u32,
    /// The field's place in it.
    pub(crate) offset: u64,
    /// The symbol that is referred to.
    pub(crate) symbol_index: u32,
    /// The section that the symbol lies in.
    pub(crate) section_index: Option<u32>,
    /// What is written, counted from the start of that section.
    pub(crate) value: u64,
    /// Whether what is stored in the field is to be added.
    pub(crate) adds_stored: bool,
    /// Whether the value is subtracted from what another relocation of the field writes.
    pub(crate) is_subtracted: bool,
}

/// Those of a field, among all that are sorted by section and offset.
pub(crate) fn at(relocations: &[Relocation], section_index: u32, offset: u64) -> &[Relocation] {
    let key = (section_index, offset);
    let of = |found: &Relocation| (found.field_section_index, found.offset);
    let start = relocations.partition_point(|found| of(found) < key);
    let count = relocations[start..].partition_point(|found| of(found) == key);
    &relocations[start..start + count]
}
