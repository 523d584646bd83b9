//! The passes that read code: addresses, instructions, control flow and memory. None of them reads the file.

pub mod cfg;
mod closure_tables;
mod declared_data;
pub(crate) mod declared_starts;
pub mod function_names;
mod go_functions;
pub mod instructions;
mod loaded_data;
pub mod memory;
pub(crate) mod references;
pub(crate) mod regions;
mod straight_line;
