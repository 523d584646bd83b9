//! The tables, one file a stage, one struct a table.

mod cfg;
mod instructions;
mod memory;
mod run;
mod sections;

pub use cfg::*;
pub use instructions::*;
pub use memory::*;
pub use run::*;
pub use sections::*;
