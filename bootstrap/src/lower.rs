//! Lowers executables into a dataset.

use crate::corpus::{CorpusFile, find_files};
use crate::dataset::{DatasetWriter, LAYOUT_VERSION, ManifestBinary, ManifestPass, TableFiles};
use crate::lowered_file::{LoweredFile, LoweredPart};
use crate::timing::Stopwatch;
use crate::{Error, Manifest, Timing, verify};
use binframe_ir::parquet::EncodedRows;
use binframe_ir::{Batch, Fingerprint, Stage, TABLES};
use binframe_passes::VERSION;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What to lower, how far, and where to.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The executables: files, directories, patterns.
    pub inputs: &'a [PathBuf],
    /// The directory that will be the dataset.
    pub output: &'a Path,
    /// The stages whose tables are written. Only what they need is computed.
    pub stages: &'a [Stage],
    /// Whether to read everything back and check it against the tables' declarations.
    pub verify: bool,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Position of the input among all.
    pub input: usize,
    /// Name of the input.
    pub binary: &'a str,
    /// What is being done: the name of a pass, or of a table that is written.
    pub step: &'a str,
    /// Parts of the step that are done.
    pub done: usize,
    /// Parts of the step.
    pub parts: usize,
}

/// Lowers executables into a dataset, on the threads of the current rayon pool, and calls `observe` as it goes.
pub fn lower(request: &Request<'_>, observe: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Manifest, Error> {
    let files = find_files(request.inputs)?;
    let is_wanted = |stage: Stage| request.stages.contains(&stage) || stage == Stage::Run;
    let tables: Vec<_> = TABLES.iter().copied().filter(|table| is_wanted(table.stage)).collect();
    let mut run = Run { stages: request.stages, binaries: Vec::new(), timings: Vec::new(), observe };
    let mut writer = DatasetWriter::create(request.output, &tables)?;
    for (input, file) in files.iter().enumerate() {
        run.lower(input, file, &mut writer)?;
    }
    let tables = writer.finish_tables()?;
    let manifest = Manifest {
        layout: LAYOUT_VERSION,
        binframe: env!("CARGO_PKG_VERSION").to_owned(),
        stages: Stage::ALL
            .into_iter()
            .filter(|stage| is_wanted(*stage))
            .map(|stage| stage.name().to_owned())
            .collect(),
        binaries: run.binaries,
        tables,
        timings: run.timings,
    };
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

struct Run<'a> {
    stages: &'a [Stage],
    binaries: Vec<ManifestBinary>,
    timings: Vec<Timing>,
    observe: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl Run<'_> {
    fn lower(&mut self, input: usize, file: &CorpusFile, writer: &mut DatasetWriter) -> Result<(), Error> {
        for file in LoweredFile::open(file)? {
            self.run_passes(input, &file)?;
            for table in writer.tables() {
                self.write(input, &file, table)?;
            }
        }
        Ok(())
    }

    /// Runs the passes that the stages need.
    fn run_passes(&mut self, input: usize, file: &LoweredFile) -> Result<(), Error> {
        let reaches = |stage: Stage| self.stages.iter().any(|asked| *asked >= stage);
        let (has_sections, binary) = (self.stages.contains(&Stage::Sections), file.name());
        let mut record = Record { passes: Vec::new(), timings: Vec::new() };
        let begin = |step| {
            (self.observe)(Progress { input, binary, step, done: 0, parts: 1 });
            Stopwatch::start()
        };
        let stopwatch = begin("sections");
        let bytes = file.bytes().0;
        let sections = file.sections()?;
        let (size, input) = (bytes.len() as u64, Fingerprint::of_bytes(&bytes));
        record.add(stopwatch, "sections", input, sections.fingerprint(), rows(&sections.tables()), size);
        // What a pass made is kept: asking again is answered from memory.
        let structure = sections.fingerprint();
        if has_sections || reaches(Stage::Cfg) {
            let stopwatch = begin("linkage");
            let linkage = file.linkage()?;
            record.add(stopwatch, "linkage", input, linkage.fingerprint(), rows(&linkage.tables()), size);
            let stopwatch = begin("exceptions");
            let exceptions = file.exceptions()?;
            let output = exceptions.fingerprint();
            record.add(stopwatch, "exceptions", structure, output, rows(&exceptions.tables()), size);
        }
        if has_sections {
            let stopwatch = begin("strings");
            let strings = file.strings()?;
            let output = strings.fingerprint();
            record.add(stopwatch, "strings", structure, output, rows(&strings.tables()), size);
            let stopwatch = begin("extents");
            let extents = file.extents()?;
            record.add(stopwatch, "extents", input, extents.fingerprint(), extents.len() as u64, size);
        }
        if self.stages.contains(&Stage::Debug) {
            let stopwatch = begin("debug");
            let debug = file.debug()?;
            record.add(stopwatch, "debug", input, debug.fingerprint(), debug.rows(), size);
        }
        if reaches(Stage::Instructions) {
            let stopwatch = begin("instructions");
            let (code, instructions) = (file.code()?, file.instructions()?);
            let (input, output) = (code.fingerprint(), instructions.fingerprint());
            record.add(stopwatch, "instructions", input, output, instructions.len() as u64, code.size());
        }
        if reaches(Stage::Cfg) {
            let stopwatch = begin("cfg");
            let (code, references, cfg) = (file.code()?, file.references()?, file.cfg()?);
            let instructions = file.instructions()?.fingerprint();
            let input = Fingerprint::of_all([code.fingerprint(), references.fingerprint(), instructions]);
            record.add(stopwatch, "cfg", input, cfg.fingerprint(), rows(&cfg.tables()), code.size());
        }
        if reaches(Stage::Memory) {
            let stopwatch = begin("memory");
            let (code, memory) = (file.code()?, file.memory()?);
            let regions = memory.memory_regions.batch().fingerprint();
            let input = Fingerprint::of_all([regions, code.fingerprint(), file.cfg()?.fingerprint()]);
            record.add(stopwatch, "memory", input, memory.fingerprint(), rows(&memory.tables()), code.size());
        }
        let sha256 = sections.headers.columns().iter().map(|header| header.sha256.to_owned()).collect();
        let path = file.path().to_string_lossy().into_owned();
        let binary = binary.to_owned();
        self.binaries.push(ManifestBinary { binary, path, sha256, passes: record.passes });
        record.timings.into_iter().for_each(|timing| self.add(timing));
        Ok(())
    }

    /// Writes one table: every thread takes the next part, makes and encodes it, and appends what is next in order.
    fn write(&mut self, input: usize, file: &LoweredFile, table: &mut TableFiles) -> Result<(), Error> {
        table.begin_binary()?;
        let stopwatch = Stopwatch::start();
        let (bytes_before, rows_before) = (table.bytes(), table.rows());
        let (binary, parts) = (file.name(), file.parts(table.info(), self.stages, None)?);
        let (step, encoder, path, observe) = (table.info().name, table.encoder(), file.path(), self.observe);
        let next = AtomicUsize::new(0);
        let appender = Mutex::new(Appender { table: &mut *table, done: 0, waiting: BTreeMap::new() });
        let write_parts = || {
            while let Some((index, part)) = take(&next, &parts) {
                let encoded = encoder.encode(&part.rows(), binary).map_err(Error::write(path))?;
                let mut appender = appender.lock().unwrap_or_else(PoisonError::into_inner);
                appender.put(index, encoded)?;
                observe(Progress { input, binary, step, done: appender.done, parts: parts.len() });
            }
            Ok(())
        };
        // Where one thread fails, the others take no more.
        let write_all = || write_parts().inspect_err(|_| next.store(parts.len(), Ordering::Relaxed));
        // To wake the others takes longer than to write one small part.
        let results = if parts.len() > 1 { rayon::broadcast(|_| write_all()) } else { vec![write_all()] };
        results.into_iter().collect::<Result<(), Error>>()?;
        let (rows, bytes) = (table.rows() - rows_before, table.bytes() - bytes_before);
        self.add(stopwatch.stop(format!("write {step}"), rows, bytes));
        Ok(())
    }

    fn add(&mut self, timing: Timing) {
        match self.timings.iter_mut().find(|known| known.step == timing.step) {
            None => self.timings.push(timing),
            Some(known) => {
                known.rows += timing.rows;
                known.bytes += timing.bytes;
                known.wall_seconds += timing.wall_seconds;
                known.cpu_seconds += timing.cpu_seconds;
            }
        }
    }
}

