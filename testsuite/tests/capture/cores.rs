//! Core dumps of the kernel, gdb and QEMU, of programs for x86-64, 32-bit x86 and AArch64: stacks are those of gdb, and
//! the signal is the one that the program caused.

use crate::gdb::{self, Stacks};
use crate::{Captured, request};
use binframe::ir::tables::{CallStacks, HeapChunks, LoadedModules, MemoryRegions, Threads};
use binframe::{CaptureTarget, Error, capture};
use binframe_testsuite::programs::{compile_c, compile_c_with};
use binframe_testsuite::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Two threads, one of which writes to an address that is not mapped, in a call of depth 4. `ACCESS` may wait before.
const PROGRAM: &str = "
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    volatile int is_ready;
    __attribute__((noinline)) void sleeps(void) { is_ready = 1; for (;;) pause(); }
    __attribute__((noinline)) void *worker(void *argument) { sleeps(); return argument; }
    __attribute__((noinline)) int crashes(int depth, char *text) {
        char buffer[64];
        snprintf(buffer, sizeof buffer, \"%d %s\", depth, text);
        if (depth > 0) return crashes(depth - 1, buffer) + 1;
        ACCESS;
        return strlen(buffer);
    }
    int main(void) {
        pthread_t thread;
        char *text = malloc(1000);
        strcpy(text, \"a text on the heap\");
        pthread_create(&thread, 0, worker, 0);
        while (!is_ready) usleep(1000);
        usleep(10000);
        return crashes(3, text);
    }";

const FLAGS: [&str; 4] = ["-O2", "-g", "-pthread", "-fno-optimize-sibling-calls"];

/// Compiles the program; `None`, with a message, if the compiler is not installed.
fn program(name: &str, compiler: &str, flags: &[&str]) -> Option<PathBuf> {
    let source = PROGRAM.replace("ACCESS", "*(volatile int *)0x10 = 1");
    compile_c_with(compiler, name, &source, &[&FLAGS, flags].concat())
}

/// Runs a command that crashes in a folder, and returns the core dump; `None`, with a message, if the system wrote
/// none.
fn crash(folder: &Path, command: &str) -> Option<PathBuf> {
    let limit = format!("ulimit -c unlimited; {command}");
    let status = Command::new("bash").args(["-c", &limit]).current_dir(folder).stderr(Stdio::null()).status();
    assert!(!status.expect("there is a shell").success(), "{command} must crash");
    let entries = fs::read_dir(folder).expect("the folder").flatten();
    let mut cores: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    // QEMU is dumped too.
    cores.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("core")));
    cores.sort_by_key(|path| path.extension().is_none_or(|extension| extension != "core"));
    if cores.is_empty() {
        tools::report_skipped("the kernel writes no core dumps as files (/proc/sys/kernel/core_pattern)");
    }
    cores.into_iter().next()
}

/// Checks that stacks are those of gdb, down to `main` and to the start of threads.
fn check_stacks(captured: &Captured, stacks: &Stacks, context: &str) {
    let calls = captured.rows::<CallStacks>();
    assert_eq!(stacks.len(), 2, "{context}");
    for (thread, expected) in stacks {
        let own = calls.columns();
        let own = own.iter().filter(|call| call.thread_id == *thread && !call.is_inlined);
        // gdb prints no address for the function that runs.
        let own: Vec<_> = own.skip(1).collect();
        let found: Vec<u64> = own.iter().map(|call| call.program_counter).collect();
        let addresses: Vec<u64> = expected.iter().map(|(address, _)| *address).collect();
        assert_eq!(found, addresses, "{context}: {own:x?} {expected:x?}");
        let names = ["crashes", "main", "sleeps", "worker"];
        for (call, (_, name)) in
            own.iter().zip(expected).filter(|(_, (_, name))| names.contains(&name.as_str()))
        {
            assert_eq!(call.function_name, Some(name.as_str()), "{context}: {call:x?}");
        }
        assert!(
            expected.iter().any(|(_, name)| name == "main" || name == "worker"),
            "{context} {expected:x?}"
        );
    }
}

