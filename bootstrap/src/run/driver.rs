//! Lowers executables into a dataset: unit after unit, each of which is whole or not there.

use super::batch::{lower_unit, units};
use super::job::{Lowering, Outcome};
use super::progress::Progress;
use super::request::Request;
use crate::error::Error;
use crate::source::corpus::{CorpusFile, find_files};
use crate::store::{
    DatasetWriter, InputIdentity, LAYOUT_VERSION, Manifest, RunIdentity, SkippedFile, UnitRecord,
};
use crate::timing::add_timing;
use crate::verify::verify;
use binframe_ir::{Stage, TABLES, TableInfo};
use binframe_passes::PASSES;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Lowers executables into a dataset, on as many threads as the current rayon pool has, and calls `observe` as it goes.
///
/// Of several files, those that cannot be lowered are left out and named in the manifest. A run of several units that was
/// killed is gone on with, if nothing has changed.
pub fn lower(request: &Request<'_>, observe: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Manifest, Error> {
    let files = find_files(request.inputs)?;
    let is_wanted = |stage: Stage| request.stages.contains(&stage) || stage == Stage::Run;
    let tables: Vec<_> = TABLES.iter().copied().filter(|table| is_wanted(table.stage)).collect();
    let stages: Vec<_> = Stage::ALL.into_iter().filter(|stage| is_wanted(*stage)).map(Stage::name).collect();
    let units = units(&files, request.unit_size);
    let identity = (units.len() > 1).then(|| identity(request, &stages, &tables, &files));
    let (mut writer, whole) = DatasetWriter::create(request.output, &tables, identity.as_ref())?;
    let (left, resumed_files) =
        (&units[whole.len()..], units[..whole.len()].last().map_or(0, |unit| unit.end));
    let lowering = Lowering {
        files: &files,
        stages: request.stages,
        tables: writer.encoders()?,
        observe,
        files_done: resumed_files.into(),
        bytes: size_of(&files),
        bytes_done: size_of(&files[..resumed_files]).into(),
    };
    let mut manifest = Manifest {
        layout: LAYOUT_VERSION,
        binframe: env!("CARGO_PKG_VERSION").to_owned(),
        stages: stages.into_iter().map(str::to_owned).collect(),
        binaries: Vec::new(),
        skipped: Vec::new(),
        resumed_files,
        tables: Vec::new(),
        timings: Vec::new(),
    };
    for unit in whole {
        add_unit(&mut manifest, unit);
    }
    let workers = workers()?;
    for unit in left {
        let outcomes = lower_unit(&lowering, unit.clone(), request.memory, &workers, &mut writer)?;
        let mut record = record(&files[unit.clone()], outcomes, files.len() == 1)?;
        record.tables = writer.finish_tables()?;
        writer.record_unit(&record)?;
        add_unit(&mut manifest, record);
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
    writer.publish()?;
    Ok(manifest)
}

/// Pools of one thread, as many as the current pool has threads: what runs in one of them stays on its thread.
fn workers() -> Result<Vec<ThreadPool>, Error> {
    let worker = |_| ThreadPoolBuilder::new().num_threads(1).build();
    let workers: Result<_, _> = (0..rayon::current_num_threads()).map(worker).collect();
    workers.map_err(|error| Error::io(Path::new("binframe"), "start threads")(io::Error::other(error)))
}

fn identity(
    request: &Request<'_>,
    stages: &[&str],
    tables: &[&TableInfo],
    files: &[CorpusFile],
) -> RunIdentity {
    let input = |file: &CorpusFile| {
        // One that cannot be asked cannot be opened either, and is skipped.
        let modified = fs::metadata(&file.path).map(|found| (found.mtime(), found.mtime_nsec()));
        let path = file.path.to_string_lossy().into_owned();
        InputIdentity { path, size: file.size, modified: modified.unwrap_or_default() }
    };
    RunIdentity {
        layout: LAYOUT_VERSION,
        binframe: env!("CARGO_PKG_VERSION").to_owned(),
        passes: PASSES.iter().map(|pass| (pass.name.to_owned(), pass.version)).collect(),
        stages: stages.iter().map(|stage| (*stage).to_owned()).collect(),
        schemas: tables.iter().map(|table| table.fingerprint().to_string()).collect(),
        unit_size: request.unit_size,
        inputs: files.iter().map(input).collect(),
    }
}

fn size_of(files: &[CorpusFile]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

/// What became of a unit's files. That the only one of a run cannot be lowered is an error.
fn record(files: &[CorpusFile], outcomes: Vec<Outcome>, is_only: bool) -> Result<UnitRecord, Error> {
    let mut record = UnitRecord::default();
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
                record.skipped.push(SkippedFile { path, reason });
            }
        }
    }
    Ok(record)
}

/// Adds what a unit has made to what those before it have.
fn add_unit(manifest: &mut Manifest, unit: UnitRecord) {
    manifest.binaries.extend(unit.binaries);
    manifest.skipped.extend(unit.skipped);
    manifest.tables = unit.tables;
    for timing in unit.timings {
        add_timing(&mut manifest.timings, timing);
    }
}
