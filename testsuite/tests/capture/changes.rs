//! The memory of a program at each of several moments, rebuilt from a capture, is what the program itself wrote to files at
//! these moments. Between them it changes memory in all the ways in which pages come, go and change without a write.

use crate::{Captured, request};
use binframe::ir::tables::{ChangeDetection, MemoryPages, MemoryRegions, PageContents, Snapshots};
use binframe::{CaptureTarget, capture};
use binframe_testsuite::programs::compile_c;
use std::fs;
use std::path::Path;

/// Writes a file of areas (address, size and bytes) for each moment, and then calls `moment`.
const PROGRAM: &str = "
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/wait.h>
    #include <unistd.h>
    enum { PAGE = 4096, PAGES = 1200 };
    static char zeros[16 * PAGE] __attribute__((aligned(PAGE)));
    static const char *folder;
    static char *area, *grown, *end, *moved;
    static long area_size = PAGES * PAGE, moved_size = 20 * PAGE;
    __attribute__((noinline)) void moment(int number) { __asm__ volatile(\"\" : : \"r\"(number) : \"memory\"); }
    static void put(int file, char *start, long size) {
        long head[2] = { (long)start, size };
        if (write(file, head, sizeof head) != sizeof head || write(file, start, size) != size) exit(3);
    }
    static void note(void) {
        static int number;
        char path[4096];
        snprintf(path, sizeof path, \"%s/%d\", folder, ++number);
        int file = open(path, O_CREAT | O_WRONLY, 0600);
        put(file, area, area_size);
        put(file, zeros, sizeof zeros);
        put(file, grown, end - grown);
        put(file, moved, moved_size);
        close(file);
        moment(number);
    }
    int main(int count, char **arguments) {
        folder = arguments[count - 1];
        area = mmap(0, area_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (long page = 0; page < PAGES; page += 2) memset(area + page * PAGE, (int)(page % 251) + 1, PAGE);
        mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        moved = mmap(0, moved_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(moved, 3, moved_size);
        grown = sbrk(4 * PAGE);
        end = grown + 4 * PAGE;
        memset(grown, 7, end - grown);
        note();
        for (long page = 0; page < PAGES; page += 5) area[page * PAGE + 9]++;
        zeros[3 * PAGE] = 1;
        note();
        madvise(area + 100 * PAGE, 300 * PAGE, MADV_DONTNEED);
        note();
        sbrk(8 * PAGE);
        end += 8 * PAGE;
        memset(end - 3 * PAGE, 8, PAGE);
        note();
        munmap(area + 500 * PAGE, 20 * PAGE);
        mmap(area + 500 * PAGE, 20 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        area[505 * PAGE] = 5;
        note();
        mprotect(area + 700 * PAGE, 10 * PAGE, PROT_READ);
        area[720 * PAGE] = 6;
        note();
        mprotect(area + 700 * PAGE, 10 * PAGE, PROT_READ | PROT_WRITE);
        area[705 * PAGE] = 7;
        note();
        pid_t child = fork();
        if (child == 0) {
            memset(area, 99, 50 * PAGE);
            _exit(0);
        }
        waitpid(child, 0, 0);
        area[3 * PAGE] = 8;
        note();
        moved = mremap(moved, moved_size, moved_size + 64 * PAGE, MREMAP_MAYMOVE);
        moved_size += 64 * PAGE;
        moved[moved_size - PAGE] = 9;
        note();
        note();
        return 0;
    }";

const MOMENTS: u32 = 10;

/// The bytes from an address on at a snapshot: the contents of regions up to then, in their order, and the changed pages.
fn memory(captured: &Captured, snapshot_id: u32, address: u64, size: usize) -> Vec<u8> {
    let mut memory = vec![0xee; size];
    let mut write = |start: u64, bytes: &[u8]| {
        for (own, byte) in (start..).zip(bytes) {
            if let Some(offset) = own.checked_sub(address).filter(|offset| *offset < size as u64) {
                memory[offset as usize] = *byte;
            }
        }
    };
    for region in captured.rows::<MemoryRegions>().columns().iter() {
        if let (Some(content), true) = (region.content_snapshot, region.snapshot_id <= snapshot_id) {
            write(region.start_address.expect("captured"), content);
        }
    }
    let contents = captured.rows::<PageContents>();
    for page in captured.rows::<MemoryPages>().columns().iter() {
        if (page.from_snapshot..=page.until_snapshot).contains(&snapshot_id) {
            write(page.address, contents.columns().row(page.content_id as usize).content.expect("content"));
        }
    }
    memory
}

/// The areas in a file of the program.
fn areas(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let bytes = fs::read(path).expect("the program wrote it");
    let mut rest = bytes.as_slice();
    let mut areas = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<16>() {
        let (address, size) = head.split_at(8);
        let size = crate::word(size) as usize;
        areas.push((crate::word(address), after[..size].to_vec()));
        rest = &after[size..];
    }
    areas
}

/// Whether this system tells which pages were written. System calls that are filtered, as in containers, prevent it.
fn system_tracks_writes() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    (numbers.next(), numbers.next()) >= (Some(6), Some(7)) && status.contains("Seccomp:\t0")
}

#[test]
fn memory_is_right_at_every_moment_of_a_series() {
    let program = compile_c("capture_changes", PROGRAM, &["-O1"]).expect("a C compiler");
    let truth = tempfile::tempdir().expect("a temporary folder");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("captured");
    let command = vec![program.into(), truth.path().into()];
    let mut request = request(CaptureTarget::Command(command), &output);
    request.at = Some("moment");
    capture(&request, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let captured = Captured::open(&output, folder);
    let snapshots = captured.rows::<Snapshots>();
    let snapshots: Vec<_> = snapshots.columns().iter().collect();
    assert_eq!(snapshots.len(), MOMENTS as usize);
    for snapshot in &snapshots {
        let is_tracked = snapshot.change_detection == ChangeDetection::PagemapScan;
        assert_eq!(is_tracked, snapshot.snapshot_id > 1 && system_tracks_writes());
        for (address, expected) in areas(&truth.path().join(snapshot.snapshot_id.to_string())) {
            let found = memory(&captured, snapshot.snapshot_id, address, expected.len());
            let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            assert_eq!(differs, None, "in the area {address:#x} at moment {}", snapshot.snapshot_id);
        }
    }
    if system_tracks_writes() {
        // Nothing changed between the last two but the stack.
        assert!(snapshots[9].read_bytes < snapshots[0].read_bytes / 2, "{:?}", snapshots[9]);
    }
}
