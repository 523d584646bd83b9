//! What the command line accepts.

#[cfg(feature = "sql")]
use crate::sql_arguments::{SQL_EXAMPLES, SqlArguments};
use binframe::ir::{TABLES, TableInfo, table_named};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;

/// Lowers executables into tables that anyone can query.
#[derive(Debug, Parser)]
#[command(name = "binframe", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES:
  binframe lower /bin/ls -o ls.tables      every table of an executable, as Parquet files
  binframe rebuild ls.tables -o ls         the executable again, from the tables alone
  binframe dump functions /bin/ls          the functions that were found
  binframe dump cfg app --function main    the control-flow graph of a function, for graphviz or as SVG
  binframe trace 0x401000 /bin/ls          all that each stage says of an address
  binframe diff old/app new/app            what changed between two builds
  binframe sql \"SELECT * FROM functions\" app   what you like of executables and datasets
  binframe schemas functions               what the columns mean

Wherever a command reads tables, it takes an executable (which is lowered as far as needed) or a \
dataset that `binframe lower` wrote. Exit codes: 0 success, 1 failure, 2 wrong usage.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lower executables into a dataset of Parquet files
    #[command(after_help = LOWER_EXAMPLES)]
    Lower(LowerArguments),
    /// Write an executable back, byte for byte, from the tables of a dataset alone
    #[command(after_help = REBUILD_EXAMPLES)]
    Rebuild(RebuildArguments),
    /// Print rows of a table, or draw the control-flow graph of a function
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(DumpArguments),
    /// Explain what is at an address, and print every row that speaks of it, stage by stage
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArguments),
    /// Print what changed between two executables or datasets, functions first
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArguments),
    /// Ask queries of executables and datasets, in SQL
    #[cfg(feature = "sql")]
    #[command(after_help = SQL_EXAMPLES)]
    Sql(SqlArguments),
    /// Print what the tables and their columns mean
    Schemas(SchemasArguments),
}

const LOWER_EXAMPLES: &str = "\
The dataset appears whole or not at all. It holds a folder for each table, and the record of the run, \
_binframe/manifest.json. Each table's last column, `binary`, names the input that a row belongs to.

A directory stands for the executables in it and below; links in it are left alone. Of several files, those that cannot \
be lowered are skipped, named at the end and recorded. A long run that is killed goes on where it was when the same \
command is given again, if no input has changed.

EXAMPLES:
  binframe lower app -o app.tables                        all tables of one executable
  binframe lower bin/* -o all.tables --jobs 4             one dataset of many executables
  binframe lower /usr/bin '/opt/**/*.so' -o all.tables    of all in a directory, and all that match a pattern
  binframe lower /usr -o all.tables --memory 2G           small files side by side, within 2 GiB of memory
  binframe lower app -o app.tables --emit sections,cfg    only the tables of two stages
  duckdb -c \"SELECT * FROM 'app.tables/functions/*.parquet' ORDER BY size DESC LIMIT 10\"";

/// Arguments of `binframe lower`.
#[derive(Debug, Args)]
pub(crate) struct LowerArguments {
    /// Executables to lower, directories that hold some, or patterns with `*`, `?`, `[…]` or `**`
    #[arg(required = true, value_name = "FILE|DIR|PATTERN")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Directory of the dataset; one that is there already is replaced at the end
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Stages whose tables are written
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sections,instructions,cfg,memory")]
    pub(crate) emit: Vec<StageName>,
    /// Threads to work on [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Memory up to which several files are worked on at one time, such as 512M or 4G [default: half of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,
    /// Size of the files that are lowered together: what a run that is killed loses at most
    #[arg(long, value_name = "SIZE", value_parser = parse_size, hide = true)]
    pub(crate) unit_size: Option<u64>,
    /// Print what each step took
    #[arg(long)]
    pub(crate) timings: bool,
    /// Read everything back and check it against the tables' declarations
    #[arg(long)]
    pub(crate) verify: bool,
}

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StageName {
    /// The file's own structure
    Sections,
    /// What debug information says: lines, functions, variables, types
    Debug,
    /// Decoded machine instructions
    Instructions,
    /// Registers and flags that instructions use: many rows, made only when asked for
    Effects,
    /// Functions, basic blocks and edges
    Cfg,
    /// Memory regions, stack frames, objects, effects of calls, and accesses
    Memory,
    /// Where instructions find what they use: many rows, made only when asked for
    #[value(name = "data_flow")]
    DataFlow,
}

