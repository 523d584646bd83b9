//! Tables of PE files and COFF objects are equal to the output of `llvm-readobj` and `objdump` and to the linker
//! options.

mod clr;
mod exceptions;
mod linkage;
mod mapping;
mod microsoft;
mod notes;
mod tools;

use binframe::ir::tables::{BinaryKind, Format, FunctionEvidence, SymbolDefinition, UnwindSource};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::{objects, table_invariants};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tools::{Block, Folder, number, readobj};

/// Folders of MinGW's libraries and start files.
const REAL_FOLDERS: [&str; 3] = [
    "/usr/x86_64-w64-mingw32/lib",
    "/usr/lib/gcc/x86_64-w64-mingw32/12-win32",
    "/usr/lib/gcc/x86_64-w64-mingw32/12-posix",
];

/// Maximum file size, to limit the run time.
const REAL_SIZE_MAX: u64 = 150_000;

const PROGRAM_C: &str = r#"
#include <windows.h>
__thread int counter = 3;
static void NTAPI on_thread(void *module, DWORD reason, void *reserved) { counter++; }
__attribute__((section(".CRT$XLY"), used)) PIMAGE_TLS_CALLBACK callback = on_thread;
int main(int argc, char **argv) { MessageBeep(counter); return argc; }
"#;

const RESOURCES_RC: &str = r#"
STRINGTABLE { 1 "one" 2 "two" }
hello RCDATA { "some text" }
7 MYTYPE { "other" }
"#;

const LIBRARY_C: &str = "
int shared_value = 7;
int *shared_address = &shared_value;
int add(int a, int b) { return a + b; }
int mul(int a, int b) { return a * b; }
";

const LIBRARY_DEF: &str = "
LIBRARY library.dll
EXPORTS
 add
 plus = add
 mul @7 NONAME
 shared_value DATA
 heap = NTDLL.RtlAllocateHeap
";

/// `entry` has a handler and an inner range with a chained unwind entry. It calls `later` from a delay-loaded library,
/// and `now` by ordinal.
const PARTS_S: &str = "
	.globl	entry
	.def	entry; .scl 2; .type 32; .endef
entry:
	.seh_proc entry
	subq	$40, %rsp
	.seh_stackalloc 40
	.seh_endprologue
	callq	later
	callq	now
	testl	%eax, %eax
	je	.Ldone
	.seh_startchained
	pushq	%rbx
	.seh_pushreg %rbx
	.seh_endprologue
	popq	%rbx
	.seh_endchained
.Ldone:
	addq	$40, %rsp
	ret
	.seh_handler handler, @except
	.seh_handlerdata
	.long	0
	.text
	.seh_endproc
	.globl	handler
	.def	handler; .scl 2; .type 32; .endef
handler:
	ret
	.globl	__delayLoadHelper2
	.def	__delayLoadHelper2; .scl 2; .type 32; .endef
__delayLoadHelper2:
	ret
	.seh_proc cold
cold:
	.seh_stackalloc 40
	.seh_endprologue
	addq	$40, %rsp
	ret
	.seh_endproc
";

const EXCEPTIONS_CPP: &str = "
struct S { ~S(); int v; };
int f(int);
int g(int a) { S s; return f(a) + f(a + 1); }
";

/// A program with symbols, imports, resources and thread-local storage, and its folder.
fn program() -> Option<(Folder, PathBuf)> {
    let folder = Folder::with(&[("program.c", PROGRAM_C), ("resources.rc", RESOURCES_RC)]);
    folder.run("x86_64-w64-mingw32-windres resources.rc -O coff -o resources.o")?;
    folder.run("x86_64-w64-mingw32-gcc -O1 -Wl,--build-id program.c resources.o -o program.exe")?;
    let path = folder.path("program.exe");
    Some((folder, path))
}

/// A library with exports of every kind.
fn library() -> Option<(Folder, PathBuf)> {
    let folder = Folder::with(&[("library.c", LIBRARY_C), ("library.def", LIBRARY_DEF)]);
    folder.run("x86_64-w64-mingw32-gcc -O1 -shared library.c library.def -o library.dll")?;
    let path = folder.path("library.dll");
    Some((folder, path))
}

/// A program without symbols, linked by lld.
fn parts() -> Option<(Folder, PathBuf)> {
    let folder = Folder::with(&[
        ("parts.s", PARTS_S),
        ("late.def", "LIBRARY late.dll\nEXPORTS\nlater\n"),
        ("soon.def", "LIBRARY soon.dll\nEXPORTS\nnow @9 NONAME\n"),
    ]);
    for library in ["late", "soon"] {
        folder.run(&format!("llvm-dlltool -m i386:x86-64 -d {library}.def -l {library}.lib"))?;
    }
    folder.run("clang --target=x86_64-pc-windows-msvc -c parts.s -o parts.obj")?;
    folder.run(
        "lld-link /entry:entry /subsystem:console /nodefaultlib parts.obj late.lib soon.lib \
         /delayload:late.dll /debug /pdbaltpath:parts.pdb /cetcompat /guard:cf /out:parts.exe",
    )?;
    let path = folder.path("parts.exe");
    Some((folder, path))
}

