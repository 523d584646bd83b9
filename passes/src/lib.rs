//! binframe's passes: pure functions from tables to tables.
//!
//! [`passes!`] is the whole pipeline, and the only list of passes. [`lower`] runs it in memory; the crate `binframe` turns each
//! of its lines into a query. No pass performs I/O, reads a clock or keeps state. Each is total (any bytes in, tables out),
//! and its output does not depend on how its work was scheduled.

mod bitmap;
pub mod code;
mod diagnostics;
mod domains;
pub mod file;
pub mod graph;
pub mod isa;
mod pipeline;

pub use code::references::References;
pub use code::regions::{Code, CodeRange, CodeRegion, FunctionStart};
pub use file::formats::Unsupported;
pub use file::formats::container::Member;
pub use file::names::demangled;
pub use pipeline::{
    COMPUTED_TABLES, ComputedTable, FileExtentRows, Inputs, Lowered, PASSES, PassInfo, PassOutput,
    is_of_code, lower, passes_for,
};

/// The pipeline: every pass, in the order in which they run.
///
/// A line says how a pass is called, what it makes, what it reads, its version, and the tables that it fills. A pass reads the
/// file, or what passes above it made: tables, or a projection (a pass that fills no table), which holds only what later passes
/// depend on, so that an edit elsewhere in the file does not run them again. Raise the version of a pass when it computes
/// something else from the same input.
///
/// `passes!(expand)` hands the list to the macro `expand`. From it follow [`lower`], the queries, the order in which they run,
/// the passes that a stage needs, the source of each table, and the manifest of a dataset.
#[macro_export]
macro_rules! passes {
    ($expand:ident) => {
        $expand! {
            passes {
                // First the file's structure: everything else refers to its sections. Only this pass can refuse a file.

                /// Headers, segments, sections, symbols and unwind entries, as the file declares them.
                sections: SectionsIr = sections::run(file, member_index) or Unsupported, version 6,
                    fills [BinaryHeaders, BinarySegments, BinarySections, BinarySymbols, UnwindEntries, Diagnostics];

                // Then the rest of what the file states. These passes do not depend on each other.

                /// What linkers and loaders are told: libraries, imports, exports, relocations, initializers, notes, resources.
                linkage: LinkageIr = linkage::run(file, sections), version 6,
                    fills [LoaderCommands, BinaryLibraries, BinaryImports, BinaryExports, BinaryRelocations, BinaryInitializers,
                        BinaryNotes, BinaryResources, Diagnostics];

                /// Ranges of code, and the handlers of exceptions that are thrown in them.
                exceptions: ExceptionsIr = exceptions::run(file, sections), version 6,
                    fills [ExceptionCallSites, Diagnostics];

                /// Printable text in sections.
                strings: StringsIr = strings::run(sections), version 6, fills [BinaryStrings, Diagnostics];

                /// The owner of every byte of the file: with the sections' contents, all that rebuilding needs.
                extents: FileExtentRows = extents::run(file, sections), version 6, fills [FileExtents];

                /// Units, lines, functions, variables and types of the source, from debug information.
                debug: DebugIr = debug::run(file, sections, companions), version 6,
                    fills [DebugUnits, LineTable, DebugFunctions, DebugVariables, DebugTypes, DebugTypeMembers, Diagnostics];

                // Code is analysed through projections of the file: most edits of a file leave them equal, and stop here.

                /// The bytes of executable sections, and the function starts that the file declares.
                code: Code = Code::of(sections, file), version 6, fills [];

                /// Pointers to code, import slots, landing pads and constant data.
                references: References = References::of(sections, linkage, exceptions, code, file), version 6, fills [];

                /// The memory that the loader makes of the file: regions, and the addresses of imports.
                image: Image = Image::of(sections, linkage), version 6, fills [];

                // Beyond this point no pass reads the file or its offsets: code and data have addresses.

                /// Instruction starts and branches, by a linear sweep that leaves out data in code.
                instructions: InstructionsIr = instructions::run(code), version 6, fills [Diagnostics];

                // Beyond this point code is a sequence of instructions that never overlap.

                /// Functions, basic blocks, edges, loops, calls and jump tables, by recursive traversal.
                cfg: CfgIr = cfg::run(code, instructions, references), version 6,
                    fills [Functions, FunctionParts, BasicBlocks, Loops, CfgEdges, CallEdges, JumpTables, JumpTableEntries,
                        Diagnostics];

                // Beyond this point the code of functions is reached through blocks and edges.

                /// Stack frames, objects in memory and effects of calls, by abstract interpretation of every function.
                memory: MemoryIr = memory::run(image, code, instructions, cfg), version 6,
                    fills [MemoryRegions, StackFrames, FunctionEffects, MemoryObjects, Diagnostics];
            }

            // The largest tables are not held. Their rows are computed for one range of code at a time, when they are asked for.

            computed tables {
                /// Instructions with their operands, decoded again.
                Instructions = instructions::decode(code, instructions)
                    over instructions::code_ranges(code, instructions), counted by instructions::row_count(instructions);

                /// Registers and flags that instructions read and write.
                InstructionEffects = instructions::effects(code, instructions)
                    over instructions::code_ranges(code, instructions);

                /// Memory references of instructions.
                MemoryAccesses = memory::accesses(code, cfg, memory) over memory::block_ranges(cfg);

                /// Def-use chains.
                DataFlow = memory::data_flow(code, cfg, memory) over memory::block_ranges(cfg);
            }

            // Two columns cost more than the rest of their tables. They are computed when they are asked for.

            computed columns {
                /// Names as they are in source code.
                BinarySymbols.demangled_name = sections::with_demangled_names();

                /// Hashes of functions' instructions without the addresses that relocation changes.
                Functions.content_hash = cfg::with_content_hashes(code, cfg);
            }
        }
    };
}
