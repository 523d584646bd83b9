//! Captures: the memory of a process or of a core dump as a dataset.
//!
//! *Problem.* Show what memory held at one or several moments, in tables that can be joined to those of the code.
//!
//! *Notation.* A *snapshot* is the state of a process while all of its threads are stopped: mappings, the content of
//! memory, threads with their registers. A *capture* is a series of snapshots.
//!
//! *Phases.*
//!  1. Stop the process, copy its state, and let it continue (`process`); or read a core dump (`core_dump`) or a
//!     minidump (`minidump`).
//!  2. Find the modules that are mapped (`modules`), unwind the stacks of the threads (`stacks`), and list the chunks of
//!     the heap (`glibc_heap`).
//!  3. Write the rows (`recorder`), and of pages only those that changed since the previous snapshot (`pages`).
//!
//! Meanwhile the allocations of a command are recorded, on request (`heap`).
//!
//! A process is stopped only in phase 1. Another thread writes the rows (`backlog`). A capture needs the memory of one
//! snapshot, 64 MiB of others that wait, and the digests of the pages of the last one.
//!
//! *Failure.* The process is traced with `PTRACE_SEIZE`. However this process ends, the system releases the threads that
//! it stopped. A dataset appears at its target path complete or not at all. Its files can be read by their owner only,
//! because memory holds secrets.

mod backlog;
mod breakpoint;
mod content;
mod core_dump;
mod core_program;
mod frame;
mod glibc_heap;
mod heap;
mod mappings;
mod memory;
mod minidump;
mod modules;
mod output;
mod pages;
mod process;
mod recorder;
mod registers;
pub(crate) mod request;
mod selection;
mod snapshot;
mod source_lines;
mod stacks;
mod stacks_x86;
mod system_call;
mod threads;
mod written_pages;

use self::backlog::{Backlog, POLL_INTERVAL, TakenSnapshot};
use self::core_dump::read_core_dump;
use self::heap::HeapRecording;
use self::minidump::read_minidump;
use self::modules::{Images, Module};
use self::process::{Event, Process};
use self::recorder::Recorder;
use self::request::{CaptureRequest, CaptureTarget};
use crate::error::Error;
use crate::store::manifest::Manifest;
use crate::verify::verify;
use binframe_ir::tables::SnapshotReason;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// Captures snapshots into a dataset. Calls `observe` with the number of snapshots after each. A signal to end the
/// capture (`SIGINT`, `SIGTERM`) ends it after the last snapshot, and the dataset has those that were taken.
pub fn capture(request: &CaptureRequest<'_>, observe: &mut dyn FnMut(u32)) -> Result<Manifest, Error> {
    let mut heap = request.has_heap.then(HeapRecording::create).transpose()?;
    let mut process = match &request.target {
        CaptureTarget::CoreDump(path) => {
            let mut recorder = Recorder::create(request, path)?;
            let snapshot = read_core_dump(path, request, &mut recorder.images)?;
            recorder.record(&snapshot, SnapshotReason::CoreDump, None)?;
            observe(1);
            return finish(recorder, request, Vec::new());
        }
        CaptureTarget::Minidump(path) => {
            let mut recorder = Recorder::create(request, path)?;
            let snapshot = read_minidump(path, request)?;
            recorder.record(&snapshot, SnapshotReason::Minidump, None)?;
            observe(1);
            return finish(recorder, request, Vec::new());
        }
        CaptureTarget::Process(id) => Process::attach(*id)?,
        CaptureTarget::Command(command) => {
            let variables = heap.as_ref().map(HeapRecording::variables);
            Process::spawn(command, variables.into_iter().flatten())?
        }
    };
    let mut recorder = Recorder::create(request, process.executable())?;
    if let Some(heap) = &mut heap {
        heap.start(process.id(), recorder.heap_output()?);
    }
    if let Some(function) = request.at {
        let is_new = matches!(request.target, CaptureTarget::Command(_));
        stop_at(&mut process, &mut recorder.images, function, is_new)?;
    }
    let is_running = take_and_write(request, &mut process, &mut recorder, observe)?;
    if recorder.is_empty() {
        return Err(process.ended_early(request.at));
    }
    let missing = heap.map(|heap| heap.finish(is_running)).transpose()?.unwrap_or_default();
    finish(recorder, request, missing)
}

