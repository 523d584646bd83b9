//! The fixtures run, are valid for other readers, and match their ground truth.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitStatus};

use binframe_testsuite::executable::{Executable, OptLevel, Options, from_clif, from_clif_with};
use binframe_testsuite::{fixtures, programs, random, tools};
use object::{Object, ObjectSection, ObjectSymbol};

/// All variants of both fixtures, with a name for messages.
fn variants() -> Vec<(String, Executable)> {
    let sources = [
        ("loops_and_calls", fixtures::LOOPS_AND_CALLS, Vec::new()),
        ("stack_and_globals", fixtures::STACK_AND_GLOBALS, fixtures::stack_and_globals_data()),
    ];
    let mut variants = Vec::new();
    for (name, clif, data) in sources {
        for (symbols, eh_frame) in [(true, true), (true, false), (false, true), (false, false)] {
            for opt_level in [OptLevel::None, OptLevel::Speed, OptLevel::SpeedAndSize] {
                let options = Options { opt_level, symbols, eh_frame, data: data.clone() };
                let name = format!("{name} {opt_level:?} symbols={symbols} eh_frame={eh_frame}");
                variants.push((name, from_clif_with(clif, &options)));
            }
        }
    }
    variants
}

/// Runs an executable from a file in the folder `temporary`.
fn run(executable: &Executable, temporary: &Path) -> ExitStatus {
    use std::os::unix::fs::PermissionsExt;
    let path = temporary.join("program");
    fs::write(&path, &executable.bytes).expect("the folder is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions can be set");
    loop {
        match Command::new(&path).status() {
            // `ETXTBSY`: a process forked by another test still has the file open for writing.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            status => return status.expect("the kernel loads the file"),
        }
    }
}

#[test]
fn the_files_match_the_ground_truth() {
    for (name, executable) in variants() {
        let file = object::File::parse(&*executable.bytes).expect("an ELF file");
        assert_eq!(file.entry(), executable.functions[0].address, "{name}");
        let symbols: BTreeSet<(String, u64, u64)> = file
            .symbols()
            .filter(|symbol| symbol.kind() == object::SymbolKind::Text)
            .map(|symbol| (symbol.name().expect("UTF-8").to_owned(), symbol.address(), symbol.size()))
            .collect();
        let expected: BTreeSet<(String, u64, u64)> = executable
            .functions
            .iter()
            .filter(|_| name.contains("symbols=true"))
            .map(|function| (function.name.clone(), function.address, function.size))
            .collect();
        assert_eq!(symbols, expected, "{name}");
        let has_eh_frame = file.section_by_name(".eh_frame").is_some();
        assert_eq!(has_eh_frame, name.contains("eh_frame=true"), "{name}");
    }
}

#[test]
fn data_objects_are_in_their_sections() {
    let executable = fixtures::stack_and_globals();
    let file = object::File::parse(&*executable.bytes).expect("an ELF file");
    for (symbol, section, size) in [
        ("numbers", ".rodata", 32),
        ("operations", ".data", 16),
        ("counter", ".data", 8),
        ("scratch", ".bss", 64),
    ] {
        let symbol = file.symbol_by_name(symbol).expect("the object has a symbol");
        let index = symbol.section_index().expect("the symbol is in a section");
        let holder = file.section_by_index(index).expect("the section exists");
        assert_eq!((holder.name(), symbol.size()), (Ok(section), size));
    }
}

#[test]
fn the_fixtures_exit_with_their_exit_code() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    for (name, executable) in variants() {
        let status = run(&executable, temporary.path());
        assert_eq!(status.code(), Some(fixtures::EXIT_CODE), "{name}: {status}");
    }
}

#[test]
fn readelf_prints_no_warnings() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let path = temporary.path().join("program");
    for (name, executable) in variants() {
        fs::write(&path, &executable.bytes).expect("the folder is writable");
        let mut readelf = Command::new("readelf");
        let readelf = readelf.arg("-Wa").arg("--debug-dump=frames").arg(&path);
        let Some(output) = tools::output(readelf) else { return };
        assert!(output.status.success(), "{name}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        let report = String::from_utf8_lossy(&output.stdout).to_lowercase();
        assert!(!report.contains("warning") && !report.contains("error"), "{name}: {report}");
    }
}

