//! One binary, as SQL functions read it: its tables, its functions and their names.

use crate::error::external;
use crate::inputs::Inputs;
use binframe::TablePart;
use binframe::ir::tables::{Function, FunctionParts, Functions};
use binframe::ir::{Rows, Table};
use binframe::passes::demangled;
use datafusion::common::Result;

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
    pub(crate) fn rows<T: Table>(&self) -> Result<Vec<Rows<T>>> {
        self.inputs.rows(self.input, self.binary).map_err(external)
    }

    /// The parts of a table, which are computed or read one by one.
    pub(crate) fn parts<T: Table>(&self) -> Result<Vec<TablePart>> {
        self.inputs.parts_of(self.input, self.binary, T::INFO).map_err(external)
    }

    /// The functions and their names.
    pub(crate) fn functions(&self) -> Result<FunctionNames> {
        Ok(FunctionNames { functions: self.rows()?, parts: self.rows()? })
    }
}

/// The functions of a binary, sorted by address, and their fragments.
#[derive(Debug)]
pub(crate) struct FunctionNames {
    functions: Vec<Rows<Functions>>,
    parts: Vec<Rows<FunctionParts>>,
}

impl FunctionNames {
    /// All functions, sorted by address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Function<'_>> {
        self.functions.iter().flat_map(|rows| rows.columns().iter())
    }

    /// The entry addresses of the functions of a name, mangled or demangled.
    pub(crate) fn named(&self, name: &str) -> Vec<u64> {
        let is_named = |own: &str| own == name || demangled(own).is_some_and(|own| own == name);
        let named = self.iter().filter(|function| function.function_name.is_some_and(is_named));
        named.map(|function| function.address).collect()
    }

    /// The entry address of the function that contains an address, in its range or in a fragment.
    pub(crate) fn at(&self, address: u64) -> Option<u64> {
        let covers = |start: u64, size: u64| address >= start && address - start < size;
        let own = self.last_up_to(address).filter(|function| covers(function.address, function.size));
        own.map(|function| function.address).or_else(|| {
            let mut parts = self.parts.iter().flat_map(|rows| rows.columns().iter());
            Some(parts.find(|part| covers(part.address, part.size))?.function_address)
        })
    }

    /// The demangled name of the function that starts at an address.
    pub(crate) fn name(&self, address: u64) -> Option<String> {
        let function = self.last_up_to(address).filter(|function| function.address == address)?;
        function.function_name.map(source_name)
    }

    /// The last function that starts at or before an address.
    fn last_up_to(&self, address: u64) -> Option<Function<'_>> {
        let after =
            |rows: &Rows<Functions>| rows.columns().address.first().is_some_and(|first| *first <= address);
        let rows = &self.functions[..self.functions.partition_point(after)];
        let columns = rows.last()?.columns();
        let next = columns.address.partition_point(|start| *start <= address);
        Some(columns.row(next.checked_sub(1)?))
    }
}

/// The demangled name, or the name itself if it is not mangled.
pub(crate) fn source_name(name: &str) -> String {
    demangled(name).unwrap_or_else(|| name.to_owned())
}
