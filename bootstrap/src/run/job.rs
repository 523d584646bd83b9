//! The work on one input: `(file) -> encoded rows, manifest entries`.
//!
//! *Problem.* Several inputs are processed at the same time, each by one or by all threads, but the rows must reach the
//! Parquet files in the order of inputs, tables and keys. Decoded rows must not take memory in proportion to a table.
//!
//! *Notation.* An input is a file, or a container with its members; each of these is a binary. A part is a range of
//! rows of a table that is computed, encoded and written together, as one row group. A thread claims a part when it
//! takes the next number from a shared counter.
//!
//! *Algorithm.* For each binary: (1) Run the passes that the requested stages need, in pipeline order, and record time
//! and input and output fingerprints. If `binary_sections` is written, it is written right after the pass that computes
//! it, and the pages of the mapped file are released: later passes read few of them again. (2) For every other table,
//! threads claim parts, compute and encode them; an [`InOrderAppender`] under a mutex writes the parts in order.
//!
//! *Invariants.* Bytes do not depend on the number of threads. An input is skipped if it cannot be opened or if the
//! first pass refuses it, both before its first row, or if the work on it panics; then its rows must be discarded. Any
//! other error ends the run. After an error, no thread claims another part.
//!
//! *Cost.* Memory for the outputs of passes, one part per thread, and encoded parts that wait for an earlier part or
//! for an earlier input.

use super::request::Progress;
use super::row_output::{BufferedRows, InOrderAppender, RowOutput};
use crate::companions::CompanionSearch;
use crate::error::Error;
use crate::queries::Database;
use crate::source::binary::{BinaryFile, BinaryPart};
use crate::source::corpus::CorpusFile;
use crate::store::manifest::{ManifestBinary, ManifestPass};
use crate::timing::{Stopwatch, Timing, add_timing};
use binframe_ir::parquet::TableEncoder;
use binframe_ir::tables::BinarySections;
use binframe_ir::{Fingerprint, Stage, Table, TableInfo, catching_panics};
use binframe_passes::PASSES;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What the jobs of a run share.
pub(super) struct Run<'a> {
    pub(super) files: &'a [CorpusFile],
    pub(super) stages: &'a [Stage],
    /// Positions of the passes that the stages need.
    pub(super) passes: Vec<usize>,
    pub(super) companions: &'a CompanionSearch,
    /// Inputs on which a pass panicked, with the message. They are skipped.
    pub(super) panics: BTreeMap<usize, String>,
    /// The tables to write, with their encoders.
    pub(super) tables: Vec<(&'static TableInfo, TableEncoder)>,
    pub(super) observe: &'a (dyn Fn(Progress<'_>) + Sync),
    /// Size of all files in bytes.
    pub(super) bytes: u64,
    /// Number and size in bytes of the finished files.
    pub(super) files_done: AtomicUsize,
    pub(super) bytes_done: AtomicU64,
}

/// Result of a job.
pub(super) enum Outcome {
    /// The binaries of the input, and the time of each step.
    Lowered(Vec<ManifestBinary>, Vec<Timing>),
    /// The input cannot be lowered, and has no rows.
    Skipped(Error),
}

/// Why the work on a group did not finish.
pub(super) enum GroupFailure {
    /// An error that ends the run.
    Error(Error),
    /// Work on an input panicked, and some of its rows may be written.
    Panic {
        /// Position of the input.
        input: usize,
        /// Message of the panic.
        message: String,
    },
}

impl From<Error> for GroupFailure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Run<'_> {
    /// Lowers the input at a position of `files`, on the threads of the current rayon pool.
    pub(super) fn lower_input(
        &self,
        input: usize,
        output: &mut dyn RowOutput,
    ) -> Result<Outcome, GroupFailure> {
        let lowered = match self.panics.get(&input) {
            Some(message) => Ok(self.panicked(input, message.clone())),
            None => catching_panics(|| self.lower_opened(input, output))
                .map_err(|message| GroupFailure::Panic { input, message })?,
        };
        self.files_done.fetch_add(1, Ordering::Relaxed);
        self.bytes_done.fetch_add(self.files[input].size, Ordering::Relaxed);
        Ok(lowered?)
    }

    /// Lowers an input into a buffer. A panic discards the buffer and skips the input.
    pub(super) fn lower_buffered(&self, input: usize) -> Result<(Outcome, BufferedRows), GroupFailure> {
        let mut rows = BufferedRows::default();
        match self.lower_input(input, &mut rows) {
            Err(GroupFailure::Panic { message, .. }) => {
                Ok((self.panicked(input, message), BufferedRows::default()))
            }
            outcome => Ok((outcome?, rows)),
        }
    }

    fn panicked(&self, input: usize, message: String) -> Outcome {
        let path = self.files[input].path.clone();
        Outcome::Skipped(Error::Panicked { path, message })
    }

    fn lower_opened(&self, input: usize, output: &mut dyn RowOutput) -> Result<Outcome, Error> {
        match BinaryFile::open(&self.files[input], self.companions, Database::default()) {
            Err(error) if error.is_of_process() => Err(error),
            Err(error) => Ok(Outcome::Skipped(error)),
            Ok(binaries) => {
                let (timings, stopwatch) = (Vec::new(), Stopwatch::start());
                match (InputJob { run: self, input, output, timings, stopwatch }).lower(binaries) {
                    // Only the first pass refuses a file, and it accepts every member of a container.
                    Err(error @ Error::Unsupported { .. }) => Ok(Outcome::Skipped(error)),
                    lowered => lowered,
                }
            }
        }
    }

    fn report(&self, input: usize, binary: &str, step: &str, done: usize, parts: usize) {
        let (files_done, bytes_done) =
            (self.files_done.load(Ordering::Relaxed), self.bytes_done.load(Ordering::Relaxed));
        let (files, bytes) = (self.files.len(), self.bytes);
        (self.observe)(Progress { files, bytes, files_done, bytes_done, input, binary, step, done, parts });
    }

    /// Position of the table `binary_sections`, if it is written.
    fn sections_table(&self) -> Option<usize> {
        self.tables.iter().position(|(table, _)| *table == BinarySections::INFO)
    }
}

