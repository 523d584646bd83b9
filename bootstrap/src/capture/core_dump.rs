//! `(ELF core dump) -> snapshot`, from the tables of its file structure.
//!
//! Tools and the kernel leave the memory of files out that the process did not change. Such mappings have no content; what
//! may be done with them is read from the files, if they are there.

use super::content::Content;
use super::mappings::{Mapping, Origin, classify};
use super::modules::Images;
use super::request::CaptureRequest;
use super::selection::read_contents;
use super::snapshot::{ProcessSnapshot, ThreadState, stack_pointers};
use crate::error::Error;
use crate::file::read_file;
use binframe_ir::tables::{Architecture, BinaryKind, BinaryMappedFile, ChangeDetection};
use binframe_passes::file::linkage::{self, LinkageIr};
use binframe_passes::file::sections::{self, SectionsIr};
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Reads a core dump. Of one that is truncated, memory that is missing was not read.
pub(super) fn read_core_dump(
    path: &Path,
    request: &CaptureRequest<'_>,
    images: &mut Images,
) -> Result<ProcessSnapshot, Error> {
    let file = read_file(path)?;
    let unsupported = |reason| Error::Unsupported { path: path.to_owned(), reason };
    let sections = sections::run(&file.0, 0).map_err(unsupported)?;
    let header = sections.headers.columns().row(0);
    if header.kind != BinaryKind::CoreDump {
        let found = "it is no core dump; `binframe lower` reads executables".to_owned();
        return Err(Error::Capture { subject: path.display().to_string(), found });
    }
    let linkage = linkage::run(&file.0, &sections);
    let threads = threads(&linkage);
    let mut mappings = mappings(&sections, &linkage, images);
    classify(&mut mappings, &stack_pointers(&threads));
    let segments = sections.segments.columns();
    let contents = read_contents(&mappings, request, |mapping| {
        let mut rows = segments.iter();
        let segment = rows.find(|row| row.address == mapping.start && row.segment_type == Some("PT_LOAD"))?;
        let start = usize::try_from(segment.file_offset).ok()?.min(file.0.len());
        let end = start.saturating_add(segment.file_size as usize).min(file.0.len());
        Content::whole(file.0[start..end].to_vec())
    });
    let modified =
        fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(Error::io(path, "read"))?;
    Ok(ProcessSnapshot {
        timestamp: modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64,
        pause: None,
        architecture: header.architecture.unwrap_or(Architecture::X86_64),
        mappings,
        contents,
        change_detection: ChangeDetection::FullRead,
        threads,
    })
}

/// The loaded segments, with the files that are mapped in them, and the mapped files that no segment has.
fn mappings(sections: &SectionsIr, linkage: &LinkageIr, images: &mut Images) -> Vec<Mapping> {
    let mut files: Vec<BinaryMappedFile<'_>> = linkage.mapped_files.columns().iter().collect();
    files.sort_by_key(|file| file.address);
    let file_at = |address: u64| {
        let after = files.partition_point(|file| file.address <= address);
        let file = files[after.checked_sub(1)?];
        (address - file.address < file.size).then_some(file)
    };
    let segments = sections.segments.columns();
    let loaded =
        segments.iter().filter(|segment| segment.segment_type == Some("PT_LOAD") && segment.size > 0);
    let mut mappings: Vec<_> = loaded
        .map(|segment| {
            let origin = match file_at(segment.address) {
                Some(file) => Origin::File {
                    path: file.mapped_path.to_owned(),
                    offset: file.mapped_offset + (segment.address - file.address),
                },
                None => Origin::Anonymous,
            };
            let end = segment.address.saturating_add(segment.size);
            Mapping::new(segment.address, end, segment.permissions.0.to_owned(), origin)
        })
        .collect();
    let is_loaded =
        |file: &BinaryMappedFile<'_>| mappings.iter().any(|mapping| mapping.start == file.address);
    let others: Vec<_> = files.iter().filter(|file| file.size > 0 && !is_loaded(file)).collect();
    for file in others {
        let permissions = images.permissions(file.mapped_path, file.mapped_offset).unwrap_or_default();
        let origin = Origin::File { path: file.mapped_path.to_owned(), offset: file.mapped_offset };
        let end = file.address.saturating_add(file.size);
        mappings.push(Mapping::new(file.address, end, permissions, origin));
    }
    mappings.sort_by_key(|mapping| mapping.start);
    // Segments of a damaged file may overlap.
    mappings.dedup_by(|next, before| next.start < before.end);
    mappings
}

fn threads(linkage: &LinkageIr) -> Vec<ThreadState> {
    let rows = linkage.threads.columns();
    let registers = linkage.thread_registers.columns();
    let mut threads: Vec<_> = (0..)
        .zip(rows.iter())
        .map(|(position, row)| {
            let own = registers.iter().filter(|register| register.thread_index == row.thread_index);
            ThreadState {
                thread_id: row.thread_id.map_or(u64::from(row.thread_index), u64::from),
                name: row.thread_name.map(str::to_owned),
                is_main: position == 0,
                signal: row.signal.filter(|signal| *signal > 0),
                registers: own.map(|register| (register.register_name.to_owned(), register.value)).collect(),
                program_counter: row.program_counter.unwrap_or(0),
                stack_pointer: row.stack_pointer.unwrap_or(0),
            }
        })
        .collect();
    threads.sort_by_key(|thread| thread.thread_id);
    threads.dedup_by_key(|thread| thread.thread_id);
    threads
}
