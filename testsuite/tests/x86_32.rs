//! 32-bit x86: jump tables, calls and frames match the source.

use binframe::ir::tables::{DataUse, Format, FrameStatus, Terminator};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::programs::{FREESTANDING_C, compile_msvc_32, compile_x86_32};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// The program for Linux and Windows at several optimization levels; empty if clang is not installed.
fn executables() -> Vec<PathBuf> {
    let elf = ["-O0", "-O2", "-Os"].into_iter().flat_map(|level| {
        [
            compile_x86_32("freestanding", FREESTANDING_C, &[level]),
            compile_x86_32("freestanding", FREESTANDING_C, &[level, "-fPIE", "-Wl,-pie"]),
            compile_x86_32("freestanding", FREESTANDING_C, &[level, "-fomit-frame-pointer"]),
        ]
    });
    let windows =
        ["-O0", "-O2"].into_iter().map(|level| compile_msvc_32("freestanding", FREESTANDING_C, &[level]));
    elf.chain(windows).flatten().collect()
}

fn lowered(path: &PathBuf) -> Tables {
    tables(&Bytes::from(fs::read(path).expect("the file can be read")))
}

#[test]
fn code_is_decoded_and_jumps_and_frames_are_resolved() {
    for path in executables() {
        let tables = lowered(&path);
        let name = path.display();
        assert!(tables.instructions.columns().iter().any(|row| row.is_valid), "{name}");
        let cfg = &tables.lowered.cfg;
        let jumps: Vec<_> = cfg.jump_tables.columns().iter().map(|table| table.entry_count).collect();
        assert_eq!(jumps, [8], "{name}");
        let blocks = cfg.basic_blocks.columns();
        assert!(blocks.iter().all(|block| block.terminator != Terminator::Invalid), "{name}");
        // Windows aligns the stack for 8-byte integers and calls functions to multiply them.
        let is_windows =
            tables.lowered.sections.headers.columns().iter().any(|header| header.format == Format::Pe);
        let frames = tables.lowered.memory.stack_frames.columns();
        let lost = frames.iter().filter(|frame| frame.status != FrameStatus::Exact).count();
        assert!(lost <= if is_windows { 5 } else { 1 }, "{name}: {lost} frames");
    }
}

#[test]
fn constant_addresses_are_in_sections() {
    for path in executables() {
        let tables = lowered(&path);
        let sections = tables.lowered.sections.sections.columns();
        let is_inside = |address: u64| {
            sections
                .iter()
                .any(|section| (section.address..section.address + section.size).contains(&address))
        };
        let accesses = tables.memory_accesses.columns();
        let mut globals =
            accesses.iter().filter(|access| !access.is_indexed).filter_map(|access| access.global_address);
        assert!(globals.all(is_inside), "{}", path.display());
        let instructions = tables.instructions.columns();
        assert!(
            instructions.iter().filter_map(|row| row.target_address).all(is_inside),
            "{}",
            path.display()
        );
    }
}

#[test]
fn stack_arguments_are_defined_by_pushes_and_stores() {
    for path in executables() {
        let tables = lowered(&path);
        let mnemonics: HashMap<u64, String> = tables
            .instructions
            .columns()
            .iter()
            .map(|row| (row.address, row.mnemonic.0.to_owned()))
            .collect();
        let mut passed = 0;
        for row in tables.data_flow_edges.columns().iter() {
            let is_passed = row.resource.0 == "stack" && row.use_kind == DataUse::Argument;
            let Some(definition) = row.definition_address.filter(|_| is_passed) else { continue };
            assert_eq!(mnemonics[&row.use_address], "call", "{}: {row:?}", path.display());
            passed += usize::from(["push", "mov"].contains(&mnemonics[&definition].as_str()));
        }
        assert!(passed >= 8, "{}: {passed}", path.display());
    }
}
