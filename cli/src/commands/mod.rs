//! One file a subcommand.

pub(crate) mod diff;
pub(crate) mod dump;
mod dump_cfg;
pub(crate) mod lower;
pub(crate) mod rebuild;
pub(crate) mod schemas;
#[cfg(feature = "sql")]
pub(crate) mod sql;
pub(crate) mod trace;
