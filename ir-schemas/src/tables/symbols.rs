//! The table `binary_symbols` of the `sections` stage.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// The kind of entity that a symbol names.
    SymbolType {
        /// Function.
        Function = "function",
        /// Variable.
        Variable = "variable",
        /// Section.
        Section = "section",
        /// Source file.
        File = "file",
        /// Thread-local variable.
        Tls = "tls",
        /// Function that returns the address of the implementation to call (`STT_GNU_IFUNC`).
        IndirectFunction = "indirect_function",
        /// Not stated by the symbol.
        Unknown = "unknown",
    }
}

enumeration! {
    /// Which files may refer to a symbol, and which definition takes precedence.
    SymbolBinding {
        /// Visible in this file only.
        Local = "local",
        /// Visible in all files.
        Global = "global",
        /// Visible in all files; a global definition takes precedence.
        Weak = "weak",
        /// Visible in all files, with one definition per process (`STB_GNU_UNIQUE`).
        Unique = "unique",
        /// Binding that the specification does not name.
        Other = "other",
    }
}

enumeration! {
    /// Whether other shared libraries can refer to a symbol.
    SymbolVisibility {
        /// As specified by the binding.
        Default = "default",
        /// Reserved for the system.
        Internal = "internal",
        /// Visible in its own library only.
        Hidden = "hidden",
        /// Visible to other libraries; references from its own library always use its own definition.
        Protected = "protected",
    }
}

enumeration! {
    /// Where the entity that a symbol names is defined.
    SymbolDefinition {
        /// In a section of this file.
        Section = "section",
        /// In another file, found by the linker or loader.
        Undefined = "undefined",
        /// Nowhere: the value of the symbol is a number.
        Absolute = "absolute",
        /// In a section that the linker allocates; the value of the symbol is an alignment or a size.
        Common = "common",
        /// For debuggers only.
        Debug = "debug",
        /// In a section that does not exist, or in a location that the specification does not name.
        Other = "other",
    }
}

enumeration! {
    /// The language whose compilers make a name.
    SymbolLanguage {
        /// C++.
        Cpp = "cpp",
        /// Rust.
        Rust = "rust",
        /// Swift.
        Swift = "swift",
        /// D.
        D = "d",
        /// Go.
        Go = "go",
        /// Ada, of GNAT: units of its library, and main programs.
        Ada = "ada",
        /// Objective-C.
        ObjectiveC = "objective_c",
    }
}

/// A symbol of the static or dynamic symbol table.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_symbols", stage = Sections, key(is_dynamic, symbol_index), span(symbol_address, symbol_size))]
pub struct BinarySymbol<'a> {
    /// Name as stored, usually mangled.
    #[column(bloom_filter)]
    pub symbol_name: &'a str,
    /// Kind of the named entity.
    #[column(one_of = SymbolType)]
    pub symbol_type: &'a str,
    /// Value of the symbol: an address, except for thread-local, absolute and common symbols.
    #[column(unit = "address")]
    pub symbol_address: u64,
    /// Size of the named entity; 0 if the symbol does not state it.
    #[column(unit = "bytes")]
    pub symbol_size: u64,
    /// Name of the section that the symbol is defined in; null if it is not defined in a section.
    pub section_name: Option<&'a str>,
    /// Name as written in Rust or C++ source; null if the stored name is not mangled by Rust, the Itanium C++ ABI or
    /// Microsoft's compilers.
    pub demangled_name: Option<&'a str>,
    /// Language whose compilers make such names; null for names that do not tell.
    pub language: Option<SymbolLanguage>,
    /// Which files may refer to the symbol.
    pub binding: SymbolBinding,
    /// Whether other shared libraries can refer to the symbol.
    pub visibility: SymbolVisibility,
    /// Where the named entity is defined.
    pub definition_kind: SymbolDefinition,
    /// Whether the symbol is in the dynamic symbol table.
    pub is_dynamic: bool,
    /// Position in the symbol table.
    pub symbol_index: u32,
    /// Index of the section that the symbol is defined in; null if it is not defined in a section.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Version of the symbol, such as `GLIBC_2.17`; null if it has none.
    pub version: Option<&'a str>,
    /// Whether references without a version are bound to this version; null if the symbol has no version.
    pub is_default_version: Option<bool>,
}
