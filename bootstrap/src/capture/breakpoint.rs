//! A breakpoint at an address of another process, in its debug registers.
//!
//! A performance event stops each thread that is about to execute the instruction, by `SIGTRAP`. Code is not changed. The
//! events end with their descriptors, so that no breakpoint remains if this process ends, and a process that is forked has none.
//!
//! Source: `perf_event_open(2)`, on `PERF_TYPE_BREAKPOINT` and `sigtrap` (Linux 5.13).

use nix::errno::Errno;
use nix::unistd::Pid;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The events of a breakpoint, which exists as long as they do.
pub(super) struct Breakpoint {
    _events: Vec<OwnedFd>,
}

impl Breakpoint {
    /// Sets a breakpoint for threads, which must be traced, and for those that they start.
    pub(super) fn set(address: u64, threads: impl Iterator<Item = Pid>) -> nix::Result<Self> {
        let events: nix::Result<Vec<OwnedFd>> = threads.map(|thread| open(address, thread)).collect();
        Ok(Self { _events: events? })
    }
}

/// `struct perf_event_attr`, version 7.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    event_type: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
    breakpoint_length: u64,
    branch_sample_type: u64,
    sample_registers: u64,
    sample_stack: u32,
    clock: u32,
    sample_registers_interrupt: u64,
    auxiliary_watermark: u32,
    sample_stack_max: u16,
    reserved: u16,
    auxiliary_sample_size: u32,
    reserved_too: u32,
    signal_data: u64,
}

/// The flags `inherit`, `exclude_kernel`, `exclude_hv`, `inherit_thread`, `remove_on_exec` and `sigtrap`.
const FLAGS: u64 = 1 << 1 | 1 << 5 | 1 << 6 | 1 << 35 | 1 << 36 | 1 << 37;

#[expect(unsafe_code, reason = "the C library has no function for this system call")]
fn open(address: u64, thread: Pid) -> nix::Result<OwnedFd> {
    /// `PERF_TYPE_BREAKPOINT`
    const BREAKPOINT: u32 = 5;
    /// `HW_BREAKPOINT_X`
    const EXECUTE: u32 = 4;
    /// `PERF_FLAG_FD_CLOEXEC`
    const CLOSE_ON_EXEC: u64 = 8;
    let attributes = Attributes {
        event_type: BREAKPOINT,
        size: size_of::<Attributes>() as u32,
        sample_period: 1,
        flags: FLAGS,
        breakpoint_type: EXECUTE,
        breakpoint_address: address,
        breakpoint_length: size_of::<libc::c_long>() as u64,
        ..Attributes::default()
    };
    let (any_processor, no_group) = (-1, -1);
    // SAFETY: the attributes have the layout and size that the system reads; the other arguments are numbers.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            thread.as_raw(),
            any_processor,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    let descriptor = Errno::result(descriptor)?;
    // SAFETY: the system just opened it for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
}
