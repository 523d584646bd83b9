//! `(executable) -> tables`, in memory or as a dataset on disk.

use binframe::ir::parquet::{Compressors, TableReader, TableWriter};
use binframe::ir::tables::{DataFlowEdges, Diagnostics, Instructions, MemoryAccesses};
use binframe::ir::{Batch, Fingerprint, Rows, Stage, Table, TableInfo};
use binframe::passes::{
    self, Inputs, Lowered, Unsupported,
    code::{cfg, instructions::code_ranges, memory},
};
use binframe::{Dataset, Error, Request};
use bytes::Bytes;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// All tables of one executable, in memory.
pub struct Tables {
    /// Tables that the passes retain.
    pub lowered: Lowered,
    /// Table `instructions`.
    pub instructions: Rows<Instructions>,
    /// Table `memory_accesses`.
    pub memory_accesses: Rows<MemoryAccesses>,
    /// Table `data_flow_edges`.
    pub data_flow_edges: Rows<DataFlowEdges>,
}

impl Tables {
    /// Diagnostics of the stages, in pipeline order.
    pub fn diagnostics(&self) -> [&Rows<Diagnostics>; 4] {
        let Lowered { sections, instructions, cfg, memory, .. } = &self.lowered;
        [&sections.diagnostics, &instructions.diagnostics, &cfg.diagnostics, &memory.diagnostics]
    }
}

/// Computes the tables of an executable in memory. Panics if it is not supported.
pub fn tables(bytes: &Bytes) -> Tables {
    try_tables(bytes).unwrap_or_else(|error| panic!("{error}"))
}

/// Computes the tables of a file in memory. Fails if it is not a supported executable.
pub fn try_tables(bytes: &Bytes) -> Result<Tables, Unsupported> {
    let lowered = passes::lower(Inputs::of(bytes))?;
    let Lowered { code, instructions, cfg, memory, .. } = &lowered;
    let ranges = code_ranges(code, instructions, None).into_iter();
    let rows = ranges.map(|range| cfg::instruction_rows(code, instructions, cfg, range));
    let runs = memory::block_ranges(cfg, None).into_iter();
    let accesses = runs.clone().map(|run| memory::accesses(code, cfg, memory, run));
    let flows = runs.map(|run| memory::data_flow(code, cfg, memory, run));
    Ok(Tables {
        instructions: concat(rows),
        memory_accesses: concat(accesses),
        data_flow_edges: concat(flows),
        lowered,
    })
}

/// Runs `work` with the given number of threads.
pub fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("the system has threads").install(work)
}

/// The stages of the pipeline and `DataFlow`.
const STAGES: [Stage; 5] = [Stage::Sections, Stage::Instructions, Stage::Cfg, Stage::Memory, Stage::DataFlow];

/// A dataset in a temporary folder, deleted when dropped.
pub struct TemporaryDataset {
    folder: TempDir,
}

impl TemporaryDataset {
    /// Computes the dataset of an executable, which is stored under the name `name` in a temporary folder.
    pub fn of_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Self::with_stages(name, bytes, &STAGES)
    }

    /// Computes the given stages of an executable, as [`of_bytes`](Self::of_bytes) does.
    pub fn with_stages(name: &str, bytes: &[u8], stages: &[Stage]) -> Result<Self, Error> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let input = folder.path().join(name);
        fs::write(&input, bytes).expect("the temporary folder is writable");
        let written = Self { folder };
        lower_into(&input, &written.path(), stages)?;
        Ok(written)
    }

    /// Computes the dataset of a file.
    pub fn of_file(input: &Path) -> Result<Self, Error> {
        let written = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        lower_into(input, &written.path(), &STAGES)?;
        Ok(written)
    }

    /// Path of the dataset.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("dataset")
    }

    /// Replaces the rows of a table that is stored in one file, and its fingerprint in the manifest.
    pub fn replace(&self, binary: &str, rows: &Batch) {
        let path = self.path().join(rows.info().name).join("part-00000.parquet");
        let fingerprint = || Fingerprint::of_bytes(&fs::read(&path).expect("the file exists")).to_string();
        let before = fingerprint();
        let file = fs::File::create(&path).expect("the dataset is writable");
        let mut writer =
            TableWriter::new(rows.info(), file, &Compressors::default()).expect("the table can be written");
        let encoded = writer.encoder().encode(rows, binary).expect("the rows can be encoded");
        writer.append(encoded).and_then(|()| writer.finish()).expect("the rows can be written");
        let manifest = self.path().join("_binframe/manifest.json");
        let text = fs::read_to_string(&manifest).expect("a dataset has a manifest");
        fs::write(manifest, text.replace(&before, &fingerprint())).expect("the dataset is writable");
    }

    /// All rows of a table, read from its files.
    pub fn table(&self, info: &'static TableInfo) -> Batch {
        let dataset = Dataset::open(&self.path()).expect("a dataset was written");
        let mut batches = Vec::new();
        for path in dataset.files(info) {
            let bytes = Bytes::from(fs::read(&path).expect("the manifest names files that exist"));
            let reader = TableReader::open(info, bytes).expect("a file of the table");
            batches.extend(
                (0..reader.row_groups()).map(|index| reader.read(index).expect("the file was written")),
            );
        }
        if batches.is_empty() {
            return binframe::ir::from_text(info, info.columns[0].name).expect("no rows");
        }
        Batch::concat(&batches)
    }
}

/// Computes a dataset of a file, with the verifier on.
pub fn lower_into(input: &Path, output: &Path, stages: &[Stage]) -> Result<(), Error> {
    let inputs = [input.to_owned()];
    binframe::lower(&Request { verify: true, ..Request::new(&inputs, output, stages) }, &|_| {}).map(drop)
}

fn concat<T: Table>(parts: impl Iterator<Item = Rows<T>>) -> Rows<T> {
    let batches: Vec<_> = parts.map(|rows| rows.batch().clone()).collect();
    if batches.is_empty() {
        return Rows::default();
    }
    Rows::from_batch(Batch::concat(&batches)).expect("batches of one table")
}
