//! Test inputs with known contents, and helpers for tests of the whole pipeline.
//!
//! Sources of inputs, from the most controlled to the most realistic:
//!
//! - [`fixtures`]: small commented programs in CLIF, Cranelift's text format. [`executable`] compiles and links them
//!   to ELF files that run and have the same bytes on every machine. It also records the functions, blocks, edges and
//!   calls that the compiler knew ([`FunctionGroundTruth`](executable::FunctionGroundTruth)).
//! - [`random`]: CLIF modules generated from a seed, for property tests.
//! - [`objects`]: relocatable objects of all formats, archives and universal files.
//! - [`programs`]: C, C++ and Rust programs, compiled on demand by the compilers of the machine. [`apple`] and
//!   [`windows`] link Mach-O and PE files. [`matrix`] makes ELF files for many architectures.
//!
//! [`lowering`] computes the tables of an input, in memory or as a dataset. [`patch`] edits chosen fields of ELF
//! files, [`mutation`] corrupts files of all formats at random, and [`hostile_code`] generates code that compilers do
//! not emit. [`table_invariants`] and [`control_flow`] check invariants that hold for the tables of any input.
//! [`semantics`] evaluates the ops of instructions. [`memory`] measures allocated memory, [`tools`] runs external tools,
//! [`dwarfdump`] reads the output of one of them, and [`dataset_comparison`] compares two
//! datasets.

pub mod apple;
pub mod certainty;
pub mod control_flow;
pub mod dataset_comparison;
pub mod dwarfdump;
pub mod executable;
pub mod fixtures;
pub mod hostile_code;
pub mod lowering;
pub mod matrix;
pub mod memory;
pub mod mutation;
pub mod objects;
pub mod patch;
pub mod programs;
pub mod random;
pub mod reserved_words;
pub mod semantics;
pub mod table_invariants;
pub mod tools;
pub mod windows;

mod compile;
mod elf;
pub mod elfutils;
