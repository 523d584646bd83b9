//! binframe's passes: pure functions from tables to tables.
//!
//! [`lower`] is the whole pipeline. No pass performs I/O, reads a clock or keeps state; each is total (any bytes in,
//! tables out) and its output does not depend on how its work was scheduled.

mod bitmap;
pub mod code;
mod diagnostics;
mod domains;
pub mod file;
pub mod graph;
pub mod isa;

pub use code::references::References;
pub use code::regions::{Code, CodeRange, CodeRegion, FunctionStart};
pub use file::formats::Unsupported;
pub use file::formats::container::Member;
pub use file::names::demangled;

use code::{cfg, instructions, memory};
use file::{exceptions, linkage, sections};

use bytes::Bytes;

/// Raised whenever a pass computes something else than before from the same input.
pub const VERSION: u32 = 6;

/// Everything that the pipeline makes of one executable. `instructions` and the larger tables of `memory` are made
/// on demand, for any part of the code: `instructions::decode` and `memory::accesses`.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The file's own structure.
    pub sections: sections::SectionsIr,
    /// What linker and loader are told.
    pub linkage: linkage::LinkageIr,
    /// Where control goes when something is thrown.
    pub exceptions: exceptions::ExceptionsIr,
    /// The code, and where the file itself says that functions begin.
    pub code: Code,
    /// What the rest of the file says of the code.
    pub references: References,
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
    let linkage = linkage::run(file, &sections);
    let exceptions = exceptions::run(file, &sections);
    let code = Code::of(&sections, file);
    let references = References::of(&sections, &linkage, &exceptions, &code, file);
    // Beyond this point no pass reads the file or its offsets: code and data have addresses.
    let instructions = instructions::run(&code);
    // Beyond this point code is a sequence of instructions that never overlap.
    let cfg = cfg::run(&code, &instructions, &references);
    // Beyond this point code in functions is reached through blocks and edges.
    let memory = memory::run(&memory::Image::of(&sections, &linkage), &code, &instructions, &cfg);
    Ok(Lowered { sections, linkage, exceptions, code, references, instructions, cfg, memory })
}
