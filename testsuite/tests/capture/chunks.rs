//! The heap of glibc: chunks are those that a program has allocated and freed, and their totals those of `mallinfo2`.

use crate::Captured;
use binframe::CaptureTarget;
use binframe::ir::tables::{ChunkState, HeapChunks, RegionType};
use binframe_testsuite::programs::{compile_c, compile_c_with};
use binframe_testsuite::tools;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Threads allocate and free memory of many sizes, in arenas of their own. Then the program prints what it has, what it
/// has freed, and what the allocator counts, and stops.
const PROGRAM: &str = r#"
    #include <malloc.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    enum { THREADS = 4, COUNT = 3000 };
    struct block { void *address; size_t size; int is_live; } blocks[THREADS][COUNT + 8];
    pthread_barrier_t begin, done;
    void *work(void *argument) {
        struct block *own = argument;
        unsigned state = 1 + (unsigned)((own - blocks[0]) / (COUNT + 8));
        // The library allocates for each thread too, and must not get what another thread releases.
        void *volatile first = malloc(1);
        free(first);
        pthread_barrier_wait(&begin);
        for (int index = 0; index < COUNT; index++) {
            state = state * 1664525 + 1013904223;
            size_t size = state >> 28 ? (state >> 12) % 600 : (state >> 8) % 40000;
            own[index] = (struct block){malloc(size), size, 1};
            unsigned other = (state >> 4) % (index + 1);
            if (state & 8 && own[other].is_live) {
                free(own[other].address);
                own[other].is_live = 0;
            }
        }
        for (int index = 0; index < 4; index++) {
            size_t size = 300000 + 100000 * index;
            void *address = index % 2 ? malloc(size) : aligned_alloc(64 << index, size);
            own[COUNT + index] = (struct block){address, size, 1};
        }
        pthread_barrier_wait(&done);
        if (own != blocks[0]) for (;;) pause();
        return 0;
    }
    int main(void) {
        pthread_t thread;
        setvbuf(stdout, 0, _IOLBF, 1 << 16);
        printf("start\n");
        mallopt(M_MMAP_THRESHOLD, 128 << 10);
        pthread_barrier_init(&begin, 0, THREADS);
        pthread_barrier_init(&done, 0, THREADS);
        for (int index = 1; index < THREADS; index++) pthread_create(&thread, 0, work, blocks[index]);
        work(blocks[0]);
        for (int index = 0; index < THREADS; index++)
            for (struct block *block = blocks[index]; block->address; block++)
                printf("%lx %zu %d %zu\n", (long)block->address, block->size, block->is_live,
                       block->is_live ? malloc_usable_size(block->address) : 0);
        INFO
        char byte;
        return read(0, &byte, 1) != 1;
    }"#;

/// Prints what `mallinfo2` counts.
const INFO: &str = r#"
        struct mallinfo2 info = mallinfo2();
        printf("= %zu %zu %zu %zu %zu %zu %zu\n", info.arena, info.ordblks, info.smblks, info.hblks, info.hblkhd,
               info.fsmblks, info.fordblks);
"#;

/// A block of the program.
struct Block {
    address: u64,
    size: u64,
    is_live: bool,
    usable_size: u64,
}

/// The program, waiting.
struct Running {
    child: Child,
    blocks: Vec<Block>,
    /// `arena`, `ordblks`, `smblks`, `hblks`, `hblkhd`, `fsmblks`, `fordblks` of `mallinfo2`.
    info: Vec<u64>,
}

impl Running {
    fn start(program: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).envs(variables.iter().copied());
        let mut child = command.spawn().expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (mut blocks, mut line) = (Vec::new(), String::new());
        let info = loop {
            line.clear();
            assert!(output.read_line(&mut line).expect("it prints") > 0, "the program ended");
            if let Some(info) = line.strip_prefix("= ") {
                break info.split_whitespace().map(|text| text.parse().expect("a number")).collect();
            }
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [address, size, is_live, usable_size] = fields[..] else { continue };
            let number = |text: &str| text.parse().expect("a number");
            blocks.push(Block {
                address: u64::from_str_radix(address, 16).expect("an address"),
                size: number(size),
                is_live: is_live == "1",
                usable_size: number(usable_size),
            });
        };
        Self { child, blocks, info }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends");
    }
}

