//! Arguments of `binframe sql`.

use crate::companion_arguments::CompanionArguments;
use crate::output::row_writer::RowFormat;
use crate::value_parsers::parse_size;
use clap::Args;
use std::num::NonZero;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Every table that `binframe schemas` describes can be queried, and so can views for common questions. In the shell, `.tables` \
lists tables and views, `.functions` lists functions, and `.schema TABLE` lists columns. The plain name of a table means \
the rows of all inputs; the column `binary_name` names the input of each row. FROM functions('/bin/ls') means the table of that \
file alone, which must be an input or in a directory of --allow-files. An executable is analyzed when a query needs it, as far as the query needs. If you query the same inputs many \
times, lower them once (`binframe lower`) and query the dataset.

Without a query, a shell starts; if standard input is not a terminal, queries are read from it. Rows that a query does not \
order are sorted by input and key. Addresses can be written as 0x401000.

EXAMPLES:
  binframe sql \"SELECT function_name, size FROM function_sizes LIMIT 10\" app
  binframe sql \"SELECT binary_name, mnemonic, count(*) FROM instructions GROUP BY ALL ORDER BY 3 DESC\" '/usr/bin/*grep'
  binframe sql \"SELECT * FROM callers('malloc')\" app.tables --format csv > callers.csv
  binframe sql \"SELECT disasm(bytes, address) FROM instructions WHERE address BETWEEN 0x401000 AND 0x401020\" app
  binframe sql \"SELECT count(*) FROM functions('old/app') o JOIN functions('new/app') n USING (content_hash)\" \
--allow-files .
  binframe sql app.tables                                  a shell
  binframe sql -f report.sql app --format markdown

Exit codes: 0 success, 1 a query failed, 2 wrong usage, 130 interrupted.";

/// Arguments of `binframe sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// Query (several words that are not the name of a file), then executables, datasets, directories or patterns to query
    #[arg(value_name = "QUERY|INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Query to answer; can be repeated
    #[arg(short, long, value_name = "QUERY")]
    pub(crate) command: Vec<String>,
    /// File of queries to answer, separated by semicolons; `-` for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "command")]
    pub(crate) file: Option<PathBuf>,
    /// Format of the answers [default: table]
    #[arg(long, value_enum)]
    pub(crate) format: Option<RowFormat>,
    /// File to write the answer to [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Directory whose files a query may name, as in FROM functions('bin/ls'), beside the inputs; can be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_files: Vec<PathBuf>,
    /// Number of threads [default: one per processor]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Memory for a query, such as 512M or 4G; sorts and groups that need more use the disk, and the process never takes
    /// more than twice as much and 1 GiB [default: half of the machine's memory]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,
    #[command(flatten)]
    pub(crate) companions: CompanionArguments,
    /// Print the time of each query on stderr
    #[arg(long)]
    pub(crate) timer: bool,
}
