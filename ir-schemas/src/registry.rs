//! The list of all tables.

use crate::tables::{
    BasicBlocks, Binaries, BinaryAttributes, BinaryExceptionCallSites, BinaryExports, BinaryExtents,
    BinaryHeaders, BinaryImports, BinaryInitializers, BinaryLibraries, BinaryLoaderCommands,
    BinaryMappedFiles, BinaryNotes, BinaryRelocations, BinaryResources, BinaryRichEntries, BinarySections,
    BinarySegments, BinaryStrings, BinarySymbols, BinaryThreadRegisters, BinaryThreads, BinaryUnwindEntries,
    CallEdges, CallStacks, CfgEdges, ClrMethods, DataFlowEdges, DebugFunctions, DebugLines, DebugTypeMembers,
    DebugTypes, DebugUnits, DebugVariables, Diagnostics, FunctionEffects, FunctionNames, FunctionParts,
    Functions, HeapAllocations, HeapCallSites, HeapChunks, InstructionEffects, InstructionOps, Instructions,
    JumpTableEntries, JumpTables, LoadedModules, Loops, MemoryAccesses, MemoryObjects, MemoryPages,
    MemoryRegions, PageContents, Snapshots, StackFrames, ThreadRegisters, Threads,
};
use crate::{Reference, Stage, Table, TableInfo};

/// Version of the tables: raised when a table or column gets another name, type or meaning, or is removed.
pub const SCHEMA_VERSION: u32 = 3;

/// Every table, in stage order.
pub const TABLES: &[&TableInfo] = &[
    BinaryHeaders::INFO,
    BinarySegments::INFO,
    BinarySections::INFO,
    BinarySymbols::INFO,
    BinaryUnwindEntries::INFO,
    BinaryExceptionCallSites::INFO,
    BinaryLoaderCommands::INFO,
    BinaryLibraries::INFO,
    BinaryImports::INFO,
    BinaryExports::INFO,
    BinaryRelocations::INFO,
    BinaryInitializers::INFO,
    BinaryNotes::INFO,
    BinaryAttributes::INFO,
    BinaryRichEntries::INFO,
    BinaryThreads::INFO,
    BinaryThreadRegisters::INFO,
    BinaryMappedFiles::INFO,
    BinaryResources::INFO,
    ClrMethods::INFO,
    BinaryStrings::INFO,
    BinaryExtents::INFO,
    DebugUnits::INFO,
    DebugLines::INFO,
    DebugFunctions::INFO,
    DebugVariables::INFO,
    DebugTypes::INFO,
    DebugTypeMembers::INFO,
    Instructions::INFO,
    InstructionEffects::INFO,
    InstructionOps::INFO,
    Functions::INFO,
    FunctionNames::INFO,
    FunctionParts::INFO,
    BasicBlocks::INFO,
    Loops::INFO,
    CfgEdges::INFO,
    CallEdges::INFO,
    JumpTables::INFO,
    JumpTableEntries::INFO,
    MemoryRegions::INFO,
    StackFrames::INFO,
    FunctionEffects::INFO,
    MemoryObjects::INFO,
    MemoryAccesses::INFO,
    DataFlowEdges::INFO,
    Snapshots::INFO,
    MemoryPages::INFO,
    PageContents::INFO,
    LoadedModules::INFO,
    Threads::INFO,
    ThreadRegisters::INFO,
    CallStacks::INFO,
    HeapChunks::INFO,
    HeapCallSites::INFO,
    HeapAllocations::INFO,
    Diagnostics::INFO,
    Binaries::INFO,
];

/// The tables that are computed from a file; the others are written by a capture alone.
pub fn file_tables() -> impl Iterator<Item = &'static TableInfo> {
    TABLES.iter().copied().filter(|table| table.stage != Stage::Capture)
}

/// The table with a name; `None` if there is none.
pub fn table_named(name: &str) -> Option<&'static TableInfo> {
    TABLES.iter().copied().find(|table| table.name == name)
}

/// All references of a table: own columns, and the other table with its columns that have the same values.
pub fn references(table: &'static TableInfo) -> impl Iterator<Item = Reference> {
    let single = table.columns.iter().filter_map(|column| {
        let (table, target) = column.references?;
        Some(Reference { columns: vec![column.name], table, targets: vec![target] })
    });
    let composite = table.references.iter().map(|(table, columns)| {
        let target = table_named(table).expect("references are to tables");
        Reference { columns: columns.to_vec(), table, targets: target.key.to_vec() }
    });
    single.chain(composite)
}