/// The work on one input.
struct InputJob<'a> {
    run: &'a Run<'a>,
    /// Position of the input.
    input: usize,
    output: &'a mut dyn RowOutput,
    timings: Vec<Timing>,
    stopwatch: Stopwatch,
}

impl InputJob<'_> {
    /// Lowers a file, or a container and its members.
    fn lower(mut self, binaries: Vec<BinaryFile>) -> Result<Outcome, Error> {
        let mut entries = Vec::new();
        for binary in binaries {
            entries.push(self.run_passes(&binary)?);
            let sections = self.run.sections_table();
            for table in (0..self.run.tables.len()).filter(|table| Some(*table) != sections) {
                self.write_table(&binary, table)?;
            }
        }
        Ok(Outcome::Lowered(entries, self.timings))
    }

    /// Runs the passes that the stages need, and writes `binary_sections`.
    fn run_passes(&mut self, file: &BinaryFile) -> Result<ManifestBinary, Error> {
        let mut fingerprints: BTreeMap<&str, Fingerprint> = BTreeMap::new();
        let mut passes = Vec::new();
        for position in self.run.passes.iter().copied() {
            let pass = &PASSES[position];
            self.run.report(self.input, file.name(), pass.name, 0, 1);
            let output = file.run_pass(position)?;
            let mut read = |name| *fingerprints.entry(name).or_insert_with(|| file.input_fingerprint(name));
            let inputs = Fingerprint::of_all(pass.reads.iter().map(|name| read(name)));
            fingerprints.insert(pass.name, output.fingerprint());
            let bytes_read = match pass.reads.contains(&"code") {
                true => file.code()?.size(),
                false => file.bytes().0.len() as u64,
            };
            let timing = self.stopwatch.step(pass.name.to_owned(), output.row_count(), bytes_read);
            add_timing(&mut self.timings, timing);
            passes.push(ManifestPass {
                pass: pass.name.to_owned(),
                version: pass.version,
                input: inputs.to_string(),
                output: output.fingerprint().to_string(),
            });
            let fills_sections = pass.tables.contains(&BinarySections::INFO);
            if let Some(table) = self.run.sections_table().filter(|_| fills_sections) {
                self.write_table(file, table)?;
                file.bytes().release_pages();
            }
        }
        let headers = &file.sections()?.headers;
        let sha256 = headers.columns().iter().map(|header| header.sha256.to_owned()).collect();
        let path = file.path().to_string_lossy().into_owned();
        Ok(ManifestBinary { binary: file.name().to_owned(), path, sha256, passes })
    }

    /// Computes, encodes and writes the rows of a table.
    fn write_table(&mut self, file: &BinaryFile, table: usize) -> Result<(), Error> {
        self.output.begin_binary(table)?;
        let ((info, encoder), binary, path) = (&self.run.tables[table], file.name(), file.path());
        let parts = file.parts(info, self.run.stages, None)?;
        let next = AtomicUsize::new(0);
        let (run, input) = (self.run, self.input);
        let appender = Mutex::new(InOrderAppender::new(self.output, table));
        let write_parts = || {
            while let Some((position, part)) = claim_part(&next, &parts) {
                let encoded = encoder.encode(&part.rows(), binary).map_err(Error::write(path))?;
                let mut appender = appender.lock().unwrap_or_else(PoisonError::into_inner);
                appender.put(position, encoded)?;
                run.report(input, binary, info.name, appender.parts, parts.len());
            }
            Ok(())
        };
        // After an error, no thread claims another part.
        let write_all = || write_parts().inspect_err(|_| next.store(parts.len(), Ordering::Relaxed));
        // Waking the other threads takes longer than writing one small part.
        let results = if parts.len() > 1 { rayon::broadcast(|_| write_all()) } else { vec![write_all()] };
        results.into_iter().collect::<Result<(), Error>>()?;
        let appender = appender.into_inner().unwrap_or_else(PoisonError::into_inner);
        let timing = self.stopwatch.step(format!("write {}", info.name), appender.rows, appender.bytes);
        add_timing(&mut self.timings, timing);
        Ok(())
    }
}

/// The next part that no thread has claimed, and its position.
fn claim_part<'p>(next: &AtomicUsize, parts: &'p [BinaryPart]) -> Option<(usize, &'p BinaryPart)> {
    let position = next.fetch_add(1, Ordering::Relaxed);
    Some((position, parts.get(position)?))
}
