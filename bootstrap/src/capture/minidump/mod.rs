//! `(minidump) -> snapshot`: the crash reports of Windows, Breakpad and Crashpad.
//!
//! *Problem.* A minidump has the registers of all threads and the list of modules, but usually little memory: stacks,
//! and some bytes that registers point to.
//!
//! *Phases.*
//!  1. Read the records (`format`, `contexts`). What a truncated file does not have is missing.
//!  2. List the regions of memory: as `/proc/PID/maps` or Windows states them, or else modules and the memory that the
//!     file has.
//!  3. Cut them where the memory that the file has begins or ends, so that each region has content from its start on,
//!     or none.
//!
//! *Cost.* Linear in the size of the file, and of the memory in it. Records that share bytes do not multiply them.

mod contexts;
mod format;
mod numbers;

use self::format::{Exception, Minidump, RegionRecord, System};
use super::content::Content;
use super::mappings::{Mapping, Origin, classify, parse_maps};
use super::request::CaptureRequest;
use super::selection::read_contents;
use super::snapshot::{ProcessSnapshot, StatedModule, ThreadState, stack_pointers};
use crate::error::Error;
use crate::file::read_file;
use binframe_ir::tables::{Architecture, ChangeDetection};
use std::collections::BTreeMap;
use std::path::Path;

/// Memory that the file has: address and bytes. Sorted, and apart from each other.
type Pieces = BTreeMap<u64, Vec<u8>>;

/// Reads a minidump.
pub(super) fn read_minidump(path: &Path, request: &CaptureRequest<'_>) -> Result<ProcessSnapshot, Error> {
    let fail = |found| Error::Capture { subject: path.display().to_string(), found };
    let file = read_file(path)?;
    let dump = Minidump::parse(&file.0).map_err(fail)?;
    let threads = threads(&dump);
    let modules = modules(&dump);
    let pieces = pieces(&dump, file.0.len());
    if threads.is_empty() && modules.is_empty() && pieces.is_empty() {
        let found = "it has neither threads nor modules nor memory: expected at least one of these streams";
        return Err(fail(found.to_owned()));
    }
    let mut regions = regions(&dump, &modules);
    regions.extend(unknown_regions(&regions, &pieces));
    regions.sort_by_key(|region| region.start);
    classify(&mut regions, &stack_pointers(&threads));
    let mappings: Vec<Mapping> = regions.iter().flat_map(|region| cut(region, &pieces)).collect();
    let contents = read_contents(&mappings, request, |part| content(part, &pieces));
    // The stacks of 64-bit code of Windows need its unwind information. Without it, callers would be guessed.
    let is_unwound = !(dump.system() == System::Windows && dump.architecture() == Some(Architecture::X86_64));
    Ok(ProcessSnapshot {
        timestamp: i64::from(dump.time()) * 1_000_000_000,
        pause: None,
        architecture: dump.architecture().filter(|_| is_unwound),
        mappings,
        contents,
        change_detection: ChangeDetection::FullRead,
        threads,
        // The first module is the program.
        entry: dump.modules().first().map(|module| module.start),
        modules,
    })
}

fn threads(dump: &Minidump<'_>) -> Vec<ThreadState> {
    let mut names = dump.thread_names();
    let exception = dump.exception();
    let records = dump.threads();
    let process_id = dump.process_id();
    let main = process_id.filter(|process_id| records.iter().any(|thread| thread.id == *process_id));
    let main = main.or_else(|| records.first().map(|thread| thread.id));
    let mut threads: Vec<_> = records
        .into_iter()
        .map(|thread| {
            let exception = exception.as_ref().filter(|exception| exception.thread_id == thread.id);
            // The thread may have been in the handler of the exception when its own registers were read.
            let interrupted = exception.and_then(|exception| exception.context.clone());
            let context = interrupted.or(thread.context);
            let signal = exception.and_then(|exception| signal(exception, dump.system()));
            ThreadState {
                thread_id: thread.id.into(),
                name: names.remove(&thread.id),
                is_main: main == Some(thread.id),
                signal: signal.map(|(signal, ..)| signal),
                signal_code: signal.map(|(_, code, _)| code),
                fault_address: signal.and_then(|(.., address)| address),
                program_counter: context.as_ref().map_or(0, |context| context.program_counter),
                stack_pointer: context.as_ref().map_or(0, |context| context.stack_pointer),
                registers: context.map_or_else(Vec::new, |context| context.registers),
            }
        })
        .collect();
    threads.sort_by_key(|thread| thread.thread_id);
    threads.dedup_by_key(|thread| thread.thread_id);
    threads
}

/// Signal, code and address of an exception; `None` if the minidump was requested without one.
fn signal(exception: &Exception, system: System) -> Option<(u32, i32, Option<u64>)> {
    const REQUESTED: [u32; 2] = [0, u32::MAX];
    /// `SIGILL`, `SIGBUS`, `SIGFPE`, `SIGSEGV`.
    const LINUX_FAULTS: [u32; 4] = [4, 7, 8, 11];
    /// An access violation, and a page that could not be read.
    const WINDOWS_FAULTS: [u32; 2] = [0xc000_0005, 0xc000_0006];
    let address = match system {
        System::Linux => Some(exception.address).filter(|_| LINUX_FAULTS.contains(&exception.code)),
        // The first parameter is the kind of access.
        System::Windows if WINDOWS_FAULTS.contains(&exception.code) => exception.parameters.get(1).copied(),
        _ => None,
    };
    let is_exception = !REQUESTED.contains(&exception.code);
    is_exception.then_some((exception.code, exception.flags.cast_signed(), address))
}

