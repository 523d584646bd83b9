//! binframe's analysis of executables, as passes: pure functions from the file and the outputs of earlier passes.
//!
//! [`passes!`] is the whole pipeline, and the only list of passes. [`lower`] runs it in memory; the crate `binframe`
//! expands the same list into incremental queries. No pass performs I/O, reads a clock or keeps state. Every pass but
//! `sections`, which refuses files of unknown formats, is total: any bytes give tables. Outputs do not depend on how the
//! work was scheduled.
//!
//! Not here: what the columns mean (`binframe_ir`), and when a pass runs and where its rows go (`binframe`).
//!
//! ```no_run
//! use binframe_passes::{Inputs, lower};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let file = std::fs::read("/usr/bin/env")?.into();
//!     let lowered = lower(Inputs::of(&file))?;
//!     for function in lowered.cfg.functions.columns().iter() {
//!         println!("{:#x} {}", function.address, function.function_name.unwrap_or("-"));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Why it is fast
//!
//! - Columns of bytes refer to the file and copy nothing.
//! - Chunks of code and functions are processed in parallel, with the same result for any number of threads.
//! - Between passes, code is one bit per byte and a list of branches. A row of `instructions` has some 100 bytes and is
//!   decoded again when it is needed.
//! - The work of every search is limited in proportion to the size of the code, whatever the code is.

mod bitmap;
pub mod code;
mod diagnostics;
mod domains;
pub mod file;
pub mod graph;
pub mod isa;
pub mod ranges;

pub use code::declared_starts::FunctionStart;
pub use code::references::References;
pub use code::regions::{Code, CodeRange, CodeRegion};
pub use file::formats::Unsupported;
pub use file::formats::container::Member;
pub use file::names::demangled;

