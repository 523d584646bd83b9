//! `(core dump, file of its program) -> what of memory the program is`.
//!
//! *Problem.* A core dump of QEMU does not state the files that are mapped, and one of another machine states paths
//! that this machine does not have. No core dump tells the heap from the zeros after the data of the program.
//!
//! *Algorithm.* The auxiliary vector states where the entry point of the program is in memory. Its distance from the
//! entry point in the file is the load bias, which places the segments of the file. Memory right after the last of them
//! is the heap of the process (`brk`).

use super::content::PAGE_SIZE;
use super::mappings::{Mapping, Origin};
use super::modules::{Image, Images};
use crate::error::Error;
use std::path::Path;
use std::sync::Arc;

/// A file that is mapped according to a core dump.
pub(super) struct FileRange {
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) path: String,
}

/// The program of a core dump.
pub(super) struct Program {
    path: String,
    image: Arc<Image>,
    load_bias: u64,
}

/// Memory of a segment of the program.
struct Part {
    start: u64,
    end: u64,
    origin: Origin,
}

impl Program {
    /// The program whose file is given, or else the one that is mapped at the entry point, if its file exists. The
    /// paths of the mapped file become that of the given one.
    pub(super) fn find(
        core_dump: &Path,
        given: Option<&Path>,
        entry: Option<u64>,
        files: &mut [FileRange],
        images: &mut Images,
    ) -> Result<Option<Self>, Error> {
        let is_at_entry =
            |file: &&FileRange| entry.is_some_and(|entry| entry.wrapping_sub(file.start) < file.size);
        let stated = files.iter().find(is_at_entry).map(|file| file.path.clone());
        let Some(given) = given else {
            return Ok(stated.and_then(|path| Self::of_file(path, entry, images)));
        };
        let path = given.to_string_lossy().into_owned();
        let fail = |found: String| Err(Error::Capture { subject: path.clone(), found });
        crate::file::read_file(given)?;
        let core_dump = core_dump.display();
        if images.of_file(&path).is_none() {
            return fail("it is not an ELF executable; expected the program of the core dump".to_owned());
        }
        let Some(program) = Self::of_file(path.clone(), entry, images) else {
            let entry = entry.map_or("not stated".to_owned(), |entry| format!("{entry:#x}"));
            return fail(format!(
                "it is not the program of {core_dump}, whose entry point is {entry}; expected a file with an entry \
                 point at the same place in its page"
            ));
        };
        for file in files.iter_mut().filter(|file| Some(&file.path) == stated.as_ref()) {
            file.path.clone_from(&path);
        }
        Ok(Some(program))
    }

    fn of_file(path: String, entry: Option<u64>, images: &mut Images) -> Option<Self> {
        let image = images.of_file(&path)?;
        let header = image.sections.headers.columns().row(0);
        let load_bias = match (entry, header.entry_address) {
            (Some(entry), Some(own)) => entry.wrapping_sub(own),
            (None, Some(_)) if header.is_position_independent == Some(false) => 0,
            _ => return None,
        };
        load_bias.is_multiple_of(PAGE_SIZE as u64).then_some(Self { path, image, load_bias })
    }

    /// Whether the beginning of the file is in memory, as far as memory was read.
    pub(super) fn is_in(&self, snapshot: &super::snapshot::ProcessSnapshot) -> bool {
        let mut mappings = snapshot.mappings.iter();
        let is_start = |mapping: &&Mapping| match &mapping.origin {
            Origin::File { path, offset } => *path == self.path && *offset == 0,
            _ => false,
        };
        mappings.find(is_start).is_none_or(|mapping| self.image.is_at(snapshot, mapping.start))
    }

    /// Cuts mappings of unknown origin at the segments of the program, and says what they are.
    pub(super) fn place(&self, mappings: Vec<Mapping>) -> Vec<Mapping> {
        let parts = self.parts();
        let program_end = parts.iter().map(|part| part.end).max().unwrap_or(0);
        let mut placed = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            if mapping.origin != Origin::Anonymous {
                placed.push(mapping);
                continue;
            }
            let mut cuts: Vec<u64> = parts.iter().flat_map(|part| [part.start, part.end]).collect();
            cuts.retain(|cut| mapping.start < *cut && *cut < mapping.end);
            cuts.extend([mapping.start, mapping.end]);
            cuts.sort_unstable();
            cuts.dedup();
            for range in cuts.windows(2) {
                let part = parts.iter().find(|part| (part.start..part.end).contains(&range[0]));
                let is_writable = mapping.permissions.starts_with("rw");
                let origin = match part.map(|part| (&part.origin, range[0] - part.start)) {
                    Some((Origin::File { path, offset }, distance)) => {
                        Origin::File { path: path.clone(), offset: offset.saturating_add(distance) }
                    }
                    Some((other, _)) => other.clone(),
                    None if range[0] == program_end && is_writable => Origin::Break,
                    None => Origin::Anonymous,
                };
                placed.push(Mapping::new(range[0], range[1], mapping.permissions.clone(), origin));
            }
        }
        placed
    }

    /// The pages of the segments: of the file, and of the zeros after it.
    fn parts(&self) -> Vec<Part> {
        const PAGE: u64 = PAGE_SIZE as u64;
        let segments = self.image.sections.segments.columns();
        let loaded = segments.iter().filter(|segment| segment.segment_type == Some("PT_LOAD"));
        let parts = loaded.flat_map(|segment| {
            let start = segment.address.wrapping_add(self.load_bias);
            let page_after =
                |size: u64| start.saturating_add(size).checked_next_multiple_of(PAGE).unwrap_or(start);
            let (file_end, end) = (page_after(segment.file_size), page_after(segment.size));
            let (start, offset) = (start - start % PAGE, segment.file_offset - segment.file_offset % PAGE);
            let path = self.path.clone();
            let zeros = Part { start: file_end, end, origin: Origin::FileZeros(path.clone()) };
            [Part { start, end: file_end, origin: Origin::File { path, offset } }, zeros]
        });
        parts.filter(|part| part.start < part.end).collect()
    }
}
