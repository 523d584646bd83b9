//! Tables of the `sections` stage: how frames are unwound, and where exceptions land.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// Where unwinding information comes from.
    UnwindSource {
        /// The section `.eh_frame`.
        EhFrame = "eh_frame",
        /// The section `.debug_frame`.
        DebugFrame = "debug_frame",
        /// The function table of PE (`.pdata`).
        FunctionTable = "function_table",
        /// Apple's compact unwinding information (`__unwind_info` or `__compact_unwind`).
        CompactUnwind = "compact_unwind",
    }
}

/// A range of code that the compiler described for unwinding: in practice, a function or a cold part of one.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "unwind_entries", stage = Sections, key(address, source, entry_section_index, entry_offset), span(address, size))]
pub struct UnwindEntry {
    /// Address of the first byte of code; in a relocatable object, its offset in its section.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the code.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Where the description stands.
    pub source: UnwindSource,
    /// Index of the section that the description stands in.
    #[column(references = "binary_sections.section_index")]
    pub entry_section_index: u32,
    /// Where the description begins in its section or, where that is compressed, in what was compressed.
    #[column(unit = "bytes")]
    pub entry_offset: u64,
    /// Index of the section that the code lies in; null where none holds it.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Address of the function that handles exceptions (C++ and Rust: the personality routine), or of the pointer to it where
    /// `is_personality_indirect`; null where there is none, and in a relocatable object, where relocations name it.
    #[column(unit = "address")]
    pub personality_address: Option<u64>,
    /// Whether `personality_address` is that of a pointer; null where that is null.
    pub is_personality_indirect: Option<bool>,
    /// Address of the language-specific data (the landing pads), in a relocatable object its offset in its section; null where
    /// there is none, and where it is that of a pointer to it.
    #[column(unit = "address")]
    pub lsda_address: Option<u64>,
    /// Index of the section that the language-specific data lies in; null where none holds it.
    #[column(references = "binary_sections.section_index")]
    pub lsda_section_index: Option<u32>,
    /// Whether it describes the frame of a signal handler; the C library lets such a range begin one byte before the code.
    pub is_signal_frame: bool,
    /// Whether it goes on with a function whose start another entry describes (PE: chained unwinding information, or a part
    /// without prologue).
    pub is_continuation: bool,
    /// Whether a frame is there at its first instruction, and not what a call leaves: so begin cold parts of functions. Null where
    /// nothing says so: compact unwinding information, records of AArch64's function tables, and frames of architectures other
    /// than x86, Arm and RISC-V.
    pub begins_in_frame: Option<bool>,
}

/// A range of code and where control goes when something is thrown in it.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "exception_call_sites", stage = Sections, key(address, lsda_section_index, lsda_address, call_site_index), span(address, size))]
pub struct ExceptionCallSite {
    /// Address of the first byte of code; in a relocatable object, its offset in its section, as of all addresses here.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the code.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Index of the section that the code lies in; null where none holds it.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Address of the landing pad; null where frames are left without one. Microsoft's tables: the block behind `__except`, the
    /// function that `catch` is made to, or that which cleans up.
    #[column(unit = "address")]
    pub landing_pad_address: Option<u64>,
    /// Index of the section that the landing pad lies in; null where none holds it.
    #[column(references = "binary_sections.section_index")]
    pub landing_pad_section_index: Option<u32>,
    /// What is caught: 0 for cleanup alone, otherwise the position of the first action plus 1. Microsoft's tables for C: address of
    /// the filter, or 1 for everything; for C++: position of the handler among the function's, plus 1.
    pub action: u64,
    /// Address of the range of code that the table is for.
    #[column(unit = "address")]
    pub function_address: u64,
    /// Address of the table that it stands in.
    #[column(unit = "address")]
    pub lsda_address: u64,
    /// Index of the section that the table stands in.
    #[column(references = "binary_sections.section_index")]
    pub lsda_section_index: u32,
    /// Position in that table; of what Microsoft's tables for C++ say together, position of what is said for the range of code.
    pub call_site_index: u32,
}
