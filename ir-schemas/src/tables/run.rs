//! Tables that belong to no single stage.

use crate::Table;
use crate::enumeration::enumeration;

/// One input of a run. The last column of every table, `binary`, refers to it.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "binaries", stage = Run, key(path))]
pub struct Binary<'a> {
    /// Path of the file, as it was given.
    pub path: &'a str,
    /// The input that holds this one, such as an archive; null for a file of its own.
    pub container: Option<&'a str>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: &'a str,
    /// Size of the file.
    #[column(unit = "bytes")]
    pub size: u64,
    /// How far it was lowered: the last stage, such as `cfg`.
    pub status: &'a str,
}

enumeration! {
    /// The passes that write diagnostics, in the order of the alphabet, which is the order of rows.
    DiagnosticPass {
        /// The `cfg` pass.
        Cfg = "cfg",
        /// The `debug` pass.
        Debug = "debug",
        /// The `exceptions` pass.
        Exceptions = "exceptions",
        /// The `instructions` pass.
        Instructions = "instructions",
        /// The `linkage` pass.
        Linkage = "linkage",
        /// The `memory` pass.
        Memory = "memory",
        /// The `sections` pass.
        Sections = "sections",
        /// The `strings` pass.
        Strings = "strings",
    }
}

enumeration! {
    /// How much a diagnostic matters.
    Severity {
        /// Worth knowing.
        Note = "note",
        /// Something was not understood; the rest is sound.
        Warning = "warning",
        /// Part of the file is broken and was left out.
        Error = "error",
    }
}

enumeration! {
    /// What was not understood.
    DiagnosticCode {
        /// The file has no section table; its loadable segments stand for sections.
        NoSectionTable = "no_section_table",
        /// A section's content reaches beyond the end of the file; what is there was taken.
        SectionOutOfBounds = "section_out_of_bounds",
        /// A segment's content reaches beyond the end of the file.
        SegmentOutOfBounds = "segment_out_of_bounds",
        /// The section table cannot be read.
        BrokenSectionTable = "broken_section_table",
        /// A section, symbol or other name cannot be read; it was taken as empty.
        BrokenName = "broken_name",
        /// A symbol table cannot be read; its symbols were left out.
        BrokenSymbolTable = "broken_symbol_table",
        /// A symbol lies in a section that does not exist.
        SymbolWithoutSection = "symbol_without_section",
        /// A note cannot be read; the rest of its segment was left out.
        BrokenNote = "broken_note",
        /// The rest of a section of unwinding information cannot be read; its entries were left out.
        BrokenUnwind = "broken_unwind",
        /// The rest of a function's language-specific data cannot be read; its call sites were left out.
        BrokenExceptionTable = "broken_exception_table",
        /// Functions have a handler of exceptions whose data binframe does not read.
        UnreadExceptionTable = "unread_exception_table",
        /// An instruction to the loader cannot be read; it was left out.
        BrokenLoaderCommand = "broken_loader_command",
        /// A relocation, or the rest of a table of them, cannot be read; it was left out.
        BrokenRelocation = "broken_relocation",
        /// Imports or exports cannot be read; they were left out.
        BrokenLinkage = "broken_linkage",
        /// A tree of resources cannot be read; the rest of it was left out.
        BrokenResource = "broken_resource",
        /// A member of a container is no file that can be lowered by itself; its bytes are kept with the container.
        OpaqueMember = "opaque_member",
        /// The rest of a container cannot be read; its bytes are kept without knowing what they are.
        BrokenContainer = "broken_container",
        /// A section of debug information cannot be read; it was left out.
        BrokenDebugSection = "broken_debug_section",
        /// The rest of a unit of debug information cannot be read; it was left out.
        BrokenDebugUnit = "broken_debug_unit",
        /// The rest of a line number program cannot be read; its rows were left out.
        BrokenLineProgram = "broken_line_program",
        /// Debug information stands in another file that was not found, or is not the one that is meant.
        MissingDebugFile = "missing_debug_file",
        /// There is code that binframe does not decode: of another architecture, or not linked yet.
        UndecodedCode = "undecoded_code",
        /// Two executable sections share addresses; the first was kept for the later stages.
        OverlappingCode = "overlapping_code",
        /// A section is too large for one value; its content was left out.
        SectionTooLarge = "section_too_large",
        /// All text of the file together is too long; the rest was left out.
        TooMuchText = "too_much_text",
        /// A run of bytes in code is no instruction.
        InvalidInstructions = "invalid_instructions",
        /// An instruction reaches over a known function start; it was cut there.
        InstructionOverStart = "instruction_over_start",
        /// A jump or call goes into the middle of an instruction.
        TargetInsideInstruction = "target_inside_instruction",
        /// A jump or call goes outside all executable sections.
        TargetOutsideCode = "target_outside_code",
        /// Where an indirect jump goes is not known.
        UnresolvedIndirectJump = "unresolved_indirect_jump",
        /// A function's stack pointer is not known throughout.
        StackPointerLost = "stack_pointer_lost",
        /// Values in a function were not followed to the end.
        FunctionTooComplex = "function_too_complex",
        /// More diagnostics of one code than are kept; the message says how many were left out.
        More = "more",
    }
}

/// Something that a pass could not understand.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "diagnostics", stage = Run, key(pass, ordinal))]
pub struct Diagnostic<'a> {
    /// The pass that reports it.
    pub pass: DiagnosticPass,
    /// Position among the diagnostics of the pass.
    pub ordinal: u32,
    /// How much it matters.
    pub severity: Severity,
    /// What was not understood.
    pub code: DiagnosticCode,
    /// Address that it is about; null where it is not about one.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Place in the file that it is about; null where it is not about one.
    #[column(unit = "file offset")]
    pub file_offset: Option<u64>,
    /// What was found and what was expected.
    pub message: &'a str,
}
