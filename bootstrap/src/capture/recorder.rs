//! Writes snapshots as rows of a dataset.
//!
//! Rows wait in builders until they are many, or have much content, and are then encoded and appended.

use super::heap::HeapOutput;
use super::mappings::Origin;
use super::modules::{Images, Module};
use super::pages::{Changes, Pages, push_content};
use super::request::{CaptureRequest, CaptureTarget};
use super::snapshot::ProcessSnapshot;
use super::stacks::StackWalker;
use crate::error::Error;
use crate::store::manifest::{Manifest, ManifestBinary};
use crate::store::writer::DatasetWriter;
use binframe_ir::parquet::TableEncoder;
use binframe_ir::tables::{
    CallStack, CallStackBuilder, ChangeDetection, LoadedModule, LoadedModuleBuilder, MemoryRegion,
    MemoryRegionBuilder, MemoryRegions, PageContentBuilder, Snapshot, SnapshotBuilder, SnapshotReason,
    Thread, ThreadBuilder, ThreadRegister, ThreadRegisterBuilder,
};
use binframe_ir::{Batch, Enumeration, Finish, Stage, TABLES, Table, TableInfo, Timestamp};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_128;

/// The tables of a capture: its own, and the regions of memory, which files have too.
fn is_captured(table: &TableInfo) -> bool {
    table.stage == Stage::Capture || table == MemoryRegions::INFO
}

/// Rows that wait at most, and bytes of content.
const ROWS_MAX: usize = 1 << 16;
const BYTES_MAX: usize = 64 << 20;

/// The largest content of one row: Arrow's limit for a value is 2 GiB.
const CONTENT_MAX: usize = 1 << 30;

/// Rows of a table that wait.
struct Pending<B> {
    rows: B,
    count: usize,
    /// Bytes of content in them.
    bytes: usize,
}

impl<B: Default> Default for Pending<B> {
    fn default() -> Self {
        Self { rows: B::default(), count: 0, bytes: 0 }
    }
}

impl<B: Default + Finish> Pending<B> {
    /// The builder, to which the caller appends one row with `bytes` of content.
    fn next(&mut self, bytes: usize) -> &mut B {
        self.count += 1;
        self.bytes += bytes;
        &mut self.rows
    }

    fn take(&mut self) -> Option<Batch> {
        let pending = std::mem::take(self);
        (pending.count > 0).then(|| pending.rows.finish().batch().clone())
    }

    fn take_if_large(&mut self) -> Option<Batch> {
        if self.count >= ROWS_MAX || self.bytes >= BYTES_MAX { self.take() } else { None }
    }
}

/// Writes a capture.
pub(super) struct Recorder {
    output: Output,
    has_content: bool,
    is_series: bool,
    is_core_dump: bool,
    path: String,
    pub(super) images: Images,
    pages: Pages,
    /// Number of snapshots so far.
    count: u32,
    snapshots: Pending<SnapshotBuilder>,
    regions: Pending<MemoryRegionBuilder>,
    contents: Pending<PageContentBuilder>,
    modules: Pending<LoadedModuleBuilder>,
    threads: Pending<ThreadBuilder>,
    registers: Pending<ThreadRegisterBuilder>,
    stacks: Pending<CallStackBuilder>,
}

