//! The passes as salsa queries, generated from the list of passes ([`passes!`]).
//!
//! A query runs again only if an input that it read was set, or an output that it read has changed. Outputs are
//! compared by fingerprint: if a query computes an equal output, the queries that read it do not run (early cutoff).
//!
//! Outputs are kept in memory, in one database, and no other process uses them. [`lower`](crate::lower) gives every file
//! a database of its own, in which a pass runs at most once.

#![expect(missing_docs, reason = "salsa documents neither the constructor nor the setters that it generates")]

use crate::companions::LazyCompanions;
use crate::file::FileBytes;
use binframe_ir::{Batch, Fingerprint};
use binframe_passes::code::cfg::CfgIr;
use binframe_passes::code::instructions::InstructionsIr;
use binframe_passes::code::memory::{MemoryImage, MemoryIr};
use binframe_passes::file::debug::DebugIr;
use binframe_passes::file::exceptions::ExceptionsIr;
use binframe_passes::file::linkage::LinkageIr;
use binframe_passes::file::sections::SectionsIr;
use binframe_passes::file::strings::StringsIr;
use binframe_passes::{
    BinaryExtentRows, Code, FunctionNameRows, PassOutput, References, Unsupported, passes,
};
use std::ops::Deref;
use std::sync::Arc;

/// Stores inputs and the outputs of queries.
#[salsa::db]
#[derive(Clone, Default)]
pub struct Database {
    storage: salsa::Storage<Self>,
}

#[salsa::db]
impl salsa::Database for Database {}

impl Database {
    /// A database that calls `on_run` with the name of each query that runs. Queries answered from stored outputs do
    /// not run.
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

/// An executable file: the input of all queries.
#[salsa::input]
pub struct Executable {
    /// Content of the file.
    #[returns(clone)]
    pub bytes: FileBytes,
    /// Position among the members of the container; 0 for a file that is not a member.
    #[returns(copy)]
    pub member_index: u32,
    /// Other files with debug information of this file, found when a query reads them. They are not watched: set this
    /// input again if they may have changed.
    #[returns(clone)]
    pub companions: LazyCompanions,
}

/// The output of a pass with its fingerprint. Equal if the fingerprints are equal; cloning shares the output.
pub struct Fingerprinted<T: ?Sized> {
    output: Arc<T>,
    fingerprint: Fingerprint,
}

impl<T: PassOutput> Fingerprinted<T> {
    fn new(output: T) -> Self {
        let fingerprint = output.fingerprint();
        Self { output: Arc::new(output), fingerprint }
    }

    /// Converts to a trait object.
    fn erase(self) -> Fingerprinted<dyn PassOutput> {
        Fingerprinted { output: self.output, fingerprint: self.fingerprint }
    }
}

impl<T: ?Sized> Fingerprinted<T> {
    /// Fingerprint of the output.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl<T: ?Sized> Clone for Fingerprinted<T> {
    fn clone(&self) -> Self {
        Self { output: Arc::clone(&self.output), fingerprint: self.fingerprint }
    }
}

impl<T: ?Sized> Deref for Fingerprinted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.output
    }
}

impl<T: ?Sized> PartialEq for Fingerprinted<T> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<T: ?Sized> Eq for Fingerprinted<T> {}

/// A function that computes rows, on any thread.
pub(crate) type Compute = Box<dyn Fn() -> Batch + Send + Sync>;

/// A range of rows of a table that is computed on demand.
pub(crate) struct ComputedPart {
    pub(crate) compute: Compute,
    /// Number of rows, if known without computing them.
    pub(crate) row_count: Option<usize>,
}

/// Expands the name of an input in the list to an argument, inside a query.
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

/// Expands to a call, followed by `?` if the list declares an error for it.
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
            pub fn $name(db: &dyn salsa::Database, executable: Executable) -> Result<Fingerprinted<$output>, Unsupported> {
                bodies::$name(db, executable)
            }
        )*

        /// The bodies of the queries. salsa defines a type of the name of each query, which would hide the imported
        /// module of the same name, so that the calls of passes need a scope without these types.
        pub(crate) mod bodies {
            use super::{Compute, ComputedPart, Executable, Fingerprinted};
            use super::{$($output),*};
            use binframe_ir::tables::{$($computed,)* $($owner),*};
            use binframe_ir::{Batch, Rows, Table, TableInfo};
            use binframe_passes::code::{cfg, function_names, instructions, memory};
            use binframe_passes::file::{debug, exceptions, extents, linkage, sections, strings};
            use binframe_passes::{PASSES, PassOutput, Unsupported};
            use std::ops::Range;

            $(
                pub(super) fn $name(
                    db: &dyn salsa::Database,
                    executable: Executable,
                ) -> Result<Fingerprinted<$output>, Unsupported> {
                    Ok(Fingerprinted::new(value!($($run)::+($(argument!($read, db, executable)),*) $(, $error)?)))
                }
            )*

            /// Runs the pass at a position of [`PASSES`].
            pub(crate) fn run_pass(
                position: usize,
                db: &dyn salsa::Database,
                executable: Executable,
            ) -> Result<Fingerprinted<dyn PassOutput>, Unsupported> {
                /// A query whose output is a trait object.
                type Query = fn(&dyn salsa::Database, Executable) -> Result<Fingerprinted<dyn PassOutput>, Unsupported>;
                const QUERIES: [Query; PASSES.len()] =
                    [$(|db, executable| super::$name(db, executable).map(Fingerprinted::erase)),*];
                QUERIES[position](db, executable)
            }

            /// The parts of a table that is computed on demand, restricted to those that may have rows in `addresses`.
            /// `None` if the table is in the output of a pass.
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
                        // `None`, or the count if the list has `counted by`.
                        let row_count = None$(.or(Some($($count)::+($(&$count_source,)* range.clone()))))?;
                        let compute = move || $($compute)::+($(&$source,)* range.clone()).batch().clone();
                        ComputedPart { compute: Box::new(compute), row_count }
                    });
                    return Ok(Some(parts.collect()));
                })*
                Ok(None)
            }

            /// The name of the column of a table that is computed on demand, and the function that completes `rows` with
            /// it. `None` if the table has no such column.
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
