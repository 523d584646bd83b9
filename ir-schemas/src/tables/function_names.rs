//! The table `function_names`.

use crate::Table;
use crate::enumeration::enumeration;
use crate::tables::SymbolBinding;

enumeration! {
    /// What names a function.
    FunctionNameKind {
        /// A symbol.
        Symbol = "symbol",
        /// The function table of a Go program.
        FunctionTable = "function_table",
        /// An export.
        Export = "export",
        /// Nothing: no name is known.
        None = "none",
    }
}

/// A name of a function. Functions with several names (aliases) have several rows, functions without a name none.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "function_names", stage = Cfg, key(function_address, function_name), file_bytes_per_row = 500)]
pub struct FunctionName<'a> {
    /// Function that has the name.
    #[column(unit = "address", references = "functions.address")]
    pub function_address: u64,
    /// Name as stored, usually mangled.
    #[column(bloom_filter)]
    pub function_name: &'a str,
    /// What gives the name; the first in this order if several do.
    pub name_kind: FunctionNameKind,
    /// Which files may refer to the symbol; null for another name.
    pub binding: Option<SymbolBinding>,
    /// Whether this is the name in `functions`: of symbols a global one, then a weak one, then a local one, and of these
    /// the first in its table; without symbols, that of a function table, then the first export.
    pub is_preferred: bool,
}
