//! The mappings of a process: ranges of addresses with one origin and one protection.
//!
//! Source: proc(5), `/proc/pid/maps`.

use super::heap::channel::MEMORY_NAME;
use binframe_ir::tables::RegionType;

/// A mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Such as `rw-`; empty if they are not known.
    pub(super) permissions: String,
    pub(super) region_type: RegionType,
    pub(super) origin: Origin,
    /// The thread whose stack it is.
    pub(super) thread_id: Option<u64>,
}

/// Where the memory of a mapping comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file, from an offset on.
    File { path: String, offset: u64 },
    /// A file, at an unknown offset.
    Module(String),
    /// The zeros after the data of a file (`.bss`).
    FileZeros(String),
    /// The heap of the process (`brk`).
    Break,
    /// The stack of the first thread.
    Stack,
    /// Code or data of the kernel, such as `[vdso]`.
    Kernel(String),
    /// Memory without a file.
    Anonymous,
}

impl Origin {
    /// What the column `allocation_site` says.
    pub(super) fn site(&self) -> String {
        match self {
            Self::File { path, .. } | Self::Module(path) => format!("file {path}"),
            Self::FileZeros(path) => format!("file {path}: zeros"),
            Self::Break => "system: brk".to_owned(),
            Self::Stack => "system: stack".to_owned(),
            Self::Kernel(name) => format!("system: {name}"),
            Self::Anonymous => "system: mmap".to_owned(),
        }
    }
}

impl Mapping {
    /// A mapping whose type and thread are not known yet.
    pub(super) fn new(start: u64, end: u64, permissions: String, origin: Origin) -> Self {
        Self { start, end, permissions, region_type: RegionType::Global, origin, thread_id: None }
    }

    pub(super) fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Whether reading its memory has no effect and can succeed: it is readable as far as known, no device, and not memory
    /// of the heap recorder, which is mostly unused.
    pub(super) fn is_readable(&self) -> bool {
        let is_memory = match &self.origin {
            Origin::File { path, .. } => {
                !path.contains(MEMORY_NAME) && !path.starts_with("/dev/")
                    || path.starts_with("/dev/shm/")
                    || path.starts_with("/dev/zero")
            }
            Origin::Kernel(name) => name == "[vdso]",
            _ => true,
        };
        (self.permissions.is_empty() || self.permissions.starts_with('r')) && is_memory
    }
}

/// Reads `/proc/PID/maps`; lines of another form are left out.
pub(super) fn parse_maps(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let (field, after) = rest.split_once(' ')?;
        rest = after.trim_start_matches(' ');
        Some(field)
    };
    let (start, end) = field()?.split_once('-')?;
    let [permissions, offset, _device, inode] = [field()?, field()?, field()?, field().unwrap_or("0")];
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let origin = match rest {
        "" => Origin::Anonymous,
        "[heap]" => Origin::Break,
        "[stack]" => Origin::Stack,
        name if name.starts_with("[anon") => Origin::Anonymous,
        name if name.starts_with('[') => Origin::Kernel(name.to_owned()),
        path if inode != "0" || path.starts_with('/') => {
            Origin::File { path: unescaped(path), offset: number(offset)? }
        }
        _ => Origin::Anonymous,
    };
    Some(Mapping::new(number(start)?, number(end)?, permissions.get(..3)?.to_owned(), origin))
}

/// A path as it is: `maps` writes a line break as `\012`, and a mark after the path of a removed file.
fn unescaped(path: &str) -> String {
    path.strip_suffix(" (deleted)").unwrap_or(path).replace("\\012", "\n")
}

/// Sets the types and the threads of sorted mappings, given the stack pointer of each thread, and recognizes the zeros
/// after the data of files.
pub(super) fn classify(mappings: &mut [Mapping], stack_pointers: &[(u64, u64)]) {
    for index in 1..mappings.len() {
        let (before, own) = (&mappings[index - 1], &mappings[index]);
        let is_after = own.origin == Origin::Anonymous && own.start == before.end;
        let has_same_use = own.permissions == before.permissions && own.permissions.starts_with("rw");
        if let (true, Origin::File { path, .. }) = (is_after && has_same_use, &before.origin) {
            mappings[index].origin = Origin::FileZeros(path.clone());
        }
    }
    for mapping in &mut *mappings {
        let range = mapping.start..mapping.end;
        let owner = stack_pointers.iter().find(|(_, pointer)| range.contains(pointer));
        let owner = owner.map(|(thread_id, _)| *thread_id);
        mapping.region_type = match &mapping.origin {
            _ if mapping.permissions.ends_with('x') => RegionType::Code,
            Origin::Stack => RegionType::Stack,
            Origin::Anonymous if owner.is_some() => RegionType::Stack,
            Origin::Break | Origin::Anonymous => RegionType::Heap,
            Origin::File { .. } | Origin::Module(_) | Origin::FileZeros(_) | Origin::Kernel(_) => {
                RegionType::Global
            }
        };
        mapping.thread_id = owner.filter(|_| mapping.region_type == RegionType::Stack);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use binframe_ir::Enumeration;

    #[test]
    fn maps_are_parsed_and_classified() {
        let text = "\
555555554000-555555556000 r--p 00000000 fd:00 42                         /usr/bin/a file (deleted)
555555556000-555555557000 r-xp 00002000 fd:00 42                         /usr/bin/a file (deleted)
555555557000-555555558000 rw-p 00003000 fd:00 42                         /usr/bin/a file (deleted)
555555558000-555555559000 rw-p 00000000 00:00 0 
555555559000-55555557a000 rw-p 00000000 00:00 0                          [heap]
7ffff0000000-7ffff0021000 rw-p 00000000 00:00 0 
7ffff7fc1000-7ffff7fc3000 r-xp 00000000 00:00 0                          [vdso]
7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]
broken line
";
        let mut mappings = parse_maps(text);
        classify(&mut mappings, &[(7, 0x7fff_f001_0000)]);
        let found: Vec<_> = mappings
            .iter()
            .map(|mapping| (mapping.region_type.name(), mapping.origin.site(), mapping.thread_id))
            .collect();
        let file = |text: &str| format!("file /usr/bin/a file{text}");
        let expected = [
            ("global", file(""), None),
            ("code", file(""), None),
            ("global", file(""), None),
            ("global", file(": zeros"), None),
            ("heap", "system: brk".to_owned(), None),
            ("stack", "system: mmap".to_owned(), Some(7)),
            ("code", "system: [vdso]".to_owned(), None),
            ("stack", "system: stack".to_owned(), None),
        ];
        assert_eq!(found, expected);
        assert_eq!((mappings[1].start, mappings[1].size()), (0x5555_5555_6000, 0x1000));
    }
}
