//! The passes that read code: addresses, instructions, control flow and memory. None of them reads the file.

pub mod cfg;
mod declared_data;
pub mod function_names;
pub mod instructions;
pub mod memory;
pub(crate) mod references;
pub(crate) mod regions;
