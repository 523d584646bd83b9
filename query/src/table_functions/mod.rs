//! Functions that give tables: `SELECT * FROM callers('malloc')`.

mod calls;
mod code;
mod program;

use crate::error::external;
use crate::inputs::Inputs;
use crate::schema::TEXT;
use arrow_array::{ArrayRef, RecordBatch, StringViewArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use binframe::ir::parquet::BINARY_COLUMN;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionContext;
pub(crate) use program::{FunctionNames, Program, source_name};
use std::fmt;
use std::sync::Arc;

/// A function of SQL that gives a table.
#[derive(Debug)]
pub struct TableFunction {
    /// Its name.
    pub name: &'static str,
    /// What it is given; the name of a binary may follow.
    pub parameters: &'static [&'static str],
    /// What its rows are.
    pub doc: &'static str,
    /// Its columns, before the column `binary`.
    columns: &'static [Column],
    /// The rows of one binary; none where it has nothing of what was asked for.
    compute: fn(&Program<'_>, &[Argument]) -> Result<Answer>,
}

/// All functions that give tables.
pub const TABLE_FUNCTIONS: &[TableFunction] =
    &[code::XREFS, calls::CALLERS, calls::CALLEES, code::CFG, calls::REACHABLE, calls::PATH, calls::PAGERANK];

/// The columns of one binary's rows, before the column `binary`; none where it has nothing of what was asked for.
type Answer = Option<Vec<ArrayRef>>;

/// A column of a table that a function gives.
#[derive(Debug)]
enum Column {
    Address(&'static str),
    Name(&'static str),
    Count(&'static str),
    Share(&'static str),
}

impl Column {
    fn field(&self) -> Field {
        let unit = [("unit".to_owned(), "address".to_owned())];
        match self {
            Self::Address(name) => Field::new(*name, DataType::UInt64, true).with_metadata(unit.into()),
            Self::Name(name) => Field::new(*name, TEXT, true),
            Self::Count(name) => Field::new(*name, DataType::UInt64, true),
            Self::Share(name) => Field::new(*name, DataType::Float64, true),
        }
    }
}

/// What a function is given.
#[derive(Debug, Clone, PartialEq)]
enum Argument {
    Number(u64),
    Text(String),
}

impl fmt::Display for Argument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number:#x}"),
            Self::Text(text) => write!(formatter, "{text}"),
        }
    }
}

/// Makes all of them known.
pub(crate) fn register(context: &SessionContext, inputs: &Arc<Inputs>) {
    for function in TABLE_FUNCTIONS {
        context.register_udtf(function.name, Arc::new(Registered { function, inputs: Arc::clone(inputs) }));
    }
}

#[derive(Debug)]
struct Registered {
    function: &'static TableFunction,
    inputs: Arc<Inputs>,
}

impl TableFunctionImpl for Registered {
    fn call_with_args(&self, arguments: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let TableFunction { name, parameters, columns, .. } = self.function;
        let mut arguments =
            arguments.exprs().iter().map(|argument| literal(name, argument)).collect::<Result<Vec<_>>>()?;
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
        Ok(Arc::new(CalledTable(Arc::new(Called { function, arguments, binary, inputs, schema }))))
    }
}

fn literal(function: &str, argument: &Expr) -> Result<Argument> {
    match argument {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            Ok(Argument::Text(text.clone()))
        }
        Expr::Literal(ScalarValue::UInt64(Some(number)), _) => Ok(Argument::Number(*number)),
        Expr::Literal(ScalarValue::Int64(Some(number)), _) if *number >= 0 => {
            Ok(Argument::Number(*number as u64))
        }
        other => plan_err!("{function} takes names in quotes and addresses, not `{other}`"),
    }
}

/// A function with its arguments: computed when its rows are asked for.
#[derive(Debug)]
struct Called {
    function: &'static TableFunction,
    arguments: Vec<Argument>,
    binary: Option<String>,
    inputs: Arc<Inputs>,
    schema: SchemaRef,
}

#[derive(Debug)]
struct CalledTable(Arc<Called>);

#[async_trait]
impl TableProvider for CalledTable {
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
        let partitions = vec![Arc::new(CalledStream(Arc::clone(&self.0))) as Arc<dyn PartitionStream>];
        let plan = StreamingTableExec::try_new(self.schema(), partitions, projection, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

#[derive(Debug)]
struct CalledStream(Arc<Called>);

impl PartitionStream for CalledStream {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let called = Arc::clone(&self.0);
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&called.schema), 1);
        let sender = builder.tx();
        builder.spawn_blocking(move || called.run(&mut |batch| sender.blocking_send(Ok(batch)).is_ok()));
        builder.build()
    }
}

impl Called {
    /// Gives the rows of each binary to `take`, until it wants no more.
    fn run(&self, take: &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> {
        let mut is_found = false;
        for (input, own) in self.binaries()? {
            let program = Program::new(&self.inputs, input, &own);
            let Some(mut columns) = (self.function.compute)(&program, &self.arguments)? else { continue };
            is_found = true;
            let shown = self.inputs.shown_name(input, &own);
            let rows = columns[0].len();
            columns.push(Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(shown, rows))));
            if !take(RecordBatch::try_new(Arc::clone(&self.schema), columns)?) {
                return Ok(());
            }
        }
        if is_found {
            return Ok(());
        }
        let asked: Vec<_> = self.arguments.iter().map(ToString::to_string).collect();
        exec_err!(
            "no binary has what {}({}) asks for; SELECT name, address FROM functions lists what there is",
            self.function.name,
            asked.join(", ")
        )
    }

    /// The inputs that are asked, each with a binary of it.
    fn binaries(&self) -> Result<Vec<(usize, String)>> {
        let Some(shown) = &self.binary else { return self.inputs.all_binaries().map_err(external) };
        Ok(vec![self.inputs.find(shown)?])
    }
}
