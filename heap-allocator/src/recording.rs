//! Records to the channel whose path is in the environment, unless another recorder in the process does.
//!
//! *Start.* The first allocation that has ended finds out, while the program has one thread. Without the variable nothing is
//! recorded. If the channel is mapped already, a library records the functions of the C library in this process; an
//! allocation as a probe tells whether it sees what the wrapped allocator does. If it does not, both record, as one program.
//!
//! Nothing here allocates, but for the probe.

#![expect(
    clippy::inline_always,
    reason = "this runs at each allocation, also in programs without optimization"
)]

#[path = "../../bootstrap/src/capture/heap/channel.rs"]
#[expect(unreachable_pub, reason = "binframe has this file too")]
mod channel;
#[path = "../../bootstrap/heap-recorder/system.rs"]
mod system;
#[path = "../../bootstrap/heap-recorder/writer.rs"]
mod writer;

use channel::{Channel, MEMORY_NAME, VARIABLE};
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicU8, Ordering};
use writer::{Frame, map_channel, start};
pub(crate) use writer::{releases, retracts};

unsafe extern "C" {
    /// The value of a variable of the environment; null if there is none, or in a program with the rights of another user.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// The name of the variable, with a zero at its end.
const VARIABLE_NAME: [u8; VARIABLE.len() + 1] = {
    let mut name = [0; VARIABLE.len() + 1];
    let (head, _) = name.split_at_mut(VARIABLE.len());
    head.copy_from_slice(VARIABLE.as_bytes());
    name
};

const OFF: u8 = 0;
const ON: u8 = 1;
const UNKNOWN: u8 = 2;

/// Whether allocations are recorded.
static PHASE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether allocations are recorded. `probe` allocates and releases memory with the wrapped allocator.
#[inline(always)]
pub(crate) fn is_on(probe: impl FnOnce()) -> bool {
    match PHASE.load(Ordering::Relaxed) {
        OFF => false,
        ON => true,
        _ => find_out(probe),
    }
}

#[cold]
#[inline(never)]
fn find_out(probe: impl FnOnce()) -> bool {
    // What allocates meanwhile is not recorded.
    if PHASE.compare_exchange(UNKNOWN, OFF, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return PHASE.load(Ordering::Relaxed) == ON;
    }
    let Some((channel, is_new)) = system::keeping_errno(find_channel) else { return false };
    if !is_new {
        let before = events(channel);
        probe();
        if events(channel) != before {
            return false;
        }
    }
    let is_started = system::keeping_errno(|| start(channel, is_new, (0, 0)));
    if is_started {
        PHASE.store(ON, Ordering::Relaxed);
    }
    is_started
}

/// The channel, and whether no other recorder has mapped it in this process.
fn find_channel() -> Option<(&'static Channel, bool)> {
    // SAFETY: the name ends with a zero, as does the value. The channel remains mapped.
    unsafe {
        let path = secure_getenv(VARIABLE_NAME.as_ptr().cast());
        let path = (!path.is_null()).then(|| CStr::from_ptr(path))?;
        let is_new = !is_recorded();
        Some((map_channel(path)?.as_ref()?, is_new))
    }
}

/// Whether a recorder has mapped a channel in this process.
fn is_recorded() -> bool {
    let (name, mut length) = (MEMORY_NAME.as_bytes(), 0);
    system::read_mappings(|piece| {
        for byte in piece {
            // The first byte of the name occurs once in it.
            length = if *byte == name[length] { length + 1 } else { usize::from(*byte == name[0]) };
            if length == name.len() {
                return false;
            }
        }
        true
    });
    length == name.len()
}

/// A number that changes when another recorder records, or drops, an event of this thread.
fn events(channel: &Channel) -> u64 {
    // SAFETY: the function takes no arguments.
    let thread = unsafe { system::gettid() } as u32;
    let is_own = |owner: u64| owner as u32 == thread;
    let slots = channel.owners.iter().zip(&channel.slots);
    let slots = slots.filter(|(owner, _)| is_own(owner.load(Ordering::Relaxed)));
    let written = slots.map(|(_, slot)| slot.written.0.load(Ordering::Relaxed)).sum::<u64>();
    written + channel.dropped.load(Ordering::Relaxed)
}

/// Records an allocation, unless it failed.
#[inline(always)]
pub(crate) fn allocated(address: *mut u8, size: usize) {
    // SAFETY: the function reads its own return address only.
    unsafe { enter(address, size) }
}

/// Calls a function with two more arguments: the address of its return address, and the frame pointer of its caller.
#[unsafe(naked)]
unsafe extern "C" fn enter(address: *mut u8, size: usize) {
    core::arch::naked_asm!("mov rdx, rsp", "mov rcx, rbp", "jmp {own}", own = sym own)
}

unsafe extern "C" fn own(address: *mut u8, size: usize, frame: Frame, frame_pointer: usize) {
    if !address.is_null() {
        writer::allocated(address, size, frame, frame_pointer, false);
    }
}
