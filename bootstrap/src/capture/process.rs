//! A running process: stopped for a snapshot, and released.
//!
//! *Protocol.* The first thread is traced from the start to the end of the capture, so that the exit of the process is
//! seen. For a snapshot it is interrupted, and the other threads are traced and interrupted too, until no new ones
//! appear; afterwards they are released. A signal that arrives meanwhile is delivered when its thread continues.
//!
//! All requests to trace come from one thread, as the system demands.
//!
//! Source: ptrace(2), on `PTRACE_SEIZE`; `process_vm_readv`(2).

use super::mappings::{Mapping, classify, parse_maps};
use super::request::CaptureRequest;
use super::selection::read_contents;
use super::snapshot::{ProcessSnapshot, ThreadState, stack_pointers};
use crate::error::Error;
use binframe_ir::tables::Architecture;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSliceMut};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two looks at the state of the traced thread.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Bytes that are read by one system call.
const READ_SIZE: usize = 1 << 28;

/// What happened while the process ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The time is over.
    Deadline,
    /// The process is about to exit. It is stopped.
    Exiting,
    /// The process is gone.
    Gone,
    /// A signal asks to end the capture.
    Ended,
}

/// A traced process.
pub(super) struct Process {
    pid: Pid,
    /// The process, if it was started by this one.
    child: Option<Child>,
    /// Path of the executable.
    executable: PathBuf,
    /// Whether the first thread is traced.
    is_traced: bool,
    /// How the first thread is stopped; `None` if it runs.
    stopped: Option<Stop>,
    end_signals: SignalFd,
}

/// How a traced thread is stopped.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// The signal that is delivered when it continues.
    signal: Option<Signal>,
    /// Whether it was stopped before, by a signal such as `SIGSTOP`: it must stay so.
    is_group_stop: bool,
}

impl Stop {
    /// The stop that a status tells of; `None` if it tells of none.
    fn of(status: WaitStatus) -> Option<Self> {
        match status {
            WaitStatus::PtraceEvent(_, signal, event) => {
                let is_group_stop = event == libc::PTRACE_EVENT_STOP && signal != Signal::SIGTRAP;
                Some(Self { signal: None, is_group_stop })
            }
            WaitStatus::Stopped(_, signal) => Some(Self { signal: Some(signal), is_group_stop: false }),
            _ => None,
        }
    }
}

impl Process {
    /// Traces a running process, which continues.
    pub(super) fn attach(id: u32) -> Result<Self, Error> {
        let pid = Pid::from_raw(id.cast_signed());
        let executable = Self::path_of(pid, "exe");
        let fail = |found: String| Error::Capture { subject: format!("process {id}"), found };
        if !Self::path_of(pid, "").exists() {
            return Err(fail("there is no such process; `ps` lists those that run".to_owned()));
        }
        if let Some(tracer) = status_number(pid, "TracerPid:").filter(|tracer| *tracer != 0) {
            return Err(fail(format!("process {tracer} traces it already, such as a debugger")));
        }
        let executable = fs::read_link(executable).unwrap_or_default();
        ptrace::seize(pid, Options::PTRACE_O_TRACEEXIT).map_err(|errno| {
            let reason = match errno {
                Errno::EPERM => {
                    "the system does not permit to trace it: it belongs to another user, or \
                     /proc/sys/kernel/yama/ptrace_scope restricts tracing to children; run binframe as root, or let \
                     it start the program with `-- COMMAND`"
                }
                Errno::ESRCH => "it has exited",
                _ => "it cannot be traced",
            };
            fail(format!("{reason} ({})", errno.desc()))
        })?;
        Self::new(pid, None, executable)
    }

    fn new(pid: Pid, child: Option<Child>, executable: PathBuf) -> Result<Self, Error> {
        let end_signals = end_signals().map_err(Error::errno(pid, "wait for signals"))?;
        Ok(Self { pid, child, executable, is_traced: true, stopped: None, end_signals })
    }

