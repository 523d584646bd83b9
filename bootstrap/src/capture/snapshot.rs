//! The state of a process at a moment.

use super::content::Content;
use super::mappings::Mapping;
use binframe_ir::tables::{Architecture, ChangeDetection};
use std::time::Duration;

/// The state of a process while all of its threads were stopped.
pub(super) struct ProcessSnapshot {
    /// Nanoseconds since 1970.
    pub(super) timestamp: i64,
    /// How long the process was stopped; `None` if it no longer ran.
    pub(super) pause: Option<Duration>,
    /// Architecture of the code whose stacks are unwound; `None` if it is not one that can be.
    pub(super) architecture: Option<Architecture>,
    /// Sorted by address.
    pub(super) mappings: Vec<Mapping>,
    /// For each mapping the content that was read.
    pub(super) contents: Vec<Option<Content>>,
    /// How the pages were found that may have changed.
    pub(super) change_detection: ChangeDetection,
    /// Sorted by identifier.
    pub(super) threads: Vec<ThreadState>,
    /// Address of the entry point of the program; `None` if unknown, and in a live process.
    pub(super) entry: Option<u64>,
    /// The modules that a minidump states, sorted by address. Otherwise, mappings tell them.
    pub(super) modules: Vec<StatedModule>,
}

/// A module that a minidump states.
pub(super) struct StatedModule {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) path: String,
    /// In hexadecimal: build id, or GUID and age of the PDB.
    pub(super) build_id: Option<String>,
}

/// A thread and its registers.
pub(super) struct ThreadState {
    pub(super) thread_id: u64,
    pub(super) name: Option<String>,
    pub(super) is_main: bool,
    pub(super) signal: Option<u32>,
    /// Why the signal was sent (`si_code`).
    pub(super) signal_code: Option<i32>,
    /// Address whose access caused the signal.
    pub(super) fault_address: Option<u64>,
    /// Names and values.
    pub(super) registers: Vec<(String, u64)>,
    pub(super) program_counter: u64,
    pub(super) stack_pointer: u64,
}

impl ThreadState {
    /// The value of a register; 0 if it has none of that name.
    pub(super) fn register(&self, name: &str) -> u64 {
        self.registers.iter().find(|(own, _)| own == name).map_or(0, |(_, value)| *value)
    }
}

/// The identifier and the stack pointer of each thread.
pub(super) fn stack_pointers(threads: &[ThreadState]) -> Vec<(u64, u64)> {
    threads.iter().map(|thread| (thread.thread_id, thread.stack_pointer)).collect()
}

impl ProcessSnapshot {
    /// Mappings alone.
    pub(super) fn without_content(mappings: Vec<Mapping>) -> Self {
        Self {
            timestamp: 0,
            pause: None,
            architecture: None,
            contents: mappings.iter().map(|_| None).collect(),
            mappings,
            change_detection: ChangeDetection::FullRead,
            threads: Vec::new(),
            entry: None,
            modules: Vec::new(),
        }
    }

    /// The mapping that contains an address, as a position.
    pub(super) fn mapping_at(&self, address: u64) -> Option<usize> {
        let after = self.mappings.partition_point(|mapping| mapping.start <= address);
        after.checked_sub(1).filter(|position| address < self.mappings[*position].end)
    }

    /// The bytes at an address, as far as they were read; empty if none were.
    pub(super) fn bytes_at(&self, address: u64) -> &[u8] {
        let content = self.mapping_at(address).and_then(|position| {
            let offset = address - self.mappings[position].start;
            Some(self.contents[position].as_ref()?.bytes_from(offset))
        });
        content.unwrap_or_default()
    }

    /// The 64-bit word at an address; `None` if it was not read.
    pub(super) fn word_at(&self, address: u64) -> Option<u64> {
        self.bytes_at(address).first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }
}
