//! Tables of the `sections` stage: threads with their registers, and the mapped files of a process, from core dumps.

use crate::Table;

/// A thread whose state the file contains: a thread of a core dump, or the first thread of an old Mach-O program
/// (`LC_UNIXTHREAD`).
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_threads", stage = Sections, key(thread_index))]
pub struct BinaryThread<'a> {
    /// Position among the threads; in most core dumps, the first received the signal.
    pub thread_index: u32,
    /// Note with the registers of the thread; null if a loader command has them.
    #[column(references = "binary_notes.note_index")]
    pub note_index: Option<u32>,
    /// Loader command with the registers of the thread; null if a note has them.
    #[column(references = "binary_loader_commands.command_index")]
    pub command_index: Option<u32>,
    /// Identifier of the thread (Linux: TID); null if none is stated (Mach-O).
    pub thread_id: Option<u32>,
    /// Name of the thread; null if none is stated.
    pub thread_name: Option<&'a str>,
    /// Number of the signal that the thread received; 0 for none, null if none is stated.
    pub signal: Option<u32>,
    /// Value of the program counter; null if the layout of the registers is unknown.
    #[column(unit = "address")]
    pub program_counter: Option<u64>,
    /// Value of the stack pointer; null if the layout of the registers is unknown.
    #[column(unit = "address")]
    pub stack_pointer: Option<u64>,
}

/// An integer or control register of a thread.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_thread_registers", stage = Sections, key(thread_index, register_index))]
pub struct BinaryThreadRegister<'a> {
    /// The thread.
    #[column(references = "binary_threads.thread_index")]
    pub thread_index: u32,
    /// Position of the register in the stored state.
    pub register_index: u32,
    /// Name of the register, such as `rip`.
    pub register_name: &'a str,
    /// Value of the register.
    pub value: u64,
}

/// A file that is mapped in the memory of the process that a core dump is of.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "binary_mapped_files", stage = Sections, key(mapping_index), span(address, size))]
pub struct BinaryMappedFile<'a> {
    /// Position among the mapped files.
    pub mapping_index: u32,
    /// Note that states the mapping.
    #[column(references = "binary_notes.note_index")]
    pub note_index: u32,
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size in memory.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Offset of the first byte in the mapped file.
    #[column(unit = "bytes")]
    pub mapped_offset: u64,
    /// Path of the mapped file.
    pub mapped_path: &'a str,
}
