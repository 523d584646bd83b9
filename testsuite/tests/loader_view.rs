//! What a loader reads decides, not what section headers, checksums and sizes say that no loader reads.

use binframe::ir::tables::{BinaryKind, BinarySymbol, DiagnosticCode};
use binframe::ir::to_text;
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::mutation::without_sections;
use binframe_testsuite::patch::{Patch, header, section, segment};
use binframe_testsuite::{fixtures, programs, tools};
use bytes::Bytes;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use std::fs;
use std::process::Command;

type Header = elf::FileHeader64<object::Endianness>;

/// Places where an ELF file of this test has its note and its memory.
const NOTE_OFFSET: u64 = 0x200;
const MEMORY_OFFSET: u64 = 0x240;
const MEMORY_ADDRESS: u64 = 0x7fff_0000_0000;

fn library() -> Vec<u8> {
    fixtures::file("library.so").expect("a fixture")
}

/// File offsets of the program headers of a type.
fn segments(file: &[u8], wanted: elf::ProgramType) -> Vec<usize> {
    let parsed = Header::parse(file).expect("an ELF file");
    let endian = parsed.endian().expect("a byte order");
    let headers = parsed.program_headers(endian, file).expect("program headers");
    let rows = headers.iter().enumerate().filter(|(_, header)| header.p_type(endian) == wanted);
    rows.map(|(row, _)| parsed.e_phoff(endian) as usize + 56 * row).collect()
}

/// Positions of the sections at the addresses of segments of a type.
fn sections_of(file: &[u8], wanted: elf::ProgramType) -> Vec<usize> {
    let parsed = Header::parse(file).expect("an ELF file");
    let endian = parsed.endian().expect("a byte order");
    let addresses: Vec<_> = segments(file, wanted)
        .into_iter()
        .map(|at| u64::from_le_bytes(file[at + 16..at + 24].try_into().expect("eight bytes")))
        .collect();
    let headers = parsed.section_headers(endian, file).expect("section headers");
    let rows = headers.iter().enumerate();
    rows.filter(|(_, header)| addresses.contains(&header.sh_addr(endian))).map(|(row, _)| row).collect()
}

fn has_diagnostic(tables: &Tables, code: DiagnosticCode) -> bool {
    tables.lowered.sections.diagnostics.columns().iter().any(|row| row.code == code)
}

#[test]
fn the_last_header_of_the_stack_counts() {
    const READ_WRITE: [u8; 4] = [6, 0, 0, 0];
    const EXECUTABLE: [u8; 4] = [7, 0, 0, 0];
    let library = library();
    let is_protected = |file: Vec<u8>| {
        let headers = tables(&file.into()).lowered.sections.headers;
        headers.columns().row(0).has_no_execute
    };
    let (stack, note) = (segments(&library, elf::PT_GNU_STACK)[0], segments(&library, elf::PT_NOTE)[0]);
    let [first, last] = [stack.min(note), stack.max(note)];
    for (one, other, expected) in [(READ_WRITE, EXECUTABLE, false), (EXECUTABLE, READ_WRITE, true)] {
        let mut file = library.clone();
        for (at, flags) in [(first, one), (last, other)] {
            file[at..at + 4].copy_from_slice(&elf::PT_GNU_STACK.0.to_le_bytes());
            file[at + 4..at + 8].copy_from_slice(&flags);
        }
        assert_eq!(is_protected(file), Some(expected));
    }
    // Without a header, Linux protects the stack of x86-64 programs.
    let mut file = library.clone();
    file[stack..stack + 4].copy_from_slice(&elf::PT_NULL.0.to_le_bytes());
    assert_eq!(is_protected(file), Some(true));
}

#[test]
fn section_headers_that_cannot_be_read_do_not_matter() {
    let whole = tables(&library().into());
    for offset in [u64::MAX, 1 << 40] {
        let mut file = Patch(library());
        file.header(header::SECTION_HEADERS, offset);
        let found = tables(&file.0.into());
        assert!(has_diagnostic(&found, DiagnosticCode::BrokenSectionTable));
        let [loaded, expected] = [&found, &whole].map(|tables| tables.lowered.sections.segments.len());
        assert_eq!(loaded, expected);
        assert!(!found.instructions.is_empty());
        let [found, expected] = [&found, &whole].map(|tables| tables.lowered.linkage.loader_commands.len());
        assert_eq!(found, expected);
    }
    // Systems do not read the version of the header either.
    let mut file = library();
    file[6] = 0;
    assert_eq!(tables(&file.into()).lowered.sections.sections.len(), whole.lowered.sections.sections.len());
}