/// Checks the chunks of a capture against what the program printed. `word_size` is that of its pointers.
fn check(captured: &Captured, running: &Running, word_size: u64) {
    let rows = captured.rows::<HeapChunks>();
    let chunks: BTreeMap<u64, _> = rows.columns().iter().map(|chunk| (chunk.address, chunk)).collect();
    let is_used = |state| matches!(state, ChunkState::InUse | ChunkState::Mapped);
    assert!(running.blocks.len() > 10_000);
    let mut live = std::collections::BTreeSet::new();
    for block in running.blocks.iter().filter(|block| block.is_live) {
        let chunk = chunks.get(&block.address).unwrap_or_else(|| panic!("{:#x} is no chunk", block.address));
        assert!(is_used(chunk.state), "{:#x}: {chunk:?}", block.address);
        assert_eq!(chunk.size, block.usable_size, "{:#x}: {chunk:?}", block.address);
        assert!(chunk.size >= block.size);
        live.insert(block.address);
    }
    for block in running.blocks.iter().filter(|block| !block.is_live && !live.contains(&block.address)) {
        // Freed memory may have been joined with its neighbours.
        let chunk = chunks.get(&block.address).filter(|chunk| chunk.state == ChunkState::InUse);
        assert!(chunk.is_none(), "{:#x} was freed: {chunk:?}", block.address);
    }
    let sum = |states: &[ChunkState]| {
        let own: Vec<_> = chunks.values().filter(|chunk| states.contains(&chunk.state)).collect();
        // The size of a chunk includes its header, but the next chunk's first word is its own.
        let overhead = |state| if matches!(state, ChunkState::Top | ChunkState::Mapped) { 2 } else { 1 };
        let size: u64 = own.iter().map(|chunk| chunk.size + overhead(chunk.state) * word_size).sum();
        (own.len() as u64, size)
    };
    let (free, fast, top) = (sum(&[ChunkState::Free]), sum(&[ChunkState::FastBin]), sum(&[ChunkState::Top]));
    let mapped = sum(&[ChunkState::Mapped]);
    let [_, ordblks, smblks, hblks, _, fsmblks, fordblks] = running.info[..] else { panic!("seven numbers") };
    assert_eq!(free.0 + top.0, ordblks, "free chunks and tops");
    assert_eq!(fast, (smblks, fsmblks), "chunks in fast bins");
    assert_eq!(free.1 + fast.1 + top.1, fordblks, "bytes of free chunks");
    assert_eq!(mapped.0, hblks, "mappings");
    let arenas: std::collections::BTreeSet<_> =
        chunks.values().filter_map(|chunk| chunk.arena_address).collect();
    assert_eq!(arenas.len() as u64, top.0);
    assert!(sum(&[ChunkState::ThreadCache]).0 > 20, "threads cache chunks");
}

/// Programs for 32-bit x86, and those of other allocators, of which nothing is known.
#[test]
fn chunks_of_32_bit_programs_and_other_allocators() {
    let narrow = program("heap_chunks_32", INFO, &["-O1", "-pthread", "-m32"]);
    let running = Running::start(&narrow, &[]);
    let captured = Captured::of(|_| {}, CaptureTarget::Process(running.child.id()));
    check(&captured, &running, 4);
    running.end();

    let no_info = r#"printf("= 0\n");"#;
    let source = PROGRAM.replace("INFO", no_info).replace("mallopt(M_MMAP_THRESHOLD, 128 << 10);", "");
    let source = source.replace("malloc_usable_size(block->address)", "0");
    let musl = compile_c_with("musl-gcc", "heap_chunks_musl", &source, &["-O1", "-static"]);
    let jemalloc = Path::new("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2");
    if !jemalloc.exists() {
        tools::report_missing("libjemalloc2");
    }
    let glibc = compile_c("heap_chunks_other", &source, &["-O1", "-pthread"]);
    let preload = [("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")];
    for (program, variables) in [(musl, &[][..]), (glibc.filter(|_| jemalloc.exists()), &preload[..])] {
        let Some(program) = program else { continue };
        let running = Running::start(&program, variables);
        let captured = Captured::of(|_| {}, CaptureTarget::Process(running.child.id()));
        let chunks = captured.rows::<HeapChunks>();
        let own: std::collections::BTreeSet<_> = running.blocks.iter().map(|block| block.address).collect();
        assert!(own.len() > 1000);
        assert!(!chunks.columns().iter().any(|chunk| own.contains(&chunk.address)), "{}", program.display());
        // The dynamic linker may have used glibc's allocator before.
        assert!(chunks.len() < 10, "{}: {} chunks", program.display(), chunks.len());
        running.end();
    }
}

/// A heap that was overwritten has the chunks before the damage, and a capture without the data of modules has none.
#[test]
fn damaged_heaps_end_early() {
    let source = "
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        int main(void) {
            char *blocks[6], byte;
            for (int index = 0; index < 6; index++) blocks[index] = malloc(5000);
            for (int index = 0; index < 6; index++) printf(\"%lx 5000 1 0\\n\", (long)blocks[index]);
            memset(blocks[2] + 5000, 'x', 64);
            printf(\"= 0\\n\");
            fflush(stdout);
            return read(0, &byte, 1) != 1;
        }";
    let program = compile_c("heap_chunks_damaged", source, &["-O0"]).expect("a C compiler");
    let running = Running::start(&program, &[]);
    let target = || CaptureTarget::Process(running.child.id());
    let captured = Captured::of(|_| {}, target());
    let chunks = captured.rows::<HeapChunks>();
    let is_found = |block: &Block| chunks.columns().iter().any(|chunk| chunk.address == block.address);
    let found: Vec<bool> = running.blocks.iter().map(is_found).collect();
    assert_eq!(found, [true, true, false, false, false, false]);
    let partial = Captured::of(|request| request.types = &[RegionType::Heap], target());
    assert_eq!(partial.rows::<HeapChunks>().len(), 0);
    running.end();
}

fn program(name: &str, info: &str, flags: &[&str]) -> PathBuf {
    let source = PROGRAM.replace("INFO", info);
    compile_c(name, &source, flags).expect("a machine that runs Rust tests has a C compiler")
}

#[test]
fn chunks_are_those_of_the_program() {
    let dynamic = program("heap_chunks", INFO, &["-O1", "-pthread"]);
    let fixed = program("heap_chunks_static", INFO, &["-O1", "-pthread", "-static"]);
    for (program, variables) in [
        (&dynamic, &[][..]),
        (&fixed, &[][..]),
        (&dynamic, &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")][..]),
        (&dynamic, &[("GLIBC_TUNABLES", "glibc.malloc.tcache_count=60")][..]),
    ] {
        let running = Running::start(program, variables);
        let captured = Captured::of(|_| {}, CaptureTarget::Process(running.child.id()));
        check(&captured, &running, 8);
        running.end();
    }
}
