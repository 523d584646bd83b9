//! One binary, as functions that give tables read it.

use super::Argument;
use crate::error::external;
use crate::inputs::Inputs;
use arrow_array::{ArrayRef, StringViewArray, UInt64Array};
use binframe::TablePart;
use binframe::ir::tables::{Function, FunctionParts, Functions};
use binframe::ir::{Batch, Rows, Table};
use binframe::passes::demangled;
use datafusion::common::Result;
use std::sync::Arc;

/// One binary.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    inputs: &'a Inputs,
    input: usize,
    binary: &'a str,
}

impl<'a> Program<'a> {
    pub(crate) fn new(inputs: &'a Inputs, input: usize, binary: &'a str) -> Self {
        Self { inputs, input, binary }
    }

    /// All rows of a table.
    pub(super) fn rows<T: Table>(&self) -> Result<Vec<Rows<T>>> {
        self.inputs.all(self.input, self.binary).map_err(external)
    }

    /// The parts of a table, to be made one by one.
    pub(super) fn parts<T: Table>(&self) -> Result<Vec<TablePart>> {
        self.inputs.parts_of(self.input, self.binary, T::INFO).map_err(external)
    }

    pub(crate) fn functions(&self) -> Result<FunctionNames> {
        Ok(FunctionNames { functions: self.rows()?, parts: self.rows()? })
    }
}

/// The functions of a binary, in the order of their addresses.
#[derive(Debug)]
pub(crate) struct FunctionNames {
    functions: Vec<Rows<Functions>>,
    parts: Vec<Rows<FunctionParts>>,
}

impl FunctionNames {
    pub(super) fn iter(&self) -> impl Iterator<Item = Function<'_>> {
        self.functions.iter().flat_map(|rows| rows.columns().iter())
    }

    /// Where functions begin that are asked for: by their name, mangled or not, or by an address in them.
    pub(super) fn asked_for(&self, argument: &Argument) -> Vec<u64> {
        match argument {
            Argument::Text(name) => {
                let is_named = |own: &str| own == name || demangled(own).is_some_and(|own| own == *name);
                let named = self.iter().filter(|function| function.name.is_some_and(is_named));
                named.map(|function| function.address).collect()
            }
            Argument::Number(address) => self.at(*address).into_iter().collect(),
        }
    }

    /// Where the function begins that has an address.
    pub(crate) fn at(&self, address: u64) -> Option<u64> {
        let covers = |start: u64, size: u64| address >= start && address - start < size;
        let own = self.last_before(address).filter(|function| covers(function.address, function.size));
        own.map(|function| function.address).or_else(|| {
            let mut parts = self.parts.iter().flat_map(|rows| rows.columns().iter());
            Some(parts.find(|part| covers(part.address, part.size))?.function_address)
        })
    }

    /// The name of the function that begins at an address, as it was in source code.
    pub(crate) fn name(&self, address: u64) -> Option<String> {
        let function = self.last_before(address).filter(|function| function.address == address)?;
        function.name.map(source_name)
    }

    fn last_before(&self, address: u64) -> Option<Function<'_>> {
        let after =
            |rows: &Rows<Functions>| rows.columns().address.first().is_some_and(|first| *first <= address);
        let rows = &self.functions[..self.functions.partition_point(after)];
        let columns = rows.last()?.columns();
        let next = columns.address.partition_point(|start| *start <= address);
        Some(columns.row(next.checked_sub(1)?))
    }
}

/// A name as it was in source code; one that was not mangled, as it is.
pub(crate) fn source_name(name: &str) -> String {
    demangled(name).unwrap_or_else(|| name.to_owned())
}

/// Rows of a table whose type is known.
pub(super) fn typed<T: Table>(batch: Batch) -> Rows<T> {
    Rows::from_batch(batch).expect("parts are of the table asked for")
}

/// A column of numbers.
pub(super) fn numbers(values: impl IntoIterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter(values))
}

/// A column of text.
pub(super) fn names<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter(values))
}
