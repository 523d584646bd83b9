//! The driver: lowers inputs into a dataset.

mod batch;
mod driver;
mod job;
mod progress;
mod request;

pub use driver::lower;
pub use progress::Progress;
pub use request::{Request, default_memory};
