//! The driver: lowers input files into a dataset.
//!
//! *Algorithm.* (1) Find the input files, and divide them into checkpoint groups. (2) Open the target for writing; if
//! a killed run with the same identity left a journal, take over the groups that it finished. (3) For each
//! remaining group, lower its files, close the Parquet files, and record the group. (4) Write the manifest, verify the
//! dataset if requested, and publish it.
//!
//! *Invariants.* The Parquet files depend only on the inputs, their companion files and the identity of the run, not on
//! threads, memory or resumption. The manifest also records times and the number of resumed files. The dataset appears
//! at its target path complete or not at all. A run of one group has no journal: it has nothing to resume from.
//!
//! *Failures.* Of several files, those that cannot be lowered are skipped and named in the manifest, as is a file on which
//! a pass panics; a single file that cannot be lowered is an error, as is a run without any binary. Any other error ends
//! the run and removes the staging directory with the finished groups. Only a killed process leaves groups for the next
//! run. A file of more than 64 MiB is mapped: if it is truncated while it is read, the process ends (see
//! [`report_truncated_files`](crate::report_truncated_files)).

use super::job::{GroupFailure, Outcome, Run};
use super::request::{Progress, Request};
use super::scheduler::{checkpoint_groups, lower_group};
use crate::error::{Error, SkippedFile};
use crate::source::corpus::{CorpusFile, find_files};
use crate::store::journal::{GroupRecord, InputIdentity, RunIdentity};
use crate::store::manifest::{LAYOUT_VERSION, Manifest};
use crate::store::writer::DatasetWriter;
use crate::timing::add_timing;
use crate::verify::verify;
use binframe_ir::{Stage, TABLES, TableInfo};
use binframe_passes::{PASSES, passes_for};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Lowers files into a dataset, on the threads of the current rayon pool and, for small files, on as many pools of one
/// thread. Calls `observe` after each unit of progress.
pub fn lower(request: &Request<'_>, observe: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Manifest, Error> {
    let files = find_files(request.inputs)?;
    let is_written = |stage: Stage| request.stages.contains(&stage) || stage == Stage::Run;
    let tables: Vec<_> = TABLES.iter().copied().filter(|table| is_written(table.stage)).collect();
    let stages = Stage::ALL.into_iter().filter(|stage| is_written(*stage));
    let stages: Vec<_> = stages.map(|stage| stage.name().to_owned()).collect();
    let groups = checkpoint_groups(&files, request.group_size_max);
    let identity = (groups.len() > 1).then(|| identity(request, &stages, &tables, &files));
    let (mut writer, finished) = DatasetWriter::create(request.output, &tables, identity.as_ref())?;
    let manifest = Manifest::new(stages);
    let manifest = write_groups(request, observe, &files, &groups, finished, manifest, &mut writer);
    let manifest = manifest.map_err(|error| writer.shown(error))?;
    writer.publish()?;
    Ok(manifest)
}

/// Lowers files into a dataset that has rows of other origin too. The first tables of the writer are those of the files.
pub(crate) fn lower_into(
    request: &Request<'_>,
    tables: usize,
    manifest: &mut Manifest,
    writer: &mut DatasetWriter,
) -> Result<(), Error> {
    let files = find_files(request.inputs)?;
    let mut run = new_run(request, &|_| {}, &files, writer)?;
    run.tables.truncate(tables);
    let outcomes =
        lower_without_panics(&mut run, &(0..files.len()), request.memory, &single_thread_pools()?, writer)?;
    add_group(manifest, record(&files, outcomes, false)?);
    Ok(())
}

/// Lowers the groups that are not `finished`, and writes the manifest.
fn write_groups(
    request: &Request<'_>,
    observe: &(dyn Fn(Progress<'_>) + Sync),
    files: &[CorpusFile],
    groups: &[Range<usize>],
    finished: Vec<GroupRecord>,
    mut manifest: Manifest,
    writer: &mut DatasetWriter,
) -> Result<Manifest, Error> {
    let (resumed, remaining) = groups.split_at(finished.len());
    manifest.resumed_files = resumed.last().map_or(0, |group| group.end);
    let mut run = new_run(request, observe, files, writer)?;
    run.files_done = manifest.resumed_files.into();
    run.bytes_done = total_size(&files[..manifest.resumed_files]).into();
    for group in finished {
        add_group(&mut manifest, group);
    }
    let workers = single_thread_pools()?;
    for group in remaining {
        let outcomes = lower_without_panics(&mut run, group, request.memory, &workers, writer)?;
        let mut record = record(&files[group.clone()], outcomes, files.len() == 1)?;
        record.tables = writer.finish_tables()?;
        writer.record_group(&record)?;
        add_group(&mut manifest, record);
    }
    if manifest.binaries.is_empty() {
        return Err(Error::NothingLowered { skipped: manifest.skipped });
    }
    writer.write_manifest(&manifest)?;
    if request.verify {
        let violations = verify(writer.directory())?;
        if !violations.is_empty() {
            return Err(Error::Violations(violations));
        }
    }
    Ok(manifest)
}

/// A run of which no file is done, into all tables of a writer.
fn new_run<'a>(
    request: &'a Request<'_>,
    observe: &'a (dyn Fn(Progress<'_>) + Sync),
    files: &'a [CorpusFile],
    writer: &DatasetWriter,
) -> Result<Run<'a>, Error> {
    Ok(Run {
        files,
        stages: request.stages,
        passes: passes_for(request.stages),
        companions: &request.companions,
        panics: BTreeMap::new(),
        tables: writer.encoders()?,
        observe,
        bytes: total_size(files),
        files_done: 0.into(),
        bytes_done: 0.into(),
    })
}

