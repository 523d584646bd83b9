//! Rust programs whose allocator records: what they count themselves is recorded, once, whether they are linked statically
//! or dynamically, and whether their allocator calls `malloc` or not.

use super::Captured;
use super::heap::{command, record, stacks};
use binframe::ir::tables::HeapAllocations;
use binframe_testsuite::tools;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A program whose allocator counts what a function asks of the allocator that records. It calls the function in several
/// threads, and prints its allocations, their bytes, and the bytes that are not released.
const COUNTING: &str = r#"
    use binframe_heap_allocator::RecordingAllocator;
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::{Cell, UnsafeCell};
    use std::hint::black_box;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Memory of the program itself, which is never released.
    struct Own(UnsafeCell<[u8; 1 << 24]>, AtomicUsize);
    unsafe impl Sync for Own {}
    unsafe impl GlobalAlloc for Own {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let size = (layout.size() + layout.align() + 63) & !63;
            let start = unsafe { self.0.get().cast::<u8>().add(self.1.fetch_add(size, Relaxed)) };
            start.map_addr(|address| address.next_multiple_of(layout.align()))
        }
        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    struct Counting<A>(RecordingAllocator<A>);
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static TOTAL: AtomicUsize = AtomicUsize::new(0);
    static RELEASED: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static IS_GROWING: Cell<bool> = const { Cell::new(false) } }
    fn count(size: usize, released: usize) {
        if IS_GROWING.get() {
            COUNT.fetch_add(usize::from(size > 0), Relaxed);
            TOTAL.fetch_add(size, Relaxed);
            RELEASED.fetch_add(released, Relaxed);
        }
    }
    unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count(layout.size(), 0);
            unsafe { self.0.alloc(layout) }
        }
        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            count(layout.size(), 0);
            unsafe { self.0.alloc_zeroed(layout) }
        }
        unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            count(size, layout.size());
            unsafe { self.0.realloc(old, layout, size) }
        }
        unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
            count(0, layout.size());
            unsafe { self.0.dealloc(address, layout) }
        }
    }
    #[cfg(not(own))]
    #[global_allocator]
    static ALLOCATOR: Counting<System> = Counting(RecordingAllocator::new(System));
    #[cfg(own)]
    #[global_allocator]
    static ALLOCATOR: Counting<Own> =
        Counting(RecordingAllocator::new(Own(UnsafeCell::new([0; 1 << 24]), AtomicUsize::new(0))));

    #[repr(align(256))]
    struct Aligned([u8; 256]);

    #[unsafe(no_mangle)]
    #[inline(never)]
    fn grow(number: usize) -> usize {
        IS_GROWING.set(true);
        let mut numbers = Vec::new();
        for next in 0..number {
            numbers.push(black_box(next));
        }
        let zeros = black_box(vec![0_u8; number + 1]);
        let aligned = black_box(Box::new(Aligned([1; 256])));
        let sum = zeros.len() + aligned.0.len();
        if number % 16 == 0 {
            std::mem::forget(numbers);
        } else {
            drop(numbers);
        }
        drop((zeros, aligned));
        IS_GROWING.set(false);
        sum
    }

    fn main() {
        let mut sum = grow(100);
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..500).map(grow).sum::<usize>())).collect();
        for thread in threads {
            sum += thread.join().unwrap();
        }
        black_box(sum);
        let (count, total, released) = (COUNT.load(Relaxed), TOTAL.load(Relaxed), RELEASED.load(Relaxed));
        println!("{count} {total} {}", total - released);
    }"#;

/// Compiles the crate, and the program with it.
fn compiled(folder: &TempDir, flags: &[&str]) -> PathBuf {
    let crate_source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../heap-allocator/src/lib.rs");
    let source = folder.path().join("counting.rs");
    std::fs::write(&source, COUNTING).expect("the folder is writable");
    let rustc = |arguments: &[&str], source: &Path| {
        let mut rustc = Command::new(tools::find("rustc").expect("a machine that runs Rust tests has rustc"));
        rustc.args(["--edition=2024", "--out-dir"]).arg(folder.path()).arg("-L").arg(folder.path());
        let output = rustc.args(flags).args(arguments).arg(source).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    rustc(&["--crate-type=rlib", "--crate-name=binframe_heap_allocator"], &crate_source);
    rustc(&["--extern=binframe_heap_allocator", "--check-cfg=cfg(own)"], &source);
    folder.path().join("counting")
}

/// Allocations of the function, their bytes and live bytes, as the program prints them. Stacks end where the C library starts
/// a thread, or are cut there if that has no unwind information, as in musl.
fn totals(captured: &Captured, has_unwind_information: bool) -> String {
    let stacks = stacks(captured);
    let (mut count, mut total, mut live, mut in_main) = (0, 0, 0, 0);
    for allocation in captured.rows::<HeapAllocations>().columns().iter() {
        let (names, _, is_cut) = &stacks[&allocation.call_site_id];
        if !names.iter().any(|name| name == "grow") {
            continue;
        }
        let is_in_main = names.iter().any(|name| name == "main");
        let is_in_thread = names.iter().any(|name| name.contains("thread_start"));
        assert!(*is_cut != has_unwind_information && is_in_main != is_in_thread, "{names:?}");
        in_main += usize::from(is_in_main);
        count += 1;
        total += allocation.size;
        live += if allocation.freed_at.is_none() { allocation.size } else { 0 };
    }
    assert!(in_main > 5 && count > in_main + 4 * 500 * 5, "{in_main} of {count} in the main thread");
    format!("{count} {total} {live}\n")
}

fn check(flags: &[&str], has_unwind_information: bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = compiled(&folder, flags);
    let unrecorded = Command::new(&program).output().expect("it runs").stdout;
    let (captured, printed) = record(&command(&program, &[]));
    assert_eq!(printed.as_bytes(), unrecorded, "{flags:?}");
    assert_eq!(totals(&captured, has_unwind_information), printed, "{flags:?}");
}

#[test]
fn static_programs_record_themselves() {
    check(&["-Ctarget-feature=+crt-static"], true);
    check(&["-Ctarget-feature=+crt-static", "-Copt-level=3", "-Ccodegen-units=16"], true);
    check(&["-Ctarget-feature=+crt-static", "-Crelocation-model=static", "-Cpanic=abort"], true);
    check(&["-Ctarget-feature=+crt-static", "--cfg=own"], true);
}

#[test]
fn programs_with_musl_record_themselves() {
    const TARGET: &str = "--target=x86_64-unknown-linux-musl";
    let libraries = Command::new("rustc").args(["--print=target-libdir", TARGET]).output().expect("it runs");
    let libraries = String::from_utf8(libraries.stdout).expect("a path");
    if Path::new(libraries.trim()).exists() {
        check(&[TARGET], false);
        check(&[TARGET, "-Copt-level=3"], false);
    }
}

#[test]
fn dynamic_programs_are_recorded_once() {
    check(&["-Copt-level=1"], true);
    check(&["--cfg=own"], true);
}
