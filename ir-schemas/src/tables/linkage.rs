//! Tables of the `sections` stage: what linker and loader are told.

use crate::enumeration::enumeration;
use crate::{Table, Term};

/// One instruction to the loader: an entry of ELF's dynamic section, a load command of Mach-O, a data directory of PE.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "loader_commands", stage = Sections, key(command_index))]
pub struct LoaderCommand<'a> {
    /// Position among the instructions.
    pub command_index: u32,
    /// The specification's name, such as `DT_NEEDED`, `LC_LOAD_DYLIB` or `IMAGE_DIRECTORY_ENTRY_IMPORT`, or its number in
    /// hexadecimal.
    pub command: Term<'a>,
    /// Where it stands in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Its size in the file.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Its number (ELF: `d_val`; PE: the address of the directory); null where it has none.
    pub value: Option<u64>,
    /// Its text, such as a library's name; null where it has none.
    pub text: Option<&'a str>,
}

enumeration! {
    /// What a library is to the file.
    LibraryKind {
        /// It is loaded with the file.
        Needed = "needed",
        /// It is loaded with the file, if it is there.
        Weak = "weak",
        /// It is loaded when one of its functions is called first.
        Delayed = "delayed",
        /// It is loaded with the file, which exports what it exports.
        Reexported = "reexported",
        /// It is loaded with the file, on which it depends in turn.
        Upward = "upward",
        /// It stands in for the file's own symbols (ELF: `DT_FILTER`, `DT_AUXILIARY`).
        Filter = "filter",
        /// The name under which others load this file (ELF: `DT_SONAME`; PE: the name among its exports).
        OwnName = "own_name",
        /// A path to search, before the user's own.
        Rpath = "rpath",
        /// A path to search, after the user's own.
        Runpath = "runpath",
    }
}

/// A library that the file is loaded with, its own name as a library, or a path on which libraries are searched.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_libraries", stage = Sections, key(library_index))]
pub struct BinaryLibrary<'a> {
    /// Position among these rows.
    pub library_index: u32,
    /// What it is to the file.
    pub kind: LibraryKind,
    /// Name or path, as stored.
    pub library_name: &'a str,
    /// Version that the file was linked with, such as `1.2.0`; null where the format has none.
    pub version: Option<&'a str>,
}

/// Something that another file must have for this one to be loaded.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_imports", stage = Sections, key(import_index))]
pub struct BinaryImport<'a> {
    /// Position among the imports.
    pub import_index: u32,
    /// Name of the library that has it; null where any may.
    pub library_name: Option<&'a str>,
    /// Its name; null where it is imported by number.
    pub import_name: Option<&'a str>,
    /// Its number in the library (PE: ordinal, or the hint where it has a name); null where there is none.
    pub ordinal: Option<u32>,
    /// Version that is asked for; null where none is.
    pub version: Option<&'a str>,
    /// Address of the pointer that the loader sets; null where there is none or more than one kind of place.
    #[column(unit = "address")]
    pub slot_address: Option<u64>,
    /// Position of its symbol in the dynamic symbol table (Mach-O: in the symbol table); null where it has none.
    pub symbol_index: Option<u32>,
    /// Whether the file is loaded without it, too.
    pub is_weak: bool,
    /// Whether it is searched when it is called first.
    pub is_delayed: bool,
}

/// Something that other files can refer to.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_exports", stage = Sections, key(export_index))]
pub struct BinaryExport<'a> {
    /// Position among the exports.
    pub export_index: u32,
    /// Its name; null where it is exported by number.
    pub export_name: Option<&'a str>,
    /// Its number (PE: ordinal); null for formats without.
    pub ordinal: Option<u32>,
    /// Its address; null where another file has it, and for a thread-local variable.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Library and name of what stands for it, such as `NTDLL.RtlAllocateHeap`; null where this file has it.
    pub forwarded_to: Option<&'a str>,
    /// Version; null where it has none.
    pub version: Option<&'a str>,
    /// Position of its symbol in the dynamic symbol table (Mach-O: in the symbol table); null where it has none.
    pub symbol_index: Option<u32>,
}

/// A place that the linker or the loader changes, and how.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_relocations", stage = Sections, key(relocation_index))]
pub struct BinaryRelocation<'a> {
    /// Position among the relocations, table after table as they stand in the file.
    pub relocation_index: u32,
    /// Whether the loader does it.
    pub is_dynamic: bool,
    /// Index of the section that the entry stands in (ELF: `.rela.text`); null where it stands in none.
    #[column(references = "binary_sections.section_index")]
    pub table_section_index: Option<u32>,
    /// Index of the section that is changed; null where the entry does not say.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Address of the place; in a relocatable object, its offset in the section.
    #[column(unit = "address")]
    pub address: u64,
    /// The specification's name of how it is changed, such as `R_X86_64_RELATIVE`, or its number in hexadecimal; `RELR` for ELF's
    /// packed relocations, which add the address that the file is loaded at.
    pub relocation_type: Term<'a>,
    /// Position of the symbol that it refers to, in the dynamic symbol table if the loader does it; null where it refers to
    /// none.
    pub symbol_index: Option<u32>,
    /// Name of that symbol; null where it refers to none.
    pub symbol_name: Option<&'a str>,
    /// What is added; null where it stands in the place itself.
    pub addend: Option<i64>,
}

enumeration! {
    /// When a function is called that nothing in the file calls.
    InitializerKind {
        /// Before the initialisers of libraries.
        PreInit = "preinit",
        /// When the file is loaded.
        Init = "init",
        /// When the file is unloaded.
        Fini = "fini",
        /// When a thread begins or ends.
        ThreadLocal = "thread_local",
    }
}

/// A function that the loader calls.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_initializers", stage = Sections, key(initializer_index))]
pub struct BinaryInitializer {
    /// Position among the initialisers.
    pub initializer_index: u32,
    /// When it is called.
    pub kind: InitializerKind,
    /// Address of the pointer to it; null where it is named directly (ELF: `DT_INIT`).
    #[column(unit = "address")]
    pub slot_address: Option<u64>,
    /// Its address; null where only a symbol of another file says.
    #[column(unit = "address")]
    pub function_address: Option<u64>,
}

/// A note that compiler, linker or system left.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_notes", stage = Sections, key(note_index))]
pub struct BinaryNote<'a> {
    /// Position among the notes.
    pub note_index: u32,
    /// Index of the section that it stands in; null where it stands in none.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Where it stands in the file.
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Its size in the file, with its name and what fills it up.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Whose note it is, such as `GNU`.
    pub owner: &'a str,
    /// The owner's name of its type, such as `NT_GNU_BUILD_ID`, or its number in hexadecimal.
    pub note_type: &'a str,
    /// What it says, as stored.
    pub content: &'a [u8],
    /// What it says in words, such as `x86 feature: IBT, SHSTK`; null for types that binframe does not know.
    pub text: Option<&'a str>,
}

/// A resource of a PE file, such as an icon, a manifest or a version.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binary_resources", stage = Sections, key(resource_index), span(address, size))]
pub struct BinaryResource<'a> {
    /// Position among the resources.
    pub resource_index: u32,
    /// The specification's name of its type, such as `RT_VERSION`, or the file's own name or number.
    pub resource_type: &'a str,
    /// Its name or number.
    pub resource_name: &'a str,
    /// Number of its language (LANGID).
    pub language: u32,
    /// Address of its first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Where it stands in the file; null where it stands in no section.
    #[column(unit = "file offset")]
    pub file_offset: Option<u64>,
    /// Its size in memory and in the file.
    #[column(unit = "bytes")]
    pub size: u64,
}