/// What ran for one input.
struct Record {
    passes: Vec<ManifestPass>,
    timings: Vec<Timing>,
}

impl Record {
    fn add(
        &mut self,
        stopwatch: Stopwatch,
        pass: &str,
        input: Fingerprint,
        output: Fingerprint,
        rows: u64,
        bytes: u64,
    ) {
        self.timings.push(stopwatch.stop(pass.to_owned(), rows, bytes));
        let (input, output) = (input.to_string(), output.to_string());
        self.passes.push(ManifestPass { pass: pass.to_owned(), version: VERSION, input, output });
    }
}

/// Rows of tables together.
fn rows(tables: &[&Batch]) -> u64 {
    tables.iter().map(|batch| batch.rows() as u64).sum()
}

/// The next part that no thread has taken.
fn take<'p>(next: &AtomicUsize, parts: &'p [LoweredPart]) -> Option<(usize, &'p LoweredPart)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, parts.get(index)?))
}

/// Appends encoded parts to a table in their order, in whichever order they come.
struct Appender<'a> {
    table: &'a mut TableFiles,
    /// Parts that were appended.
    done: usize,
    /// Parts that came before their turn: about as many as there are threads.
    waiting: BTreeMap<usize, EncodedRows>,
}

impl Appender<'_> {
    fn put(&mut self, index: usize, rows: EncodedRows) -> Result<(), Error> {
        self.waiting.insert(index, rows);
        while let Some(rows) = self.waiting.remove(&self.done) {
            self.table.append(rows)?;
            self.done += 1;
        }
        Ok(())
    }
}
