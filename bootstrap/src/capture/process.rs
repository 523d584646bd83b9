//! A running process: stopped for a snapshot, and released.
//!
//! *Protocol.* For a snapshot all threads are interrupted, until no new ones appear, and afterwards they continue
//! (`threads`). A signal that arrives meanwhile is delivered when its thread continues.
//!
//! Source: ptrace(2), on `PTRACE_SEIZE`; `process_vm_readv`(2).

use super::breakpoint::Breakpoint;
use super::content::{Content, PAGE_SIZE};
use super::mappings::{Mapping, Origin, classify, parse_maps};
use super::memory::{read_parts, read_whole};
use super::registers::{architecture, native_architecture, thread_state};
use super::request::CaptureRequest;
use super::selection::read_contents;
use super::snapshot::{ProcessSnapshot, ThreadState, stack_pointers};
use super::threads::{Report, Threads};
use super::written_pages::WrittenPages;
use crate::error::Error;
use binframe_ir::tables::{ChangeDetection, RegionType};
use binframe_passes::ranges;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two looks at the state of the threads, if no signal announces a change.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// What happened while the process ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The time is over.
    Deadline,
    /// A thread reached the breakpoint. It is stopped.
    Breakpoint(Pid),
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
    threads: Threads,
    /// `None` if the pages that it writes are not known.
    written: Option<WrittenPages>,
    breakpoint: Option<Breakpoint>,
    signals: Signals,
}

