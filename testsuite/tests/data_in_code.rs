//! The column `role` of `instructions` identifies data and padding in executable sections. The ground truth is the
//! assembly source.

use binframe::ir::tables::Role::{self, Code, Data, Padding};
use binframe_testsuite::lowering::tables;
use binframe_testsuite::programs::{DATA_IN_CODE_C, compile_c};
use bytes::Bytes;
use std::fs;

/// Sizes in bytes of contiguous rows with equal role.
fn runs(bytes: Vec<u8>) -> Vec<(Role, u64)> {
    let tables = tables(&Bytes::from(bytes));
    let mut runs: Vec<(Role, u64)> = Vec::new();
    for row in tables.instructions.columns().iter() {
        assert_eq!(row.is_valid, row.role != Role::Data, "{:#x}", row.address);
        assert_eq!(row.mnemonic.0 == "(data)", row.role == Role::Data, "{:#x}", row.address);
        match runs.last_mut().filter(|last| last.0 == row.role) {
            Some(last) => last.1 += u64::from(row.size),
            None => runs.push((row.role, u64::from(row.size))),
        }
    }
    assert!(tables.lowered.instructions.diagnostics.is_empty());
    runs
}

#[test]
fn tables_constants_and_zeros_are_data_and_the_bytes_after_them_are_code() {
    for flags in [["-nostdlib", "-static", "-g0"], ["-nostdlib", "-static", "-s"]] {
        let flags = [&flags[..], &["-no-pie", "-Wl,--build-id=none"]].concat();
        let Some(path) = compile_c("data_in_code", DATA_IN_CODE_C, &flags) else { return };
        let found = runs(fs::read(path).expect("the file can be read"));
        // The table and the constants after it are one range, which contains some padding.
        let expected = [
            (Code, 52),
            (Data, 36),
            (Code, 6),
            (Data, 16),
            (Code, 9),
            (Padding, 9),
            (Data, 16),
            (Padding, 3),
            (Code, 6),
        ];
        assert_eq!(found, expected);
    }
}