/// Where encoded rows go.
struct Output {
    /// Shared with the reader of the heap.
    writer: Arc<Mutex<DatasetWriter>>,
    encoders: Vec<(&'static TableInfo, TableEncoder)>,
    /// Name of the captured program, the value of the column `binary_name`.
    name: String,
}

impl Output {
    fn append(&mut self, batch: Option<Batch>) -> Result<(), Error> {
        let Some(batch) = batch else { return Ok(()) };
        let index = self.encoders.iter().position(|(table, _)| *table == batch.info());
        let index = index.expect("a table of captures");
        let encoded = self.encoders[index].1.encode(&batch, &self.name);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded = encoded.map_err(Error::write(writer.directory()))?;
        writer.append(index, encoded)
    }
}

impl Recorder {
    /// Starts the dataset of a program or core dump.
    pub(super) fn create(request: &CaptureRequest<'_>, program: &Path) -> Result<Self, Error> {
        let tables: Vec<_> = TABLES.iter().copied().filter(|table| is_captured(table)).collect();
        let (writer, _) = DatasetWriter::create(request.output, &tables, None)?;
        let encoders = writer.encoders()?;
        let name = program.file_name().map_or_else(|| "process".into(), |name| name.to_string_lossy());
        Ok(Self {
            output: Output { writer: Arc::new(Mutex::new(writer)), encoders, name: name.into_owned() },
            has_content: request.has_content,
            is_series: request.every.is_some(),
            is_core_dump: matches!(request.target, CaptureTarget::CoreDump(_)),
            path: program.to_string_lossy().into_owned(),
            images: Images::default(),
            pages: Pages::default(),
            count: 0,
            snapshots: Pending::default(),
            regions: Pending::default(),
            contents: Pending::default(),
            modules: Pending::default(),
            threads: Pending::default(),
            registers: Pending::default(),
            stacks: Pending::default(),
        })
    }

    /// Where rows of the heap go.
    pub(super) fn heap_output(&self) -> Result<HeapOutput, Error> {
        HeapOutput::new(&self.output.writer, &self.output.name)
    }

    /// Whether there is no snapshot.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the rows of a snapshot.
    pub(super) fn record(&mut self, snapshot: &ProcessSnapshot, reason: SnapshotReason) -> Result<(), Error> {
        self.count += 1;
        let changes = self.record_changes(snapshot)?;
        let read: usize = snapshot.contents.iter().flatten().map(Vec::len).sum();
        self.snapshots.next(0).push(Snapshot {
            snapshot_id: self.count,
            timestamp: Timestamp(snapshot.timestamp),
            reason,
            change_detection: ChangeDetection::FullRead,
            pause_nanoseconds: snapshot.pause.map(|pause| pause.as_nanos() as u64),
            mapped_bytes: snapshot.mappings.iter().map(super::mappings::Mapping::size).sum(),
            read_bytes: read as u64,
            changed_bytes: changes.bytes,
        });
        self.record_regions(snapshot, &changes)?;
        let modules = self.images.modules(snapshot);
        self.record_modules(&modules);
        self.record_threads(snapshot, &modules);
        self.append_large()
    }

    /// Compares pages with those of the previous snapshot, and writes new contents.
    fn record_changes(&mut self, snapshot: &ProcessSnapshot) -> Result<Changes, Error> {
        if !self.is_series {
            let bytes = snapshot.contents.iter().flatten().map(|content| content.len() as u64).sum();
            return Ok(Changes { is_known: vec![false; snapshot.mappings.len()], bytes });
        }
        let (contents, output, has_content) = (&mut self.contents, &mut self.output, self.has_content);
        let mut result = Ok(());
        let changes = self.pages.compare(self.count, snapshot, |content_id, digest, page| {
            push_content(contents.next(page.len()), (content_id, digest), has_content.then_some(page));
            if let (Some(batch), Ok(())) = (contents.take_if_large(), &result) {
                result = output.append(Some(batch));
            }
        });
        result.map(|()| changes)
    }

    fn record_regions(&mut self, snapshot: &ProcessSnapshot, changes: &Changes) -> Result<(), Error> {
        let mut order: Vec<usize> = (0..snapshot.mappings.len()).collect();
        let key = |index: &usize| {
            let mapping = &snapshot.mappings[*index];
            (mapping.region_type.name(), mapping.start)
        };
        order.sort_by_key(key);
        for index in order {
            let mapping = &snapshot.mappings[index];
            let content = snapshot.contents[index].as_deref();
            let hash = content.map(|content| format!("{:032x}", xxh3_128(content)));
            let is_written = self.has_content && !changes.is_known[index];
            let content = content.filter(|content| is_written && content.len() <= CONTENT_MAX);
            let (path, offset) = match &mapping.origin {
                Origin::File { path, offset } => (Some(path.as_str()), Some(*offset)),
                _ => (None, None),
            };
            self.regions.next(content.map_or(0, <[u8]>::len)).push(MemoryRegion {
                region_id: mapping.start,
                r#type: mapping.region_type.name(),
                start_address: Some(mapping.start),
                end_address: Some(mapping.end),
                size: mapping.size(),
                content_snapshot: content,
                timestamp: Some(Timestamp(snapshot.timestamp)),
                thread_id: mapping.thread_id,
                function_name: None,
                allocation_site: Some(&mapping.origin.site()),
                snapshot_id: self.count,
                permissions: Some(mapping.permissions.as_str()).filter(|own| !own.is_empty()),
                mapped_path: path,
                mapped_offset: offset,
                content_hash: hash.as_deref(),
            });
            let batch = self.regions.take_if_large();
            self.output.append(batch)?;
        }
        Ok(())
    }

