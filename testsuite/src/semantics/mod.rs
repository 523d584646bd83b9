//! Evaluates the ops of instructions on concrete states, and checks that ops are well-formed.
//!
//! *Problem.* Ops say what instructions mean. Whether what they say is true is found by running them and the processor
//! on the same state: see `testsuite/tests/semantics/`.
//!
//! *Notation.* A [`State`] has registers, flags, regions of memory, and the mode of rounding. [`evaluate`] changes it as
//! the ops of one instruction say, and returns where execution continues, as an [`Outcome`]. Whatever ops do not promise
//! (results of opaque ops, undefined flags) is marked as undefined, and so is what is computed from it.
//!
//! [`verify`] checks the rules of the language: widths, temporaries, and the order of memory accesses and writes.

mod aes;
mod evaluator;
mod flags;
mod float;
mod integer;
mod lanes;
mod memory;
mod state;
mod value;
mod verifier;

pub use evaluator::{Outcome, evaluate};
pub use flags::flags_of_condition;
pub use memory::{Memory, Region};
pub use state::State;
pub use value::Value;
pub use verifier::verify;