/// Checks the signal of the thread that crashed.
fn check_signal(captured: &Captured, code: Option<i64>, fault: Option<u64>) {
    let threads = captured.rows::<Threads>();
    let main = threads.columns().iter().find(|thread| thread.is_main).expect("a first thread");
    assert_eq!((main.signal, main.signal_code, main.fault_address), (Some(11), code, fault));
}

fn of_core(core: &Path, executable: Option<&Path>) -> Captured {
    let target = CaptureTarget::CoreDump(core.to_owned());
    Captured::of(|request| request.executable = executable.map(Path::to_owned), target)
}

#[test]
fn core_dumps_of_the_kernel_are_those_that_gdb_reads() {
    for (name, flags, word_size) in [("core_64", &[][..], 8), ("core_32", &["-m32"][..], 4)] {
        let program = program(name, "cc", flags).expect("a machine that runs Rust tests has a C compiler");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Some(core) = crash(folder.path(), &program.display().to_string()) else { return };
        let Some(stacks) = gdb::stacks_of_core("gdb", &program, &core) else { return };
        let captured = of_core(&core, None);
        check_stacks(&captured, &stacks, name);
        check_signal(&captured, Some(1), Some(0x10));
        let chunks = captured.rows::<HeapChunks>();
        let text = chunks.columns().iter().find(|chunk| captured.bytes(chunk.address, 7) == b"a text ");
        let header_size = word_size;
        assert_eq!(
            text.map(|chunk| chunk.size),
            Some((1000_u64 + header_size).next_multiple_of(16) - header_size)
        );
        let modules = captured.rows::<LoadedModules>();
        let programs: Vec<_> = modules.columns().iter().filter(|module| module.is_program).collect();
        assert_eq!(programs.len(), 1);
        assert_eq!(Path::new(programs[0].module_path), program);
    }
}

#[test]
fn core_dumps_of_gdb_are_those_that_gdb_reads() {
    for (name, flags) in [("gcore_64", &[][..]), ("gcore_32", &["-m32"][..])] {
        let source = PROGRAM.replace("ACCESS", "read(0, buffer, 1)");
        let program = compile_c(name, &source, &[&FLAGS, flags].concat()).expect("a C compiler");
        // It ends with this test, because it waits for the end of its input.
        let mut child = Command::new(&program).stdin(Stdio::piped()).spawn().expect("it starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let is_waiting = || {
            let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("it runs").flatten();
            let calls = tasks.map(|task| fs::read_to_string(task.path().join("syscall")).unwrap_or_default());
            // The numbers of `pause` and `read` on both architectures.
            let waits =
                |call: &String| ["34 ", "29 ", "0 ", "3 "].iter().any(|number| call.starts_with(number));
            calls.filter(waits).count() == 2
        };
        while !is_waiting() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let inspected = gdb::inspect(child.id(), &folder.path().join("core"));
        if let Some(inspected) = &inspected {
            let live = Captured::of(|_| {}, CaptureTarget::Process(child.id()));
            check_stacks(&live, &inspected.stacks, "live");
            check_stacks(&of_core(&inspected.core, None), &inspected.stacks, name);
        }
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }
}

