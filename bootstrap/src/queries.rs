//! The passes as salsa queries, made from the list of passes (`binframe_passes::passes!`).
//!
//! A query runs again only if a query or input that it read has changed. A query whose output has the fingerprint it had before
//! counts as unchanged, so that the queries that read it do not run.

#![expect(missing_docs, reason = "salsa documents neither the constructor nor the setters that it generates")]

use crate::companions::LazyCompanions;
use crate::file::FileBytes;
use binframe_ir::{Batch, Fingerprint};
use binframe_passes::code::cfg::CfgIr;
use binframe_passes::code::instructions::InstructionsIr;
use binframe_passes::code::memory::{Image, MemoryIr};
use binframe_passes::file::debug::DebugIr;
use binframe_passes::file::exceptions::ExceptionsIr;
use binframe_passes::file::linkage::LinkageIr;
use binframe_passes::file::sections::SectionsIr;
use binframe_passes::file::strings::StringsIr;
use binframe_passes::{Code, FileExtentRows, PassOutput, References, Unsupported, passes};
use std::ops::Deref;
use std::sync::Arc;

/// Holds inputs and the outputs of queries.
#[salsa::db]
#[derive(Clone, Default)]
pub struct Database {
    storage: salsa::Storage<Self>,
}

#[salsa::db]
impl salsa::Database for Database {}

impl Database {
    /// A database that calls `on_run` with the name of each query that runs; queries that are answered from memory do not.
    pub fn with_log(on_run: impl Fn(String) + Send + Sync + 'static) -> Self {
        let on_event = move |event: salsa::Event| {
            if let salsa::EventKind::WillExecute { database_key } = event.kind {
                let query = format!("{database_key:?}");
                on_run(query.split('(').next().unwrap_or(&query).to_owned());
            }
        };
        Self { storage: salsa::Storage::new(Some(Box::new(on_event))) }
    }
}

/// An executable file.
#[salsa::input]
pub struct Executable {
    /// Bytes of the file.
    #[returns(clone)]
    pub bytes: FileBytes,
    /// Position among the members of its container; 0 for a file of its own.
    #[returns(copy)]
    pub member_index: u32,
    /// The other files that hold its debug information, which are looked for when a query reads them.
    #[returns(clone)]
    pub companions: LazyCompanions,
}

/// The output of a pass, equal to another if their fingerprints are. Cloning shares it.
pub struct Pass<T: ?Sized> {
    output: Arc<T>,
    fingerprint: Fingerprint,
}

impl<T: PassOutput> Pass<T> {
    fn new(output: T) -> Self {
        let fingerprint = output.fingerprint();
        Self { output: Arc::new(output), fingerprint }
    }

    /// The same output, without its type.
    fn erase(self) -> Pass<dyn PassOutput> {
        Pass { output: self.output, fingerprint: self.fingerprint }
    }
}

impl<T: ?Sized> Pass<T> {
    /// Equal for equal outputs.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl<T: ?Sized> Clone for Pass<T> {
    fn clone(&self) -> Self {
        Self { output: Arc::clone(&self.output), fingerprint: self.fingerprint }
    }
}

impl<T: ?Sized> Deref for Pass<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.output
    }
}

impl<T: ?Sized> PartialEq for Pass<T> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<T: ?Sized> Eq for Pass<T> {}

/// Computes rows on any thread.
pub(crate) type Compute = Box<dyn Fn() -> Batch + Send + Sync>;

/// Rows of a table that are computed on demand.
pub(crate) struct ComputedPart {
    pub(crate) compute: Compute,
    /// Number of rows, if it is known before they are computed.
    pub(crate) row_count: Option<usize>,
}

/// The argument of a pass that a name in the list stands for, inside a query.
macro_rules! argument {
    (file, $db:ident, $executable:ident) => {
        &$executable.bytes($db).0
    };
    (member_index, $db:ident, $executable:ident) => {
        $executable.member_index($db)
    };
    (companions, $db:ident, $executable:ident) => {
        $executable.companions($db).get()
    };
    ($pass:ident, $db:ident, $executable:ident) => {
        &*super::$pass($db, $executable)?
    };
}