/// Sets a breakpoint at a function. A new process runs first up to the start of its program, so that libraries are loaded.
fn stop_at(process: &mut Process, images: &mut Images, function: &str, is_new: bool) -> Result<(), Error> {
    if !process.stop_for_breakpoints()? {
        return Err(process.ended_early(Some(function)));
    }
    if is_new && let Some(entry) = process.entry() {
        process.set_breakpoint(entry)?;
        if !matches!(process.wait(None)?, Event::Breakpoint(_)) {
            return Err(process.ended_early(Some(function)));
        }
    }
    let modules = images.modules(&process.outline()?);
    let is_program = |module: &Module| Path::new(&module.path) == process.executable();
    let program = modules.iter().find(|module| is_program(module));
    let address = match function.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(address)) => program.map(|program| address.wrapping_add(program.load_bias)),
        _ => program.into_iter().chain(&modules).find_map(|module| {
            module.image.address_of(function).map(|address| address.wrapping_add(module.load_bias))
        }),
    };
    let address = address.ok_or_else(|| Error::Capture {
        subject: function.to_owned(),
        found: format!(
            "no symbol of the program and its libraries ({} files) names such a function; give its address in \
             the file of the program as `0x…`",
            modules.len()
        ),
    })?;
    process.set_breakpoint(address)
}

/// Takes the snapshots that are requested and releases the process, while another thread writes them. Returns whether the
/// process still runs.
fn take_and_write(
    request: &CaptureRequest<'_>,
    process: &mut Process,
    recorder: &mut Recorder,
    observe: &mut dyn FnMut(u32),
) -> Result<bool, Error> {
    let backlog = Backlog::default();
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        let backlog = &backlog;
        let writer = scope.spawn(move || backlog.write(&receiver, recorder));
        let is_busy = || backlog.is_full() && !writer.is_finished();
        let taken = take_snapshots(request, process, &is_busy, observe, &mut |taken| {
            backlog.add(&taken.0);
            sender.send(taken).is_ok()
        });
        process.release();
        drop(sender);
        let written = writer.join().unwrap_or_else(|panic| resume_unwind(panic));
        written.and(taken)
    })
}

/// Lets the process run, and takes snapshots, but none while `is_busy`. Ends also if one cannot be sent. Returns whether the
/// process still runs.
fn take_snapshots(
    request: &CaptureRequest<'_>,
    process: &mut Process,
    is_busy: &dyn Fn() -> bool,
    observe: &mut dyn FnMut(u32),
    send: &mut dyn FnMut(TakenSnapshot) -> bool,
) -> Result<bool, Error> {
    let start = Instant::now();
    let limit = match (request.is_series(), request.at_exit) {
        (true, _) => request.count.unwrap_or(u32::MAX),
        (false, at_exit) => u32::from(!at_exit),
    };
    let mut taken = 0;
    loop {
        let is_done = taken >= limit;
        if is_done && !request.at_exit {
            return Ok(true);
        }
        let interval = request.every.or_else(|| (!request.is_series()).then_some(Duration::ZERO));
        let deadline = interval.filter(|_| !is_done).map(|interval| start + interval * taken);
        let event = process.wait(deadline)?;
        if event == Event::Deadline && is_busy() {
            thread::sleep(POLL_INTERVAL);
            continue;
        }
        while is_busy() {
            thread::sleep(POLL_INTERVAL);
        }
        let (reason, thread) = match event {
            Event::Deadline if taken == 0 => (SnapshotReason::Start, None),
            Event::Deadline => (SnapshotReason::Interval, None),
            Event::Breakpoint(thread) => (SnapshotReason::Function, Some(thread)),
            Event::Exiting if request.at_exit => (SnapshotReason::Exit, None),
            Event::Ended => return Ok(true),
            Event::Exiting | Event::Gone => return Ok(false),
        };
        let Some(snapshot) = process.snapshot(request)? else { return Ok(false) };
        taken += 1;
        if taken >= limit {
            process.remove_breakpoint();
        }
        let thread_id = thread.map(|thread| u64::from(thread.as_raw().unsigned_abs()));
        let is_sent = send((snapshot, reason, thread_id));
        observe(taken);
        if event == Event::Exiting || !is_sent {
            return Ok(event != Event::Exiting);
        }
    }
}

/// Writes the manifest, verifies if requested, and publishes the dataset.
fn finish(recorder: Recorder, request: &CaptureRequest<'_>, missing: Vec<String>) -> Result<Manifest, Error> {
    let (writer, manifest) = recorder.finish(request, missing)?;
    if request.verify {
        let violations = verify(writer.directory())?;
        if !violations.is_empty() {
            return Err(Error::Violations(violations));
        }
    }
    make_private(writer.directory()).map_err(Error::io(writer.directory(), "make private"))?;
    writer.publish()?;
    Ok(manifest)
}

/// Lets only the owner read the files in a directory.
fn make_private(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            make_private(&path)?;
        } else {
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
    }
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}
