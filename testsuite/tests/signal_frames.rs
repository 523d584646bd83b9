//! The signal return trampoline starts at its first instruction, although its unwind entry starts one byte earlier.

use binframe::ir::tables::FunctionEvidence;
use binframe_testsuite::lowering::tables;
use binframe_testsuite::{programs, tools};
use bytes::Bytes;
use std::fs;
use std::process::Command;

/// `mov rax, 15; syscall`: `rt_sigreturn` in the C library.
const RESTORE_RT: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

#[test]
fn the_signal_return_function_starts_after_its_unwind_entry() {
    let Some(path) = programs::compile_c("switch", programs::SWITCH_C, &["-O2", "-static"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stripped = folder.path().join("stripped");
    let strip = tools::run(Command::new("strip").arg(&path).arg("-o").arg(&stripped));
    let evidence = [(path, FunctionEvidence::Symbol), (stripped, FunctionEvidence::Unwind)];
    for (path, evidence) in evidence.into_iter().take(if strip.is_some() { 2 } else { 1 }) {
        let bytes = Bytes::from(fs::read(&path).expect("the file can be read"));
        let tables = tables(&bytes);
        let code = &tables.lowered.code;
        let mut found = 0;
        for region in &code.regions {
            let places = region.bytes.windows(RESTORE_RT.len()).enumerate();
            for (position, _) in places.filter(|(_, bytes)| *bytes == RESTORE_RT) {
                let address = region.address + position as u64;
                let functions = tables.lowered.cfg.functions.columns();
                let row = functions.address.binary_search(&address);
                let row = row.unwrap_or_else(|_| panic!("no function starts at {address:#x}"));
                assert_eq!(functions.evidence.get(row), evidence, "{address:#x}");
                assert_eq!(functions.address.binary_search(&(address - 1)).ok(), None, "{address:#x}");
                found += 1;
            }
        }
        // Only glibc is known to contain it once.
        assert!(found <= 1, "{found}");
    }
}
