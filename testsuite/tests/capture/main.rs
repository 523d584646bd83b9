//! Captures of programs that are known: regions are those of the system, content is what the program and gdb see,
//! stacks are those of gdb, and the program continues as if nothing had happened.

mod changes;
mod chunks;
mod cores;
mod functions;
mod gdb;
mod heap;
mod heap_allocator;
mod minidump;

use binframe::ir::tables::{
    BinaryHeaders, CallStacks, LoadedModules, MemoryPages, MemoryRegions, PageContents, RegionType,
    SnapshotReason, Snapshots, Threads,
};
use binframe::ir::{Enumeration, Rows, Stage, Table};
use binframe::{CaptureRequest, CaptureTarget, Error, Filter, Source, capture};
use binframe_testsuite::programs::compile_c;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A program of two threads that says where its data is, waits for a byte, changes a page, and so on.
const PROGRAM: &str = "
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    long counter = 41;
    char pages[8][4096] __attribute__((aligned(4096)));
    char *text;
    __attribute__((noinline)) void sleeps(void) { for (;;) pause(); }
    void *worker(void *argument) { sleeps(); return argument; }
    __attribute__((noinline)) int waits(int depth) {
        char byte;
        if (depth > 0) return waits(depth - 1) + 1;
        return read(0, &byte, 1) == 1 ? byte : -1;
    }
    int main(void) {
        pthread_t thread;
        pthread_create(&thread, 0, worker, 0);
        text = malloc(200000);
        strcpy(text, \"on the heap\");
        usleep(20000);
        printf(\"%lx %lx %lx\\n\", (long)&counter, (long)text, (long)pages);
        fflush(stdout);
        for (int number = 1; waits(3) == 'c' + 3; number++) {
            pages[number % 8][0] = (char)number;
            counter++;
            printf(\"%d\\n\", number);
            fflush(stdout);
        }
        counter = 99;
        return 7;
    }";

fn program() -> PathBuf {
    let flags = ["-O1", "-g", "-pthread", "-fno-optimize-sibling-calls", "-fno-inline"];
    compile_c("capture_target", PROGRAM, &flags).expect("a machine that runs Rust tests has a C compiler")
}

/// The program, running.
struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    counter: u64,
    text: u64,
    pages: u64,
}

impl Running {
    fn start() -> Self {
        let mut child = Command::new(program())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the program prints");
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let numbers: Vec<u64> = line.split_whitespace().map(number).collect();
        let id = child.id();
        let is_waiting = |task: &Path| {
            let call = fs::read_to_string(task.join("syscall")).unwrap_or_default();
            // The numbers of `read` and `pause` on x86-64.
            call.starts_with("0 ") || call.starts_with("34 ")
        };
        let tasks = || fs::read_dir(format!("/proc/{id}/task")).expect("it runs");
        while !tasks().all(|task| is_waiting(&task.expect("a thread").path())) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { child, input, output, counter: numbers[0], text: numbers[1], pages: numbers[2] }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it change the next page.
    fn change(&mut self) {
        self.input.write_all(b"c").expect("it reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
    }

    /// Lets it end, and returns its exit code.
    fn end(mut self) -> Option<i32> {
        self.input.write_all(b"e").expect("it reads");
        self.child.wait().expect("it ends").code()
    }
}

fn request(target: CaptureTarget, output: &Path) -> CaptureRequest<'_> {
    const TYPES: [RegionType; 4] =
        [RegionType::Stack, RegionType::Heap, RegionType::Global, RegionType::Code];
    CaptureRequest {
        target,
        executable: None,
        output,
        every: None,
        at: None,
        count: None,
        at_exit: false,
        types: &TYPES,
        bytes_max: u64::MAX,
        has_content: true,
        file_stages: &[],
        has_heap: false,
        verify: true,
    }
}

/// A dataset that was captured.
struct Captured {
    source: Source,
    _folder: TempDir,
}

impl Captured {
    fn of(change: impl FnOnce(&mut CaptureRequest<'_>), target: CaptureTarget) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("captured");
        let mut request = request(target, &output);
        change(&mut request);
        capture(&request, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
        let mode = fs::metadata(output.join("memory_regions/part-00000.parquet")).expect("a file").mode();
        assert_eq!(mode & 0o077, 0, "others can read captured memory");
        Self::open(&output, folder)
    }

    /// Opens a dataset in a folder that is removed with it.
    fn open(output: &Path, folder: TempDir) -> Self {
        Self { source: Source::open(output).expect("a dataset"), _folder: folder }
    }

    fn rows<T: Table>(&self) -> Rows<T> {
        let parts = self.source.all::<T>(&Filter::default()).expect("the table");
        Rows::concat(parts.iter().map(|(_, rows)| rows))
    }

    /// The bytes at an address in the first snapshot that has them.
    fn bytes(&self, address: u64, size: usize) -> Vec<u8> {
        let regions = self.rows::<MemoryRegions>();
        let mut found = regions.columns().iter().filter_map(|region| {
            let offset = address.checked_sub(region.start_address?)? as usize;
            region.content_snapshot?.get(offset..offset + size).map(<[u8]>::to_vec)
        });
        found.next().unwrap_or_default()
    }

    /// The named functions on the stack of each thread of the first snapshot, by thread.
    fn stacks(&self) -> BTreeMap<u64, Vec<String>> {
        let mut stacks: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for call in self.rows::<CallStacks>().columns().iter().filter(|call| call.snapshot_id == 1) {
            let name = call.function_name.unwrap_or("-").to_owned();
            stacks.entry(call.thread_id).or_default().push(name);
        }
        stacks
    }
}

/// Whether memory is equal, but for what the system writes when a thread moves to another processor: the number of the
/// processor (rseq).
fn are_equal(one: &[u8], other: &[u8]) -> bool {
    const DIFFERENCES_MAX: usize = 8;
    one.len() == other.len() && one.iter().zip(other).filter(|(a, b)| a != b).count() <= DIFFERENCES_MAX
}

/// Captures corrupted and truncated forms of a file: each is a dataset whose content is no larger than the file, or an
/// error with a message.
fn check_mutants(original: &[u8], count: u64, target: impl Fn(PathBuf) -> CaptureTarget) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, output) = (folder.path().join("mutant"), folder.path().join("captured"));
    let mut captured_count = 0;
    for seed in 1..=count {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        let mut bytes = original.to_vec();
        for _ in 0..=below(8) {
            // Most of what is not content is at the beginning.
            let range = if below(4) > 0 { 0x2000 } else { bytes.len() };
            let at = below(range.min(bytes.len()));
            let values: [&[u8]; 4] = [&[0xff; 8], &[0; 4], &[0x80], &[1, 0, 0, 0x7f]];
            let end = bytes.len().min(at + values[below(4)].len());
            for byte in &mut bytes[at..end] {
                *byte = values[below(4)][0] ^ below(3) as u8;
            }
        }
        if below(3) == 0 {
            bytes.truncate(below(bytes.len()));
        }
        fs::write(&path, &bytes).expect("the folder is writable");
        match capture(&request(target(path.clone()), &output), &mut |_| {}) {
            Ok(_) => {
                let source = Source::open(&output).expect("a dataset");
                let snapshots = source.all::<Snapshots>(&Filter::default()).expect("the table");
                let read = snapshots[0].1.columns().row(0).read_bytes;
                assert!(read <= bytes.len() as u64, "seed {seed}: {read} bytes of {}", bytes.len());
                captured_count += 1;
            }
            Err(error) => {
                let refused = matches!(error, Error::Capture { .. } | Error::Unsupported { .. });
                assert!(refused, "seed {seed}: {error}");
            }
        }
    }
    assert!(captured_count > count / 4, "{captured_count} of {count} are captured");
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

#[test]
fn a_process_is_captured_and_goes_on() {
    let mut running = Running::start();
    let id = running.id();
    let captured = Captured::of(|_| {}, CaptureTarget::Process(id));
    assert_eq!(word(&captured.bytes(running.counter, 8)), 41);
    assert_eq!(captured.bytes(running.text, 12), b"on the heap\0");

    // The program waits, so that its mappings and memory are still those that were captured.
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).expect("it runs");
    let memory = fs::File::open(format!("/proc/{id}/mem")).expect("it runs");
    let mut expected: Vec<String> = maps
        .lines()
        .map(|line| {
            let (range, rest) = line.split_once(' ').expect("a range");
            format!("{range} {}", &rest[..3])
        })
        .collect();
    let regions = captured.rows::<MemoryRegions>();
    let mut found = Vec::new();
    for region in regions.columns().iter() {
        let (start, end) = (region.start_address.expect("captured"), region.end_address.expect("captured"));
        found.push(format!("{start:08x}-{end:08x} {}", region.permissions.expect("captured")));
        let Some(content) = region.content_snapshot else { continue };
        let mut own = vec![0; content.len()];
        memory.read_exact_at(&mut own, start).expect("the memory can be read");
        assert!(are_equal(&own, content), "{start:#x} is not what the process has");
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    let main = &captured.stacks()[&u64::from(id)];
    let position = main.iter().position(|name| name == "waits").expect("it waits");
    assert_eq!(main[position..position + 5], ["waits", "waits", "waits", "waits", "main"]);
    let threads = captured.rows::<Threads>();
    let others = threads.columns().iter().filter(|thread| !thread.is_main);
    let other = others.map(|thread| thread.thread_id).next().expect("a second thread");
    assert!(captured.stacks()[&other].windows(2).any(|pair| pair == ["sleeps", "worker"]));
    let owner = regions.columns().iter().find(|region| region.thread_id == Some(other));
    assert_eq!(owner.map(|region| region.r#type), Some(RegionType::Stack.name()));
    assert_eq!(owner.and_then(|region| region.function_name), Some("worker"));
    let owner = regions.columns().iter().find(|region| region.thread_id == Some(u64::from(id)));
    assert_eq!(owner.and_then(|region| region.function_name), Some("main"));
    running.change();
    assert_eq!(running.end(), Some(7));
}

#[test]
fn stacks_and_core_dumps_are_those_of_gdb() {
    let running = Running::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let live = Captured::of(|_| {}, CaptureTarget::Process(running.id()));
    let Some(gdb) = gdb::inspect(running.id(), &folder.path().join("core")) else { return };
    let dumped = Captured::of(|_| {}, CaptureTarget::CoreDump(gdb.core));
    assert_eq!(live.stacks().len(), 2);
    for (captured, name) in [(&live, "live"), (&dumped, "dumped")] {
        let calls = captured.rows::<CallStacks>();
        for (thread, expected) in &gdb.stacks {
            let own = calls.columns();
            let own = own.iter().filter(|call| call.thread_id == *thread && !call.is_inlined);
            // gdb prints no address for the function that runs.
            let own: Vec<_> = own.skip(1).map(|call| (call.program_counter, call.function_name)).collect();
            // Where a call was inlined, gdb may print two functions for one return address.
            let mut addresses = expected.clone();
            addresses.dedup_by(|next, call| next.0 == call.0 && next.1 != call.1);
            let addresses: Vec<u64> = addresses.iter().map(|(address, _)| *address).collect();
            let found: Vec<u64> = own.iter().map(|(address, _)| *address).collect();
            assert_eq!(found, addresses, "{name}: {own:x?} {expected:x?}");
            let named = |function: &&str| own.iter().filter(|(_, name)| *name == Some(function)).count();
            for function in ["waits", "main", "sleeps", "worker"] {
                let other = expected.iter().filter(|(_, name)| name == function).count();
                assert_eq!(named(&function), other, "{name}: {function} in {own:x?} {expected:x?}");
            }
        }
        assert_eq!(word(&captured.bytes(running.counter, 8)), 41);
    }
    let of_dump = dumped.rows::<MemoryRegions>();
    let mut compared = 0;
    for region in of_dump.columns().iter() {
        let Some(content) = region.content_snapshot else { continue };
        // gdb runs the program for a moment, which changes the stack of the thread that it stops.
        if region.r#type == RegionType::Stack.name() {
            continue;
        }
        let own = live.bytes(region.region_id, content.len());
        if !own.is_empty() {
            assert!(are_equal(&own, content), "{:#x} differs from what gdb wrote", region.region_id);
            compared += content.len();
        }
    }
    assert!(compared > 100_000, "{compared} bytes are in both");
    assert_eq!(running.end(), Some(7));
}

#[test]
fn a_series_has_the_pages_that_changed() {
    let mut running = Running::start();
    let (id, pages) = (running.id(), running.pages);
    let start = std::thread::spawn(move || {
        let every = |request: &mut CaptureRequest<'_>| {
            (request.every, request.count) = (Some(Duration::from_millis(300)), Some(4));
        };
        Captured::of(every, CaptureTarget::Process(id))
    });
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(300));
        running.change();
    }
    let captured = start.join().expect("the capture succeeds");
    let snapshots = captured.rows::<Snapshots>();
    let reasons: Vec<_> = snapshots.columns().iter().map(|snapshot| snapshot.reason).collect();
    assert_eq!(reasons[..2], [SnapshotReason::Start, SnapshotReason::Interval]);
    assert_eq!(reasons.len(), 4);
    let contents = captured.rows::<PageContents>();
    let rows = captured.rows::<MemoryPages>();
    let own = |page: u64| {
        let rows = rows.columns().iter().filter(move |row| row.address == pages + page * 4096);
        rows.map(|row| {
            let content = contents.columns().row(row.content_id as usize).content.expect("content");
            (row.until_snapshot, content[0])
        })
        .collect::<Vec<_>>()
    };
    // Each of the two pages changes once, and stays so until the end.
    assert_eq!((own(1), own(2), own(3)), (vec![(4, 1)], vec![(4, 2)], vec![]));
    assert_eq!(captured.bytes(pages, 1), [0]);
    assert_eq!(running.end(), Some(7));
}

#[test]
fn a_command_is_captured_before_it_exits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("captured");
    // Without input it ends at once. Its output says where the counter is.
    let printed = folder.path().join("printed");
    let shell = format!("exec {} </dev/null >{}", program().display(), printed.display());
    let command = ["/bin/sh", "-c", &shell].map(Into::into).to_vec();
    let mut request = request(CaptureTarget::Command(command), &output);
    request.at_exit = true;
    capture(&request, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let captured = Captured::open(&output, folder);
    let line = fs::read_to_string(printed).expect("it printed");
    let counter = line.split_whitespace().next().and_then(|text| u64::from_str_radix(text, 16).ok());
    assert_eq!(word(&captured.bytes(counter.expect("an address"), 8)), 99);
    let snapshots = captured.rows::<Snapshots>();
    assert_eq!(snapshots.columns().row(0).reason, SnapshotReason::Exit);
    let modules = captured.rows::<LoadedModules>();
    let paths: Vec<_> = modules.columns().iter().map(|module| module.module_path.to_owned()).collect();
    assert!(paths.iter().any(|path| path.contains("capture_target")), "{paths:?}");
}

#[test]
fn a_dataset_may_hold_the_process_and_its_files() {
    let running = Running::start();
    let captured = Captured::of(
        |request| request.file_stages = &[Stage::Sections],
        CaptureTarget::Process(running.id()),
    );
    let program = program().file_name().expect("a file").to_string_lossy().into_owned();
    let binaries = captured.source.binaries();
    assert_eq!(binaries[0], format!("{program}.captured"));
    let headers = captured.source.all::<BinaryHeaders>(&Filter::default()).expect("the table");
    let build_id = |name: &str| {
        let (_, rows) = headers.iter().find(|(binary, _)| binary == name)?;
        rows.columns().row(0).build_id.map(str::to_owned)
    };
    for module in captured.rows::<LoadedModules>().columns().iter() {
        let name = module.module_path.rsplit('/').next().expect("a name");
        let expected = module.build_id.filter(|_| name != "[vdso]");
        assert_eq!(build_id(name).as_deref(), expected, "{name} of {binaries:?}");
    }
    assert_eq!(running.end(), Some(7));
}

#[test]
fn what_cannot_be_captured_is_a_clear_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("captured");
    let fails = |target| match capture(&request(target, &output), &mut |_| {}) {
        Err(error @ Error::Capture { .. }) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it is captured"),
    };
    let message = fails(CaptureTarget::Process(0x3fff_ffff));
    assert!(message.contains("there is no such process"), "{message}");
    let message = fails(CaptureTarget::CoreDump(program()));
    assert!(message.contains("no core dump"), "{message}");
    assert!(!output.exists(), "a failed capture leaves nothing");
    let missing = capture(&request(CaptureTarget::CoreDump("/missing".into()), &output), &mut |_| {});
    assert!(missing.is_err_and(|error| error.to_string().contains("/missing")));
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep starts");
    let traced = Captured::of(|_| {}, CaptureTarget::Process(child.id()));
    assert_eq!(traced.rows::<Threads>().len(), 1);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    drop(child.stdout.take().map(|mut output| output.read_to_end(&mut Vec::new())));
}
