//! The traced threads of a process: which are stopped, and how.
//!
//! The first thread is traced from the start to the end of a capture, so that the exit of the process is seen. The others
//! are traced while they are stopped for a snapshot; all of them, and new ones too, if the capture waits for a function.
//!
//! All requests to trace come from one thread, as the system demands.
//!
//! Source: ptrace(2), on `PTRACE_SEIZE`.

use crate::error::Error;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

/// How a traced thread is stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// The signal that is delivered when it continues.
    signal: Option<Signal>,
    pub(super) kind: StopKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopKind {
    /// Stopped by `PTRACE_INTERRUPT`, outside of system calls.
    Interrupted,
    /// At the entry to a system call or the exit from it.
    SystemCall,
    /// Stopped in a system call, or to deliver a signal.
    Plain,
    /// Stopped before, by a signal such as `SIGSTOP`: it must stay so.
    Group,
    /// Stopped at a breakpoint, and not reported yet.
    Breakpoint,
    /// Stopped at a breakpoint, and reported.
    ReportedBreakpoint,
    /// About to exit.
    Exit,
}

impl Stop {
    /// The stop that a status tells of; `None` if it tells of none.
    fn of(status: WaitStatus) -> Option<Self> {
        let (signal, kind) = match status {
            WaitStatus::PtraceEvent(_, Signal::SIGTRAP, libc::PTRACE_EVENT_STOP) => {
                (None, StopKind::Interrupted)
            }
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_STOP) => (None, StopKind::Group),
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXIT) => (None, StopKind::Exit),
            WaitStatus::PtraceEvent(..) => (None, StopKind::Plain),
            WaitStatus::PtraceSyscall(_) => (None, StopKind::SystemCall),
            WaitStatus::Stopped(thread, Signal::SIGTRAP) if is_at_breakpoint(thread) => {
                (None, StopKind::Breakpoint)
            }
            WaitStatus::Stopped(_, signal) => (Some(signal), StopKind::Plain),
            _ => return None,
        };
        Some(Self { signal, kind })
    }
}

/// Whether a breakpoint of the system's performance events stopped a thread that received `SIGTRAP`.
fn is_at_breakpoint(thread: Pid) -> bool {
    /// `TRAP_PERF` of `siginfo.h`.
    const CODE: i32 = 6;
    ptrace::getsiginfo(thread).is_ok_and(|information| information.si_code == CODE)
}

/// What traced threads report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// A thread reached the breakpoint. It is stopped.
    Breakpoint(Pid),
    /// The process is about to exit. Its first thread is stopped.
    Exiting,
    /// The first thread is gone.
    Gone,
}

/// The traced threads of a process.
pub(super) struct Threads {
    process: Pid,
    /// How each traced thread is stopped; `None` if it runs.
    traced: BTreeMap<Pid, Option<Stop>>,
    /// Whether all threads stay traced while they run.
    traces_all: bool,
}

impl Threads {
    /// Traces the first thread of a process, which continues.
    pub(super) fn attach(process: Pid) -> nix::Result<Self> {
        let mut threads = Self { process, traced: BTreeMap::new(), traces_all: false };
        threads.seize(process)?;
        Ok(threads)
    }

    /// Waits until the first thread reports that it is stopped. It continues as if it had not been.
    pub(super) fn await_start(&mut self) -> nix::Result<()> {
        waitpid(self.process, Some(WaitPidFlag::__WALL))?;
        self.traced.insert(self.process, Some(Stop { signal: None, kind: StopKind::Plain }));
        Ok(())
    }

    fn seize(&mut self, thread: Pid) -> nix::Result<()> {
        ptrace::seize(thread, self.options(thread))?;
        self.traced.insert(thread, None);
        Ok(())
    }

    /// What a traced thread reports.
    fn options(&self, thread: Pid) -> Options {
        let mut options = Options::PTRACE_O_TRACESYSGOOD;
        options.set(Options::PTRACE_O_TRACEEXIT, thread == self.process);
        options.set(Options::PTRACE_O_TRACECLONE, self.traces_all);
        options
    }

    /// Whether the first thread is traced.
    pub(super) fn is_attached(&self) -> bool {
        self.traced.contains_key(&self.process)
    }

    /// The traced threads, the first included.
    pub(super) fn ids(&self) -> impl Iterator<Item = Pid> {
        self.traced.keys().copied()
    }

    /// How the first thread is stopped; `None` if it runs.
    pub(super) fn first_stop(&mut self) -> Option<&mut Stop> {
        self.traced.get_mut(&self.process)?.as_mut()
    }

    /// Stops all threads. False if the process is gone.
    pub(super) fn stop_all(&mut self) -> Result<bool, Error> {
        if !self.is_attached() {
            match self.seize(self.process) {
                Ok(()) => {}
                Err(Errno::ESRCH) => return Ok(false),
                Err(errno) => return Err(Error::errno(self.process, "trace")(errno)),
            }
        }
        if !self.stop(self.process) {
            return Ok(false);
        }
        loop {
            let mut is_new = false;
            for thread in thread_ids(self.process) {
                let is_running = match self.traced.get(&thread) {
                    Some(stop) => stop.is_none(),
                    None => match self.seize(thread) {
                        Ok(()) => true,
                        // One that a traced thread has just started is traced already.
                        Err(Errno::EPERM) if self.traces_all => self.traced.insert(thread, None).is_none(),
                        Err(_) => false,
                    },
                };
                is_new |= is_running && self.stop(thread);
            }
            if !is_new {
                return Ok(true);
            }
        }
    }