#[test]
fn core_dumps_of_qemu_need_their_program() {
    let Some(program) = program("core_aarch64", "aarch64-linux-gnu-gcc", &["-static"]) else { return };
    if !tools::is_installed("qemu-aarch64") {
        return tools::report_missing("qemu-aarch64");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(core) = crash(folder.path(), &format!("qemu-aarch64 {}", program.display())) else { return };
    let Some(mut stacks) = gdb::stacks_of_core("gdb-multiarch", &program, &core) else { return };
    // The first code of a thread has no frame pointer, which ends the stack here.
    for calls in stacks.values_mut() {
        calls.retain(|(_, name)| name != "thread_start");
    }
    let captured = of_core(&core, Some(&program));
    check_stacks(&captured, &stacks, "qemu");
    check_signal(&captured, None, None);
    let modules = captured.rows::<LoadedModules>();
    let module = modules.columns().iter().next().expect("the program");
    assert_eq!((module.module_path, module.is_program), (&*program.to_string_lossy(), true));
    assert!(module.build_id.is_some());
    let chunks = captured.rows::<HeapChunks>();
    let text = chunks.columns().iter().find(|chunk| captured.bytes(chunk.address, 7) == b"a text ");
    let address = text.map(|chunk| chunk.address).expect("a chunk with the text");
    let regions = captured.rows::<MemoryRegions>();
    let region = regions
        .columns()
        .iter()
        .find(|region| region.start_address <= Some(address) && Some(address) < region.end_address);
    assert_eq!(region.and_then(|region| region.allocation_site), Some("system: brk"));

    let without = of_core(&core, None);
    assert_eq!(without.rows::<Threads>().len(), 2);
    assert_eq!(without.rows::<LoadedModules>().len(), 0);
    let output = folder.path().join("captured");
    let mut request = request(CaptureTarget::CoreDump(core), &output);
    for (executable, expected) in
        [("/bin/sh", "not the program of"), ("/etc/passwd", "not an ELF executable")]
    {
        request.executable = Some(executable.into());
        match capture(&request, &mut |_| {}) {
            Err(error @ Error::Capture { .. }) => assert!(error.to_string().contains(expected), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A program that was moved lends its names only with `--exe`, and one that was replaced lends none.
#[test]
fn a_file_lends_names_only_to_its_own_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let original = program("core_64", "cc", &[]).expect("a C compiler");
    let other = program("core_other", "cc", &["-fno-inline", "-DOTHER"]).expect("a C compiler");
    let (path, moved) = (folder.path().join("target"), folder.path().join("moved"));
    fs::copy(&original, &path).expect("the folder is writable");
    let Some(core) = crash(folder.path(), "./target") else { return };
    fs::rename(&path, &moved).expect("the folder is writable");
    let named =
        |captured: &Captured| captured.stacks().values().flatten().filter(|name| *name == "crashes").count();
    let build_id = |captured: &Captured| {
        let modules = captured.rows::<LoadedModules>();
        let module =
            modules.columns().iter().find(|module| module.is_program).map(|module| {
                (module.module_path.to_owned(), module.build_id.expect("a build id").to_owned())
            });
        module.expect("the program")
    };
    let gone = of_core(&core, None);
    assert_eq!(named(&gone), 0);
    let given = of_core(&core, Some(&moved));
    assert_eq!(named(&given), 4);
    // Its header is in memory, and states the build id.
    assert_eq!(build_id(&gone).1, build_id(&given).1);
    assert_eq!(build_id(&given).0, moved.to_string_lossy());
    fs::copy(&other, &path).expect("the folder is writable");
    let replaced = of_core(&core, None);
    assert_eq!((named(&replaced), build_id(&replaced).1), (0, build_id(&given).1));
    let output = folder.path().join("captured");
    let mut request = request(CaptureTarget::CoreDump(core), &output);
    request.executable = Some(other);
    let error = capture(&request, &mut |_| {}).expect_err("it is another program").to_string();
    assert!(error.contains("not the program of"), "{error}");
}

/// Truncated and corrupted core dumps are read as far as they go.
#[test]
fn damaged_core_dumps_are_read_or_refused() {
    let program = program("core_64", "cc", &[]).expect("a C compiler");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(core) = crash(folder.path(), &program.display().to_string()) else { return };
    let bytes = fs::read(&core).expect("the core dump");
    let whole = of_core(&core, None).rows::<MemoryRegions>();
    let damaged = folder.path().join("damaged");
    for size in [1 << 20, 1 << 16, 0x2000] {
        fs::write(&damaged, &bytes[..size]).expect("the folder is writable");
        let captured = of_core(&damaged, None);
        let regions = captured.rows::<MemoryRegions>();
        assert_eq!(regions.len(), whole.len(), "{size:#x} bytes");
        let contents = regions.columns().iter().filter_map(|region| region.content_snapshot);
        assert!(contents.map(<[u8]>::len).sum::<usize>() <= size);
    }
    // The headers, notes and the first pages are what there is to corrupt.
    let original = &bytes[..bytes.len().min(1 << 20)];
    crate::check_mutants(original, 25, CaptureTarget::CoreDump);
}