    /// Starts a command, with one more variable in its environment, and traces it from its first instruction.
    pub(super) fn spawn(
        command: &[OsString],
        variable: Option<(&'static str, OsString)>,
    ) -> Result<Self, Error> {
        let (program, arguments) = command.split_first().expect("a command has a program");
        let mut start = Command::new(program);
        start.args(arguments).envs(variable);
        trace_from_start(&mut start);
        let child = start.spawn().map_err(Error::io(Path::new(program), "start"))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let failed = Error::errno(pid, "trace");
        // It stops when it executes the program. A seized process can be interrupted, this one cannot: so it is
        // released, stopped by a signal, and seized.
        let seize = || {
            waitpid(pid, None)?;
            ptrace::detach(pid, Signal::SIGSTOP)?;
            waitpid(pid, Some(WaitPidFlag::WUNTRACED))?;
            ptrace::seize(pid, Options::PTRACE_O_TRACEEXIT)?;
            kill(pid, Signal::SIGCONT)?;
            // It reports that it is stopped by the signal, and then the one that continues it.
            waitpid(pid, Some(WaitPidFlag::__WALL))?;
            ptrace::cont(pid, None)
        };
        seize().map_err(failed)?;
        let executable = fs::read_link(Self::path_of(pid, "exe")).unwrap_or_default();
        Self::new(pid, Some(child), executable)
    }

    fn path_of(pid: Pid, name: &str) -> PathBuf {
        Path::new("/proc").join(pid.to_string()).join(name)
    }

    /// Identifier of the process.
    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Path of the executable.
    pub(super) fn executable(&self) -> &Path {
        &self.executable
    }

    /// The error of a capture that has no snapshot.
    pub(super) fn ended_early(&self) -> Error {
        Error::Capture {
            subject: format!("process {}", self.pid),
            found: "it ended before the first snapshot; with `--on-exit` the last moment is captured"
                .to_owned(),
        }
    }

    /// Lets the process run until something happens.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Result<Event, Error> {
        self.resume()?;
        loop {
            match self.poll()? {
                Some(event) => return Ok(event),
                None if self.end_signals.read_signal().is_ok_and(|signal| signal.is_some()) => {
                    return Ok(Event::Ended);
                }
                None => {}
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => return Ok(Event::Deadline),
                left => std::thread::sleep(left.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL)),
            }
        }
    }

    /// Whether the process has ended, although nobody may have waited for it.
    fn is_gone(&self) -> bool {
        let status = fs::read_to_string(Self::path_of(self.pid, "status")).unwrap_or_default();
        let state = status.lines().find_map(|line| line.strip_prefix("State:"));
        state.is_none_or(|state| state.trim_start().starts_with(['Z', 'X']))
    }

    /// Handles what the first thread reports: `None` if the capture need not know.
    fn poll(&mut self) -> Result<Option<Event>, Error> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        if !self.is_traced {
            return Ok(self.is_gone().then_some(Event::Gone));
        }
        loop {
            let status = match waitpid(self.pid, Some(flags)) {
                Ok(WaitStatus::StillAlive) => return Ok(None),
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => {
                    self.is_traced = false;
                    return Ok(Some(Event::Gone));
                }
                Ok(status) => status,
                Err(errno) => return Err(Error::errno(self.pid, "wait for")(errno)),
            };
            self.stopped = Stop::of(status);
            if matches!(status, WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXIT)) {
                return Ok(Some(Event::Exiting));
            }
            self.resume()?;
            if !self.is_traced {
                return Ok(None);
            }
        }
    }

    /// Lets the first thread continue. One that was stopped before stays so, and is no longer traced.
    fn resume(&mut self) -> Result<(), Error> {
        let Some(stop) = self.stopped.take() else { return Ok(()) };
        let result = match stop.is_group_stop {
            true => {
                self.is_traced = false;
                ptrace::detach(self.pid, None)
            }
            false => ptrace::cont(self.pid, stop.signal),
        };
        match result {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Error::errno(self.pid, "continue")(errno)),
        }
    }

    /// Stops the process, copies its state, and releases the threads but the first, which continues later. `None` if it
    /// is gone.
    pub(super) fn snapshot(
        &mut self,
        request: &CaptureRequest<'_>,
    ) -> Result<Option<ProcessSnapshot>, Error> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Instant::now();
        let mut others = BTreeMap::new();
        if !self.stop(&mut others)? {
            return Ok(None);
        }
        let threads = std::iter::once(&self.pid).chain(others.keys());
        let threads = threads.filter_map(|pid| thread_state(self.pid, *pid)).collect();
        let snapshot = self.copy(request, threads);
        for (pid, stop) in others {
            // One that is gone needs no release.
            _ = ptrace::detach(pid, stop.signal);
        }
        self.resume()?;
        let mut snapshot = snapshot?;
        snapshot.timestamp = timestamp.as_nanos() as i64;
        snapshot.pause = Some(start.elapsed());
        Ok(Some(snapshot))
    }

    /// Stops all threads. False if the process is gone.
    fn stop(&mut self, others: &mut BTreeMap<Pid, Stop>) -> Result<bool, Error> {
        if !self.is_traced {
            match ptrace::seize(self.pid, Options::PTRACE_O_TRACEEXIT) {
                Ok(()) => self.is_traced = true,
                Err(Errno::ESRCH) => return Ok(false),
                Err(errno) => return Err(Error::errno(self.pid, "trace")(errno)),
            }
        }
        if self.stopped.is_none() {
            match ptrace::interrupt(self.pid) {
                Ok(()) => self.stopped = wait_for_stop(self.pid),
                Err(_) => return Ok(false),
            }
            if self.stopped.is_none() {
                return Ok(false);
            }
        }
        loop {
            let mut is_new = false;
            for pid in thread_ids(self.pid) {
                if pid == self.pid
                    || others.contains_key(&pid)
                    || ptrace::seize(pid, Options::empty()).is_err()
                {
                    continue;
                }
                if ptrace::interrupt(pid).is_ok()
                    && let Some(stop) = wait_for_stop(pid)
                {
                    others.insert(pid, stop);
                    is_new = true;
                }
            }
            if !is_new {
                return Ok(true);
            }
        }
    }

    /// Copies mappings and memory.
    fn copy(
        &self,
        request: &CaptureRequest<'_>,
        mut threads: Vec<ThreadState>,
    ) -> Result<ProcessSnapshot, Error> {
        let path = Self::path_of(self.pid, "maps");
        let text = fs::read(&path).map_err(Error::io(&path, "read"))?;
        threads.sort_by_key(|thread| thread.thread_id);
        let mut mappings = parse_maps(&String::from_utf8_lossy(&text));
        classify(&mut mappings, &stack_pointers(&threads));
        let contents = read_contents(&mappings, request, |mapping| read_memory(self.pid, mapping));
        Ok(ProcessSnapshot {
            timestamp: 0,
            pause: None,
            architecture: architecture(&threads),
            mappings,
            contents,
            threads,
        })
    }

    /// Releases the process. A command that was started and ran to its end is waited for.
    pub(super) fn release(&mut self) {
        if self.is_traced {
            self.is_traced = false;
            if self.stopped.is_none() && ptrace::interrupt(self.pid).is_ok() {
                self.stopped = wait_for_stop(self.pid);
            }
            if let Some(stop) = self.stopped.take() {
                _ = ptrace::detach(self.pid, stop.signal);
            }
        }
        if let Some(child) = &mut self.child {
            drop(child.try_wait());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.release();
    }
}

