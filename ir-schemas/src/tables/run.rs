//! Tables of no single stage: the inputs of a run, and the diagnostics of all passes.

use crate::enumeration::enumeration;
use crate::{Table, Term};

/// A binary of a run, to which the column `binary_name` of every table refers.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binaries", stage = Run)]
pub struct Binary<'a> {
    /// Path of the file, as given.
    pub path: &'a str,
    /// Binary that contains this one, such as an archive; null for a file of its own.
    pub container: Option<&'a str>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: &'a str,
    /// Size of the binary.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Last stage of the pipeline that was run on the binary, such as `cfg`.
    pub last_stage: Term<'a>,
}

enumeration! {
    /// A pass that reports diagnostics. Declared in alphabetical order, which is the order of the rows.
    DiagnosticPass {
        /// Control flow.
        Cfg = "cfg",
        /// Debug information.
        Debug = "debug",
        /// Exception tables.
        Exceptions = "exceptions",
        /// Disassembly.
        Instructions = "instructions",
        /// Linking and loading metadata.
        Linkage = "linkage",
        /// Memory.
        Memory = "memory",
        /// Headers, segments, sections, symbols and unwind information.
        Sections = "sections",
        /// Strings.
        Strings = "strings",
    }
}

enumeration! {
    /// The importance of a diagnostic.
    Severity {
        /// Information; no data is missing or wrong.
        Note = "note",
        /// Something was not understood; all other data is reliable.
        Warning = "warning",
        /// Part of the file is corrupt and was skipped.
        Error = "error",
    }
}

enumeration! {
    /// The cause of a diagnostic.
    DiagnosticCode {
        /// The file has no section table; its loadable segments are used as sections.
        NoSectionTable = "no_section_table",
        /// The content of a section extends past the end of the file; the part in the file is used.
        SectionOutOfBounds = "section_out_of_bounds",
        /// The content of a segment extends past the end of the file.
        SegmentOutOfBounds = "segment_out_of_bounds",
        /// The section table is corrupt.
        BrokenSectionTable = "broken_section_table",
        /// The name of a section, symbol or other item is corrupt; it is treated as empty.
        BrokenName = "broken_name",
        /// A symbol table is corrupt; its symbols are skipped.
        BrokenSymbolTable = "broken_symbol_table",
        /// A symbol refers to a section that does not exist.
        SymbolWithoutSection = "symbol_without_section",
        /// A note is corrupt; the rest of its segment is skipped.
        BrokenNote = "broken_note",
        /// A section of unwind information is corrupt; the rest of it is skipped.
        BrokenUnwind = "broken_unwind",
        /// The language-specific data of a function is corrupt; the rest of its call sites are skipped.
        BrokenExceptionTable = "broken_exception_table",
        /// Functions have an exception handler whose data binframe does not read.
        UnreadExceptionTable = "unread_exception_table",
        /// An entry that directs the loader is corrupt; it is skipped.
        BrokenLoaderCommand = "broken_loader_command",
        /// A part of the function table of a Go program is corrupt; it is skipped.
        BrokenFunctionTable = "broken_function_table",
        /// A relocation, or the rest of a relocation table, is corrupt; it is skipped.
        BrokenRelocation = "broken_relocation",
        /// Imports or exports are corrupt; they are skipped.
        BrokenLinkage = "broken_linkage",
        /// A resource directory is corrupt; the rest of it is skipped.
        BrokenResource = "broken_resource",
        /// A member of a container is not a supported file; its bytes are stored with the container.
        OpaqueMember = "opaque_member",
        /// The rest of a container is corrupt; its bytes are stored without interpretation.
        BrokenContainer = "broken_container",
        /// A section of debug information is corrupt; it is skipped.
        BrokenDebugSection = "broken_debug_section",
        /// A unit of debug information is corrupt; the rest of it is skipped.
        BrokenDebugUnit = "broken_debug_unit",
        /// A line number program is corrupt; the rest of its rows are skipped.
        BrokenLineProgram = "broken_line_program",
        /// Debug information is in another file, which was not found or does not match.
        MissingDebugFile = "missing_debug_file",
        /// Code is not decoded: another architecture, or an object file.
        UndecodedCode = "undecoded_code",
        /// Two executable sections overlap; later stages use the first.
        OverlappingCode = "overlapping_code",
        /// A section is too large for a single value; its content is omitted from `binary_sections`.
        SectionTooLarge = "section_too_large",
        /// The text of all strings exceeds a limit; the rest is skipped.
        TooMuchText = "too_much_text",
        /// A sequence of bytes in code is not a valid instruction.
        InvalidInstructions = "invalid_instructions",
        /// An instruction extends past the start of a function; it is truncated there.
        InstructionOverStart = "instruction_over_start",
        /// The target of a jump or call is inside an instruction.
        TargetInsideInstruction = "target_inside_instruction",
        /// The target of a jump or call is outside all executable sections.
        TargetOutsideCode = "target_outside_code",
        /// The targets of an indirect jump are unknown.
        UnresolvedIndirectJump = "unresolved_indirect_jump",
        /// The stack pointer of a function is not known throughout.
        StackPointerLost = "stack_pointer_lost",
        /// The analysis of a function exceeded its limit and was abandoned.
        FunctionTooComplex = "function_too_complex",
        /// Memory and data flow of code are not analyzed: the instruction set has no interpreter.
        UnanalyzedCode = "unanalyzed_code",
        /// More diagnostics of one code than are stored; the message states how many were omitted.
        More = "more",
    }
}

/// A diagnostic: something that a pass could not interpret, or that may be unexpected. Equal diagnostics are one row.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "diagnostics", stage = Run, key(pass, code, address, file_offset, message))]
pub struct Diagnostic<'a> {
    /// Pass that reports the diagnostic.
    pub pass: DiagnosticPass,
    /// Importance of the diagnostic.
    pub severity: Severity,
    /// Cause of the diagnostic.
    pub code: DiagnosticCode,
    /// Address that the diagnostic refers to; null if it does not refer to an address.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// File offset that the diagnostic refers to; null if it does not refer to one.
    #[column(unit = "file offset")]
    pub file_offset: Option<u64>,
    /// Description: what was found, and what was expected.
    pub message: &'a str,
}
