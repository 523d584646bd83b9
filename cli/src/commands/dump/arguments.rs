//! Arguments of `binframe dump`.

use crate::companion_arguments::CompanionArguments;
use crate::value_parsers::{parse_address_range, table_names};
use binframe::ir::{TABLES, TableInfo, table_named};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use std::ops::Range;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
The format `table` is for people: addresses are hexadecimal, `-` is null, long values are truncated. The other formats are \
for programs and contain every value in full. csv, json and jsonl print addresses as decimal numbers and bytes as hexadecimal \
digits; parquet has the columns of a dataset's files. Rows of a dataset end with the column `binary_name`, \
the name of their input.

`dump cfg` draws the control-flow graph of one function. A node is a basic block with its instructions. An edge is a \
possible transfer of control, coloured by its kind, and bold if it closes a loop. Grey blocks are not reached by any known \
path; yellow blocks belong to fragments outside the function's range. Dashed nodes are other functions; `?` is an \
unknown target.

EXAMPLES:
  binframe dump functions app --limit 10
  binframe dump instructions app --function main --columns address,bytes,mnemonic,target_address
  binframe dump basic_blocks app.tables --where-address 0x401000..0x402000
  binframe dump binary_symbols app --where-address 0x401136
  binframe dump call_edges app --format csv > calls.csv
  binframe dump instructions app --format jsonl | jq -r .mnemonic | sort | uniq -c
  binframe dump cfg_edges app --format parquet --output edges.parquet
  binframe dump cfg app --function main --format svg --output main.svg
  binframe dump cfg app --function 0x401136 | dot -Tpdf -o function.pdf";

/// Arguments of `binframe dump`.
#[derive(Debug, Args)]
pub(crate) struct DumpArguments {
    /// Table to print, or `cfg` for the control-flow graph of a function
    #[arg(
        value_name = "TABLE|cfg",
        value_parser = target_parser(),
        hide_possible_values = true,
        long_help = target_help()
    )]
    pub(crate) target: DumpTarget,
    /// Executable or dataset
    #[arg(value_name = "FILE|DATASET")]
    pub(crate) source: PathBuf,
    /// Only rows in functions of this name, or in the function at this address; for `cfg`, the function to draw
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub(crate) function: Option<String>,
    /// Only rows of this input, as the column `binary_name` names it
    #[arg(long, value_name = "NAME")]
    pub(crate) binary: Option<String>,
    /// Only rows that cover an address in A..B (B excluded) or the address A; in tables whose rows cover no addresses,
    /// only rows whose first address is in the range; hexadecimal with 0x, or decimal
    #[arg(long, value_name = "A..B", value_parser = parse_address_range)]
    pub(crate) where_address: Option<Range<u64>>,
    /// Only these columns, in this order; columns that are computed from others are printed only if they are named
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Format of the rows [default: table] or of the graph [default: dot]
    #[arg(long, value_enum)]
    pub(crate) format: Option<DumpFormat>,
    #[command(flatten)]
    pub(crate) companions: CompanionArguments,
    /// Maximum number of rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Subject of the output.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DumpTarget {
    /// Rows of a table.
    Table(&'static TableInfo),
    /// The control-flow graph of a function.
    Cfg,
}

/// Format of rows or of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DumpFormat {
    /// Aligned columns, for people
    Table,
    /// Comma-separated values, with a header line; a spreadsheet may take a name that begins with `=` for a formula
    Csv,
    /// A JSON array of objects
    Json,
    /// One JSON object per line
    Jsonl,
    /// A Parquet file
    Parquet,
    /// For `cfg`: the graph in the DOT language of Graphviz
    Dot,
    /// For `cfg`: the graph as an SVG image
    Svg,
}

/// The target that is not a table.
const CFG: &str = "cfg";

fn target_parser() -> impl TypedValueParser<Value = DumpTarget> {
    let names = TABLES.iter().map(|table| table.name).chain([CFG]);
    PossibleValuesParser::new(names).map(|name| table_named(&name).map_or(DumpTarget::Cfg, DumpTarget::Table))
}

fn target_help() -> String {
    format!(
        "`{CFG}` for the control-flow graph of a function, or a table to print.\n\nTables: {}",
        table_names()
    )
}
