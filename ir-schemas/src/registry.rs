//! The list of all tables.

use crate::tables::{
    BasicBlocks, Binaries, BinaryExports, BinaryHeaders, BinaryImports, BinaryInitializers, BinaryLibraries,
    BinaryNotes, BinaryRelocations, BinaryResources, BinarySections, BinarySegments, BinaryStrings,
    BinarySymbols, CallEdges, CfgEdges, DataFlow, DebugFunctions, DebugLines, DebugTypeMembers, DebugTypes,
    DebugUnits, DebugVariables, Diagnostics, ExceptionCallSites, FileExtents, FunctionEffects, FunctionParts,
    Functions, InstructionEffects, Instructions, JumpTableEntries, JumpTables, LoaderCommands, Loops,
    MemoryAccesses, MemoryObjects, MemoryRegions, StackFrames, UnwindEntries,
};
use crate::{Table, TableInfo};

/// Version of the tables: raised when a table or column gets another name, type or meaning, or is removed.
pub const SCHEMA_VERSION: u32 = 2;

/// Every table, in stage order.
pub const TABLES: &[&TableInfo] = &[
    BinaryHeaders::INFO,
    BinarySegments::INFO,
    BinarySections::INFO,
    BinarySymbols::INFO,
    UnwindEntries::INFO,
    ExceptionCallSites::INFO,
    LoaderCommands::INFO,
    BinaryLibraries::INFO,
    BinaryImports::INFO,
    BinaryExports::INFO,
    BinaryRelocations::INFO,
    BinaryInitializers::INFO,
    BinaryNotes::INFO,
    BinaryResources::INFO,
    BinaryStrings::INFO,
    FileExtents::INFO,
    DebugUnits::INFO,
    DebugLines::INFO,
    DebugFunctions::INFO,
    DebugVariables::INFO,
    DebugTypes::INFO,
    DebugTypeMembers::INFO,
    Instructions::INFO,
    InstructionEffects::INFO,
    Functions::INFO,
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
    DataFlow::INFO,
    Diagnostics::INFO,
    Binaries::INFO,
];

/// The table with a name; `None` if there is none.
pub fn table_named(name: &str) -> Option<&'static TableInfo> {
    TABLES.iter().copied().find(|table| table.name == name)
}
