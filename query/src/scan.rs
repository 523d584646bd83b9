//! Reads a table of all inputs: what a query asks of it, and no more.
//!
//! Each partition reads a run of the inputs' parts, so that the partitions one after the other are the table in its order.

use crate::error::external;
use crate::inputs::{Inputs, Share};
use crate::schema;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_cast::cast;
use arrow_schema::{FieldRef, SchemaRef};
use binframe::ir::TableInfo;
use binframe::ir::parquet::BINARY_COLUMN;
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
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Batches that a partition makes ahead of who reads them.
const BATCHES_AHEAD: usize = 4;

/// Which rows of a table are wanted: rows that are not may come too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Rows of these binaries, as SQL names them.
    pub(crate) binaries: Option<Vec<String>>,
    /// Rows that cover one of these addresses.
    pub(crate) addresses: Option<Range<u64>>,
    /// Rows that lie in the section of this number.
    pub(crate) section_index: Option<u64>,
    /// Rows that lie in the function that begins here.
    pub(crate) function_address: Option<u64>,
}

/// Reads some columns of a table.
#[derive(Debug)]
pub(crate) struct TableScan {
    work: Arc<Work>,
    shares: Vec<Vec<Share>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What every partition needs to know.
#[derive(Debug, Clone)]
struct Work {
    inputs: Arc<Inputs>,
    table: &'static TableInfo,
    /// The columns that are read.
    schema: SchemaRef,
    wanted: Wanted,
    /// Rows after which to stop.
    fetch: Option<usize>,
}

impl TableScan {
    /// Reads the columns at these positions of the table's SQL schema.
    pub(crate) fn new(
        inputs: &Arc<Inputs>,
        table: &'static TableInfo,
        columns: &[usize],
        wanted: Wanted,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let schema = Arc::new(schema::of_table(table).project(columns)?);
        let work = Work { inputs: Arc::clone(inputs), table, schema, wanted, fetch };
        Ok(Self::of(work))
    }

    fn of(work: Work) -> Self {
        // Few rows are found soonest by one thread that looks in order.
        let partitions = if work.fetch.is_some() { 1 } else { work.inputs.options().threads };
        let shares = work.inputs.shares(work.table, partitions);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&work.schema)),
            Partitioning::UnknownPartitioning(shares.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { work: Arc::new(work), shares, properties, metrics }
    }
}

impl DisplayAs for TableScan {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Work { table, schema, wanted, fetch, .. } = &*self.work;
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(formatter, "TableScan: {}, columns=[{}]", table.name, names.join(", "))?;
        if let Some(binaries) = &wanted.binaries {
            write!(formatter, ", binaries=[{}]", binaries.join(", "))?;
        }
        if let Some(addresses) = &wanted.addresses {
            write!(formatter, ", addresses={:#x}..{:#x}", addresses.start, addresses.end)?;
        }
        if let Some(section_index) = wanted.section_index {
            write!(formatter, ", section_index={section_index}")?;
        }
        if let Some(function_address) = wanted.function_address {
            write!(formatter, ", function_address={function_address:#x}")?;
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
        let (work, shares) = (Arc::clone(&self.work), self.shares[partition].clone());
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&work.schema), BATCHES_AHEAD);
        let sender = builder.tx();
        let metrics = Metrics { set: self.metrics.clone(), partition };
        let batch_size = context.session_config().batch_size();
        builder.spawn_blocking(move || work.run(&shares, &sender, &metrics, batch_size));
        Ok(builder.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let Work { inputs, table, schema, wanted, fetch, .. } = &*self.work;
        let mut statistics = Statistics::new_unknown(schema);
        let (rows, is_known) = inputs.row_count(table);
        let is_all = *wanted == Wanted::default() && fetch.is_none();
        statistics.num_rows = match (partition, fetch) {
            (None, None) if is_known && is_all => Precision::Exact(rows as usize),
            (None, _) => Precision::Inexact((rows as usize).min(fetch.unwrap_or(usize::MAX))),
            (Some(_), _) => Precision::Inexact(rows as usize / self.shares.len()),
        };
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::of(Work { fetch, ..(*self.work).clone() })))
    }

    fn fetch(&self) -> Option<usize> {
        self.work.fetch
    }
}

/// Where a partition counts what it does.
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

impl Work {
    /// Sends the rows of some shares, in their order, until nobody reads them any more.
    fn run(
        &self,
        shares: &[Share],
        sender: &Sender<Result<RecordBatch>>,
        metrics: &Metrics,
        batch_size: usize,
    ) -> Result<()> {
        let baseline = BaselineMetrics::new(&metrics.set, metrics.partition);
        let mut rows_left = self.fetch.unwrap_or(usize::MAX);
        for share in shares {
            for (name, binary) in self.binaries_of(share.input) {
                let Wanted { section_index, function_address, .. } = self.wanted;
                let addresses = self.wanted.addresses.clone();
                let filter = Filter { binary, addresses, section_index, function_address };
                let found = self.inputs.parts(share.input, self.table, &filter).map_err(external)?;
                metrics.add_passes(&found.passes);
                for part in &found.parts[share.of(found.parts.len())] {
                    if rows_left == 0 || sender.is_closed() {
                        return Ok(());
                    }
                    let batch = {
                        let _timer = baseline.elapsed_compute().timer();
                        self.batch(part, name, share.input)?
                    };
                    let batch = batch.slice(0, rows_left.min(batch.num_rows()));
                    rows_left -= batch.num_rows();
                    baseline.record_output(batch.num_rows());
                    for start in (0..batch.num_rows()).step_by(batch_size) {
                        let slice = batch.slice(start, batch_size.min(batch.num_rows() - start));
                        if sender.blocking_send(Ok(slice)).is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The binaries of an input that are asked for one by one, as SQL and as the input names them; all at once where all are.
    fn binaries_of(&self, input: usize) -> Vec<(Option<&str>, Option<&str>)> {
        let Some(binaries) = &self.wanted.binaries else { return vec![(None, None)] };
        let named =
            binaries.iter().filter_map(|shown| Some((shown.as_str(), self.inputs.own_name(input, shown)?)));
        named.map(|(shown, own)| (Some(shown), Some(own))).collect()
    }

    fn batch(&self, part: &TablePart, name: Option<&str>, input: usize) -> Result<RecordBatch> {
        let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let own: Vec<_> = names.iter().copied().filter(|name| *name != BINARY_COLUMN).collect();
        let arrays = if own.is_empty() { Vec::new() } else { part.columns(&own).map_err(external)? };
        let rows = arrays.first().map_or_else(|| part.row_count(), |array| array.len());
        let mut arrays = arrays.into_iter();
        let column = |field: &FieldRef| {
            if field.name() == BINARY_COLUMN {
                let shown = name.map_or_else(|| self.inputs.shown_name(input, part.binary()), str::to_owned);
                return Ok(repeated(&shown, rows));
            }
            let array = arrays.next().expect("an array for each column");
            if array.data_type() == field.data_type() { Ok(array) } else { cast(&array, field.data_type()) }
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// A column of one name.
fn repeated(name: &str, rows: usize) -> ArrayRef {
    let (keys, values) = (Int32Array::from_value(0, rows), StringArray::from(vec![name]));
    cast(&DictionaryArray::new(keys, Arc::new(values)), &schema::TEXT).expect("text is text")
}
