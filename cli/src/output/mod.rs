//! Output of the commands: where it goes, and the formats of rows.

pub(crate) mod aligned_table;
pub(crate) mod cell_text;
mod closed_output;
pub(crate) mod columns;
pub(crate) mod destination;
pub(crate) mod row_writer;
