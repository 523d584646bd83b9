//! `(file) -> encoded rows`, and the record of what ran: the work on one input, on whichever threads.

use super::progress::Progress;
use crate::error::Error;
use crate::queries::Database;
use crate::source::binary::{BinaryFile, BinaryPart};
use crate::source::corpus::CorpusFile;
use crate::store::{DatasetWriter, ManifestBinary, ManifestPass};
use crate::timing::{Stopwatch, Timing, add_timing};
use binframe_ir::parquet::{EncodedRows, TableEncoder};
use binframe_ir::tables::BinarySections;
use binframe_ir::{Fingerprint, Stage, Table, TableInfo};
use binframe_passes::{PASSES, passes_for};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is the same for all inputs of a run.
pub(crate) struct Lowering<'a> {
    pub(crate) files: &'a [CorpusFile],
    pub(crate) stages: &'a [Stage],
    /// The tables that are written, with what encodes their rows.
    pub(crate) tables: Vec<(&'static TableInfo, TableEncoder)>,
    pub(crate) observe: &'a (dyn Fn(Progress<'_>) + Sync),
    /// The size of all files together.
    pub(crate) bytes: u64,
    /// Files that are done, and their size.
    pub(crate) files_done: AtomicUsize,
    pub(crate) bytes_done: AtomicU64,
}

/// What became of an input.
pub(crate) enum Outcome {
    /// It was lowered, with its members.
    Lowered(Vec<ManifestBinary>, Vec<Timing>),
    /// It cannot be lowered, and has no rows.
    Skipped(Error),
}

/// Where encoded rows go, each table's in order.
pub(crate) trait RowSink: Send {
    /// Prepares a table for the rows of the next input.
    fn begin_binary(&mut self, table: usize) -> Result<(), Error>;

    /// Takes the next rows of the table.
    fn append(&mut self, table: usize, rows: EncodedRows) -> Result<(), Error>;
}

impl RowSink for DatasetWriter {
    fn begin_binary(&mut self, table: usize) -> Result<(), Error> {
        self.begin_binary(table)
    }

    fn append(&mut self, table: usize, rows: EncodedRows) -> Result<(), Error> {
        self.append(table, rows)
    }
}

/// Rows that wait for those of the inputs before.
#[derive(Default)]
pub(crate) struct HeldRows {
    tables: Vec<(usize, Vec<EncodedRows>)>,
    bytes: u64,
}

impl HeldRows {
    /// What they take of memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Passes them on.
    pub(crate) fn move_to(self, sink: &mut dyn RowSink) -> Result<(), Error> {
        for (table, rows) in self.tables {
            sink.begin_binary(table)?;
            rows.into_iter().try_for_each(|rows| sink.append(table, rows))?;
        }
        Ok(())
    }
}

impl RowSink for HeldRows {
    fn begin_binary(&mut self, table: usize) -> Result<(), Error> {
        self.tables.push((table, Vec::new()));
        Ok(())
    }

    fn append(&mut self, _: usize, rows: EncodedRows) -> Result<(), Error> {
        self.bytes += rows.bytes();
        self.tables.last_mut().expect("the table was begun").1.push(rows);
        Ok(())
    }
}

