//! Captures that wait for a function, and the source lines of calls, which are those of gdb.

use crate::{Captured, request};
use binframe::ir::tables::{CallStacks, LoadedModules, SnapshotReason, Snapshots, Threads};
use binframe::{CaptureTarget, capture};
use binframe_testsuite::programs::compile_c;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const THREADS: &str = "
    #include <pthread.h>
    #include <stdlib.h>
    int total;
    __attribute__((noinline)) int reached(int number) { return __atomic_add_fetch(&total, number, __ATOMIC_SEQ_CST); }
    void *worker(void *argument) {
        for (int round = 0; round < 3; round++) reached(round);
        return argument;
    }
    int main(void) {
        pthread_t threads[4];
        for (int index = 0; index < 4; index++) pthread_create(&threads[index], 0, worker, 0);
        for (int index = 0; index < 4; index++) pthread_join(threads[index], 0);
        return total == 12 ? 0 : 1;
    }";

/// Captures a command at a function, and returns the dataset.
fn captured_at(function: &str, count: Option<u32>, program: &Path) -> Captured {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("captured");
    let mut request = request(CaptureTarget::Command(vec![program.into()]), &output);
    (request.at, request.count, request.has_content) = (Some(function), count, false);
    capture(&request, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    Captured::open(&output, folder)
}

#[test]
fn every_thread_that_reaches_a_function_is_a_snapshot() {
    let program = compile_c("capture_threads", THREADS, &["-O1", "-g", "-pthread"]).expect("a C compiler");
    let captured = captured_at("reached", None, &program);
    let snapshots = captured.rows::<Snapshots>();
    assert_eq!(snapshots.len(), 12);
    let calls = captured.rows::<CallStacks>();
    let threads = captured.rows::<Threads>();
    let mut reached = BTreeSet::new();
    for snapshot in snapshots.columns().iter() {
        assert_eq!(snapshot.reason, SnapshotReason::Function);
        let own = |id: u32, thread: u64| (id, Some(thread)) == (snapshot.snapshot_id, snapshot.thread_id);
        let stack = calls.columns();
        let stack = stack.iter().filter(|call| own(call.snapshot_id, call.thread_id));
        let names: Vec<_> = stack.map(|call| call.function_name.unwrap_or("-").to_owned()).collect();
        assert_eq!(names[..2], ["reached", "worker"], "{names:?}");
        let columns = threads.columns();
        let mut threads = columns.iter().filter(|thread| own(thread.snapshot_id, thread.thread_id));
        assert!(threads.next().is_some_and(|thread| !thread.is_main));
        reached.insert(snapshot.thread_id);
    }
    assert_eq!(reached.len(), 4);
    assert_eq!(captured_at("reached", Some(2), &program).rows::<Snapshots>().len(), 2);
    let in_library = captured_at("pthread_join", Some(1), &program);
    assert_eq!(in_library.rows::<CallStacks>().columns().row(0).depth, 0);
}

#[test]
fn a_function_that_is_not_there_is_a_clear_error() {
    let program = compile_c("capture_threads", THREADS, &["-O1", "-g", "-pthread"]).expect("a C compiler");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("captured");
    for (function, expected) in
        [("no_such_function", "no symbol of the program"), ("abort", "before a thread reached")]
    {
        let mut request = request(CaptureTarget::Command(vec![program.clone().into()]), &output);
        request.at = Some(function);
        let message = capture(&request, &mut |_| {}).expect_err("it is never reached").to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!output.exists(), "a failed capture leaves nothing");
    }
}

const INLINED: &str = "
    #include <stdio.h>
    __attribute__((noinline)) int reached(int number) {
        __asm__ volatile(\"\" : : \"r\"(number) : \"memory\");
        return number + 1;
    }
    static inline __attribute__((always_inline)) int innermost(int number) {
        return reached(number) * 3;
    }
    static inline __attribute__((always_inline)) int middle(int number) {
        int more = number * 5;
        return innermost(more) + innermost(more + 1);
    }
    __attribute__((noinline)) int outer(int number) {
        return middle(number) + 2;
    }
    int main(int count, char **arguments) {
        printf(\"%d\\n\", outer(count));
        return 0;
    }";

#[test]
fn source_lines_and_inlined_functions_are_those_of_addr2line() {
    for flags in [&["-O2", "-g"][..], &["-O2", "-gdwarf-4"], &["-O0", "-g"]] {
        let program = compile_c("capture_inlined", INLINED, flags).expect("a C compiler");
        let captured = captured_at("reached", Some(2), &program);
        let modules = captured.rows::<LoadedModules>();
        let columns = modules.columns();
        let module = columns.iter().find(|module| module.is_program).expect("the program");
        let calls = captured.rows::<CallStacks>();
        let mut found: BTreeMap<(u32, u64), Vec<String>> = BTreeMap::new();
        for call in calls.columns().iter().filter(|call| call.module_address == Some(module.address)) {
            let is_return = u64::from(call.depth > 0);
            let address = call.program_counter - module.load_bias.expect("a file") - is_return;
            let file = call.source_file.map_or("??", |file| file.0.rsplit('/').next().unwrap_or_default());
            let line = call.source_line.map_or("?".to_owned(), |line| line.to_string());
            let name = call.function_name.unwrap_or("??");
            found.entry((call.snapshot_id, address)).or_default().push(format!("{name} {file}:{line}"));
        }
        let (mut inlined, mut compared) = (0, 0);
        for ((_, address), found) in found.iter().filter(|(_, calls)| !calls[0].starts_with("_start")) {
            let mut command = Command::new("addr2line");
            command.args(["-i", "-f", "-e"]).arg(&program).arg(format!("{address:#x}"));
            let output = command.output().expect("addr2line is part of the compiler's tools");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let expected = lines.chunks(2).map(|pair| {
                let place = pair[1].split(" (").next().and_then(|place| place.rsplit('/').next());
                format!("{} {}", pair[0], place.unwrap_or_default())
            });
            assert_eq!(*found, expected.collect::<Vec<_>>(), "{flags:?} at {address:#x}");
            (inlined, compared) = (inlined + found.len() - 1, compared + 1);
        }
        assert!(compared >= 6, "{flags:?}: {compared} frames");
        // Two calls of `reached`, each inlined over two levels, also without optimization.
        assert_eq!(inlined, 4, "{flags:?}");
    }
}
