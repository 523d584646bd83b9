//! The system: functions of the C library that do not allocate, and the mappings of the process. Static C libraries have
//! them too.

use core::ffi::{c_char, c_int, c_long, c_void};

#[repr(C)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: c_long,
}

unsafe extern "C" {
    pub(crate) fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    pub(crate) fn read(file: c_int, buffer: *mut c_void, size: usize) -> isize;
    pub(crate) fn lseek(file: c_int, offset: i64, from: c_int) -> i64;
    pub(crate) fn close(file: c_int) -> c_int;
    pub(crate) fn mmap(
        at: *mut c_void,
        size: usize,
        access: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub(crate) fn madvise(address: *mut c_void, size: usize, advice: c_int) -> c_int;
    pub(crate) fn getppid() -> c_int;
    pub(crate) fn gettid() -> c_int;
    pub(crate) fn clock_gettime(clock: c_int, time: *mut Time) -> c_int;
    pub(crate) fn nanosleep(time: *const Time, left: *mut Time) -> c_int;
    fn __errno_location() -> *mut c_int;
}

pub(crate) const READ_WRITE: c_int = 2;
pub(crate) const CLOSE_ON_EXEC: c_int = 0o2_000_000;
pub(crate) const FROM_END: c_int = 2;
pub(crate) const ACCESS: c_int = 1 | 2;
pub(crate) const SHARED: c_int = 1;
pub(crate) const PRIVATE: c_int = 2 | 0x20;
pub(crate) const FIXED: c_int = 0x10;
pub(crate) const FAILED: *mut c_void = -1_isize as *mut c_void;
pub(crate) const WIPE_ON_FORK: c_int = 18;
pub(crate) const DO_NOT_FORK: c_int = 10;
pub(crate) const DO_NOT_DUMP: c_int = 16;
const MONOTONIC: c_int = 1;

/// Nanoseconds of the clock that all threads share.
pub(crate) fn now() -> u64 {
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: `time` is valid for writes.
    unsafe { clock_gettime(MONOTONIC, &raw mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

/// Runs what may change `errno`, and restores it.
pub(crate) fn keeping_errno<T>(run: impl FnOnce() -> T) -> T {
    // SAFETY: the C library gives each thread a location of its own.
    unsafe {
        let location = __errno_location();
        let own = *location;
        let result = run();
        *location = own;
        result
    }
}

/// Reads `/proc/self/maps` piece by piece, until `use_piece` returns false.
pub(crate) fn read_mappings(mut use_piece: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0_u8; 512];
    // SAFETY: the path ends with a zero, and the buffer has the size that is stated.
    unsafe {
        let file = open(c"/proc/self/maps".as_ptr(), CLOSE_ON_EXEC);
        if file < 0 {
            return;
        }
        loop {
            let size = read(file, buffer.as_mut_ptr().cast(), buffer.len());
            if size <= 0 || !use_piece(&buffer[..size as usize]) {
                break;
            }
        }
        close(file);
    }
}

/// The mapping that contains an address; an empty range if there is none.
pub(crate) fn mapping_at(address: usize) -> (usize, usize) {
    let (mut start, mut number, mut is_range, mut found) = (0, 0_usize, true, (0, 0));
    read_mappings(|piece| {
        for byte in piece {
            match (is_range, byte) {
                (_, b'\n') => (is_range, number) = (true, 0),
                (false, _) => {}
                (true, b'-') => (start, number) = (number, 0),
                (true, b' ') => {
                    if (start..number).contains(&address) {
                        found = (start, number);
                        return false;
                    }
                    is_range = false;
                }
                (true, digit) => {
                    let value = if *digit >= b'a' { digit - b'a' + 10 } else { digit.wrapping_sub(b'0') };
                    number = number << 4 | value as usize;
                }
            }
        }
        true
    });
    found
}
