//! The tables, one file a stage (the first has several), one struct a table.

mod cfg;
mod contents;
mod data_flow;
mod debug;
mod instructions;
mod linkage;
mod memory;
mod run;
mod sections;
mod unwind;

pub use cfg::*;
pub use contents::*;
pub use data_flow::*;
pub use debug::*;
pub use instructions::*;
pub use linkage::*;
pub use memory::*;
pub use run::*;
pub use sections::*;
pub use unwind::*;
