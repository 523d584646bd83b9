//! The recorded heap is that of programs that count themselves, also with threads, forks, modules that are loaded later,
//! and deep stacks; and programs run as they do without the recorder.

use super::{Captured, request};
use binframe::ir::tables::{HeapAllocations, HeapCallSites};
use binframe::{CaptureTarget, Error, capture};
use binframe_testsuite::programs::compile_c;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A program whose threads release each other's memory. It counts what it does under the lock under which it does it, and
/// prints allocations, bytes, live bytes and their peak.
const COUNTING: &str = "
    #include <errno.h>
    #include <pthread.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <stdlib.h>
    #define SLOTS 512
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char *memory[SLOTS];
    size_t sizes[SLOTS], count, total, live, peak;
    volatile size_t huge = (size_t)-4096;
    static void start(int slot, char *address, size_t size) {
        if (!address) abort();
        memory[slot] = address;
        sizes[slot] = size;
        count++;
        total += size;
        live += size;
        if (live > peak) peak = live;
    }
    static void stop(int slot) {
        if (memory[slot]) live -= sizes[slot];
        memory[slot] = 0;
    }
    __attribute__((noinline)) void churn(int slot, size_t size, int kind) {
        char *old = memory[slot];
        void *aligned;
        if (kind == 0) {
            if (realloc(old, huge)) abort();
            stop(slot);
            start(slot, realloc(old, size), size);
            return;
        }
        stop(slot);
        errno = 42;
        free(old);
        if (errno != 42) abort();
        size = (size + 63) & ~(size_t)63;
        switch (kind) {
        case 1: return;
        case 2: start(slot, calloc(size / 4, 4), size); return;
        case 3: if (posix_memalign(&aligned, 64, size)) abort(); start(slot, aligned, size); return;
        case 4: start(slot, aligned_alloc(64, size), size); return;
        case 5: start(slot, reallocarray(0, size / 8, 8), size); return;
        default: start(slot, malloc(size), size);
        }
    }
    void *work(void *argument) {
        uint64_t state = (uintptr_t)argument;
        for (int step = 0; step < 20000; step++) {
            state = state * 6364136223846793005ul + 1442695040888963407ul;
            pthread_mutex_lock(&lock);
            churn(state >> 40 & (SLOTS - 1), 1 + (state >> 50 & 1023), state >> 33 & 7);
            pthread_mutex_unlock(&lock);
        }
        return 0;
    }
    int main(void) {
        pthread_t threads[4];
        for (long i = 0; i < 4; i++) pthread_create(&threads[i], 0, work, (void *)(i + 1));
        for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
        printf(\"%zu %zu %zu %zu\\n\", count, total, live, peak);
        return 0;
    }";

/// A program that allocates in more threads than are recorded at a time, at the end of deep stacks, and in a library that it
/// loads. It prints the return addresses of the
/// last allocation that is not deeper than the recorder looks, as the C library finds them.
const UNWINDING: &str = "
    #include <dlfcn.h>
    #include <execinfo.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    __attribute__((noinline)) void *leaf(int number) {
        void *found[64];
        void *result = malloc(1000 + number);
        if (number == 20) {
            int count = backtrace(found, 64);
            for (int i = 1; i < count; i++) printf(\"%lx \", (long)found[i]);
            printf(\"\\n\");
        }
        return result;
    }
    __attribute__((noinline)) void *descend(int depth, int number) {
        volatile char room[100] = {0};
        void *result = depth > 0 ? descend(depth - 1, number) : leaf(number);
        room[0] = 1;
        return result;
    }
    __attribute__((noinline)) void *in_thread(void *size) { return malloc((long)size); }
    int main(int count, char **arguments) {
        void *warm[4];
        for (long number = 0; number < 600; number++) {
            pthread_t thread;
            pthread_create(&thread, 0, in_thread, (void *)(10000 + number));
            pthread_join(thread, 0);
        }
        backtrace(warm, 4);
        for (int number = 0; number <= 20; number++) descend(number, number);
        descend(2000, 100);
        void *library = dlopen(arguments[1], RTLD_NOW);
        if (!library) return 1;
        ((void *(*)(void))dlsym(library, \"loaded_later\"))();
        return 0;
    }";

const LIBRARY: &str = "
    #include <stdlib.h>
    __attribute__((noinline)) void *loaded_later(void) {
        void *volatile result = malloc(4321);
        return result;
    }";

/// A program with a stack that is part of a larger mapping, whose rest it releases while the thread runs.
const SHORTENED: &str = "
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #define SIZE (1 << 20)
    char *memory;
    __attribute__((noinline)) void *allocate(long size) {
        void *volatile result = malloc(size);
        return result;
    }
    void *work(void *argument) {
        allocate(777);
        munmap(memory + SIZE, SIZE);
        allocate(778);
        return argument;
    }
    int main(void) {
        pthread_t thread;
        pthread_attr_t attributes;
        memory = mmap(0, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        pthread_attr_init(&attributes);
        pthread_attr_setstack(&attributes, memory, SIZE);
        pthread_create(&thread, &attributes, work, 0);
        pthread_join(thread, 0);
        printf(\"ended\\n\");
        return 0;
    }";

fn compiled(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    compile_c(name, source, flags).expect("a machine that runs Rust tests has a C compiler")
}

pub(super) fn command(program: &Path, arguments: &[&str]) -> Vec<OsString> {
    std::iter::once(program.into()).chain(arguments.iter().map(Into::into)).collect()
}

/// Records the heap of a command that the shell runs in its place, and returns what it printed.
pub(super) fn record(command: &[OsString]) -> (Captured, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let printed = folder.path().join("printed");
    let mut shell: Vec<OsString> =
        ["/bin/sh", "-c", "out=$1; shift; exec \"$@\" >$out", "sh"].map(Into::into).into();
    shell.push(printed.clone().into());
    shell.extend_from_slice(command);
    let captured = Captured::of(
        |request| (request.at_exit, request.has_heap, request.has_content) = (true, true, false),
        CaptureTarget::Command(shell),
    );
    (captured, fs::read_to_string(printed).expect("it printed"))
}

/// The functions of a call site and its callers, and their return addresses.
pub(super) fn stacks(captured: &Captured) -> BTreeMap<u32, (Vec<String>, Vec<u64>, bool)> {
    let mut stacks: BTreeMap<u32, (Vec<String>, Vec<u64>, bool)> = BTreeMap::new();
    for site in captured.rows::<HeapCallSites>().columns().iter() {
        let callers = site.parent_id.map(|parent| stacks[&parent].clone());
        let (callers, addresses, is_cut) = callers.unwrap_or((Vec::new(), Vec::new(), site.is_cut));
        assert_eq!(site.depth as usize, callers.len());
        let name = site.function_name.unwrap_or("-").to_owned();
        let names = std::iter::once(name).chain(callers).collect();
        let addresses = std::iter::once(site.program_counter).chain(addresses).collect();
        stacks.insert(site.call_site_id, (names, addresses, is_cut));
    }
    stacks
}

#[test]
fn totals_are_those_of_the_program() {
    let program = compiled("heap_counting", COUNTING, &["-O1", "-pthread"]);
    let (captured, printed) = record(&command(&program, &[]));
    let stacks = stacks(&captured);
    let mut changes = Vec::new();
    let (mut count, mut total, mut live) = (0, 0, 0);
    for allocation in captured.rows::<HeapAllocations>().columns().iter() {
        let (names, _, is_cut) = &stacks[&allocation.call_site_id];
        if !["churn", "start"].contains(&names[0].as_str()) {
            continue;
        }
        assert!(!is_cut && names.contains(&"work".to_owned()), "{names:?}");
        count += 1;
        total += allocation.size;
        changes.push((allocation.allocated_at.0, allocation.size.cast_signed()));
        match allocation.freed_at {
            Some(time) => changes.push((time.0, -allocation.size.cast_signed())),
            None => live += allocation.size,
        }
    }
    changes.sort_unstable();
    let sums = changes.iter().scan(0, |sum, (_, change)| {
        *sum += change;
        Some(*sum)
    });
    let peak = sums.max().unwrap_or_default();
    assert_eq!(format!("{count} {total} {live} {peak}\n"), printed);
}

#[test]
fn stacks_are_those_of_the_c_library() {
    let library = compiled("heap_library", LIBRARY, &["-O1", "-shared", "-fPIC"]);
    let flags = ["-O1", "-fno-optimize-sibling-calls", "-ldl", "-pthread"];
    let program = compiled("heap_unwinding", UNWINDING, &flags);
    let (captured, printed) = record(&command(&program, &[&library.to_string_lossy()]));
    let stacks = stacks(&captured);
    let rows = captured.rows::<HeapAllocations>();
    let of_size = |size: u64| {
        let found = rows.columns().iter().find(|allocation| allocation.size == size);
        &stacks[&found.expect("it is recorded").call_site_id]
    };
    for number in 0..600 {
        let (names, _, is_cut) = of_size(10_000 + number);
        assert!(names[0] == "in_thread" && names.len() > 1 && !is_cut, "thread {number}: {names:?}");
    }
    for number in 0..=20 {
        let (names, _, is_cut) = of_size(1000 + number);
        let expected = number as usize + 1;
        assert_eq!(names[0], "leaf");
        assert!(names[1..=expected].iter().all(|name| name == "descend"), "{names:?}");
        assert_eq!((names[expected + 1].as_str(), *is_cut), ("main", false));
    }
    // The first address is in the function that asks, and allocates elsewhere in it.
    let addresses: Vec<u64> =
        printed.split_whitespace().map(|text| u64::from_str_radix(text, 16).expect("an address")).collect();
    assert_eq!(of_size(1020).1[1..], addresses);
    // At least 32 KiB of the stack are recorded, in which 256 calls of 128 bytes fit.
    let (names, _, is_cut) = of_size(1100);
    assert!(*is_cut && names.len() > 250 && names[1..].iter().all(|name| name == "descend"), "{names:?}");
    assert_eq!(of_size(4321).0[..2], ["loaded_later", "main"]);
}

#[test]
fn memory_after_a_stack_may_be_released() {
    let program = compiled("heap_shortened", SHORTENED, &["-O1", "-pthread"]);
    let (captured, printed) = record(&command(&program, &[]));
    assert_eq!(printed, "ended\n");
    let stacks = stacks(&captured);
    for size in [777, 778] {
        let rows = captured.rows::<HeapAllocations>();
        let found = rows.columns().iter().find(|allocation| allocation.size == size).expect("recorded");
        let (names, _, is_cut) = &stacks[&found.call_site_id];
        assert!(names[..2] == ["allocate", "work"] && !is_cut, "{names:?}");
    }
}

#[test]
fn programs_that_fork_and_execute_run_as_ever() {
    let script = "import os, subprocess, threading\n\
        threads = [threading.Thread(target=lambda: [bytes(9999) for _ in range(999)]) for _ in range(8)]\n\
        [thread.start() for thread in threads]\n\
        print(subprocess.run(['sh', '-c', 'seq 3 | sort -r'], capture_output=True).stdout)\n\
        child = os.fork()\n\
        if child == 0: os._exit(len([bytes(5000) for _ in range(500)]) % 256)\n\
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n\
        [thread.join() for thread in threads]";
    let Some(python) =
        ["/usr/bin/python3", "/usr/local/bin/python3"].map(Path::new).into_iter().find(|path| path.exists())
    else {
        return;
    };
    let (captured, printed) = record(&command(python, &["-c", script]));
    assert_eq!(printed, "b'3\\n2\\n1\\n'\n244\n");
    let rows = captured.rows::<HeapAllocations>();
    assert!(rows.columns().iter().count() > 1000);
}

#[test]
fn a_program_that_cannot_be_recorded_is_a_clear_error() {
    let program = compiled("heap_static", "int main(void) { return 0; }", &["-static"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("captured");
    let mut request = request(CaptureTarget::Command(command(&program, &[])), &output);
    (request.at_exit, request.has_heap) = (true, true);
    match capture(&request, &mut |_| {}) {
        Err(error @ Error::Capture { .. }) => {
            assert!(error.to_string().contains("statically linked"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!output.exists());
}
