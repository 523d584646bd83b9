//! Table scan: reads the columns and the parts of a table that a query needs.
//!
//! Each partition reads a contiguous range of the inputs' parts on a blocking thread and sends batches through a bounded
//! channel: it stops when the channel closes, or after `fetch` rows. The concatenation of the partitions is the table in its
//! order. A scan with a limit has one partition, because a few rows are found fastest in order. Passes that had to run are
//! counted in the metrics, so that `EXPLAIN ANALYZE` shows them.

use crate::error::external;
use crate::inputs::Inputs;
use crate::partition::PartitionSlice;
use crate::pushdown::RowFilter;
use crate::schema;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_cast::cast;
use arrow_schema::{FieldRef, SchemaRef};
use binframe::ir::{BINARY_COLUMN, TableInfo};
use binframe::{Filter, TablePart};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
};
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Batches that a partition computes ahead of its reader.
const BATCHES_AHEAD: usize = 4;

/// Reads some columns of a table.
#[derive(Debug)]
pub(crate) struct TableScan {
    plan: Arc<ScanPlan>,
    partitions: Vec<Vec<PartitionSlice>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// The description of a scan, which all partitions share.
#[derive(Debug, Clone)]
struct ScanPlan {
    inputs: Arc<Inputs>,
    table: &'static TableInfo,
    /// The columns to read.
    schema: SchemaRef,
    filter: RowFilter,
    /// Rows after which to stop; `None` for all rows.
    fetch: Option<usize>,
}

impl TableScan {
    /// A scan of the columns at these positions of the table's schema in SQL.
    pub(crate) fn new(
        inputs: &Arc<Inputs>,
        table: &'static TableInfo,
        columns: &[usize],
        filter: RowFilter,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let schema = Arc::new(schema::of_table(table).project(columns)?);
        let plan = ScanPlan { inputs: Arc::clone(inputs), table, schema, filter, fetch };
        Ok(Self::of(plan))
    }

    fn of(plan: ScanPlan) -> Self {
        let partitions = if plan.fetch.is_some() { 1 } else { plan.inputs.options().threads };
        let partitions = plan.inputs.partitions(plan.table, partitions);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&plan.schema)),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { plan: Arc::new(plan), partitions, properties, metrics }
    }
}

impl DisplayAs for TableScan {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScanPlan { table, schema, filter, fetch, .. } = &*self.plan;
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(formatter, "TableScan: {}, columns=[{}]", table.name, names.join(", "))?;
        if let Some(binaries) = &filter.binaries {
            write!(formatter, ", binaries=[{}]", binaries.join(", "))?;
        }
        if let Some(addresses) = &filter.addresses {
            write!(formatter, ", addresses={:#x}..{:#x}", addresses.start, addresses.end)?;
        }
        if let Some(section_index) = filter.section_index {
            write!(formatter, ", section_index={section_index}")?;
        }
        if let Some(function_address) = filter.function_address {
            write!(formatter, ", function_address={function_address:#x}")?;
        }
        if !filter.columns.is_empty() {
            let names: Vec<_> = filter.columns.iter().map(|condition| condition.column).collect();
            write!(formatter, ", skips_by=[{}]", names.join(", "))?;
        }
        fetch.map_or(Ok(()), |fetch| write!(formatter, ", fetch={fetch}"))
    }
}

impl ExecutionPlan for TableScan {
    fn name(&self) -> &'static str {
        "TableScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (plan, slices) = (Arc::clone(&self.plan), self.partitions[partition].clone());
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&plan.schema), BATCHES_AHEAD);
        let sender = builder.tx();
        let metrics = Metrics { set: self.metrics.clone(), partition };
        let batch_size = context.session_config().batch_size();
        builder.spawn_blocking(move || plan.run(&slices, &sender, &metrics, batch_size));
        Ok(builder.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let ScanPlan { inputs, table, schema, fetch, .. } = &*self.plan;
        let mut statistics = Statistics::new_unknown(schema);
        let rows = inputs.row_count(table) as usize;
        statistics.num_rows = Precision::Inexact(match partition {
            None => rows.min(fetch.unwrap_or(usize::MAX)),
            Some(_) => rows / self.partitions.len(),
        });
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::of(ScanPlan { fetch, ..(*self.plan).clone() })))
    }

    fn fetch(&self) -> Option<usize> {
        self.plan.fetch
    }
}

