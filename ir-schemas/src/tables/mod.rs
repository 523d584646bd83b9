//! The tables, one struct per row type. Each stage has a file of its name; the tables of the first stage are spread
//! over `headers`, `sections`, `symbols`, `unwind`, `linkage`, `clr`, `contents`, `attributes` and `threads`.
//!
//! For a row struct such as [`Function`], the derive generates the table [`Functions`], the builder [`FunctionBuilder`]
//! and the typed views [`FunctionColumns`].

mod attributes;
mod capture;
mod cfg;
mod clr;
mod contents;
mod data_flow;
mod debug;
mod effects;
mod function_names;
mod headers;
mod heap;
mod instructions;
mod linkage;
mod memory;
mod ops;
mod run;
mod sections;
mod symbols;
mod threads;
mod unwind;

pub use attributes::{
    BinaryAttribute, BinaryAttributeBuilder, BinaryAttributeColumns, BinaryAttributes, BinaryRichEntries,
    BinaryRichEntry, BinaryRichEntryBuilder, BinaryRichEntryColumns,
};
pub use capture::{
    CallStack, CallStackBuilder, CallStackColumns, CallStacks, ChangeDetection, ChunkState, HeapChunk,
    HeapChunkBuilder, HeapChunkColumns, HeapChunks, LoadedModule, LoadedModuleBuilder, LoadedModuleColumns,
    LoadedModules, MemoryPage, MemoryPageBuilder, MemoryPageColumns, MemoryPages, PageContent,
    PageContentBuilder, PageContentColumns, PageContents, Snapshot, SnapshotBuilder, SnapshotColumns,
    SnapshotReason, Snapshots, Thread, ThreadBuilder, ThreadColumns, ThreadRegister, ThreadRegisterBuilder,
    ThreadRegisterColumns, ThreadRegisters, Threads,
};
pub use cfg::{
    BasicBlock, BasicBlockBuilder, BasicBlockColumns, BasicBlocks, BlockEvidence, BoundEvidence, CallEdge,
    CallEdgeBuilder, CallEdgeColumns, CallEdges, CallEvidence, CallKind, CfgEdge, CfgEdgeBuilder,
    CfgEdgeColumns, CfgEdges, Confidence, EdgeEvidence, EdgeKind, Function, FunctionBuilder, FunctionColumns,
    FunctionEvidence, FunctionPart, FunctionPartBuilder, FunctionPartColumns, FunctionParts, Functions,
    JumpTable, JumpTableBuilder, JumpTableColumns, JumpTableEntries, JumpTableEntry, JumpTableEntryBuilder,
    JumpTableEntryColumns, JumpTableKind, JumpTables, Loop, LoopBuilder, LoopColumns, Loops, PartEvidence,
    Terminator,
};
pub use clr::{ClrMethod, ClrMethodBuilder, ClrMethodColumns, ClrMethods};
pub use contents::{
    BinaryExtent, BinaryExtentBuilder, BinaryExtentColumns, BinaryExtents, BinaryNote, BinaryNoteBuilder,
    BinaryNoteColumns, BinaryNotes, BinaryResource, BinaryResourceBuilder, BinaryResourceColumns,
    BinaryResources, BinaryString, BinaryStringBuilder, BinaryStringColumns, BinaryStrings, ExtentOwner,
    StringEncoding,
};
pub use data_flow::{
    DataFlowEdge, DataFlowEdgeBuilder, DataFlowEdgeColumns, DataFlowEdges, DataUse, Definition,
};
pub use debug::{
    DebugFunction, DebugFunctionBuilder, DebugFunctionColumns, DebugFunctions, DebugLine, DebugLineBuilder,
    DebugLineColumns, DebugLines, DebugType, DebugTypeBuilder, DebugTypeColumns, DebugTypeMember,
    DebugTypeMemberBuilder, DebugTypeMemberColumns, DebugTypeMembers, DebugTypes, DebugUnit,
    DebugUnitBuilder, DebugUnitColumns, DebugUnits, DebugVariable, DebugVariableBuilder,
    DebugVariableColumns, DebugVariables, LocationClass, MemberKind, TypeKind, UnitKind, VariableScope,
};
pub use effects::{
    EffectAccess, InstructionEffect, InstructionEffectBuilder, InstructionEffectColumns, InstructionEffects,
};
pub use function_names::{
    FunctionName, FunctionNameBuilder, FunctionNameColumns, FunctionNameKind, FunctionNames,
};
pub use headers::{
    Architecture, BinaryHeader, BinaryHeaderBuilder, BinaryHeaderColumns, BinaryHeaders, BinaryKind,
    Endianness, Format, RelocationReadOnly,
};
pub use heap::{
    HeapAllocation, HeapAllocationBuilder, HeapAllocationColumns, HeapAllocations, HeapCallSite,
    HeapCallSiteBuilder, HeapCallSiteColumns, HeapCallSites,
};
pub use instructions::{
    Access, Flow, Instruction, InstructionBuilder, InstructionColumns, InstructionPrefix, Instructions,
    OperandKind, Role, Rounding,
};
pub use linkage::{
    BinaryExport, BinaryExportBuilder, BinaryExportColumns, BinaryExports, BinaryImport, BinaryImportBuilder,
    BinaryImportColumns, BinaryImports, BinaryInitializer, BinaryInitializerBuilder,
    BinaryInitializerColumns, BinaryInitializers, BinaryLibraries, BinaryLibrary, BinaryLibraryBuilder,
    BinaryLibraryColumns, BinaryLoaderCommand, BinaryLoaderCommandBuilder, BinaryLoaderCommandColumns,
    BinaryLoaderCommands, BinaryRelocation, BinaryRelocationBuilder, BinaryRelocationColumns,
    BinaryRelocations, InitializerKind, LibraryKind,
};
pub use memory::{
    AccessRegion, FrameStatus, FunctionEffect, FunctionEffectBuilder, FunctionEffectColumns, FunctionEffects,
    MemoryAccess, MemoryAccessBuilder, MemoryAccessColumns, MemoryAccesses, MemoryObject,
    MemoryObjectBuilder, MemoryObjectColumns, MemoryObjects, MemoryRegion, MemoryRegionBuilder,
    MemoryRegionColumns, MemoryRegions, ObjectEvidence, ObjectKind, ObjectRegion, RegionType, ReturnedValue,
    StackDepthLimit, StackFrame, StackFrameBuilder, StackFrameColumns, StackFrames, UnknownReason,
};
pub use ops::{InstructionOp, InstructionOpBuilder, InstructionOpColumns, InstructionOps};
pub use run::{
    Binaries, Binary, BinaryBuilder, BinaryColumns, Diagnostic, DiagnosticBuilder, DiagnosticCode,
    DiagnosticColumns, DiagnosticPass, Diagnostics, Severity,
};
pub use sections::{
    BinarySection, BinarySectionBuilder, BinarySectionColumns, BinarySections, BinarySegment,
    BinarySegmentBuilder, BinarySegmentColumns, BinarySegments, SectionKind,
};
pub use symbols::{
    BinarySymbol, BinarySymbolBuilder, BinarySymbolColumns, BinarySymbols, SymbolBinding, SymbolDefinition,
    SymbolLanguage, SymbolType, SymbolVisibility,
};
pub use threads::{
    BinaryMappedFile, BinaryMappedFileBuilder, BinaryMappedFileColumns, BinaryMappedFiles, BinaryThread,
    BinaryThreadBuilder, BinaryThreadColumns, BinaryThreadRegister, BinaryThreadRegisterBuilder,
    BinaryThreadRegisterColumns, BinaryThreadRegisters, BinaryThreads,
};
pub use unwind::{
    BinaryExceptionCallSite, BinaryExceptionCallSiteBuilder, BinaryExceptionCallSiteColumns,
    BinaryExceptionCallSites, BinaryUnwindEntries, BinaryUnwindEntry, BinaryUnwindEntryBuilder,
    BinaryUnwindEntryColumns, UnwindSource,
};
