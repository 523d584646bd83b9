//! Deterministic row order: a query returns the same rows in the same order for any number of threads.
//!
//! *Problem.* DataFusion spreads work over threads by hash partitioning and round robin, and merges partitions in the order
//! in which their batches arrive. Both make the order of rows depend on threads and timing: groups come in hash order, and
//! `LIMIT` without `ORDER BY` returns other rows in each run.
//!
//! *Approach.* (1) Partitions are contiguous ranges of a table (`partition.rs`), never sets of hash values:
//! [`set_options`] switches off every repartitioning. (2) Wherever partitions are merged, they are concatenated in their
//! order ([`InOrder`]) while all of them are computed in parallel. (3) Among equal rows, a sort prefers the first partition.
//! (4) An outer join that emits unmatched rows of its left side does so when its last right partition ends; it gets one
//! right partition, so that this moment is always the same.
//!
//! *Result.* Rows that a query does not order come in the order of inputs and keys, groups in the order of their first row.
//!
//! *Cost.* The final step of an aggregation runs in one thread, and a partition computes at most [`BATCHES_AHEAD`] batches
//! before its turn. Scans, filters, projections, partial aggregations and the probe sides of joins stay parallel.

use arrow_schema::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Batches that a partition computes before its turn.
const BATCHES_AHEAD: usize = 64;

/// Sets the planner's options so that no operator repartitions rows, and rows keep their order.
pub(crate) fn set_options(options: &mut ConfigOptions) {
    options.optimizer.enable_round_robin_repartition = false;
    options.optimizer.repartition_aggregations = false;
    options.optimizer.repartition_joins = false;
    options.optimizer.repartition_windows = false;
    // A query over a view keeps the order of the view.
    options.sql_parser.enable_subquery_sort_elimination = false;
    // A bound from another partition, which depends on timing, would decide between equal rows.
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
}

/// Optimizer rule: merges partitions in their order, wherever they are merged.
#[derive(Debug)]
pub(crate) struct KeepOrder;

impl PhysicalOptimizerRule for KeepOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(keep_order).data()?;
        Ok(if plan.output_partitioning().partition_count() > 1 {
            Arc::new(InOrder::new(plan, None))
        } else {
            plan
        })
    }

    fn name(&self) -> &'static str {
        "KeepOrder"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn keep_order(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(merge) = plan.downcast_ref::<CoalescePartitionsExec>() {
        let in_order = InOrder::new(Arc::clone(merge.input()), merge.fetch());
        return Ok(Transformed::yes(Arc::new(in_order)));
    }
    if let Some(merge) = plan.downcast_ref::<SortPreservingMergeExec>() {
        // Of equal rows, those of the first partition come first.
        let merge = merge.clone().with_round_robin_repartition(false);
        return Ok(Transformed::yes(Arc::new(merge)));
    }
    let hash_join = plan.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let loop_join = plan.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type());
    let Some(join_type) = hash_join.or(loop_join) else { return Ok(Transformed::no(plan)) };
    // Unmatched rows of the left side are emitted by the partition of the right side that ends last.
    let emits_left_at_end = !matches!(
        join_type,
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    );
    let right = Arc::clone(plan.children()[1]);
    if !emits_left_at_end || right.output_partitioning().partition_count() == 1 {
        return Ok(Transformed::no(plan));
    }
    let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let children = vec![Arc::clone(plan.children()[0]), Arc::new(InOrder::new(right, None)) as _];
    Ok(Transformed::yes(plan.replace_children(children, recompute)?))
}

/// Concatenates the partitions of a plan, which are computed in parallel.
#[derive(Debug)]
struct InOrder {
    input: Arc<dyn ExecutionPlan>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InOrder {
    fn new(input: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Self {
        let mut equivalences = input.equivalence_properties().clone();
        equivalences.clear_orderings();
        equivalences.clear_per_partition_constants();
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, fetch, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for InOrder {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "InOrder")?;
        self.fetch.map_or(Ok(()), |fetch| write!(formatter, ": fetch={fetch}"))
    }
}

impl ExecutionPlan for InOrder {
    fn name(&self) -> &'static str {
        "InOrder"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, self.fetch))),
            Err(_) => internal_err!("InOrder has one child"),
        }
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partitions = self.input.output_partitioning().partition_count();
        let start = |partition| {
            let stream = self.input.execute(partition, Arc::clone(&context))?;
            Ok(if partitions > 1 { spawn_buffered(stream, BATCHES_AHEAD) } else { stream })
        };
        let streams = (0..partitions).map(start).collect::<Result<Vec<_>>>()?;
        let metrics = BaselineMetrics::new(&self.metrics, 0);
        let mut rows_left = self.fetch.unwrap_or(usize::MAX);
        let batches = futures::stream::iter(streams).flatten().map(move |batch| {
            let batch = batch?;
            let batch = batch.slice(0, rows_left.min(batch.num_rows()));
            rows_left -= batch.num_rows();
            metrics.record_output(batch.num_rows());
            Ok((batch, rows_left))
        });
        // Stops after the batch that reaches the limit, without polling for another.
        let batches = batches.scan(false, |is_done, batch: Result<_>| {
            let next = (!*is_done).then_some(batch);
            *is_done |= matches!(&next, Some(Ok((_, 0))));
            futures::future::ready(next.map(|batch| batch.map(|(batch, _)| batch)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }
}

impl InOrder {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