    fn record_modules(&mut self, modules: &[Module]) {
        for (index, module) in modules.iter().enumerate() {
            self.modules.next(0).push(LoadedModule {
                snapshot_id: self.count,
                address: module.start,
                size: module.end - module.start,
                load_bias: module.load_bias,
                module_path: &module.path,
                build_id: module.image.build_id.as_deref(),
                is_program: if self.is_core_dump { index == 0 } else { module.path == self.path },
            });
        }
    }

    fn record_threads(&mut self, snapshot: &ProcessSnapshot, modules: &[Module]) {
        let mut walker = StackWalker::new(snapshot.architecture, modules);
        for thread in &snapshot.threads {
            let thread_id = thread.thread_id;
            self.threads.next(0).push(Thread {
                snapshot_id: self.count,
                thread_id,
                thread_name: thread.name.as_deref(),
                is_main: thread.is_main,
                signal: thread.signal,
                program_counter: thread.program_counter,
                stack_pointer: thread.stack_pointer,
            });
            for (register_index, (register_name, value)) in (0..).zip(&thread.registers) {
                let (snapshot_id, value) = (self.count, *value);
                let row = ThreadRegister { snapshot_id, thread_id, register_index, register_name, value };
                self.registers.next(0).push(row);
            }
            for (depth, frame) in (0..).zip(walker.frames(snapshot, thread)) {
                let after = modules.partition_point(|module| module.start <= frame.code_address);
                let module = after.checked_sub(1).map(|index| &modules[index]);
                let module = module.filter(|module| frame.code_address < module.end);
                let function = module.and_then(|module| {
                    module.image.function_at(frame.code_address.wrapping_sub(module.load_bias))
                });
                self.stacks.next(0).push(CallStack {
                    snapshot_id: self.count,
                    thread_id,
                    depth,
                    program_counter: frame.program_counter,
                    frame_address: frame.stack_pointer,
                    module_address: module.map(|module| module.start),
                    function_address: function.map(|(address, _)| address),
                    function_name: function.and_then(|(_, name)| name),
                });
            }
        }
    }

    fn append_large(&mut self) -> Result<(), Error> {
        let batches = [
            self.snapshots.take_if_large(),
            self.modules.take_if_large(),
            self.threads.take_if_large(),
            self.registers.take_if_large(),
            self.stacks.take_if_large(),
        ];
        batches.into_iter().try_for_each(|batch| self.output.append(batch))
    }

    /// Appends the rows that wait, and writes the manifest, with what is missing in the rows of others.
    pub(super) fn finish(mut self, missing: Vec<String>) -> Result<(DatasetWriter, Manifest), Error> {
        let pages = self.pages.finish(self.count);
        let batches = [
            self.regions.take(),
            self.snapshots.take(),
            Some(pages.batch().clone()),
            self.contents.take(),
            self.modules.take(),
            self.threads.take(),
            self.registers.take(),
            self.stacks.take(),
        ];
        batches.into_iter().try_for_each(|batch| self.output.append(batch))?;
        let Output { writer, name, .. } = self.output;
        let writer = Arc::into_inner(writer).expect("the reader of the heap has ended");
        let mut writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut manifest = Manifest::new(vec![Stage::Capture.name().to_owned()]);
        manifest.tables = writer.finish_tables()?;
        manifest.binaries =
            vec![ManifestBinary { binary: name, path: self.path, sha256: String::new(), passes: Vec::new() }];
        manifest.missing = missing;
        writer.write_manifest(&manifest)?;
        Ok((writer, manifest))
    }
}
