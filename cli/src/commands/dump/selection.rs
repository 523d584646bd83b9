//! The source, the input and the functions that the arguments of `binframe dump` select.

use super::arguments::DumpArguments;
use crate::failure::Failure;
use crate::memory_limit::limit_for_datasets;
use crate::value_parsers::parse_address;
use binframe::ir::TableInfo;
use binframe::{Error, Source};
use std::ops::Range;

/// Opens the source and checks that it has `tables` and the input that `--binary` names.
pub(super) fn open_source(
    arguments: &DumpArguments,
    tables: impl IntoIterator<Item = &'static TableInfo>,
) -> Result<Source, Failure> {
    limit_for_datasets(&[&arguments.source]);
    let source = Source::open_with(&arguments.source, &arguments.companions.search())?;
    for table in tables {
        if !source.has_table(table) {
            return Err(Error::MissingTable { path: arguments.source.clone(), table }.into());
        }
    }
    let available = source.binaries();
    match &arguments.binary {
        Some(name) if !available.contains(name) => {
            let (path, requested) = (arguments.source.clone(), Some(name.clone()));
            Err(Error::NoSuchBinary { path, requested, available }.into())
        }
        _ => Ok(source),
    }
}

/// The functions of a name, or the function at an address: for each, its input and its range. Only functions of the
/// input that `--binary` names, if it names one.
pub(super) fn functions(
    arguments: &DumpArguments,
    source: &Source,
    name_or_address: &str,
) -> Result<Vec<(String, Range<u64>)>, Failure> {
    let mut found = match parse_address(name_or_address) {
        Ok(address) => source.functions_at(address)?,
        Err(_) => source.functions_named(name_or_address)?,
    };
    if let Some(binary) = &arguments.binary {
        found.retain(|function| function.0 == *binary);
        if found.is_empty() {
            return Err(Failure::Failed(format!(
                "{binary}: has no function `{name_or_address}`, but other inputs have; omit --binary to include them"
            )));
        }
    }
    Ok(found)
}
