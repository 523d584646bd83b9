//! Instruction addresses and sizes are equal to those of `objdump`, in 64-bit and 32-bit code.

use binframe_testsuite::executable::{Options, from_clif_with};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::patch::Patch;
use binframe_testsuite::{fixtures, programs, tools};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Installed executables; missing ones are skipped.
const EXECUTABLES: [&str; 4] = ["/usr/bin/env", "/usr/bin/ls", "/usr/bin/bash", "/usr/bin/dash"];

fn executables() -> Vec<PathBuf> {
    let mut executables: Vec<_> =
        EXECUTABLES.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    executables.push(programs::compile_rust("tokens", programs::TOKENS_RS, &["-O"]));
    executables.extend(programs::compile_x86_32("freestanding", programs::FREESTANDING_C, &["-O2"]));
    executables.extend(programs::compile_x86_32(
        "freestanding",
        programs::FREESTANDING_C,
        &["-O0", "-fPIE", "-Wl,-pie"],
    ));
    executables.extend(programs::compile_msvc_32("freestanding", programs::FREESTANDING_C, &["-O1"]));
    executables
}

fn lowered(path: &Path) -> Tables {
    tables(&Bytes::from(fs::read(path).expect("the file can be read")))
}

/// Size by address.
type Lengths = BTreeMap<u64, usize>;

/// Instructions as printed by `objdump`: ` 401000:\t55                   \tpush   %rbp`.
fn objdump(path: &Path) -> Option<Lengths> {
    let text = tools::print("objdump", &["-d", "-z", "-w"], path)?;
    let instruction = |line: &str| {
        let mut columns = line.split('\t');
        let address = u64::from_str_radix(columns.next()?.trim().strip_suffix(':')?, 16).ok()?;
        Some((address, columns.next()?.split_whitespace().count()))
    };
    Some(text.lines().filter_map(instruction).collect())
}

/// Code that `objdump` decodes differently, with the reason.
struct Difference {
    reason: &'static str,
    code: &'static [u8],
    objdump: &'static [usize],
    own: &'static [usize],
}

const DIFFERENCES: [Difference; 4] = [
    Difference {
        reason: "`wait` is a separate instruction; objdump joins it with the x87 instruction after it",
        code: &[0x9b, 0xd9, 0x3c, 0x24],
        objdump: &[4],
        own: &[1, 3],
    },
    Difference {
        reason: "a REX prefix before another prefix is an ignored part of the instruction; objdump prints it separately",
        code: &[0x47, 0x47, 0xc9],
        objdump: &[1, 2],
        own: &[3],
    },
    Difference {
        reason: "the segment register does not exist: the first byte is invalid, the next may start an instruction",
        code: &[0x8c, 0xf1],
        objdump: &[2],
        own: &[1, 1],
    },
    Difference {
        reason: "`lock` before an instruction that cannot be locked raises an exception: the byte is invalid",
        code: &[0xf0, 0x48, 0x89, 0xc7],
        objdump: &[4],
        own: &[1, 3],
    },
];

#[test]
fn instructions_match_objdump() {
    for path in executables() {
        let Some(expected) = objdump(&path) else { return };
        assert_same(&path, &expected, &lengths(&lowered(&path)));
    }
}

#[test]
fn known_differences_to_objdump_exist() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("odd");
    let options = Options { symbols: false, eh_frame: false, ..Options::default() };
    let plain = Patch(from_clif_with(fixtures::LOOPS_AND_CALLS, &options).bytes);
    for difference in &DIFFERENCES {
        let code: Vec<u8> = difference.code.iter().copied().chain([0x90; 16]).collect();
        let mut file = plain.clone();
        file.replace_section(1, &code);
        fs::write(&path, &file.0).expect("the temporary folder is writable");
        let Some(theirs) = objdump(&path) else { return };
        let sizes = |lengths: &Lengths| -> Vec<usize> {
            lengths.values().copied().take(lengths.len() - 16).collect()
        };
        let own = lengths(&lowered(&path));
        assert_ne!(difference.objdump, difference.own, "{}", difference.reason);
        assert_eq!(sizes(&theirs), difference.objdump, "objdump: {}", difference.reason);
        assert_eq!(sizes(&own), difference.own, "{}", difference.reason);
    }
}

fn lengths(tables: &Tables) -> Lengths {
    tables.instructions.columns().iter().map(|row| (row.address, usize::from(row.size))).collect()
}

fn assert_same(path: &Path, expected: &Lengths, found: &Lengths) {
    let missing: Vec<_> =
        expected.iter().filter(|(address, size)| found.get(address) != Some(size)).take(5).collect();
    assert!(missing.is_empty(), "{}: only in objdump: {missing:x?}", path.display());
    assert_eq!(expected.len(), found.len(), "{}: rows that objdump does not have", path.display());
}
