//! Filter pushdown: `(table, conditions) -> RowFilter`.
//!
//! *Problem.* A table can be large and costly to compute. A query with a condition on addresses, on a section, on a
//! function or on the input needs few of its parts.
//!
//! *Approach.* From each condition of a conjunction, derive necessary conditions of a few forms (see [`RowFilter`]) and
//! intersect them. Understood are comparisons of a column with literals, in either order, `BETWEEN`, `IN`, and `OR` of
//! conditions on one column; other conditions filter nothing. Row groups of a dataset are skipped by their statistics and
//! Bloom filters.
//!
//! *Approximation.* The filter selects whole parts and may keep rows that fail the condition. It never loses a row that
//! satisfies all conditions. DataFusion evaluates the conditions again.

use binframe::address_column;
use binframe::ir::parquet::{ColumnCondition, ColumnValue};
use binframe::ir::{BINARY_COLUMN, TableInfo};
use binframe::passes::is_of_code;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use std::ops::Range;

/// Conditions that all requested rows satisfy. `None` means any value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowFilter {
    /// The row's binary is one of these, by their names in SQL.
    pub(crate) binaries: Option<Vec<String>>,
    /// The row covers one of these addresses.
    pub(crate) addresses: Option<Range<u64>>,
    /// The row's address is in the section of this index.
    pub(crate) section_index: Option<u64>,
    /// The row's address is in the function that starts at this address.
    pub(crate) function_address: Option<u64>,
    /// Values of columns other than `binary_name`.
    pub(crate) columns: Vec<ColumnCondition>,
}

/// Whether a condition restricts the filter.
pub(crate) fn is_understood(table: &'static TableInfo, condition: &Expr) -> bool {
    row_filter(table, std::slice::from_ref(condition)) != RowFilter::default()
}

/// The filter of a conjunction of conditions.
pub(crate) fn row_filter(table: &'static TableInfo, conditions: &[Expr]) -> RowFilter {
    let mut filter = RowFilter::default();
    for condition in conditions {
        if let Some(names) = binaries(condition) {
            let known = filter.binaries.get_or_insert_with(|| names.clone());
            known.retain(|name| names.contains(name));
        }
        if let Some(range) = addresses(table, condition) {
            let known = filter.addresses.get_or_insert_with(|| range.clone());
            *known = known.start.max(range.start)..known.end.min(range.end);
        }
        filter.columns.extend(column_condition(table, condition));
        filter.section_index = filter.section_index.or_else(|| number_in(table, SECTION, condition));
        filter.function_address = filter.function_address.or_else(|| number_in(table, FUNCTION, condition));
    }
    filter
}

/// The binaries that satisfy a condition, without duplicates. `None` if the condition is not understood.
fn binaries(condition: &Expr) -> Option<Vec<String>> {
    if let Some((Operator::Eq, name)) = compared(condition, BINARY_COLUMN) {
        return Some(vec![text(name)?]);
    }
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut names = binaries(left)?;
            names.extend(binaries(right)?);
            Some(without_duplicates(names))
        }
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr, BINARY_COLUMN) => {
            Some(without_duplicates(list.iter().map(text).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn without_duplicates(names: Vec<String>) -> Vec<String> {
    let mut kept = Vec::with_capacity(names.len());
    for name in names {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

/// The condition on one column that follows from a condition.
fn column_condition(table: &'static TableInfo, condition: &Expr) -> Option<ColumnCondition> {
    let (operand, ranges) = match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let [left, right] = [left, right].map(|side| column_condition(table, side));
            let (mut left, right) = (left?, right?);
            left.ranges.extend(right.ranges);
            return (left.column == right.column).then_some(left);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (operand, op, literal) = match value(right) {
                Some(literal) => (left, *op, literal),
                None => (right, op.swap()?, value(left)?),
            };
            let range = match op {
                Operator::Eq => (Some(literal.clone()), Some(literal)),
                Operator::Lt => (None, Some(shifted(literal, -1))),
                Operator::LtEq => (None, Some(literal)),
                Operator::Gt => (Some(shifted(literal, 1)), None),
                Operator::GtEq => (Some(literal), None),
                _ => return None,
            };
            (operand.as_ref(), vec![range])
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            (expr.as_ref(), vec![(Some(value(low)?), Some(value(high)?))])
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let values = list.iter().map(value).collect::<Option<Vec<_>>>()?;
            let single = |value: ColumnValue| (Some(value.clone()), Some(value));
            (expr.as_ref(), values.into_iter().map(single).collect())
        }
        // A condition that is only a column of truth values.
        Expr::Column(_) => {
            let truth = Some(ColumnValue::Boolean(true));
            (condition, vec![(truth.clone(), truth)])
        }
        _ => return None,
    };
    let column = table.columns.iter().find(|column| is_column(operand, column.name))?;
    Some(ColumnCondition { column: column.name, ranges })
}

/// A number plus another one; other values as they are, which makes a strict bound an inclusive one.
fn shifted(value: ColumnValue, by: i128) -> ColumnValue {
    match value {
        ColumnValue::Number(number) => ColumnValue::Number(number.saturating_add(by)),
        other => other,
    }
}

/// The value of a literal; `None` for other expressions and for null.
fn value(expression: &Expr) -> Option<ColumnValue> {
    if let Some(text) = text(expression) {
        return Some(ColumnValue::Bytes(text.into_bytes()));
    }
    let Expr::Literal(literal, _) = expression else { return None };
    Some(match *literal {
        ScalarValue::Boolean(value) => ColumnValue::Boolean(value?),
        ScalarValue::UInt8(value) => ColumnValue::Number(value?.into()),
        ScalarValue::UInt16(value) => ColumnValue::Number(value?.into()),
        ScalarValue::UInt32(value) => ColumnValue::Number(value?.into()),
        ScalarValue::UInt64(value) => ColumnValue::Number(value?.into()),
        ScalarValue::Int32(value) => ColumnValue::Number(value?.into()),
        ScalarValue::Int64(value) => ColumnValue::Number(value?.into()),
        _ => return None,
    })
}

/// Columns with the section and the function of a row's address, in tables about code.
const SECTION: &str = "section_index";
const FUNCTION: &str = "function_address";

/// The number that a condition equates with one of these columns. `None` in other conditions, and in tables where the
/// column does not describe the row's address.
fn number_in(table: &'static TableInfo, name: &str, condition: &Expr) -> Option<u64> {
    let describes_address = is_of_code(table.stage) && address_column(table) != Some(name);
    match compared(condition, name) {
        Some((Operator::Eq, value)) if describes_address => number(value),
        _ => None,
    }
}

/// The range of addresses that satisfy a condition.
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

/// The range of numbers that compare with a bound. A strict lower bound is rounded down to an inclusive one.
fn bounded(operator: Operator, bound: u64) -> Option<Range<u64>> {
    match operator {
        Operator::Eq => Some(bound..bound.saturating_add(1)),
        Operator::Lt => Some(0..bound),
        Operator::LtEq => Some(0..bound.saturating_add(1)),
        Operator::Gt | Operator::GtEq => Some(bound..u64::MAX),
        _ => None,
    }
}

/// The operator and the other operand of a comparison with a column, as if the column were the left operand.
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
