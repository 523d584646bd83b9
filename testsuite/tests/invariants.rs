//! What the tables promise about each other holds for compiled programs, for random modules and for the system's own tools.

use binframe::ir::Batch;
use binframe::ir::tables::Flow;
use binframe::passes::{CodeRegion, PassOutput};
use binframe_testsuite::executable::{Options, from_clif_with};
use binframe_testsuite::lowering::{Tables, Written, tables, with_threads};
use binframe_testsuite::random::{self, Shape};
use binframe_testsuite::{control_flow, fixtures, programs, tools};
use bytes::Bytes;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tools of the system; those that are there are lowered.
const SYSTEM_TOOLS: [&str; 6] =
    ["/usr/bin/true", "/usr/bin/env", "/usr/bin/ls", "/usr/bin/sort", "/usr/bin/sed", "/usr/bin/dash"];

/// Checks everything below of one executable, and that one thread and two make the same tables.
fn check(name: &str, bytes: &Bytes) {
    let one = with_threads(1, || tables(bytes));
    let two = with_threads(2, || tables(bytes));
    assert_eq!(fingerprints(&one), fingerprints(&two), "{name}: threads 1 and 2");
    for region in &one.lowered.code.regions {
        check_coverage(name, region, &one);
    }
    let broken = control_flow::broken(&one);
    assert!(broken.is_empty(), "{name}: {:#?}", &broken[..broken.len().min(5)]);
}

fn fingerprints(tables: &Tables) -> Vec<binframe::ir::Fingerprint> {
    let computed = [tables.instructions.batch(), tables.memory_accesses.batch(), tables.data_flow.batch()];
    let held = tables.lowered.outputs().into_iter().map(PassOutput::fingerprint);
    held.chain(computed.map(Batch::fingerprint)).collect()
}

/// The instructions of a section cover it, once; they hold its bytes; each is as long as its bytes alone decode to.
fn check_coverage(name: &str, region: &CodeRegion, tables: &Tables) {
    let instructions = tables.instructions.columns();
    let own = instructions.iter().filter(|row| row.section_index == region.section_index);
    let mut end = region.address;
    for row in own {
        assert_eq!(row.address, end, "{name}: an instruction begins where the one before ends");
        end += u64::from(row.size);
        let from = (row.address - region.address) as usize;
        assert_eq!(row.bytes, &region.bytes[from..from + row.size as usize], "{name}: bytes");
        assert_eq!(row.is_valid, row.flow != Flow::Invalid, "{name}: {row:?}");
        assert_eq!(row.target.is_some(), is_direct(row.flow), "{name}: {row:?}");
        if row.is_valid {
            assert_eq!(decoded_size(row.bytes, row.address), Some(row.bytes.len()), "{name}: {row:?}");
        }
    }
    assert_eq!(end, region.end_address(), "{name}: the last instruction ends with the section");
}

fn is_direct(flow: Flow) -> bool {
    matches!(flow, Flow::Jump | Flow::CondJump | Flow::Call)
}

/// The size of the one instruction that the bytes are.
fn decoded_size(bytes: &[u8], address: u64) -> Option<usize> {
    let mut decoder = iced_x86::Decoder::with_ip(64, bytes, address, iced_x86::DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then(|| instruction.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_modules(
        seed in any::<u64>(), jump_tables: bool, conditional_traps: bool, traps: bool, symbols: bool, eh_frame: bool,
    ) {
        let clif = random::clif_of_shape(seed, Shape { jump_tables, conditional_traps, traps });
        let executable = from_clif_with(&clif, &Options { symbols, eh_frame, ..Options::default() });
        check(&format!("seed {seed}"), &executable.bytes.into());
    }
}

#[test]
fn fixtures_pass_the_verifier_and_hold_every_promise() {
    for (name, executable) in
        [("loops", fixtures::loops_and_calls()), ("stack", fixtures::stack_and_globals())]
    {
        Written::of_bytes(name, &executable.bytes).expect("lowered and verified");
        check(name, &executable.bytes.into());
    }
}

#[test]
fn compiled_programs_with_and_without_symbols() {
    for flags in
        [&["-O0"][..], &["-O1"], &["-O2"], &["-O3"], &["-Os"], &["-O2", "-fno-asynchronous-unwind-tables"]]
    {
        for (name, source) in [("switch", programs::SWITCH_C), ("sort", programs::SORT_C)] {
            if let Some(path) = programs::compile_c(name, source, flags) {
                check_file_and_its_stripped_copy(&path);
            }
        }
    }
    for flags in [&["-O"][..], &["-Copt-level=0"]] {
        check_file_and_its_stripped_copy(&programs::compile_rust("tokens", programs::TOKENS_RS, flags));
    }
}

fn check_file_and_its_stripped_copy(path: &Path) {
    check_file(path);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stripped = folder.path().join("stripped");
    if tools::run(Command::new("strip").arg(path).arg("-o").arg(&stripped)).is_some() {
        check_file(&stripped);
    }
}

#[test]
fn tools_of_the_system() {
    let tools: Vec<_> = SYSTEM_TOOLS.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    for path in tools {
        check_file(&path);
    }
}

/// Checks the file in memory, and that a dataset of it passes the verifier.
fn check_file(path: &Path) {
    let bytes = Bytes::from(fs::read(path).expect("the file can be read"));
    check(&path.display().to_string(), &bytes);
    Written::of_file(path).unwrap_or_else(|error| panic!("{error}"));
}