    /// Stops a traced thread. False if it is gone.
    fn stop(&mut self, thread: Pid) -> bool {
        if self.traced.get(&thread).is_some_and(Option::is_some) {
            return true;
        }
        let stop = ptrace::interrupt(thread).ok().and_then(|()| wait_for_stop(thread));
        match stop {
            Some(_) => self.traced.insert(thread, stop),
            None => self.traced.remove(&thread),
        };
        stop.is_some()
    }

    /// Keeps all threads of a stopped process traced from now on, and those that they start.
    pub(super) fn trace_all(&mut self) {
        self.traces_all = true;
        for thread in self.traced.keys() {
            // A thread that is gone needs no options.
            _ = ptrace::setoptions(*thread, self.options(*thread));
        }
    }

    /// Lets all threads continue but those at a breakpoint that was not reported yet, and releases those that are traced
    /// for a snapshot only.
    pub(super) fn resume_all(&mut self) -> Result<(), Error> {
        for thread in self.ids().collect::<Vec<_>>() {
            if thread == self.process || self.traces_all {
                self.resume(thread)?;
            } else {
                self.release(thread);
            }
        }
        Ok(())
    }

    /// Lets a thread continue. One that was stopped before stays so, and is no longer traced.
    fn resume(&mut self, thread: Pid) -> Result<(), Error> {
        let Some(Some(stop)) = self.traced.get(&thread).copied() else { return Ok(()) };
        let result = match stop.kind {
            StopKind::Breakpoint => return Ok(()),
            StopKind::Group => {
                self.traced.remove(&thread);
                ptrace::detach(thread, None)
            }
            _ => {
                self.traced.insert(thread, None);
                ptrace::cont(thread, stop.signal)
            }
        };
        match result {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Error::errno(thread, "continue")(errno)),
        }
    }

    /// No longer traces a thread, which continues.
    fn release(&mut self, thread: Pid) {
        if self.stop(thread)
            && let Some(Some(stop)) = self.traced.remove(&thread)
        {
            // One that is gone needs no release.
            _ = ptrace::detach(thread, stop.signal);
        }
    }

    /// No longer traces any thread.
    pub(super) fn release_all(&mut self) {
        for thread in self.ids().collect::<Vec<_>>() {
            self.release(thread);
        }
    }

    /// What the threads report; `None` if the capture need not know. Threads that reported nothing of interest continue.
    pub(super) fn poll(&mut self) -> Result<Option<Report>, Error> {
        let running: Vec<Pid> =
            self.traced.iter().filter(|(_, stop)| stop.is_none()).map(|(thread, _)| *thread).collect();
        for thread in running {
            if let Some(report) = self.poll_thread(thread)? {
                return Ok(Some(report));
            }
        }
        Ok(self.at_breakpoint().map(Report::Breakpoint))
    }

    /// Lets a thread continue as long as it stops for nothing of interest.
    fn poll_thread(&mut self, thread: Pid) -> Result<Option<Report>, Error> {
        while self.traced.get(&thread).is_some_and(Option::is_none) {
            let status = match waitpid(thread, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
                Ok(WaitStatus::StillAlive) => return Ok(None),
                Ok(status) => status,
                Err(Errno::ECHILD) => WaitStatus::Exited(thread, 0),
                Err(errno) => return Err(Error::errno(thread, "wait for")(errno)),
            };
            let Some(stop) = Stop::of(status) else {
                if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                    self.traced.remove(&thread);
                    return Ok((thread == self.process).then_some(Report::Gone));
                }
                continue;
            };
            self.traced.insert(thread, Some(stop));
            if let WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_CLONE) = status
                && let Ok(started) = ptrace::getevent(thread)
            {
                // It is traced already, and stops before its first instruction.
                self.traced.entry(Pid::from_raw(started as i32)).or_insert(None);
            }
            // Other threads report their exit if one that reports its own started them.
            if stop.kind == StopKind::Exit && thread == self.process {
                return Ok(Some(Report::Exiting));
            }
            self.resume(thread)?;
        }
        Ok(None)
    }

    /// A thread at the breakpoint. It counts as reported.
    fn at_breakpoint(&mut self) -> Option<Pid> {
        let mut stops = self.traced.iter_mut();
        stops.find_map(|(thread, stop)| {
            let stop = stop.as_mut().filter(|stop| stop.kind == StopKind::Breakpoint)?;
            stop.kind = StopKind::ReportedBreakpoint;
            Some(*thread)
        })
    }
}

/// The threads of a process.
fn thread_ids(process: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    let id = |name: OsString| name.to_str()?.parse().ok().map(Pid::from_raw);
    tasks.filter_map(|task| id(task.ok()?.file_name())).collect()
}

/// Waits until a thread stops that was interrupted, or continued up to a stop; `None` if it is gone.
pub(super) fn wait_for_stop(thread: Pid) -> Option<Stop> {
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return None,
            Ok(status) if Stop::of(status).is_some() => return Stop::of(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}
