//! `(ELF core dump) -> snapshot`, from the tables of its file structure.
//!
//! A file that is truncated is read as far as it goes: memory that is missing was not read.
//!
//! Tools and the kernel leave the memory of files out that the process did not change. Such mappings have no content;
//! what may be done with them is read from the files, if they are there.

use super::content::Content;
use super::core_program::{FileRange, Program};
use super::mappings::{Mapping, Origin, classify};
use super::modules::Images;
use super::request::CaptureRequest;
use super::selection::read_contents;
use super::snapshot::{ProcessSnapshot, ThreadState, stack_pointers};
use crate::error::Error;
use crate::file::read_file;
use binframe_ir::tables::{BinaryKind, ChangeDetection};
use binframe_passes::file::linkage::{self, LinkageIr};
use binframe_passes::file::sections::{self, SectionsIr};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Reads a core dump.
pub(super) fn read_core_dump(
    path: &Path,
    request: &CaptureRequest<'_>,
    images: &mut Images,
) -> Result<ProcessSnapshot, Error> {
    let file = read_file(path)?;
    let unsupported = |reason| Error::Unsupported { path: path.to_owned(), reason };
    let fail = |path: &Path, found: String| Error::Capture { subject: path.display().to_string(), found };
    let sections = sections::run(&file.0, 0).map_err(unsupported)?;
    let header = sections.headers.columns().row(0);
    if header.kind != BinaryKind::CoreDump {
        return Err(fail(path, "it is no core dump; `binframe lower` reads executables".to_owned()));
    }
    let linkage = linkage::run(&file.0, &sections);
    let threads = threads(&linkage);
    let mut files = files(&linkage);
    let entry = auxiliary(&linkage, "AT_ENTRY");
    let program = Program::find(path, request.executable.as_deref(), entry, &mut files, images)?;
    let mut mappings = mappings(&sections, &files, program.as_ref(), images);
    if mappings.is_empty() && threads.is_empty() {
        let found = "it has neither memory nor threads: expected segments (PT_LOAD) or notes (NT_PRSTATUS)";
        return Err(fail(path, found.to_owned()));
    }
    if let Some(start) = auxiliary(&linkage, "AT_SYSINFO_EHDR")
        && let Some(mapping) = mappings.iter_mut().find(|mapping| mapping.start == start)
    {
        mapping.origin = Origin::Kernel("[vdso]".to_owned());
    }
    classify(&mut mappings, &stack_pointers(&threads));
    let segments = LoadedSegments::of(&sections);
    // Segments of a damaged file may share bytes of the file, which must not multiply.
    let mut bytes_left = file.0.len();
    let contents = read_contents(&mappings, request, |mapping| {
        let content = segments.bytes(&file.0, mapping).filter(|content| content.len() <= bytes_left)?;
        bytes_left -= content.len();
        Content::whole(content.to_vec())
    });
    let modified =
        fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(Error::io(path, "read"))?;
    let snapshot = ProcessSnapshot {
        timestamp: modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64,
        pause: None,
        architecture: header.architecture,
        mappings,
        contents,
        change_detection: ChangeDetection::FullRead,
        threads,
        entry,
        modules: Vec::new(),
    };
    match (&request.executable, program) {
        (Some(executable), Some(program)) if !program.is_in(&snapshot) => {
            let found = format!(
                "it is not the program of {}: the first page of the file differs from that in memory",
                path.display()
            );
            Err(fail(executable, found))
        }
        _ => Ok(snapshot),
    }
}

/// The files that are mapped, sorted by address.
fn files(linkage: &LinkageIr) -> Vec<FileRange> {
    let rows = linkage.mapped_files.columns().iter();
    let files = rows.filter(|file| file.size > 0).map(|file| FileRange {
        start: file.address,
        size: file.size,
        offset: file.mapped_offset,
        path: file.mapped_path.to_owned(),
    });
    let mut files: Vec<_> = files.collect();
    files.sort_by_key(|file| file.start);
    files
}

/// An entry of the auxiliary vector: what the system told the process of its memory.
fn auxiliary(linkage: &LinkageIr, name: &str) -> Option<u64> {
    let mut attributes = linkage.attributes.columns().iter();
    attributes.find(|attribute| attribute.attribute_name == name)?.value
}

/// The segments of a core dump that are memory, sorted by address.
struct LoadedSegments(Vec<LoadedSegment>);

struct LoadedSegment {
    start: u64,
    offset: u64,
    size: u64,
}

impl LoadedSegments {
    fn of(sections: &SectionsIr) -> Self {
        let rows = sections.segments.columns();
        let loaded = rows.iter().filter(|segment| segment.segment_type == Some("PT_LOAD"));
        let segments = loaded.map(|segment| LoadedSegment {
            start: segment.address,
            offset: segment.file_offset,
            size: segment.file_size,
        });
        let mut segments: Vec<_> = segments.collect();
        segments.sort_by_key(|segment| segment.start);
        Self(segments)
    }

