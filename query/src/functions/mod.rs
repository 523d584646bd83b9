//! Functions of addresses, bytes and names, to be used wherever SQL takes an expression.

mod image;
mod scalars;

pub(crate) use image::Images;
pub use scalars::FUNCTIONS;

use crate::inputs::Inputs;
use crate::schema::TEXT;
use crate::table_functions::FunctionNames;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, BinaryViewArray, PrimitiveArray, StringViewArray};
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use image::Image;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A function of SQL.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it is given.
    pub parameters: &'static [Parameter],
    /// Whether it reads an input, and takes the name of the binary as a last argument.
    pub reads_binary: bool,
    /// What it gives.
    pub doc: &'static str,
    returns: Returned,
    evaluate: fn(&Call<'_>) -> Result<ArrayRef>,
}

/// What a function is given.
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

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returned {
    Text,
    Bytes,
    Number,
    /// A number that is shown in hexadecimal.
    Address,
}

impl Returned {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => TEXT,
            Self::Bytes => DataType::BinaryView,
            Self::Number | Self::Address => DataType::UInt64,
        }
    }
}

impl Parameter {
    /// What it is called in help.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Name => "name",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Address | Self::Count => DataType::UInt64,
            Self::Bytes => DataType::BinaryView,
            Self::Name => TEXT,
        }
    }
}

/// Makes all functions known.
pub(crate) fn register(context: &SessionContext, inputs: &Arc<Inputs>) {
    let images = Arc::new(Images::new(inputs));
    for function in FUNCTIONS {
        context.register_udf(ScalarUDF::from(Registered {
            function,
            signature: Signature::user_defined(if function.reads_binary {
                Volatility::Stable
            } else {
                Volatility::Immutable
            }),
            images: Arc::clone(&images),
        }));
    }
}

/// A function and what it reads.
#[derive(Debug)]
struct Registered {
    function: &'static Function,
    signature: Signature,
    images: Arc<Images>,
}

/// There is one function of a name.
impl PartialEq for Registered {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Registered {}

impl Hash for Registered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Registered {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Function { name, parameters, reads_binary, .. } = self.function;
        let mut expected: Vec<_> = parameters.iter().map(|parameter| parameter.data_type()).collect();
        if types.len() == expected.len() + 1 && *reads_binary {
            expected.push(TEXT);
        }
        if types.len() == expected.len() {
            return Ok(expected);
        }
        let mut names: Vec<_> = parameters.iter().map(|parameter| parameter.name()).collect();
        names.extend(reads_binary.then_some("[binary]"));
        plan_err!("{name} takes ({}), not {} arguments", names.join(", "), types.len())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.function.returns.data_type())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Function { name, returns, .. } = self.function;
        let unit = (*returns == Returned::Address).then(|| ("unit".to_owned(), "address".to_owned()));
        Ok(Arc::new(Field::new(*name, returns.data_type(), true).with_metadata(unit.into_iter().collect())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { arguments.number_rows };
        let arrays =
            arguments.args.iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let result =
            (self.function.evaluate)(&Call { function: self.function, arrays, rows, images: &self.images })?;
        if is_constant {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// Arguments of many rows.
struct Call<'a> {
    function: &'static Function,
    arrays: Vec<ArrayRef>,
    rows: usize,
    images: &'a Images,
}

impl Call<'_> {
    fn numbers(&self, argument: usize) -> &PrimitiveArray<UInt64Type> {
        self.arrays[argument].as_primitive()
    }

    fn bytes(&self, argument: usize) -> &BinaryViewArray {
        self.arrays[argument].as_binary_view()
    }

    fn text(&self, argument: usize) -> &StringViewArray {
        self.arrays[argument].as_string_view()
    }

    /// The binary that each row is about, if it is named.
    fn binaries(&self) -> Option<&StringViewArray> {
        let position = self.function.parameters.len();
        (self.arrays.len() > position).then(|| self.text(position))
    }

    /// Calls `each` with the rows that have an address as the first argument, and the image that it is an address of.
    fn with_images<T>(&self, each: impl FnMut(&Image, usize, u64) -> Option<T>) -> Result<Vec<Option<T>>> {
        self.with_each(Images::of_binary, each)
    }

    /// The same with the functions of the binary.
    fn with_functions<T>(
        &self,
        mut each: impl FnMut(&FunctionNames, u64) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        self.with_each(Images::functions, |functions, _, address| each(functions, address))
    }

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
                "{name} needs to know which binary it is to read; name it as the last argument, as in {name}(address, binary)"
            ),
        }
    }
}
