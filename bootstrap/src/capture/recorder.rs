//! Writes snapshots as rows of a dataset.
//!
//! Rows wait in builders until they are many, or have much content, and are then encoded and appended.

use super::content::Content;
use super::frame::Frame;
use super::glibc_heap;
use super::mappings::Origin;
use super::modules::{Images, Module, module_at};
use super::output::Output;
use super::pages::{Changes, Pages, push_content};
use super::request::{CaptureRequest, CaptureTarget};
use super::snapshot::ProcessSnapshot;
use super::source_lines::SourceCall;
use super::stacks::StackWalker;
use crate::error::Error;
use crate::run::driver::lower_into;
use crate::run::request::Request;
use crate::store::manifest::{Manifest, ManifestBinary};
use crate::store::writer::DatasetWriter;
use binframe_ir::tables::{
    CallStack, CallStackBuilder, ChangeDetection, HeapChunk, HeapChunkBuilder, LoadedModule,
    LoadedModuleBuilder, MemoryPageBuilder, MemoryRegion, MemoryRegionBuilder, MemoryRegions,
    PageContentBuilder, Snapshot, SnapshotBuilder, SnapshotReason, Thread, ThreadBuilder, ThreadRegister,
    ThreadRegisterBuilder,
};
use binframe_ir::{Batch, Enumeration, Finish, Stage, TABLES, Table, TableInfo, Term, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The tables of a capture: its own, and the regions of memory, which files have too.
fn is_captured(table: &TableInfo) -> bool {
    table.stage == Stage::Capture || table == MemoryRegions::INFO
}

/// Rows that wait at most, and bytes of content.
const ROWS_MAX: usize = 1 << 16;
const BYTES_MAX: usize = 32 << 20;

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
    /// Number of the tables of files, which are the first ones.
    file_tables: usize,
    /// The files of all modules.
    module_paths: BTreeSet<PathBuf>,
    has_content: bool,
    is_core_dump: bool,
    path: String,
    pub(super) images: Images,
    pages: Pages,
    /// Number of snapshots so far.
    count: u32,
    snapshots: Pending<SnapshotBuilder>,
    regions: Pending<MemoryRegionBuilder>,
    changed_pages: Pending<MemoryPageBuilder>,
    contents: Pending<PageContentBuilder>,
    modules: Pending<LoadedModuleBuilder>,
    threads: Pending<ThreadBuilder>,
    registers: Pending<ThreadRegisterBuilder>,
    stacks: Pending<CallStackBuilder>,
    chunks: Pending<HeapChunkBuilder>,
}

impl Recorder {
    /// Starts the dataset of a program or core dump.
    pub(super) fn create(request: &CaptureRequest<'_>, program: &Path) -> Result<Self, Error> {
        let is_of_files = |table: &TableInfo| {
            !request.file_stages.is_empty()
                && (table.stage == Stage::Run || request.file_stages.contains(&table.stage))
        };
        let mut tables: Vec<_> = TABLES.iter().copied().filter(|table| is_of_files(table)).collect();
        let file_tables = tables.len();
        tables.extend(TABLES.iter().copied().filter(|table| is_captured(table) && !is_of_files(table)));
        let (writer, _) = DatasetWriter::create(request.output, &tables, None)?;
        let private = fs::set_permissions(writer.directory(), Permissions::from_mode(0o700));
        private.map_err(Error::io(writer.directory(), "make private"))?;
        let name = program.file_name().map_or_else(|| "process".into(), |name| name.to_string_lossy());
        // The program itself may be in the dataset under its name.
        let suffix = if file_tables > 0 { ".captured" } else { "" };
        Ok(Self {
            output: Output::new(Arc::new(Mutex::new(writer)), format!("{name}{suffix}"))?,
            file_tables,
            module_paths: BTreeSet::new(),
            has_content: request.has_content,
            is_core_dump: matches!(request.target, CaptureTarget::CoreDump(_) | CaptureTarget::Minidump(_)),
            path: program.to_string_lossy().into_owned(),
            images: Images::default(),
            pages: Pages::default(),
            count: 0,
            snapshots: Pending::default(),
            regions: Pending::default(),
            changed_pages: Pending::default(),
            contents: Pending::default(),
            modules: Pending::default(),
            threads: Pending::default(),
            registers: Pending::default(),
            stacks: Pending::default(),
            chunks: Pending::default(),
        })
    }

    /// Where rows of the heap go.
    pub(super) fn heap_output(&self) -> Result<Output, Error> {
        self.output.another()
    }

