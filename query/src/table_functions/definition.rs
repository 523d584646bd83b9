//! The definition of a table function, its arguments and its columns.

use crate::program::{FunctionNames, Program};
use crate::schema::TEXT;
use arrow_array::{ArrayRef, StringViewArray, UInt64Array};
use arrow_schema::{DataType, Field};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use std::fmt;
use std::sync::Arc;

/// A function that returns a table.
#[derive(Debug)]
pub struct TableFunction {
    /// Its name.
    pub name: &'static str,
    /// Its parameters. The name of a binary can follow them.
    pub parameters: &'static [&'static str],
    /// The meaning of its rows.
    pub doc: &'static str,
    /// Its columns, before the column `binary_name`.
    pub(super) columns: &'static [Column],
    /// Computes the rows of one binary.
    pub(super) compute: fn(&Program<'_>, &[Argument]) -> Result<Answer>,
}

/// The columns of one binary's rows, before the column `binary_name`. `None` if the binary does not have what the arguments
/// name, which is an error if no binary has it.
pub(super) type Answer = Option<Vec<ArrayRef>>;

/// A column of a table function.
#[derive(Debug)]
pub(super) enum Column {
    Address(&'static str),
    Text(&'static str),
    Count(&'static str),
    Fraction(&'static str),
}

impl Column {
    pub(super) fn field(&self) -> Field {
        let unit = [("unit".to_owned(), "address".to_owned())];
        match self {
            Self::Address(name) => Field::new(*name, DataType::UInt64, true).with_metadata(unit.into()),
            Self::Text(name) => Field::new(*name, TEXT, true),
            Self::Count(name) => Field::new(*name, DataType::UInt64, true),
            Self::Fraction(name) => Field::new(*name, DataType::Float64, true),
        }
    }
}

/// The values of a column of numbers.
pub(super) fn numbers(values: impl IntoIterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter(values))
}

/// The values of a column of text.
pub(super) fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter(values))
}

/// An argument: a literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    Number(u64),
    Text(String),
}

impl Argument {
    /// The value of a literal.
    pub(super) fn of(function: &str, expression: &Expr) -> Result<Self> {
        match expression {
            Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
                Ok(Self::Text(text.clone()))
            }
            Expr::Literal(ScalarValue::UInt64(Some(number)), _) => Ok(Self::Number(*number)),
            Expr::Literal(ScalarValue::Int64(Some(number)), _) if *number >= 0 => {
                Ok(Self::Number(*number as u64))
            }
            other => plan_err!("{function} takes names in quotes and addresses, not `{other}`"),
        }
    }

    /// The entry addresses of the functions of this name, or of the function that contains this address.
    pub(super) fn functions(&self, functions: &FunctionNames) -> Vec<u64> {
        match self {
            Self::Text(name) => functions.named(name),
            Self::Number(address) => functions.at(*address).into_iter().collect(),
        }
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number:#x}"),
            Self::Text(text) => write!(formatter, "{text}"),
        }
    }
}
