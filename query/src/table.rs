//! Tables of the registry for DataFusion: `FROM functions`, or `FROM functions('/usr/bin/ls')`.

use crate::allowed::may_open;
use crate::error::external;
use crate::inputs::Inputs;
use crate::scan::TableScan;
use crate::{pushdown, schema};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use binframe::ir::TableInfo;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::path::PathBuf;
use std::sync::Arc;

/// A table of all inputs of a session.
#[derive(Debug)]
pub(crate) struct InputTable {
    inputs: Arc<Inputs>,
    table: &'static TableInfo,
    schema: SchemaRef,
}

impl InputTable {
    pub(crate) fn new(inputs: &Arc<Inputs>, table: &'static TableInfo) -> Self {
        Self { inputs: Arc::clone(inputs), table, schema: schema::of_table(table) }
    }
}

#[async_trait]
impl TableProvider for InputTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, conditions: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |condition: &&Expr| match pushdown::is_understood(self.table, condition) {
            // A part is read as a whole, so other rows come too and have to be filtered.
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(conditions.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        conditions: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.inputs.paths().next().is_none() {
            let name = self.table.name;
            return plan_err!(
                "no executable or dataset was given; add one, or name it in the query: FROM {name}('/bin/ls')"
            );
        }
        let all: Vec<_> = (0..self.schema.fields().len()).collect();
        let columns = projection.unwrap_or(&all);
        let filter = pushdown::row_filter(self.table, conditions);
        Ok(Arc::new(TableScan::new(&self.inputs, self.table, columns, filter, limit)?))
    }
}

/// A table function: the table of the inputs that a query names.
#[derive(Debug)]
pub(crate) struct TableOfPaths {
    pub(crate) table: &'static TableInfo,
    pub(crate) inputs: Arc<Inputs>,
}

impl TableFunctionImpl for TableOfPaths {
    fn call_with_args(&self, arguments: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let path = |argument: &Expr| match argument {
            Expr::Literal(ScalarValue::Utf8(Some(path)) | ScalarValue::Utf8View(Some(path)), _) => {
                Ok(PathBuf::from(path))
            }
            other => plan_err!("{}(…) takes paths in quotes, not `{other}`", self.table.name),
        };
        let paths = arguments.exprs().iter().map(path).collect::<Result<Vec<_>>>()?;
        if paths.is_empty() {
            return plan_err!(
                "{0}() names no file; write FROM {0} for all inputs, or FROM {0}('/bin/ls')",
                self.table.name
            );
        }
        let options = self.inputs.options();
        if let Some(path) =
            paths.iter().find(|path| !may_open(path, self.inputs.paths(), &options.allowed_directories))
        {
            return plan_err!(
                "the query names the file `{}`; name it as an input too, or allow its directory with --allow-files",
                path.display()
            );
        }
        let inputs = Inputs::open(&paths, self.inputs.options().clone()).map_err(external)?;
        Ok(Arc::new(InputTable::new(&Arc::new(inputs), self.table)))
    }
}
