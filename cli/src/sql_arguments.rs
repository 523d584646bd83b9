//! What `binframe sql` accepts.

use crate::arguments::parse_size;
use clap::{Args, ValueEnum};
use std::num::NonZero;
use std::path::PathBuf;

pub(crate) const SQL_EXAMPLES: &str = "\
Every table that `binframe schemas` describes can be asked, as well as views of what is asked often; `.tables` in the shell \
lists them, `.functions` the functions, `.schema TABLE` the columns. Plain names of tables mean all inputs, and the column \
`binary` tells them apart; FROM functions('/bin/ls') means that file alone. An executable is lowered when a query needs it, \
and no further than the query needs; what is asked of many times is better lowered once (`binframe lower`).

Without a query, a shell asks for some; where the standard input is no terminal, they are read from there. Rows that a query \
does not order come in the order of inputs and keys. Addresses can be written as 0x401000.

EXAMPLES:
  binframe sql \"SELECT name, size FROM function_sizes LIMIT 10\" app
  binframe sql \"SELECT binary, mnemonic, count(*) FROM instructions GROUP BY ALL ORDER BY 3 DESC\" '/usr/bin/*grep'
  binframe sql \"SELECT * FROM callers('malloc')\" app.tables --format csv > callers.csv
  binframe sql \"SELECT disasm(bytes, address) FROM instructions WHERE address BETWEEN 0x401000 AND 0x401020\" app
  binframe sql \"SELECT count(*) FROM functions('old/app') o JOIN functions('new/app') n USING (content_hash)\"
  binframe sql app.tables                                  a shell
  binframe sql -f report.sql app --format markdown

Exit codes: 0 success, 1 a query failed, 2 wrong usage, 130 interrupted.";

/// Arguments of `binframe sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// A query (what has several words and is no file), and the executables, datasets, directories or patterns that it is asked of
    #[arg(value_name = "QUERY|INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Query to answer; may be given several times
    #[arg(short, long, value_name = "QUERY")]
    pub(crate) command: Vec<String>,
    /// File with the queries to answer, separated by semicolons; `-` for the standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "command")]
    pub(crate) file: Option<PathBuf>,
    /// How answers are written [default: table]
    #[arg(long, value_enum)]
    pub(crate) format: Option<AnswerFormat>,
    /// File to write the answer to [default: the standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Threads to work on [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Memory that a query may take, such as 512M or 4G; sorts and groups that need more use the disk
    /// [default: half of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,
    /// Say on stderr how long each query took
    #[arg(long)]
    pub(crate) timer: bool,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    /// Aligned columns, for reading
    Table,
    /// Comma-separated values, after a line of column names
    Csv,
    /// A JSON array of objects
    Json,
    /// A JSON object on each line
    Jsonl,
    /// A table of Markdown
    Markdown,
    /// A Parquet file
    Parquet,
    /// An Arrow IPC file
    Arrow,
}
