//! A system call that a stopped thread of another process makes for this one.
//!
//! *Algorithm.* The thread gets the registers of the call, and continues at an instruction that enters the system, up to
//! the exit from the call (`PTRACE_SYSCALL`). Then it is interrupted before its next instruction, and gets its own registers back.
//! It is then stopped as it was before, so that the system restarts a call which the stop had interrupted. No signal is
//! lost or sent: if one arrives meanwhile, the call is not made.
//!
//! Source: ptrace(2), on syscall-stops.

use super::threads::{Stop, StopKind, wait_for_stop};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// The code of the instruction that enters the system.
pub(super) const ENTRY_CODE: &[u8] =
    if cfg!(target_arch = "aarch64") { &[0x01, 0x00, 0x00, 0xd4] } else { &[0x0f, 0x05] };

/// Makes a system call in a thread that is stopped between two instructions, given the address of an instruction that enters
/// the system. Returns its result, which is negative if it failed.
pub(super) fn call(
    thread: Pid,
    stop: &mut Stop,
    entry: u64,
    number: i64,
    arguments: [u64; 2],
) -> nix::Result<i64> {
    if !matches!(stop.kind, StopKind::Interrupted | StopKind::ReportedBreakpoint) {
        return Err(Errno::EINTR);
    }
    let saved = ptrace::getregs(thread)?;
    let mut registers = saved;
    prepare(&mut registers, entry, number, arguments);
    ptrace::setregs(thread, registers)?;
    let result = enter_and_exit(thread, stop);
    ptrace::setregs(thread, saved)?;
    result
}

/// Lets the thread run up to the exit from the call, and interrupts it.
fn enter_and_exit(thread: Pid, stop: &mut Stop) -> nix::Result<i64> {
    for _ in ["entry", "exit"] {
        ptrace::syscall(thread, None)?;
        next_stop(thread, stop, StopKind::SystemCall)?;
    }
    let result = result(&ptrace::getregs(thread)?);
    ptrace::interrupt(thread)?;
    ptrace::cont(thread, None)?;
    next_stop(thread, stop, StopKind::Interrupted)?;
    Ok(result)
}

/// Waits for the next stop, which must be of the expected kind.
fn next_stop(thread: Pid, stop: &mut Stop, expected: StopKind) -> nix::Result<()> {
    *stop = wait_for_stop(thread).ok_or(Errno::ESRCH)?;
    if stop.kind == expected { Ok(()) } else { Err(Errno::EINTR) }
}

/// Sets the registers of a call.
#[cfg(target_arch = "x86_64")]
fn prepare(registers: &mut libc::user_regs_struct, entry: u64, number: i64, arguments: [u64; 2]) {
    (registers.rip, registers.rax) = (entry, number as u64);
    // Without an original number, the system does not restart the call that the stop interrupted.
    registers.orig_rax = u64::MAX;
    [registers.rdi, registers.rsi] = arguments;
}

#[cfg(target_arch = "x86_64")]
fn result(registers: &libc::user_regs_struct) -> i64 {
    registers.rax.cast_signed()
}

#[cfg(target_arch = "aarch64")]
fn prepare(registers: &mut libc::user_regs_struct, entry: u64, number: i64, arguments: [u64; 2]) {
    registers.pc = entry;
    registers.regs[..2].copy_from_slice(&arguments);
    registers.regs[8] = number as u64;
}

#[cfg(target_arch = "aarch64")]
fn result(registers: &libc::user_regs_struct) -> i64 {
    registers.regs[0].cast_signed()
}
