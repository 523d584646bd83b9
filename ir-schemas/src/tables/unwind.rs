//! Tables of the `sections` stage: unwind entries and exception call sites.

use crate::Table;
use crate::enumeration::enumeration;

enumeration! {
    /// The format of unwind information.
    UnwindSource {
        /// Section `.eh_frame`.
        EhFrame = "eh_frame",
        /// Section `.debug_frame`.
        DebugFrame = "debug_frame",
        /// PE function table (`.pdata`).
        FunctionTable = "function_table",
        /// Apple's compact unwind information (`__unwind_info` or `__compact_unwind`).
        CompactUnwind = "compact_unwind",
    }
}

/// A range of code with unwind information: usually a function, or a fragment of a function.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_unwind_entries", stage = Sections, key(address, unwind_kind, entry_section_index, entry_offset), span(address, size), file_bytes_per_row = 500)]
pub struct BinaryUnwindEntry {
    /// Address of the first byte of code; in an object file, its offset in the section.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the code.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Format of the unwind information.
    pub unwind_kind: UnwindSource,
    /// Index of the section that contains the entry.
    #[column(references = "binary_sections.section_index")]
    pub entry_section_index: u32,
    /// Offset of the entry in its section (after decompression, if the section is compressed).
    #[column(unit = "bytes")]
    pub entry_offset: u64,
    /// Index of the section that contains the code; null if no section does.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Address of the exception handler (C++ and Rust: personality routine), or of a pointer to it if
    /// `is_personality_indirect`; null if there is none, and in an object file, where a relocation names it.
    #[column(unit = "address")]
    pub personality_address: Option<u64>,
    /// Whether `personality_address` is the address of a pointer to the handler; null if `personality_address` is null.
    pub is_personality_indirect: Option<bool>,
    /// Address of the language-specific data (LSDA: call sites and landing pads), in an object file its offset in the
    /// section; null if there is none, or if only a pointer to it is known.
    #[column(unit = "address")]
    pub lsda_address: Option<u64>,
    /// Index of the section that contains the language-specific data; null if no section does.
    #[column(references = "binary_sections.section_index")]
    pub lsda_section_index: Option<u32>,
    /// Whether the entry describes the frame of a signal handler; the C library starts such a range one byte before the
    /// code.
    pub is_signal_frame: bool,
    /// Whether the range continues a function whose start is described by another entry (PE: chained unwind
    /// information, or a fragment without a prologue).
    pub is_continuation: bool,
    /// Whether a stack frame is already set up at the first instruction, as in an out-of-line fragment of a function;
    /// null if not stated: compact unwind information, AArch64 `.xdata` records, and call frame information of
    /// architectures other than x86, Arm and RISC-V.
    pub begins_in_frame: Option<bool>,
}

/// A range of code and the landing pad to which an exception thrown in it is dispatched.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_exception_call_sites", stage = Sections, key(address, lsda_section_index, lsda_address, call_site_index), span(address, size))]
pub struct BinaryExceptionCallSite {
    /// Address of the first byte of code. In an object file, all addresses of this table are offsets in their sections.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the code.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Index of the section that contains the code; null if no section does.
    #[column(references = "binary_sections.section_index")]
    pub section_index: Option<u32>,
    /// Address of the landing pad (Microsoft's tables: of the `__except` block, the `catch` function or the cleanup
    /// function); null if the exception passes through without one.
    #[column(unit = "address")]
    pub landing_pad_address: Option<u64>,
    /// Index of the section that contains the landing pad; null if no section does.
    #[column(references = "binary_sections.section_index")]
    pub landing_pad_section_index: Option<u32>,
    /// Which exceptions are handled: 0 for cleanup only, otherwise 1 plus the offset of the first record in the action
    /// table. Microsoft's tables: for C, address of the filter, or 1 for all exceptions; for C++, 1 plus the position
    /// among the handlers of the function.
    pub action: u64,
    /// Address of the range of code that the table belongs to (see `binary_unwind_entries`).
    #[column(unit = "address")]
    pub function_address: u64,
    /// Address of the table that contains the call site.
    #[column(unit = "address")]
    pub lsda_address: u64,
    /// Index of the section that contains the table.
    #[column(references = "binary_sections.section_index")]
    pub lsda_section_index: u32,
    /// Position in the table; in Microsoft's C++ tables, position among the handlers of the range of code.
    pub call_site_index: u32,
}