    /// Whether there is no snapshot.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the rows of a snapshot. The thread is the one that was its reason.
    pub(super) fn record(
        &mut self,
        snapshot: &ProcessSnapshot,
        reason: SnapshotReason,
        thread_id: Option<u64>,
    ) -> Result<(), Error> {
        self.count += 1;
        let changes = self.record_changes(snapshot)?;
        let read_bytes = snapshot.contents.iter().flatten().map(Content::size).sum();
        self.snapshots.next(0).push(Snapshot {
            snapshot_id: self.count,
            timestamp: Timestamp(snapshot.timestamp),
            reason,
            thread_id,
            change_detection: snapshot.change_detection,
            pause_nanoseconds: snapshot.pause.map(|pause| pause.as_nanos() as u64),
            mapped_bytes: snapshot.mappings.iter().map(super::mappings::Mapping::size).sum(),
            read_bytes,
            changed_bytes: changes.bytes,
        });
        let modules = self.images.modules(snapshot);
        let mut walker = StackWalker::new(snapshot.architecture, &modules);
        let stacks: Vec<Vec<Frame>> =
            snapshot.threads.iter().map(|thread| walker.frames(snapshot, thread)).collect();
        self.record_regions(snapshot, &changes, &start_functions(snapshot, &stacks, &modules))?;
        self.record_modules(snapshot, &modules);
        self.record_threads(snapshot, &stacks, &modules);
        self.record_chunks(snapshot)?;
        self.append_large()
    }

    /// Compares pages with those of the previous snapshot, and writes new contents.
    fn record_changes(&mut self, snapshot: &ProcessSnapshot) -> Result<Changes, Error> {
        let (contents, output, has_content) = (&mut self.contents, &mut self.output, self.has_content);
        let mut result = Ok(());
        let changes = self.pages.compare(self.count, snapshot, |content_id, digest, page| {
            push_content(contents.next(page.len()), (content_id, digest), has_content.then_some(page));
            if let (Some(batch), Ok(())) = (contents.take_if_large(), &result) {
                result = output.append(&batch);
            }
        });
        result?;
        for row in self.pages.take_closed() {
            self.changed_pages.next(0).push(row);
        }
        self.changed_pages.take_if_large().map_or(Ok(()), |batch| self.output.append(&batch))?;
        Ok(changes)
    }

