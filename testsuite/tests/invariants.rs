//! Table invariants hold for compiled programs, random modules and tools of the system, and the tables do not depend
//! on the number of threads.

use binframe::ir::Batch;
use binframe::ir::tables::Flow;
use binframe::passes::{CodeRegion, PassOutput};
use binframe_testsuite::executable::{Options, from_clif_with};
use binframe_testsuite::lowering::{Tables, TemporaryDataset, tables, with_threads};
use binframe_testsuite::random::{self, Features};
use binframe_testsuite::{control_flow, fixtures, programs, tools};
use bytes::Bytes;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tools of the system; missing ones are skipped.
const SYSTEM_TOOLS: [&str; 6] =
    ["/usr/bin/true", "/usr/bin/env", "/usr/bin/ls", "/usr/bin/sort", "/usr/bin/sed", "/usr/bin/dash"];

/// Checks all invariants of an executable, and that one thread and two compute the same tables.
fn check(name: &str, bytes: &Bytes) {
    let one = with_threads(1, || tables(bytes));
    let two = with_threads(2, || tables(bytes));
    assert_eq!(fingerprints(&one), fingerprints(&two), "{name}: tables of 1 and 2 threads");
    for region in &one.lowered.code.regions {
        check_coverage(name, region, &one);
    }
    let violations = control_flow::violations(&one);
    assert!(violations.is_empty(), "{name}: {:#?}", &violations[..violations.len().min(5)]);
}

fn fingerprints(tables: &Tables) -> Vec<binframe::ir::Fingerprint> {
    let computed =
        [tables.instructions.batch(), tables.memory_accesses.batch(), tables.data_flow_edges.batch()];
    let held = tables.lowered.outputs().into_iter().map(PassOutput::fingerprint);
    held.chain(computed.map(Batch::fingerprint)).collect()
}

/// Instructions cover each section without gaps or overlaps, have its bytes, and decode to their size on their own.
fn check_coverage(name: &str, region: &CodeRegion, tables: &Tables) {
    let instructions = tables.instructions.columns();
    let own = instructions.iter().filter(|row| row.section_index == region.section_index);
    let mut end = region.address;
    for row in own {
        assert_eq!(row.address, end, "{name}: an instruction starts at the end of the previous one");
        end += u64::from(row.size);
        let from = (row.address - region.address) as usize;
        assert_eq!(row.bytes, &region.bytes[from..from + row.size as usize], "{name}: bytes");
        assert_eq!(row.is_valid, row.flow != Flow::Invalid, "{name}: {row:?}");
        assert_eq!(row.target_address.is_some(), is_direct(row.flow), "{name}: {row:?}");
        if row.is_valid {
            assert_eq!(decoded_size(row.bytes, row.address), Some(row.bytes.len()), "{name}: {row:?}");
        }
    }
    assert_eq!(end, region.end_address(), "{name}: the last instruction ends at the end of the section");
}

fn is_direct(flow: Flow) -> bool {
    matches!(flow, Flow::Jump | Flow::CondJump | Flow::Call)
}

/// Size of the instruction that bytes decode to.
fn decoded_size(bytes: &[u8], address: u64) -> Option<usize> {
    let mut decoder = iced_x86::Decoder::with_ip(64, bytes, address, iced_x86::DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then(|| instruction.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_modules_have_no_violations(
        seed in any::<u64>(), jump_tables: bool, conditional_traps: bool, traps: bool, symbols: bool, eh_frame: bool,
    ) {
        let clif = random::clif_with_features(seed, Features { jump_tables, conditional_traps, traps });
        let executable = from_clif_with(&clif, &Options { symbols, eh_frame, ..Options::default() });
        check(&format!("seed {seed}"), &executable.bytes.into());
    }
}

#[test]
fn fixtures_pass_the_verifier_and_have_no_violations() {
    for (name, executable) in
        [("loops", fixtures::loops_and_calls()), ("stack", fixtures::stack_and_globals())]
    {
        TemporaryDataset::of_bytes(name, &executable.bytes).expect("the fixture is supported and verified");
        check(name, &executable.bytes.into());
    }
}

#[test]
fn compiled_programs_have_no_violations_with_and_without_symbols() {
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
fn system_tools_have_no_violations() {
    let tools: Vec<_> = SYSTEM_TOOLS.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    for path in tools {
        check_file(&path);
    }
}

/// Checks a file in memory, and that its dataset passes the verifier.
fn check_file(path: &Path) {
    let bytes = Bytes::from(fs::read(path).expect("the file can be read"));
    check(&path.display().to_string(), &bytes);
    TemporaryDataset::of_file(path).unwrap_or_else(|error| panic!("{error}"));
}
