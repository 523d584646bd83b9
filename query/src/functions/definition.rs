//! The definition of a scalar function, and its arguments for a batch of rows.

use super::image::{Image, Images};
use crate::program::FunctionNames;
use crate::schema::TEXT;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, BinaryViewArray, PrimitiveArray, StringViewArray};
use arrow_schema::DataType;
use datafusion::common::{Result, plan_err};
use std::sync::Arc;

/// A scalar function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Whether it reads a binary, whose name can be a last argument.
    pub reads_binary: bool,
    /// The meaning of its value.
    pub doc: &'static str,
    pub(super) returns: ReturnType,
    /// Computes its values for a batch of rows.
    pub(super) evaluate: fn(&Call<'_>) -> Result<ArrayRef>,
}

/// A parameter of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// An address.
    Address,
    /// A number of bytes.
    Count,
    /// Bytes.
    Bytes,
    /// A name.
    Name,
}

/// The type of a function's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReturnType {
    Text,
    Bytes,
    Number,
    /// A number that is printed in hexadecimal.
    Address,
}

impl ReturnType {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text => TEXT,
            Self::Bytes => DataType::BinaryView,
            Self::Number | Self::Address => DataType::UInt64,
        }
    }
}

impl Parameter {
    /// The name in help and in error messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Name => "name",
        }
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Address | Self::Count => DataType::UInt64,
            Self::Bytes => DataType::BinaryView,
            Self::Name => TEXT,
        }
    }
}

/// The arguments of a batch of rows.
pub(super) struct Call<'a> {
    pub(super) function: &'static Function,
    /// The columns of the arguments.
    pub(super) arrays: Vec<ArrayRef>,
    pub(super) rows: usize,
    pub(super) images: &'a Images,
}

impl Call<'_> {
    pub(super) fn numbers(&self, argument: usize) -> &PrimitiveArray<UInt64Type> {
        self.arrays[argument].as_primitive()
    }

    pub(super) fn bytes(&self, argument: usize) -> &BinaryViewArray {
        self.arrays[argument].as_binary_view()
    }

    pub(super) fn text(&self, argument: usize) -> &StringViewArray {
        self.arrays[argument].as_string_view()
    }

    /// The column of binaries, if the last argument is given.
    pub(super) fn binaries(&self) -> Option<&StringViewArray> {
        let position = self.function.parameters.len();
        (self.arrays.len() > position).then(|| self.text(position))
    }

    /// Calls `each` with the image of each row's binary, the row, and the address in the first argument. The value is null
    /// for rows with a null argument.
    pub(super) fn with_images<T>(
        &self,
        each: impl FnMut(&Image, usize, u64) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        self.with_each(Images::of_binary, each)
    }

    /// Calls `each` with the functions of each row's binary and the address in the first argument. The value is null for rows
    /// with a null argument.
    pub(super) fn with_functions<T>(
        &self,
        mut each: impl FnMut(&FunctionNames, u64) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        self.with_each(Images::functions, |functions, _, address| each(functions, address))
    }

    /// Looks up each row's binary by `find`; rows with the same binary as the row before reuse it.
    fn with_each<K, T>(
        &self,
        find: fn(&Images, &str) -> Result<Arc<K>>,
        mut each: impl FnMut(&K, usize, u64) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        let (addresses, binaries) = (self.numbers(0), self.binaries());
        let only = if binaries.is_none() { Some(self.only_binary()?) } else { None };
        let mut last: Option<(&str, Arc<K>)> = None;
        let mut values = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            if self.arrays.iter().any(|array| array.is_null(row)) {
                values.push(None);
                continue;
            }
            let name = binaries.map(|names| names.value(row)).or(only.as_deref()).unwrap_or_default();
            let known = match &last {
                Some((known, found)) if *known == name => found,
                _ => &last.insert((name, find(self.images, name)?)).1,
            };
            values.push(each(known, row, addresses.value(row)));
        }
        Ok(values)
    }

    fn only_binary(&self) -> Result<String> {
        let name = self.function.name;
        match self.images.only()? {
            Some(binary) => Ok(binary),
            None => plan_err!(
                "{name} has to know the binary, and there are several; name it as the last argument, as in {name}(address, binary)"
            ),
        }
    }
}
