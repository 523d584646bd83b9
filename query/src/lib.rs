//! SQL over executables and datasets, on `DataFusion`.
//!
//! [`Session`] opens inputs and answers queries. The tables of the registry, views and functions are the schema. A table
//! spans all inputs; the column `binary_name` names the input of a row.
//!
//! ```no_run
//! use binframe_query::{Options, Session};
//!
//! let session = Session::open(&["/usr/bin/ls".into()], Options::default())?;
//! for rows in session.query("SELECT function_name, size FROM function_sizes LIMIT 10")? {
//!     println!("{} rows", rows?.num_rows());
//! }
//! # Ok::<(), binframe_query::QueryError>(())
//! ```
//!
//! # What it is for
//!
//! Ad-hoc questions, of one executable or of thousands, without a separate step that writes a dataset. The rows and their order
//! are the same for an executable and for a dataset of it, with any number of threads.
//!
//! # What it is not for
//!
//! Writing: statements that change tables are rejected. Repeated queries of many executables: write a dataset once and
//! query it, here or with any engine that reads Parquet.
//!
//! # Why it is fast
//!
//! An executable is analyzed only as far as a query needs: passes run for the tables that it names, and conditions on
//! addresses, sections, functions and binaries select the parts that are computed at all (`pushdown`). Of a dataset, only
//! the columns that a query uses are read, and row groups that its conditions exclude are skipped. Threads scan contiguous partitions (`partition`), which keeps the order of rows
//! without a sort (`order`). Bytes are views of the mapped file.
//!
//! # Layers, from the bottom
//!
//! `error`, `options`, `input`, `partition`, `inputs` (what is open), `program` (one binary); `pushdown`, `scan`, `table` (tables);
//! `functions`, `table_functions`, `views`; `differences` (rules of planning); `order`, `pauses`, `interrupts` (rules of execution); `statements`, `session`.

mod allowed;
mod differences;
mod error;
mod functions;
mod input;
mod inputs;
mod interrupts;
mod options;
mod order;
mod partition;
mod pauses;
mod program;
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
pub use inputs::Inputs;
pub use options::{OnPass, Options};
pub use session::{Answer, Session};
pub use statements::{is_unfinished, split};
pub use table_functions::{TABLE_FUNCTIONS, TableFunction};
pub use views::{VIEWS, View};