/// Tools that move debug information to a file of its own may keep the program headers as they were.
#[test]
fn content_that_is_in_another_file_is_not_read() {
    let library = library();
    let mut file = Patch(library.clone());
    for index in sections_of(&library, elf::PT_DYNAMIC) {
        file.section(index, section::TYPE, u64::from(elf::SHT_NOBITS.0));
    }
    let found = tables(&file.0.into());
    assert_eq!(found.lowered.linkage.loader_commands.len(), 0);
    assert!(!tables(&library.into()).lowered.linkage.loader_commands.is_empty());
}

#[test]
fn variables_that_the_loader_copies_are_imports() {
    let source = "#include <stdio.h>\nint main(void) { fputs(\"text\", stdout); return 0; }\n";
    let Some(path) = programs::compile_c("copied", source, &["-O1", "-no-pie", "-fno-pie"]) else { return };
    let file = Bytes::from(fs::read(path).expect("it was compiled"));
    let linkage = tables(&file).lowered.linkage;
    let (imports, relocations) = (linkage.imports.columns(), linkage.relocations.columns());
    let is_copied = relocations.iter().any(|row| row.relocation_type == "R_X86_64_COPY");
    let import = imports.iter().find(|import| import.import_name == Some("stdout"));
    let import = import.expect("the variable is imported");
    assert!(is_copied);
    assert_eq!((import.library_name, import.version), (Some("libc.so.6"), Some("GLIBC_2.2.5")));
    assert!(linkage.exports.columns().iter().any(|export| export.export_name == Some("stdout")));
}

/// An ELF file with a note, memory and section headers, of which one names sections.
fn dump(kind: elf::FileType, machine: elf::Machine) -> Vec<u8> {
    let word = |number: u64| number.to_le_bytes();
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(kind.0.to_le_bytes());
    file.extend(machine.0.to_le_bytes());
    file.extend([1, 0, 0, 0]);
    file.extend([0, 64, 0x280].map(word).as_flattened());
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 2, 0, 1, 0]);
    let segment = |kind: u32, flags: u32, offset: u64, address: u64, size: u64, alignment: u64| {
        let start = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
        [start, [offset, address, address, size, size, alignment].map(word).concat()].concat()
    };
    file.extend(segment(4, 0, NOTE_OFFSET, 0, 24, 4));
    file.extend(segment(1, 6, MEMORY_OFFSET, MEMORY_ADDRESS, 16, 1));
    file.resize(NOTE_OFFSET as usize, 0);
    file.extend([5_u32, 4, 1].map(u32::to_le_bytes).as_flattened());
    file.extend(b"CORE\0\0\0\0wxyz");
    file.resize(MEMORY_OFFSET as usize, 0);
    file.extend(b"what the memory was");
    file.resize(0x270, 0);
    file.extend(b"\0.shstrtab\0");
    file.resize(0x280 + 64, 0);
    file.extend([1_u32, elf::SHT_STRTAB.0].map(u32::to_le_bytes).as_flattened());
    file.extend([0, 0, 0x270, 11, 0, 1, 0].map(word).as_flattened());
    file
}

#[test]
fn section_headers_that_describe_nothing_loaded_do_not_hide_segments() {
    let found = tables(&dump(elf::ET_CORE, elf::EM_X86_64).into()).lowered;
    assert_eq!(found.sections.headers.columns().row(0).kind, BinaryKind::CoreDump);
    let sections = found.sections.sections.columns();
    assert!(sections.iter().any(|row| (row.address, row.size) == (MEMORY_ADDRESS, 16)));
    let notes = found.linkage.notes.columns();
    let notes: Vec<_> = notes.iter().map(|note| (note.owner, note.file_offset, note.size)).collect();
    assert_eq!(notes, [("CORE", NOTE_OFFSET, 24)]);
}