/// The value of a call; if it may fail, the function that contains it returns the error.
macro_rules! value {
    ($call:expr) => {
        $call
    };
    ($call:expr, $error:ident) => {
        $call?
    };
}

macro_rules! queries {
    (
        passes {$(
            $(#[$doc:meta])*
            $name:ident: $output:ty = $($run:ident)::+($($read:ident),*) $(or $error:ident)?,
                version $version:literal, fills [$($table:ident),*];
        )*}
        computed tables {$(
            $(#[$table_doc:meta])*
            $computed:ident = $($compute:ident)::+($($source:ident),*) over $($ranges:ident)::+($($range_source:ident),*)
                $(, counted by $($count:ident)::+($($count_source:ident),*))?;
        )*}
        computed columns {$(
            $(#[$column_doc:meta])*
            $owner:ident.$column:ident = $($complete:ident)::+($($column_source:ident),*);
        )*}
    ) => {
        $(
            $(#[$doc])*
            #[salsa::tracked(returns(clone))]
            pub fn $name(db: &dyn salsa::Database, executable: Executable) -> Result<Pass<$output>, Unsupported> {
                compute::$name(db, executable)
            }
        )*

        /// What queries do. A query is also a type of its name, so that a module of this name is named in a scope of its own.
        pub(crate) mod compute {
            use super::{Compute, ComputedPart, Executable, Pass};
            use super::{$($output),*};
            use binframe_ir::tables::{$($computed,)* $($owner),*};
            use binframe_ir::{Batch, Rows, Table, TableInfo};
            use binframe_passes::code::{cfg, instructions, memory};
            use binframe_passes::file::{debug, exceptions, extents, linkage, sections, strings};
            use binframe_passes::{PASSES, PassOutput, Unsupported};
            use std::ops::Range;

        $(
            pub(super) fn $name(
                db: &dyn salsa::Database,
                executable: Executable,
            ) -> Result<Pass<$output>, Unsupported> {
                Ok(Pass::new(value!($($run)::+($(argument!($read, db, executable)),*) $(, $error)?)))
            }
        )*

        /// Runs the pass at a position of [`PASSES`].
        pub(crate) fn run_pass(
            position: usize,
            db: &dyn salsa::Database,
            executable: Executable,
        ) -> Result<Pass<dyn PassOutput>, Unsupported> {
            /// A query without the type of its output.
            type Query = fn(&dyn salsa::Database, Executable) -> Result<Pass<dyn PassOutput>, Unsupported>;
            const QUERIES: [Query; PASSES.len()] =
                [$(|db, executable| super::$name(db, executable).map(Pass::erase)),*];
            QUERIES[position](db, executable)
        }

        /// The parts of a table whose rows are computed on demand, without those that have no row in `addresses`; `None` for
        /// a table that a pass holds.
        pub(crate) fn computed_parts(
            table: &TableInfo,
            addresses: Option<&Range<u64>>,
            db: &dyn salsa::Database,
            executable: Executable,
        ) -> Result<Option<Vec<ComputedPart>>, Unsupported> {
            $(if table == $computed::INFO {
                $(let $source = super::$source(db, executable)?;)*
                let ranges = $($ranges)::+($(&$range_source,)* addresses).into_iter();
                let parts = ranges.map(|range| {
                    $(let $source = $source.clone();)*
                    let row_count = None$(.or(Some($($count)::+($(&$count_source,)* range.clone()))))?;
                    let compute = move || $($compute)::+($(&$source,)* range.clone()).batch().clone();
                    ComputedPart { compute: Box::new(compute), row_count }
                });
                return Ok(Some(parts.collect()));
            })*
            Ok(None)
        }

        /// How a column is computed that costs more than the rest of its table, if the table has one.
        pub(crate) fn computed_column(
            rows: &Batch,
            db: &dyn salsa::Database,
            executable: Executable,
        ) -> Result<Option<(&'static str, Compute)>, Unsupported> {
            $(if let Some(rows) = Rows::<$owner>::from_batch(rows.clone()) {
                $(let $column_source = super::$column_source(db, executable)?;)*
                let complete = move || $($complete)::+($(&$column_source,)* &rows).batch().clone();
                return Ok(Some((stringify!($column), Box::new(complete))));
            })*
            Ok(None)
        }
        }
    };
}

passes!(queries);
