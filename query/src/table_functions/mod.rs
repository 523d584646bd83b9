//! Functions that return tables: `SELECT * FROM callers('malloc')`.
//!
//! A function is computed once per binary, when its rows are read: for the binary that its last argument names, or for all
//! binaries. Arguments are literals: names or addresses.

mod calls;
mod code;
mod definition;

pub use definition::TableFunction;

use crate::error::external;
use crate::inputs::Inputs;
use crate::program::Program;
use crate::schema::TEXT;
use arrow_array::{RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use binframe::ir::BINARY_COLUMN;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionContext;
use definition::{Argument, Column};
use std::sync::Arc;

/// All functions that return tables, other than the tables themselves.
pub const TABLE_FUNCTIONS: &[TableFunction] =
    &[code::XREFS, calls::CALLERS, calls::CALLEES, code::CFG, calls::REACHABLE, calls::PATH, calls::PAGERANK];

/// Registers all functions.
pub(crate) fn register(context: &SessionContext, inputs: &Arc<Inputs>) {
    for function in TABLE_FUNCTIONS {
        context.register_udtf(function.name, Arc::new(Registered { function, inputs: Arc::clone(inputs) }));
    }
}

/// A function and the inputs that it reads.
#[derive(Debug)]
struct Registered {
    function: &'static TableFunction,
    inputs: Arc<Inputs>,
}

impl TableFunctionImpl for Registered {
    fn call_with_args(&self, arguments: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let TableFunction { name, parameters, columns, .. } = self.function;
        let mut arguments = arguments
            .exprs()
            .iter()
            .map(|argument| Argument::of(name, argument))
            .collect::<Result<Vec<_>>>()?;
        let binary = match arguments.len().checked_sub(parameters.len()) {
            Some(0) => None,
            Some(1) => arguments.pop().map(|binary| binary.to_string()),
            _ => {
                let parameters = parameters.join(", ");
                return plan_err!("{name} takes ({parameters}[, binary]), not {} arguments", arguments.len());
            }
        };
        let binary_column = Field::new(BINARY_COLUMN, TEXT, false);
        let fields: Vec<_> = columns.iter().map(Column::field).chain([binary_column]).collect();
        let (function, inputs, schema) =
            (self.function, Arc::clone(&self.inputs), Arc::new(Schema::new(fields)));
        Ok(Arc::new(CallTable(Arc::new(Call { function, arguments, binary, inputs, schema }))))
    }
}

/// A call of a function.
#[derive(Debug)]
struct Call {
    function: &'static TableFunction,
    arguments: Vec<Argument>,
    /// The binary, by its name in SQL; `None` for all.
    binary: Option<String>,
    inputs: Arc<Inputs>,
    schema: SchemaRef,
}

#[derive(Debug)]
struct CallTable(Arc<Call>);

#[async_trait]
impl TableProvider for CallTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = vec![Arc::new(CallStream(Arc::clone(&self.0))) as Arc<dyn PartitionStream>];
        let plan = StreamingTableExec::try_new(self.schema(), partitions, projection, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

#[derive(Debug)]
struct CallStream(Arc<Call>);

impl PartitionStream for CallStream {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let call = Arc::clone(&self.0);
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&call.schema), 1);
        let sender = builder.tx();
        builder.spawn_blocking(move || call.run(&mut |batch| sender.blocking_send(Ok(batch)).is_ok()));
        builder.build()
    }
}

impl Call {
    /// Computes the rows of each binary, until `take` returns false.
    fn run(&self, take: &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> {
        let mut is_found = false;
        for (input, own) in self.binaries()? {
            let program = Program::new(&self.inputs, input, &own);
            let Some(mut columns) = (self.function.compute)(&program, &self.arguments)? else { continue };
            is_found = true;
            let (name, rows) = (self.inputs.sql_name(input, &own), columns[0].len());
            columns.push(Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(name, rows))));
            if !take(RecordBatch::try_new(Arc::clone(&self.schema), columns)?) {
                return Ok(());
            }
        }
        if is_found {
            return Ok(());
        }
        let arguments: Vec<_> = self.arguments.iter().map(ToString::to_string).collect();
        exec_err!(
            "no binary has the function or import that {}({}) names; SELECT function_name, address FROM functions lists functions",
            self.function.name,
            arguments.join(", ")
        )
    }

    /// The binaries that are read, each with the index of its input.
    fn binaries(&self) -> Result<Vec<(usize, String)>> {
        let Some(name) = &self.binary else { return self.inputs.all_binaries().map_err(external) };
        Ok(vec![self.inputs.find(name)?])
    }
}