const REBUILD_EXAMPLES: &str = "\
Any file that was lowered with the stage `sections` can be rebuilt, archives and their members included. Every row that \
holds bytes is checked against the others, and the whole against its digest; a dataset that contradicts itself is \
refused, and no file is left.

EXAMPLES:
  binframe lower app -o app.tables --emit sections && binframe rebuild app.tables -o app.rebuilt && cmp app app.rebuilt
  binframe rebuild all.tables --binary libm.a -o libm.a
  binframe rebuild all.tables --binary 'libm.a(s_sin.o)' -o s_sin.o";

/// Arguments of `binframe rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildArguments {
    /// Dataset that `binframe lower` wrote
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Input to rebuild, as the column `binary` names it [default: the only one that is a file of its own]
    #[arg(long, value_name = "NAME")]
    pub(crate) binary: Option<String>,
}

const DUMP_EXAMPLES: &str = "\
The format `table` is for reading: addresses are hexadecimal, `-` is null, long values are cut. The others \
are for programs and hold every value whole; csv and json give addresses as numbers and bytes as hexadecimal \
digits, json leaves out nulls, and parquet has the columns of a dataset's files. Rows of a dataset end with \
the column `binary`: their input.

`dump cfg` draws the control-flow graph of one function: a node for each basic block, with its instructions; an edge \
for each way from one to another, coloured by its kind and bold where it closes a loop. Grey blocks are those that no \
known way leads to, yellow ones lie in parts that stand apart; dashed nodes are other functions, `?` is a place that is \
not known.

EXAMPLES:
  binframe dump functions app --limit 10
  binframe dump instructions app --function main --columns address,bytes,mnemonic,target
  binframe dump basic_blocks app.tables --where-address 0x401000..0x402000
  binframe dump binary_symbols app --where-address 0x401136
  binframe dump call_edges app --format csv > calls.csv
  binframe dump instructions app --format json | jq -r .mnemonic | sort | uniq -c
  binframe dump cfg_edges app --format parquet --output edges.parquet
  binframe dump cfg app --function main --format svg --output main.svg
  binframe dump cfg app --function 0x401136 | dot -Tpdf -o function.pdf";

/// Arguments of `binframe dump`.
#[derive(Debug, Args)]
pub(crate) struct DumpArguments {
    /// Table to print, or `cfg` for the control-flow graph of a function
    #[arg(value_name = "TABLE|cfg", value_parser = dumped_parser(), hide_possible_values = true, long_help = dumped_help())]
    pub(crate) dumped: Dumped,
    /// Executable or dataset
    #[arg(value_name = "FILE|DATASET")]
    pub(crate) source: PathBuf,
    /// Only rows that lie in functions of this name, or in the one at this address; for `cfg`, the function to draw
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub(crate) function: Option<String>,
    /// Only rows of this input, as the column `binary` names it
    #[arg(long, value_name = "NAME")]
    pub(crate) binary: Option<String>,
    /// Only rows that cover one of these addresses (or, in tables whose rows cover none, whose first address lies there):
    /// from A to before B, or A alone; hexadecimal with 0x, or decimal
    #[arg(long, value_name = "A..B", value_parser = parse_addresses)]
    pub(crate) where_address: Option<Range<u64>>,
    /// Only these columns, in this order; those that are computed from others come only when they are named
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// How rows are written [default: table], or a graph is drawn [default: dot]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Rows after which to stop
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// File to write to [default: the standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dumped {
    /// Rows of a table.
    Table(&'static TableInfo),
    /// The control-flow graph of a function.
    Cfg,
}

/// How rows are written, or a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for reading
    Table,
    /// Comma-separated values, after a line of column names
    Csv,
    /// A JSON object on each line
    Json,
    /// A Parquet file
    Parquet,
    /// For `cfg`: the graph, in the language of graphviz
    Dot,
    /// For `cfg`: the graph, laid out
    Svg,
}