impl Lowering<'_> {
    /// Lowers an input on the threads of the current rayon pool. It is skipped before its first rows are there or not at all;
    /// an error is that of the whole run.
    pub(crate) fn lower(&self, input: usize, sink: &mut dyn RowSink) -> Result<Outcome, Error> {
        let outcome = match BinaryFile::open(&self.files[input], Database::default()) {
            Err(error) => Outcome::Skipped(error),
            Ok(files) => match self.lower_opened(input, files, sink) {
                // The first pass refuses what is no executable. All members are some.
                Err(error @ Error::Unsupported { .. }) => Outcome::Skipped(error),
                lowered => lowered?,
            },
        };
        self.files_done.fetch_add(1, Ordering::Relaxed);
        self.bytes_done.fetch_add(self.files[input].size, Ordering::Relaxed);
        Ok(outcome)
    }

    /// Lowers a file, or a container and its members.
    fn lower_opened(
        &self,
        input: usize,
        files: Vec<BinaryFile>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, Error> {
        let (mut binaries, mut timings) = (Vec::new(), Vec::new());
        for file in files {
            binaries.push(self.run_passes(input, &file, sink, &mut timings)?);
            let contents = self.contents();
            for table in (0..self.tables.len()).filter(|table| Some(*table) != contents) {
                self.encode(input, &file, table, sink, &mut timings)?;
            }
        }
        Ok(Outcome::Lowered(binaries, timings))
    }

    fn report(&self, input: usize, binary: &str, step: &str, done: usize, parts: usize) {
        let (files_done, bytes_done) =
            (self.files_done.load(Ordering::Relaxed), self.bytes_done.load(Ordering::Relaxed));
        let (files, bytes) = (self.files.len(), self.bytes);
        (self.observe)(Progress { files, bytes, files_done, bytes_done, input, binary, step, done, parts });
    }

    /// The position of the table of what sections hold, if it is written.
    fn contents(&self) -> Option<usize> {
        self.tables.iter().position(|(table, _)| *table == BinarySections::INFO)
    }

    /// Runs the passes that the stages need. Contents of sections are written right after the pass that finds them: few of their
    /// bytes are read again, and the memory of the mapped file is free for later passes.
    fn run_passes(
        &self,
        input: usize,
        file: &BinaryFile,
        sink: &mut dyn RowSink,
        timings: &mut Vec<Timing>,
    ) -> Result<ManifestBinary, Error> {
        let mut fingerprints: BTreeMap<&str, Fingerprint> = BTreeMap::new();
        let mut passes = Vec::new();
        for position in passes_for(self.stages) {
            let pass = &PASSES[position];
            self.report(input, file.name(), pass.name, 0, 1);
            let stopwatch = Stopwatch::start();
            let output = file.run_pass(position)?;
            let mut read =
                |input| *fingerprints.entry(input).or_insert_with(|| file.input_fingerprint(input));
            let inputs = Fingerprint::of_all(pass.reads.iter().map(|input| read(input)));
            fingerprints.insert(pass.name, output.fingerprint());
            let bytes = match pass.reads.contains(&"code") {
                true => file.code()?.size(),
                false => file.bytes().0.len() as u64,
            };
            add_timing(timings, stopwatch.stop(pass.name.to_owned(), output.row_count(), bytes));
            passes.push(ManifestPass {
                pass: pass.name.to_owned(),
                version: pass.version,
                input: inputs.to_string(),
                output: output.fingerprint().to_string(),
            });
            if let Some(table) = self.contents().filter(|_| pass.tables.contains(&BinarySections::INFO)) {
                self.encode(input, file, table, sink, timings)?;
                file.bytes().release_pages();
            }
        }
        let headers = &file.sections()?.headers;
        let sha256 = headers.columns().iter().map(|header| header.sha256.to_owned()).collect();
        let path = file.path().to_string_lossy().into_owned();
        Ok(ManifestBinary { binary: file.name().to_owned(), path, sha256, passes })
    }

    /// Makes and encodes the rows of a table: every thread takes the next part, and appends what is next in order.
    fn encode(
        &self,
        input: usize,
        file: &BinaryFile,
        table: usize,
        sink: &mut dyn RowSink,
        timings: &mut Vec<Timing>,
    ) -> Result<(), Error> {
        sink.begin_binary(table)?;
        let stopwatch = Stopwatch::start();
        let ((info, encoder), binary, path) = (&self.tables[table], file.name(), file.path());
        let parts = file.parts(info, self.stages, None)?;
        let next = AtomicUsize::new(0);
        let appender =
            Mutex::new(Appender { sink, table, done: 0, rows: 0, bytes: 0, waiting: BTreeMap::new() });
        let write_parts = || {
            while let Some((index, part)) = take(&next, &parts) {
                let encoded = encoder.encode(&part.rows(), binary).map_err(Error::write(path))?;
                let mut appender = appender.lock().unwrap_or_else(PoisonError::into_inner);
                appender.put(index, encoded)?;
                self.report(input, binary, info.name, appender.done, parts.len());
            }
            Ok(())
        };
        // Where one thread fails, the others take no more.
        let write_all = || write_parts().inspect_err(|_| next.store(parts.len(), Ordering::Relaxed));
        // To wake the others takes longer than to write one small part.
        let results = if parts.len() > 1 { rayon::broadcast(|_| write_all()) } else { vec![write_all()] };
        results.into_iter().collect::<Result<(), Error>>()?;
        let appender = appender.into_inner().unwrap_or_else(PoisonError::into_inner);
        add_timing(timings, stopwatch.stop(format!("write {}", info.name), appender.rows, appender.bytes));
        Ok(())
    }
}

/// The next part that no thread has taken.
fn take<'p>(next: &AtomicUsize, parts: &'p [BinaryPart]) -> Option<(usize, &'p BinaryPart)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, parts.get(index)?))
}

/// Appends encoded parts to a table in their order, in whichever order they come.
struct Appender<'a> {
    sink: &'a mut dyn RowSink,
    table: usize,
    /// Parts that were appended, with their rows and bytes.
    done: usize,
    rows: u64,
    bytes: u64,
    /// Parts that came before their turn: about as many as there are threads.
    waiting: BTreeMap<usize, EncodedRows>,
}

impl Appender<'_> {
    fn put(&mut self, index: usize, rows: EncodedRows) -> Result<(), Error> {
        self.waiting.insert(index, rows);
        while let Some(rows) = self.waiting.remove(&self.done) {
            self.rows += rows.rows();
            self.bytes += rows.bytes();
            self.done += 1;
            self.sink.append(self.table, rows)?;
        }
        Ok(())
    }
}