/// The metrics of a partition.
struct Metrics {
    set: ExecutionPlanMetricsSet,
    partition: usize,
}

impl Metrics {
    fn add_passes(&self, passes: &[String]) {
        for pass in passes {
            MetricBuilder::new(&self.set).counter(format!("ran_{pass}"), self.partition).add(1);
        }
    }
}

impl ScanPlan {
    /// Sends the rows of some slices in order, until the receiver is dropped.
    fn run(
        &self,
        slices: &[PartitionSlice],
        sender: &Sender<Result<RecordBatch>>,
        metrics: &Metrics,
        batch_size: usize,
    ) -> Result<()> {
        let baseline = BaselineMetrics::new(&metrics.set, metrics.partition);
        let mut rows_left = self.fetch.unwrap_or(usize::MAX);
        for slice in slices {
            for (name, binary) in self.binaries_of(slice.input) {
                let RowFilter { section_index, function_address, .. } = self.filter;
                let addresses = self.filter.addresses.clone();
                let filter = Filter { binary, addresses, section_index, function_address };
                let found = self.inputs.parts(slice.input, self.table, &filter).map_err(external)?;
                metrics.add_passes(&found.passes);
                for part in &found.parts[slice.chunks(found.parts.len())] {
                    if rows_left == 0 || sender.is_closed() {
                        return Ok(());
                    }
                    if !self.filter.columns.iter().all(|condition| part.may_satisfy(condition)) {
                        continue;
                    }
                    let batch = {
                        let _timer = baseline.elapsed_compute().timer();
                        self.batch(part, name, slice.input)?
                    };
                    let batch = batch.slice(0, rows_left.min(batch.num_rows()));
                    rows_left -= batch.num_rows();
                    baseline.record_output(batch.num_rows());
                    for start in (0..batch.num_rows()).step_by(batch_size) {
                        let rows = batch.slice(start, batch_size.min(batch.num_rows() - start));
                        if sender.blocking_send(Ok(rows)).is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The requested binaries of an input, by their names in SQL and in the input. One pair of `None` for all binaries.
    fn binaries_of(&self, input: usize) -> Vec<(Option<&str>, Option<&str>)> {
        let Some(binaries) = &self.filter.binaries else { return vec![(None, None)] };
        let named = binaries.iter().filter_map(|sql_name| {
            Some((Some(sql_name.as_str()), Some(self.inputs.own_name(input, sql_name)?)))
        });
        named.collect()
    }

    fn batch(&self, part: &TablePart, name: Option<&str>, input: usize) -> Result<RecordBatch> {
        let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let own: Vec<_> = names.iter().copied().filter(|name| *name != BINARY_COLUMN).collect();
        let arrays = if own.is_empty() { Vec::new() } else { part.columns(&own).map_err(external)? };
        let rows = arrays.first().map_or_else(|| part.row_count(), |array| array.len());
        let mut arrays = arrays.into_iter();
        let column = |field: &FieldRef| {
            if field.name() == BINARY_COLUMN {
                let name = name.map_or_else(|| self.inputs.sql_name(input, part.binary()), str::to_owned);
                return Ok(repeated(&name, rows));
            }
            let array = arrays.next().expect("every column but `binary_name` has an array");
            if array.data_type() == field.data_type() { Ok(array) } else { cast(&array, field.data_type()) }
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// A column that repeats one name.
fn repeated(name: &str, rows: usize) -> ArrayRef {
    let (keys, values) = (Int32Array::from_value(0, rows), StringArray::from(vec![name]));
    cast(&DictionaryArray::new(keys, Arc::new(values)), &schema::TEXT)
        .expect("dictionaries of text convert to text")
}
