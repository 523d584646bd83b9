//! Abstract domains: for the memory stage values, states and call summaries; for jump tables symbolic expressions.

mod abstract_state;
mod abstract_value;
mod call_transfer;
pub(crate) mod frame_offset;
mod state_join;
mod summary;
pub(crate) mod symbolic;
mod value_arithmetic;

pub(crate) use abstract_state::{AbstractState, Comparison, OperandLocation};
pub(crate) use abstract_value::{AbstractValue, Base, Threshold, UNBOUNDED_HIGH, UNBOUNDED_LOW};
pub(crate) use summary::{ParameterSet, Summary};
