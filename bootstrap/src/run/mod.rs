//! Runs: the driver that lowers input files into a dataset.

pub(crate) mod driver;
mod job;
pub(crate) mod request;
mod row_output;
mod scheduler;
