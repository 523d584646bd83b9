//! Lowers executables into a dataset.

use crate::dataset::{DatasetWriter, LAYOUT_VERSION, ManifestBinary, ManifestPass, TableFiles};
use crate::lowered_file::{LoweredFile, LoweredPart, file_name};
use crate::timing::Stopwatch;
use crate::{Error, Manifest, Timing, verify};
use binframe_ir::parquet::EncodedRows;
use binframe_ir::{Fingerprint, Stage, TABLES};
use binframe_passes::VERSION;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What to lower, how far, and where to.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The executables.
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
    let last = request.stages.iter().copied().max().unwrap_or(Stage::Sections);
    let is_wanted = |stage: Stage| request.stages.contains(&stage) || stage == Stage::Run;
    let tables: Vec<_> = TABLES.iter().copied().filter(|table| is_wanted(table.stage)).collect();
    let mut run = Run { last, names: BTreeSet::new(), binaries: Vec::new(), timings: Vec::new(), observe };
    let mut writer = DatasetWriter::create(request.output, &tables)?;
    for (input, path) in request.inputs.iter().enumerate() {
        run.lower(input, path, &mut writer)?;
    }
    let tables = writer.finish_tables()?;
    let manifest = Manifest {
        layout: LAYOUT_VERSION,
        binframe: env!("CARGO_PKG_VERSION").to_owned(),
        stages: Stage::PIPELINE
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
    last: Stage,
    names: BTreeSet<String>,
    binaries: Vec<ManifestBinary>,
    timings: Vec<Timing>,
    observe: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl Run<'_> {
    fn lower(&mut self, input: usize, path: &Path, writer: &mut DatasetWriter) -> Result<(), Error> {
        let binary = self.unique_name(&file_name(path));
        let file = self.run_passes(input, path, &binary)?;
        for table in writer.tables() {
            self.write(input, &file, &binary, table)?;
        }
        Ok(())
    }

    /// Runs the passes that the last stage needs.
    fn run_passes(&mut self, input: usize, path: &Path, binary: &str) -> Result<LoweredFile, Error> {
        let begin = |step| {
            (self.observe)(Progress { input, binary, step, done: 0, parts: 1 });
            Stopwatch::start()
        };
        let mut timings = Vec::new();
        let mut passes = Vec::new();
        let mut record = |pass: &str, input: Fingerprint, output: Fingerprint| {
            let (input, output) = (input.to_string(), output.to_string());
            passes.push(ManifestPass { pass: pass.to_owned(), version: VERSION, input, output });
        };
        let stopwatch = begin("sections");
        let file = LoweredFile::open(path)?;
        let bytes = file.bytes().0;
        let sections = file.sections();
        let rows = [sections.sections.len(), sections.symbols.len(), sections.unwind_entries.len()]
            .iter()
            .sum::<usize>();
        timings.push(stopwatch.stop("sections".to_owned(), rows as u64, bytes.len() as u64));
        record("sections", Fingerprint::of_bytes(&bytes), sections.fingerprint());
        // What a pass made is kept: asking again is answered from memory.
        if self.last >= Stage::Instructions {
            let stopwatch = begin("instructions");
            let (code, instructions) = (file.code()?, file.instructions()?);
            timings.push(stopwatch.stop("instructions".to_owned(), instructions.len() as u64, code.size()));
            record("instructions", code.fingerprint(), instructions.fingerprint());
        }
        if self.last >= Stage::Cfg {
            let stopwatch = begin("cfg");
            let (code, cfg) = (file.code()?, file.cfg()?);
            let rows =
                [cfg.functions.len(), cfg.basic_blocks.len(), cfg.cfg_edges.len(), cfg.call_edges.len()];
            timings.push(stopwatch.stop("cfg".to_owned(), rows.iter().sum::<usize>() as u64, code.size()));
            let input = Fingerprint::of_all([code.fingerprint(), file.instructions()?.fingerprint()]);
            record("cfg", input, cfg.fingerprint());
        }
        if self.last >= Stage::Memory {
            let stopwatch = begin("memory");
            let (code, memory) = (file.code()?, file.memory()?);
            let rows = memory.memory_regions.len() + memory.stack_frames.len();
            timings.push(stopwatch.stop("memory".to_owned(), rows as u64, code.size()));
            let regions = memory.memory_regions.batch().fingerprint();
            let input = Fingerprint::of_all([regions, code.fingerprint(), file.cfg()?.fingerprint()]);
            record("memory", input, memory.fingerprint());
        }
        let sha256 = sections.headers.columns().iter().map(|header| header.sha256.to_owned()).collect();
        let path = path.to_string_lossy().into_owned();
        self.binaries.push(ManifestBinary { binary: binary.to_owned(), path, sha256, passes });
        for timing in timings {
            self.add(timing);
        }
        Ok(file)
    }

    /// Writes one table: every thread takes the next part, makes and encodes it, and appends what is next in order.
    fn write(
        &mut self,
        input: usize,
        file: &LoweredFile,
        binary: &str,
        table: &mut TableFiles,
    ) -> Result<(), Error> {
        table.begin_binary()?;
        let stopwatch = Stopwatch::start();
        let (bytes_before, rows_before) = (table.bytes(), table.rows());
        let parts = file.parts(table.info(), self.last, None)?;
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
        let results =
            rayon::broadcast(|_| write_parts().inspect_err(|_| next.store(parts.len(), Ordering::Relaxed)));
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

    /// The name, or the name and a number that no input before has.
    fn unique_name(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let unique =
            candidates.find(|candidate| !self.names.contains(candidate)).expect("numbers do not end");
        self.names.insert(unique.clone());
        unique
    }
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
