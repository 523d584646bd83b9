//! Runs: the driver that lowers input files into a dataset.
//!
//! In reading order: `request` (parameters), `driver` (the run), `scheduler` (inputs within a memory limit), `job` (one
//! input), `row_output` (where encoded rows go).

pub(crate) mod driver;
mod job;
pub(crate) mod request;
mod row_output;
mod scheduler;