/// Objects of several architectures, and a large object (`bigobj`).
fn compiled_objects() -> Option<(Folder, Vec<PathBuf>)> {
    let folder = Folder::with(&[("exceptions.cpp", EXCEPTIONS_CPP), ("library.c", LIBRARY_C)]);
    let mut paths = Vec::new();
    for target in ["x86_64", "aarch64", "i686"] {
        let flags = "-O1 -fexceptions -fcxx-exceptions -ffunction-sections";
        folder.run(&format!(
            "clang --target={target}-pc-windows-msvc -c {flags} exceptions.cpp -o {target}.obj"
        ))?;
        paths.push(folder.path(&format!("{target}.obj")));
    }
    folder.run("x86_64-w64-mingw32-gcc -c -O1 -Wa,-mbig-obj library.c -o large.obj")?;
    paths.push(folder.path("large.obj"));
    Some((folder, paths))
}

/// Small files of the MinGW packages.
fn real_files(extensions: &[&str]) -> Vec<PathBuf> {
    let folders = REAL_FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok());
    let entries = folders.flatten().map(|entry| entry.expect("the folder can be read"));
    let is_wanted = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
            && fs::metadata(path).is_ok_and(|file| file.len() <= REAL_SIZE_MAX)
    };
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_wanted(path)).collect();
    files.sort();
    files
}

fn bytes(path: &Path) -> Bytes {
    Bytes::from(fs::read(path).expect("the file can be read"))
}

fn lowered(path: &Path) -> Tables {
    tables(&bytes(path))
}

#[test]
fn real_files_have_no_violations() {
    for path in real_files(&["dll", "exe", "o"]) {
        assert_eq!(table_invariants::violations(&bytes(&path)), Ok(Vec::new()), "{}", path.display());
    }
    // Members of import libraries are short import objects, which only linkers read, or regular objects.
    for path in
        real_files(&["a"]).iter().filter(|path| fs::metadata(path).is_ok_and(|file| file.len() < 8000))
    {
        assert_eq!(table_invariants::violations(&bytes(path)), Ok(Vec::new()), "{}", path.display());
    }
}

#[test]
fn generated_files_have_no_violations() {
    let made = [program(), library(), parts()];
    for (_, path) in made.iter().flatten() {
        assert_eq!(table_invariants::violations(&bytes(path)), Ok(Vec::new()), "{}", path.display());
    }
    let objects = compiled_objects();
    for path in objects.iter().flat_map(|(_, paths)| paths) {
        assert_eq!(table_invariants::violations(&bytes(path)), Ok(Vec::new()), "{}", path.display());
    }
}

/// The files to compare: generated files and MinGW's files, and the folders of the former.
fn read_files() -> (Vec<Folder>, Vec<PathBuf>) {
    let (mut folders, mut paths): (Vec<_>, Vec<_>) =
        [program(), library(), parts()].into_iter().flatten().unzip();
    if let Some((folder, objects)) = compiled_objects() {
        folders.push(folder);
        paths.extend(objects);
    }
    paths.extend(real_files(&["dll", "o"]));
    (folders, paths)
}

#[test]
fn sections_match_readobj() {
    let (_folders, paths) = read_files();
    for path in paths {
        let Some(text) = readobj("--sections", &path) else { return };
        let tables = lowered(&path);
        let base = image_base(&tables);
        let found = tables.lowered.sections.sections.columns().iter().map(|section| {
            let in_file = if section.file_size == 0 { 0 } else { section.file_offset };
            let name = section.section_name.to_owned();
            let range = (section.address.wrapping_sub(base), section.size, in_file, section.file_size);
            (section.section_index, name, range, section.flags)
        });
        let expected = Block::all(&text, "  Section {").into_iter().map(|block| {
            let number = |key| block.number(key).expect("every section has the key");
            let name = block.value("Name").expect("a name").split_once(" (").expect("its bytes").0.to_owned();
            let (flags, raw_offset) =
                (block.list_number("Characteristics").expect("flags"), number("PointerToRawData"));
            let is_zero = raw_offset == 0 || base == 0 && flags & 0x80 != 0;
            let (raw_size, virtual_size) = (number("RawDataSize"), number("VirtualSize"));
            let in_file = if is_zero || raw_size == 0 { (0, 0) } else { (raw_offset, raw_size) };
            let size = if virtual_size == 0 { raw_size } else { virtual_size };
            let range = (number("VirtualAddress"), size, in_file.0, in_file.1);
            (number("Number") as u32, name, range, flags)
        });
        let (found, expected): (Vec<_>, Vec<_>) = (found.collect(), expected.collect());
        assert_eq!(found, expected, "{}", path.display());
        assert!(!found.is_empty());
    }
}

