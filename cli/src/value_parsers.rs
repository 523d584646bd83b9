//! Parsers of argument values that several commands share.

use binframe::ir::{TABLES, TableInfo, table_named};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::ops::Range;
use std::time::Duration;

/// Parses an address: hexadecimal with `0x`, or decimal.
pub(crate) fn parse_address(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "expected an address such as 0x401000 or 4198400".to_owned())
}

/// Parses `A..B`, or one address as the range that holds it alone.
pub(crate) fn parse_address_range(text: &str) -> Result<Range<u64>, String> {
    let Some((start, end)) = text.split_once("..") else {
        let address = parse_address(text)?;
        return Ok(address..address.saturating_add(1));
    };
    let (start, end) = (parse_address(start)?, parse_address(end)?);
    if start >= end {
        return Err("the range is empty: expected A..B with A less than B".to_owned());
    }
    Ok(start..end)
}

/// Parses a size in bytes, with an optional unit: `K`, `M`, `G` or `T`, in powers of 1024.
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

/// Parses a time with a unit: `ms`, `s` or `m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => 0,
    };
    let time = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let time =
        time.filter(|time| *time > 0).ok_or_else(|| "expected a time such as 100ms, 2s or 1m".to_owned());
    time.map(Duration::from_millis)
}

/// Parses the name of a table.
pub(crate) fn table_parser() -> impl TypedValueParser<Value = &'static TableInfo> {
    let names = TABLES.iter().map(|table| table.name);
    PossibleValuesParser::new(names)
        .map(|name| table_named(&name).expect("only names of tables are accepted"))
}

/// The names of all tables, for help.
pub(crate) fn table_names() -> String {
    TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ")
}
