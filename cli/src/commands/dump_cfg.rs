//! `binframe dump cfg`

use super::dump::{functions, open_with};
use crate::arguments::{DumpArguments, Format};
use crate::drawing;
use crate::failure::Failure;
use crate::output;
use binframe::NewFile;
use binframe_inspect::FunctionGraph;
use std::io::Write;
use std::process::ExitCode;

/// Draws the control-flow graph of a function.
pub(super) fn run(arguments: &DumpArguments) -> Result<ExitCode, Failure> {
    let format = arguments.format.unwrap_or(Format::Dot);
    let asked = check_usage(arguments, format)?;
    let source = open_with(arguments, FunctionGraph::NEEDED)?;
    let found = functions(arguments, &source, asked)?;
    let [(binary, range)] = &found[..] else {
        return Err(several(asked, &found));
    };
    let graph = FunctionGraph::of(&source, binary, range.start)?;
    let text = match format {
        Format::Svg => drawing::svg(&graph).map_err(|large| Failure::Failed(large.to_string()))?,
        _ => drawing::dot(&graph),
    };
    let (mut out, new_file) = output::open(arguments.output.as_deref())?;
    out.write_all(text.as_bytes())?;
    out.flush()?;
    drop(out);
    new_file.map_or(Ok(()), NewFile::publish)?;
    Ok(ExitCode::SUCCESS)
}

/// The function that is asked for, if the arguments are those of a graph.
fn check_usage(arguments: &DumpArguments, format: Format) -> Result<&str, Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    if !matches!(format, Format::Dot | Format::Svg) {
        return usage("cfg is a graph, written as dot or svg; its tables are basic_blocks and cfg_edges");
    }
    let selects_rows = arguments.where_address.is_some() || arguments.limit.is_some();
    if selects_rows || !arguments.columns.is_empty() {
        return usage("--columns, --where-address and --limit go with tables, not with cfg");
    }
    match &arguments.function {
        Some(asked) => Ok(asked),
        None => usage("cfg is drawn for one function; add --function NAME or --function ADDRESS"),
    }
}

/// The failure to choose between functions.
fn several(asked: &str, found: &[(String, std::ops::Range<u64>)]) -> Failure {
    const SHOWN: usize = 10;
    let shown = found.iter().take(SHOWN).map(|(binary, range)| format!("{:#x} in {binary}", range.start));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let rest = if found.len() > SHOWN { ", …" } else { "" };
    Failure::Failed(format!(
        "`{asked}` is {} functions: {shown}{rest}; choose one by --function ADDRESS and --binary NAME",
        found.len()
    ))
}