    /// The bytes of a mapping, as far as the file has them; `None` if it has none.
    fn bytes<'a>(&self, file: &'a [u8], mapping: &Mapping) -> Option<&'a [u8]> {
        let after = self.0.partition_point(|segment| segment.start <= mapping.start);
        let segment = &self.0[after.checked_sub(1)?];
        let distance = mapping.start - segment.start;
        let size = segment.size.checked_sub(distance)?.min(mapping.size());
        let start = usize::try_from(segment.offset.checked_add(distance)?).ok()?.min(file.len());
        let end = start.saturating_add(usize::try_from(size).ok()?).min(file.len());
        (start < end).then(|| &file[start..end])
    }
}

/// The loaded segments, with the files that are mapped in them, and the mapped files that no segment has.
fn mappings(
    sections: &SectionsIr,
    files: &[FileRange],
    program: Option<&Program>,
    images: &mut Images,
) -> Vec<Mapping> {
    let file_at = |address: u64| {
        let after = files.partition_point(|file| file.start <= address);
        let file = &files[after.checked_sub(1)?];
        (address - file.start < file.size).then_some(file)
    };
    let segments = sections.segments.columns();
    let loaded =
        segments.iter().filter(|segment| segment.segment_type == Some("PT_LOAD") && segment.size > 0);
    let mut mappings: Vec<_> = loaded
        .map(|segment| {
            let origin = match file_at(segment.address) {
                Some(file) => Origin::File {
                    path: file.path.clone(),
                    offset: file.offset.saturating_add(segment.address - file.start),
                },
                None => Origin::Anonymous,
            };
            let end = segment.address.saturating_add(segment.size);
            Mapping::new(segment.address, end, segment.permissions.0.to_owned(), origin)
        })
        .collect();
    let starts: BTreeSet<u64> = mappings.iter().map(|mapping| mapping.start).collect();
    for file in files.iter().filter(|file| !starts.contains(&file.start)) {
        let permissions = images.permissions(&file.path, file.offset).unwrap_or_default();
        let origin = Origin::File { path: file.path.clone(), offset: file.offset };
        mappings.push(Mapping::new(file.start, file.start.saturating_add(file.size), permissions, origin));
    }
    mappings.sort_by_key(|mapping| mapping.start);
    // Segments of a damaged file may overlap.
    mappings.dedup_by(|next, before| next.start < before.end);
    match program {
        Some(program) => program.place(mappings),
        None => mappings,
    }
}

/// The threads. Of several notes about one thread, the first one counts.
fn threads(linkage: &LinkageIr) -> Vec<ThreadState> {
    let rows = linkage.threads.columns();
    let registers = linkage.thread_registers.columns();
    let mut of_threads: BTreeMap<u32, Vec<(String, u64)>> = BTreeMap::new();
    for register in registers.iter() {
        let own = of_threads.entry(register.thread_index).or_default();
        own.push((register.register_name.to_owned(), register.value));
    }
    // The signal of a thread is described after its registers, and before those of the next one.
    let mut signals: BTreeMap<u32, (Option<i32>, Option<u64>)> = BTreeMap::new();
    for attribute in linkage.attributes.columns().iter().filter(|row| row.source_name == "NT_SIGINFO") {
        let signal = signals.entry(attribute.note_index.unwrap_or(0)).or_default();
        match attribute.attribute_name {
            "code" => signal.0 = attribute.value.map(|code| code as i32),
            "fault" => signal.1 = attribute.address,
            _ => {}
        }
    }
    let notes: Vec<Option<u32>> = rows.iter().map(|row| row.note_index).collect();
    let mut threads: Vec<_> = (0..)
        .zip(rows.iter())
        .map(|(position, row)| {
            let first = row.note_index.unwrap_or(0);
            let next = notes.get(position + 1).copied().flatten().filter(|next| *next > first);
            let signal = signals.range(first..next.unwrap_or(u32::MAX)).next().map(|(_, signal)| *signal);
            ThreadState {
                thread_id: row.thread_id.map_or(u64::from(row.thread_index), u64::from),
                name: row.thread_name.map(str::to_owned),
                is_main: position == 0,
                signal: row.signal.filter(|signal| *signal > 0),
                signal_code: signal.and_then(|(code, _)| code),
                fault_address: signal.and_then(|(_, address)| address),
                registers: of_threads.remove(&row.thread_index).unwrap_or_default(),
                program_counter: row.program_counter.unwrap_or(0),
                stack_pointer: row.stack_pointer.unwrap_or(0),
            }
        })
        .collect();
    threads.sort_by_key(|thread| thread.thread_id);
    threads.dedup_by_key(|thread| thread.thread_id);
    threads
}