    /// Writes the regions, given the start functions of threads.
    fn record_regions(
        &mut self,
        snapshot: &ProcessSnapshot,
        changes: &Changes,
        start_functions: &BTreeMap<u64, &str>,
    ) -> Result<(), Error> {
        let mut order: Vec<usize> = (0..snapshot.mappings.len()).collect();
        let key = |index: &usize| {
            let mapping = &snapshot.mappings[*index];
            (mapping.region_type.name(), mapping.start)
        };
        order.sort_by_key(key);
        for index in order {
            let mapping = &snapshot.mappings[index];
            let content = snapshot.contents[index].as_ref().and_then(Content::as_whole);
            let hash = changes.hashes[index].map(|hash| format!("{hash:032x}"));
            let is_written = self.has_content && !changes.is_in_pages[index];
            let content = content.filter(|_| is_written);
            let (path, offset) = match &mapping.origin {
                Origin::File { path, offset } => (Some(path.as_str()), Some(*offset)),
                Origin::Module(path) => (Some(path.as_str()), None),
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
                function_name: mapping.thread_id.and_then(|thread| start_functions.get(&thread).copied()),
                allocation_site: Some(&mapping.origin.site()),
                snapshot_id: self.count,
                permissions: Some(mapping.permissions.as_str()).filter(|own| !own.is_empty()),
                mapped_path: path,
                mapped_offset: offset,
                content_hash: hash.as_deref(),
            });
            self.regions.take_if_large().map_or(Ok(()), |batch| self.output.append(&batch))?;
        }
        Ok(())
    }

    fn record_modules(&mut self, snapshot: &ProcessSnapshot, modules: &[Module]) {
        for (index, module) in modules.iter().enumerate() {
            if module.image.is_known() && !module.path.starts_with('[') {
                self.module_paths.insert(PathBuf::from(&module.path));
            }
            let is_program = match snapshot.entry {
                Some(entry) => (module.start..module.end).contains(&entry),
                None if self.is_core_dump => index == 0,
                None => module.path == self.path,
            };
            self.modules.next(0).push(LoadedModule {
                snapshot_id: self.count,
                address: module.start,
                size: module.end - module.start,
                load_bias: module.image.is_known().then_some(module.load_bias),
                module_path: &module.path,
                build_id: module.image.build_id.as_deref(),
                is_program,
            });
        }
    }

    fn record_threads(&mut self, snapshot: &ProcessSnapshot, stacks: &[Vec<Frame>], modules: &[Module]) {
        for (thread, frames) in snapshot.threads.iter().zip(stacks) {
            let thread_id = thread.thread_id;
            self.threads.next(0).push(Thread {
                snapshot_id: self.count,
                thread_id,
                thread_name: thread.name.as_deref(),
                is_main: thread.is_main,
                signal: thread.signal,
                signal_code: thread.signal_code.map(i64::from),
                fault_address: thread.fault_address,
                program_counter: thread.program_counter,
                stack_pointer: thread.stack_pointer,
            });
            for (register_index, (register_name, value)) in (0..).zip(&thread.registers) {
                let (snapshot_id, value) = (self.count, *value);
                let row = ThreadRegister { snapshot_id, thread_id, register_index, register_name, value };
                self.registers.next(0).push(row);
            }
            let mut depth = 0;
            for frame in frames {
                self.record_calls(thread_id, &mut depth, frame, modules);
            }
        }
    }

    /// Writes the function of a frame, and before it the functions that are inlined there.
    fn record_calls(&mut self, thread_id: u64, depth: &mut u32, frame: &Frame, modules: &[Module]) {
        let module = module_at(modules, frame.code_address);
        let address = |module: &Module| frame.code_address.wrapping_sub(module.load_bias);
        let function = module.and_then(|module| module.image.function_at(address(module)));
        let calls = module
            .map_or_else(|| vec![SourceCall::default()], |module| module.image.calls_at(address(module)));
        for call in calls {
            self.stacks.next(0).push(CallStack {
                snapshot_id: self.count,
                thread_id,
                depth: *depth,
                program_counter: frame.program_counter,
                frame_address: frame.stack_pointer,
                module_address: module.map(|module| module.start),
                function_address: function.map(|(address, _)| address),
                function_name: match call.is_inlined {
                    true => call.inlined_name,
                    false => function.and_then(|(_, name)| name),
                },
                is_inlined: call.is_inlined,
                source_file: call.file.map(Term),
                source_line: call.line,
            });
            *depth += 1;
        }
    }

    /// Writes the chunks of the heap, if it was read whole.
    fn record_chunks(&mut self, snapshot: &ProcessSnapshot) -> Result<(), Error> {
        if snapshot.change_detection != ChangeDetection::FullRead {
            return Ok(());
        }
        for chunk in glibc_heap::chunks(snapshot) {
            self.chunks.next(0).push(HeapChunk {
                snapshot_id: self.count,
                address: chunk.address,
                size: chunk.size,
                arena_address: chunk.arena,
                state: chunk.state,
            });
            self.chunks.take_if_large().map_or(Ok(()), |batch| self.output.append(&batch))?;
        }
        Ok(())
    }

    fn append_large(&mut self) -> Result<(), Error> {
        let batches = [
            self.snapshots.take_if_large(),
            self.modules.take_if_large(),
            self.threads.take_if_large(),
            self.registers.take_if_large(),
            self.stacks.take_if_large(),
        ];
        batches.iter().flatten().try_for_each(|batch| self.output.append(batch))
    }

    /// Appends the rows that wait and those of the modules' files, and writes the manifest, with what is missing in the rows
    /// of others.
    pub(super) fn finish(
        mut self,
        request: &CaptureRequest<'_>,
        missing: Vec<String>,
    ) -> Result<(DatasetWriter, Manifest), Error> {
        for row in self.pages.finish(self.count) {
            self.changed_pages.next(0).push(row);
        }
        let batches = [
            self.regions.take(),
            self.snapshots.take(),
            self.changed_pages.take(),
            self.contents.take(),
            self.modules.take(),
            self.threads.take(),
            self.registers.take(),
            self.stacks.take(),
            self.chunks.take(),
        ];
        batches.iter().flatten().try_for_each(|batch| self.output.append(batch))?;
        let (mut writer, name) = self.output.into_parts();
        let stages = std::iter::once(Stage::Capture).chain(request.file_stages.iter().copied());
        let mut manifest = Manifest::new(stages.map(|stage| stage.name().to_owned()).collect());
        manifest.binaries =
            vec![ManifestBinary { binary: name, path: self.path, sha256: String::new(), passes: Vec::new() }];
        manifest.missing = missing;
        if self.file_tables > 0 && !self.module_paths.is_empty() {
            let paths: Vec<PathBuf> = self.module_paths.into_iter().collect();
            let request = Request::new(&paths, request.output, request.file_stages);
            lower_into(&request, self.file_tables, &mut manifest, &mut writer)?;
        }
        manifest.tables = writer.finish_tables()?;
        writer.write_manifest(&manifest)?;
        Ok((writer, manifest))
    }
}

/// The function of the program in which each thread starts: the outermost one on its stack that is not part of the system.
fn start_functions<'a>(
    snapshot: &ProcessSnapshot,
    stacks: &[Vec<Frame>],
    modules: &'a [Module],
) -> BTreeMap<u64, &'a str> {
    // Names of glibc and musl, without the underlines at their beginning.
    const OF_SYSTEM: [&str; 8] = [
        "start",
        "start_c",
        "start_thread",
        "libc_start_main",
        "libc_start_call_main",
        "libc_start_main_stage2",
        "clone",
        "clone3",
    ];
    let name = |frame: &Frame| {
        let module = module_at(modules, frame.code_address)?;
        let (_, name) = module.image.function_at(frame.code_address.wrapping_sub(module.load_bias))?;
        name.filter(|name| !OF_SYSTEM.contains(&name.trim_start_matches('_')))
    };
    let threads = snapshot.threads.iter().zip(stacks);
    let starts =
        threads.filter_map(|(thread, frames)| Some((thread.thread_id, frames.iter().rev().find_map(name)?)));
    starts.collect()
}
