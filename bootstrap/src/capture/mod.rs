//! Captures: the memory of a process or of a core dump as a dataset.
//!
//! *Problem.* Show what memory held at one or several moments, in tables that can be joined to those of the code.
//!
//! *Notation.* A *snapshot* is the state of a process while all of its threads are stopped: mappings, the content of
//! memory, threads with their registers. A *capture* is a series of snapshots.
//!
//! *Phases.*
//!  1. Stop the process, copy its state, and let it continue (`process`); or read a core dump (`core_dump`).
//!  2. Find the modules that are mapped (`modules`), and unwind the stacks of the threads (`stacks`).
//!  3. Write the rows (`recorder`), and of pages only those that changed since the previous snapshot (`pages`).
//!
//! Meanwhile the allocations of a command are recorded, on request (`heap`).
//!
//! A process is stopped only in phase 1. The rows of a snapshot are written before the next one is taken, so a capture
//! needs the memory of one snapshot, and the digests of its pages.
//!
//! *Failure.* The process is traced with `PTRACE_SEIZE`. However this process ends, the system releases the threads that
//! it stopped. A dataset appears at its target path complete or not at all. Its files can be read by their owner only,
//! because memory holds secrets.

mod core_dump;
mod heap;
mod mappings;
mod modules;
mod pages;
mod process;
mod recorder;
pub(crate) mod request;
mod selection;
mod snapshot;
mod stacks;

use self::core_dump::read_core_dump;
use self::heap::HeapRecording;
use self::process::{Event, Process};
use self::recorder::Recorder;
use self::request::{CaptureRequest, CaptureTarget};
use crate::error::Error;
use crate::store::manifest::Manifest;
use crate::verify::verify;
use binframe_ir::tables::SnapshotReason;
use rustix::fs::Mode;
use rustix::process::umask;
use std::time::Instant;

/// Captures snapshots into a dataset. Calls `observe` with the number of snapshots after each. A signal to end the
/// capture (`SIGINT`, `SIGTERM`) ends it after the last snapshot, and the dataset has those that were taken.
pub fn capture(request: &CaptureRequest<'_>, observe: &mut dyn FnMut(u32)) -> Result<Manifest, Error> {
    let previous = umask(Mode::RWXG | Mode::RWXO);
    let result = capture_privately(request, observe);
    umask(previous);
    result
}

fn capture_privately(request: &CaptureRequest<'_>, observe: &mut dyn FnMut(u32)) -> Result<Manifest, Error> {
    let mut heap = request.has_heap.then(HeapRecording::create).transpose()?;
    let mut process = match &request.target {
        CaptureTarget::CoreDump(path) => {
            let mut recorder = Recorder::create(request, path)?;
            let snapshot = read_core_dump(path, request, &mut recorder.images)?;
            recorder.record(&snapshot, SnapshotReason::CoreDump)?;
            observe(1);
            return finish(recorder, request, Vec::new());
        }
        CaptureTarget::Process(id) => Process::attach(*id)?,
        CaptureTarget::Command(command) => {
            Process::spawn(command, heap.as_ref().map(HeapRecording::variable))?
        }
    };
    let mut recorder = Recorder::create(request, process.executable())?;
    if let Some(heap) = &mut heap {
        heap.start(process.id(), recorder.heap_output()?);
    }
    let start = Instant::now();
    let mut taken = 0;
    let mut is_running = true;
    let is_enough = |taken: u32| match request.every {
        Some(_) => request.count.is_some_and(|count| taken >= count),
        None => taken >= 1,
    };
    let takes_first = request.every.is_some() || !request.at_exit;
    loop {
        let is_done = is_enough(taken) || !takes_first;
        if is_done && !request.at_exit {
            break;
        }
        let deadline = (!is_done).then(|| start + request.every.unwrap_or_default() * taken);
        match process.wait(deadline)? {
            Event::Deadline => {
                let reason = if taken == 0 { SnapshotReason::Start } else { SnapshotReason::Interval };
                let Some(snapshot) = process.snapshot(request)? else { break };
                recorder.record(&snapshot, reason)?;
                taken += 1;
                observe(taken);
            }
            Event::Exiting => {
                is_running = false;
                if request.at_exit
                    && let Some(snapshot) = process.snapshot(request)?
                {
                    process.release();
                    recorder.record(&snapshot, SnapshotReason::Exit)?;
                    observe(taken + 1);
                }
                break;
            }
            Event::Gone => {
                is_running = false;
                break;
            }
            Event::Ended => break,
        }
    }
    process.release();
    if recorder.is_empty() {
        return Err(process.ended_early());
    }
    let missing = heap.map(|heap| heap.finish(is_running)).transpose()?.unwrap_or_default();
    finish(recorder, request, missing)
}

/// Writes the manifest, verifies if requested, and publishes the dataset.
fn finish(recorder: Recorder, request: &CaptureRequest<'_>, missing: Vec<String>) -> Result<Manifest, Error> {
    let (writer, manifest) = recorder.finish(missing)?;
    if request.verify {
        let violations = verify(writer.directory())?;
        if !violations.is_empty() {
            return Err(Error::Violations(violations));
        }
    }
    writer.publish()?;
    Ok(manifest)
}
