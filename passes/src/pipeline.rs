//! Derived from the list of passes ([`passes!`](crate::passes)): the function [`lower`], and the list as data.

use crate::code::cfg::CfgIr;
use crate::code::instructions::InstructionsIr;
use crate::code::memory::{MemoryImage, MemoryIr};
use crate::code::references::References;
use crate::code::regions::Code;
use crate::code::{cfg, function_names, instructions, memory};
use crate::file::debug::{CompanionFile, DebugIr};
use crate::file::exceptions::ExceptionsIr;
use crate::file::formats::Unsupported;
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use crate::file::strings::StringsIr;
use crate::file::{debug, exceptions, extents, linkage, sections, strings};
use binframe_ir::tables::{BinaryExtents, FunctionNames};
use binframe_ir::{Batch, Fingerprint, Rows, Stage, Table, TableInfo};
use bytes::Bytes;

/// One line of the list of passes.
#[derive(Debug)]
pub struct PassInfo {
    /// Name of the pass, of its query, and of its entry in manifests and timings.
    pub name: &'static str,
    /// Version of the pass; raised when its output changes for the same inputs.
    pub version: u32,
    /// Its inputs: names of passes, or `file`, `member_index` and `companions`.
    pub reads: &'static [&'static str],
    /// The tables in its output; empty for a projection.
    pub tables: &'static [&'static TableInfo],
}

/// A table whose rows are computed on demand from the outputs of passes.
#[derive(Debug)]
pub struct ComputedTable {
    /// The table.
    pub table: &'static TableInfo,
    /// Names of the passes whose outputs it is computed from.
    pub reads: &'static [&'static str],
}

/// The output of a pass.
pub trait PassOutput: Send + Sync + 'static {
    /// Batches of its tables. A table may have several, in the order of its key.
    fn batches(&self) -> Vec<&Batch>;

    /// Equal for equal outputs. The fingerprint of `instructions` is relative to the output of `code`: whatever reads the
    /// one also reads the other.
    fn fingerprint(&self) -> Fingerprint;

    /// Number of rows in all its tables; for `instructions`, the number of instructions.
    fn row_count(&self) -> u64 {
        self.batches().iter().map(|batch| batch.rows() as u64).sum()
    }
}

/// The output of the pass `extents`.
pub type BinaryExtentRows = Rows<BinaryExtents>;

/// The output of the pass `function_names`.
pub type FunctionNameRows = Rows<FunctionNames>;

/// Implements [`PassOutput`] for types that have a method `fingerprint`.
macro_rules! outputs {
    ($($output:ty: $ir:ident => $batches:expr;)*) => {
        $(impl PassOutput for $output {
            fn batches(&self) -> Vec<&Batch> {
                let $ir = self;
                $batches
            }

            fn fingerprint(&self) -> Fingerprint {
                self.fingerprint()
            }
        })*
    };
}

outputs! {
    SectionsIr: ir => ir.tables().to_vec();
    LinkageIr: ir => ir.tables().to_vec();
    ExceptionsIr: ir => ir.tables().to_vec();
    StringsIr: ir => ir.tables().to_vec();
    DebugIr: ir => ir.tables();
    CfgIr: ir => ir.tables().to_vec();
    MemoryIr: ir => ir.tables().to_vec();
    Code: _ir => Vec::new();
    References: _ir => Vec::new();
    MemoryImage: _ir => Vec::new();
}

impl<T: Table> PassOutput for Rows<T> {
    fn batches(&self) -> Vec<&Batch> {
        vec![self.batch()]
    }

    fn fingerprint(&self) -> Fingerprint {
        self.batch().fingerprint()
    }
}

impl PassOutput for InstructionsIr {
    fn batches(&self) -> Vec<&Batch> {
        vec![self.diagnostics.batch()]
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint()
    }

    fn row_count(&self) -> u64 {
        self.len() as u64
    }
}

