//! The tables of binframe: typed, documented Arrow tables, and their Parquet files.
//!
//! **For** writing passes that fill tables, and programs that read them: schemas, builders, typed columns without
//! copies, validation, a text form for tests, and Parquet files. **Not for** computing the tables (`binframe-passes`),
//! managing datasets (`binframe`) or querying (`binframe-query`): this crate knows no pass, reads no executable and
//! uses no clock.
//!
//! Every table is declared once, in [`tables`], as the documented struct of a row with `#[derive(Table)]`. From that
//! declaration follow the Arrow schema, the builder, the typed columns, the checks of [`validate()`], the Parquet schema,
//! the fingerprint and the page in `docs/SCHEMAS.md`. [`TABLES`] lists all tables; code that handles every table
//! iterates over it.
//!
//! ```
//! use binframe_ir::parquet::{Compressors, TableReader, TableWriter};
//! use binframe_ir::tables::{Function, FunctionBuilder, FunctionEvidence, Functions};
//! use binframe_ir::{Rows, Table, validate};
//!
//! // Build rows. Unnamed columns are null, 0, false, empty, or the first value of their enumeration.
//! let mut builder = FunctionBuilder::default();
//! builder.push(Function { address: 0x1000, size: 42, function_name: Some("main"), ..Function::default() });
//! builder.push(Function { address: 0x1040, size: 7, evidence: FunctionEvidence::CallTarget, ..Function::default() });
//! let rows: Rows<Functions> = builder.finish();
//!
//! // Check them against the declaration: sorted by a unique key, values in range. References are not checked here.
//! assert!(validate(rows.batch(), None, &|_| None).is_empty());
//!
//! // Read whole columns, or rows.
//! let columns = rows.columns();
//! assert_eq!(columns.size.iter().sum::<u64>(), 49);
//! assert_eq!(columns.row(0).function_name, Some("main"));
//!
//! // Write and read a Parquet file, whose rows belong to the input `app`.
//! let mut writer = TableWriter::new(Functions::INFO, Vec::new(), &Compressors::default())?;
//! writer.append(writer.encoder().encode(rows.batch(), "app")?)?;
//! let reader = TableReader::open(Functions::INFO, bytes::Bytes::from(writer.finish()?))?;
//! assert_eq!(reader.read(0)?.fingerprint(), rows.batch().fingerprint());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Why it is fast.** A builder is one vector per column and passes its buffers to Arrow without a copy; a column is a
//! slice. Enumerations take one byte per row and names such as mnemonics two. Section contents are views into the
//! mapped file. The [Parquet encoder](parquet) reuses these dictionaries and buffers instead of hashing and copying
//! each value, and row groups are encoded on any number of threads.

extern crate self as binframe_ir;

mod batch;
mod batch_fingerprint;
mod column_types;
mod docs;
mod enumeration;
mod fingerprint;
mod markdown;
mod panics;
pub mod parquet;
mod registry;
mod table;
pub mod tables;
mod text;
mod validate;
mod values;

pub use binframe_ir_derive::Table;
pub use column_types::{
    BoolBuilder, BytesBuilder, ColumnType, NullableBuilder, NullableView, Term, TermBuilder, TermView, Terms,
    TermsBuilder, TermsView, TextBuilder, Timestamp,
};
pub use docs::{example, schemas_markdown, schemas_text};
pub use enumeration::{EnumBuilder, EnumView, Enumeration};
pub use fingerprint::Fingerprint;
pub use markdown::{markdown_table, table_lines};
pub use panics::catching_panics;
pub use registry::{SCHEMA_VERSION, TABLES, file_tables, references, table_named};
pub use table::{BINARY_COLUMN, Batch, ColumnInfo, Finish, Reference, Rows, Stage, Table, TableInfo};
pub use text::{ParseTextError, cells, from_text, to_text};
pub use validate::{Violation, compare_keys, validate};
pub use values::{integers, reference_values};