/// Lets a command be traced by this process from its first instruction.
#[expect(unsafe_code, reason = "code between fork and exec must not depend on other threads")]
fn trace_from_start(command: &mut Command) {
    let trace = || ptrace::traceme().map_err(io::Error::from);
    // SAFETY: between fork and exec, only a system call is made, which neither allocates nor takes a lock.
    unsafe { command.pre_exec(trace) };
}

/// Reads a mapping from its start up to the first byte that cannot be read; `None` if that is the first.
fn read_memory(pid: Pid, mapping: &Mapping) -> Option<Vec<u8>> {
    let mut content = vec![0; usize::try_from(mapping.size()).ok()?];
    let mut length = 0;
    while length < content.len() {
        let end = content.len().min(length + READ_SIZE);
        let remote = RemoteIoVec { base: mapping.start as usize + length, len: end - length };
        match process_vm_readv(pid, &mut [IoSliceMut::new(&mut content[length..end])], &[remote]) {
            Ok(0) | Err(_) => break,
            Ok(read) => length += read,
        }
    }
    content.truncate(length);
    (length > 0).then_some(content)
}

/// The threads of a process.
fn thread_ids(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(Process::path_of(pid, "task")).into_iter().flatten();
    let id = |name: OsString| name.to_str()?.parse().ok().map(Pid::from_raw);
    tasks.filter_map(|task| id(task.ok()?.file_name())).collect()
}

/// Waits until an interrupted thread stops; `None` if it is gone.
fn wait_for_stop(pid: Pid) -> Option<Stop> {
    loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return None,
            Ok(status) if Stop::of(status).is_some() => return Stop::of(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// The state of a stopped thread; `None` if it is gone.
fn thread_state(process: Pid, pid: Pid) -> Option<ThreadState> {
    let name = fs::read_to_string(Process::path_of(process, "task").join(pid.to_string()).join("comm"));
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
        program_counter,
        stack_pointer,
        registers,
    })
}

/// The architecture of the code that threads run: a processor of x86-64 runs 32-bit code in a segment of its own.
fn architecture(threads: &[ThreadState]) -> Architecture {
    const SEGMENT_OF_32_BIT_CODE: u64 = 0x23;
    match threads.iter().any(|thread| thread.register("cs") == SEGMENT_OF_32_BIT_CODE) {
        true => Architecture::X86,
        false => native_architecture(),
    }
}

fn native_architecture() -> Architecture {
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

/// A number in `/proc/PID/status`.
fn status_number(pid: Pid, name: &str) -> Option<u32> {
    let text = fs::read_to_string(Process::path_of(pid, "status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// A descriptor from which the signals are read that end the capture. They are no longer delivered.
fn end_signals() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}
