//! The records of a minidump.
//!
//! Numbers are little-endian. Records that the file does not have are missing, whatever counts and sizes say.
//!
//! Source: Microsoft, `minidumpapiset.h`; Breakpad, `minidump_format.h`.

use super::contexts::{Context, context};
use super::numbers::{u16_at, u32_at, u64_at};
use crate::capture::snapshot::StatedModule;
use binframe_ir::tables::Architecture;
use std::collections::BTreeMap;

/// Types of streams. Those from 0x47670000 are of Breakpad.
const THREAD_LIST: u32 = 3;
const MODULE_LIST: u32 = 4;
const MEMORY_LIST: u32 = 5;
const EXCEPTION: u32 = 6;
const SYSTEM_INFO: u32 = 7;
const MEMORY_64_LIST: u32 = 9;
const MISC_INFO: u32 = 15;
const MEMORY_INFO_LIST: u32 = 16;
const THREAD_NAMES: u32 = 24;
const LINUX_MAPS: u32 = 0x4767_0009;

const HEADER_SIZE: usize = 32;
const SIGNATURE: &[u8] = b"MDMP";

/// Characters of a name at most.
const NAME_MAX: usize = 1 << 12;

/// A minidump: the file, and where its streams are.
pub(super) struct Minidump<'a> {
    file: &'a [u8],
    /// The bytes of each stream, by type; of several of a type, of the first.
    streams: BTreeMap<u32, &'a [u8]>,
}

/// What the operating system was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Windows,
    Linux,
    Other,
}

/// A thread: its identifier and registers.
pub(super) struct ThreadRecord {
    pub(super) id: u32,
    pub(super) context: Option<Context>,
}

/// Why the minidump was written.
pub(super) struct Exception {
    pub(super) thread_id: u32,
    pub(super) code: u32,
    pub(super) flags: u32,
    pub(super) address: u64,
    /// The parameters that are stated, two at most.
    pub(super) parameters: Vec<u64>,
    pub(super) context: Option<Context>,
}

/// A range of addresses, with what may be done with it in the notation of Windows.
pub(super) struct RegionRecord {
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) protection: u32,
}

