//! `(program, arguments) -> states`: traces a program with `ptrace`, one instruction at a time while it executes its
//! own code.
//!
//! A call into a library runs without tracing until it returns or calls back. Callbacks are functions of the program
//! whose addresses were passed in registers.

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

pub(crate) type Registers = nix::libc::user_regs_struct;

/// A traced program.
pub(crate) struct Tracer {
    child: Child,
    pid: Pid,
    /// Load bias of the file.
    pub(crate) bias: u64,
    /// Mapped address ranges of the program's own code.
    code: Vec<std::ops::Range<u64>>,
    /// Addresses of breakpoints, and the original words there.
    breakpoints: BTreeMap<u64, i64>,
}

impl Tracer {
    /// Starts a program and stops it at its first instruction. `code` are its code ranges and `entry` its entry point,
    /// as addresses of the file. Fails, with the reason, if the system does not allow tracing.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        code: &[std::ops::Range<u64>],
        entry: u64,
    ) -> Result<Self, String> {
        // The shell waits until it is traced before it executes the program.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "read _; exec \"$0\" \"$@\""])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env_clear()
            .spawn()
            .map_err(|error| error.to_string())?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
        let input = child.stdin.take();
        let mut tracer = Self { child, pid, bias: 0, code: Vec::new(), breakpoints: BTreeMap::new() };
        tracer.bias = tracer.attach(input, program, code)?;
        let bias = tracer.bias;
        tracer.code =
            code.iter().map(|range| range.start.wrapping_add(bias)..range.end.wrapping_add(bias)).collect();
        tracer.run_to(&[entry.wrapping_add(bias)])?;
        Ok(tracer)
    }

    /// Runs to the entry point and returns the load bias.
    fn attach(
        &self,
        input: Option<ChildStdin>,
        program: &Path,
        code: &[std::ops::Range<u64>],
    ) -> Result<u64, String> {
        let explain = |error: nix::Error| format!("tracing is not allowed here: {error}");
        ptrace::seize(self.pid, Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL).map_err(explain)?;
        if let Some(mut input) = input {
            input.write_all(b"\n").map_err(|error| error.to_string())?;
        }
        loop {
            match waitpid(self.pid, None).map_err(explain)? {
                // The stop may be the start of the shell.
                WaitStatus::PtraceEvent(_, _, nix::libc::PTRACE_EVENT_EXEC) => {
                    match self.loaded_at(program, code) {
                        Ok(bias) => return Ok(bias),
                        Err(_) => ptrace::cont(self.pid, None).map_err(explain)?,
                    }
                }
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                    return Err("the program did not start".to_owned());
                }
                _ => ptrace::cont(self.pid, None).map_err(explain)?,
            }
        }
    }

    /// Load bias of a file.
    fn loaded_at(&self, program: &Path, code: &[std::ops::Range<u64>]) -> Result<u64, String> {
        let path = fs::canonicalize(program).map_err(|error| error.to_string())?;
        let maps =
            fs::read_to_string(format!("/proc/{}/maps", self.pid)).map_err(|error| error.to_string())?;
        let own = maps.lines().filter(|line| line.ends_with(&*path.to_string_lossy()));
        let starts = own.filter_map(|line| u64::from_str_radix(line.split('-').next()?, 16).ok());
        let lowest = starts.min().ok_or("the program is not mapped")?;
        // Files that are not position-independent have a load bias of 0.
        let is_fixed = code.iter().any(|range| range.start >= lowest);
        Ok(if is_fixed { 0 } else { lowest })
    }

    pub(crate) fn registers(&self) -> Option<Registers> {
        ptrace::getregs(self.pid).ok()
    }

    pub(crate) fn read(&self, address: u64) -> Option<u64> {
        ptrace::read(self.pid, address as ptrace::AddressType).ok().map(|word| word as u64)
    }

    fn is_own(&self, address: u64) -> bool {
        self.code.iter().any(|range| range.contains(&address))
    }

    /// Executes one instruction. If it enters a library, continues until the program's own code is reached: at one of
    /// `returns`, or in a function that the library may call. `None` if the program ends.
    pub(crate) fn step(&mut self, returns: &[u64], is_function: impl Fn(u64) -> bool) -> Option<Registers> {
        ptrace::step(self.pid, None).ok()?;
        if !self.wait() {
            return None;
        }
        let registers = self.registers()?;
        if self.is_own(registers.rip) {
            return Some(registers);
        }
        let back = self.read(registers.rsp);
        let given = [registers.rdi, registers.rsi, registers.rdx, registers.rcx, registers.r8, registers.r9];
        let given = given
            .into_iter()
            .filter(|address| self.is_own(*address) && is_function(address.wrapping_sub(self.bias)));
        let mut stops: Vec<u64> = given.collect();
        stops.extend(returns.iter().copied().chain(back).filter(|back| self.is_own(*back)));
        self.run_to(&stops).ok()?;
        self.registers()
    }

    /// Continues until one of `stops` or of the previous stops is reached.
    fn run_to(&mut self, stops: &[u64]) -> Result<(), String> {
        let explain = |error: nix::Error| error.to_string();
        for stop in stops {
            if !self.breakpoints.contains_key(stop) {
                let word = ptrace::read(self.pid, *stop as ptrace::AddressType).map_err(explain)?;
                self.breakpoints.insert(*stop, word);
            }
        }
        for (place, word) in &self.breakpoints {
            ptrace::write(self.pid, *place as ptrace::AddressType, word & !0xff | 0xcc).map_err(explain)?;
        }
        ptrace::cont(self.pid, None).map_err(explain)?;
        if !self.wait() {
            return Err("the program ended".to_owned());
        }
        // In descending order, since words at nearby addresses overlap.
        for (place, word) in self.breakpoints.iter().rev() {
            ptrace::write(self.pid, *place as ptrace::AddressType, *word).map_err(explain)?;
        }
        let mut registers = self.registers().ok_or("the program ended")?;
        registers.rip -= 1;
        ptrace::setregs(self.pid, registers).map_err(explain)
    }

    /// Waits until the program stops; false if it ended.
    fn wait(&self) -> bool {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => return true,
                // Signals are delivered, but handlers are not traced.
                Ok(WaitStatus::Stopped(_, signal)) => {
                    if ptrace::step(self.pid, signal).is_err() {
                        return false;
                    }
                }
                Ok(WaitStatus::PtraceEvent(..)) => {
                    if ptrace::cont(self.pid, None).is_err() {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
