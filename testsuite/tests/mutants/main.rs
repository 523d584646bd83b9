//! Thousands of mutants of files of all formats. Each is rejected, or its tables have no violations, in bounded time
//! and memory.
//!
//! `BINFRAME_MUTANTS` sets the number of mutants, `BINFRAME_MUTANTS_SEED` the first seed. A printed seed reproduces
//! its mutant. `BINFRAME_MUTANTS_FROM` names a folder whose files are corrupted instead of generated ones.

mod shared_bytes;

use binframe_testsuite::memory::{self, CountingAllocator};
use binframe_testsuite::mutation::{Original, mutant, originals, originals_of};
use binframe_testsuite::table_invariants;
use bytes::Bytes;
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// Default number of mutants.
const MUTANTS: u64 = 10_000;

/// Number of mutants per thread. The thread's name contains their seeds, since a stack overflow prints only that name.
const MUTANTS_PER_THREAD: u64 = 100;

/// Time limit for a file of a few hundred kilobytes, and for one of a given folder, which may be as large as programs are.
const HANG: Duration = Duration::from_secs(5);
const HANG_OF_PROGRAM: Duration = Duration::from_secs(20);

/// Memory limit per file: a multiple of its size plus a constant.
const MEMORY_PER_FILE_SIZE_MAX: usize = 300;
const MEMORY_BASE: usize = 4 << 20;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Number of failures after which the run stops.
const FAILURES_MAX: usize = 10;

#[test]
fn mutants_have_no_violations_or_are_rejected() {
    let first = variable("BINFRAME_MUTANTS_SEED").unwrap_or(0);
    let seeds = first..first.saturating_add(variable("BINFRAME_MUTANTS").unwrap_or(MUTANTS));
    let folder = env::var_os("BINFRAME_MUTANTS_FROM");
    let hang = if folder.is_some() { HANG_OF_PROGRAM } else { HANG };
    let originals = folder.map_or_else(originals, |folder| originals_of(Path::new(&folder)));
    let run = Run { originals: &originals, hang, failures: Mutex::default(), lowered: AtomicU64::new(0) };
    let next = AtomicU64::new(seeds.start);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !run.is_over() {
                    let start = next.fetch_add(MUTANTS_PER_THREAD, Ordering::Relaxed);
                    if start >= seeds.end {
                        break;
                    }
                    run.check_all(start..seeds.end.min(start + MUTANTS_PER_THREAD));
                }
            });
        }
    });
    let failures = run.failures.into_inner().expect("no thread panicked");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let (lowered, all) = (run.lowered.into_inner(), seeds.end - seeds.start);
    assert!(all < 1000 || (all / 5..all - all / 20).contains(&lowered), "{lowered} of {all} were accepted");
}

fn variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

struct Run<'a> {
    originals: &'a [Original],
    hang: Duration,
    failures: Mutex<Vec<String>>,
    lowered: AtomicU64,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        self.failures.lock().expect("no thread panicked").len() >= FAILURES_MAX
    }

    fn fail(&self, seed: u64, reason: &str) {
        let mutant = mutant(self.originals, seed);
        let path = save(seed, &mutant.bytes);
        let failure = format!(
            "BINFRAME_MUTANTS_SEED={seed} BINFRAME_MUTANTS=1: {reason}\n  {}\n  {}",
            mutant.recipe,
            path.display()
        );
        self.failures.lock().expect("no thread panicked").push(failure);
    }

    /// Checks mutants in a new thread, while the current thread watches for hangs.
    fn check_all(&self, seeds: Range<u64>) {
        let running = Mutex::new((seeds.start, Instant::now()));
        let is_over = AtomicBool::new(false);
        let work = || {
            for seed in seeds.clone() {
                *running.lock().expect("no thread panicked") = (seed, Instant::now());
                self.check(seed);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let name = format!("mutants {}..{}", seeds.start, seeds.end);
                let outcome = memory::on_own_thread(name, work);
                is_over.store(true, Ordering::Relaxed);
                outcome.expect("panics of passes are caught");
            });
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(2));
                let (seed, since) = *running.lock().expect("no thread panicked");
                if since.elapsed() > self.hang {
                    let recipe = mutant(self.originals, seed).recipe;
                    abort(&format!("BINFRAME_MUTANTS_SEED={seed} BINFRAME_MUTANTS=1 hangs: {recipe}"));
                }
            }
        });
    }

    fn check(&self, seed: u64) {
        match outcome(&Bytes::from(mutant(self.originals, seed).bytes)) {
            Ok(is_lowered) => _ = self.lowered.fetch_add(u64::from(is_lowered), Ordering::Relaxed),
            Err(reason) => self.fail(seed, &reason),
        }
    }
}

/// Whether a file is accepted, or the reason of a failure.
fn outcome(file: &Bytes) -> Result<bool, String> {
    let (outcome, memory) =
        memory::peak_memory(|| catch_unwind(AssertUnwindSafe(|| table_invariants::violations(file))));
    let limit = MEMORY_BASE + MEMORY_PER_FILE_SIZE_MAX * file.len();
    match outcome {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("a panic: {}", text.unwrap_or("without a message")))
        }
        Ok(Ok(violations)) if !violations.is_empty() => Err(violations[..violations.len().min(5)].join("; ")),
        Ok(_) if memory > limit => Err(format!("{memory} bytes of memory for a file of {}", file.len())),
        Ok(outcome) => Ok(outcome.is_ok()),
    }
}

/// Writes a mutant to a file for inspection.
fn save(seed: u64, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mutant-{seed}"));
    fs::write(&path, bytes).expect("the target directory is writable");
    path
}

/// Exits the process, since a hanging thread cannot be stopped. Writes to stderr directly, since the output of tests
/// is captured.
fn abort(reason: &str) -> ! {
    _ = writeln!(std::io::stderr(), "{reason}");
    std::process::abort()
}
