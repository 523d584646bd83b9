//! Differences between the tables and the tool that are right.

use crate::rows::Difference;
use binframe_testsuite::matrix::matches;

/// A difference, and why it is right.
pub(super) struct Explained {
    /// `TABLE.COLUMN`, or `TABLE.row` for a row that one side does not have.
    pub(super) column: &'static str,
    /// The cell of the table. One `*` stands for any text, here and below.
    pub(super) found: &'static str,
    /// What the tool prints.
    pub(super) expected: &'static str,
    pub(super) reason: &'static str,
}

const fn explained(
    column: &'static str,
    found: &'static str,
    expected: &'static str,
    reason: &'static str,
) -> Explained {
    Explained { column, found, expected, reason }
}

const RELOCATION_TYPE: &str = "binary_relocations.relocation_type";
const SECTION_TYPE: &str = "binary_sections.section_type";
const COMMAND: &str = "binary_loader_commands.command";
const NOTE_TYPE: &str = "binary_notes.note_type";
const SHORT: &str = "the tool shortens the name of the type";
const CAPITALS: &str = "the table writes all names of types in capitals";
const SPELLING: &str = "LLVM does not use the name that the ABI or binutils gives the type";
const NOT_IN_LLVM: &str = "the tool has no name for it";

/// All explained differences.
pub(super) const EXPLAINED: &[Explained] = &[
    explained(SECTION_TYPE, "SHT_GNU_VERSYM", "SHT_GNU_versym", CAPITALS),
    explained(SECTION_TYPE, "SHT_GNU_VERDEF", "SHT_GNU_verdef", CAPITALS),
    explained(SECTION_TYPE, "SHT_GNU_VERNEED", "SHT_GNU_verneed", CAPITALS),
    explained(SECTION_TYPE, "SHT_MIPS_XHASH", "0x7000002b", NOT_IN_LLVM),
    explained(COMMAND, "DT_SPARC_REGISTER", "0x70000001", NOT_IN_LLVM),
    explained(COMMAND, "DT_ALPHA_PLTRO", "0x70000000", NOT_IN_LLVM),
    explained(RELOCATION_TYPE, "R_386_JMP_SLOT", "R_386_JUMP_SLOT", SPELLING),
    explained(RELOCATION_TYPE, "R_68K_GOT*", "R_68K_GOTPCREL*", SPELLING),
    explained(RELOCATION_TYPE, "R_68K_GOT*O", "R_68K_GOTOFF*", SPELLING),
    explained(RELOCATION_TYPE, "R_PPC64_JMP_IREL", "0xf7", NOT_IN_LLVM),
    explained(RELOCATION_TYPE, "R_ALPHA_*", "*", NOT_IN_LLVM),
    explained(RELOCATION_TYPE, "R_PARISC_*", "*", NOT_IN_LLVM),
    explained(RELOCATION_TYPE, "R_SH_*", "*", NOT_IN_LLVM),
    explained(
        RELOCATION_TYPE,
        "RELR",
        "R_*",
        "without section headers, the tool prints packed relative relocations like others",
    ),
    explained(
        "binary_relocations.row",
        "relocation_type=RELR *",
        "none",
        "without section headers, the tool prints no packed relative relocations of MIPS",
    ),
    explained(
        "binary_relocations.addend",
        "none",
        "0",
        "the tool prints an addend for each packed relocation of Android, also if it is in the modified location",
    ),
    explained(
        "binary_symbols.symbol_type",
        "unknown",
        "proc specific",
        "the type has a meaning on one architecture only",
    ),
    explained(NOTE_TYPE, "NT_GNU_BUILD_ATTRIBUTE_OPEN", "OPEN", SHORT),
    explained(NOTE_TYPE, "NT_GNU_BUILD_ATTRIBUTE_FUNC", "func", SHORT),
    explained(NOTE_TYPE, "NT_*BSD_IDENT", "NT_VERSION", "the tool does not know the notes of this system"),
    explained(NOTE_TYPE, "NT_ANDROID_IDENT", "NT_ANDROID_TYPE_IDENT", SPELLING),
    explained(
        NOTE_TYPE,
        "0x1",
        "NT_VERSION",
        "the tool uses the names of core dumps for owners that it does not know",
    ),
    explained(
        NOTE_TYPE,
        "0x2",
        "NT_ARCH",
        "the tool uses the names of core dumps for owners that it does not know",
    ),
];

impl Explained {
    pub(super) fn explains(&self, difference: &Difference) -> bool {
        self.column == difference.column
            && matches(self.found, &difference.found)
            && matches(self.expected, &difference.expected)
    }
}
