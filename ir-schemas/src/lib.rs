//! What binframe's tables are.
//!
//! Every table is declared once, as the doc-commented struct of one of its rows with `#[derive(Table)]`, in
//! [`tables`]. From that declaration come its Arrow schema, a struct-of-arrays builder, typed zero-copy columns,
//! validators, the layout of its Parquet files, a fingerprint, and its page of `docs/SCHEMAS.md`. [`TABLES`] lists
//! them all; whatever handles every table iterates over it.
//!
//! This crate knows no pass, reads no executable and touches no clock.

extern crate self as binframe_ir;

mod batch;
mod cell;
mod docs;
mod enumeration;
mod fingerprint;
pub mod parquet;
mod registry;
mod table;
pub mod tables;
mod text;
mod validate;

pub use batch::{Batch, Rows};
pub use binframe_ir_derive::Table;
pub use cell::{
    BytesBuilder, Cell, Codes, NullableBuilder, NullableView, Term, TermBuilder, TermView, Timestamp,
};
pub use docs::{schemas_markdown, schemas_text};
pub use enumeration::{EnumView, Enumeration};
pub use fingerprint::Fingerprint;
pub use registry::{TABLES, table_named};
pub use table::{ColumnInfo, DerivedInfo, Finish, Stage, Table, TableInfo};
pub use text::{ParseTextError, from_text, to_text};
pub use validate::{Violation, compare_keys, integers, validate};
