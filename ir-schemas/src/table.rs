//! A table's declaration, as data.

use crate::{Batch, Fingerprint, Rows};
use arrow_schema::{DataType, Field, Schema};
use std::collections::HashMap;
use std::fmt::Write;

/// A table: its rows, its columns, and what is declared about them. Implemented by `#[derive(Table)]`.
pub trait Table: Copy + std::fmt::Debug + Send + Sync + 'static {
    /// One row, borrowing strings and bytes from the columns.
    type Row<'a>: Copy;
    /// The struct of arrays that rows are pushed to.
    type Builder: Default + Finish<Table = Self>;
    /// Typed views of all columns.
    type Columns<'a>: Copy;
    /// The declaration.
    const INFO: &'static TableInfo;

    /// Typed views of the columns of a batch of this table.
    fn columns(batch: &Batch) -> Self::Columns<'_>;
}

/// What every derived builder does at its end.
pub trait Finish {
    /// The table that is built.
    type Table: Table;

    /// Hands the buffers to Arrow without a copy.
    fn finish(self) -> Rows<Self::Table>;
}

/// The stages of the pipeline, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The file's own structure.
    Sections,
    /// What debug information says; beside the pipeline, and made only when asked for.
    Debug,
    /// Decoded machine instructions.
    Instructions,
    /// Registers and flags that instructions use; beside the pipeline, and made only when asked for.
    Effects,
    /// Functions, basic blocks and edges.
    Cfg,
    /// Memory regions, stack frames, objects, effects of calls, and accesses.
    Memory,
    /// Where instructions find what they use; beside the pipeline, and made only when asked for.
    DataFlow,
    /// What no single stage makes: the inputs of a run, and every stage's diagnostics.
    Run,
}

impl Stage {
    /// The four stages that lower an executable, in their order.
    pub const PIPELINE: [Self; 4] = [Self::Sections, Self::Instructions, Self::Cfg, Self::Memory];

    /// All stages whose tables can be asked for, in their order.
    pub const ALL: [Self; 7] = [
        Self::Sections,
        Self::Debug,
        Self::Instructions,
        Self::Effects,
        Self::Cfg,
        Self::Memory,
        Self::DataFlow,
    ];

    /// The stage's name in commands, schemas and diagnostics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sections => "sections",
            Self::Debug => "debug",
            Self::Effects => "effects",
            Self::Instructions => "instructions",
            Self::Cfg => "cfg",
            Self::Memory => "memory",
            Self::DataFlow => "data_flow",
            Self::Run => "run",
        }
    }
}

/// The declaration of a table.
#[derive(Debug)]
pub struct TableInfo {
    /// Plural name: of the table, of its folder in a dataset, in commands and in SQL.
    pub name: &'static str,
    /// The stage that makes it.
    pub stage: Stage,
    /// What one row is.
    pub doc: &'static str,
    /// The columns that order the rows and, together, identify one.
    pub key: &'static [&'static str],
    /// The columns of the first address and of the size in bytes, where a row covers addresses.
    pub span: Option<(&'static str, &'static str)>,
    /// The stored columns, in their order.
    pub columns: &'static [ColumnInfo],
    /// The columns that are computed when asked for.
    pub derived: &'static [DerivedInfo],
}

/// The declaration of a stored column.
#[derive(Debug)]
pub struct ColumnInfo {
    /// The column's name.
    pub name: &'static str,
    /// What a value means.
    pub doc: &'static str,
    /// The column's Arrow type in schemas and files.
    pub data_type: fn() -> DataType,
    /// The type of the array in memory; bytes are views there, so that they can lie in a mapped file.
    pub memory_type: fn() -> DataType,
    /// Whether a value may be null, which always means "does not apply".
    pub nullable: bool,
    /// The unit of a number: `address`, `bytes`, `file offset` …
    pub unit: Option<&'static str>,
    /// The table and column whose values this column takes.
    pub references: Option<(&'static str, &'static str)>,
    /// The least and the greatest value.
    pub range: Option<(i128, i128)>,
    /// All values that a text may take.
    pub one_of: Option<&'static [&'static str]>,
    /// Turns an array of the declared type, as read from a file, into one of the memory type.
    pub adopt: fn(&arrow_array::ArrayRef) -> Result<arrow_array::ArrayRef, String>,
}

/// The declaration of a derived column.
#[derive(Debug)]
pub struct DerivedInfo {
    /// The column's name.
    pub name: &'static str,
    /// What a value means.
    pub doc: &'static str,
    /// The column's Arrow type.
    pub data_type: fn() -> DataType,
    /// The stored columns it is computed from.
    pub dependencies: &'static [&'static str],
    /// Computes it.
    pub compute: fn(&Batch) -> arrow_array::ArrayRef,
}

/// Tables are the same when their names are: no two have one name.
impl PartialEq for TableInfo {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TableInfo {}

impl TableInfo {
    /// The position of a stored column.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The Arrow schema, with docs, units, key and references as metadata.
    pub fn schema(&self) -> Schema {
        let fields = self.columns.iter().map(ColumnInfo::field).collect::<Vec<_>>();
        let metadata = [("table", self.name), ("stage", self.stage.name()), ("doc", self.doc)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .chain([("key".to_owned(), self.key.join(","))]);
        Schema::new_with_metadata(fields, metadata.collect())
    }

    /// Changes whenever the declaration changes what a file of this table holds or means.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = format!("{} {:?} {:?}\n", self.name, self.key, self.span);
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

impl DerivedInfo {
    /// The Arrow field, with what says how values are shown.
    pub fn field(&self) -> Field {
        let unit = self.name.ends_with("address").then(|| ("unit".to_owned(), "address".to_owned()));
        let doc = ("doc".to_owned(), self.doc.to_owned());
        Field::new(self.name, (self.data_type)(), true).with_metadata(unit.into_iter().chain([doc]).collect())
    }
}

impl ColumnInfo {
    /// The Arrow field, with doc, unit and reference as metadata.
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
