//! Tables of the `sections` stage: linking and loading metadata.

use crate::Table;
use crate::enumeration::enumeration;

/// An entry that directs the loader: ELF dynamic section entry, Mach-O load command, or PE data directory.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_loader_commands", stage = Sections, key(command_index))]
pub struct BinaryLoaderCommand<'a> {
    /// Position among the entries.
    pub command_index: u32,
    /// Type of the entry as named by the specification, such as `DT_NEEDED`, `LC_LOAD_DYLIB` or
    /// `IMAGE_DIRECTORY_ENTRY_IMPORT`, or its number in hexadecimal.
    pub command: &'a str,
    /// Offset of the entry in the file (PE: of the content of the directory).
    #[column(unit = "file offset")]
    pub file_offset: u64,
    /// Size of the entry in the file (PE: of the content of the directory).
    #[column(unit = "bytes")]
    pub size: u64,
    /// Numeric value of the entry (ELF: `d_val`; PE: address of the directory); null if it has none.
    pub value: Option<u64>,
    /// Text of the entry, such as the name of a library; null if it has none.
    pub text: Option<&'a str>,
}

enumeration! {
    /// The relation of a library to the file.
    LibraryKind {
        /// Loaded with the file.
        Needed = "needed",
        /// Loaded with the file if it exists.
        Weak = "weak",
        /// Loaded at the first call of one of its functions.
        Delayed = "delayed",
        /// Loaded with the file, which exports everything that the library exports.
        Reexported = "reexported",
        /// Loaded with the file, on which the library depends in turn.
        Upward = "upward",
        /// Provides the definitions of the file's own symbols (ELF: `DT_FILTER`, `DT_AUXILIARY`).
        Filter = "filter",
        /// Name of this file as a library (ELF: `DT_SONAME`; PE: the name in the export directory).
        OwnName = "own_name",
        /// Search path for libraries, used before that of the user.
        Rpath = "rpath",
        /// Search path for libraries, used after that of the user.
        Runpath = "runpath",
    }
}

/// A library that the file is loaded with, its own name as a library, or a search path for libraries.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_libraries", stage = Sections, key(library_index))]
pub struct BinaryLibrary<'a> {
    /// Position in the table.
    pub library_index: u32,
    /// Relation of the library to the file.
    pub kind: LibraryKind,
    /// Name or path, as stored.
    pub library_name: &'a str,
    /// Version of the library at link time, such as `1.2.0`; null for formats without library versions.
    pub version: Option<&'a str>,
}

/// A function or variable that the file expects from another file.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_imports", stage = Sections, key(import_index), references(binary_symbols(is_symbol_dynamic, symbol_index)))]
pub struct BinaryImport<'a> {
    /// Position among the imports.
    pub import_index: u32,
    /// Name of the library that must provide the import; null if any library may.
    pub library_name: Option<&'a str>,
    /// Name of the import; null if it is imported by number only.
    #[column(bloom_filter)]
    pub import_name: Option<&'a str>,
    /// PE: ordinal, or hint if the import has a name; null for other formats.
    pub ordinal: Option<u32>,
    /// Required version; null if none is required.
    pub version: Option<&'a str>,
    /// Address of the import slot (GOT or IAT entry), a pointer that the loader sets; null if none is known.
    #[column(unit = "address")]
    pub slot_address: Option<u64>,
    /// Whether the symbol is in the dynamic symbol table; null if the import has no symbol.
    pub is_symbol_dynamic: Option<bool>,
    /// Position of the symbol in its table; null if the import has no symbol.
    pub symbol_index: Option<u32>,
    /// Whether the file can be loaded without it.
    pub is_weak: bool,
    /// Whether it is bound lazily, at the first call.
    pub is_delayed: bool,
}

/// A function or variable that the file provides to other files.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_exports", stage = Sections, key(export_index), references(binary_symbols(is_symbol_dynamic, symbol_index)))]
pub struct BinaryExport<'a> {
    /// Position among the exports.
    pub export_index: u32,
    /// Name of the export; null if it is exported by number only.
    #[column(bloom_filter)]
    pub export_name: Option<&'a str>,
    /// PE: ordinal; null for other formats.
    pub ordinal: Option<u32>,
    /// Address of the export; null if it is forwarded to another file, and for a thread-local variable.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Library and name that the export is forwarded to, such as `NTDLL.RtlAllocateHeap`; null if this file defines it.
    pub forwarded_to: Option<&'a str>,
    /// Version of the export; null if it has none.
    pub version: Option<&'a str>,
    /// Whether the symbol is in the dynamic symbol table; null if the export has no symbol.
    pub is_symbol_dynamic: Option<bool>,
    /// Position of the symbol in its table; null if the export has no symbol.
    pub symbol_index: Option<u32>,
}

/// A location that the linker or the loader modifies, and how.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_relocations", stage = Sections, key(relocation_index), references(binary_symbols(is_symbol_dynamic, symbol_index)))]
pub struct BinaryRelocation<'a> {
    /// Position among the relocations of all tables, in file order.
    pub relocation_index: u32,
    /// Whether the loader applies the relocation; otherwise the linker does.
    pub is_dynamic: bool,
    /// Index of the section that contains the relocation entry (ELF: such as `.rela.text`); null if no section does.
    #[column(references = "binary_sections.section_index")]
    pub table_section_index: Option<u32>,
    /// Index of the section that is modified; null if the entry does not state it.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Address of the modified location; in an object file, its offset in the section.
    #[column(unit = "address")]
    pub address: u64,
    /// Relocation type as named by the specification, such as `R_X86_64_RELATIVE`, or its number in hexadecimal; `RELR`
    /// for ELF's packed relative relocations.
    pub relocation_type: &'a str,
    /// Whether the referenced symbol is in the dynamic symbol table; null if no symbol is referenced, and if the table
    /// has no symbol at `symbol_index`.
    pub is_symbol_dynamic: Option<bool>,
    /// Position of the referenced symbol in its table; null if no symbol is referenced.
    pub symbol_index: Option<u32>,
    /// Name of the referenced symbol; null if no symbol is referenced.
    pub symbol_name: Option<&'a str>,
    /// Addend; null if it is stored in the modified location.
    pub addend: Option<i64>,
    /// Key that the loader signs the pointer with: `IA`, `IB`, `DA` or `DB`; null if it does not sign it.
    pub signing_key: Option<&'a str>,
    /// Number that is signed with the pointer; null if it is not signed.
    pub signing_diversity: Option<u16>,
    /// Whether the address of the pointer is signed with it; null if it is not signed.
    pub is_address_signed: Option<bool>,
}

enumeration! {
    /// The event at which the loader calls a function.
    InitializerKind {
        /// Before the initializers of libraries.
        PreInit = "preinit",
        /// The file is loaded.
        Init = "init",
        /// The file is unloaded.
        Fini = "fini",
        /// A thread starts or ends.
        ThreadLocal = "thread_local",
    }
}

/// A function that the loader calls.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_initializers", stage = Sections, key(initializer_index))]
pub struct BinaryInitializer {
    /// Position among the initializers.
    pub initializer_index: u32,
    /// Event at which the function is called.
    pub kind: InitializerKind,
    /// Address of the pointer to the function; null if the file states the function's address directly (ELF:
    /// `DT_INIT`).
    #[column(unit = "address")]
    pub slot_address: Option<u64>,
    /// Address of the function; null if it is defined in another file.
    #[column(unit = "address")]
    pub function_address: Option<u64>,
}
