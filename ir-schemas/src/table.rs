//! The declaration of a table, as data.

use crate::fingerprint::Fingerprint;
use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema};
use std::collections::HashMap;
use std::fmt::Write;
use std::marker::PhantomData;

/// Name of the last column of every file: the input that a row belongs to.
pub const BINARY_COLUMN: &str = "binary_name";

/// A table: the types of its rows and columns, and its declaration. Implemented by `#[derive(Table)]`.
pub trait Table: Copy + std::fmt::Debug + Send + Sync + 'static {
    /// One row, borrowing strings and bytes from the columns.
    type Row<'a>: Copy;
    /// Builder: one column builder per column (a struct of arrays).
    type Builder: Default + Finish<Table = Self>;
    /// Typed views of all columns.
    type Columns<'a>: Copy;
    /// Declaration.
    const INFO: &'static TableInfo;

    /// Returns typed views of the columns of a batch of this table.
    fn columns(batch: &Batch) -> Self::Columns<'_>;
}

/// The last step of a builder.
pub trait Finish {
    /// Table whose rows are built.
    type Table: Table;

    /// Passes the buffers to Arrow without a copy.
    fn finish(self) -> Rows<Self::Table>;
}

/// A stage of the analysis, named for what its tables describe. Declared in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Structure of the file.
    Sections,
    /// Debug information. Optional: computed only if requested.
    Debug,
    /// Decoded machine instructions.
    Instructions,
    /// Registers and flags that instructions use. Optional: computed only if requested.
    Effects,
    /// What instructions do, as micro-operations. Optional: computed only if requested.
    Ops,
    /// Functions, basic blocks and control-flow edges.
    Cfg,
    /// Memory regions, stack frames, effects of calls, memory objects and accesses.
    Memory,
    /// Def-use edges. Optional: computed only if requested.
    DataFlow,
    /// Snapshots of a process or core dump. Not computed from a file: `capture` writes them.
    Capture,
    /// Tables of no single stage: the binaries of a run and the diagnostics of all passes.
    Run,
}

impl Stage {
    /// The stages of the pipeline, in order. The others are optional.
    pub const PIPELINE: [Self; 4] = [Self::Sections, Self::Instructions, Self::Cfg, Self::Memory];

    /// All stages that can be requested, in order.
    pub const ALL: [Self; 8] = [
        Self::Sections,
        Self::Debug,
        Self::Instructions,
        Self::Effects,
        Self::Ops,
        Self::Cfg,
        Self::Memory,
        Self::DataFlow,
    ];

    /// Name of the stage in commands, schemas and diagnostics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sections => "sections",
            Self::Debug => "debug",
            Self::Effects => "effects",
            Self::Ops => "ops",
            Self::Instructions => "instructions",
            Self::Cfg => "cfg",
            Self::Memory => "memory",
            Self::DataFlow => "data_flow",
            Self::Capture => "capture",
            Self::Run => "run",
        }
    }
}

/// The declaration of a table.
#[derive(Debug)]
pub struct TableInfo {
    /// Plural name, also of the folder in a dataset, in commands and in SQL.
    pub name: &'static str,
    /// Stage that computes the table.
    pub stage: Stage,
    /// Definition of a row.
    pub doc: &'static str,
    /// Columns that the rows of an input are sorted by and that together identify a row of it. Empty if an input has one
    /// row.
    pub key: &'static [&'static str],
    /// Columns of the first address and of the size in bytes; `None` if rows do not cover addresses.
    pub span: Option<(&'static str, &'static str)>,
    /// References of several columns: the other table, and the columns that are together the key of one of its rows.
    pub references: &'static [(&'static str, &'static [&'static str])],
    /// Typical number of bytes of a file for each row: an estimate of the number of rows before they are computed.
    pub file_bytes_per_row: u64,
    /// Columns, in order.
    pub columns: &'static [ColumnInfo],
}

/// A reference to a row of another table of the same input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Own columns. If one is null, there is no reference.
    pub columns: Vec<&'static str>,
    /// The other table.
    pub table: &'static str,
    /// Columns of the other table that have the same values.
    pub targets: Vec<&'static str>,
}

