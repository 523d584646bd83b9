//! The registers of stopped threads.

use super::snapshot::ThreadState;
use binframe_ir::tables::Architecture;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::fs;

/// The state of a stopped thread; `None` if it is gone.
pub(super) fn thread_state(process: Pid, pid: Pid) -> Option<ThreadState> {
    let name = fs::read_to_string(format!("/proc/{process}/task/{pid}/comm"));
    let registers = registers(pid)?;
    let value = |name: &str| registers.iter().find(|(own, _)| own == name).map_or(0, |(_, value)| *value);
    let (program_counter, stack_pointer) = match native_architecture() {
        Architecture::Aarch64 => (value("pc"), value("sp")),
        _ => (value("rip"), value("rsp")),
    };
    Some(ThreadState {
        thread_id: u64::from(pid.as_raw().unsigned_abs()),
        name: name.ok().map(|name| name.trim_end().to_owned()),
        is_main: pid == process,
        signal: None,
        signal_code: None,
        fault_address: None,
        program_counter,
        stack_pointer,
        registers,
    })
}

/// The architecture of the code that threads run: a processor of x86-64 runs 32-bit code in a segment of its own.
pub(super) fn architecture(threads: &[ThreadState]) -> Architecture {
    const SEGMENT_OF_32_BIT_CODE: u64 = 0x23;
    match threads.iter().any(|thread| thread.register("cs") == SEGMENT_OF_32_BIT_CODE) {
        true => Architecture::X86,
        false => native_architecture(),
    }
}

pub(super) fn native_architecture() -> Architecture {
    if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 }
}

#[cfg(target_arch = "x86_64")]
fn registers(pid: Pid) -> Option<Vec<(String, u64)>> {
    let own = ptrace::getregs(pid).ok()?;
    let all = [
        ("r15", own.r15),
        ("r14", own.r14),
        ("r13", own.r13),
        ("r12", own.r12),
        ("rbp", own.rbp),
        ("rbx", own.rbx),
        ("r11", own.r11),
        ("r10", own.r10),
        ("r9", own.r9),
        ("r8", own.r8),
        ("rax", own.rax),
        ("rcx", own.rcx),
        ("rdx", own.rdx),
        ("rsi", own.rsi),
        ("rdi", own.rdi),
        ("orig_rax", own.orig_rax),
        ("rip", own.rip),
        ("cs", own.cs),
        ("eflags", own.eflags),
        ("rsp", own.rsp),
        ("ss", own.ss),
        ("fs_base", own.fs_base),
        ("gs_base", own.gs_base),
        ("ds", own.ds),
        ("es", own.es),
        ("fs", own.fs),
        ("gs", own.gs),
    ];
    Some(all.map(|(name, value)| (name.to_owned(), value)).into())
}

#[cfg(target_arch = "aarch64")]
fn registers(pid: Pid) -> Option<Vec<(String, u64)>> {
    let own = ptrace::getregs(pid).ok()?;
    let general = (0..).zip(own.regs).map(|(number, value): (u32, u64)| (format!("x{number}"), value));
    let others = [("sp", own.sp), ("pc", own.pc), ("pstate", own.pstate)];
    Some(general.chain(others.map(|(name, value)| (name.to_owned(), value))).collect())
}
