//! SQL over executables and datasets.
//!
//! [`Session`] opens inputs and answers queries. Every table of the registry is a table; an executable is lowered when a query
//! needs it, and no further than the query needs.

mod error;
mod functions;
mod inputs;
mod interrupts;
mod order;
mod pauses;
mod pushdown;
mod scan;
mod schema;
mod session;
mod statements;
mod table;
mod table_functions;
mod views;

pub use error::QueryError;
pub use functions::{FUNCTIONS, Function, Parameter};
pub use inputs::{Inputs, OnPass, Options};
pub use session::{Answer, Session};
pub use statements::{is_unfinished, split};
pub use table_functions::{TABLE_FUNCTIONS, TableFunction};
pub use views::{VIEWS, View};