impl<'a> Minidump<'a> {
    /// Reads the directory. Fails with what was found if there is none.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, String> {
        if !file.starts_with(SIGNATURE) {
            let found: Vec<String> = file.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            let found = if found.is_empty() { "nothing".to_owned() } else { found.join(" ") };
            return Err(format!("it is no minidump: expected 4d 44 4d 50 (MDMP) at 0x0, found {found}"));
        }
        let (Some(count), Some(directory)) = (u32_at(file, 8), u32_at(file, 12)) else {
            let size = file.len();
            return Err(format!("it is truncated: expected a header of {HEADER_SIZE} bytes, found {size}"));
        };
        let entries = file.get(directory as usize..).unwrap_or_default();
        let mut dump = Self { file, streams: BTreeMap::new() };
        for entry in entries.chunks_exact(12).take(count as usize) {
            if let (Some(stream_type), Some(bytes)) = (u32_at(entry, 0), dump.located(entry, 4)) {
                dump.streams.entry(stream_type).or_insert(bytes);
            }
        }
        if dump.streams.is_empty() {
            return Err(format!(
                "it has no streams: expected a directory of {count} entries at {directory:#x} in a file of {:#x} bytes",
                file.len()
            ));
        }
        Ok(dump)
    }

    /// The bytes whose size and offset in the file are stated at an offset of a record, as far as the file has them.
    fn located(&self, record: &[u8], offset: usize) -> Option<&'a [u8]> {
        let (size, start) = (u32_at(record, offset)? as usize, u32_at(record, offset + 4)? as usize);
        self.bytes(start as u64, size as u64)
    }

    /// The bytes at an offset of the file, as far as it has them.
    fn bytes(&self, start: u64, size: u64) -> Option<&'a [u8]> {
        let rest = self.file.get(usize::try_from(start).ok()?..)?;
        Some(&rest[..rest.len().min(usize::try_from(size).unwrap_or(usize::MAX))])
    }

    fn stream(&self, stream_type: u32) -> &'a [u8] {
        self.streams.get(&stream_type).copied().unwrap_or_default()
    }

    /// The records of a list that starts with their number. Some writers align the first one to eight bytes.
    fn list(&self, stream_type: u32, record_size: usize) -> impl Iterator<Item = &'a [u8]> {
        let stream = self.stream(stream_type);
        let count = u32_at(stream, 0).unwrap_or(0) as usize;
        let is_aligned = count.checked_mul(record_size).is_some_and(|size| size + 8 == stream.len());
        let records = stream.get(if is_aligned { 8 } else { 4 }..).unwrap_or_default();
        records.chunks_exact(record_size).take(count)
    }

    /// A name in UTF-16 with its size in bytes before it.
    fn name(&self, offset: u64) -> Option<String> {
        let size = self.bytes(offset, 4).and_then(|bytes| u32_at(bytes, 0))?;
        let bytes = self.bytes(offset.checked_add(4)?, u64::from(size))?;
        let (pairs, _) = bytes.as_chunks::<2>();
        let units = pairs.iter().take(NAME_MAX).map(|pair| u16::from_le_bytes(*pair));
        Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    }

    /// Time of the dump in seconds since 1970.
    pub(super) fn time(&self) -> u32 {
        u32_at(self.file, 20).unwrap_or(0)
    }

    /// The architecture of the code; `None` if unknown, or not one that is read here.
    pub(super) fn architecture(&self) -> Option<Architecture> {
        match u16_at(self.stream(SYSTEM_INFO), 0)? {
            0 => Some(Architecture::X86),
            9 => Some(Architecture::X86_64),
            12 | 0x8003 => Some(Architecture::Aarch64),
            _ => None,
        }
    }

    pub(super) fn system(&self) -> System {
        match u32_at(self.stream(SYSTEM_INFO), 20) {
            Some(1..=3) => System::Windows,
            // Linux and Android.
            Some(0x8201 | 0x8203) => System::Linux,
            _ => System::Other,
        }
    }

    /// The identifier of the process.
    pub(super) fn process_id(&self) -> Option<u32> {
        const HAS_PROCESS_ID: u32 = 1;
        let stream = self.stream(MISC_INFO);
        u32_at(stream, 4).filter(|flags| flags & HAS_PROCESS_ID != 0)?;
        u32_at(stream, 8)
    }

    pub(super) fn threads(&self) -> Vec<ThreadRecord> {
        let architecture = self.architecture();
        let threads = self.list(THREAD_LIST, 48).filter_map(|record| {
            let context = self.located(record, 40).and_then(|bytes| context(architecture?, bytes));
            Some(ThreadRecord { id: u32_at(record, 0)?, context })
        });
        threads.collect()
    }

    /// The names of threads, by their identifiers.
    pub(super) fn thread_names(&self) -> BTreeMap<u32, String> {
        let records = self.list(THREAD_NAMES, 12);
        records.filter_map(|record| Some((u32_at(record, 0)?, self.name(u64_at(record, 4)?)?))).collect()
    }

    pub(super) fn exception(&self) -> Option<Exception> {
        let stream = self.stream(EXCEPTION);
        let parameters = 0..u32_at(stream, 32).unwrap_or(0).min(2) as usize;
        Some(Exception {
            thread_id: u32_at(stream, 0)?,
            code: u32_at(stream, 8)?,
            flags: u32_at(stream, 12)?,
            address: u64_at(stream, 24)?,
            parameters: parameters.filter_map(|index| u64_at(stream, 40 + 8 * index)).collect(),
            context: self.located(stream, 160).and_then(|bytes| context(self.architecture()?, bytes)),
        })
    }

    pub(super) fn modules(&self) -> Vec<StatedModule> {
        let modules = self.list(MODULE_LIST, 108).filter_map(|record| {
            let start = u64_at(record, 0)?;
            Some(StatedModule {
                start,
                end: start.checked_add(u64::from(u32_at(record, 8)?))?,
                path: self.name(u64::from(u32_at(record, 20)?)).unwrap_or_default(),
                build_id: self.located(record, 76).and_then(build_id),
            })
        });
        modules.filter(|module| module.start < module.end).collect()
    }

    /// The ranges of memory that the minidump has: addresses and bytes.
    pub(super) fn memory(&self) -> Vec<(u64, &'a [u8])> {
        let small = self.list(MEMORY_LIST, 16);
        let small = small.filter_map(|record| Some((u64_at(record, 0)?, self.located(record, 8)?)));
        let stacks = self.list(THREAD_LIST, 48);
        let stacks = stacks.filter_map(|record| Some((u64_at(record, 24)?, self.located(record, 32)?)));
        let mut ranges: Vec<_> = small.chain(stacks).collect();
        let list = self.stream(MEMORY_64_LIST);
        if let (Some(count), Some(mut offset)) = (u64_at(list, 0), u64_at(list, 8)) {
            // The bytes of these ranges are one after the other.
            for record in list[16..].chunks_exact(16).take(usize::try_from(count).unwrap_or(usize::MAX)) {
                let (Some(start), Some(size)) = (u64_at(record, 0), u64_at(record, 8)) else { break };
                ranges.extend(self.bytes(offset, size).map(|bytes| (start, bytes)));
                offset = offset.saturating_add(size);
            }
        }
        ranges
    }

    /// The text of `/proc/PID/maps`; empty if the minidump has none.
    pub(super) fn linux_maps(&self) -> String {
        String::from_utf8_lossy(self.stream(LINUX_MAPS)).into_owned()
    }

    /// The mapped ranges of addresses, as Windows states them.
    pub(super) fn regions(&self) -> Vec<RegionRecord> {
        const COMMITTED: u32 = 0x1000;
        let stream = self.stream(MEMORY_INFO_LIST);
        let sizes = (u32_at(stream, 0), u32_at(stream, 4), u64_at(stream, 8));
        let (Some(header_size), Some(record_size @ 48..), Some(count)) = sizes else { return Vec::new() };
        let records =
            stream.get(header_size as usize..).unwrap_or_default().chunks_exact(record_size as usize);
        let records = records.take(usize::try_from(count).unwrap_or(usize::MAX));
        let committed = records.filter(|record| u32_at(record, 32) == Some(COMMITTED));
        let regions = committed.filter_map(|record| {
            Some(RegionRecord {
                start: u64_at(record, 0)?,
                size: u64_at(record, 24)?,
                protection: u32_at(record, 36)?,
            })
        });
        regions.collect()
    }
}

/// The identifier of a module's build, in hexadecimal: GUID and age of its PDB as stored, or the build id of an ELF
/// file.
fn build_id(record: &[u8]) -> Option<String> {
    let bytes = match record.first_chunk()? {
        b"RSDS" => record.get(4..24)?,
        b"LEpB" => &record[4..],
        _ => return None,
    };
    let digit = |number: u8| char::from_digit(u32::from(number), 16).unwrap_or('0');
    Some(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}