#[test]
fn the_ground_truth_of_fixtures_matches_their_text() {
    let executable = fixtures::loops_and_calls();
    let names: Vec<&str> = executable.functions.iter().map(|function| &*function.name).collect();
    assert_eq!(names, ["_start", "sum_of_odd", "is_odd", "clamp", "exit"]);
    let [start, sum_of_odd, is_odd, clamp, exit] = &*executable.functions else { unreachable!() };
    let callees: Vec<Option<u64>> = start.calls.iter().map(|&(_, callee)| callee).collect();
    assert_eq!(callees, [sum_of_odd.address, clamp.address, exit.address].map(Some));
    assert_eq!(is_odd.block_starts, [is_odd.address]);
    assert_eq!(clamp.edges.len(), 2);
    let back_edges = sum_of_odd.edges.iter().filter(|(from, to)| to <= from).count();
    assert!(back_edges > 0, "a loop has a back edge: {sum_of_odd:?}");
    assert_eq!(exit.frame_size, None);

    let executable = fixtures::stack_and_globals();
    let apply = &executable.functions[1];
    assert_eq!(apply.calls.iter().map(|call| call.1).collect::<Vec<_>>(), [None]);
    let sum_numbers = &executable.functions[2];
    assert!(sum_numbers.frame_size >= Some(32), "a slot of 32 bytes: {sum_numbers:?}");
}

#[test]
fn random_modules_compile_deterministically() {
    let all_features = random::Features { jump_tables: true, conditional_traps: true, traps: true };
    for seed in 0..50 {
        for features in [random::Features::default(), all_features] {
            let clif = random::clif_with_features(seed, features);
            assert_eq!(clif, random::clif_with_features(seed, features));
            let executable = from_clif(&clif);
            assert_eq!(executable, from_clif(&clif), "seed {seed}");
            object::File::parse(&*executable.bytes).expect("an ELF file");
            check_ground_truth(&executable, seed);
        }
    }
}

/// Functions do not overlap, blocks are inside their function, and edges connect blocks.
fn check_ground_truth(executable: &Executable, seed: u64) {
    let mut end = 0;
    for function in &executable.functions {
        assert!(function.address >= end, "seed {seed}: {function:?}");
        end = function.address + function.size;
        assert_eq!(function.block_starts.first(), Some(&function.address), "seed {seed}");
        assert!(function.block_starts.is_sorted_by(|a, b| a < b), "seed {seed}: {function:?}");
        assert!(function.block_starts.iter().all(|&start| start < end), "seed {seed}");
        for (from, to) in &function.edges {
            let both = [from, to].map(|address| function.block_starts.contains(address));
            assert_eq!(both, [true, true], "seed {seed}: {function:?}");
        }
        for (return_address, callee) in &function.calls {
            assert!((function.address + 1..=end).contains(return_address), "seed {seed}");
            let known = executable.functions.iter().any(|other| Some(other.address) == *callee);
            assert!(callee.is_none() || known, "seed {seed}: {function:?}");
        }
    }
}

#[test]
fn modules_of_fixed_seeds_never_change() {
    // Expected values that are equal on all machines.
    let modules: Vec<String> = (0..4).map(random::clif).collect();
    let functions = modules.iter().map(|clif| clif.matches("function %").count());
    assert_eq!(functions.collect::<Vec<_>>(), [2, 6, 5, 4]);
}

#[test]
fn the_programs_print_their_expected_output() {
    let run = |path: &Path| {
        let output = Command::new(path).output().expect("the program starts");
        assert!(output.status.success(), "{}: {}", path.display(), output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    for flags in [&["-O0"][..], &["-O2"], &["-O2", "-static"]] {
        if let Some(path) = programs::compile_c("switch", programs::SWITCH_C, flags) {
            let text = run(&path);
            assert!(text.ends_with("sum 42\nreversed elbatucexe\nlength 10\n"), "{text}");
        }
        if let Some(path) = programs::compile_c("sort", programs::SORT_C, flags) {
            let text = run(&path);
            assert!(text.contains("case: address arrow block call column Edge frame"), "{text}");
        }
    }
    let text = run(&programs::compile_rust("tokens", programs::TOKENS_RS, &["-O"]));
    assert!(text.contains("square (2 + 3) - next 4 = 20\n"), "{text}");
    assert!(text.ends_with("cube 2: unexpected token Name(\"cube\")\n"), "{text}");
}
