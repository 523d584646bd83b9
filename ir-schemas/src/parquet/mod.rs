//! Tables as Parquet files: encoding row groups in parallel, writing and reading them.
//!
//! A file has the columns of one table and a last column `binary_name`, the input that a row belongs to. All rows of a row
//! group belong to the same input.

mod bounds;
mod chunk;
mod delta_binary_packed;
mod encode;
mod layout;
mod levels;
mod pages;
mod pruning;
mod reader;
mod writer;

pub use layout::{ROW_GROUP_ROWS_MAX, file_schema, writer_properties};
pub use pruning::{ColumnCondition, ColumnValue};
pub use reader::{ReadError, TableReader};
pub use writer::{Compressors, EncodedRows, TableEncoder, TableWriter};