const TRACE_EXAMPLES: &str = "\
Of tables whose rows cover addresses, this prints the rows that cover the one asked for; of the others, those \
that name it and those that refer to a row printed before: the edges of its basic block, the stack frame of its \
function. Columns that are null are left out.

EXAMPLES:
  binframe trace 0x401136 app
  binframe trace 0x404028 app.tables      a variable: its section, its symbols, the instructions that touch it";

/// Arguments of `binframe trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// Address; hexadecimal with 0x, or decimal
    #[arg(value_parser = parse_address)]
    pub(crate) address: u64,
    /// Executable or dataset
    #[arg(value_name = "FILE|DATASET")]
    pub(crate) source: PathBuf,
    /// Rows of each table after which the rest is only counted
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
}

const DIFF_EXAMPLES: &str = "\
Functions are matched by name, and those without a name by content. Their content is what their instructions do \
wherever they lie: jumps within a function count by their offsets, other addresses by the name, or else the \
section, of what is there. All other tables are compared row by row, matched by key; if functions have moved, \
those whose key is an address in code are compared as the content of functions only. Inputs of datasets are \
matched by name.

The exit code is 0 whether or not there are differences; with --exit-code, it is 1 if there are.

EXAMPLES:
  binframe diff app-1.0 app-1.1
  binframe diff monday.tables tuesday.tables --limit 3
  binframe diff app rebuilt/app --exit-code && echo reproducible";

/// Arguments of `binframe diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// Executable or dataset before
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// Executable or dataset after
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// Functions and rows of each kind after which the rest is only counted
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
    /// Exit with 1 if anything differs
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Arguments of `binframe schemas`.
#[derive(Debug, Args)]
pub(crate) struct SchemasArguments {
    /// Table to describe [default: all]
    #[arg(value_parser = table_parser(), hide_possible_values = true, long_help = table_help())]
    pub(crate) table: Option<&'static TableInfo>,
    /// Print Markdown, as docs/SCHEMAS.md holds it
    #[arg(long)]
    pub(crate) markdown: bool,
}

fn table_parser() -> impl TypedValueParser<Value = &'static TableInfo> {
    let names = TABLES.iter().map(|table| table.name);
    PossibleValuesParser::new(names)
        .map(|name| table_named(&name).expect("only names of tables are accepted"))
}

fn table_help() -> String {
    let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
    format!("One of the tables {}", names.join(", "))
}

/// The name that asks for a graph in place of a table.
const CFG: &str = "cfg";

fn dumped_parser() -> impl TypedValueParser<Value = Dumped> {
    let names = TABLES.iter().map(|table| table.name).chain([CFG]);
    PossibleValuesParser::new(names).map(|name| table_named(&name).map_or(Dumped::Cfg, Dumped::Table))
}

fn dumped_help() -> String {
    format!("`{CFG}` for the control-flow graph of a function, or a table to print.\n\n{}", table_help())
}

pub(crate) fn parse_address(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "expected an address such as 0x401000 or 4198400".to_owned())
}

pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => 0,
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| *size > 0).ok_or_else(|| "expected a size such as 512M or 4G".to_owned())
}

fn parse_addresses(text: &str) -> Result<Range<u64>, String> {
    let Some((start, end)) = text.split_once("..") else {
        let address = parse_address(text)?;
        return Ok(address..address.saturating_add(1));
    };
    let (start, end) = (parse_address(start)?, parse_address(end)?);
    if start >= end {
        return Err("holds no address: expected A..B with A less than B".to_owned());
    }
    Ok(start..end)
}
