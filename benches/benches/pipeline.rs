//! What the pipeline's expensive steps cost on one thread, on the first MiB of an executable's largest section of code.
//!
//! The executable is the `cargo` that built the bench, or the one that `BINFRAME_BENCH_FILE` names. A MiB is about what
//! one row group of `instructions` holds. Throughputs are in bytes of that code and in rows; the sweep's rows are
//! instructions.

use binframe::passes::code::cfg::{self, CfgIr};
use binframe::passes::code::instructions::{self, InstructionsIr, code_ranges};
use binframe::passes::{
    Code, CodeRange, References,
    code::memory,
    file::{exceptions, linkage, sections},
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::hint::black_box;
use std::path::PathBuf;

/// Bytes of code that are worked on: an iteration takes milliseconds.
const CODE_SIZE_MAX: usize = 1 << 20;

/// The code, and what each step makes of it for the next.
struct Input {
    code: Code,
    references: References,
    /// The part of the code whose instructions are one row group.
    range: CodeRange,
    image: memory::MemoryImage,
    instructions: InstructionsIr,
    cfg: CfgIr,
}

impl Input {
    fn read() -> Self {
        let path = std::env::var_os("BINFRAME_BENCH_FILE").unwrap_or_else(|| env!("CARGO").into());
        let path = PathBuf::from(path);
        let file = binframe::read_file(&path).expect("a file that can be read").0;
        let sections = sections::run(&file, 0).expect("an executable that binframe reads");
        let linkage = linkage::run(&file, &sections);
        let mut code = Code::of(&sections, &linkage, &file);
        let largest = code.regions.iter().max_by_key(|region| region.bytes.len());
        let mut region = largest.expect("an executable has code").clone();
        region.bytes.truncate(CODE_SIZE_MAX);
        code.starts.retain(|start| (region.address..region.end_address()).contains(&start.address));
        code.regions = vec![region];
        let instructions = instructions::run(&code);
        let exceptions = exceptions::run(&file, &sections);
        let references = References::of(&sections, &linkage, &exceptions, &code, &file);
        let cfg = cfg::run(&code, &instructions, &references);
        let range = code_ranges(&code, &instructions, None)[0];
        let image = memory::MemoryImage::of(&sections, &linkage);
        Self { code, references, range, image, instructions, cfg }
    }

    fn code_bytes(&self) -> usize {
        self.code.regions[0].bytes.len()
    }
}

fn passes(criterion: &mut Criterion) {
    let (pool, input) = (one_thread(), Input::read());
    let Input { code, references, range, image, instructions, cfg } = &input;
    let mut group = criterion.benchmark_group("passes");

    throughput(&mut group, instructions.len(), input.code_bytes());
    group.bench_function("instructions", |bencher| {
        bencher.iter(|| pool.install(|| instructions::run(black_box(code))));
    });
    let blocks = cfg.basic_blocks.len();
    throughput(&mut group, blocks, input.code_bytes());
    group.bench_function("cfg", |bencher| {
        bencher.iter(|| pool.install(|| cfg::run(black_box(code), instructions, references)));
    });
    throughput(&mut group, cfg.functions.len(), input.code_bytes());
    group.bench_function("memory", |bencher| {
        bencher.iter(|| pool.install(|| memory::run(image, black_box(code), instructions, cfg)));
    });
    group.finish();

    // Two tables are made on demand, a part at a time.
    let mut group = criterion.benchmark_group("rows");
    let rows = cfg::instruction_rows(code, instructions, cfg, *range).len();
    throughput(&mut group, rows, range.end - range.start);
    group.bench_function("instructions", |bencher| {
        bencher.iter(|| cfg::instruction_rows(black_box(code), instructions, cfg, *range));
    });
    // Decoding alone, with the library's information about operands, without building rows.
    let bytes = &code.regions[0].bytes[range.start..range.end];
    let address = code.regions[0].address + range.start as u64;
    group.bench_function("bare_decoder_with_info", |bencher| {
        bencher.iter(|| {
            let mut factory = InstructionInfoFactory::new();
            let decoder = Decoder::with_ip(64, black_box(bytes), address, DecoderOptions::NONE);
            decoder
                .into_iter()
                .map(|instruction| factory.info(&instruction).used_memory().len())
                .sum::<usize>()
        });
    });
    let blocks = 0..cfg.basic_blocks.len();
    let memory = memory::run(image, code, instructions, cfg);
    let rows = memory::accesses(code, cfg, &memory, blocks.clone()).len();
    throughput(&mut group, rows, input.code_bytes());
    group.bench_function("memory_accesses", |bencher| {
        bencher.iter(|| memory::accesses(black_box(code), cfg, &memory, blocks.clone()));
    });
    let rows = memory::data_flow(code, cfg, &memory, blocks.clone()).len();
    throughput(&mut group, rows, input.code_bytes());
    group.bench_function("data_flow", |bencher| {
        bencher.iter(|| memory::data_flow(black_box(code), cfg, &memory, blocks.clone()));
    });
    group.finish();
}

fn throughput(group: &mut BenchmarkGroup<'_, WallTime>, rows: usize, code_bytes: usize) {
    group.throughput(Throughput::ElementsAndBytes { elements: rows as u64, bytes: code_bytes as u64 });
}

/// The passes spread their work; here it is counted, not how well it spreads.
fn one_thread() -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started")
}

criterion_group!(pipeline, passes);
criterion_main!(pipeline);
