//! The subcommands: one file or folder each, which holds the arguments, the help and the code.

pub(crate) mod capture;
pub(crate) mod diff;
pub(crate) mod dump;
pub(crate) mod lower;
pub(crate) mod rebuild;
pub(crate) mod schemas;
#[cfg(feature = "sql")]
pub(crate) mod sql;
pub(crate) mod trace;
pub(crate) mod verify;
