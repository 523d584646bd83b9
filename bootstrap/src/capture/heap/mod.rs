//! The heap recorder: all allocations of a program that binframe starts.
//!
//! *Problem.* State each allocation of a program with the calls that made it, at little cost to the program.
//!
//! *Notation.* The *recorder* is a library that is loaded into the program (`bootstrap/heap-recorder`). The *reader* is a
//! thread of this process. They share the *channel*, memory with a ring of records for each thread of the program.
//!
//! *Phases.*
//!  1. The recorder is written to a private folder, from which the loader of the program loads it (`LD_PRELOAD`). There it
//!     finds the channel, a link to memory of this process.
//!  2. The recorder writes allocations, with what changed on the stack, and releases to the ring of their thread.
//!  3. The reader takes the records in the order of their times (`reader`), unwinds the stacks (`unwinding`), finds the call
//!     site (`call_sites`), and writes the row of an allocation when it is released (`allocations`).
//!
//! *Cost.* Memory: the channel, the allocations that are not released, and the call sites. A writer whose ring is full waits
//! for the reader, so that no event is lost while the reader lives.
//!
//! *Failure.* If this process ends, the program records no more after a wait of two seconds, and continues.

mod allocations;
mod call_sites;
#[expect(unreachable_pub, reason = "the recorder is another crate with this file")]
pub(super) mod channel;
mod live_table;
mod reader;
mod unwinding;

use self::channel::Channel;
use self::reader::{Reader, Tally};
use super::output::Output;
use crate::error::Error;
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// The recorder, compiled by the build script; empty if it does not support this system.
const RECORDER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/heap_recorder.so"));

/// The mapped channel.
struct Memory(MmapRaw);

impl Memory {
    #[expect(unsafe_code, reason = "the program writes to the memory too")]
    #[expect(clippy::cast_ptr_alignment, reason = "mappings are aligned to pages")]
    fn channel(&self) -> &Channel {
        // SAFETY: the mapping is aligned to pages and as large as the channel, whose fields are all atomic numbers.
        unsafe { &*self.0.as_ptr().cast::<Channel>() }
    }
}

/// A recording of the heap of one program.
pub(super) struct HeapRecording {
    folder: TempDir,
    memory: Arc<Memory>,
    /// The memory, to which the link in the folder leads.
    _file: File,
    is_ending: Arc<AtomicBool>,
    reader: Option<JoinHandle<Result<Tally, Error>>>,
    /// The thread that shows writers that this process lives, also while the reader reads a large module.
    ticker: Option<JoinHandle<()>>,
}

/// Time between two signs of life.
const TICK: Duration = Duration::from_millis(20);

impl HeapRecording {
    /// Prepares the recorder and the channel.
    pub(super) fn create() -> Result<Self, Error> {
        let fail = |found: String| Error::Capture { subject: "the heap".to_owned(), found };
        if RECORDER.is_empty() {
            return Err(fail("it can be recorded on x86-64 Linux with glibc only".to_owned()));
        }
        let folder = tempfile::Builder::new().prefix("binframe-heap-").tempdir();
        let folder = folder.map_err(Error::io(&std::env::temp_dir(), "create a folder in"))?;
        if folder.path().as_os_str().as_bytes().iter().any(|byte| b" :".contains(byte)) {
            let path = folder.path().display();
            return Err(fail(format!(
                "{path}: the loader of programs cannot load from it; set TMPDIR to a path without spaces and colons"
            )));
        }
        let library = folder.path().join("recorder.so");
        fs::write(&library, RECORDER).map_err(Error::io(&library, "write"))?;
        let share = || -> io::Result<(File, MmapRaw)> {
            let file = File::from(memfd_create(channel::MEMORY_NAME, MemfdFlags::CLOEXEC)?);
            ftruncate(&file, size_of::<Channel>() as u64)?;
            let memory = MmapOptions::new().map_raw(&file)?;
            let target = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            symlink(target, folder.path().join("channel"))?;
            Ok((file, memory))
        };
        let (file, memory) = share().map_err(Error::io(folder.path(), "share memory in"))?;
        let memory = Arc::new(Memory(memory));
        memory.channel().reader.store(std::process::id(), Ordering::Relaxed);
        memory.channel().is_open.store(1, Ordering::Relaxed);
        Ok(Self { folder, memory, _file: file, is_ending: Arc::default(), reader: None, ticker: None })
    }