/// The modules, sorted by address and apart from each other.
fn modules(dump: &Minidump<'_>) -> Vec<StatedModule> {
    let mut modules = dump.modules();
    modules.sort_by_key(|module| module.start);
    modules.dedup_by(|next, before| next.start < before.end);
    modules
}

/// The memory of the file. Bytes that several records state count once; those that are adjacent become one piece.
fn pieces(dump: &Minidump<'_>, bytes_max: usize) -> Pieces {
    let mut ranges = dump.memory();
    ranges.sort_by_key(|(start, bytes)| (*start, std::cmp::Reverse(bytes.len())));
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut bytes_left = bytes_max;
    for (start, bytes) in ranges {
        let end_of = |(start, bytes): &(u64, Vec<u8>)| start.saturating_add(bytes.len() as u64);
        let last_end = pieces.last().map_or(0, end_of);
        let known = last_end.saturating_sub(start);
        let Some(new) = usize::try_from(known).ok().and_then(|known| bytes.get(known..)) else { continue };
        if new.is_empty() || new.len() > bytes_left || start.checked_add(bytes.len() as u64).is_none() {
            continue;
        }
        bytes_left -= new.len();
        match pieces.last_mut().filter(|_| start <= last_end) {
            Some((_, piece)) => piece.extend_from_slice(new),
            None => pieces.push((start, new.to_vec())),
        }
    }
    pieces.into_iter().collect()
}

/// The regions of memory that the minidump states, and the memory of modules that is in none; sorted.
fn regions(dump: &Minidump<'_>, modules: &[StatedModule]) -> Vec<Mapping> {
    let mut mappings = parse_maps(&dump.linux_maps());
    if mappings.is_empty() {
        let module_at =
            |address: u64| modules.iter().find(|module| (module.start..module.end).contains(&address));
        mappings.extend(dump.regions().into_iter().filter_map(|region| {
            let origin = module_at(region.start)
                .map_or(Origin::Anonymous, |module| Origin::Module(module.path.clone()));
            let end = region.start.checked_add(region.size)?;
            Some(Mapping::new(region.start, end, permissions(&region), origin))
        }));
    }
    if mappings.is_empty() {
        mappings.extend(modules.iter().map(|module| {
            Mapping::new(module.start, module.end, String::new(), Origin::Module(module.path.clone()))
        }));
    }
    mappings.retain(|mapping| mapping.start < mapping.end);
    mappings.sort_by_key(|mapping| mapping.start);
    mappings.dedup_by(|next, before| next.start < before.end);
    mappings
}

/// What may be done with a region, such as `rw-`.
fn permissions(region: &RegionRecord) -> String {
    /// A page whose first access is an error, for stacks that grow.
    const GUARD: u32 = 0x100;
    if region.protection & GUARD != 0 {
        return "---".to_owned();
    }
    let text = match region.protection & 0xff {
        0x02 => "r--",
        0x04 | 0x08 => "rw-",
        0x10 => "--x",
        0x20 => "r-x",
        0x40 | 0x80 => "rwx",
        _ => "---",
    };
    text.to_owned()
}

/// The parts of pieces that are in no region, as regions of unknown use.
fn unknown_regions(regions: &[Mapping], pieces: &Pieces) -> Vec<Mapping> {
    let mut unknown = Vec::new();
    for (start, bytes) in pieces {
        let end = start.saturating_add(bytes.len() as u64);
        let mut address = *start;
        let first = regions.partition_point(|region| region.end <= *start);
        for region in regions[first..].iter().take_while(|region| region.start < end) {
            if address < region.start {
                unknown.push(Mapping::new(address, region.start, String::new(), Origin::Anonymous));
            }
            address = region.end;
        }
        if address < end {
            unknown.push(Mapping::new(address, end, String::new(), Origin::Anonymous));
        }
    }
    unknown
}

/// Cuts a region where pieces begin or end.
fn cut(region: &Mapping, pieces: &Pieces) -> Vec<Mapping> {
    let end_of = |(start, bytes): (&u64, &Vec<u8>)| start.saturating_add(bytes.len() as u64);
    let before = pieces.range(..=region.start).next_back().map(end_of);
    let inside = pieces.range(region.start..region.end).flat_map(|piece| [*piece.0, end_of(piece)]);
    let mut cuts: Vec<u64> = before.into_iter().chain(inside).collect();
    cuts.retain(|cut| (region.start + 1..region.end).contains(cut));
    cuts.extend([region.start, region.end]);
    cuts.sort_unstable();
    cuts.dedup();
    let parts = cuts.windows(2).map(|range| {
        let mut part = Mapping { start: range[0], end: range[1], ..region.clone() };
        if let Origin::File { offset, .. } = &mut part.origin {
            *offset = offset.saturating_add(range[0] - region.start);
        }
        part
    });
    parts.collect()
}

/// The bytes of a part of a region.
fn content(part: &Mapping, pieces: &Pieces) -> Option<Content> {
    let (start, bytes) = pieces.range(..=part.start).next_back()?;
    let own = bytes.get(usize::try_from(part.start - start).ok()?..)?;
    let size = own.len().min(usize::try_from(part.size()).ok()?);
    Content::whole(own[..size].to_vec())
}