#[test]
fn notes_are_padded_to_the_alignment_of_their_section() {
    let note = |number: u32, content: &str| {
        format!(
            ".long 4, {}, {number}\\n.asciz \\\"GNU\\\"\\n.{content}\\n.balign 8\\n",
            if content.starts_with("quad") { 8 } else { 4 }
        )
    };
    let notes = [note(0x42, "long 1"), note(0x43, "quad 2"), note(0x44, "long 3")].concat();
    let source = format!("asm(\".section .note.test,\\\"a\\\",@note\\n.balign 8\\n{notes}\");\n");
    let Some(path) = programs::compile_c("notes", &source, &["-c"]) else { return };
    let linkage = tables(&Bytes::from(fs::read(path).expect("it was compiled"))).lowered.linkage;
    let notes = linkage.notes.columns();
    let own: Vec<_> =
        notes.iter().filter(|note| ["0x42", "0x43", "0x44"].contains(&note.note_type)).collect();
    let sizes: Vec<_> = own.iter().map(|note| note.size).collect();
    assert_eq!(sizes, [24, 24, 24]);
    assert!(own.windows(2).all(|pair| pair[0].file_offset + 24 == pair[1].file_offset));
}

/// 64-bit little-endian MIPS stores the symbol first, and three types after it.
#[test]
fn relocations_of_64_bit_mips_have_their_symbol_and_types() {
    let library = library();
    let parsed = Header::parse(&*library).expect("an ELF file");
    let endian = parsed.endian().expect("a byte order");
    let headers = parsed.section_headers(endian, &*library).expect("section headers");
    let table = headers.iter().position(|header| header.sh_type(endian) == elf::SHT_RELA);
    let table = table.expect("the library is relocated");
    let mut file = Patch(library);
    file.header(header::MACHINE, u64::from(elf::EM_MIPS.0));
    file.section(table, section::TYPE, u64::from(elf::SHT_REL.0)).section(table, section::ENTRY_SIZE, 16);
    file.content(table, 0, &[0, 0x20, 0, 0, 0, 0, 0, 0]);
    file.content(table, 8, &[4, 0, 0, 0, 0, 0, elf::R_MIPS_64.0 as u8, elf::R_MIPS_REL32.0 as u8]);
    let lowered = tables(&file.0.into()).lowered;
    let symbols = lowered.sections.symbols.columns();
    let symbol = symbols.iter().find(|symbol| symbol.is_dynamic && symbol.symbol_index == 4);
    let relocations = lowered.linkage.relocations.columns();
    let found = relocations.iter().find(|row| row.address == 0x2000).expect("the relocation is read");
    assert_eq!((found.relocation_type, found.symbol_index), ("R_MIPS_REL32/R_MIPS_64", Some(4)));
    assert_eq!(found.symbol_name, symbol.map(|symbol| symbol.symbol_name));
}

/// In the first ABI of 64-bit PowerPC, the entry in the header is the address of a function descriptor.
#[test]
fn the_entry_of_64_bit_powerpc_is_code() {
    const CODE: u64 = 0x1_0000;
    for (abi, expected) in [(1, CODE + 4), (2, MEMORY_ADDRESS)] {
        let mut file = Patch(dump(elf::ET_EXEC, elf::EM_PPC64));
        file.0[24..32].copy_from_slice(&MEMORY_ADDRESS.to_le_bytes());
        file.0[48] = abi;
        file.segment(0, segment::TYPE, 1).segment(0, segment::ADDRESS, CODE);
        file.0[64 + 4] = 5;
        file.0[MEMORY_OFFSET as usize..MEMORY_OFFSET as usize + 8].copy_from_slice(&(CODE + 4).to_le_bytes());
        let headers = tables(&file.0.into()).lowered.sections.headers;
        assert_eq!(headers.columns().row(0).entry_address, Some(expected), "ABI {abi}");
    }
}

