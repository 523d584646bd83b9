//! Differences between the tables and the tool that are right.

use crate::File;
use crate::rows::Difference;
use binframe::ir::tables::{BinaryKind, Format};
use binframe_testsuite::matrix::matches;

/// A difference, and why it is right.
pub(super) struct Explained {
    /// `TABLE.COLUMN`, or `TABLE.row` for a row that one side does not have. One `*` stands for any text, here and below.
    pub(super) column: &'static str,
    /// The cell of the table.
    pub(super) found: &'static str,
    /// What the tool prints.
    pub(super) expected: &'static str,
    pub(super) reason: &'static str,
    /// What a file must have, if the reason does not hold for all files.
    is_of: Option<fn(&File) -> bool>,
}

const fn explained(
    column: &'static str,
    found: &'static str,
    expected: &'static str,
    reason: &'static str,
) -> Explained {
    Explained { column, found, expected, reason, is_of: None }
}

impl Explained {
    /// The explanation, for files with a property only.
    const fn of(self, is_of: fn(&File) -> bool) -> Self {
        Self { is_of: Some(is_of), ..self }
    }
}

const RELOCATION_TYPE: &str = "binary_relocations.relocation_type";
const SECTION_TYPE: &str = "binary_sections.section_type";
const COMMAND: &str = "binary_loader_commands.command";
const NOTE_TYPE: &str = "binary_notes.note_type";
const SHORT: &str = "the tool shortens the name of the type";
const CAPITALS: &str = "the table writes all names of types in capitals";
const SPELLING: &str = "LLVM does not use the name that the ABI or binutils gives the type";
const NOT_IN_LLVM: &str = "the tool has no name for it";
const NOT_RELOCATED: &str = "the tool does not apply the relocations of this architecture, or packed ones";
const NOT_IN_EXPRESSIONS: &str = "the tool does not apply relocations in the location of a variable";
const STOPS_AT_EXPORTS: &str = "the tool stops at an export directory that has no names";

const COUNTS_BY_RELOCATIONS: &str = "without section headers, LIEF counts dynamic symbols by relocations, whose parts have another order on MIPS";

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
    explained("debug_*", "*", "*", NOT_RELOCATED).of(is_not_relocated),
    explained("binary_unwind_entries.*", "*", "*", NOT_RELOCATED).of(is_not_relocated),
    explained(
        "binary_unwind_entries.address*",
        "*",
        "*",
        "the tool does not apply relocations of s390x that are relative to their place",
    )
    .of(is_s390_object),
    explained("debug_variables.location", "*", "0", NOT_IN_EXPRESSIONS).of(is_object),
    explained("debug_variables.location", "*", "32768", NOT_IN_EXPRESSIONS).of(is_object),
    explained(
        "binary_symbols.symbol_name",
        "*",
        "\0\0\0\0*",
        "the tool does not look up the name of a source file that GNU's assembler writes to the string table",
    ),
    explained(
        "binary_notes.row",
        "section_index=*",
        "none",
        "the tool refuses the notes of a section whose alignment is neither 4 nor 8",
    )
    .of(has_notes_of_other_alignment),
    explained("binary_exports.row", "export_name= *", "none", STOPS_AT_EXPORTS).of(exports_no_name),
    explained("binary_unwind_entries.row", "*", "none", "the tool stops at the augmentation `eh` of GCC 2")
        .of(has_old_augmentation),
    explained(
        "binary_unwind_entries.row",
        "none",
        "size=*",
        "the tool reads the whole section, of which the directory states that less is the function table",
    )
    .of(has_more_than_functions),
    explained(
        "binary_unwind_entries.address",
        "*",
        "*",
        "the table has offsets in the section; the sections of a Mach-O object have addresses, which the tool prints",
    )
    .of(is_macho_object),
    explained(RELOCATION_TYPE, "IMAGE_REL_BASED_THUMB_MOV32", "IMAGE_REL_BASED_ARM_MOV32(T)", SPELLING),
    explained("binary_relocations.row", "*", "none", STOPS_AT_EXPORTS).of(exports_no_name),
    explained("binary_imports.row", "none", "*", COUNTS_BY_RELOCATIONS).of(is_mips_without_sections),
    explained("binary_exports.row", "none", "*", COUNTS_BY_RELOCATIONS).of(is_mips_without_sections),
];