    /// The variables of the command: one makes the loader of a program load the recorder, the other tells programs that
    /// record themselves (`heap-allocator`) where the channel is.
    pub(super) fn variables(&self) -> [(&'static str, OsString); 2] {
        const PRELOAD: &str = "LD_PRELOAD";
        let mut libraries = self.folder.path().join("recorder.so").into_os_string();
        if let Some(others) = std::env::var_os(PRELOAD) {
            libraries.push(":");
            libraries.push(others);
        }
        [(PRELOAD, libraries), (channel::VARIABLE, self.folder.path().join("channel").into())]
    }

    /// Starts to read what the process records.
    pub(super) fn start(&mut self, process: u32, output: Output) {
        let (memory, is_ending) = (Arc::clone(&self.memory), Arc::clone(&self.is_ending));
        let read = move || Reader::new(memory.channel(), process, output).run(&is_ending);
        self.reader = Some(std::thread::spawn(read));
        let (memory, is_ending) = (Arc::clone(&self.memory), Arc::clone(&self.is_ending));
        self.ticker = Some(std::thread::spawn(move || {
            while !is_ending.load(Ordering::Acquire) {
                memory.channel().heartbeat.0.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(TICK);
            }
        }));
    }

    /// Ends the recording when all that was recorded is written. Returns what is missing in it, as sentences. A process that
    /// still runs keeps the folder, which programs that it starts look for.
    pub(super) fn finish(mut self, is_running: bool) -> Result<Vec<String>, Error> {
        self.folder.disable_cleanup(is_running);
        let is_stopped = self.memory.channel().is_open.load(Ordering::Relaxed) == 0;
        let tally = self.end().unwrap_or_else(|| Ok(Tally::default()))?;
        let channel = self.memory.channel();
        if channel.programs.load(Ordering::Relaxed) == 0 {
            return Err(Error::Capture {
                subject: "the heap".to_owned(),
                found: "nothing was recorded: the program did not load the recorder, because it is statically linked \
                        (a program in Rust records itself with the allocator of the crate binframe-heap-allocator), \
                        runs with the rights of another user (setuid), uses another C library than glibc, or the folder \
                        for temporary files does not permit to execute (TMPDIR)"
                    .to_owned(),
            });
        }
        let mut missing = Vec::new();
        if !tally.has_events {
            missing.push(
                "heap: the program did not allocate, or with functions of its own that replace `malloc`"
                    .to_owned(),
            );
        }
        if tally.has_foreign_records {
            missing.push(
                "heap: the recording stopped when the program wrote to the memory of the recorder".to_owned(),
            );
        } else if is_stopped {
            missing.push("heap: the recording stopped when binframe stood still for two seconds".to_owned());
        }
        let dropped = channel.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            missing.push(format!("heap: {dropped} events were not recorded: more than {} threads at a time, or events in signal handlers", channel::THREADS_MAX));
        }
        Ok(missing)
    }

    /// Closes the channel, and waits for the reader; `None` if it was not started.
    fn end(&mut self) -> Option<Result<Tally, Error>> {
        self.memory.channel().is_open.store(0, Ordering::Relaxed);
        self.is_ending.store(true, Ordering::Release);
        _ = self.ticker.take().map(JoinHandle::join);
        let reader = self.reader.take()?;
        Some(reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for HeapRecording {
    fn drop(&mut self) {
        drop(self.end());
    }
}