/// The declaration of a column.
#[derive(Debug)]
pub struct ColumnInfo {
    /// Name of the column.
    pub name: &'static str,
    /// Definition of a value.
    pub doc: &'static str,
    /// Arrow type in schemas and files.
    pub data_type: fn() -> DataType,
    /// Arrow type of the array in memory; bytes are views there, which can refer to a mapped file.
    pub memory_type: fn() -> DataType,
    /// Whether a value may be null, which always means "does not apply", never "unknown".
    pub nullable: bool,
    /// Unit of a number: `address`, `bytes`, `bits` or `file offset`; `None` for other values.
    pub unit: Option<&'static str>,
    /// Table and column that the value refers to; `None` if it is not a reference.
    pub references: Option<(&'static str, &'static str)>,
    /// Whether files have a Bloom filter of the column, for lookups by equality.
    pub has_bloom_filter: bool,
    /// Least and greatest value; `None` if any value of the type is allowed.
    pub range: Option<(i128, i128)>,
    /// Values that a text may have; `None` if any text is allowed.
    pub one_of: Option<&'static [&'static str]>,
    /// Definition of each value in `one_of`; empty if any text is allowed.
    pub value_docs: &'static [&'static str],
    /// Converts an array of the declared type, as read from a file, to the memory type.
    pub adopt: fn(&ArrayRef) -> Result<ArrayRef, String>,
}

/// Compares by name, which is unique.
impl PartialEq for TableInfo {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TableInfo {}

/// Rows of a table that is known at run time: one Arrow array per column.
///
/// Cloning is cheap: arrays are shared.
#[derive(Debug, Clone)]
pub struct Batch {
    pub(crate) info: &'static TableInfo,
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) rows: usize,
}

/// Rows of the table `T`: a [`Batch`] whose table is known at compile time.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    pub(crate) batch: Batch,
    pub(crate) table: PhantomData<T>,
}

impl TableInfo {
    /// The columns that identify a row of a dataset: the input, then the key.
    pub fn full_key(&self) -> Vec<&'static str> {
        [BINARY_COLUMN].iter().chain(self.key).copied().collect()
    }

    /// Position of a column; `None` if there is none with that name.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The declaration of a column; `None` if there is none with that name.
    pub fn column(&self, name: &str) -> Option<&'static ColumnInfo> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Arrow schema, with documentation, units, key and references as metadata.
    pub fn schema(&self) -> Schema {
        let fields = self.columns.iter().map(ColumnInfo::field).collect::<Vec<_>>();
        let metadata = [("table", self.name), ("stage", self.stage.name()), ("doc", self.doc)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .chain([("key".to_owned(), self.full_key().join(","))]);
        Schema::new_with_metadata(fields, metadata.collect())
    }

    /// Fingerprint of the declaration: changes with the content or the meaning of a file of this table.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = format!("{} {:?} {:?} {:?}\n", self.name, self.key, self.span, self.references);
        for column in self.columns {
            let ColumnInfo { name, doc, nullable, unit, references, range, one_of, .. } = column;
            let data_type = (column.data_type)();
            _ = writeln!(
                text,
                "{name} {data_type} {nullable} {unit:?} {references:?} {range:?} {one_of:?} {doc}"
            );
        }
        Fingerprint::of_bytes(text.as_bytes())
    }
}

impl ColumnInfo {
    /// Arrow field, with documentation, unit and reference as metadata.
    pub fn field(&self) -> Field {
        let mut metadata = HashMap::from([("doc".to_owned(), self.doc.to_owned())]);
        if let Some(unit) = self.unit {
            metadata.insert("unit".to_owned(), unit.to_owned());
        }
        if let Some((table, column)) = self.references {
            metadata.insert("references".to_owned(), format!("{table}.{column}"));
        }
        Field::new(self.name, (self.data_type)(), self.nullable).with_metadata(metadata)
    }

    /// Whether the values are virtual addresses.
    pub fn is_address(&self) -> bool {
        self.unit == Some("address")
    }
}