/// Image base; 0 for an object.
fn image_base(tables: &Tables) -> u64 {
    let header = tables.lowered.sections.headers.columns();
    header.iter().next().expect("one header").image_address.unwrap_or(0)
}

#[test]
fn symbols_match_readobj() {
    let (_folders, paths) = read_files();
    let has_files = !paths.is_empty();
    let mut count = 0;
    for path in paths {
        let Some(text) = readobj("--symbols", &path) else { return };
        let tables = lowered(&path);
        let sections = tables.lowered.sections.sections.columns();
        let found: Vec<_> = tables
            .lowered
            .sections
            .symbols
            .columns()
            .iter()
            .map(|symbol| {
                let start = symbol.section_index.map_or(0, |index| sections.address[index as usize - 1]);
                let name = if symbol.symbol_type == "file" { ".file" } else { symbol.symbol_name };
                let is_function = symbol.symbol_type == "function";
                let value = symbol.symbol_address.wrapping_sub(start);
                (symbol.symbol_index, name.to_owned(), value, symbol.section_index, is_function)
            })
            .collect();
        let mut next = 0;
        let expected = Block::all(&text, "  Symbol {").into_iter().map(|block| {
            let index = next;
            next += 1 + block.number("AuxSymbolCount").expect("a count") as u32;
            let (_, section) =
                block.value("Section").expect("a section").rsplit_once('(').expect("its number");
            let section = section.trim_end_matches(')').parse().ok().filter(|section| *section > 0);
            let is_function = number(block.value("ComplexType").expect("a type")) == 2;
            let name = block.value("Name").unwrap_or_default().to_owned();
            (index, name, block.number("Value").expect("a value"), section, is_function)
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{}", path.display());
        count += found.len();
    }
    assert!(count > 100 || !has_files);
}

#[test]
fn function_tables_match_readobj() {
    let (_folders, paths) = read_files();
    for path in paths {
        let tables = lowered(&path);
        let header = tables.lowered.sections.headers.columns().iter().next().expect("one header");
        if header.format != Format::Pe {
            continue;
        }
        let Some(text) = readobj("--unwind", &path) else { return };
        let mut expected: Vec<_> = Block::all(&text, "  RuntimeFunction {")
            .into_iter()
            .map(|block| {
                let (start, end) = (block.number("StartAddress"), block.number("EndAddress"));
                let is_continuation = block.values("StartAddress").count() > 1;
                let has_no_prologue =
                    block.number("PrologSize") == Some(0) && block.number("UnwindCodeCount") != Some(0);
                (
                    start.expect("a start"),
                    end.expect("an end"),
                    block.number("Handler"),
                    is_continuation,
                    Some(is_continuation || has_no_prologue),
                )
            })
            .collect();
        expected.sort_unstable();
        let entries = tables.lowered.sections.unwind_entries.columns();
        let found =
            entries.iter().filter(|entry| entry.unwind_kind == UnwindSource::FunctionTable).map(|entry| {
                // readobj prints the handler only for the entry that contains it.
                let handler = entry.personality_address.filter(|_| !entry.is_continuation);
                let end_address = entry.address + entry.size;
                (entry.address, end_address, handler, entry.is_continuation, entry.begins_in_frame)
            });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{}", path.display());
        assert!(!expected.is_empty(), "{}", path.display());
    }
}

/// Each function symbol has an unwind entry at its section and offset: in function tables, or in `.eh_frame` for
/// 32-bit MinGW.
#[test]
fn functions_of_objects_have_unwind_entries() {
    let Some((folder, mut paths)) = compiled_objects() else { return };
    let command = "clang --target=i686-w64-mingw32 -c -O1 -fexceptions exceptions.cpp -o frames.obj";
    let Some(()) = folder.run(command) else { return };
    // 32-bit MSVC targets have no unwind tables.
    paths.retain(|path| !path.ends_with("i686.obj"));
    paths.push(folder.path("frames.obj"));
    for path in paths {
        let tables = lowered(&path);
        let symbols = tables.lowered.sections.symbols.columns();
        let functions = symbols.iter().filter(|symbol| symbol.symbol_type == "function");
        let functions = functions.filter(|symbol| symbol.definition_kind == SymbolDefinition::Section);
        let mut functions: Vec<_> =
            functions.map(|symbol| (symbol.section_index, symbol.symbol_address)).collect();
        let entries = tables.lowered.sections.unwind_entries.columns();
        let mut found: Vec<_> = entries.iter().map(|entry| (entry.section_index, entry.address)).collect();
        functions.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, functions, "{}", path.display());
        assert!(!found.is_empty() && entries.iter().all(|entry| entry.size > 0));
    }
}

#[test]
fn a_chained_unwind_entry_starts_no_function() {
    let Some((_folder, path)) = parts() else { return };
    let tables = lowered(&path);
    let header = tables.lowered.sections.headers.columns().iter().next().expect("one header");
    let entry = header.entry_address.expect("a program has an entry point");
    let entries: Vec<_> = tables.lowered.sections.unwind_entries.columns().iter().collect();
    // Newer linkers add an entry for the code that loads `late.dll`.
    let [function, part, cold, thunks @ ..] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((function.address, function.is_continuation, part.is_continuation), (entry, false, true));
    let begins_in_frame = [function, part, cold].map(|entry| entry.begins_in_frame);
    assert_eq!(begins_in_frame, [Some(false), Some(true), Some(true)]);
    assert!(!cold.is_continuation, "its parent is unknown");
    assert_eq!(function.personality_address, part.personality_address);
    assert_eq!(function.personality_address, Some(entry + function.size), "the handler follows the function");
    let unwound = tables.lowered.cfg.functions.columns();
    let unwound = unwound.iter().filter(|function| function.evidence == FunctionEvidence::Unwind);
    let unwound = unwound.map(|function| function.address);
    let unwound = unwound.filter(|address| thunks.iter().all(|thunk| thunk.address != *address));
    assert_eq!(unwound.collect::<Vec<_>>(), [entry, cold.address]);
    assert_eq!(header.has_branch_protection, Some(true), "/guard:cf");
    assert_eq!(header.has_return_protection, Some(true), "/cetcompat");
    assert_eq!(header.has_stack_protector, Some(false), "no load configuration");
    assert_eq!(header.is_position_independent, Some(true), "/dynamicbase is the default");
    assert_eq!((header.kind, header.has_signature), (BinaryKind::Dynamic, Some(false)));
}

#[test]
fn instructions_match_objdump() {
    for (_folder, path) in [program(), library(), parts()].into_iter().flatten() {
        let mut command = Command::new("x86_64-w64-mingw32-objdump");
        let Some(text) = binframe_testsuite::tools::run(command.args(["-d", "-z", "-w"]).arg(&path)) else {
            return;
        };
        let instruction = |line: &str| {
            let mut columns = line.split('\t');
            let address = u64::from_str_radix(columns.next()?.trim().strip_suffix(':')?, 16).ok()?;
            Some((address, columns.next()?.split_whitespace().count()))
        };
        let tables = lowered(&path);
        let symbols = tables.lowered.sections.symbols.columns();
        // The GNU linker puts a table of pointers after the code in the same section, from `__CTOR_LIST__` on. It is
        // not compared.
        let end = symbols.iter().find(|symbol| symbol.symbol_name == "__CTOR_LIST__");
        let end = end.map_or(u64::MAX, |symbol| symbol.symbol_address);
        let expected = text.lines().filter_map(instruction);
        let found = tables.instructions.columns();
        let found = found.iter().map(|row| (row.address, usize::from(row.size)));
        let [expected, found]: [BTreeMap<_, _>; 2] =
            [expected.filter(|row| row.0 < end).collect(), found.filter(|row| row.0 < end).collect()];
        let missing: Vec<_> =
            expected.iter().filter(|(address, size)| found.get(address) != Some(size)).take(5).collect();
        assert!(missing.is_empty() && found.len() == expected.len(), "{}: {missing:x?}", path.display());
        assert!(!found.is_empty());
    }
}

#[test]
fn objects_have_the_symbols_of_the_source() {
    for (format, architecture) in
        objects::ALL.into_iter().filter(|(format, _)| *format == objects::Format::Coff)
    {
        let tables = tables(&objects::object(format, architecture).into());
        let symbols = tables.lowered.sections.symbols.columns();
        let named =
            |name: &str| symbols.iter().find(|symbol| symbol.symbol_name == name).expect("the symbol exists");
        assert_eq!(named("report").definition_kind, SymbolDefinition::Undefined);
        assert_eq!(named("checked_twice").definition_kind, SymbolDefinition::Section);
        assert_eq!(named("checked_twice").section_name, Some(".text"));
        let header = tables.lowered.sections.headers.columns().iter().next().expect("one header");
        assert_eq!((header.format, header.kind), (Format::Coff, BinaryKind::Relocatable));
    }
}
