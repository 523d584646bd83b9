//! `binframe dump cfg`: the control-flow graph of a function.

use super::arguments::{DumpArguments, DumpFormat};
use super::selection::{functions, open_source};
use crate::drawing;
use crate::failure::Failure;
use crate::output::destination;
use binframe::NewFile;
use binframe_inspect::FunctionGraph;
use std::io::Write;
use std::ops::Range;
use std::process::ExitCode;

/// Draws the control-flow graph of a function.
pub(super) fn run(arguments: &DumpArguments) -> Result<ExitCode, Failure> {
    let format = arguments.format.unwrap_or(DumpFormat::Dot);
    let name_or_address = check_usage(arguments, format)?;
    let source = open_source(arguments, FunctionGraph::NEEDED)?;
    let found = functions(arguments, &source, name_or_address)?;
    let [(binary, range)] = &found[..] else {
        return Err(ambiguous(name_or_address, &found));
    };
    let graph = FunctionGraph::of(&source, binary, range.start)?;
    let text = match format {
        DumpFormat::Svg => drawing::svg(&graph).map_err(|large| Failure::Failed(large.to_string()))?,
        _ => drawing::dot(&graph),
    };
    let (mut out, new_file) = destination::open(arguments.output.as_deref())?;
    out.write_all(text.as_bytes())?;
    out.flush()?;
    drop(out);
    new_file.map_or(Ok(()), NewFile::publish)?;
    Ok(ExitCode::SUCCESS)
}

/// The value of `--function`, if the arguments suit a graph.
fn check_usage(arguments: &DumpArguments, format: DumpFormat) -> Result<&str, Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    if !matches!(format, DumpFormat::Dot | DumpFormat::Svg) {
        return usage(
            "cfg is a graph; use --format dot or svg, or dump its tables, basic_blocks and cfg_edges",
        );
    }
    let selects_rows = arguments.where_address.is_some() || arguments.limit.is_some();
    if selects_rows || !arguments.columns.is_empty() {
        return usage("--columns, --where-address and --limit work with tables, not with cfg");
    }
    match &arguments.function {
        Some(name_or_address) => Ok(name_or_address),
        None => usage("cfg draws one function; add --function NAME or --function ADDRESS"),
    }
}

/// The failure that lists the functions to choose from.
fn ambiguous(name_or_address: &str, found: &[(String, Range<u64>)]) -> Failure {
    const SHOWN_MAX: usize = 10;
    let shown = found.iter().take(SHOWN_MAX);
    let shown = shown.map(|(binary, range)| format!("{:#x} in {binary}", range.start));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let rest = if found.len() > SHOWN_MAX { ", …" } else { "" };
    Failure::Failed(format!(
        "`{name_or_address}` is {} functions: {shown}{rest}; choose one by --function ADDRESS and --binary NAME",
        found.len()
    ))
}