/// Lowers a group. If work on a file panics after its first rows were written, the group starts again without the file.
fn lower_without_panics(
    run: &mut Run<'_>,
    group: &Range<usize>,
    memory: u64,
    workers: &[ThreadPool],
    writer: &mut DatasetWriter,
) -> Result<Vec<Outcome>, Error> {
    let done = (run.files_done.load(Ordering::Relaxed), run.bytes_done.load(Ordering::Relaxed));
    loop {
        match lower_group(run, group.clone(), memory, workers, writer) {
            Err(GroupFailure::Panic { input, message }) => {
                writer.discard_group()?;
                (run.files_done, run.bytes_done) = (done.0.into(), done.1.into());
                run.panics.insert(input, message);
            }
            Err(GroupFailure::Error(error)) => return Err(error),
            Ok(outcomes) => return Ok(outcomes),
        }
    }
}

/// As many pools of one thread as the current pool has threads. Parallel iterators in such a pool stay on its thread.
fn single_thread_pools() -> Result<Vec<ThreadPool>, Error> {
    let pool = |_| ThreadPoolBuilder::new().num_threads(1).build();
    let pools: Result<_, _> = (0..rayon::current_num_threads()).map(pool).collect();
    pools.map_err(|error| Error::io(Path::new("binframe"), "start threads")(io::Error::other(error)))
}

fn identity(
    request: &Request<'_>,
    stages: &[String],
    tables: &[&TableInfo],
    files: &[CorpusFile],
) -> RunIdentity {
    let input = |file: &CorpusFile| {
        // A file without metadata cannot be opened either, and is skipped.
        let times = fs::metadata(&file.path).map(|metadata| {
            [(metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec())]
        });
        let [modified, changed] = times.unwrap_or_default();
        let path = file.path.to_string_lossy().into_owned();
        InputIdentity { path, size: file.size, modified, changed }
    };
    RunIdentity {
        layout: LAYOUT_VERSION,
        binframe: env!("CARGO_PKG_VERSION").to_owned(),
        passes: PASSES.iter().map(|pass| (pass.name.to_owned(), pass.version)).collect(),
        stages: stages.to_vec(),
        companions: request.companions.clone(),
        schemas: tables.iter().map(|table| table.fingerprint().to_string()).collect(),
        group_size_max: request.group_size_max,
        inputs: files.iter().map(input).collect(),
    }
}

fn total_size(files: &[CorpusFile]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

/// The record of a group, without its tables. Fails if the only file of a run was skipped.
fn record(files: &[CorpusFile], outcomes: Vec<Outcome>, is_only: bool) -> Result<GroupRecord, Error> {
    let mut record = GroupRecord::default();
    for (file, outcome) in files.iter().zip(outcomes) {
        match outcome {
            Outcome::Lowered(binaries, timings) => {
                record.binaries.extend(binaries);
                for timing in timings {
                    add_timing(&mut record.timings, timing);
                }
            }
            Outcome::Skipped(error) if is_only => return Err(error),
            Outcome::Skipped(error) => {
                let path = file.path.to_string_lossy().into_owned();
                let text = error.to_string();
                let reason = text.strip_prefix(&format!("{path}: ")).unwrap_or(&text).to_owned();
                let is_unreadable = matches!(error, Error::Io { .. });
                record.skipped.push(SkippedFile { path, reason, is_unreadable });
            }
        }
    }
    Ok(record)
}

/// Adds a finished group to the manifest.
fn add_group(manifest: &mut Manifest, group: GroupRecord) {
    manifest.binaries.extend(group.binaries);
    manifest.skipped.extend(group.skipped);
    manifest.tables = group.tables;
    for timing in group.timings {
        add_timing(&mut manifest.timings, timing);
    }
}
