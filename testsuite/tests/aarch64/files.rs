//! Functions, calls, stubs and data of real and of made files.

use binframe::ir::tables::{CallKind, DiagnosticCode, Flow, Role};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::{control_flow, programs, tools};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Libraries of Debian's cross compiler; missing ones are skipped.
const LIBRARIES: [&str; 3] = ["libc.so.6", "libm.so.6", "libstdc++.so.6"];

fn libraries() -> Vec<PathBuf> {
    if let Some(files) = tools::files_to_compare() {
        return files;
    }
    let folder = Path::new("/usr/aarch64-linux-gnu/lib");
    let found: Vec<_> = LIBRARIES.iter().map(|name| folder.join(name)).filter(|path| path.exists()).collect();
    if found.is_empty() {
        tools::report_missing("libc6-arm64-cross");
    }
    found
}

fn lowered(path: &Path) -> Tables {
    tables(&Bytes::from(fs::read(path).expect("the file can be read")))
}

/// The addresses of function symbols: `0000000000027000 g    DF .text …`.
fn function_symbols(path: &Path) -> Option<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for table in ["--syms", "--dynamic-syms"] {
        let text = tools::print(&tools::find("llvm-objdump")?, &[table], path)?;
        found.extend(text.lines().filter_map(|line| {
            let (address, rest) = line.split_once(' ')?;
            let is_header = rest.contains("_mh_execute_header");
            let is_function = rest.get(6..7) == Some("F") && !rest.contains("*UND*") && !is_header;
            u64::from_str_radix(address, 16).ok().filter(|_| is_function)
        }));
    }
    Some(found)
}

/// An instruction as `llvm-objdump` prints it.
struct Printed {
    mnemonic: String,
    operands: String,
}

impl Printed {
    /// The address that the operands end with: `0x27504 <name>`.
    fn target(&self) -> Option<u64> {
        let text = self.operands.split(" <").next()?.rsplit("0x").next()?;
        u64::from_str_radix(text.trim(), 16).ok()
    }

    fn is_direct_call(&self) -> bool {
        self.mnemonic == "bl"
    }
}

/// Instructions by address: `   4fc: 94000015     bl 0x550`, with tabs around the mnemonic.
fn disassembled(path: &Path) -> Option<BTreeMap<u64, Printed>> {
    let text = tools::print(&tools::find("llvm-objdump")?, &["-d", "--mattr=+all"], path)?;
    let instruction = |line: &str| {
        let mut columns = line.split('\t');
        let (address, _) = columns.next()?.split_once(':')?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        let mnemonic = columns.next()?.trim().to_owned();
        Some((address, Printed { mnemonic, operands: columns.next().unwrap_or_default().to_owned() }))
    };
    Some(text.lines().filter_map(instruction).collect())
}

#[test]
fn functions_blocks_and_calls_of_libraries_are_those_of_llvm() {
    for path in libraries() {
        let (Some(symbols), Some(printed)) = (function_symbols(&path), disassembled(&path)) else { return };
        let tables = lowered(&path);
        assert_eq!(control_flow::violations(&tables), [""; 0], "{}", path.display());
        let functions = tables.lowered.cfg.functions.columns();
        let missing: Vec<_> =
            symbols.iter().filter(|address| functions.address.binary_search(address).is_err()).collect();
        assert!(missing.is_empty(), "{}: no function at {missing:x?}", path.display());

        let (mut calls, mut data_calls) = (0, 0);
        for row in tables.instructions.columns().iter() {
            let Some(theirs) = printed.get(&row.address).filter(|theirs| theirs.is_direct_call()) else {
                assert_ne!(row.flow, Flow::Call, "{}: {:#x}", path.display(), row.address);
                continue;
            };
            calls += 1;
            match row.role {
                Role::Data => data_calls += 1,
                _ => assert_eq!(row.target_address, theirs.target(), "{:#x}", row.address),
            }
        }
        let edges = tables.lowered.cfg.call_edges.columns();
        let edges = edges.iter().filter_map(|edge| Some((edge, printed.get(&edge.call_address)?)));
        let edges: Vec<_> = edges.filter(|(_, theirs)| theirs.is_direct_call()).collect();
        for (edge, theirs) in edges.iter().filter(|(edge, _)| edge.kind == CallKind::Direct) {
            // A second entry of a function with a declared size is no function.
            let is_right = edge.callee_address.is_none() || edge.callee_address == theirs.target();
            assert!(is_right, "{}: {:#x}", path.display(), edge.call_address);
        }
        let reached = edges.len();
        // Jump tables are not found yet: the code that only they reach is in blocks of gaps, or in none.
        assert!(reached * 100 >= calls * 98, "{}: {reached} of {calls} calls", path.display());
        assert!(data_calls * 1000 <= calls, "{}: {data_calls} of {calls} calls are data", path.display());
    }
}

