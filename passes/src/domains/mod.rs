//! The abstract domain of the memory stage: what may be known of registers and of the stack before an instruction.

mod state;
mod summary;
pub(crate) mod symbolic;
mod value;

pub(crate) use state::{Compared, Place, State};
pub(crate) use summary::{Parameters, Summary};
pub(crate) use value::{Base, UNBOUNDED_HIGH, UNBOUNDED_LOW, Value};