/// The pipeline: every pass, in execution order.
///
/// A pass is declared as `name: Output = module::function(inputs) or Error, version N, fills [tables of the output]`;
/// `or Error` is for a pass that can fail. Inputs are `file`, `member_index` and `companions` (see [`Inputs`]), and the
/// outputs of earlier passes. A pass that fills no table is a projection: its output is the part of its inputs that
/// later passes depend on, so that an edit elsewhere in the file leaves it equal, and later passes do not run again.
/// Raise the version of a pass when its output changes for the same inputs: runs of another version are not resumed, and
/// manifests tell the versions apart.
///
/// A computed table is computed on demand, for one of the ranges that the function after `over` returns; the function
/// after `counted by` returns the number of rows of a range without computing them. The inputs of these two functions
/// must be among those of the table.
///
/// `passes!(expand)` calls the macro `expand` with the list, and the caller imports the modules and types that it
/// names. [`lower`], the queries, the passes that a stage needs, the source of each table, and the
/// entries of a dataset's manifest are derived from it.
#[macro_export]
macro_rules! passes {
    ($expand:ident) => {
        $expand! {
            passes {
                // First the file's structure: everything else refers to its sections. Only this pass can refuse a file.

                /// Headers, segments, sections, symbols and unwind entries, as the file declares them.
                sections: SectionsIr = sections::run(file, member_index) or Unsupported, version 8,
                    fills [BinaryHeaders, BinarySegments, BinarySections, BinarySymbols, BinaryUnwindEntries, Diagnostics];

                // Then the rest of what the file states. These passes do not depend on each other.

                /// Linking and loading metadata: libraries, imports, exports, relocations, initializers, notes,
                /// threads of core dumps, resources, methods of .NET.
                linkage: LinkageIr = linkage::run(file, sections), version 9,
                    fills [BinaryLoaderCommands, BinaryLibraries, BinaryImports, BinaryExports, BinaryRelocations, BinaryInitializers,
                        BinaryNotes, BinaryAttributes, BinaryRichEntries, BinaryThreads, BinaryThreadRegisters,
                        BinaryMappedFiles, BinaryResources, ClrMethods, Diagnostics];

                /// Call sites that may throw, with their landing pads or handlers.
                exceptions: ExceptionsIr = exceptions::run(file, sections), version 8,
                    fills [BinaryExceptionCallSites, Diagnostics];

                /// Printable text in sections.
                strings: StringsIr = strings::run(sections), version 6, fills [BinaryStrings, Diagnostics];

                /// The owner of every byte of the file. With the contents of sections, it is all that a rebuild needs.
                extents: BinaryExtentRows = extents::run(file, sections), version 6, fills [BinaryExtents];

                /// Units, lines, functions, variables and types of the source code, from debug information.
                debug: DebugIr = debug::run(file, sections, companions), version 8,
                    fills [DebugUnits, DebugLines, DebugFunctions, DebugVariables, DebugTypes, DebugTypeMembers, Diagnostics];

                // Passes over code read projections of the file: most edits leave these equal, and no pass over code
                // runs again.

                /// The bytes of executable sections, and the function starts that the file declares.
                code: Code = Code::of(sections, linkage, file), version 11, fills [];

                /// Pointers to code, import slots, landing pads and constant data.
                references: References = References::of(sections, linkage, exceptions, code, file), version 8, fills [];

                /// The memory image that the loader creates: regions, and the addresses of imports.
                image: MemoryImage = MemoryImage::of(sections, linkage), version 7, fills [];

                // Beyond this point no pass reads the file or its offsets: code and data have addresses.

                /// Instruction starts and branches, by a linear sweep that identifies data in code.
                instructions: InstructionsIr = instructions::run(code), version 10, fills [Diagnostics];

                // Beyond this point code is a sequence of instructions that never overlap.

                /// Functions, basic blocks, edges, loops, calls and jump tables, by recursive traversal.
                cfg: CfgIr = cfg::run(code, instructions, references), version 11,
                    fills [Functions, FunctionParts, BasicBlocks, Loops, CfgEdges, CallEdges, JumpTables, JumpTableEntries,
                        Diagnostics];

                /// All names of functions.
                function_names: FunctionNameRows = function_names::run(sections, linkage, code, cfg), version 2,
                    fills [FunctionNames];

                // Beyond this point passes iterate over functions, blocks and edges, not over sections.

                /// Memory regions and objects, stack frames and effects of calls, by abstract interpretation of every
                /// function.
                memory: MemoryIr = memory::run(image, code, instructions, cfg), version 10,
                    fills [MemoryRegions, StackFrames, FunctionEffects, MemoryObjects, Diagnostics];
            }

            // The largest tables are in no output. Their rows are computed on demand, for one range of code at a time.

            computed tables {
                /// Instructions with their operands, decoded again, and the function and block of each.
                Instructions = cfg::instruction_rows(code, instructions, cfg)
                    over instructions::code_ranges(code, instructions), counted by instructions::row_count(instructions);

                /// Registers and flags that instructions read and write.
                InstructionEffects = instructions::effects(code, instructions)
                    over instructions::code_ranges(code, instructions);

                /// What instructions do, as micro-operations.
                InstructionOps = instructions::ops(code, instructions)
                    over instructions::code_ranges(code, instructions);

                /// Memory references of instructions.
                MemoryAccesses = memory::accesses(code, cfg, memory)
                    over memory::block_ranges(cfg), counted by memory::access_count(code, cfg, memory);

                /// Def-use chains.
                DataFlowEdges = memory::data_flow(code, cfg, memory) over memory::block_ranges(cfg);
            }

            // Two columns cost more than the rest of their tables. They are computed on demand.

            computed columns {
                /// Names as in source code.
                BinarySymbols.demangled_name = sections::with_demangled_names();

                /// Position-independent hashes of functions.
                Functions.content_hash = cfg::with_content_hashes(code, cfg);
            }
        }
    };
}

// After the list, so that it is in scope there.
mod pipeline;

pub use pipeline::{
    BinaryExtentRows, COMPUTED_TABLES, ComputedTable, FunctionNameRows, Inputs, Lowered, PASSES, PassInfo,
    PassOutput, is_of_code, lower, passes_for,
};