/// A program with calls of imported functions and a function that is only called through a pointer.
const IMPORTS_C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(int count, char **arguments) {
    int numbers[16];
    for (int index = 0; index < 16; index++) numbers[index] = rand();
    qsort(numbers, 16, sizeof(int), compare);
    for (int index = 0; index < 16; index++) printf("%d %s\n", numbers[index], arguments[0]);
    return count;
}
"#;

#[test]
fn calls_reach_imports_through_stubs() {
    for flags in [&["-O2"] as &[&str], &["-O2", "-mbranch-protection=standard"], &["-O0", "-no-pie"]] {
        let Some(path) = programs::compile_c_with("aarch64-linux-gnu-gcc", "imports_a64", IMPORTS_C, flags)
        else {
            return;
        };
        let tables = lowered(&path);
        let edges = tables.lowered.cfg.call_edges.columns();
        let called: BTreeSet<_> = edges.iter().filter_map(|edge| edge.import_name).collect();
        for name in ["rand", "qsort", "printf"] {
            assert!(called.contains(name), "{flags:?}: {name} is not among {called:?}");
        }
        // `compare` is found without its symbol: `adrp` and `add` take its address.
        let stripped = programs::compile_c_with(
            "aarch64-linux-gnu-gcc",
            "imports_a64_stripped",
            IMPORTS_C,
            &[flags, &["-s", "-fno-asynchronous-unwind-tables"]].concat(),
        );
        let Some(stripped) = stripped else { return };
        let functions = tables.lowered.cfg.functions.columns();
        let compare = functions.iter().find(|function| function.function_name == Some("compare"));
        let compare = compare.expect("it has a symbol").address;
        let found = lowered(&stripped).lowered.cfg.functions.columns().address.contains(&compare);
        assert!(found || flags.contains(&"-O0"), "{flags:?}: {compare:#x}");
    }
}

/// A literal pool between functions, which decodes as instructions, and one that nothing reads.
const DATA_S: &str = r#"
int main(void) { return 0; }
__asm__(
    ".text\n"
    ".globl reads\n.type reads, %function\n"
    "reads: ldr x0, .Lread\n ret\n.size reads, . - reads\n"
    ".Lread: .xword 0x94000001d65f03c0\n"
    ".Lunread: .word 0xa9bf7bfd, 0x94000002, 0xd65f03c0\n"
    ".globl after\n.type after, %function\n"
    "after: mov x0, 1\n ret\n.size after, . - after\n");
"#;

#[test]
fn data_between_functions_is_data() {
    for (flags, has_symbols) in [(&["-O1"] as &[&str], true), (&["-O1", "-s"], false)] {
        let path = programs::compile_c_with("aarch64-linux-gnu-gcc", "data_a64", DATA_S, flags);
        let Some(path) = path else { return };
        let tables = lowered(&path);
        let rows = tables.instructions.columns();
        let at = |bytes: &[u8]| rows.iter().find(|row| row.bytes.starts_with(bytes)).map(|row| row.role);
        assert_eq!(at(&[0xc0, 0x03, 0x5f, 0xd6, 0x01, 0x00, 0x00, 0x94]), Some(Role::Data), "{flags:?}");
        if has_symbols {
            assert_eq!(at(&[0xfd, 0x7b, 0xbf, 0xa9, 0x02, 0x00, 0x00, 0x94]), Some(Role::Data));
            let functions = tables.lowered.cfg.functions.columns();
            let reads = functions.iter().find(|function| function.function_name == Some("reads"));
            let after = functions.iter().find(|function| function.function_name == Some("after"));
            let (Some(reads), Some(after)) = (reads, after) else { panic!("both have symbols") };
            let between = reads.address + 1..after.address;
            assert!(!functions.address.iter().any(|address| between.contains(address)));
        }
    }
}

#[test]
fn the_memory_stage_says_that_it_leaves_the_code_out() {
    let path = programs::compile_c_with("aarch64-linux-gnu-gcc", "imports_a64", IMPORTS_C, &["-O2"]);
    let Some(path) = path else { return };
    let tables = lowered(&path);
    let memory = &tables.lowered.memory;
    let codes: Vec<_> = memory.diagnostics.columns().iter().map(|row| row.code).collect();
    assert_eq!(codes, [DiagnosticCode::UnanalyzedCode]);
    assert_eq!(memory.stack_frames.columns().len(), 0);
    assert_eq!(tables.memory_accesses.columns().len(), 0);
    assert_eq!(tables.data_flow_edges.columns().len(), 0);
    assert!(memory.memory_regions.columns().len() > 1);
}
