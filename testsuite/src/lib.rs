//! Executables with a known answer, for the tests of the whole pipeline.
//!
//! Four sources, from the most controlled to the most real:
//!
//! - [`fixtures`]: small commented programs in CLIF, cranelift's text form. [`executable`] compiles and links them into ELF files that really run, with the
//!   same bytes on every machine, and keeps what the compiler knew: functions, blocks, edges, calls ([`FunctionTruth`](executable::FunctionTruth)).
//! - [`random`]: CLIF modules drawn from a seed, for property tests over hundreds of shapes.
//! - [`objects`]: relocatable objects of every format, and containers of them.
//! - [`programs`]: C and Rust programs, compiled by the compilers of the machine when a test asks for them.
//!
//! [`lowering`] lowers them, in memory or into a dataset; [`patch`] breaks them on purpose, [`mutation`] at random, [`hostile_code`] has what
//! no compiler makes;
//! [`promises`] and [`control_flow`] say what tables of any file keep, broken or not; [`memory`] counts what lowering them takes; [`tools`] has what
//! other programs say of them. [`dataset_comparison`] shows that two versions of binframe write the same tables.

pub mod apple;
pub mod control_flow;
pub mod dataset_comparison;
pub mod executable;
pub mod fixtures;
pub mod hostile_code;
pub mod lowering;
pub mod memory;
pub mod mutation;
pub mod objects;
pub mod patch;
pub mod programs;
pub mod promises;
pub mod random;
pub mod tools;
pub mod windows;

mod compile;
mod elf;
