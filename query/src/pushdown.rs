//! Conditions of a query that say which parts of a table need not be made or read.

use crate::scan::Wanted;
use binframe::address_column;
use binframe::ir::TableInfo;
use binframe::ir::parquet::BINARY_COLUMN;
use binframe::passes::is_of_code;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use std::ops::Range;

/// Whether a condition says something of where rows lie.
pub(crate) fn is_understood(table: &'static TableInfo, condition: &Expr) -> bool {
    wanted(table, std::slice::from_ref(condition)) != Wanted::default()
}

/// What the conditions, which all hold, say together.
pub(crate) fn wanted(table: &'static TableInfo, conditions: &[Expr]) -> Wanted {
    let mut wanted = Wanted::default();
    for condition in conditions {
        if let Some(named) = binaries(condition) {
            let known = wanted.binaries.get_or_insert_with(|| named.clone());
            known.retain(|name| named.contains(name));
        }
        if let Some(range) = addresses(table, condition) {
            let known = wanted.addresses.get_or_insert_with(|| range.clone());
            *known = known.start.max(range.start)..known.end.min(range.end);
        }
        wanted.section_index = wanted.section_index.or_else(|| number_in(table, SECTION, condition));
        wanted.function_address = wanted.function_address.or_else(|| number_in(table, FUNCTION, condition));
    }
    wanted
}

/// The binaries that a condition is limited to, each once.
fn binaries(condition: &Expr) -> Option<Vec<String>> {
    if let Some((Operator::Eq, name)) = compared(condition, BINARY_COLUMN) {
        return Some(vec![text(name)?]);
    }
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut names = binaries(left)?;
            names.extend(binaries(right)?);
            Some(once(names))
        }
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr, BINARY_COLUMN) => {
            Some(once(list.iter().map(text).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn once(names: Vec<String>) -> Vec<String> {
    let mut kept = Vec::with_capacity(names.len());
    for name in names {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

/// Columns that say in which section or function the addresses lie that order a table's rows: those of tables that know of code.
const SECTION: &str = "section_index";
const FUNCTION: &str = "function_address";

/// The number that a condition says is in one of these columns.
fn number_in(table: &'static TableInfo, name: &str, condition: &Expr) -> Option<u64> {
    let is_asked = is_of_code(table.stage) && address_column(table) != Some(name);
    match compared(condition, name) {
        Some((Operator::Eq, wanted)) if is_asked => number(wanted),
        _ => None,
    }
}

/// The addresses that a condition limits the rows' own to.
fn addresses(table: &'static TableInfo, condition: &Expr) -> Option<Range<u64>> {
    let column = address_column(table)?;
    if let Some((operator, bound)) = compared(condition, column) {
        return bounded(operator, number(bound)?);
    }
    match condition {
        Expr::Between(Between { expr, negated: false, low, high }) if is_column(expr, column) => {
            Some(number(low)?..number(high)?.saturating_add(1))
        }
        _ => None,
    }
}

fn bounded(operator: Operator, bound: u64) -> Option<Range<u64>> {
    match operator {
        Operator::Eq => Some(bound..bound.saturating_add(1)),
        Operator::Lt => Some(0..bound),
        Operator::LtEq => Some(0..bound.saturating_add(1)),
        Operator::Gt | Operator::GtEq => Some(bound..u64::MAX),
        _ => None,
    }
}

/// What a condition compares a column with, and how: as if the column stood first.
fn compared<'e>(condition: &'e Expr, column: &str) -> Option<(Operator, &'e Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    if is_column(left, column) {
        Some((*op, right))
    } else if is_column(right, column) {
        Some((op.swap()?, left))
    } else {
        None
    }
}

fn is_column(expression: &Expr, name: &str) -> bool {
    matches!(expression, Expr::Column(column) if column.name == name)
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Literal(
            ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text),
            _,
        ) => text.clone(),
        _ => None,
    }
}

fn number(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Literal(ScalarValue::UInt64(number), _) => *number,
        Expr::Literal(ScalarValue::UInt32(number), _) => number.map(u64::from),
        Expr::Literal(ScalarValue::Int64(number), _) => u64::try_from((*number)?).ok(),
        _ => None,
    }
}
