//! Scalar functions of addresses, bytes and names, for any expression: `SELECT symbolize(address) FROM …`.

mod captured_memory;
mod definition;
mod image;
mod scalars;

pub use definition::{Function, Parameter};
pub use scalars::FUNCTIONS;

use crate::inputs::Inputs;
use crate::schema::TEXT;
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use definition::{Call, ReturnType};
use image::Images;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Registers all functions.
pub(crate) fn register(context: &SessionContext, inputs: &Arc<Inputs>) {
    let images = Arc::new(Images::new(inputs));
    for function in FUNCTIONS {
        let volatility = if function.reads_binary { Volatility::Stable } else { Volatility::Immutable };
        context.register_udf(ScalarUDF::from(Registered {
            function,
            signature: Signature::user_defined(volatility),
            images: Arc::clone(&images),
        }));
    }
}

/// A function and the binaries that it reads.
#[derive(Debug)]
struct Registered {
    function: &'static Function,
    signature: Signature,
    images: Arc<Images>,
}

/// Names are unique.
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
        let unit = (*returns == ReturnType::Address).then(|| ("unit".to_owned(), "address".to_owned()));
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
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