/// Signals that are read from a descriptor, and not delivered to the thread.
struct Signals {
    descriptor: SignalFd,
    /// The signals that the thread did not receive before.
    previous: SigSet,
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
        if is_gone(pid) {
            return Err(fail("its first thread has ended, so it cannot be traced".to_owned()));
        }
        if let Some(tracer) = status_number(pid, "TracerPid:").filter(|tracer| *tracer != 0) {
            return Err(fail(format!("process {tracer} traces it already, such as a debugger")));
        }
        let executable = fs::read_link(executable).unwrap_or_default();
        let threads = Threads::attach(pid).map_err(|errno| {
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
        Self::new(pid, None, executable, threads)
    }

    fn new(pid: Pid, child: Option<Child>, executable: PathBuf, threads: Threads) -> Result<Self, Error> {
        let signals = Signals::new().map_err(Error::errno(pid, "wait for signals"))?;
        Ok(Self { pid, child, executable, threads, written: None, breakpoint: None, signals })
    }

    /// Starts a command, with more variables in its environment, and traces it from its first instruction.
    pub(super) fn spawn(
        command: &[OsString],
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Result<Self, Error> {
        let (program, arguments) = command.split_first().expect("a command has a program");
        let mut start = Command::new(program);
        start.args(arguments).envs(variables);
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
            let mut threads = Threads::attach(pid)?;
            kill(pid, Signal::SIGCONT)?;
            // It reports that it is stopped by the signal, and then the one that continues it.
            threads.await_start()?;
            Ok(threads)
        };
        let threads = seize().map_err(failed)?;
        let executable = fs::read_link(Self::path_of(pid, "exe")).unwrap_or_default();
        Self::new(pid, Some(child), executable, threads)
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

    /// The error of a capture that has no snapshot, given the function that it waited for.
    pub(super) fn ended_early(&self, function: Option<&str>) -> Error {
        let found = match function {
            Some(function) => format!("it ended before a thread reached `{function}`"),
            None => "it ended before the first snapshot; with `--on-exit` the last moment is captured".into(),
        };
        Error::Capture { subject: format!("process {}", self.pid), found }
    }

    /// Lets the process run until something happens.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Result<Event, Error> {
        self.threads.resume_all()?;
        loop {
            match self.threads.poll()? {
                Some(Report::Breakpoint(thread)) => return Ok(Event::Breakpoint(thread)),
                Some(Report::Exiting) => return Ok(Event::Exiting),
                Some(Report::Gone) => return Ok(Event::Gone),
                None if !self.threads.is_attached() && is_gone(self.pid) => return Ok(Event::Gone),
                None => {}
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Event::Deadline);
            }
            let timeout = PollTimeout::try_from(left.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL));
            let mut waited = [PollFd::new(self.signals.descriptor.as_fd(), PollFlags::POLLIN)];
            // An interruption is as good as the end of the time.
            _ = poll(&mut waited, timeout.unwrap_or(PollTimeout::ZERO));
            if self.signals.ask_to_end() {
                return Ok(Event::Ended);
            }
        }
    }

    /// Stops the process, copies its state, and lets it continue. `None` if it is gone.
    pub(super) fn snapshot(
        &mut self,
        request: &CaptureRequest<'_>,
    ) -> Result<Option<ProcessSnapshot>, Error> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Instant::now();
        if !self.threads.stop_all()? {
            return Ok(None);
        }
        let snapshot = self.copy(request);
        self.threads.resume_all()?;
        let mut snapshot = snapshot?;
        snapshot.timestamp = timestamp.as_nanos() as i64;
        snapshot.pause = Some(start.elapsed());
        Ok(Some(snapshot))
    }

    /// Copies the state of the stopped process.
    fn copy(&mut self, request: &CaptureRequest<'_>) -> Result<ProcessSnapshot, Error> {
        let threads = self.threads.ids().filter_map(|thread| thread_state(self.pid, thread));
        let threads: Vec<_> = threads.collect();
        let architecture = architecture(&threads);
        let mut mappings = self.mappings()?;
        classify(&mut mappings, &stack_pointers(&threads));
        if request.is_series() && self.written.is_none() && architecture == native_architecture() {
            self.track_writes(&mappings);
        }
        let written = self.written.as_ref();
        let contents = read_contents(&mappings, request, |mapping| self.read(written, mapping, &threads));
        if let Some(written) = written {
            let unread = mappings.iter().zip(&contents).filter(|(_, content)| content.is_none());
            unread.for_each(|(mapping, _)| written.forget(mapping));
        }
        let is_partial = contents.iter().flatten().any(|content| content.as_whole().is_none());
        let change_detection =
            if is_partial { ChangeDetection::PagemapScan } else { ChangeDetection::FullRead };
        Ok(ProcessSnapshot {
            timestamp: 0,
            pause: None,
            architecture: Some(architecture),
            mappings,
            contents,
            change_detection,
            threads,
            entry: None,
            modules: Vec::new(),
        })
    }

    fn mappings(&self) -> Result<Vec<Mapping>, Error> {
        let path = Self::path_of(self.pid, "maps");
        let text = fs::read(&path).map_err(Error::io(&path, "read"))?;
        Ok(parse_maps(&String::from_utf8_lossy(&text)))
    }

    /// Reads a mapping, or what may have changed in it. Of a stack, the part in use is read in any case, for unwinding.
    fn read(
        &self,
        written: Option<&WrittenPages>,
        mapping: &Mapping,
        threads: &[ThreadState],
    ) -> Option<Content> {
        let Some(changed) = written.and_then(|written| written.changed(mapping)) else {
            return read_whole(self.pid, mapping);
        };
        let range = mapping.start..mapping.end;
        let pointers = threads.iter().map(|thread| thread.stack_pointer);
        let in_use = pointers.filter(|pointer| range.contains(pointer)).min();
        let in_use = in_use.filter(|_| mapping.region_type == RegionType::Stack);
        let in_use = in_use.map(|pointer| pointer - pointer % PAGE_SIZE as u64..mapping.end);
        let mut parts: Vec<_> = changed.into_iter().chain(in_use).collect();
        ranges::merge(&mut parts);
        Some(read_parts(self.pid, mapping, &parts))
    }

    /// Prepares to see which pages the stopped process writes, if the system can do so without an effect on it.
    fn track_writes(&mut self, mappings: &[Mapping]) {
        let is_filtered = status_number(self.pid, "Seccomp:").is_none_or(|mode| mode != 0);
        let code = mappings.iter().find(|mapping| mapping.origin == Origin::Kernel("[vdso]".to_owned()));
        if let (Some(code), Some(stop), false) = (code, self.threads.first_stop(), is_filtered)
            && let Some(content) = read_whole(self.pid, code)
        {
            self.written = WrittenPages::of(self.pid, stop, (code.start, content.bytes_from(0)));
        }
    }

    /// The process as it is, without content. It must be stopped.
    pub(super) fn outline(&self) -> Result<ProcessSnapshot, Error> {
        Ok(ProcessSnapshot::without_content(self.mappings()?))
    }

    /// Stops all threads, and keeps them traced from now on.
    pub(super) fn stop_for_breakpoints(&mut self) -> Result<bool, Error> {
        let is_there = self.threads.stop_all()?;
        self.threads.trace_all();
        Ok(is_there)
    }

    /// Sets the breakpoint, in place of the one before. All threads must be stopped.
    pub(super) fn set_breakpoint(&mut self, address: u64) -> Result<(), Error> {
        self.breakpoint = None;
        let set = Breakpoint::set(address, self.threads.ids());
        self.breakpoint = Some(set.map_err(|errno| Error::Capture {
            subject: format!("process {}", self.pid),
            found: format!(
                "no breakpoint can be set at {address:#x} ({}); see /proc/sys/kernel/perf_event_paranoid",
                errno.desc()
            ),
        })?);
        Ok(())
    }

    /// Removes the breakpoint.
    pub(super) fn remove_breakpoint(&mut self) {
        self.breakpoint = None;
    }

    /// The address at which the program starts, according to the system; `None` if it does not say.
    pub(super) fn entry(&self) -> Option<u64> {
        const ENTRY: u64 = 9;
        let bytes = fs::read(Self::path_of(self.pid, "auxv")).ok()?;
        let (words, _) = bytes.as_chunks::<8>();
        let (pairs, _) = words.as_chunks::<2>();
        let pairs = pairs.iter().map(|pair| pair.map(u64::from_ne_bytes));
        pairs.map(|[key, value]| (key, value)).find(|(key, _)| *key == ENTRY).map(|(_, value)| value)
    }

    /// Releases the process. A command that was started and ran to its end is waited for.
    pub(super) fn release(&mut self) {
        self.breakpoint = None;
        if let Some(written) = self.written.take()
            && self.threads.stop_all().unwrap_or(false)
            && let Some(stop) = self.threads.first_stop()
        {
            written.close(self.pid, stop);
        }
        self.threads.release_all();
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

impl Signals {
    /// Signals that end the capture, or announce a change of a thread.
    fn new() -> nix::Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGCHLD);
        let previous = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let descriptor = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { descriptor, previous })
    }

    /// Whether one of them asks to end the capture.
    fn ask_to_end(&mut self) -> bool {
        let mut is_end = false;
        while let Ok(Some(signal)) = self.descriptor.read_signal() {
            is_end |= signal.ssi_signo != Signal::SIGCHLD as u32;
        }
        is_end
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What was asked has been done.
        self.ask_to_end();
        _ = self.previous.thread_set_mask();
    }
}

/// Lets a command be traced by this process from its first instruction.
#[expect(unsafe_code, reason = "code between fork and exec must not depend on other threads")]
fn trace_from_start(command: &mut Command) {
    let trace = || ptrace::traceme().map_err(io::Error::from);
    // SAFETY: between fork and exec, only a system call is made, which neither allocates nor takes a lock.
    unsafe { command.pre_exec(trace) };
}

/// Whether a process has ended, although nobody may have waited for it.
fn is_gone(pid: Pid) -> bool {
    status_field(pid, "State:").is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// A number in `/proc/PID/status`.
fn status_number(pid: Pid, name: &str) -> Option<u32> {
    status_field(pid, name)?.parse().ok()
}

/// A field of `/proc/PID/status`.
fn status_field(pid: Pid, name: &str) -> Option<String> {
    let text = fs::read_to_string(Process::path_of(pid, "status")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}
