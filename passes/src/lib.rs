//! binframe's passes: pure functions from tables to tables.
//!
//! [`lower`] is the whole pipeline. No pass performs I/O, reads a clock or keeps state; each is total (any bytes in,
//! tables out) and its output does not depend on how its work was scheduled.

mod bitmap;
pub mod cfg;
mod code;
pub mod debug;
mod diagnostics;
pub mod exceptions;
pub mod extents;
mod formats;
pub mod graph;
pub mod instructions;
pub mod isa;
pub mod linkage;
pub mod memory;
mod names;
mod pointers;
pub mod sections;
mod sections_by_address;
pub mod strings;

pub use code::{Code, CodeRange, CodeRegion, FunctionStart};
pub use formats::Unsupported;
pub use formats::container::Member;

use bytes::Bytes;

/// Raised whenever a pass computes something else than before from the same input.
pub const VERSION: u32 = 2;

/// Everything that the pipeline makes of one executable. `instructions` and the larger tables of `memory` are made
/// on demand, for any part of the code: `instructions::decode` and `memory::accesses`.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The file's own structure.
    pub sections: sections::SectionsIr,
    /// The code, and where the file itself says that functions begin.
    pub code: Code,
    /// Where instructions begin and how control leaves them.
    pub instructions: instructions::InstructionsIr,
    /// Functions, basic blocks and edges.
    pub cfg: cfg::CfgIr,
    /// The memory that the file implies.
    pub memory: memory::MemoryIr,
}

/// Lowers an executable through all stages.
pub fn lower(file: &Bytes) -> Result<Lowered, Unsupported> {
    let sections = sections::run(file, 0)?;
    let code = Code::of(&sections, file);
    // Beyond this point no pass reads the file or its offsets: code has addresses.
    let instructions = instructions::run(&code);
    // Beyond this point code is a sequence of instructions that never overlap.
    let cfg = cfg::run(&code, &instructions);
    // Beyond this point code in functions is reached through blocks and edges.
    let memory = memory::run(memory::regions(&sections), &code, &cfg);
    Ok(Lowered { sections, code, instructions, cfg, memory })
}