/// Expands the name of an input in the list to an argument, inside `lower`.
macro_rules! argument {
    (file, $inputs:ident) => {
        $inputs.file
    };
    (member_index, $inputs:ident) => {
        $inputs.member_index
    };
    (companions, $inputs:ident) => {
        $inputs.companions
    };
    ($pass:ident, $inputs:ident) => {
        &$pass
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

/// The inputs of [`lower`].
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Content of the file.
    pub file: &'a Bytes,
    /// Position of the file among the members of its container; 0 if it is not a member.
    pub member_index: u32,
    /// Other files with debug information of the file.
    pub companions: &'a [CompanionFile],
}

impl<'a> Inputs<'a> {
    /// A file that is not a member of a container, without companions.
    pub fn of(file: &'a Bytes) -> Self {
        Self { file, member_index: 0, companions: &[] }
    }
}

macro_rules! declare {
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
        /// The output of every pass over one file.
        #[derive(Debug, Clone)]
        pub struct Lowered {
            $($(#[$doc])* pub $name: $output,)*
        }

        /// Runs every pass over one file.
        pub fn lower(inputs: Inputs<'_>) -> Result<Lowered, Unsupported> {
            $(let $name = value!($($run)::+($(argument!($read, inputs)),*) $(, $error)?);)*
            Ok(Lowered { $($name),* })
        }

        impl Lowered {
            /// The output of every pass, in the order of [`PASSES`].
            pub fn outputs(&self) -> Vec<&dyn PassOutput> {
                vec![$(&self.$name),*]
            }
        }

        /// Every pass, in the order of the pipeline.
        pub const PASSES: &[PassInfo] = &[$(PassInfo {
            name: stringify!($name),
            version: $version,
            reads: &[$(stringify!($read)),*],
            tables: &[$(<binframe_ir::tables::$table as Table>::INFO),*],
        }),*];

        /// Every table that is computed on demand.
        pub const COMPUTED_TABLES: &[ComputedTable] = &[$(ComputedTable {
            table: <binframe_ir::tables::$computed as Table>::INFO,
            reads: &[$(stringify!($source)),*],
        }),*];
    };
}

passes!(declare);

/// Positions in [`PASSES`], ascending, of the passes that the tables of `stages` need: the passes that fill the tables
/// or that they are computed from, and the inputs of these passes, recursively.
pub fn passes_for(stages: &[Stage]) -> Vec<usize> {
    let is_requested = |table: &TableInfo| stages.contains(&table.stage);
    let computed = COMPUTED_TABLES.iter().filter(|computed| is_requested(computed.table));
    let mut needed: Vec<&str> = computed.flat_map(|computed| computed.reads).copied().collect();
    let mut positions = Vec::new();
    // A pass reads earlier passes only, otherwise `lower` does not compile. So one traversal in reverse order finds all
    // inputs.
    for (position, pass) in PASSES.iter().enumerate().rev() {
        if needed.contains(&pass.name) || pass.tables.iter().any(|table| is_requested(table)) {
            needed.extend(pass.reads);
            positions.push(position);
        }
    }
    positions.reverse();
    positions
}

/// Whether the tables of a stage are computed from code.
pub fn is_of_code(stage: Stage) -> bool {
    passes_for(&[stage]).into_iter().any(|position| PASSES[position].reads.contains(&"code"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use binframe_ir::file_tables;

    #[test]
    fn every_table_of_a_stage_has_one_source() {
        for table in file_tables().filter(|table| table.stage != Stage::Run) {
            let filling = PASSES.iter().filter(|pass| pass.tables.contains(&table)).count();
            let computed = COMPUTED_TABLES.iter().filter(|computed| computed.table == table).count();
            assert_eq!(filling + computed, 1, "{}", table.name);
        }
    }

    #[test]
    fn a_stage_needs_the_passes_of_its_tables_and_their_inputs() {
        let names = |stages: &[Stage]| -> Vec<_> {
            passes_for(stages).into_iter().map(|position| PASSES[position].name).collect()
        };
        assert_eq!(names(&[Stage::Debug]), ["sections", "debug"]);
        assert_eq!(names(&[Stage::Effects]), ["sections", "linkage", "code", "instructions"]);
        assert_eq!(
            names(&[Stage::Cfg]),
            [
                "sections",
                "linkage",
                "exceptions",
                "code",
                "references",
                "instructions",
                "cfg",
                "function_names"
            ]
        );
    }
}