/// Alignments of notes: that of the words of either class, and those that mean the former.
const NOTE_ALIGNMENTS: [u64; 4] = [0, 1, 4, 8];

fn has_notes_of_other_alignment(file: &File) -> bool {
    let mut sections = file.sections.sections.columns().iter();
    sections.any(|row| row.section_type == Some("SHT_NOTE") && !NOTE_ALIGNMENTS.contains(&row.alignment))
}

fn is_object(file: &File) -> bool {
    file.sections.headers.columns().row(0).kind == BinaryKind::Relocatable
}

fn is_s390_object(file: &File) -> bool {
    const EM_S390: u32 = 22;
    is_object(file) && file.sections.headers.columns().row(0).machine == Some(EM_S390)
}

fn is_mips_without_sections(file: &File) -> bool {
    const EM_MIPS: u32 = 8;
    file.dynamic_relocations.is_some() && file.sections.headers.columns().row(0).machine == Some(EM_MIPS)
}

/// Machines of ELF objects whose relocations the tool does not apply: all, or those with 32-bit addresses.
const NOT_RELOCATED_MACHINES: [(Option<u8>, u32); 6] =
    [(None, 4), (None, 15), (None, 42), (None, 0x9026), (Some(32), 62), (Some(32), 8)];

fn is_not_relocated(file: &File) -> bool {
    const EF_MIPS_ABI2: u64 = 0x20;
    let header = file.sections.headers.columns().row(0);
    let is_of = |(bits, machine): (Option<u8>, u32)| {
        header.machine == Some(machine) && bits.is_none_or(|bits| header.bits == Some(bits))
    };
    // 32-bit MIPS has another ABI, whose relocations the tool applies.
    let is_known = header.machine == Some(8) && header.flags & EF_MIPS_ABI2 == 0;
    let mut sections = file.sections.sections.columns().iter();
    let has_packed = sections.any(|row| row.section_type == Some("SHT_CREL"));
    is_object(file) && (has_packed || NOT_RELOCATED_MACHINES.into_iter().any(is_of) && !is_known)
}

/// The augmentation follows the version of an entry.
fn has_old_augmentation(file: &File) -> bool {
    let mut sections = file.sections.sections.columns().iter();
    sections.any(|row| {
        row.section_name == ".eh_frame" && row.content.windows(4).any(|bytes| bytes == b"\x01eh\0")
    })
}

fn has_more_than_functions(file: &File) -> bool {
    let mut commands = file.linkage.loader_commands.columns().iter();
    let table = commands.find(|row| row.command == "IMAGE_DIRECTORY_ENTRY_EXCEPTION");
    let mut sections = file.sections.sections.columns().iter();
    table.is_some_and(|table| sections.any(|row| row.section_name == ".pdata" && table.size < row.size))
}

fn is_macho_object(file: &File) -> bool {
    is_object(file) && file.sections.headers.columns().row(0).format == Format::MachO
}

fn exports_no_name(file: &File) -> bool {
    let exports = file.linkage.exports.columns();
    !exports.is_empty() && exports.iter().all(|row| row.export_name.is_none())
}

impl Explained {
    pub(super) fn explains(&self, difference: &Difference, file: Option<&File>) -> bool {
        self.is_of.is_none_or(|is_of| file.is_some_and(is_of))
            && matches(self.column, &difference.column)
            && matches(self.found, &difference.found)
            && matches(self.expected, &difference.expected)
    }
}