/// A loader finds symbols, versions and relocations by the dynamic section.
#[test]
fn imports_and_exports_do_not_depend_on_section_headers() {
    let source = "extern int puts(const char *);\nint counter = 3;\n\
                  int twice(int a) { char text[64]; text[a] = 0; puts(text); return 2 * a; }\n";
    for style in ["sysv", "gnu", "both"] {
        let hash = format!("-Wl,--hash-style={style}");
        let flags = ["-shared", "-fPIC", "-fstack-protector-all", &hash];
        let Some(path) = programs::compile_c(&format!("sections-{style}"), source, &flags) else { return };
        let whole = fs::read(path).expect("it was compiled");
        let parsed = Header::parse(&*whole).expect("an ELF file");
        let endian = parsed.endian().expect("a byte order");
        let headers = parsed.section_headers(endian, &*whole).expect("section headers");
        let of_type = |wanted| headers.iter().position(|header| header.sh_type(endian) == wanted);
        let symbols = of_type(elf::SHT_DYNSYM).expect("the library has symbols");
        let mut retyped = Patch(whole.clone());
        retyped.section(symbols, section::TYPE, u64::from(elf::SHT_PROGBITS.0));
        let mut short = Patch(whole.clone());
        short.section(symbols, section::SIZE, 48);
        let facts = |file: Vec<u8>| {
            let lowered = tables(&file.into()).lowered;
            let header = lowered.sections.headers;
            let [imports, exports] =
                [lowered.linkage.imports.batch(), lowered.linkage.exports.batch()].map(to_text);
            (imports, exports, header.columns().row(0).has_stack_protector)
        };
        let expected = facts(whole.clone());
        assert!(expected.0.contains("puts") && expected.0.contains("GLIBC_2.2.5"), "{}", expected.0);
        assert!(expected.1.contains("twice") && expected.2 == Some(true), "{}", expected.1);
        for file in [without_sections(&whole), retyped.0, short.0] {
            assert_eq!(facts(file), expected, "{style}");
        }
    }
}

/// Distributions strip programs and leave the static symbols in a compressed section.
#[test]
fn stripped_symbols_are_read_from_their_compressed_section() {
    const SOURCE: &str = "
__attribute__((noinline)) static int helper(int x) { return x * 3; }
__attribute__((noinline)) static int other(int x) { return helper(x) + 1; }
static int counter = 4;
int main(int argc, char **argv) { counter += argc; return other(counter); }
";
    let Some(path) = programs::compile_c("minidebug", SOURCE, &["-O1"]) else { return };
    if ["objcopy", "strip", "xz"].iter().any(|tool| tools::find(tool).is_none()) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |line: &str| {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().expect("a tool"));
        let output = tools::output(command.args(words).current_dir(folder.path()));
        assert!(output.is_some_and(|output| output.status.success()), "{line}");
    };
    fs::copy(&path, folder.path().join("whole")).expect("the temporary folder is writable");
    run("objcopy --only-keep-debug whole mini");
    run("strip -g mini");
    run("xz -k mini");
    run("strip whole -o stripped");
    run("objcopy --add-section .gnu_debugdata=mini.xz stripped packed");
    let read = |name: &str| tables(&fs::read(folder.path().join(name)).expect("it was made").into());
    let [whole, packed] = ["whole", "packed"].map(read);
    let names = ["helper", "other", "counter", "main"];
    let symbols = |tables: &Tables| -> Vec<_> {
        let symbols = tables.lowered.sections.symbols.columns();
        let of = |symbol: BinarySymbol<'_>| {
            let section = symbol.section_name.map(str::to_owned);
            (symbol.symbol_name.to_owned(), symbol.symbol_address, symbol.symbol_size, section)
        };
        symbols.iter().filter(|symbol| names.contains(&symbol.symbol_name)).map(of).collect()
    };
    assert_eq!(symbols(&whole).len(), 4);
    assert_eq!(symbols(&packed), symbols(&whole));
    assert!(!has_diagnostic(&packed, DiagnosticCode::BrokenSymbolTable));
    let file = fs::read(folder.path().join("packed")).expect("it was made");
    let at = file.windows(6).position(|bytes| bytes == b"\xfd7zXZ\0").expect("the section");
    let mut broken = file;
    broken[at + 40] ^= 0xff;
    let broken = tables(&broken.into());
    assert!(symbols(&broken).is_empty() && has_diagnostic(&broken, DiagnosticCode::BrokenSymbolTable));
}
